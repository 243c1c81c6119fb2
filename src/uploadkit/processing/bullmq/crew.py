"""The workers of one process: they fetch jobs, have attempts made of them, and say to bullmq what becomes of each.

They run in the library's loop, the handler in its own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import bullmq
from bullmq.custom_errors import DelayedError, UnrecoverableError
from redis.exceptions import RedisError

from ...storage.event_loop import there
from ..attempt import Attempt, Ended, How
from ..queue import Job, Progress
from .brokers import Broker
from .jobs import job_of

LOCK_SECONDS = 6
"""A worker holds a job so long, and renews that all the time. bullmq's own 30 made a killed worker's job wait 75 s."""

STALL_SECONDS = 5
"""So often is looked for jobs that nobody holds any more: a killed worker's job is begun again after 5 to 11 s."""

CANCEL_SECONDS = 1.0
"""So often a worker looks whether a job that it does was taken back."""

END_SECONDS = 5.0
"""So long a handler that was cancelled may take to end before its job is begun elsewhere all the same."""

_ENDLESS = 2**31 - 1  # how often a job may stall: we count ourselves, and tell of it

_log = logging.getLogger("uploadkit.processing")


class Crew:
    """bullmq's workers, one for each queue. All of it is called in the loop; `run` has an attempt made elsewhere."""

    def __init__(
        self, broker: Broker, concurrency: Mapping[str, int], run: Callable[[Attempt], Awaitable[Ended]]
    ) -> None:
        self._broker = broker
        self._concurrency = concurrency
        self._run = run
        self._workers: list[_Worker] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._mending: asyncio.Task[None] | None = None
        self._attempts: set[Attempt] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._patience: asyncio.Timeout | None = None  # while it waits for attempts to end
        self._is_ending = False
        self._is_over = False

    async def begin(self) -> None:
        """May be called again where it raised."""
        await asyncio.gather(*map(self._close, self._workers))
        self._workers.clear()
        for queue, many in self._concurrency.items():
            worker = _Worker(queue, self._process, self._broker.worker_options() | _worker_options(many))
            worker.on("error", _complain)
            self._workers.append(worker)
            await self._broker.prepare(worker)
        self._tasks = [asyncio.create_task(worker.run()) for worker in self._workers]
        self._mending = asyncio.create_task(self._mend())

    async def failed(self) -> None:
        """Raises when a worker has ended by itself."""
        if self._tasks:
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            with self._broker.failing():
                for task in done:
                    task.result()
            raise RuntimeError("a worker of bullmq has ended by itself")
        await asyncio.Event().wait()  # none to wait for

    async def end(self, grace_seconds: float) -> None:
        """No other job is begun; what is not done in time goes back."""
        self._is_ending = True
        for worker in self._workers:
            worker.rest()
        await self._idle_within(grace_seconds)
        for attempt in self._attempts:
            attempt.cancel(How.BACK)
        await self._idle_within(END_SECONDS)
        self._is_over = True
        if self._mending is not None:
            self._mending.cancel()
        await asyncio.gather(*map(self._close, self._workers))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close(self, worker: _Worker) -> None:
        worker.leave()
        try:
            async with asyncio.timeout(END_SECONDS):
                await worker.close()
        except TimeoutError:  # the server does not answer: what was being done is found there when its lock has run out
            for task in self._tasks:
                task.cancel()

    async def hurry(self) -> None:
        """While it ends: what is not done now goes back."""
        for attempt in self._attempts:
            attempt.cancel(How.BACK)
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time() + END_SECONDS)

    async def _idle_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds) as self._patience:
                try:
                    await self._idle.wait()
                finally:
                    self._patience = None

    async def _mend(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            try:
                await self._broker.mend()
            except OSError as error:
                _complain(error)

    async def _process(self, found: Any, token: str) -> None:
        """What bullmq calls for each job. What it raises says what becomes of the job."""
        if self._is_ending:
            await self._broker.hand_back(found, token, 0)
            raise DelayedError
        job = job_of(found)
        if job is None:
            raise UnrecoverableError("it is no job of uploadkit, or of another version of it")
        attempt = Attempt(
            job,
            key=found.id,
            attempt=found.attemptsMade + 1,
            deaths=found.stalledCounter,
            tell=lambda progress: there(_tell(found, progress)),
            waited_seconds=_waited_seconds(found, job),
        )
        if found.data.get("cancelled"):
            attempt.cancel(How.CANCELLED)
        self._attempts.add(attempt)
        self._idle.clear()
        try:
            ended = await self._made(attempt, found)
            if ended.how is How.BACK:
                await self._broker.hand_back(found, token, ended.seconds)
        finally:
            self._attempts.discard(attempt)
            if not self._attempts:
                self._idle.set()
        match ended.how:
            case How.AGAIN:
                raise _Failed(ended.reason, ended.seconds)
            case How.DEAD:
                raise UnrecoverableError(ended.reason)
            case How.BACK:
                raise DelayedError  # bullmq has to do nothing with it
            case How.CANCELLED:
                found.opts["removeOnComplete"] = True

    async def _made(self, attempt: Attempt, found: Any) -> Ended:
        making = asyncio.ensure_future(self._run(attempt))
        while not making.done():
            await asyncio.wait({making}, timeout=CANCEL_SECONDS)
            if self._is_over and not making.done():
                _log.error("job %s does not end though it was cancelled: it is begun elsewhere", attempt.job.id)
                return Ended(how=How.BACK)
            if not making.done() and not attempt.is_cancelled:
                with suppress(OSError, RedisError, *self._broker.errors):
                    if await self._broker.is_cancelled(found):
                        attempt.cancel(How.CANCELLED)
        if making.cancelled():  # the loop in which it was made has been closed
            return Ended(how=How.BACK)
        return making.result()


class _Worker(bullmq.Worker):
    """One that can rest: bullmq's own, told to close, lets go of the locks while its last jobs are still being done."""

    def __init__(self, name: str, process: Callable[..., Any], options: Any) -> None:
        self._is_resting = False
        self._leaving = asyncio.Event()
        super().__init__(name, process, options)

    @property
    def maximumBlockTimeout(self) -> float:
        return float(self.opts["drainDelay"])

    def rest(self) -> None:
        """Fetches no other job, and goes on with those it has."""
        self._is_resting = True
        if self.waiting:
            self.waiting.cancel()

    def leave(self) -> None:
        """Before it is closed."""
        self._leaving.set()

    async def getNextJob(self, token: str) -> Any:
        try:
            if not self._is_resting:
                return await super().getNextJob(token)
        except asyncio.CancelledError:
            if not self._is_resting:
                raise
        await self._leaving.wait()
        return None


class _Failed(Exception):
    """An attempt, to bullmq. Another one follows after so many seconds."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


def _worker_options(concurrency: int) -> dict[str, Any]:
    return {
        "autorun": False,
        "concurrency": concurrency,
        "lockDuration": LOCK_SECONDS * 1000,
        "stalledInterval": STALL_SECONDS * 1000,
        "maxStalledCount": _ENDLESS,
        "runRetryDelay": 500,  # milliseconds, when the server does not answer
        "settings": {"backoffStrategy": _backoff},
    }


def _backoff(attempts: int, kind: str, error: Exception, found: Any) -> int:
    """Milliseconds; at least one, since none means at once, before what waits already. A second where it was not the
    handler that failed, but the word of what it had done."""
    return max(1, round(error.seconds * 1000)) if isinstance(error, _Failed) else 1000


def _waited_seconds(found: Any, job: Job) -> float | None:
    """`timestamp` is when it was added, in milliseconds; this start of it is counted already."""
    if found.attemptsStarted != 1 or not found.timestamp:
        return None
    added: float = found.timestamp / 1000
    return max(0.0, time.time() - added - job.delay_seconds)


async def _tell(found: Any, progress: Progress) -> None:
    await found.updateProgress({"percent": progress.percent, "note": progress.note})


def _complain(error: BaseException, *_: object) -> None:
    """bullmq hands over what it feels like beside the error."""
    _log.warning("the queue of jobs: %s: %s", type(error).__name__, error)
