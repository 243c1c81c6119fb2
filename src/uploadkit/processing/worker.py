"""A worker: does the jobs of a pipeline's queues, and says that it lives.

The functions of users run in child processes, where the application has a name; what uploadkit itself does runs here.
Beside the work it forwards what is to be told, since the process that had taken it may have died.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Final

from ..errors import QueueFailed, UploadError
from ..records.ledger import Claim, Ledger
from ..records.record import WorkerRecord
from ..storage.contract import Storage
from ..storage.threads import in_own_thread, in_thread
from .children import Children
from .pipeline import Pipeline
from .processor import JobContext
from .queue import CONCURRENCY, Queue
from .rules import Rule
from .steps import Apart

__all__ = ["work"]

BEAT_SECONDS: Final = 10.0
"""So often a worker says that it lives. Who has not for three times as long is taken for dead."""

FORWARD_SECONDS: Final = 1.0
"""So often is looked for what nobody has told yet."""

START_SECONDS: Final = 30.0
"""So long a queue may take to answer for the first time: its server may be starting as well."""

CALL_SECONDS: Final = 60.0
"""So long one of these may take."""

LAST_SECONDS: Final = 5.0
"""So long each of them may still take at the end: a thread in which a subscriber hangs does not end at all."""

_log = logging.getLogger("uploadkit.processing")


async def work(
    pipeline: Pipeline,
    *,
    app: str | None = None,
    queues: Sequence[str] | None = None,
    concurrency: Mapping[str, int] | None = None,
    until: asyncio.Event,
    grace_seconds: float = 20,
    heartbeat: str | os.PathLike[str] | None = None,
    log_level: str | None = None,
) -> None:
    """Does the jobs of these queues until `until` is set; then those that are not done after `grace_seconds` are handed
    back. Cancelled, it hands them back at once.

    `app` names the pipeline as "module:attribute", so that users' functions can run in child processes, with their
    limits of time and memory; without it they run in threads, which nothing ends. `queues` None are all. `concurrency`
    is how many jobs of each are done at a time, where that is not as in `CONCURRENCY`. The file `heartbeat` is touched
    every 10 seconds, for whoever looks whether the worker lives. `log_level` is for the logs of the child processes.

    Raises `ValueError` for a queue that nothing goes to, `TypeError` where the pipeline has no queue, `QueueFailed`
    where that does not answer at first, and `RuntimeError` where the ledger's tables are of another version.
    """
    shares = shares_of(pipeline, queues, concurrency)
    now = datetime.now(UTC)
    worker = WorkerRecord(
        id=token_hex(16), host=socket.gethostname(), pid=os.getpid(), queues=tuple(shares), began_at=now, seen_at=now
    )
    async with AsyncExitStack() as stack:
        children = None
        if app is not None:
            children = Children(app, processes=sum(shares.values()), log_level=log_level)
            await stack.enter_async_context(children)
        await stack.enter_async_context(_beating(pipeline.ledger, worker))
        await stack.enter_async_context(_again_and_again(FORWARD_SECONDS, pipeline.aforward, "to forward facts"))
        if heartbeat is not None:
            touch = Path(heartbeat).touch
            beat = _again_and_again(BEAT_SECONDS, lambda: in_thread(touch), "to touch the heartbeat's file")
            await stack.enter_async_context(beat)
        await _answering(pipeline.queue, list(shares), until)
        _log.info("worker %d begins with %s", worker.pid, ", ".join(f"{name}={n}" for name, n in shares.items()))
        apart = None if children is None else _in(children, pipeline.storages)
        working = asyncio.ensure_future(
            pipeline.work(concurrency=shares, until=until, grace_seconds=grace_seconds, apart=apart)
        )
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            if children is not None:
                children.hurry()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            raise
        finally:
            _log.info("worker %d ends", worker.pid)


def shares_of(
    pipeline: Pipeline, queues: Sequence[str] | None = None, concurrency: Mapping[str, int] | None = None
) -> dict[str, int]:
    """How many jobs of each queue are done at a time: one, of a queue of which nothing is said.

    Raises `ValueError` for a queue that nothing goes to, or is not among `queues`, and for a number below 1.
    """
    known = dict.fromkeys([*CONCURRENCY, *(rule.queue for rule in pipeline.rules if rule.queue is not None)])
    wanted = list(dict.fromkeys(known if queues is None else queues))
    for name in wanted:
        if name not in known:
            raise ValueError(f"nothing goes to a queue {name!r}: there are {', '.join(known)}")
    for name, number in (concurrency or {}).items():
        if name not in wanted:
            raise ValueError(
                f"concurrency is of the queues that are worked on, and {name!r} is not: {', '.join(wanted)}"
            )
        if number < 1:
            raise ValueError(f"of a queue at least one job is done at a time, and not {number} of {name!r}")
    if not wanted:
        raise ValueError("a worker has at least one queue")
    return {name: (concurrency or {}).get(name, CONCURRENCY.get(name, 1)) for name in wanted}


async def _answering(queue: Queue | None, queues: Sequence[str], until: asyncio.Event) -> None:
    """Returns when the queue answers, or `until` is set. Raises `QueueFailed` where it does not in time."""
    began = time.monotonic()
    while queue is not None and not until.is_set():
        try:
            await queue.counts(queues)
        except QueueFailed:
            if time.monotonic() - began >= START_SECONDS:
                raise
        else:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await until.wait()


def _in(children: Children, storages: Mapping[str, Storage]) -> Apart:
    async def apart(rule: Rule, claim: Claim, job: JobContext, /) -> None:
        def announce(objects: Sequence[tuple[str, str]], shared: Sequence[tuple[str, str]]) -> None:
            job.objects[:] = [(storages[storage], key) for storage, key in objects]
            job.shared[:] = [(storages[storage], key) for storage, key in shared]

        outcome = await children.call(
            claim,
            attempt=job.attempt,
            seconds=rule.seconds,
            memory=rule.memory,
            tell=lambda percent, note: in_own_thread(job.progress, percent, note),
            announce=announce,
            is_cancelled=lambda: job.is_cancelled,
        )
        announce(outcome.objects, outcome.shared)
        job.add(outcome.results)
        job.facts.extend(outcome.facts)

    return apart


@asynccontextmanager
async def _beating(ledger: Ledger, worker: WorkerRecord) -> AsyncIterator[None]:
    with suppress(UploadError, OSError):  # which may pass, and is told when it is tried again
        await ledger.abeat(worker)
    try:
        async with _again_and_again(BEAT_SECONDS, lambda: ledger.abeat(worker), "to tell the ledger that it lives"):
            yield
    finally:
        await _tried(lambda: ledger.aretire(worker.id), "to tell the ledger that it ends", is_known=False)


@asynccontextmanager
async def _again_and_again(seconds: float, call: Callable[[], Awaitable[object]], what: str) -> AsyncIterator[None]:
    """Calls it at once, and every so many seconds. What it raises is logged, once until it goes well again."""

    async def repeat() -> None:
        is_failing = False
        while True:
            is_failing = not await _tried(call, what, is_known=is_failing)
            await asyncio.sleep(seconds)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=LAST_SECONDS)


async def _tried(call: Callable[[], Awaitable[object]], what: str, *, is_known: bool) -> bool:
    try:
        async with asyncio.timeout(CALL_SECONDS):
            await call()
    except Exception as error:
        if not is_known:
            _log.warning("worker %d failed %s: %s: %s", os.getpid(), what, type(error).__name__, error)
        return False
    if is_known:
        _log.info("worker %d is able again %s", os.getpid(), what)
    return True
