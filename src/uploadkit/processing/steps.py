"""One step of one upload, so that its effect happens once: claimed in the ledger, made, and finished there.

Whoever makes it may die, be slow, or be overtaken. What a step makes is announced in the ledger before it exists, and
who claims the step next removes what the one before has left; who finds at the end that the claim is somebody else's
removes its own. Nothing is ever removed under the place where the upload itself lies by then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

from ..errors import LedgerFailed, RecordMissing, SenderError, UploadChanged
from ..events.facts import Fact
from ..records.ledger import Claim, Ledger
from ..records.record import UploadRecord
from ..storage.contract import Storage
from ..storage.threads import Work, in_own_thread, in_thread
from ..uploads import UploadedFile
from .processor import JobContext, Made, Processor, Quarantined
from .queue import Failed, Later
from .rules import Rule

LEASE_SECONDS = 15.0
"""A claim lasts so long unless it is renewed: what a process had begun that died in a request goes on after that."""

RENEW_SECONDS = 5.0

LATER_SECONDS = 5.0
"""Somebody else is at it: so much later is looked whether it is done."""

_log = logging.getLogger("uploadkit.processing")


class Elsewhere(Later):
    """Somebody else is at this step."""


Apart: TypeAlias = Callable[[Rule, Claim, JobContext], Awaitable[None]]
"""Has a step made in another process, which fills the context."""

Verdict: TypeAlias = SenderError | Quarantined
"""What a processor raises that ends the upload, and no attempt only."""


class Steps:
    """Makes steps. `storages` are those that the pipeline knows, `target` is where what is made goes (None: beside the
    upload), and `file_of` gives the upload's file where it lies now."""

    def __init__(
        self,
        ledger: Ledger,
        storages: Mapping[str, Storage],
        target: Storage | None,
        file_of: Callable[[UploadRecord], UploadedFile],
    ) -> None:
        self._ledger = ledger
        self._storages = storages
        self._target = target
        self._file_of = file_of
        self.apart: Apart | None = None  # where users' functions are made, under a worker

    async def make(
        self,
        rule: Rule,
        record: UploadRecord,
        *,
        attempt: int,
        steal: bool,
        tell: Callable[[int, str | None], None],
        is_cancelled: Callable[[], bool],
        end: Callable[[Verdict], Awaitable[None]],
    ) -> None:
        """Returns when it was done, by this call or another. With `steal` whoever has claimed it has died.

        A verdict is for `end`, which writes it into the upload's record, and is raised then: what was announced goes
        with the rest of the upload. Raises `Elsewhere` where somebody else is at it, `UploadChanged` where the upload
        is gone or the claim was lost, whatever the processor raises then, and else what the processor raises: nothing
        is left of what it had made.
        """
        name, digest = rule.processor.name, rule.processor.digest
        claim = await self._claim(record.id, name, digest, steal=steal)
        if claim is None:
            if not await self._is_done(record.id, name, digest):
                raise Elsewhere(LATER_SECONDS)
            await self._remove_stale(rule, record.id, attempt=attempt)  # whoever has made it may have failed there
            return
        async with self._held(claim) as is_lost:
            try:
                record = await self._ledger.aget(record.id)
                await self._remove(record.id, objects_of(claim.left))
                job = self.context(
                    record, claim, attempt=attempt, tell=tell, is_cancelled=lambda: is_cancelled() or is_lost.is_set()
                )
            except BaseException:
                await self._ledger.agive_back(claim)  # else the next attempt would wait for its end
                raise
            try:
                await self._call(rule, claim, job)
            except (SenderError, Quarantined) as verdict:
                await self._judge(claim, job, verdict, end)
                raise
            except BaseException as error:
                await self._undo(claim, job, error)
                raise
            await self._finish(claim, job)
        await self._remove_stale(rule, record.id, attempt=attempt)

    @asynccontextmanager
    async def given_up(self, upload: str, processor: str, digest: str) -> AsyncIterator[bool]:
        """Nobody makes the step while the block runs: whether it is still to be made. Raises `Elsewhere` where somebody
        is at it, and `RecordMissing`."""
        claim = await self._claim(upload, processor, digest, steal=False)
        if claim is None:
            if not await self._is_done(upload, processor, digest):
                raise Elsewhere(LATER_SECONDS)
            yield False
            return
        try:
            yield True
        finally:
            await (self._ledger.adrop(claim) if claim.attempts == 1 else self._ledger.agive_back(claim))

    def context(
        self,
        record: UploadRecord,
        claim: Claim,
        *,
        attempt: int,
        tell: Callable[[int, str | None], None],
        is_cancelled: Callable[[], bool],
    ) -> JobContext:
        """What a processor has while it works under this claim, in whatever process."""
        file = self._file_of(record)

        def intend(objects: Sequence[Made]) -> None:
            self._ledger.intend(claim, told_of({}, objects))

        def change(record: UploadRecord, storage: Storage, key: str) -> UploadRecord:
            return self._ledger.change(record, claim=claim, storage=storage.name, key=key)

        return JobContext(
            record=record,
            file=file,
            attempt=attempt,
            is_first=claim.attempts == 1,
            storage=file.storage if self._target is None else self._target,
            intend=intend,
            change=change,
            tell=tell,
            is_cancelled=is_cancelled,
        )

    async def _claim(self, upload: str, processor: str, digest: str, *, steal: bool) -> Claim | None:
        """Cancelled, it leaves none, which the next attempt would have to wait for."""
        work = Work(self._ledger.claim, upload, processor, digest, seconds=LEASE_SECONDS, steal=steal)
        claim, cancelled = await work.finish()
        if cancelled is not None:
            if claim is not None:
                await self._ledger.agive_back(claim)
            raise cancelled
        return claim

    async def _call(self, rule: Rule, claim: Claim, job: JobContext) -> None:
        if rule.is_apart and self.apart is not None:
            await self.apart(rule, claim, job)
            return
        # A thread is not ended from outside: it is waited for, and then the attempt has failed all the same.
        async with asyncio.timeout(rule.seconds):
            await in_own_thread(_process, rule.processor, job)

    async def _judge(
        self, claim: Claim, job: JobContext, verdict: Verdict, end: Callable[[Verdict], Awaitable[None]]
    ) -> None:
        """A verdict counts under the claim, or not at all. What was announced goes when the upload's record says so,
        its bytes too: until then nobody else begins."""
        try:
            await self._ledger.aextend(claim, seconds=LEASE_SECONDS)
            if isinstance(verdict, Quarantined) and verdict.moved is None:
                await in_thread(job.intend, (job.file.storage, job.file.key), shared=True)
            await end(verdict)
        except BaseException as error:
            await self._undo(claim, job, error)
            raise
        with suppress(LedgerFailed):  # it goes later
            await self._ledger.agive_back(claim)

    async def _finish(self, claim: Claim, job: JobContext) -> None:
        """What was shared goes before: with the end of the claim nobody would know of it any more."""
        told, facts = told_of(job.results, job.objects), list[Fact](job.facts)
        try:
            if job.shared:
                await self._ledger.aextend(claim, seconds=LEASE_SECONDS)  # else they are another's
                await self._remove(claim.upload, job.shared)
            _, cancelled = await Work(self._ledger.finish, claim, told, facts=facts).finish()
        except BaseException as error:
            # Nobody knows then whether it is finished, also where a cancellation came in the same moment: where it is
            # not, the next one removes what it made.
            if not isinstance(error, LedgerFailed) and not isinstance(error.__cause__, LedgerFailed):
                await self._undo(claim, job, error)
                raise
            with suppress(LedgerFailed):
                await self._ledger.agive_back(claim)
            raise
        if cancelled is not None:
            raise cancelled

    async def _undo(self, claim: Claim, job: JobContext, error: BaseException) -> None:
        """An attempt came to nothing, by this error. What is shared is left to whoever has taken the claim over: then
        the error is nobody's concern, and this raises `UploadChanged`. What cannot be removed now was announced, and is
        removed by the next one."""
        try:
            await self._remove(claim.upload, job.objects)
            try:
                await self._ledger.aextend(claim, seconds=LEASE_SECONDS)
            except UploadChanged as lost:
                if isinstance(error, Exception):  # and no cancellation
                    raise lost from error
                return
            await self._remove(claim.upload, job.shared)
            await self._let_go(claim)
        except UploadChanged:
            raise
        except Exception:
            _log.warning("what was made of upload %s in vain stays for now", claim.upload, exc_info=True)
            with suppress(LedgerFailed):
                await self._ledger.agive_back(claim)  # else the next attempt would wait for its end

    async def _let_go(self, claim: Claim) -> None:
        """Nothing is left of it. Where others have claimed it before, whoever comes next is to know: one of them may
        still be at it, only slow."""
        if claim.attempts > 1:
            with suppress(UploadChanged):  # it is gone: nobody comes next
                await self._ledger.aintend(claim, told_of({}, ()))
                await self._ledger.agive_back(claim)
                return
        await self._ledger.adrop(claim)

    async def _remove(self, upload: str, objects: Iterable[Made | tuple[str, str]]) -> None:
        """Not where the upload itself lies: a step may have been about to move it there, or away from there."""
        objects = list(objects)
        if not objects:
            return
        lies = None
        with suppress(RecordMissing):
            record = await self._ledger.aget(upload)
            lies = (record.storage, record.key)
        for storage, key in objects:
            place = self._storages[storage] if isinstance(storage, str) else storage
            if (place.name, key) != lies:
                await in_thread(place.delete, key)

    async def _remove_stale(self, rule: Rule, upload: str, *, attempt: int) -> None:
        """What the same processor had made under another digest. What cannot be removed is another attempt's, and in
        the end holds nothing up: it goes with the upload."""
        try:
            for result in await self._ledger.aresults(upload):
                if result.processor == rule.processor.name and result.digest != rule.processor.digest:
                    await self._remove(upload, objects_of(result.told))
                    await self._ledger.aundo(result)
        except Exception:
            if attempt < rule.attempts:
                raise
            _log.warning("what was made of upload %s by other rules stays", upload, exc_info=True)

    async def _is_done(self, upload: str, processor: str, digest: str) -> bool:
        results = await self._ledger.aresults(upload)
        return any((result.processor, result.digest) == (processor, digest) for result in results)

    @asynccontextmanager
    async def _held(self, claim: Claim) -> AsyncIterator[asyncio.Event]:
        """Renews the claim meanwhile. The event is set when it is lost."""
        is_lost = asyncio.Event()
        renewing = asyncio.create_task(self._renew(claim, is_lost))
        try:
            yield is_lost
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)  # raises where it is this that is cancelled

    async def _renew(self, claim: Claim, is_lost: asyncio.Event) -> None:
        while not is_lost.is_set():
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._ledger.aextend(claim, seconds=LEASE_SECONDS)
            except UploadChanged:
                is_lost.set()
            except LedgerFailed:
                _log.warning("a claim on upload %s could not be renewed", claim.upload, exc_info=True)


def _process(processor: Processor, job: JobContext) -> None:
    """Whatever a processor raises is a failed attempt: `SystemExit` would end the event loop that waits for it."""
    try:
        processor.process(job)
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as error:
        raise Failed(f"{type(error).__name__}: {error}") from error


def told_of(results: Mapping[str, Any], objects: Iterable[Made]) -> dict[str, Any]:
    """What the ledger keeps of a step that was made."""
    return {"results": dict(results), "objects": [[storage.name, key] for storage, key in objects]}


def objects_of(told: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The objects that belong to a step, by the names of their storages."""
    return [(storage, key) for storage, key in (told or {}).get("objects", ())]
