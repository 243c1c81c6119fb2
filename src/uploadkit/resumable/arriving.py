"""A file of which some bytes are there already, as the plan sees it: a form with one file, and a storage for that file.

The plan judges an upload in several requests as it judges a form. What is handed to it is the form that the client
would have sent: `OneFile` says what stands in it, and `Arriving` takes the file's bytes. Those that have arrived before
are fed to it once more, for its digest and its checks, and are not written again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from ..errors import ObjectMissing, StorageFailed
from ..multipart.events import FORM_END, PART_END, Event, PartBegin
from ..policy.signatures import HEAD_SIZE
from ..storage.contract import Buffer, ObjectInfo, PartialObject, Storage, StoredObject
from ..storage.keys import check_key
from ..storage.reading import seekable

__all__ = ["Arriving", "OneFile", "Published"]


class OneFile:
    """A parser of a body that is the bytes of one file. Before it stand the text values that were sent with it."""

    def __init__(self, file: PartBegin, fields: Sequence[tuple[str, str]]) -> None:
        self._file = file
        self._fields = fields
        self._begun = False

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """See `FormParser`. An empty chunk is the head of the form alone."""
        yield from self._begin()
        if chunk:
            yield chunk

    def close(self) -> Iterable[Event]:
        """See `FormParser`."""
        yield from self._begin()
        yield PART_END
        yield FORM_END

    def _begin(self) -> Iterator[Event]:
        if self._begun:
            return
        self._begun = True
        for name, value in self._fields:
            yield PartBegin(name=name)
            if value:
                yield value.encode()
            yield PART_END
        yield self._file


class Arriving:
    """In the place of a rule's storage: the first `replayed` bytes that are written are there already, and the others
    go to the end of `partial`. What is discarded stays: whoever has made this says what becomes of it."""

    may_block: bool = True
    reads_staged: bool = True

    def __init__(self, storage: Storage, partial: PartialObject, replayed: int) -> None:
        self.name: str = storage.name
        self._storage = storage
        self._partial = partial
        self._replayed = replayed

    def open(self, key: str, info: ObjectInfo) -> _Sink:
        """See `Storage`. A key that no storage takes is known before more comes."""
        check_key(key, storage=self.name)
        return _Sink(self._partial, key, info, self._replayed)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See `Storage`."""
        return self._storage.read(key, start, end)

    def stat(self, key: str) -> StoredObject:
        """See `Storage`."""
        return self._storage.stat(key)

    def delete(self, key: str) -> None:
        """See `Storage`."""
        self._storage.delete(key)


class _Sink:
    def __init__(self, partial: PartialObject, key: str, info: ObjectInfo, replayed: int) -> None:
        self._partial = partial
        self._key = key
        self._info = info
        self._replayed = replayed

    def write(self, data: Buffer) -> None:
        size = len(data)
        known = min(size, self._replayed)
        self._replayed -= known
        if known < size:
            self._partial.append(memoryview(data)[known:] if known else data)

    def keep(self) -> None:
        self._partial.keep()

    def stage(self) -> _Staged:
        self._partial.complete()
        return _Staged(self._partial, self._key, self._info)

    def discard(self) -> None:
        return


class _Staged:
    def __init__(self, partial: PartialObject, key: str, info: ObjectInfo) -> None:
        self._partial = partial
        self._key = key
        self._info = info

    def open(self) -> BinaryIO:
        return self._partial.open()

    def commit(self) -> StoredObject:
        return self._partial.commit(self._key, self._info)

    def discard(self) -> None:
        return


class Published:
    """In the place of a partial object: one that was published by a request which did not come to its end."""

    def __init__(self, storage: Storage, key: str) -> None:
        """Raises `ObjectMissing` where nothing was."""
        self._storage = storage
        self._stored = storage.stat(key)

    @property
    def size(self) -> int:
        """See `PartialObject`."""
        return self._stored.size

    def append(self, data: Buffer) -> None:
        """Raises `StorageFailed`: it is whole."""
        raise StorageFailed("what is published takes no more bytes", storage=self._storage.name, key=self._stored.key)

    def keep(self) -> None:
        """See `PartialObject`."""

    def head(self, size: int) -> bytes:
        """See `PartialObject`."""
        return b"".join(self._storage.read(self._stored.key, 0, min(size, HEAD_SIZE)))

    def extend(self, other: PartialObject) -> None:
        """As `append`."""
        self.append(b"")

    def complete(self) -> None:
        """See `PartialObject`."""

    def open(self) -> BinaryIO:
        """See `PartialObject`."""
        storage, stored = self._storage, self._stored
        return seekable(lambda start: iter(storage.read(stored.key, start, stored.size)), stored.size)

    def commit(self, key: str, info: ObjectInfo) -> StoredObject:
        """It is. Raises `ObjectMissing` for another key, which is not."""
        if key != self._stored.key:
            raise ObjectMissing("there is no such object", storage=self._storage.name, key=key)
        return self._stored

    def close(self) -> None:
        """See `PartialObject`."""

    def discard(self) -> None:
        """See `PartialObject`."""
        self._storage.delete(self._stored.key)
