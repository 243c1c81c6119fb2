"""What a reader has found of a medium, while it still looks; and what of that can be true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_SECONDS: Final = 366 * 24 * 3600
"""A year. What claims to last longer is damaged, or says "unknown" in its own way."""

MOST_SIDE: Final = 2**16 - 1
"""Pixels: the largest side that ISO media can tell. No codec in use goes further."""


@dataclass(slots=True)
class Facts:
    """Filled by one reader, in any order. A file's claims go in as they are."""

    audio: bool = False
    video: bool = False
    _seconds: float = 0
    _width: int = 0
    _height: int = 0

    def lasts(self, count: float, per_second: float = 1) -> None:
        """Of several durations the longest that is possible is that of the medium."""
        seconds = count / per_second if per_second > 0 else 0
        if self._seconds < seconds <= MOST_SECONDS:  # neither of it holds for NaN
            self._seconds = seconds

    def shows(self, width: float, height: float) -> None:
        """Of several films the largest that is possible is the one that is seen: others are covers, or small copies."""
        if 1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE and width * height > self._width * self._height:
            self._width, self._height = round(width), round(height)

    @property
    def duration(self) -> float | None:
        """In seconds; None where none was found."""
        return self._seconds or None

    @property
    def width(self) -> int | None:
        """In pixels; None where none was found, and then there is no height either."""
        return self._width or None

    @property
    def height(self) -> int | None:
        """In pixels; None where none was found."""
        return self._height or None
