"""What processes tell each other: `tell_others` tells the facts of one, `Watch` hears those of all, and wakes who waits
for an upload. Facts only say when to look. Where Redis is gone nothing fails: who waits looks by himself, and later.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import Final

from ..errors import DeliveryFailed, Overloaded
from ..events.facts import Fact
from ..events.redis import RedisEvents
from ..processing.pipeline import Pipeline
from .callers import Caller
from .problems import Refused

__all__ = ["Waiter", "Watch", "tell_others"]

LOOK_SECONDS: Final = 5.0
"""So often who waits looks although nothing was heard: pub/sub loses what is told while a connection is lost."""

ALONE_SECONDS: Final = 1.0
"""The same while nothing is heard from other processes."""

TELL_SECONDS: Final = 1.0
"""So long Redis may take to be told of a fact: a job waits for it."""

AGAIN_SECONDS: Final = 5.0
"""So long it is not asked again after it has failed."""

RETRY_SECONDS: Final = 5

_log = logging.getLogger("uploadkit")


def tell_others(pipeline: Pipeline, redis_url: str) -> None:
    """Has the facts of a pipeline told to the other processes. Connects to nothing yet."""
    pipeline.on()(_Telling(RedisEvents(_as_redis(redis_url), timeout_seconds=TELL_SECONDS)))


class Waiter:
    """Waits for something to look at."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._is_over = False

    async def wait(self, seconds: float) -> bool:
        """Returns when it is woken, or after so many seconds: whether there can be more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()
        return not self._is_over

    def wake(self) -> None:
        """There may be something to look at."""
        self._woken.set()

    def end(self) -> None:
        """There is nothing more to look at, or nobody who would."""
        self._is_over = True
        self._woken.set()


class Watch:
    """Of one process. At most `streams` wait at a time, and `streams_at_once` of one caller."""

    def __init__(self, pipeline: Pipeline, *, redis_url: str | None, streams: int, streams_at_once: int) -> None:
        self._pipeline = pipeline
        self._redis = None if redis_url is None else RedisEvents(_as_redis(redis_url))
        self._streams = streams
        self._streams_at_once = streams_at_once
        self._waiters: dict[str, set[Waiter]] = {}
        self._of_callers: Counter[str] = Counter()
        self._hears_others: asyncio.Event | None = None
        self._is_over = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listens meanwhile. The service begins whether Redis is there or not."""
        loop = asyncio.get_running_loop()

        async def hear(fact: Fact) -> None:  # in the loop of whoever tells it
            with suppress(RuntimeError):  # this one is closed
                loop.call_soon_threadsafe(self._wake, fact.upload)

        self._is_over = False
        self._pipeline.on()(hear)
        try:
            async with AsyncExitStack() as stack:
                if self._redis is not None:
                    listening = self._redis.alisten(hear, is_needed=False)
                    self._hears_others = await stack.enter_async_context(listening)
                stack.enter_context(_before_stopping(lambda: loop.call_soon_threadsafe(self.end)))
                yield
        finally:
            self._hears_others = None
            self._pipeline.events.off(hear)
            self.end()

    def end(self) -> None:
        """Nobody waits any longer. For the loop in which this runs."""
        self._is_over = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.end()

    @property
    def look_seconds(self) -> float:
        """How long nothing may be heard before who waits looks by itself."""
        hears = self._hears_others is not None and self._hears_others.is_set()
        return LOOK_SECONDS if hears else ALONE_SECONDS

    @contextmanager
    def waiting(self, caller: Caller, upload: str) -> Iterator[Waiter]:
        """Is woken when something has happened to the upload. Raises `Overloaded`, and `Refused` (429) where the caller
        waits for too many."""
        name = caller.counted_as
        if self._is_over or self._of_callers.total() >= self._streams:
            raise Overloaded("too many streams of events are open; try again later", retry_after=RETRY_SECONDS)
        if self._of_callers[name] >= self._streams_at_once:
            text = f"{self._streams_at_once} streams of events are open, and no more may be at a time"
            raise Refused(429, "too_many_streams", text, headers={"Retry-After": str(RETRY_SECONDS)})
        waiter = Waiter()
        self._of_callers[name] += 1
        self._waiters.setdefault(upload, set()).add(waiter)
        try:
            yield waiter
        finally:
            self._of_callers[name] -= 1
            self._of_callers += Counter()  # which forgets who waits for nothing
            waiters = self._waiters[upload]
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[upload]

    def _wake(self, upload: str) -> None:
        for waiter in self._waiters.get(upload, ()):
            waiter.wake()


class _Telling:
    """A subscriber that never fails, and does not hold up a job for a Redis that does not answer."""

    def __init__(self, redis: RedisEvents) -> None:
        self._redis = redis
        self._is_told = True
        self._again_at = 0.0

    def __call__(self, fact: Fact) -> None:
        if time.monotonic() < self._again_at:
            return
        try:
            self._redis.publish(fact)
        except DeliveryFailed as error:
            self._again_at = time.monotonic() + AGAIN_SECONDS
            if self._is_told:
                _log.warning("other processes are not told of what happens here, and see it a little later: %s", error)
            self._is_told = False
        else:
            if not self._is_told:
                _log.info("other processes are told again of what happens here")
            self._is_told = True


def _as_redis(url: str) -> str:
    """As redis-py has it: queues take `valkey://` as well."""
    return f"redis{url.removeprefix('valkey')}" if url.startswith(("valkey://", "valkeys://")) else url


@contextmanager
def _before_stopping(call: Callable[[], object]) -> Iterator[None]:
    """Calls it at the signals by which a server is stopped, before the server hears of them. It tells its applications
    only when their last answer is out, and a stream is an answer that does not end by itself."""
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():  # no other may
            for number in (signal.SIGTERM, signal.SIGINT):
                stack.enter_context(_before_handler(number, call))
        yield


@contextmanager
def _before_handler(number: signal.Signals, call: Callable[[], object]) -> Iterator[None]:
    before = signal.getsignal(number)
    if not callable(before):  # no server waits for it
        yield
        return

    def handler(signum: int, frame: FrameType | None) -> None:
        with suppress(RuntimeError):  # the loop is closed
            call()
        before(signum, frame)

    signal.signal(number, handler)
    try:
        yield
    finally:
        if signal.getsignal(number) is handler:
            signal.signal(number, before)
