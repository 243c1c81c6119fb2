"""What is done again when a pipeline does something else than it did."""

from __future__ import annotations

import pytest
from tests.processing.pipelines import Copies, keys_of, sent
from tests.processing.servers import eventually

from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processor import JobContext, Quarantined
from uploadkit.processing.reprocessing import Reprocessed, reprocess
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.storage.disk import DiskStorage
from uploadkit.uploader import Uploader


def pipeline(ledger: Ledger, media: DiskStorage, *processors: Copies, **more: object) -> Pipeline:
    made = Pipeline(ledger, storages=[media], **more)  # type: ignore[arg-type]
    if processors:
        made.process("text/plain", *processors)
    return made


def taken(media: DiskStorage, made: Pipeline, *contents: bytes) -> list[str]:
    uploads = [file.id for file in sent(Uploader(media, pipeline=made), *contents)]
    eventually(lambda: not made._forwarder.is_running)  # else it would tell of what others do
    return uploads


def test_what_is_made_by_another_digest_is_made_again(ledger: Ledger, media: DiskStorage) -> None:
    """In place of what was made before. What is fresh is left alone."""
    old = pipeline(ledger, media, Copies(count=2))
    uploads = taken(media, old, b"one", b"two")
    assert reprocess(old) == Reprocessed(looked=2, stale=0)
    copies = Copies(count=3)
    new = pipeline(ledger, media, copies)
    assert reprocess(new, dry_run=True) == Reprocessed(looked=2, stale=2, names=(uploads[1], uploads[0]))
    assert copies.made == 0
    told: list[tuple[str, int]] = []
    done = reprocess(new, on_progress=lambda part, count: told.append((part, count)))
    assert (done.looked, done.stale, copies.made) == (2, 2, 2)
    assert told[-1] == ("processed again", 2)
    assert [new.status(upload).state for upload in uploads] == [State.COMPLETED] * 2
    whose = [key for upload in uploads for key in [*new.status(upload).results["copies"]["keys"], new.file(upload).key]]
    assert keys_of(media) == sorted(whose)
    assert len(whose) == 8
    assert reprocess(new).stale == 0


def test_a_step_that_was_added_is_made(ledger: Ledger, media: DiskStorage) -> None:
    """And nothing else."""
    first, second = Copies("first"), Copies("second")
    [upload] = taken(media, pipeline(ledger, media, first), b"one")
    new = pipeline(ledger, media, first, second)
    assert reprocess(new).stale == 1
    assert (first.made, second.made) == (1, 1)
    assert new.status(upload).state is State.COMPLETED


def test_types_states_and_a_limit_choose(ledger: Ledger, media: DiskStorage) -> None:
    """The newest come first."""
    old = pipeline(ledger, media)
    *uploads, failed = taken(media, old, b"one", b"two", b"three", b"four")
    ledger.move(failed, State.PROCESSING)
    ledger.move(failed, State.FAILED)
    copies = Copies()
    new = pipeline(ledger, media, copies)
    assert reprocess(new, accept="image/*", dry_run=True) == Reprocessed(looked=0, stale=0)
    assert reprocess(new, limit=1).names == (uploads[2],)
    assert reprocess(new, accept=["image/*", ".txt"], states=[State.FAILED]).names == (failed,)
    assert ledger.get(failed).state is State.COMPLETED
    assert reprocess(new).names == (uploads[1], uploads[0])
    assert copies.made == 4


def test_with_a_queue_the_workers_do_it(ledger: Ledger, media: DiskStorage) -> None:
    """Each upload waits there once, however often it is asked for."""
    queue = InlineQueue()
    [upload] = taken(media, pipeline(ledger, media), b"one")
    new = pipeline(ledger, media, Copies(), queue=queue)
    assert reprocess(new).stale == 1
    assert ledger.get(upload).state is State.PROCESSING
    assert reprocess(new) == Reprocessed(looked=0, stale=0)


def test_what_has_no_bytes_is_not_processed(ledger: Ledger, media: DiskStorage) -> None:
    """An infected upload of which nothing was kept: it could never be completed."""

    def found(job: JobContext) -> None:
        raise Quarantined("EICAR")

    made = pipeline(ledger, media, Copies(fail=found))
    [upload] = taken(media, made, b"infected")
    assert reprocess(made, states=[State.QUARANTINED]) == Reprocessed(looked=0, stale=0)
    assert ledger.get(upload).state is State.QUARANTINED


def test_what_is_gone_is_not_processed(ledger: Ledger, media: DiskStorage) -> None:
    """Nor what is under way."""
    for state in (State.DELETED, State.RECEIVING):
        with pytest.raises(ValueError, match=f"no upload is processed again that is {state}"):
            reprocess(pipeline(ledger, media), states=[state])
