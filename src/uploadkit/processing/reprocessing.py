"""Does again what is stale: uploads for which a step has changed, or was added, since they were processed."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from ..errors import RecordMissing, UploadChanged
from ..policy.accept import Accept, AcceptRule
from ..records.lifecycle import State
from ..records.record import UploadRecord
from .pipeline import Pipeline
from .upkeep import MOST_NAMES, OnProgress, pages

__all__ = ["REPROCESSED", "Reprocessed", "is_stale", "reprocess"]

REPROCESSED = frozenset({State.COMPLETED, State.FAILED, State.QUARANTINED})
"""The states from which an upload may be processed again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reprocessed:
    """How many uploads were looked at, and how many of them are processed again or, of a dry run, would be. `names` are
    the ids of those, at most 1000."""

    looked: int
    stale: int
    names: tuple[str, ...] = ()


def is_stale(pipeline: Pipeline, record: UploadRecord) -> bool:
    """Whether there is a step for this upload that was not made, or was by what another digest says."""
    return bool(pipeline.rules.undone(record, pipeline.ledger.results(record.id)))


def reprocess(
    pipeline: Pipeline,
    *,
    accept: AcceptRule | None = None,
    states: Collection[State] = (State.COMPLETED,),
    limit: int | None = None,
    dry_run: bool = False,
    on_progress: OnProgress = lambda part, count: None,
) -> Reprocessed:
    """Has the steps made that are stale, of uploads of the types that `accept` admits, the newest first: at most of so
    many uploads as `limit` says. Those whose bytes are gone are passed over. What stands is kept until the new one
    does. A `dry_run` changes nothing.

    Where the pipeline has no queue all of it is done before this returns. Blocks; raises `LedgerFailed`, `QueueFailed`:
    an upload that was about to be added is then found by the next sweep. `ValueError` where no upload goes from one of
    `states` to be processed.
    """
    if wrong := set(states) - REPROCESSED:
        raise ValueError(f"no upload is processed again that is {' or '.join(sorted(wrong))}")
    admitted = None if accept is None else Accept.of(accept)
    looked, stale, names = 0, 0, list[str]()
    for record in pages(pipeline, state=frozenset(states)):
        if limit is not None and stale >= limit:
            break
        if record.key is None or record.size is None:  # its bytes are gone, as those of most infected ones
            continue
        if admitted is not None and not admitted.admits(record.content_type):
            continue
        looked += 1
        on_progress("looked at", looked)
        if not is_stale(pipeline, record):
            continue
        if not dry_run:
            with suppress(UploadChanged, RecordMissing):  # somebody else does it, or it is gone
                pipeline.ledger.move(record.id, State.PROCESSING, since={record.state}, reason="processed again")
                pipeline.advance(record.id)
        stale += 1
        on_progress("processed again", stale)
        if len(names) < MOST_NAMES:
            names.append(record.id)
    return Reprocessed(looked=looked, stale=stale, names=tuple(names))
