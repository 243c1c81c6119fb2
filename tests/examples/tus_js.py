"""tus-js-client, as npm has it: the client of tus that pages use."""

from __future__ import annotations

from pathlib import Path

from tests.npm import Package

VERSION = "4.3.1"
PACKAGE = Package(
    "tus-js-client",
    VERSION,
    "ZLeYmjrkaU1fUsKbIi8JML52uAocjEZtBx4DKjRrqzrZa0O4MYwT6db+oqePlspV+FxXJAyFBc/L5gwUi2OFsg==",
    ["dist/tus.min.js"],
    "UPLOADKIT_TUS_JS",
)


def script() -> Path | None:
    """Where it lies; None where it cannot be had."""
    return None if PACKAGE.folder is None else PACKAGE.folder / "dist" / "tus.min.js"
