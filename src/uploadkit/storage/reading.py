"""Objects as they are read: a range of one, and one as a file, which is read and sought like any file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeAlias, cast

BlocksFrom: TypeAlias = Callable[[int], Iterator[bytes]]
"""The blocks of an object from a position on."""


def check_range(start: int, end: int | None) -> None:
    """Raises `ValueError` for what is no range of an object, as `Storage.read` takes it."""
    if start < 0 or (end is not None and end < 0):
        raise ValueError(f"a range has no negative ends: {start}, {end}")


def seekable(blocks_from: BlocksFrom, size: int) -> BinaryIO:
    """A file over an object of `size` bytes; the caller closes it. Holds nothing before the first read."""
    return cast(BinaryIO, io.BufferedReader(_BlockReader(blocks_from, size), buffer_size=1 << 16))


class _BlockReader(io.RawIOBase):
    """Reads an object in blocks; after a seek it asks again from there."""

    def __init__(self, blocks_from: BlocksFrom, size: int) -> None:
        self._blocks_from = blocks_from
        self._size = size
        self._at = 0
        self._blocks: Iterator[bytes] | None = None
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer is from Python 3.12
        self._check_open()
        if self._blocks is None:
            self._blocks = self._blocks_from(self._at)
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._at += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check_open()
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"a position is not negative: {start + offset}")
        if start + offset != self._at:
            self._at, self._blocks, self._rest = start + offset, None, memoryview(b"")
        return self._at

    def tell(self) -> int:
        self._check_open()
        return self._at

    def close(self) -> None:
        self._blocks = None  # an iterator over a file on disk holds it open
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the file is closed")
