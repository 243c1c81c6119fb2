"""What a safe name promises, as the property tests and the fuzz targets check it."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

from uploadkit.policy.filenames import safe_filename

DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|com\d|lpt\d) *(?:\..*)?", re.DOTALL)


def check_safe(safe: str) -> None:
    """A name that `safe_filename` gave, however it is decoded, normalized or compared afterwards."""
    assert safe_filename(safe) == safe
    assert unicodedata.is_normalized("NFC", safe)
    assert 1 <= len(safe.encode()) <= 255
    assert not set(safe) & set('<>:"/\\|?*')
    assert not {unicodedata.category(char) for char in safe} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    for seen in (safe, unicodedata.normalize("NFKC", safe), safe.casefold(), safe.upper()):
        assert "/" not in seen
        assert "\\" not in seen
        assert seen[0] not in ".-~ "
        assert seen[-1] not in ". "
        assert seen not in (".", "..")
        assert DEVICE.fullmatch(seen.lower()) is None
        decoded = seen
        while (again := unquote(decoded, encoding="latin-1")) != decoded:
            assert not set(again) & set("/\\\x00\r\n")
            decoded = again
