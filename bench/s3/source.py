"""A file that lies in memory and is made of pieces: nothing is copied but what is read."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate


class Source(io.RawIOBase):
    """Seekable, for reading."""

    def __init__(self, pieces: Iterable[memoryview]) -> None:
        self._pieces = [piece for piece in pieces if piece]
        self._starts = [0, *accumulate(map(len, self._pieces))]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._starts[-1]}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._starts[-1] if size is None or size < 0 else min(self._at + size, self._starts[-1])
        found = []
        while self._at < end:
            number = bisect_right(self._starts, self._at) - 1
            start = self._starts[number]
            found.append(self._pieces[number][self._at - start : end - start])
            self._at += len(found[-1])
        return b"".join(found)
