"""What uploadkit costs, measured: `python -m bench.parsers` and the claims of docs/decisions/0001-parser.md."""

from __future__ import annotations
