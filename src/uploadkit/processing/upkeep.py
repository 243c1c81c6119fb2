"""What is done now and then, so that nothing stays which nobody will ever ask for: `sweep`.

Processes die in the middle of things, and storages do not always answer. What that leaves is found by the ledger, which
knows of every object before it exists. Whatever is removed here belongs to an upload that is over, by a compare-and-set
that came first, or to nobody: so a sweep runs beside live uploads, and beside other sweeps. Every part reads the ledger
in pages: memory does not grow with what is found.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, islice
from typing import Any, Final

from ..errors import LedgerFailed, QueueFailed, RecordMissing, UploadChanged, UploadError
from ..events.facts import Fact, FileDeleted
from ..records.lifecycle import GONE, State
from ..records.record import Leftover, UploadRecord, concerning
from ..records.resumable import Resumable
from ..storage import event_loop
from ..storage.contract import ListsObjects, StoredObject, SweepsStaging
from .overlap import Overlap
from .pipeline import Pipeline
from .steps import LEASE_SECONDS

__all__ = ["STUCK_SECONDS", "OnProgress", "Swept", "is_stuck", "pages", "sweep", "unended", "unfinishable", "unremoved"]

STUCK_SECONDS: Final = 900
"""An upload that has not changed for so long may have been lost by its queue. Whoever removes the bytes of one that is
gone has done so by then."""

MOST_NAMES: Final = 1000
"""So many names of each part are told; the counts are of all."""

MOST_FAILURES: Final = 10
"""After so many in a row the rest of a part is left to the next sweep: something does not answer, and each waits."""

_PAGE = 100
_KEYS = 500

_log = logging.getLogger("uploadkit.processing")

OnProgress = Callable[[str, int], object]
"""Is told what is being done, and of how many so far."""

UNDER_WAY: Final = frozenset({State.STAGED, State.PROCESSING})
"""States in which an upload has a next step."""

EXPIRING: Final = frozenset(State) - GONE - {State.RECEIVING}
"""States in which an upload's time may be over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep has done or, of a dry run, would do: how many of each.

    `staging`: objects in the staging of storages that dead processes have left; of a dry run all that are there, those
    of live uploads included, and of those that rest between their requests. `unended`: uploads that began and never
    ended. `expired`: uploads whose time is over; of one that comes in several requests that is when nothing more has
    come for as long as it is kept.
    `unremoved`: uploads that were gone before, or infected, and whose bytes, or what was made of them, are only gone
    now. `unfinished`: steps that were begun for an upload that is settled by now, of which something was left. `stuck`:
    uploads that were handed to the queue once more. `orphans`: objects that belong to no upload; `are_orphans_kept` is
    whether they were left where they are. `workers`: those that have died without a word. `told`: facts that were told
    late. `forgotten`: records of uploads that are over. `failures`: what could not be done, and is tried by the next
    sweep; the log says what and why.

    `names` are those of what was found, by the names above: of uploads their ids, of objects their storage and key. At
    most 1000 of each.
    """

    staging: int = 0
    unended: int = 0
    expired: int = 0
    unremoved: int = 0
    unfinished: int = 0
    stuck: int = 0
    orphans: int = 0
    workers: int = 0
    told: int = 0
    forgotten: int = 0
    failures: int = 0
    are_orphans_kept: bool = True
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)


def sweep(
    pipeline: Pipeline,
    *,
    older_than_seconds: float = 86400,
    dry_run: bool = False,
    orphans: bool | None = False,
    forget_after_seconds: float | None = None,
    on_progress: OnProgress = lambda part, count: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Swept:
    """Ends what has never ended, removes what is over, and goes on with what was lost. Changes nothing in a `dry_run`.

    An upload that has not changed for `older_than_seconds` and whose bytes still arrive is taken for one that never
    ends: that is more than the longest upload takes, its handler included. A day, since browsers on slow lines go on
    for hours. One that comes in several requests may rest as long as it says itself (`Resumable.expires_at`). Nothing
    younger is removed, but for what says itself that it is over. `orphans` removes objects of that age which belong to
    no upload of the ledger, by whatever name of a storage: only where nobody else keeps objects there. Without it they
    are counted, where a storage can list its objects: that asks for all of them. None does not look for them. With
    `forget_after_seconds` the records of uploads that have failed, or are gone, are forgotten when they have not
    changed for so long; what they have left is removed first.

    What fails, such as a storage that does not answer, is logged and counted, and the rest is done. Blocks; raises
    `LedgerFailed`, and `ValueError` for times that are negative.
    """
    if older_than_seconds < 0 or (forget_after_seconds or 0) < 0:
        raise ValueError("older_than_seconds and forget_after_seconds are not negative")
    at = now()
    work = _Sweep(
        pipeline=pipeline,
        at=at,
        older=at - timedelta(seconds=older_than_seconds),
        settling=at - timedelta(seconds=min(older_than_seconds, STUCK_SECONDS)),
        forgotten=None if forget_after_seconds is None else at - timedelta(seconds=forget_after_seconds),
        is_dry=dry_run,
        are_orphans_kept=dry_run or not orphans,
        on_progress=on_progress,
    )
    for part in _PARTS if orphans is not None else [part for part in _PARTS if part is not _remove_orphans]:
        with suppress(_GaveUp):
            part(work)
    counts: dict[str, Any] = dict(work.counts)
    return Swept(**counts, are_orphans_kept=work.are_orphans_kept, names=work.names)


class _GaveUp(Exception):
    """The rest of a part is not tried."""


@dataclass(slots=True, kw_only=True)
class _Sweep:
    """`older` is before what is too young to be touched, `settling` before what somebody may be at."""

    pipeline: Pipeline
    at: datetime
    older: datetime
    settling: datetime
    forgotten: datetime | None
    is_dry: bool
    are_orphans_kept: bool
    on_progress: OnProgress
    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)
    in_a_row: int = 0

    def found(self, part: str, name: str) -> None:
        self.in_a_row = 0
        self.add(part, 1)
        names = self.names.setdefault(part, [])
        if len(names) < MOST_NAMES:
            names.append(name)

    def add(self, part: str, count: int) -> None:
        if count:
            self.counts[part] += count
            self.on_progress(part, self.counts[part])

    @contextmanager
    def trying(self, part: str, name: str) -> Iterator[None]:
        """What was changed by somebody else meanwhile is no failure: it was theirs."""
        try:
            yield
        except (UploadChanged, RecordMissing):
            return
        except LedgerFailed:
            raise
        except (UploadError, LookupError, OSError) as error:
            _log.warning("sweep: %s %s could not be done, and is tried by the next one", part, name, exc_info=True)
            self.add("failures", 1)
            self.in_a_row += 1
            if self.in_a_row >= MOST_FAILURES or isinstance(error, QueueFailed):  # of which there is but one
                self.in_a_row = 0
                _log.warning("sweep: the rest of %s is left to the next one", part)
                raise _GaveUp from None


def pages(pipeline: Pipeline, **asked: Any) -> Iterator[UploadRecord]:
    """All the records that `Ledger.find` finds, page by page. They may be changed while they are walked through."""
    after: UploadRecord | None = None
    while page := pipeline.ledger.find(after=after, limit=_PAGE, **asked):
        yield from page
        after = page[-1]


def unended(pipeline: Pipeline, before: datetime) -> Iterator[UploadRecord]:
    """Those that began and never ended: nothing has changed since then. What comes in several requests may rest."""
    return pages(pipeline, state=State.RECEIVING, resumable=False, changed_before=before)


def unremoved(pipeline: Pipeline, before: datetime) -> Iterator[UploadRecord]:
    """Those that are gone since then, and still have bytes: an object, what had arrived of one, or what was made of it.
    Of an infected one nothing that was made stays either."""
    settled = partial(pages, pipeline, changed_before=before)
    return chain(
        settled(state=GONE, key_known=True),
        settled(state=GONE, key_known=False, resumable=True),
        settled(state=GONE, key_known=False, resumable=False, has_results=True),
        settled(state=State.QUARANTINED, has_results=True),
    )


def unfinishable(pipeline: Pipeline, at: datetime) -> Iterator[UploadRecord]:
    """Those that come in several requests, and that nobody may go on with any more: their time is over."""
    after: Resumable | None = None
    while page := pipeline.ledger.resumables.expired(at, after=after, limit=_PAGE):
        for known in page:
            with suppress(RecordMissing):
                yield pipeline.ledger.get(known.upload)
        after = page[-1]


def is_stuck(pipeline: Pipeline, record: UploadRecord) -> bool:
    """Whether the next step of an upload that is being processed has no job: it was lost. Raises `QueueFailed`. Without
    a queue that is where nobody is at it: else who goes on with it would wait for him."""
    if pipeline.queue is None:
        return not pipeline.ledger.is_claimed(record.id)
    undone = pipeline.rules.undone(record, pipeline.ledger.results(record.id))
    return not undone or event_loop.wait_for(pipeline.queue.progress(undone[0].job(record))) is None


def _sweep_staging(work: _Sweep) -> None:
    for name, storage in work.pipeline.storages.items():
        if not isinstance(storage, SweepsStaging):
            continue
        with work.trying("staging", name):
            if work.is_dry:
                for staged in storage.in_staging():
                    work.found("staging", f"{name}: {staged}")
            else:
                work.add("staging", storage.sweep())


def _end_unended(work: _Sweep) -> None:
    """The move comes first: an upload that is accepted after all is either not moved, or told so and removed."""
    for record in unended(work.pipeline, work.older):
        with work.trying("unended", record.id):
            if not work.is_dry:
                _over(work, record, since={State.RECEIVING}, reason="its upload never ended")
            work.found("unended", record.id)


def _expire(work: _Sweep) -> None:
    for record in pages(work.pipeline, state=EXPIRING, expired_at=work.at):
        with work.trying("expired", record.id):
            if not work.is_dry:
                facts = [_deleted(work.pipeline.ledger.get(record.id))]
                _over(work, record, since=EXPIRING, reason="its time is over", facts=facts, expired_at=work.at)
            work.found("expired", record.id)


def _expire_unfinished(work: _Sweep) -> None:
    """Where all of it has come, and what was known beside its record was not forgotten, that is done here."""
    for record in unfinishable(work.pipeline, work.at):
        with work.trying("expired", record.id):
            if record.state in GONE or (not work.is_dry and not _give_up(work, record)):
                continue
            if record.state is State.RECEIVING:
                work.found("expired", record.id)


def _give_up(work: _Sweep, record: UploadRecord) -> bool:
    """It is held meanwhile, so that nobody adds to it. False where somebody has just come back: he is not
    disturbed."""
    resumables = work.pipeline.ledger.resumables
    hold = resumables.hold(record.id, seconds=LEASE_SECONDS, asks=False)
    if hold is None:
        return False
    try:
        known = resumables.get(record.id)
        if known is None or known.expires_at > work.at:
            return False
        if record.state is State.RECEIVING:
            _over(work, record, since={State.RECEIVING}, reason="its time is over")
        else:
            work.pipeline.discard_partial(record.id)
    finally:
        resumables.let_go(hold)
    return True


def _remove_unremoved(work: _Sweep) -> None:
    for record in unremoved(work.pipeline, work.settling):
        with work.trying("unremoved", record.id):
            if not work.is_dry:
                now = work.pipeline.ledger.get(record.id)
                if now.state is not record.state and now.state not in GONE:  # an infected one is processed again
                    continue
                work.pipeline.remove(now)
            work.found("unremoved", record.id)


def _remove_unfinished(work: _Sweep) -> None:
    """Of uploads on which nobody works any more. What is still to be done is claimed again, by whom that is removed."""
    for left in _leftovers(work):
        with work.trying("unfinished", f"{left.upload}: {left.processor}"):
            record = work.pipeline.ledger.get(left.upload)
            if not record.is_settled:
                continue
            if not work.is_dry and not work.pipeline.clear(left, seconds=STUCK_SECONDS):
                continue
            work.found("unfinished", f"{left.upload}: {left.processor}")


def _leftovers(work: _Sweep) -> Iterator[Leftover]:
    """Each once. Those that stay are asked for again with every page, since there is no other way past them."""
    seen: set[tuple[str, str, str]] = set()
    while True:
        page = work.pipeline.ledger.leftovers(work.older, limit=len(seen) + _PAGE)
        fresh = [left for left in page if (left.upload, left.processor, left.digest) not in seen]
        if not fresh:
            return
        for left in fresh:
            seen.add((left.upload, left.processor, left.digest))
            yield left


def _advance_stuck(work: _Sweep) -> None:
    for record in pages(work.pipeline, state=UNDER_WAY, changed_before=work.at - timedelta(seconds=STUCK_SECONDS)):
        with work.trying("stuck", record.id):
            if is_stuck(work.pipeline, record):
                if not work.is_dry:
                    work.pipeline.advance(record.id)
                work.found("stuck", record.id)


def _remove_orphans(work: _Sweep) -> None:
    """An upload whose key is not known while it arrives may have an object here already. If that is as old as this, so
    is its record: it has just been expired, and its own request removes what it stored."""
    for name, storage in work.pipeline.storages.items():
        if not isinstance(storage, ListsObjects):
            continue
        with work.trying("orphans", name):
            overlap = Overlap(work.pipeline, storage, work.older)
            old = (each for each in storage.list() if _is_before(each, work.older))
            while page := list(islice(old, _KEYS)):
                known = work.pipeline.ledger.known_keys(name, [each.key for each in page])
                for key in overlap.unknown([each for each in page if each.key not in known]):
                    with work.trying("orphans", f"{name}: {key}"):
                        if not work.are_orphans_kept:
                            storage.delete(key)
                        work.found("orphans", f"{name}: {key}")


def _retire_workers(work: _Sweep) -> None:
    for worker in work.pipeline.ledger.workers():
        if worker.seen_at < work.settling:
            if not work.is_dry:
                work.pipeline.ledger.retire(worker.id)
            work.found("workers", f"{worker.host}: {worker.pid}")


def _tell(work: _Sweep) -> None:
    """At most what is there now: others may write faster than this tells."""
    untold = work.pipeline.ledger.untold()
    if work.is_dry:
        work.add("told", untold)
        return
    while untold > 0 and (told := work.pipeline.forward()):
        work.add("told", told)
        untold -= told


def _forget(work: _Sweep) -> None:
    """What is failed still has its bytes: it is over first."""
    if work.forgotten is None:
        return
    ledger = work.pipeline.ledger
    for record in pages(work.pipeline, state=GONE | {State.FAILED}, changed_before=work.forgotten):
        with work.trying("forgotten", record.id):
            if not work.is_dry:
                if record.state is State.FAILED:
                    _over(work, record, since={State.FAILED}, reason="it has failed long ago", facts=[_deleted(record)])
                else:
                    work.pipeline.remove(record)
                if ledger.get(record.id).key is not None:
                    continue
                ledger.forget(record.id)
            work.found("forgotten", record.id)


_PARTS: Final[Sequence[Callable[[_Sweep], None]]] = (
    _sweep_staging,
    _end_unended,
    _expire,
    _expire_unfinished,
    _remove_unremoved,
    _remove_unfinished,
    _advance_stuck,
    _remove_orphans,
    _retire_workers,
    _tell,
    _forget,
)


def _over(
    work: _Sweep,
    record: UploadRecord,
    *,
    since: Collection[State],
    reason: str,
    facts: Iterable[Fact] = (),
    expired_at: datetime | None = None,
) -> None:
    """Where what it leaves cannot be removed now, it is by a later sweep: it is gone, and has a key."""
    moved = work.pipeline.ledger.move(
        record.id, State.EXPIRED, since=since, reason=reason, facts=facts, expired_at=expired_at
    )
    work.pipeline.remove(moved)


def _deleted(record: UploadRecord) -> Fact:
    return FileDeleted(**concerning(record), reason="expired")


def _is_before(stored: StoredObject, moment: datetime) -> bool:
    """What says nothing of its age is never old."""
    return stored.modified is not None and stored.modified < moment
