"""`python -m uploadkit` is the command `uploadkit`."""

from __future__ import annotations

from .cli import main

raise SystemExit(main())
