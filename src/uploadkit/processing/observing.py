"""What is told of each attempt at a job, to whoever counts and measures them: `metrics` does. No I/O."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from .queue import GivenUp, Handler, Later, Running

__all__ = ["Attempted", "Observer", "Outcome", "observed"]

Outcome: TypeAlias = Literal["done", "again", "dead", "put_off", "cancelled", "refused", "quarantined"]
"""How an attempt ended. "again": it failed, and another one follows; "dead": it was the last that failed; "put_off": it
was not the time, and no attempt; "cancelled": the job was taken back, or handed back by a worker that ends; "refused"
and "quarantined": the upload was, and the job is done by that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """One attempt at a job. `seconds` is how long it took, `waited_seconds` as in `Running`, `attempt` from 1; `size`
    is that of the upload in bytes, None where nobody knows."""

    queue: str
    processor: str
    seconds: float
    waited_seconds: float | None
    attempt: int
    outcome: Outcome
    size: int | None = None


@runtime_checkable
class Observer(Protocol):
    """Is told of every attempt when it has ended, in any thread or event loop. It neither blocks nor raises."""

    def observe(self, attempted: Attempted) -> None: ...


def observed(handler: Handler, observer: Observer) -> Handler:
    """A handler that does the same, and has each attempt told: for queues that are used without a pipeline."""

    async def handle(running: Running) -> None:
        with observing([observer], running):
            await handler(running)

    return handle


@dataclass
class Ending:
    """How an attempt has ended, which whoever makes it may say better."""

    outcome: Outcome = "done"


@contextmanager
def observing(observers: Sequence[Observer], running: Running, *, size: int | None = None) -> Iterator[Ending]:
    """Around an attempt, which is told to all observers when it has ended."""
    began, ending = time.monotonic(), Ending()
    try:
        yield ending
    except BaseException as error:
        ending.outcome = _outcome(error, running)
        raise
    finally:
        attempted = Attempted(
            queue=running.job.queue,
            processor=running.job.processor,
            seconds=time.monotonic() - began,
            waited_seconds=running.waited_seconds,
            attempt=running.attempt,
            outcome=ending.outcome,
            size=size,
        )
        for observer in observers:
            observer.observe(attempted)


def _outcome(error: BaseException, running: Running) -> Outcome:
    """As the queue will have it."""
    if running.is_cancelled:
        return "cancelled"
    if isinstance(error, Later):
        return "put_off"
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        return "cancelled"
    if isinstance(error, GivenUp) or running.attempt >= running.job.attempts:
        return "dead"
    return "again"
