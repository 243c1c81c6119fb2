"""Storages and ledgers of which one call fails, and a client that does not give up before it is told to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import pytest
from tests.intake.called import CalledStorage
from tests.resumable.talking import Body, Place, Told, id_of

from uploadkit.processing.upkeep import sweep
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import GONE, State
from uploadkit.storage.contract import Buffer, ObjectInfo, PartialObject, StoredObject


class Calls:
    """Counts the calls that are made, and does something at the one of a number. None of them where that is None."""

    def __init__(self, number: int | None = None, act: Callable[[], None] = lambda: None) -> None:
        self.number = number
        self.act = act
        self.made: list[str] = []

    def __call__(self, name: str) -> None:
        self.made.append(name)
        if len(self.made) - 1 == self.number:
            self.act()


def failing(number: int, error: Callable[[], BaseException]) -> Calls:
    """The call of this number raises."""

    def fail() -> None:
        raise error()

    return Calls(number, fail)


class CalledKeeper(CalledStorage):
    """A storage that keeps what is not whole, and tells of every call before it is made."""

    def begin_partial(self, upload: str, info: ObjectInfo) -> str:
        """As that of the storage inside, like all that follow."""
        self.called("begin_partial")
        kept: str = self.inner.begin_partial(upload, info)  # type: ignore[attr-defined]
        return kept

    def partial(self, upload: str, kept: str) -> PartialObject:
        """Each of its calls is told."""
        self.called("partial")
        return _CalledPartial(self.called, self.inner.partial(upload, kept))  # type: ignore[attr-defined]


class _CalledPartial:
    def __init__(self, called: Callable[[str], None], inner: PartialObject) -> None:
        self._called = called
        self._inner = inner

    @property
    def size(self) -> int:
        return self._inner.size

    def append(self, data: Buffer) -> None:
        self._called("append")
        self._inner.append(data)

    def keep(self) -> None:
        self._called("keep")
        self._inner.keep()

    def head(self, size: int) -> bytes:
        self._called("head")
        return self._inner.head(size)

    def extend(self, other: PartialObject) -> None:
        self._called("extend")
        self._inner.extend(other._inner if isinstance(other, _CalledPartial) else other)

    def complete(self) -> None:
        self._called("complete")
        self._inner.complete()

    def open(self) -> BinaryIO:
        self._called("open partial")
        return self._inner.open()

    def commit(self, key: str, info: ObjectInfo) -> StoredObject:
        self._called("commit partial")
        return self._inner.commit(key, info)

    def close(self) -> None:
        try:
            self._called("close")
        finally:
            self._inner.close()

    def discard(self) -> None:
        self._called("discard partial")
        self._inner.discard()


@contextmanager
def told_of(ledger: Ledger, called: Callable[[str], None], *, afterwards: bool = False) -> Iterator[None]:
    """Every transaction of a ledger is told before it is begun, or `afterwards`, when all is written and only its
    answer is missing."""
    database = ledger._database

    def telling(name: str, begin: Callable[[], Any]) -> Callable[[], Any]:
        @contextmanager
        def told() -> Iterator[Any]:
            if not afterwards:
                called(name)
            with begin() as connection:
                yield connection
            if afterwards:
                called(name)

        return told

    own = {name: telling(name, getattr(database, name)) for name in ("writing", "reading")}
    vars(database).update(own)
    try:
        yield
    finally:
        for name in own:
            del vars(database)[name]


@dataclass
class Persistent:
    """A client that sends `data`, cut at `cuts`, and where something fails asks how far it has come and goes on.

    `location` is None where it was told that nothing is left. What it was told of offsets never goes back.
    """

    place: Place
    data: bytes
    cuts: tuple[int, ...] = ()
    headers: dict[str, Any] = field(default_factory=dict)
    patch_headers: Callable[[bytes], dict[str, Any]] = lambda data: {}
    body: Callable[[bytes], Body] = lambda data: data
    location: str | None = None
    offset: int = 0
    failures: list[BaseException | Told] = field(default_factory=list)

    def run(self) -> str | None:
        """Sends all. Where it is, None where it is gone."""
        while self.location is None:
            created = self._tried(lambda: self.place.talk.create(len(self.data), **self.headers), 201)
            if created is not None:
                self.location = created.location
        return self._go_on(self.location)

    def _go_on(self, location: str) -> str | None:
        is_sure = True
        for _ in range(30):
            if not is_sure:
                head = self._tried(lambda: self.place.talk.head(location), 200)
                if head is None:
                    if isinstance(self.failures[-1], Told) and self.failures[-1].status in (404, 410):
                        return None
                    continue
                self._hear(head.offset)
                is_sure = True
            if self.offset == len(self.data):
                return location
            piece = self.data[self.offset : next((cut for cut in self.cuts if cut > self.offset), len(self.data))]
            answer = self._tried(lambda piece=piece: self._patch(location, piece), 204)  # type: ignore[misc]
            if answer is None:
                is_sure = False
            else:
                self._hear(answer.offset)
        raise AssertionError(f"it has come no further than {self.offset}: {self.failures}")

    def _patch(self, location: str, piece: bytes) -> Told:
        return self.place.talk.patch(location, self.offset, self.body(piece), **self.patch_headers(piece))

    def _hear(self, offset: int) -> None:
        assert self.offset <= offset <= len(self.data), "an offset that went back"
        self.offset = offset

    def _tried(self, ask: Callable[[], Told], status: int) -> Told | None:
        assert len(self.failures) < 30, self.failures
        try:
            answer = ask()
        except BaseException as error:
            if isinstance(error, AssertionError | pytest.fail.Exception):
                raise
            self.failures.append(error)
            return None
        if answer.status == status:
            return answer
        self.failures.append(answer)
        assert answer.status in (404, 410, 423, 500, 503, 507), answer
        if answer.status == 423:  # whoever has it could not say that it lets go
            self.place.end_leases()
        return None


def expect_all_or_nothing(place: Place, client: Persistent) -> None:
    """The upload of a client is whole, or nothing of it is left; and beside it nothing is, after a sweep."""
    place.end_leases()
    at = datetime.now(UTC) + timedelta(days=2)
    swept = sweep(place.pipeline, older_than_seconds=0, now=lambda: at)
    assert swept.failures == 0
    expected = []
    if client.location is not None and client.offset == len(client.data):
        record = place.record(client.location)
        assert record.state is State.COMPLETED, record
        assert (record.size, record.sha256) == (len(client.data), hashlib.sha256(client.data).hexdigest())
        assert place.bytes_of(client.location) == client.data
        assert record.key is not None
        expected.append(record.key)
    assert place.left() == expected
    for each in place.records():
        is_it = client.location is not None and each.id == id_of(client.location)
        assert each.state in GONE or (is_it and expected), each


def is_left(place: Place, location: str) -> bool:
    """Whether anything is left of an upload that was given up, but its record."""
    record = place.record(location)
    return record.state not in GONE or any(id_of(location) in name or name == record.key for name in place.left())
