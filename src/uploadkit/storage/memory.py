"""Objects in memory: the storage contract on one screen, for tests and for files that are small.

Nothing outlives the process. An object is the `_Staged` that was committed: identity says who won a key.
"""

from __future__ import annotations

import builtins  # in a class with a method of that name `list` would be the method
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from ..errors import ObjectExists, ObjectMissing
from .contract import Buffer, ObjectInfo, Storage, StoredObject
from .keys import check_key
from .reading import check_range

BLOCK_SIZE = 2**20


class MemoryStorage:
    """Keeps objects in this process. Never replaces one; staged objects can be read."""

    may_block = False
    reads_staged = True
    exclusive_commit = True

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self._objects: dict[str, _Staged] = {}
        self._unfinished: dict[_Sink | _Staged, str] = {}

    @property
    def objects(self) -> dict[str, bytes]:
        """A copy of what is visible, by key."""
        return {key: staged.data for key, staged in self._objects.copy().items()}

    @property
    def unfinished(self) -> builtins.list[str]:
        """The keys of sinks and staged objects that were neither committed nor discarded: what a driver leaks."""
        return list(self._unfinished.copy().values())

    def open(self, key: str, info: ObjectInfo) -> _Sink:
        check_key(key, storage=self.name)
        return _Sink(self, key)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        check_range(start, end)
        data = self._object(key).data[start:end]
        return (data[at : at + BLOCK_SIZE] for at in range(0, len(data), BLOCK_SIZE))

    def stat(self, key: str) -> StoredObject:
        return self._object(key).stored

    def delete(self, key: str) -> None:
        check_key(key, storage=self.name)
        self._objects.pop(key, None)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        return (staged.stored for key, staged in self._objects.copy().items() if key.startswith(prefix))

    def copies_from(self, source: Storage) -> bool:
        return isinstance(source, MemoryStorage)

    def copy(self, key: str, new_key: str, *, source: Storage | None = None) -> StoredObject:
        source = self if source is None else source
        if not isinstance(source, MemoryStorage):
            raise TypeError(f"a memory storage copies from others of its kind, not from {source.name!r}")
        data = source._object(key).data
        check_key(new_key, storage=self.name)
        staged = _Staged(self, new_key, data)
        try:
            return staged.commit()
        finally:
            staged.discard()

    def _object(self, key: str) -> _Staged:
        check_key(key, storage=self.name)
        staged = self._objects.get(key)
        if staged is None:
            raise ObjectMissing("there is no such object", storage=self.name, key=key)
        return staged


class _Sink:
    def __init__(self, storage: MemoryStorage, key: str) -> None:
        self._storage = storage
        self._key = key
        self._chunks: list[bytes] = []
        storage._unfinished[self] = key

    def write(self, data: Buffer) -> None:
        if self not in self._storage._unfinished:
            raise RuntimeError("the sink was staged or discarded")
        self._chunks.append(bytes(data))

    def stage(self) -> _Staged:
        if self not in self._storage._unfinished:
            raise RuntimeError("the sink was staged or discarded")
        staged = _Staged(self._storage, self._key, b"".join(self._chunks))
        self.discard()
        return staged

    def discard(self) -> None:
        self._chunks.clear()
        self._storage._unfinished.pop(self, None)


class _Staged:
    def __init__(self, storage: MemoryStorage, key: str, data: bytes) -> None:
        self._storage = storage
        self._key = key
        self.data = data
        self.stored: StoredObject = StoredObject(key=key, size=len(data), modified=datetime.now(UTC))
        storage._unfinished[self] = key

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)

    def commit(self) -> StoredObject:
        if self not in self._storage._unfinished:
            raise RuntimeError("the staged object was committed or discarded")
        if self._storage._objects.setdefault(self._key, self) is not self:
            raise ObjectExists("the object exists already", storage=self._storage.name, key=self._key)
        self._storage._unfinished.pop(self, None)
        return self.stored

    def discard(self) -> None:
        self._storage._unfinished.pop(self, None)
