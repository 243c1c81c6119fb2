"""A storage that fails when it is told to and as it is told to, around one that works. For tests of what comes next.

A fault is loud (an exception), slow (`Hang`) or silent (`Corruption`). Silent ones are there for tests of what
verifies: an intake, `check_storage`, whoever compares `UploadedFile.digest` with what is read back.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from enum import Enum
from itertools import chain, count
from typing import BinaryIO, Literal, TypeAlias, cast

from ..errors import StorageFailed
from ..storage.contract import (
    Buffer,
    CopiesObjects,
    ListsObjects,
    ObjectInfo,
    ReadableStaged,
    Sink,
    Staged,
    Storage,
    StoredObject,
)

Call: TypeAlias = Literal[
    "open", "write", "stage", "open staged", "commit", "discard", "read", "stat", "delete", "list", "copy"
]


class Hang:
    """A fault: the call is held until `let_go`, but not longer than `seconds`. Then it is made; with `fails` it fails.

    `reached` is set when the call is held. Good for one storage.
    """

    def __init__(self, seconds: float = 10, *, fails: bool = False) -> None:
        self.seconds = seconds
        self.fails = fails
        self.reached: threading.Event = threading.Event()
        self._let_go = threading.Event()

    def let_go(self) -> None:
        """The call may go on, also one that is still to come."""
        self._let_go.set()

    def _hold(self) -> None:
        self.reached.set()
        self._let_go.wait(self.seconds)


class Corruption(Enum):
    """A fault that says nothing: a write or read goes well and its bytes are wrong. Where there are none, none are."""

    SHORT = "the second half of the bytes is lost"
    FLIPPED = "one bit in the middle is turned over"

    def _of(self, data: Buffer) -> bytes:
        corrupted = bytearray(data)
        middle = len(corrupted) // 2
        if self is Corruption.SHORT:
            del corrupted[middle:]
        else:
            corrupted[middle] ^= 1
        return bytes(corrupted)


Fault: TypeAlias = BaseException | Hang | Corruption

# Those of `AcceptsDirectUploads` are not among them: its objects would never fail.
_ABILITIES = (
    *("reads_staged", "exclusive_commit", "in_staging", "sweep", "path", "sign_url", "public_url"),
    *("list", "copies_from", "copy"),  # which are also methods below
)


class FailingStorage:
    """Lets `after` calls of a kind through, fails the next, and lets all others through.

    `FailingStorage(inner, after=0, on="commit")` fails the first commit of any of its objects; `on="any"` counts all
    calls as one kind. Without a `fault` the call raises `StorageFailed`, which is `retryable` or not; an exception is
    raised as it is. A call that raises does not reach `inner`, and a sink whose write or stage has raised can only be
    discarded. What `inner` can do, this can, but to take uploads from clients; with a `Hang` it may block. `failed`
    tells whether it has happened.

    Raises `ValueError` for a `Corruption` of calls that carry no bytes.
    """

    def __init__(
        self,
        inner: Storage,
        *,
        after: int,
        on: Call | Literal["any"],
        fault: Fault | None = None,
        retryable: bool = False,
    ) -> None:
        if isinstance(fault, Corruption) and on not in ("write", "read"):
            raise ValueError(f"a write or a read has bytes that go wrong, and {on!r} has none")
        self.inner = inner
        self.name: str = inner.name
        self.may_block: bool = inner.may_block or isinstance(fault, Hang)
        self.failed: bool = False
        self._after = after
        self._on = on
        self._fault = fault
        self._retryable = retryable
        self._calls = count()
        for ability in _ABILITIES:  # as attributes of its own: a runtime-checkable protocol looks for nothing else
            if hasattr(inner, ability):
                setattr(self, ability, getattr(self, f"_{ability}", getattr(inner, ability)))

    def open(self, key: str, info: ObjectInfo) -> Sink:
        self._meet("open", key)
        return _FailingSink(self, key, self.inner.open(key, info))

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        corruption = self._meet("read", key)
        blocks = self.inner.read(key, start, end)
        if corruption is None:
            return blocks
        return chain([self._corrupted(next(blocks, b""), corruption)], blocks)

    def stat(self, key: str) -> StoredObject:
        self._meet("stat", key)
        return self.inner.stat(key)

    def delete(self, key: str) -> None:
        self._meet("delete", key)
        self.inner.delete(key)

    def _list(self, prefix: str = "") -> Iterator[StoredObject]:
        self._meet("list", prefix)
        return cast(ListsObjects, self.inner).list(prefix)

    def _copies_from(self, source: Storage) -> bool:
        return cast(CopiesObjects, self.inner).copies_from(self.inner if source is self else source)

    def _copy(self, key: str, new_key: str, *, source: Storage | None = None) -> StoredObject:
        self._meet("copy", new_key)
        return cast(CopiesObjects, self.inner).copy(key, new_key, source=None if source is self else source)

    def _meet(self, call: Call, key: str) -> Corruption | None:
        """Where this is the call that fails, it raises, or is held, or is told what happens to its bytes."""
        if self._on not in (call, "any") or next(self._calls) != self._after:
            return None
        fault = self._fault
        if isinstance(fault, Corruption):
            return fault
        self.failed = True
        if isinstance(fault, Hang):
            fault._hold()
            if not fault.fails:
                return None
        elif fault is not None:
            raise fault
        text = f"the storage was told to fail at {'call' if self._on == 'any' else call} {self._after + 1}"
        raise StorageFailed(text, storage=self.name, key=key, retryable=self._retryable)

    def _corrupted(self, data: Buffer, corruption: Corruption) -> bytes:
        if not data:
            return b""
        self.failed = True
        return corruption._of(data)


class _FailingSink:
    def __init__(self, storage: FailingStorage, key: str, inner: Sink) -> None:
        self._storage = storage
        self._key = key
        self._inner = inner
        self._failed: BaseException | None = None

    def write(self, data: Buffer) -> None:
        corruption = self._meet_once("write")
        self._inner.write(data if corruption is None else self._storage._corrupted(data, corruption))

    def stage(self) -> Staged:
        self._meet_once("stage")
        return _FailingStaged(self._storage, self._key, self._inner.stage())

    def discard(self) -> None:
        self._storage._meet("discard", self._key)
        self._inner.discard()

    def _meet_once(self, call: Call) -> Corruption | None:
        if self._failed is not None:
            raise self._failed
        try:
            return self._storage._meet(call, self._key)
        except BaseException as error:
            self._failed = error
            raise


class _FailingStaged:
    def __init__(self, storage: FailingStorage, key: str, inner: Staged) -> None:
        self._storage = storage
        self._key = key
        self._inner = inner

    def open(self) -> BinaryIO:
        self._storage._meet("open staged", self._key)
        return cast(ReadableStaged, self._inner).open()

    def commit(self) -> StoredObject:
        self._storage._meet("commit", self._key)
        return self._inner.commit()

    def discard(self) -> None:
        self._storage._meet("discard", self._key)
        self._inner.discard()
