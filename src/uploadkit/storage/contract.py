"""What a storage promises. No I/O here: protocols and values only.

An object is written in three moves: `Storage.open` gives a `Sink` that takes bytes, `Sink.stage` turns it into a
`Staged` object of which all bytes are down, `Staged.commit` makes it visible under its key, whole or not at all.
Until the commit nobody sees anything under the key, and `discard` on the sink or the staged object leaves nothing
behind. Every method is synchronous; a driver calls those that may block in a worker thread. One sink is used by one
thread at a time, one storage by many.

Errors: `StorageFailed`, `ObjectMissing`, `ObjectExists`, `KeyRefused`; a storage translates every other exception.
`uploadkit.testing.check_storage` is this contract as a test suite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias, runtime_checkable

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Bytes to be written. The sink has copied or written them when `write` returns: the caller may reuse the buffer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What is known of an object before its first byte.

    `filename` is the one to show and to save. `max_size` is the most bytes that it will have, None where nobody knows:
    a storage that sends parts chooses their size by it. It is no limit that a storage has to guard.
    """

    content_type: str = "application/octet-stream"
    filename: str | None = None
    max_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object that is visible under its key.

    `size` is in bytes. `modified` is when it was written, with its time zone and as exactly as the storage knows, where
    it said so. What is still to come may have been written before: a long upload is seen when it is whole.
    """

    key: str
    size: int
    modified: datetime | None = field(default=None, compare=False)


class Staged(Protocol):
    """All bytes of an object are down; it is not visible yet."""

    def commit(self) -> StoredObject:
        """Makes the object visible under the key it was opened with, whole or not at all. Called at most once.

        Raises `ObjectExists` from a storage with `ExclusiveCommit` where the key is taken, `KeyRefused` where the key
        has become impossible since `open`, and `StorageFailed`; after each the object can still be discarded.
        """
        ...

    def discard(self) -> None:
        """Leaves nothing behind. Idempotent; does nothing after a commit that succeeded.

        Raises `StorageFailed` where something could not be removed: a sweep will, and other objects are still to be
        discarded.
        """
        ...


class Sink(Protocol):
    """Takes the bytes of one object that is being staged."""

    def write(self, data: Buffer) -> None:
        """Appends all of `data`. Raises `StorageFailed`; the sink can then only be discarded."""
        ...

    def stage(self) -> Staged:
        """Ends the writing. Called at most once; raises `StorageFailed`, and the sink can then only be discarded."""
        ...

    def discard(self) -> None:
        """Leaves nothing behind. Idempotent; does nothing after `stage` has returned."""
        ...


class Storage(Protocol):
    """A place for objects. `name` stands in errors and logs; it is not shown to senders."""

    @property
    def name(self) -> str: ...

    @property
    def may_block(self) -> bool:
        """False where every call returns within the time of a memory copy: an event loop may make it itself."""
        ...

    def open(self, key: str, info: ObjectInfo) -> Sink:
        """A sink for an object that is to be visible under `key` one day. Raises `KeyRefused`, `StorageFailed`."""
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The object's bytes from `start` up to and without `end` (None: its end), in blocks of at most 1 MiB.

        A range past the end is cut to what is there. Raises `ObjectMissing` before the first block.
        """
        ...

    def stat(self, key: str) -> StoredObject:
        """Raises `ObjectMissing` where nothing is visible under `key`."""
        ...

    def delete(self, key: str) -> None:
        """Removes the object. Idempotent: a key under which nothing is visible is no error."""
        ...


# Abilities: what a storage cannot do it does not offer.


@runtime_checkable
class ReadsStaged(Protocol):
    """Its staged objects (`ReadableStaged`) can be read back before the commit."""

    @property
    def reads_staged(self) -> bool: ...


class ReadableStaged(Staged, Protocol):
    """A staged object that can be read."""

    def open(self) -> BinaryIO:
        """A seekable file over the staged bytes, for one reader; the caller closes it."""
        ...


@runtime_checkable
class ExclusiveCommit(Protocol):
    """A commit never replaces an object: of two that race for a key one wins and the other gets `ObjectExists`."""

    @property
    def exclusive_commit(self) -> bool: ...


@runtime_checkable
class LocalPaths(Protocol):
    """Its objects are files of this machine."""

    def path(self, key: str) -> Path:
        """Where the object under `key` lies, or would lie. Raises `KeyRefused`."""
        ...


@runtime_checkable
class SweepsStaging(Protocol):
    """Knows what lies in staging, and removes what processes that died have left there."""

    def in_staging(self) -> Sequence[str]:
        """Names what has a name there and is not visible, of live uploads too. Changes nothing."""
        ...

    def sweep(self) -> int:
        """Removes every staged object that no live process holds; returns how many. Safe beside live uploads."""
        ...


@runtime_checkable
class ListsObjects(Protocol):
    """Tells which objects it has."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Every visible object whose key begins with `prefix`, each with its `modified`, in no promised order.

        What becomes visible or is deleted meanwhile may be among them or not. Raises `StorageFailed`.
        """
        ...


@runtime_checkable
class CopiesObjects(Protocol):
    """Copies objects without their bytes going through this process."""

    def copies_from(self, source: Storage) -> bool:
        """Whether `copy` takes this source. One that does not take itself copies nothing."""
        ...

    def copy(self, key: str, new_key: str, *, source: Storage | None = None) -> StoredObject:
        """Makes the object under `key` of `source` (None: of this storage) visible under `new_key` too, whole or not
        at all, with what is known of it (its content type and the like). From then on each is an object of its own.

        Raises `ObjectMissing`, `KeyRefused`, `StorageFailed`, from a storage with `ExclusiveCommit` `ObjectExists`, and
        `TypeError` for a source that it does not take.
        """
        ...


@runtime_checkable
class SignsUrls(Protocol):
    """Gives addresses under which its objects can be fetched for a while, without any other credentials."""

    def sign_url(
        self,
        key: str,
        *,
        expires_seconds: int = 3600,
        filename: str | None = None,
        content_type: str | None = None,
        inline: bool = False,
    ) -> str:
        """An address for GET. Whether there is such an object is not asked.

        `filename` and `content_type` take the place of what the object was stored with; with `inline` a browser shows
        the file in place of saving it. All of them are inside the signature: who has the address cannot change them.
        Raises `KeyRefused`, `StorageFailed`.
        """
        ...


@runtime_checkable
class PublicUrls(Protocol):
    """Its objects can be fetched by everybody, as from a CDN in front of a bucket."""

    def public_url(self, key: str) -> str | None:
        """The address of the object for everybody; None where the storage was told of none. Raises `KeyRefused`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPost:
    """A form that a client may send straight to a storage: a POST to `url` with these `fields` and then its file."""

    url: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPart:
    """A part of a direct upload that has arrived. Parts are numbered from 1; `size` is in bytes."""

    number: int
    size: int
    etag: str


class DirectObject(Protocol):
    """What a client has sent straight to a storage: nobody sees it before the commit."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    def open(self) -> BinaryIO:
        """A seekable file over its bytes, for one reader; the caller closes it."""
        ...

    def commit(self, key: str, info: ObjectInfo) -> StoredObject:
        """Makes exactly the bytes that `open` showed visible under `key`, whole or not at all, even if the client has
        sent others meanwhile. Leaves nothing else behind. Raises what `Staged.commit` raises."""
        ...

    def discard(self) -> None:
        """Leaves nothing behind. Idempotent."""
        ...


@runtime_checkable
class AcceptsDirectUploads(Protocol):
    """Takes objects from clients themselves. What they send is staged, and what they may send is signed.

    `upload` is the name of one such upload, random and made by the caller: `secrets.token_hex(16)`.
    """

    def sign_post(
        self, upload: str, info: ObjectInfo, *, min_size: int, max_size: int, expires_seconds: int
    ) -> SignedPost:
        """A form for one file of `min_size` to `max_size` bytes and exactly the content type of `info`."""
        ...

    def begin_parts(self, upload: str, info: ObjectInfo) -> str:
        """Begins an upload in parts; returns the id that the other calls take as `parts_id`."""
        ...

    def sign_part(self, upload: str, parts_id: str, number: int, *, expires_seconds: int) -> str:
        """An address for a PUT of part `number`. The answer's ETag names the part to `complete_parts`."""
        ...

    def list_parts(self, upload: str, parts_id: str) -> Sequence[StoredPart]:
        """The parts that have arrived, by number. Raises `ObjectMissing` where there is no such upload."""
        ...

    def complete_parts(self, upload: str, parts_id: str, parts: Sequence[StoredPart]) -> None:
        """Makes one object of the parts, still staged. Raises `ObjectMissing` where there is no such upload."""
        ...

    def abort_parts(self, upload: str, parts_id: str) -> None:
        """Leaves nothing of the parts behind. Idempotent."""
        ...

    def arrived(self, upload: str) -> DirectObject:
        """What has arrived, whole. Raises `ObjectMissing` where nothing has."""
        ...

    def abandon(self, upload: str, parts_id: str | None) -> None:
        """Leaves nothing of an upload behind: neither parts, where it came in some, nor what has arrived whole.
        Idempotent."""
        ...


HEAD_SIZE = 8192
"""Bytes up to which a partial object tells what it has, before it is complete."""


class PartialObject(Protocol):
    """What has arrived of an object that comes in several goes: staged, and kept when this process ends. Used by one
    thread at a time, and by one process: whoever calls sees to that."""

    @property
    def size(self) -> int:
        """Bytes that are kept or were appended here."""
        ...

    def append(self, data: Buffer) -> None:
        """Adds all of `data` at the end. Raises `StorageFailed`, also where somebody else has appended meanwhile or has
        ended it: then, or at the next `keep`. Nothing of `data` is kept then, and this object takes nothing more. After
        another failure `partial` tells what is there, and `size` as much as is known."""
        ...

    def keep(self) -> None:
        """From here all that was appended is kept, whatever happens to this process. May be called again and again."""
        ...

    def head(self, size: int) -> bytes:
        """The first bytes, at most so many. Only of an object that has no more than `HEAD_SIZE` bytes: of another one
        it is a `RuntimeError`."""
        ...

    def extend(self, other: PartialObject) -> None:
        """Adds all bytes of another one of the same storage, which stays, without their going through this process
        where that can be. Raises `StorageFailed`; some of them may have been added then. What was extended is kept."""
        ...

    def complete(self) -> None:
        """Nothing more is appended, and all of it is kept. Idempotent, also over processes. Raises `StorageFailed`."""
        ...

    def open(self) -> BinaryIO:
        """A seekable file over the bytes of a complete one, for one reader; the caller closes it."""
        ...

    def commit(self, key: str, info: ObjectInfo) -> StoredObject:
        """Makes a complete one visible under `key`, whole or not at all, and leaves nothing else behind. Raises what
        `Staged.commit` raises; then it is as it was before."""
        ...

    def close(self) -> None:
        """Gives back what this process holds of it, such as descriptors. What was not kept may be lost. Idempotent."""
        ...

    def discard(self) -> None:
        """Leaves nothing behind. Idempotent; does nothing after a commit."""
        ...


@runtime_checkable
class KeepsPartial(Protocol):
    """Keeps objects whose bytes come in several goes, and perhaps to several processes.

    `upload` is the name of one, random and made by the caller: `secrets.token_hex(16)`, or what else is safe as a name.
    A `sweep` leaves them alone until they are older than the storage's `stale_seconds`.
    """

    def begin_partial(self, upload: str, info: ObjectInfo) -> str:
        """Begins one; returns what the caller keeps with it, and `partial` asks for. `info.max_size` is the most that
        it will have."""
        ...

    def partial(self, upload: str, kept: str) -> PartialObject:
        """What has arrived so far. `kept` is what `begin_partial` returned. Raises `ObjectMissing` where it was
        committed or discarded, or was never begun."""
        ...
