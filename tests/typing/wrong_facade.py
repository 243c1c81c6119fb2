"""Names that the façade does not have."""

from __future__ import annotations

import uploadkit
from uploadkit import Uplaoder as Uplaoder  # E: misspelt

print(uploadkit.receieve)  # E: misspelt
print(uploadkit.receive)
