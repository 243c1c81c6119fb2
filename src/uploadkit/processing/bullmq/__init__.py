"""The queue on BullMQ: over Redis or Valkey, over PostgreSQL, or over a Valkey server of one's own in a folder.

All of bullmq runs in the one event loop that the library has in a process (`storage.event_loop`): adding is the same
from blocking and from async code, and a handler that blocks its own loop does not let the locks of its jobs run out.
`brokers` asks the servers, `crew` is the workers of one process, `jobs` says how bullmq stores a job.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from ...storage import event_loop
from ...storage.event_loop import there
from ..attempt import Attempt, Ended
from ..queue import CONCURRENCY, Counts, DeadJob, Handler, Job, OnDead, Progress
from ..valkey import ValkeyServer

try:
    from .brokers import Broker, PostgresBroker, RedisBroker
    from .crew import Crew
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.processing.bullmq needs bullmq: pip install 'pyuploadkit[queue]'", name=_missing.name
    ) from _missing

__all__ = ["BullMQQueue"]

T = TypeVar("T")

_SCHEMES = {
    "valkey": "redis",
    "valkeys": "rediss",
    "postgres": "postgresql",
    "postgresql+psycopg": "postgresql",  # as a ledger has it
}
_BULK = 500  # jobs that are added in one transaction: a server answers in time


class BullMQQueue:
    """`url` is that of a Redis, Valkey or PostgreSQL server: `redis://`, `rediss://`, `valkey://`, `valkeys://`,
    `unix://`, `postgresql://`. Without one it is what `REDIS_URL` says and, without that, a Valkey server in the folder
    `data`, which the first process that needs it starts and others find. `prefix` keeps several applications apart on
    one server: it is what the names of keys begin with, or the schema in PostgreSQL. A call that gets no answer within
    `timeout_seconds` raises `QueueFailed`.

    To make one connects to nothing. Raises `ModuleNotFoundError` for a package that is missing, `ValueError` for a URL
    of another kind.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        prefix: str = "uploadkit",
        data: str | os.PathLike[str] = "./uploadkit-data",
        timeout_seconds: float = 5,
    ) -> None:
        self._url = _checked(url or os.environ.get("REDIS_URL") or None)
        self._prefix = prefix
        self._folder = Path(data, "queue").absolute()
        self._timeout = timeout_seconds
        self._brokers: dict[int, Broker] = {}  # by process: a fork's copy has connections of another's
        self._new_broker()

    def add(self, *jobs: Job) -> None:
        event_loop.wait_for(self._add(jobs))

    async def aadd(self, *jobs: Job) -> None:
        await there(self._add(jobs))

    async def cancel(self, job: Job) -> bool:
        return await there(self._ask(lambda broker: broker.cancel(job)))

    async def progress(self, job: Job) -> Progress | None:
        return await there(self._ask(lambda broker: broker.progress(job)))

    async def counts(self, queues: Sequence[str]) -> Mapping[str, Counts]:
        return await there(self._ask(lambda broker: broker.counts(queues)))

    async def dead(self, queue: str, *, limit: int = 100) -> Sequence[DeadJob]:
        return await there(self._ask(lambda broker: broker.dead(queue, limit)))

    async def redrive(self, dead: DeadJob) -> None:
        await there(self._ask(lambda broker: broker.redrive(dead)))

    def server_time(self) -> datetime:
        """What the clock of the server says. Raises `QueueFailed`."""
        return event_loop.wait_for(self._ask(lambda broker: broker.server_time()))

    async def work(
        self,
        handler: Handler,
        *,
        concurrency: Mapping[str, int] = CONCURRENCY,
        until: asyncio.Event,
        grace_seconds: float = 20,
        on_dead: OnDead | None = None,
    ) -> None:
        home = asyncio.get_running_loop()

        async def run(attempt: Attempt) -> Ended:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(attempt.run(handler, on_dead), home))

        crew = await there(self._crew(concurrency, run))
        try:
            await there(self._ask(lambda _: crew.begin()))
            await _first_of(until.wait(), there(crew.failed()))
        except asyncio.CancelledError:
            grace_seconds = 0
            raise
        finally:
            await event_loop.awaited(crew.end(grace_seconds), hurry=lambda: there(crew.hurry()))

    def close(self) -> None:
        broker = self._brokers.pop(os.getpid(), None)
        if broker is not None:
            event_loop.not_at_exit(self.close)
            event_loop.wait_for(broker.close())

    def _new_broker(self) -> Broker:
        if self._url is None:
            return RedisBroker("", self._prefix, self._timeout, ValkeyServer(self._folder))
        if _is_postgres(self._url):
            return PostgresBroker(self._url, self._prefix, self._timeout)
        return RedisBroker(self._url, self._prefix, self._timeout, None)

    def _broker(self) -> Broker:
        """Called in the loop alone."""
        broker = self._brokers.get(os.getpid())
        if broker is None:
            broker = self._brokers[os.getpid()] = self._new_broker()
            event_loop.at_exit(self.close)
        return broker

    async def _crew(self, concurrency: Mapping[str, int], run: Callable[[Attempt], Awaitable[Ended]]) -> Crew:
        return Crew(self._broker(), concurrency, run)

    async def _add(self, jobs: Sequence[Job]) -> None:
        for at in range(0, len(jobs), _BULK):
            some = jobs[at : at + _BULK]
            await self._ask(lambda broker, some=some: broker.add(some))  # type: ignore[misc]

    async def _ask(self, call: Callable[[Broker], Awaitable[T]]) -> T:
        """In the loop. Raises `QueueFailed`."""
        broker = self._broker()
        with broker.failing():
            async with asyncio.timeout(self._timeout):
                return await broker.ask(call)


def _checked(url: str | None) -> str | None:
    if url is None:
        return None
    scheme, mark, rest = url.partition("://")
    scheme = _SCHEMES.get(scheme, scheme)
    if not mark or scheme not in ("redis", "rediss", "unix", "postgresql"):
        raise ValueError("a queue takes a URL that begins with redis://, rediss://, unix:// or postgresql://")
    return f"{scheme}://{rest}"


def _is_postgres(url: str) -> bool:
    return url.startswith("postgresql://")


async def _first_of(one: Coroutine[Any, Any, object], other: asyncio.Future[None]) -> None:
    """Returns, or raises, when one of the two has ended; the other is cancelled."""
    futures: list[asyncio.Future[Any]] = [asyncio.ensure_future(one), other]
    try:
        done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in futures:
            future.cancel()  # of no effect where it has ended
    for future in done:
        future.result()
