"""An upload while a request is at it, and what is known of it before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, BinaryIO

from ..records.record import UploadRecord
from ..records.resumable import Resumable
from ..storage.contract import Buffer, ObjectInfo, PartialObject, StoredObject
from .arriving import Published
from .holding import Held

__all__ = ["Announced", "Standing", "Tail", "Unjudged", "Work", "standing_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What a client says of an upload before its first byte. `length` is in bytes, None where it is told later.

    `fields` are the text values beside the file, `told` is what its protocol wants to know again, as JSON. One that
    `is_piece` is no upload by itself: it is made part of another one, and judged then. One that `needs_last` is not
    finished when all bytes are there, but by a request that is the last. `sha256` is the digest of all its bytes, in
    lower-case hex: with others it is refused.
    """

    length: int | None
    filename: str = ""
    declared_type: str | None = None
    fields: Sequence[tuple[str, str]] = ()
    is_piece: bool = False
    needs_last: bool = False
    sha256: str | None = None
    is_put_together: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far an upload has come: `offset` of `length` bytes. Of one that `is_finished` nothing more is taken, and
    `answer` is what the application's handler has returned to the request that finished it; `was_finished` where that
    was an earlier one."""

    upload: str
    offset: int
    length: int | None
    expires_at: datetime
    is_piece: bool = False
    is_finished: bool = False
    was_finished: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)
    answer: object = None


def standing_of(row: Resumable, offset: int) -> Standing:
    """That of an upload nobody is at."""
    return Standing(
        upload=row.upload,
        offset=offset,
        length=row.length,
        expires_at=row.expires_at,
        is_piece=bool(row.told["is_piece"]),
        told=row.told,
    )


class Work:
    """An upload whose lock is held. `length` is what is known of it by now. One that `is_over` has no row any more, and
    one that `needs_last` may have all of its bytes and is not finished: see `Announced`. What is left of one that
    `is_published` lies where the file stays."""

    def __init__(
        self,
        record: UploadRecord,
        row: Resumable,
        held: Held,
        partial: PartialObject | None,
        expiry: Callable[[], datetime],
    ) -> None:
        """`partial` has what has arrived; None where the upload is finished."""
        self.record: UploadRecord = record
        self.row: Resumable = row
        self.length: int | None = row.length
        self.needs_last: bool = bool(row.told["needs_last"])
        self.sha256: str | None = row.told["sha256"]
        self.was_finished: bool = partial is None
        self.is_finished: bool = partial is None
        self.is_published: bool = isinstance(partial, Published)
        self.is_over: bool = False
        self.answer: object = None
        self._held = held
        self._partial = None if partial is None else _Fenced(partial, held, expiry)
        self._size_before = self.size
        self.expect: Callable[[], None] = held.expect
        self.confirm: Callable[[], None] = held.confirm
        self.waiting: Callable[[], AbstractContextManager[None]] = held.waiting

    @property
    def partial(self) -> PartialObject:
        """Of which nothing is changed when the lock is lost. Raises `RuntimeError` where the upload is finished."""
        if self._partial is None:
            raise RuntimeError("a finished upload has no bytes that are still to be judged")
        return self._partial

    @property
    def size(self) -> int:
        """In bytes, what has arrived."""
        return (self.length or 0) if self._partial is None or self.is_finished else self._partial.size

    @property
    def is_piece(self) -> bool:
        """Whether it is to be made part of another upload."""
        return bool(self.row.told["is_piece"])

    @property
    def is_all_there(self) -> bool:
        """Whether all bytes are there and nobody has judged them."""
        waits = self.is_finished or self.is_piece or self.needs_last
        return not waits and self.length is not None and self.size == self.length

    @property
    def has_grown(self) -> bool:
        """Whether something was added since its lock is held."""
        return self.size != self._size_before

    @property
    def has_news(self) -> bool:
        """Whether its client has said something that nobody else knows."""
        return (self.length, self.needs_last) != (self.row.length, self.row.told["needs_last"])

    def remember(self) -> None:
        """Writes down what its client has said. It may be answered that all is well, and not say it again."""
        told = {**self.row.told, "needs_last": self.needs_last}
        self._held.change(length=self.length, told=told)
        self.row = replace(self.row, length=self.length, told=told)

    def set_aside(self) -> None:
        """Gives back what it has of the storage, and keeps the lock: of an upload to which nothing is added."""
        if self._partial is not None:
            self._partial.close()

    def release(self) -> None:
        """Lets go of the lock, and says how far the upload has come."""
        told = {**self.row.told, "offset": self.size, "needs_last": self.needs_last}
        try:
            if self._partial is not None:
                self._partial.close()
        finally:
            if self.is_over:
                self._held.release()
            else:
                # A storage, too, counts the time from when something was last added.
                expires_at = self._held.expires_at or self.row.expires_at
                self.row = replace(self.row, length=self.length, told=told, expires_at=expires_at)
                self._held.release(length=self.length, told=told, expires_at=self.row.expires_at)

    def standing(self) -> Standing:
        """How far it has come, when it was released."""
        known = standing_of(self.row, self.size)
        return replace(
            known,
            length=self.length,
            is_finished=self.is_finished,
            was_finished=self.was_finished,
            answer=self.answer,
        )


class _Fenced:
    """A partial object that changes only while the lock is held. What is added gives its upload more time."""

    def __init__(self, partial: PartialObject, held: Held, expiry: Callable[[], datetime]) -> None:
        self._partial = partial
        self._held = held
        self._expiry = expiry

    @property
    def size(self) -> int:
        return self._partial.size

    def append(self, data: Buffer) -> None:
        self._held.expect()
        self._partial.append(data)
        self._held.expires_at = self._expiry()

    def extend(self, other: PartialObject) -> None:
        self._held.expect()
        self._partial.extend(other._partial if isinstance(other, _Fenced) else other)
        self._held.expires_at = self._expiry()

    def keep(self) -> None:
        self._held.confirm()
        self._partial.keep()

    def head(self, size: int) -> bytes:
        return self._partial.head(size)

    def open(self) -> BinaryIO:
        return self._partial.open()

    def close(self) -> None:
        self._partial.close()

    def discard(self) -> None:
        self._held.confirm()
        self._partial.discard()

    def complete(self) -> None:
        self._held.expect()
        self._partial.complete()

    def commit(self, key: str, info: ObjectInfo) -> StoredObject:
        self._held.expect()
        return self._partial.commit(key, info)


class Tail:
    """Takes what is added to an upload whose beginning was judged before."""

    def __init__(self, partial: PartialObject) -> None:
        self.may_block: bool = True
        self._partial = partial

    def write(self, data: Buffer) -> None:
        """See `Takes`."""
        self._partial.append(data)

    def keep(self) -> None:
        """See `Takes`."""
        self._partial.keep()


class Unjudged(Tail):
    """Takes, when no more comes for now, what the plan holds until it has enough of it to judge."""

    def __init__(self, partial: PartialObject, unwritten: Sequence[bytes]) -> None:
        super().__init__(partial)
        self._unwritten = unwritten

    def keep(self) -> None:
        """See `Takes`."""
        for chunk in self._unwritten:
            self._partial.append(chunk)
        super().keep()
