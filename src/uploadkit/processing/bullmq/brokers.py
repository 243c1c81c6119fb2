"""The servers that keep the jobs, from one process: Redis or Valkey, and PostgreSQL. All of it is called in the loop.

What a queue asks, and what a worker needs to connect, goes through here; what is done with a job is `crew`'s affair.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import bullmq
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ...errors import QueueFailed
from ..queue import Counts, DeadJob, Job, Progress
from ..valkey import ValkeyServer
from .jobs import STATES, counts_of, data_of, job_of, options_of

T = TypeVar("T")

_POSTGRES_LOOKS = 0.5  # seconds
_CONNECTIONS = 8  # of one process, for all but its work


class Broker:
    """The server, from one process. All of it is called in the loop."""

    errors: tuple[type[Exception], ...] = ()  # beside OSError: that a connection was lost, or not made

    def __init__(self, prefix: str, timeout_seconds: float) -> None:
        self._prefix = prefix
        self._timeout = timeout_seconds
        self._queues: dict[str, Any] = {}

    def options(self) -> dict[str, Any]:
        """Of a queue of bullmq."""
        raise NotImplementedError

    def worker_options(self) -> dict[str, Any]:
        """Of a worker of bullmq, which has connections of its own."""
        raise NotImplementedError

    async def ask(self, call: Callable[[Broker], Awaitable[T]]) -> T:
        """Once more where a connection had been lost meanwhile: nothing that is asked is doubled by that."""
        try:
            return await call(self)
        except self.errors:
            return await call(self)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """What the server, or the way to it, does wrong is a `QueueFailed`."""
        failures: tuple[type[Exception], ...] = (OSError, RedisError, *self.errors)  # a TimeoutError is an OSError
        try:
            yield
        except failures as error:
            raise QueueFailed(retryable=True) from error

    async def prepare(self, worker: Any) -> None:
        """Before a worker runs."""
        await worker.backend.waitUntilReady()

    async def mend(self) -> None:
        """What a worker does while it runs, so that the server stays."""

    async def add(self, jobs: Sequence[Job]) -> None:
        if len(jobs) == 1:
            (job,) = jobs
            await self.queue(job.queue).add(job.processor, data_of(job), options_of(job))
            return
        for queue in dict.fromkeys(job.queue for job in jobs):
            bulk = [
                {"name": job.processor, "data": data_of(job), "opts": options_of(job)}
                for job in jobs
                if job.queue == queue
            ]
            await self.queue(queue).addBulk(bulk)

    async def cancel(self, job: Job) -> bool:
        found = await self.find(job)
        if found is None:
            return False
        if await self.queue(job.queue).remove(found.id, {"removeChildren": False}):
            return True
        with suppress(TypeError):  # it has ended meanwhile
            await found.updateData({**found.data, "cancelled": True})
            return True
        return False

    async def is_cancelled(self, found: Any) -> bool:
        """Whether the job was taken back while it is being done."""
        stored = await found.backend.getJobData(found.id)
        return stored is not None and bool(json.loads(stored["data"]).get("cancelled"))

    async def progress(self, job: Job) -> Progress | None:
        found = await self.find(job)
        if found is None:
            return None
        return Progress(**found.progress) if isinstance(found.progress, dict) else Progress(percent=0)

    async def counts(self, queues: Sequence[str]) -> Mapping[str, Counts]:
        return {queue: counts_of(await self.queue(queue).getJobCounts(*STATES)) for queue in queues}

    async def dead(self, queue: str, limit: int) -> Sequence[DeadJob]:
        return [
            DeadJob(job=job, reason=found.failedReason, attempts=found.attemptsMade, key=found.id)
            for found in await self.failed(queue, limit)
            if (job := job_of(found)) is not None
        ]

    async def server_time(self) -> datetime:
        raise NotImplementedError

    async def redrive(self, dead: DeadJob) -> None:
        await self.add([replace(dead.job, delay_seconds=0)])
        await self.queue(dead.job.queue).remove(dead.key, {"removeChildren": False})

    async def hand_back(self, found: Any, token: str, seconds: float) -> None:
        """Lets go of a job that this process does, to be begun anywhere then. It was no attempt."""
        await found.moveToDelayed(round((time.time() + seconds) * 1000), token)

    async def find(self, job: Job) -> Any:
        """bullmq's job, where it waits or is being done. None where it does not."""
        key = await self.key_of(job)
        return None if key is None else await self.queue(job.queue).getJob(key)

    async def key_of(self, job: Job) -> str | None:
        raise NotImplementedError

    async def failed(self, queue: str, limit: int) -> Sequence[Any]:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    def queue(self, name: str) -> Any:
        """bullmq's."""
        if name not in self._queues:
            options: Any = self.options()
            self._queues[name] = bullmq.Queue(name, options)
        return self._queues[name]


class RedisBroker(Broker):
    """`url` is not used where `server` is our own."""

    errors: tuple[type[Exception], ...] = (RedisConnectionError, RedisTimeoutError)

    def __init__(self, url: str, prefix: str, timeout_seconds: float, server: ValkeyServer | None) -> None:
        super().__init__(prefix, timeout_seconds)
        self._url = url
        self._server = server
        self._client: Any = None

    def options(self) -> dict[str, Any]:
        if self._client is None:
            pool = redis.asyncio.BlockingConnectionPool.from_url(
                self._address(),
                max_connections=_CONNECTIONS,
                timeout=self._timeout,
                socket_timeout=self._timeout,
                **self._connecting(retries=2),
            )
            self._client = redis.asyncio.Redis(connection_pool=pool)
        return {"connection": self._client, "prefix": self._prefix}

    def worker_options(self) -> dict[str, Any]:
        # An answer may take the ten seconds for which bullmq waits for a job.
        connecting = self._connecting(retries=5)
        client = redis.asyncio.Redis.from_url(self._address(), socket_timeout=15, **connecting)
        return {"connection": client, "prefix": self._prefix}

    async def ask(self, call: Callable[[Broker], Awaitable[T]]) -> T:
        if self._server is None:
            return await call(self)  # the client has tried again by itself
        if self._client is None:
            await self._server.ensure()
        try:
            return await call(self)
        except self.errors:
            await self._server.ensure()
            return await call(self)

    async def prepare(self, worker: Any) -> None:
        # Without the server's version bullmq waits whole seconds, and so too long for a job with a delay.
        await worker.blockingRedisConnection.getRedisVersion()

    async def mend(self) -> None:
        if self._server is not None and not self._server.runs():
            await self._server.ensure()

    async def server_time(self) -> datetime:
        self.options()
        seconds, microseconds = await self._client.time()
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)

    async def key_of(self, job: Job) -> str | None:
        found: str | None = await self.queue(job.queue).getDeduplicationJobId(job.id)
        return found

    async def failed(self, queue: str, limit: int) -> Sequence[Any]:
        found: list[Any] = await self.queue(queue).getFailed(0, limit - 1) if limit > 0 else []
        return found

    async def close(self) -> None:
        if self._client is not None:
            await self._client.connection_pool.disconnect()
        if self._server is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._server.end)

    def _address(self) -> str:
        return self._url if self._server is None else self._server.url()

    def _connecting(self, *, retries: int) -> dict[str, Any]:
        return {
            "decode_responses": True,
            "socket_connect_timeout": min(2.0, self._timeout),
            "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), retries),
            "retry_on_error": [RedisConnectionError, RedisTimeoutError],
        }


class PostgresBroker(Broker):
    """The schema has the prefix's name; bullmq makes it, and the tables in it."""

    def __init__(self, url: str, prefix: str, timeout_seconds: float) -> None:
        super().__init__(prefix, timeout_seconds)
        try:
            import psycopg
            from psycopg.conninfo import make_conninfo
        except ModuleNotFoundError as missing:
            text = "a queue over PostgreSQL needs psycopg: pip install 'pyuploadkit[postgres]'"
            raise ModuleNotFoundError(text, name=missing.name) from missing
        self.errors: tuple[type[Exception], ...] = (psycopg.OperationalError, psycopg.InterfaceError)
        self._address = make_conninfo(url, connect_timeout=max(2, round(timeout_seconds / 2)))

    def options(self) -> dict[str, Any]:
        return {"backend": "postgres", "connection": self._address, "schema": self._prefix}

    def worker_options(self) -> dict[str, Any]:
        # An idle worker of bullmq does not hear of a job that waits for its time: it looks, and by default hourly.
        return self.options() | {"drainDelay": _POSTGRES_LOOKS}

    async def hand_back(self, found: Any, token: str, seconds: float) -> None:
        if seconds:
            await super().hand_back(found, token, seconds)
        else:  # an idle worker hears of that
            backend = found.queue.backend
            await backend._run("move_active_to_wait", [found.queue.name, found.id, token, round(time.time() * 1000)])

    async def server_time(self) -> datetime:
        backend = self.queue("bulk").backend
        await backend.waitUntilReady()
        found = await backend.connection.run("SELECT clock_timestamp()", [])
        moment: datetime = found.rows[0][0]
        return moment.astimezone(UTC)

    async def key_of(self, job: Job) -> str | None:
        # Its `getDeduplicationJobId` takes a row of a tuple for a mapping.
        backend = self.queue(job.queue).backend
        found = await backend._run("get_deduplication_job_id", [job.queue, job.id, round(time.time() * 1000)])
        return None if not found.rows else str(found.rows[0][0])

    async def failed(self, queue: str, limit: int) -> Sequence[Any]:
        keys = await self.queue(queue).backend.getRanges(["failed"], 0, limit - 1, False) if limit > 0 else []
        found = [await self.queue(queue).getJob(key) for key in keys]
        return [job for job in found if job is not None]

    async def close(self) -> None:
        for queue in self._queues.values():
            await queue.close()
