"""How many uploads a process receives at once, and how much memory they hold: one line for both drivers.

An upload takes a `Place` before the first byte of its body is read, so whoever waits for one holds nothing but its
connection, and below WSGI its server's thread. Places are given in the order they were asked for; where the line is
full too, or the wait too long, the upload is `Overloaded`. A thread and an event loop wait in the same line.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
from collections import deque
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from typing import Any

from ..errors import Overloaded
from ..policy.limits import parse_size

BUFFER_SIZE = 1 << 20
"""The bytes of one buffer. A hop to a thread costs as much as copying 100 KiB: a tenth of that is little enough."""

_TEXT_BLOCK = 1 << 16
"""Text values are counted in blocks of so many bytes: a form of a few small ones is not counted at all."""


class Capacity:
    """What one process lends to uploads that are being received. One may be shared by many `Uploader`s.

    `uploads` are received at once, and `waiting` more wait in line, each at most `wait_seconds`; whoever finds the
    line full or has waited so long is answered 503 with Retry-After. `memory` (bytes, or a text such as "256 MiB")
    bounds what they hold together: buffers on the way to a storage, and text values. An upload that finds no memory
    for a buffer goes on with smaller writes; a text value that finds none is `Overloaded`. `None` in place of a
    number is "no limit". Not counted are the first 64 KiB of each file, and what servers and a `MemoryStorage` hold.
    """

    def __init__(
        self,
        *,
        uploads: int | None = 2000,  # clients that drip are let go after 10 s: a thousand of them leave room for others
        memory: int | str | None = 256 << 20,  # 128 uploads at full speed; more of them share what is left
        waiting: int | None = 2000,
        wait_seconds: float = 10.0,  # a browser's user has given up soon after
    ) -> None:
        for name, count in (("uploads", uploads), ("waiting", waiting)):
            if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
                raise TypeError(f"{name} is an int or None, not {count!r}")
        if uploads is not None and uploads < 1:
            raise ValueError(f"uploads is at least 1, not {uploads}")
        if waiting is not None and waiting < 0:
            raise ValueError(f"waiting is not negative: {waiting}")
        if not 0 <= wait_seconds < math.inf:
            raise ValueError(f"wait_seconds is finite and not negative: {wait_seconds}")
        self._arguments = (uploads, memory, waiting, wait_seconds)
        self._uploads = math.inf if uploads is None else uploads
        self._memory = math.inf if memory is None else parse_size(memory)
        self._waiting = math.inf if waiting is None else waiting
        self._wait_seconds = wait_seconds
        self._retry_after = max(1, math.ceil(wait_seconds))
        self._lines: dict[int, _Line] = {}  # by process: a fork's copy of a line is of uploads that are not its own

    def __reduce__(self) -> str | tuple[Any, ...]:
        """For `copy` and `pickle`: another one of the same size, with nobody in it; the shared one is itself."""
        return "DEFAULT_CAPACITY" if self is DEFAULT_CAPACITY else (_capacity, self._arguments)

    @property
    def in_flight(self) -> int:
        """How many uploads are being received now."""
        return self._line().in_flight

    @property
    def held(self) -> int:
        """How many bytes they hold."""
        return self._line().held

    def admit(self) -> Place:
        """A place for one upload. Waits in this thread; raises `Overloaded`."""
        line = self._line()
        waiter = self._ask(line)
        if waiter is not None:
            try:
                wait([waiter], self._wait_seconds)
            except BaseException:
                line.abandon(waiter)
                raise
            self._expect_place(line, waiter)
        return Place(self, line)

    async def aadmit(self) -> Place:
        """The async twin of `admit`. Cancelled, it has taken no place."""
        line = self._line()
        waiter = self._ask(line)
        if waiter is not None:
            try:
                await asyncio.wait([asyncio.wrap_future(waiter)], timeout=self._wait_seconds)
            except BaseException:
                line.abandon(waiter)
                raise
            self._expect_place(line, waiter)
        return Place(self, line)

    def close(self, seconds: float) -> bool:
        """Waits for what is under way, at most `seconds`, and refuses meanwhile what comes. Whether all has ended.

        For a process that is about to end. Not for a signal handler: what it waits for may be beneath it.
        """
        line = self._line()
        ended = line.close()
        try:
            return not wait([ended], seconds).not_done
        finally:
            line.reopen(ended)

    async def aclose(self, seconds: float) -> bool:
        """The async twin of `close`."""
        line = self._line()
        ended = line.close()
        try:
            _, left = await asyncio.wait([asyncio.wrap_future(ended)], timeout=seconds)
            return not left
        finally:
            line.reopen(ended)

    def _line(self) -> _Line:
        process = os.getpid()
        line = self._lines.get(process)
        return line if line is not None else self._lines.setdefault(process, _Line())

    def _ask(self, line: _Line) -> Future[bool] | None:
        """None where there is a place at once, else what to wait for."""
        if line.enter(self._uploads):
            return None
        waiter: Future[bool] = Future()  # made outside: whatever the collector gives back meanwhile is seen below
        with line.lock:
            if line.enter(self._uploads):
                return None
            if line.closing:
                raise Overloaded("the service is about to end; try again later", retry_after=self._retry_after)
            if len(line.waiters) >= self._waiting:
                raise self._overloaded()
            line.waiters.append(waiter)
            return waiter

    def _expect_place(self, line: _Line, waiter: Future[bool]) -> None:
        if not line.leave(waiter):
            raise self._overloaded()

    def _overloaded(self) -> Overloaded:
        return Overloaded(retry_after=self._retry_after)


def _capacity(uploads: int | None, memory: int | str | None, waiting: int | None, wait_seconds: float) -> Capacity:
    return Capacity(uploads=uploads, memory=memory, waiting=waiting, wait_seconds=wait_seconds)


DEFAULT_CAPACITY = Capacity()
"""What all uploaders of a process share that were given no capacity of their own."""


class Place:
    """One upload's share of a capacity, from its first byte to its last. Used by one thread at a time."""

    __slots__ = ("_capacity", "_held", "_line", "_texts")

    def __init__(self, capacity: Capacity, line: _Line) -> None:
        self._capacity = capacity
        self._line = line
        self._held = 0
        self._texts = 0

    def buffer(self) -> memoryview | None:
        """A buffer of `BUFFER_SIZE` bytes, the place's own until it is released; None where no memory is left."""
        if not self._hold(BUFFER_SIZE):
            return None
        if not self._line.has_freed:
            # glibc maps and unmaps the server's large chunks, each of them page by page, until it has seen one as large
            # freed: three quarters of what the first large upload costs, which else frees none before its end.
            self._line.has_freed = True
            bytearray(BUFFER_SIZE)
        return memoryview(bytearray(BUFFER_SIZE))

    def hold_text(self, size: int) -> None:
        """Counts the next bytes of text values, which are held until the end. Raises `Overloaded`."""
        before, self._texts = self._texts, self._texts + size
        blocks = self._texts // _TEXT_BLOCK - before // _TEXT_BLOCK
        if blocks and not self._hold(blocks * _TEXT_BLOCK):
            raise self._capacity._overloaded()

    def release(self) -> None:
        """Gives everything back. No buffer of it is in use any more."""
        with self._line.lock:
            self._line.held -= self._held
        self._line.release()

    def _hold(self, size: int) -> bool:
        with self._line.lock:
            if self._line.held + size > self._capacity._memory:
                return False
            self._line.held += size
        self._held += size
        return True


class _Line:
    """The uploads of one process: those that have a place, and those that wait."""

    def __init__(self) -> None:
        # Re-entrant, since the collector may come by inside and close an upload that nobody awaits any more.
        self.lock: AbstractContextManager[object] = threading.RLock()
        self.in_flight: int = 0
        self.held: int = 0
        self.has_freed: bool = False  # a buffer
        self.waiters: deque[Future[bool]] = deque()
        self.closing: list[Future[None]] = []  # who waits until nothing is in flight

    def enter(self, uploads: float) -> bool:
        """Takes a place, where there is one and nobody waits for it."""
        with self.lock:
            if self.closing or self.waiters or self.in_flight >= uploads:
                return False
            self.in_flight += 1
            return True

    def leave(self, waiter: Future[bool]) -> bool:
        """The wait is over: whether the waiter was given a place."""
        with self.lock:
            if waiter.done():
                return waiter.result()
            self.waiters.remove(waiter)
            return False

    def abandon(self, waiter: Future[bool]) -> None:
        """Nobody waits any more, and a place that was given is free."""
        if self.leave(waiter):
            self.release()

    def release(self) -> None:
        """A place is free: it goes to who waits longest."""
        with self.lock:
            if self.waiters:
                self.waiters.popleft().set_result(True)
                return
            self.in_flight -= 1
            if self.in_flight == 0:
                for ended in self.closing:
                    ended.set_result(None)

    def close(self) -> Future[None]:
        """Refuses who comes and who waits, until it is reopened. Done when nothing is in flight."""
        ended: Future[None] = Future()
        with self.lock:
            self.closing.append(ended)
            while self.waiters:
                self.waiters.popleft().set_result(False)
            if self.in_flight == 0:
                ended.set_result(None)
        return ended

    def reopen(self, ended: Future[None]) -> None:
        with self.lock:
            self.closing.remove(ended)
