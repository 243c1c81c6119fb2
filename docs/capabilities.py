"""Writes the table of capabilities into `under-load.md`, between its marks. Run it where the table has changed."""

from __future__ import annotations

import re
from pathlib import Path

from uploadkit.adapters.capabilities import as_table

PAGE = Path(__file__).with_name("under-load.md")
MARKS = re.compile(r"(<!-- capabilities: begin -->\n).*?(<!-- capabilities: end -->)", re.DOTALL)


def page() -> str:
    """The page with the table as it is now."""
    return MARKS.sub(rf"\1\n{as_table()}\n\n\2", PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
