"""One attempt at a job, the same for every queue: it calls the handler and says how that ended. It knows no broker.

It runs in the event loop in which its handler is at home; `cancel` may come from any thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from ..errors import ServiceError, text_of
from .queue import MAX_DEATHS, DeadJob, Failed, GivenUp, Handler, Job, Later, OnDead, Progress

REASON_LENGTH = 500
"""A reason is for people who look at a list; the whole of it stands in the log."""

_log = logging.getLogger("uploadkit.processing")


class How(Enum):
    """What a queue is to do with the job next."""

    DONE = "done"
    AGAIN = "again"
    DEAD = "dead"
    CANCELLED = "cancelled"  # it was taken back: nothing of it stays
    BACK = "back"  # to be begun elsewhere; it was no attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an attempt ended. `seconds` is how long the job is to wait before the next one."""

    how: How
    reason: str = ""
    seconds: float = 0


class Attempt:
    """Is what the handler sees (`Running`). `key` is the queue's own name for the job."""

    def __init__(
        self,
        job: Job,
        *,
        key: str,
        attempt: int,
        deaths: int,
        tell: Callable[[Progress], Awaitable[None]],
        waited_seconds: float | None = None,
    ) -> None:
        self.job = job
        self.attempt = attempt
        self.deaths = deaths
        self.waited_seconds = waited_seconds
        self._key = key
        self._tell = tell
        self._asked: How | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[object] | None = None  # while the handler runs

    @property
    def is_cancelled(self) -> bool:
        return self._asked is not None

    async def progress(self, percent: int, note: str | None = None) -> None:
        if not 0 <= percent <= 100:
            raise ValueError(f"progress goes from 0 to 100, and is not {percent}")
        await self._tell(Progress(percent=percent, note=note))

    def cancel(self, how: How) -> None:
        """Has the handler cancelled, or not begun. `how` is CANCELLED or BACK; what was asked first stays."""
        if self._asked is None:
            self._asked = how
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._cancel_task)

    async def run(self, handler: Handler, on_dead: OnDead | None) -> Ended:
        """Raises nothing but the cancellation of the task it runs in, where that came from elsewhere."""
        began = time.monotonic()
        ended = await self._run(handler, on_dead)
        seconds = time.monotonic() - began
        _log.info(
            "attempt %d at job %s of %s: %s, %.2f s",
            self.attempt,
            self.job.id,
            self.job.queue,
            ended.how.value,
            seconds,
        )
        return ended

    async def _run(self, handler: Handler, on_dead: OnDead | None) -> Ended:
        self._loop = asyncio.get_running_loop()
        if self._asked is not None:
            return Ended(how=self._asked)
        if self.deaths > MAX_DEATHS:
            return await self._died(f"{self.deaths} workers have died in the middle of it", on_dead)
        try:
            await self._call(handler)
        except Later as later:
            return self._put_off(later.seconds)
        except GivenUp as error:
            return await self._failed(error, on_dead, again=False)
        except Exception as error:
            return await self._failed(error, on_dead, again=self.attempt < self.job.attempts)
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            return await self._failed(error, on_dead, again=self.attempt < self.job.attempts)  # of something within it
        return Ended(how=How.DONE)

    async def _call(self, handler: Handler) -> None:
        self._task = task = asyncio.current_task()
        try:
            await handler(self)
        finally:
            self._task = None
            if self._asked is not None and task is not None and task.cancelling():
                task.uncancel()  # it was the handler that was meant

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _put_off(self, seconds: float) -> Ended:
        return Ended(how=How.BACK, seconds=seconds) if self._asked is None else Ended(how=self._asked)

    async def _failed(self, error: BaseException, on_dead: OnDead | None, *, again: bool) -> Ended:
        if self._asked is not None:  # whatever a handler raises when it is cancelled
            return Ended(how=self._asked)
        _log.warning("attempt %d of %d at job %s failed", self.attempt, self.job.attempts, self.job.id, exc_info=error)
        name = "" if isinstance(error, Failed) else f"{type(error).__name__}: "
        reason = f"{name}{text_of(error)}"[:REASON_LENGTH]
        if not again:
            return await self._died(reason, on_dead)
        return Ended(how=How.AGAIN, reason=reason, seconds=self.job.backoff.wait(self.attempt))

    async def _died(self, reason: str, on_dead: OnDead | None) -> Ended:
        if on_dead is not None:
            dead = DeadJob(job=self.job, reason=reason, attempts=self.attempt, key=self._key)
            try:
                await on_dead(dead)
            except Later as later:
                return self._put_off(later.seconds)
            except (ServiceError, OSError):  # which may pass
                _log.exception("job %s failed for good, and nobody could be told: it is begun again", self.job.id)
                return Ended(how=How.BACK, seconds=self.job.backoff.wait(self.attempt))
            except Exception:
                _log.exception("job %s failed for good, and nobody can be told", self.job.id)
        return Ended(how=How.DEAD, reason=reason)
