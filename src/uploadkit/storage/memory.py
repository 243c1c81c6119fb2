"""Objects in memory: the storage contract on one screen, for tests and for files that are small.

Nothing outlives the process. An object is the `_Staged` that was committed: identity says who won a key.
"""

from __future__ import annotations

import builtins  # in a class with a method of that name `list` would be the method
import io
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from ..errors import ObjectExists, ObjectMissing, StorageFailed
from .contract import HEAD_SIZE, Buffer, ObjectInfo, PartialObject, Storage, StoredObject
from .keys import PARTIAL, check_key, check_upload
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
        self._partials: dict[str, bytearray] = {}
        self._adding = threading.Lock()

    @property
    def objects(self) -> dict[str, bytes]:
        """A copy of what is visible, by key."""
        return {key: staged.data for key, staged in self._objects.copy().items()}

    @property
    def unfinished(self) -> builtins.list[str]:
        """The keys of sinks and staged objects that were neither committed nor discarded, which is what a driver leaks;
        and `partial-UPLOAD` for each object that comes in several goes."""
        return [*self._unfinished.copy().values(), *(PARTIAL + upload for upload in self._partials.copy())]

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

    def begin_partial(self, upload: str, info: ObjectInfo) -> str:
        check_upload(upload)
        arrived = bytearray()
        if self._partials.setdefault(upload, arrived) is not arrived:
            raise StorageFailed("there is such an upload already", storage=self.name)
        return "memory"

    def partial(self, upload: str, kept: str) -> _Partial:
        check_upload(upload)
        arrived = self._partials.get(upload)
        if arrived is None:
            raise ObjectMissing("there is no such upload", storage=self.name)
        return _Partial(self, upload, arrived)

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


class _Partial:
    """All that was appended is kept at once. `arrived` is shared by all who have the upload."""

    def __init__(self, storage: MemoryStorage, upload: str, arrived: bytearray) -> None:
        self._storage = storage
        self._upload = upload
        self._arrived = arrived
        self._size = len(arrived)
        self._open = True
        self._complete = False

    @property
    def size(self) -> int:
        return self._size

    def append(self, data: Buffer) -> None:
        self._expect_open()
        if self._complete:
            raise RuntimeError("the upload is complete")
        with self._storage._adding:
            self._expect_there("write a file")
            self._arrived += data
            self._size = len(self._arrived)

    def keep(self) -> None:
        self._expect_open()

    def head(self, size: int) -> bytes:
        self._expect_open()
        if self._size > HEAD_SIZE:
            raise RuntimeError(f"it has more than {HEAD_SIZE} bytes: complete it, and open it")
        return bytes(self._arrived[: min(size, self._size)])

    def extend(self, other: PartialObject) -> None:
        if not isinstance(other, _Partial) or other._storage is not self._storage:
            raise TypeError("a partial object is extended by others of its storage")
        self.append(bytes(other._arrived))

    def complete(self) -> None:
        self._expect_open()
        self._complete = True

    def open(self) -> BinaryIO:
        self._expect_complete()
        return io.BytesIO(self._arrived)

    def commit(self, key: str, info: ObjectInfo) -> StoredObject:
        check_key(key, storage=self._storage.name)
        self._expect_complete()
        with self._storage._adding:
            self._expect_there("publish a file")
            staged = _Staged(self._storage, key, bytes(self._arrived))
            try:
                stored = staged.commit()
            finally:
                staged.discard()
            self.discard()
        return stored

    def close(self) -> None:
        self._open = False

    def discard(self) -> None:
        self._open = False
        if self._storage._partials.get(self._upload) is self._arrived:
            del self._storage._partials[self._upload]

    def _expect_there(self, doing: str) -> None:
        is_there = self._storage._partials.get(self._upload) is self._arrived
        if not is_there or len(self._arrived) != self._size:
            fault = "somebody else has added to it" if is_there else "it was committed or removed"
            raise StorageFailed(f"the storage could not {doing}: {fault}", storage=self._storage.name)

    def _expect_complete(self) -> None:
        self._expect_open()
        if not self._complete:
            raise RuntimeError("the upload is not complete")

    def _expect_open(self) -> None:
        if not self._open:
            raise RuntimeError("the upload was closed, committed or discarded")
