"""A file as the readers of media see it: its bytes at any position, and an end to how many of them are read.

Here alone the work is bounded: every loop of a reader looks through the window, which closes when enough was seen.
"""

from __future__ import annotations

import os
from typing import BinaryIO, Final

MOST_BYTES: Final = 2**20
"""Of a file that is read. What tells a duration and sides has some kilobytes, wherever it lies."""

MOST_LOOKS: Final = 10_000
"""Where the bytes at hand were enough they count too: 1 MiB is 130,000 empty boxes."""

BLOCK_SIZE: Final = 2**10
"""Read at once. Structures that refer to each other lie together, or megabytes apart."""


class WindowClosed(Exception):
    """There are no such bytes, or enough of them were read."""


class Window:
    """The bytes of `file`, which is seekable. `size` is how many there are."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size: int = file.seek(0, os.SEEK_END)
        self._left = MOST_BYTES
        self._looks = MOST_LOOKS
        self._start = 0
        self._block = b""

    def exactly(self, count: int, *, at: int) -> bytes:
        """Exactly `count` bytes. Raises `WindowClosed`."""
        found = self.up_to(count, at=at)
        if len(found) < count:
            raise WindowClosed
        return found

    def up_to(self, count: int, *, at: int) -> bytes:
        """At most `count` bytes, fewer at the end of the file. Raises `WindowClosed` where enough was read."""
        self._looks -= 1
        if self._looks < 0:
            raise WindowClosed
        count = min(count, self.size - at)
        if at < 0 or count <= 0:
            return b""
        if not self._start <= at <= at + count <= self._start + len(self._block):
            self._load(at, max(count, BLOCK_SIZE))
        return self._block[at - self._start : at - self._start + count]

    def big(self, count: int, *, at: int) -> int:
        """An unsigned number of `count` bytes, the most significant one first. Raises `WindowClosed`."""
        return int.from_bytes(self.exactly(count, at=at), "big")

    def little(self, count: int, *, at: int) -> int:
        """An unsigned number of `count` bytes, the least significant one first. Raises `WindowClosed`."""
        return int.from_bytes(self.exactly(count, at=at), "little")

    def _load(self, at: int, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise WindowClosed
        self._file.seek(at)
        block = b""
        while len(block) < count and (more := self._file.read(count - len(block))):
            block += more
        self._start, self._block = at, block
