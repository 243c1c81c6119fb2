"""Decisions taken from the front of fuzz data: the same data make the same decisions, with atheris or without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Data that have come to their end decide for 0, which is the plainest choice everywhere."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, below: int) -> int:
        """From 0 to `below` - 1, by one byte, or by two where one does not reach."""
        size = 1 if below <= 1 << 8 else 2
        return int.from_bytes(self._take(size), "big") % below

    def of(self, options: Sequence[T]) -> T:
        """One of them."""
        return options[self.number(len(options))]

    def cuts(self) -> list[int]:
        """Up to seven places at which a body is cut."""
        return [self.number(1 << 12) for _ in range(self.number(8))]

    def line(self) -> bytes:
        """What comes before the next line feed, which is dropped."""
        line, _, _ = self._data[self._at :].partition(b"\n")
        self._at += len(line) + 1
        return line

    def rest(self) -> bytes:
        """All that is left."""
        return self._data[self._at :]

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken


def text_of(raw: bytes) -> str:
    """UTF-8, and a lone surrogate for every byte that is none."""
    return raw.decode("utf-8", "surrogateescape")
