"""A storage that tells of every call before it is made, and lets it take its time in a worker thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from uploadkit.storage.contract import Buffer, ObjectInfo, ReadableStaged, Sink, Staged, Storage, StoredObject
from uploadkit.storage.memory import MemoryStorage


class CalledStorage:
    """Calls `called` with the name of each call, in the thread that makes it, and goes on when that returns."""

    reads_staged = True
    exclusive_commit = True

    def __init__(self, called: Callable[[str], None], inner: Storage | None = None, *, may_block: bool = True) -> None:
        self.inner = MemoryStorage() if inner is None else inner
        self.name = self.inner.name
        self.may_block = may_block
        self.called = called

    def open(self, key: str, info: ObjectInfo) -> Sink:
        """As that of the storage inside, like all that follow."""
        self.called("open")
        return _CalledSink(self, self.inner.open(key, info))

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Reading is told like the rest."""
        self.called("read")
        return self.inner.read(key, start, end)

    def stat(self, key: str) -> StoredObject:
        """And looking."""
        self.called("stat")
        return self.inner.stat(key)

    def delete(self, key: str) -> None:
        """And deleting."""
        self.called("delete")
        self.inner.delete(key)


class _CalledSink:
    def __init__(self, storage: CalledStorage, inner: Sink) -> None:
        self._storage = storage
        self._inner = inner

    def write(self, data: Buffer) -> None:
        self._storage.called("write")
        self._inner.write(data)

    def stage(self) -> Staged:
        self._storage.called("stage")
        return _CalledStaged(self._storage, self._inner.stage())

    def discard(self) -> None:
        self._storage.called("discard")
        self._inner.discard()


class _CalledStaged:
    def __init__(self, storage: CalledStorage, inner: Staged) -> None:
        self._storage = storage
        self._inner = inner

    def open(self) -> BinaryIO:
        self._storage.called("open staged")
        return cast(ReadableStaged, self._inner).open()

    def commit(self) -> StoredObject:
        self._storage.called("commit")
        return self._inner.commit()

    def discard(self) -> None:
        self._storage.called("discard")
        self._inner.discard()


class Hold:
    """Holds one call, the one of this number of its kind, until it is let go. Give it to a `CalledStorage`."""

    def __init__(self, call: str, number: int = 1) -> None:
        self._call = call
        self._left = number
        self._let_go = threading.Event()
        self._loop = asyncio.get_running_loop()
        self.reached = asyncio.Event()

    def __call__(self, call: str) -> None:
        """Waits, where it is the one."""
        if call != self._call:
            return
        self._left -= 1
        if self._left == 0:
            self._loop.call_soon_threadsafe(self.reached.set)
            assert self._let_go.wait(10), "nobody let go: the event loop is blocked"

    def let_go(self) -> None:
        """The call may return now."""
        self._let_go.set()


class TakingTicks:
    """Makes every call last for some turns of the event loop; `running` is how many are under way."""

    TURNS = 3

    def __init__(self) -> None:
        self.running = 0
        self.calls: list[str] = []
        self._loop = asyncio.get_running_loop()

    def __call__(self, call: str) -> None:
        """Returns some turns of the loop later. A loop that is closed raises: nobody waits for the call."""
        self.running += 1
        self.calls.append(call)
        passed = threading.Event()
        self._loop.call_soon_threadsafe(self._turn, self.TURNS, passed)
        assert passed.wait(10), "the event loop is blocked"
        self.running -= 1

    def _turn(self, left: int, passed: threading.Event) -> None:
        if left:
            self._loop.call_soon(self._turn, left - 1, passed)
        else:
            passed.set()


async def turns(number: int = 10) -> None:
    """Lets the event loop turn some times."""
    for _ in range(number):
        await asyncio.sleep(0)
