"""How often somebody may ask, and how many of his requests may upload at a time.

Requests are counted in Redis, for all processes, where the service has one, and else in this process. A Redis that
cannot be reached ends nothing: meanwhile each process counts for itself.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from typing import Final, Protocol, TypeVar

from limits import RateLimitItem
from limits.aio.storage import RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError

from .problems import Refused
from .settings import Settings, rates_of

__all__ = ["Counted", "Turns"]

T = TypeVar("T")

PATIENCE_SECONDS: Final = 0.5
"""So long Redis may take to count. A request waits for that before anything else of it is done."""

AGAIN_SECONDS: Final = 5.0
"""So long one that could not be reached is left alone."""

MOST_NAMES: Final = 100_000
"""So many are counted in the memory of a process. One more takes the place of the one that is over first."""

_log = logging.getLogger("uploadkit.service")


class Counted(Protocol):
    """Whose turn it may be."""

    @property
    def counted_as(self) -> str: ...


class Turns:
    """Those of one process; requests are counted for all processes where there is a `redis_url`."""

    def __init__(self, settings: Settings, *, redis_url: str | None) -> None:
        """Connects to nothing yet."""
        self._rates = rates_of(settings.rate)
        self._failed_rates = rates_of(settings.failed_rate)
        self._most = settings.uploads_at_once
        self._counts = _Counts(redis_url)
        self._uploading: Counter[str] = Counter()

    async def count(self, caller: Counted) -> None:
        """Counts a request. Raises `Refused` (429) with Retry-After."""
        for rate in self._rates:
            if not await self._counts.hit(rate, caller.counted_as):
                raise await self._too_often(rate, caller.counted_as, "requests")

    async def may_fail(self, address: str) -> None:
        """Raises `Refused` (429) where too many requests of an address have named no caller that is known."""
        for rate in self._failed_rates:
            if not await self._counts.has_left(rate, _failed(address)):
                raise await self._too_often(rate, _failed(address), "failed")

    async def failed(self, address: str) -> None:
        """Counts one of those."""
        for rate in self._failed_rates:
            await self._counts.hit(rate, _failed(address))

    @asynccontextmanager
    async def uploading(self, caller: Counted) -> AsyncIterator[None]:
        """For as long as a request uploads. Raises `Refused` (429) at once where too many of the caller's do, in this
        process."""
        name = caller.counted_as
        if self._uploading[name] >= self._most:
            text = f"{self._most} of your requests are uploading at this moment, and no more may"
            raise Refused(429, "too_many_uploads", text, headers={"Retry-After": "1"})
        self._uploading[name] += 1
        try:
            yield
        finally:
            self._uploading[name] -= 1
            if not self._uploading[name]:
                del self._uploading[name]

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._counts.aclose()

    async def _too_often(self, rate: RateLimitItem, name: str, policy: str) -> Refused:
        """With the fields of draft-ietf-httpapi-ratelimit-headers, for clients that read them."""
        seconds = max(1, math.ceil(await self._counts.until(rate, name) - time.time()))
        headers = {
            "Retry-After": str(seconds),
            "RateLimit-Policy": f'"{policy}";q={rate.amount};w={rate.get_expiry()}',
            "RateLimit": f'"{policy}";r=0;t={seconds}',
        }
        return Refused(429, "rate_limited", f"there were more requests than {rate}", headers=headers)


class _Counts:
    """Of how often something was done under a name: in Redis, or in memory where there is none, or none just now."""

    def __init__(self, redis_url: str | None) -> None:
        self._own = FixedWindowRateLimiter(_Memory())
        self._redis = None if redis_url is None else _redis(redis_url)
        self._shared = None if self._redis is None else FixedWindowRateLimiter(self._redis)
        self._is_lost = False
        self._ask_at = 0.0

    async def hit(self, rate: RateLimitItem, name: str) -> bool:
        """Counts once more. Whether that was not too often."""
        return await self._counted(lambda counters: counters.hit(rate, name))

    async def has_left(self, rate: RateLimitItem, name: str) -> bool:
        """Whether it may be done once more."""
        return await self._counted(lambda counters: counters.test(rate, name))

    async def until(self, rate: RateLimitItem, name: str) -> float:
        """When it is counted anew, in seconds of `time.time`."""
        return (await self._counted(lambda counters: counters.get_window_stats(rate, name))).reset_time

    async def aclose(self) -> None:
        if self._redis is not None:
            await self._redis.bridge.get_connection().aclose()  # type: ignore[attr-defined]

    async def _counted(self, ask: Callable[[FixedWindowRateLimiter], Awaitable[T]]) -> T:
        if self._shared is not None and time.monotonic() >= self._ask_at:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    answer = await ask(self._shared)
                self._found()
                return answer
            except (StorageError, OSError) as error:  # TimeoutError is one of the latter
                self._lost(error)
        return await ask(self._own)

    def _found(self) -> None:
        if self._is_lost:
            self._is_lost = False
            _log.info("requests are counted in Redis again")

    def _lost(self, error: Exception) -> None:
        self._ask_at = time.monotonic() + AGAIN_SECONDS
        if not self._is_lost:
            self._is_lost = True
            _log.warning("Redis is gone, and requests are counted in each process: %s", type(error).__name__)


class _Memory(Storage):
    """Counts in this process. What is over goes when its time comes: the memory that comes with `limits` looks at all
    names for each request, of which whoever has many addresses can make as many as he likes."""

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, int] = {}
        self._ends: dict[str, float] = {}
        self._order: list[tuple[float, str]] = []

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        self._forget()
        if key not in self._counts:
            if len(self._counts) >= MOST_NAMES:
                self._forget_first()
            self._counts[key] = 0
            self._ends[key] = time.monotonic() + expiry
            heappush(self._order, (self._ends[key], key))
        self._counts[key] += amount
        return self._counts[key]

    async def get(self, key: str) -> int:
        self._forget()
        return self._counts.get(key, 0)

    async def get_expiry(self, key: str) -> float:
        now = time.monotonic()
        return time.time() + self._ends.get(key, now) - now

    async def check(self) -> bool:
        return True

    async def reset(self) -> int:
        told = len(self._counts)
        for held in (self._counts, self._ends, self._order):
            held.clear()
        return told

    async def clear(self, key: str) -> None:
        if key in self._counts:
            self._counts[key] = 0

    def _forget(self) -> None:
        now = time.monotonic()
        while self._order and self._order[0][0] <= now:
            self._forget_first()

    def _forget_first(self) -> None:
        _, key = heappop(self._order)
        del self._counts[key], self._ends[key]


def _redis(url: str) -> RedisStorage:
    """`url` is one of redis-py: redis://, rediss:// or unix://."""
    scheme = "async+redis+" if url.startswith("unix:") else "async+"
    bounds = {"socket_timeout": PATIENCE_SECONDS, "socket_connect_timeout": PATIENCE_SECONDS}
    return RedisStorage(
        scheme + url, implementation="redispy", wrap_exceptions=True, key_prefix="uploadkit:turns", **bounds
    )


def _failed(address: str) -> str:
    return f"failed {address}"
