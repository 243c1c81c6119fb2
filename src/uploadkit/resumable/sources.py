"""Where the bytes of an upload come from while a request is at it: a body, what was verified of one, and what was kept
of earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol, TypeAlias

from ..errors import SenderError
from ..intake.steps import END, READ, Do, Step
from ..policy.signatures import HEAD_SIZE
from ..storage.contract import PartialObject
from .checksums import Spool

__all__ = ["Beginning", "Body", "Replay", "Source", "Spooled"]

BLOCK_SIZE = 2**20

Reading: TypeAlias = Generator[Step, object, "bytes | None"]


class Source(Protocol):
    """Gives the bytes of a file, or some of them.

    `is_whole` is whether its end, when that has come, is the end of the file; `is_too_long` whether it was broken off
    since more came than may. `unwritten` is what has come and is held by the plan until that can judge it.
    """

    @property
    def is_whole(self) -> bool: ...

    @property
    def is_too_long(self) -> bool: ...

    @property
    def unwritten(self) -> Sequence[bytes]: ...

    def read(self) -> Reading:
        """The next chunk, None at the end."""
        ...

    def close(self) -> None: ...


class Body:
    """The body of a request whose bytes begin at `offset`. `check` is told how many the upload has with each chunk, and
    raises where those are too many. In `waiting` the client is waited for."""

    is_whole: bool = False
    unwritten: Sequence[bytes] = ()

    def __init__(
        self, offset: int, check: Callable[[int], None], waiting: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._come = offset
        self._check = check
        self._waiting = waiting
        self.is_too_long: bool = False

    def read(self) -> Reading:
        """See `Source`."""
        with self._waiting():
            chunk = yield READ
        if chunk is END:
            return None
        if not isinstance(chunk, bytes):
            raise TypeError(f"a body comes in chunks of bytes, not of {type(chunk).__name__}")
        self._come += len(chunk)
        try:
            self._check(self._come)
        except SenderError:
            self.is_too_long = True
            raise
        return chunk

    def close(self) -> None:
        """See `Source`."""


class Spooled:
    """A body that was verified."""

    is_whole: bool = False
    is_too_long: bool = False
    unwritten: Sequence[bytes] = ()

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def read(self) -> Reading:
        """See `Source`."""
        return (yield from _block(self._spool.read))

    def close(self) -> None:
        """See `Source`."""
        self._spool.close()


class Beginning:
    """The first bytes of a file, as far as they have been kept, and then a body. Where that is the `last` one, or has
    all of the `length`, its end is that of the file."""

    def __init__(self, kept: bytes, body: Source, *, length: int | None, is_last: bool) -> None:
        self._kept = kept
        self._body = body
        self._length = length
        self._is_last = is_last
        self._held: list[bytes] = []
        self._has_ended = False
        self.size: int = len(kept)

    @property
    def is_whole(self) -> bool:
        """See `Source`."""
        return self._has_ended and (self._is_last or self.size == self._length)

    @property
    def is_too_long(self) -> bool:
        """See `Source`."""
        return self._body.is_too_long

    @property
    def unwritten(self) -> Sequence[bytes]:
        """See `Source`. With as many bytes as it judges by, the plan writes what it held."""
        return self._held if self.size < HEAD_SIZE else ()

    def read(self) -> Reading:
        """See `Source`."""
        if self._kept:
            kept, self._kept = self._kept, b""
            return kept
        chunk = yield from self._body.read()
        if chunk is None:
            self._has_ended = True
            return None
        self.size += len(chunk)
        if self.size < HEAD_SIZE:
            self._held.append(chunk)
        return chunk

    def close(self) -> None:
        """See `Source`."""
        self._body.close()


class Replay:
    """All that has arrived of a file, once more."""

    is_whole: bool = True
    is_too_long: bool = False
    unwritten: Sequence[bytes] = ()

    def __init__(self, partial: PartialObject) -> None:
        self._file: BinaryIO = partial.open()

    def read(self) -> Reading:
        """See `Source`."""
        return (yield from _block(self._file.read))

    def close(self) -> None:
        """See `Source`."""
        self._file.close()


def _block(read: Callable[[int], bytes]) -> Reading:
    block = yield Do(read, (BLOCK_SIZE,))
    return block if isinstance(block, bytes) and block else None
