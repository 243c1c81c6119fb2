"""A queue without a broker: a job is done at once, by whoever adds it. For tests, and for processing in the request.

It keeps the contract of a queue within one process, and nothing beyond it: what waits is lost with the process.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace

from ..storage.forking import in_child
from .attempt import Attempt, How
from .queue import CONCURRENCY, KEPT_COMPLETED, KEPT_FAILED, Counts, DeadJob, Handler, Job, OnDead, Progress

__all__ = ["InlineQueue"]


class InlineQueue:
    """With a handler, `add` returns when the job has ended, well or badly: it waits for the job's delay, and before
    each further attempt as long as the job's backoff says. Without one jobs wait for `work`. While that runs, whoever
    adds a job does it with the worker's handler; `concurrency` holds for the jobs that had waited.

    `sleep` takes seconds; a test may pass one that does not wait. In a running event loop `add` is a `RuntimeError`
    where it would do the job, and so block the loop: `aadd` does not.
    """

    def __init__(
        self,
        handler: Handler | None = None,
        *,
        on_dead: OnDead | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._hands = None if handler is None else _Hands(handler=handler, on_dead=on_dead)
        self._sleep = sleep
        self._lock = threading.Lock()  # of all that follows
        self._numbers = itertools.count(1)
        self._entries: dict[tuple[str, str], _Entry] = {}  # those that have not ended, by queue and id
        self._completed: Counter[str] = Counter()
        self._dead: dict[str, deque[DeadJob]] = {}
        in_child(self, InlineQueue._forget_parent)

    def add(self, *jobs: Job) -> None:
        if self._hands is None:
            self._take(jobs)
        else:
            _run(self.aadd(*jobs))

    async def aadd(self, *jobs: Job) -> None:
        for entry in self._take(jobs):
            if self._hands is not None and self._claim(entry):
                await self._do(entry, self._hands, slot=nullcontext())

    async def cancel(self, job: Job) -> bool:
        with self._lock:
            entry = self._entries.get((job.queue, job.id))
            if entry is None:
                return False
            if entry.attempt is None:
                entry.is_gone = True
                del self._entries[job.queue, job.id]
            else:
                entry.attempt.cancel(How.CANCELLED)
            return True

    async def progress(self, job: Job) -> Progress | None:
        with self._lock:
            entry = self._entries.get((job.queue, job.id))
            return None if entry is None else entry.progress or Progress(percent=0)

    def is_at(self, upload: str) -> bool:
        """Whether somebody does a job of this upload, or waits for its time."""
        with self._lock:
            return any(entry.is_claimed and entry.job.upload == upload for entry in self._entries.values())

    async def counts(self, queues: Sequence[str]) -> Mapping[str, Counts]:
        with self._lock:
            return {queue: self._counted(queue) for queue in queues}

    async def dead(self, queue: str, *, limit: int = 100) -> Sequence[DeadJob]:
        with self._lock:
            return list(self._dead.get(queue, ()))[::-1][:limit]

    async def redrive(self, dead: DeadJob) -> None:
        with self._lock, suppress(ValueError):
            self._dead.get(dead.job.queue, deque()).remove(dead)
        await self.aadd(replace(dead.job, delay_seconds=0))

    async def work(
        self,
        handler: Handler,
        *,
        concurrency: Mapping[str, int] = CONCURRENCY,
        until: asyncio.Event,
        grace_seconds: float = 20,
        on_dead: OnDead | None = None,
    ) -> None:
        before, self._hands = self._hands, _Hands(handler=handler, on_dead=on_dead, until=until)
        slots = {queue: asyncio.Semaphore(many) for queue, many in concurrency.items()}
        entries = [entry for entry in self._in_order() if entry.job.queue in slots and self._claim(entry)]
        tasks = [asyncio.create_task(self._do(entry, self._hands, slots[entry.job.queue])) for entry in entries]
        try:
            await until.wait()
            self._hands = before
            if began := [task for entry, task in zip(entries, tasks, strict=True) if entry.attempt is not None]:
                await asyncio.wait(began, timeout=grace_seconds)
        finally:
            self._hands = before
            for entry, task in zip(entries, tasks, strict=True):
                if entry.attempt is None:
                    task.cancel()
                else:
                    entry.attempt.cancel(How.BACK)
            await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Nothing is open."""

    def _take(self, jobs: Sequence[Job]) -> list[_Entry]:
        with self._lock:
            return [
                self._entries.setdefault((job.queue, job.id), _Entry(job=job, number=next(self._numbers)))
                for job in jobs
            ]

    def _in_order(self) -> list[_Entry]:
        with self._lock:
            return sorted(self._entries.values(), key=lambda entry: (entry.job.rank, entry.number))

    def _claim(self, entry: _Entry) -> bool:
        """Whether it is the caller who does it."""
        with self._lock:
            was_claimed, entry.is_claimed = entry.is_claimed, True
            return not was_claimed and not entry.is_gone

    async def _do(self, entry: _Entry, hands: _Hands, slot: AbstractAsyncContextManager[object]) -> None:
        """Attempt after attempt. Where the worker ends first, or the caller is cancelled, the job waits once more."""
        try:
            while True:
                if entry.wait:
                    await self._sleep(entry.wait)
                    entry.wait = 0
                async with slot:
                    if hands.is_over() or entry.is_gone or not await self._attempt(entry, hands):
                        return
        finally:
            entry.is_claimed = False

    async def _attempt(self, entry: _Entry, hands: _Hands) -> bool:
        """Whether another one is to follow."""

        async def tell(progress: Progress) -> None:
            entry.progress = progress

        number = entry.attempts + 1
        with self._lock:
            entry.attempt = attempt = Attempt(
                entry.job,
                key=str(entry.number),
                attempt=number,
                deaths=0,
                tell=tell,
                waited_seconds=entry.waited_seconds(),
            )
            entry.is_begun = True
        try:
            ended = await attempt.run(hands.handler, hands.on_dead)
        finally:
            with self._lock:
                entry.attempt = None
        match ended.how:
            case How.AGAIN:
                entry.attempts, entry.wait = number, ended.seconds
                return True
            case How.BACK:
                entry.wait = ended.seconds
                await asyncio.sleep(0)  # others go on, also where it is put off by nothing
                return ended.seconds > 0 or not attempt.is_cancelled
            case How.DONE:
                self._completed[entry.job.queue] += 1
            case How.DEAD:
                dead = DeadJob(job=entry.job, reason=ended.reason, attempts=number, key=str(entry.number))
                self._dead.setdefault(entry.job.queue, deque(maxlen=KEPT_FAILED)).append(dead)
            case How.CANCELLED:
                pass
        with self._lock:
            entry.is_gone = True
            self._entries.pop((entry.job.queue, entry.job.id), None)  # forgotten where the job itself has forked
        return False

    def _forget_parent(self) -> None:
        """In the child after a fork, where nobody releases the lock, or ends the jobs that the parent is at."""
        self._lock = threading.Lock()
        self._entries = {key: entry for key, entry in self._entries.items() if not entry.is_claimed}

    def _counted(self, queue: str) -> Counts:
        entries = [entry for entry in self._entries.values() if entry.job.queue == queue]
        active = sum(entry.attempt is not None for entry in entries)
        delayed = sum(entry.attempt is None and entry.wait > 0 for entry in entries)
        return Counts(
            waiting=len(entries) - active - delayed,
            delayed=delayed,
            active=active,
            completed=min(self._completed[queue], KEPT_COMPLETED),
            failed=len(self._dead.get(queue, ())),
        )


@dataclass(kw_only=True, frozen=True)
class _Hands:
    """Who does the jobs, and until when."""

    handler: Handler
    on_dead: OnDead | None
    until: asyncio.Event | None = None

    def is_over(self) -> bool:
        return self.until is not None and self.until.is_set()


@dataclass(kw_only=True, eq=False)
class _Entry:
    """A job that has not ended. `attempts` were made; `wait` is how many seconds it waits before the next one."""

    job: Job
    number: int
    attempts: int = 0
    wait: float = field(init=False)
    attempt: Attempt | None = None  # while it is being done
    progress: Progress | None = None
    is_claimed: bool = False
    is_begun: bool = False  # at least once
    is_gone: bool = False

    def __post_init__(self) -> None:
        self.wait = self.job.delay_seconds
        self._due = time.monotonic() + self.job.delay_seconds

    def waited_seconds(self) -> float | None:
        return None if self.is_begun else max(0.0, time.monotonic() - self._due)


def _run(coroutine: Coroutine[object, object, None]) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
    else:
        coroutine.close()
        raise RuntimeError("add() would block the event loop: await aadd() there")
