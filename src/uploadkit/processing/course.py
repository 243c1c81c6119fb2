"""The way of an upload through its steps: what comes next is asked of the ledger each time, so that nothing is lost
where a process dies in between, and nothing is doubled where it is asked twice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from ..errors import LedgerFailed, QueueFailed, RecordMissing, SenderError, UploadChanged, clean, text_of
from ..events.bus import Events
from ..events.facts import FileFailed, FileProcessed, FileProgressed, FileRejected, FileScanned
from ..records.ledger import Ledger
from ..records.lifecycle import GONE, State
from ..records.record import Concerning, UploadRecord, concerning
from ..storage.threads import in_thread
from .observing import Observer, Outcome, observing
from .processor import Quarantined
from .queue import DeadJob, Later, Queue, Running
from .rules import Rule, Rules
from .steps import LATER_SECONDS, Steps, Verdict

ALIVE = frozenset({State.STAGED, State.PROCESSING})

ENDED = GONE | {State.QUARANTINED}
"""States in which nothing stays of what was made of an upload."""

_log = logging.getLogger("uploadkit.processing")


class Course:
    """Brings uploads from step to step, over one queue. `remove` deletes the bytes of an upload and all that was made
    of it, as far as its state allows."""

    def __init__(
        self,
        ledger: Ledger,
        rules: Rules,
        steps: Steps,
        events: Events,
        remove: Callable[[UploadRecord], None],
    ) -> None:
        self._ledger = ledger
        self._rules = rules
        self._steps = steps
        self._events = events
        self._remove = remove
        self.observers: list[Observer] = []

    async def advance(self, upload: str, queue: Queue) -> None:
        """Has the next step of an upload made, or takes it to its end. May be called at any time, and any number of
        times. Raises `QueueFailed`, `LedgerFailed`."""
        try:
            record = await self._ledger.aget(upload)
            if record.state is State.STAGED:
                record = await self._ledger.amove(upload, State.PROCESSING, since={State.STAGED})
        except RecordMissing:
            return
        except UploadChanged:  # somebody else is faster
            record = await self._ledger.aget(upload)
        if record.state is not State.PROCESSING:
            return
        results = await self._ledger.aresults(upload)
        if undone := self._rules.undone(record, results):
            await queue.aadd(undone[0].job(record, is_begun=bool(results)))
            return
        told = {result.processor: result.told["results"] for result in results}
        fact = FileProcessed(**concerning(record), results=told)
        with suppress(UploadChanged, RecordMissing):
            await self._ledger.amove(upload, State.COMPLETED, since={State.PROCESSING}, facts=[fact])

    async def handle(self, running: Running, queue: Queue) -> None:
        """Does a job, and has the next one added."""
        job = running.job
        try:
            record = await self._ledger.aget(job.upload)
        except RecordMissing:
            return
        if record.state not in ALIVE:
            return
        rule = self._rules.step(record, job.processor, job.digest)
        if rule is not None:
            with observing(self.observers, running, size=record.size) as ending:
                ending.outcome = await self._made(rule, record, running)
            if ending.outcome != "done":
                return
        try:
            await self.advance(job.upload, queue)
        except (QueueFailed, LedgerFailed) as error:  # of the next step, and no failure of this one
            if not error.retryable:
                raise
            _log.warning("upload %s does not go on yet: %s", job.upload, error)
            raise Later(LATER_SECONDS) from error

    async def dead(self, dead: DeadJob) -> None:
        """A step was given up: so is the upload, unless the step is done by now. Raises `Elsewhere` where somebody else
        is at it."""
        job = dead.job
        with suppress(UploadChanged, RecordMissing):
            async with self._steps.given_up(job.upload, job.processor, job.digest) as is_undone:
                if not is_undone:
                    _log.warning("job %s has failed, and what it was to do is done", job.id)
                    return
                record = await self._ledger.aget(job.upload)
                fact = FileFailed(
                    **concerning(record), processor=job.processor, reason=dead.reason, attempts=dead.attempts
                )
                reason = f"{job.processor}: {dead.reason}"
                await self._ledger.amove(record.id, State.FAILED, since=ALIVE, reason=reason, facts=[fact])

    async def _made(self, rule: Rule, record: UploadRecord, running: Running) -> Outcome:
        """The upload goes on where it is "done". Raises what is a failed attempt."""
        of = concerning(record)
        try:
            await self._steps.make(
                rule,
                record,
                attempt=running.attempt,
                steal=running.deaths > 0,
                tell=self._teller(rule, of, running),
                is_cancelled=lambda: running.is_cancelled,
                end=partial(self._end, of),
            )
        except UploadChanged as error:
            if error.state is not None and await self._is_alive(record.id):
                raise  # it means something else
            return "cancelled"  # it is gone, or somebody else makes the step
        except (SenderError, Quarantined) as verdict:
            with suppress(RecordMissing):
                record = await self._ledger.aget(record.id)
                if record.state in ENDED:
                    await in_thread(self._remove, record)
            return "quarantined" if isinstance(verdict, Quarantined) else "refused"
        return "done"

    async def _is_alive(self, upload: str) -> bool:
        try:
            return (await self._ledger.aget(upload)).state in ALIVE
        except RecordMissing:
            return False

    async def _end(self, of: Concerning, verdict: Verdict) -> None:
        """Raises `UploadChanged` where the upload is not alive any more, and `RecordMissing`."""
        upload, reason = of["upload"], text_of(verdict)
        if isinstance(verdict, Quarantined):
            signature = None if verdict.signature is None else clean(verdict.signature)
            storage, key = verdict.moved or (None, None)
            await self._ledger.amove(
                upload,
                State.QUARANTINED,
                since=ALIVE,
                reason=reason,
                facts=[FileScanned(**of, outcome="infected", signature=signature)],
                storage=storage,
                key=key,
            )
        else:
            fact = FileRejected(**of, code=verdict.code, reason=reason)
            await self._ledger.amove(upload, State.REJECTED, since=ALIVE, reason=reason, facts=[fact])

    def _teller(self, rule: Rule, of: Concerning, running: Running) -> Callable[[int, str | None], None]:
        """Tells progress to the queue and to subscribers, from any thread; where it cannot be told, that is no
        failure of the step."""
        home = asyncio.get_running_loop()

        async def tell(percent: int, note: str | None) -> None:
            fact = FileProgressed(**of, processor=rule.processor.name, percent=percent, note=note)
            await _tried(running.progress(percent, note))
            await _tried(self._events.apublish(fact))

        return lambda percent, note: asyncio.run_coroutine_threadsafe(tell(percent, note), home).result()


async def _tried(telling: Awaitable[None]) -> None:
    try:
        await telling
    except Exception:
        _log.warning("the progress of a job could not be told", exc_info=True)
