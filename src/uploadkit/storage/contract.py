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

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias, runtime_checkable

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Bytes to be written. The sink has copied or written them when `write` returns: the caller may reuse the buffer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What is known of an object before its first byte."""

    content_type: str = "application/octet-stream"
    filename: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object that is visible under its key. `size` is in bytes."""

    key: str
    size: int


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
    """Removes what processes that died have left in staging."""

    def sweep(self) -> int:
        """Removes every staged object that no live process holds; returns how many. Safe beside live uploads."""
        ...
