"""A storage that fails when it is told to, around one that works. For tests of what happens next."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import BinaryIO, Literal, TypeAlias, cast

from ..errors import StorageFailed
from ..storage.contract import Buffer, ObjectInfo, ReadableStaged, Sink, Staged, Storage, StoredObject

Call: TypeAlias = Literal["open", "write", "stage", "commit", "discard", "read", "stat", "delete"]

_ABILITIES = ("reads_staged", "exclusive_commit", "sweep", "path")


class FailingStorage:
    """Lets `after` calls of one kind through, fails the next with `StorageFailed`, and lets all others through.

    `FailingStorage(inner, after=0, on="commit")` fails the first commit of any of its objects. A call that fails does
    not reach `inner`, and a sink whose write or stage has failed can only be discarded. What `inner` can do, this
    can. `failed` tells whether it has happened.
    """

    def __init__(self, inner: Storage, *, after: int, on: Call, retryable: bool = False) -> None:
        self.inner = inner
        self.name: str = inner.name
        self.may_block: bool = inner.may_block
        self.failed: bool = False
        self._after = after
        self._on = on
        self._retryable = retryable
        self._calls = count()
        for ability in _ABILITIES:  # as attributes of its own: a runtime-checkable protocol looks for nothing else
            if hasattr(inner, ability):
                setattr(self, ability, getattr(inner, ability))

    def open(self, key: str, info: ObjectInfo) -> Sink:
        self._count("open", key)
        return _FailingSink(self, key, self.inner.open(key, info))

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        self._count("read", key)
        return self.inner.read(key, start, end)

    def stat(self, key: str) -> StoredObject:
        self._count("stat", key)
        return self.inner.stat(key)

    def delete(self, key: str) -> None:
        self._count("delete", key)
        self.inner.delete(key)

    def _count(self, call: Call, key: str) -> None:
        if call == self._on and next(self._calls) == self._after:
            self.failed = True
            text = f"the storage was told to fail at {call} {self._after + 1}"
            raise StorageFailed(text, storage=self.name, key=key, retryable=self._retryable)


class _FailingSink:
    def __init__(self, storage: FailingStorage, key: str, inner: Sink) -> None:
        self._storage = storage
        self._key = key
        self._inner = inner
        self._failed: StorageFailed | None = None

    def write(self, data: Buffer) -> None:
        self._count_once("write")
        self._inner.write(data)

    def stage(self) -> Staged:
        self._count_once("stage")
        return _FailingStaged(self._storage, self._key, self._inner.stage())

    def discard(self) -> None:
        self._storage._count("discard", self._key)
        self._inner.discard()

    def _count_once(self, call: Call) -> None:
        if self._failed is not None:
            raise self._failed
        try:
            self._storage._count(call, self._key)
        except StorageFailed as error:
            self._failed = error
            raise


class _FailingStaged:
    def __init__(self, storage: FailingStorage, key: str, inner: Staged) -> None:
        self._storage = storage
        self._key = key
        self._inner = inner

    def open(self) -> BinaryIO:
        return cast(ReadableStaged, self._inner).open()

    def commit(self) -> StoredObject:
        self._storage._count("commit", self._key)
        return self._inner.commit()

    def discard(self) -> None:
        self._storage._count("discard", self._key)
        self._inner.discard()
