"""Uploads in several requests beside the same bytes in a form: `python -m bench.resumable`.

`app` is what is measured, in a server of its own; `doors` are the ways by which a file comes in, and run in another
process; `measure` lets each of them send the same, and `report` says what came of it.
"""

from __future__ import annotations
