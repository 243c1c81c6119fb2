"""The upload service under load: `python -m bench.service`.

`large` has one client and 1 GiB, `photos` many clients for a minute, `slow` clients that drip. `running` starts what is
measured, `clients` are another process, `memory` reads what a tree of processes holds.
"""

from __future__ import annotations
