"""What becomes of uploads in a pipeline that does everything in the request."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tests.processing.pipelines import NO_WAIT, Copies, Heard, keys_of, options, sent, told
from tests.processing.servers import eventually
from tests.storage.kinds import put

from uploadkit.content.variants import cover
from uploadkit.errors import (
    FileRefused,
    LedgerFailed,
    QueueFailed,
    RecordExists,
    RecordMissing,
    StorageFailed,
    UploadChanged,
)
from uploadkit.events.facts import Fact
from uploadkit.intake.blocking import receive
from uploadkit.policy.filters import IncomingFile
from uploadkit.processing import steps
from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processor import JobContext, Quarantined
from uploadkit.processing.processors import Variants
from uploadkit.processing.queue import DeadJob, Job, Later, Priority
from uploadkit.processing.steps import LATER_SECONDS, Verdict
from uploadkit.promotion import copy_file
from uploadkit.records.ledger import Claim, Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import UploadRecord
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.storage.threads import MAX_THREADS, in_thread
from uploadkit.testing import FailingStorage, FormBuilder, swap_storage
from uploadkit.uploader import Uploader


def states(pipeline: Pipeline, upload: str) -> list[State]:
    return [move.after for move in pipeline.ledger.history(upload)]


def test_an_upload_without_steps_is_completed_at_once(ledger: Ledger, staging: DiskStorage) -> None:
    """It has a record, and lies where it was received."""
    pipeline = Pipeline(ledger)
    heard = Heard(pipeline)
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    told(pipeline)
    assert states(pipeline, file.id) == ["receiving", "staged", "processing", "completed"]
    record = ledger.get(file.id)
    assert (record.storage, record.key, record.size, record.filename) == ("staging", file.key, 5, "0.txt")
    assert heard.names() == ["file.uploaded", "file.processed"]
    assert pipeline.file(file.id).read() == b"hello"


def test_steps_are_made_in_their_order_and_the_upload_is_promoted_last(
    ledger: Ledger, staging: DiskStorage, media: DiskStorage
) -> None:
    """What is made goes where uploads stay; nothing is left in staging."""
    pipeline = Pipeline(ledger, storage=media)
    first, second = Copies("first"), Copies("second", count=1)
    pipeline.process("*", first, second)
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    status = pipeline.status(file.id)
    assert (status.state, status.percent) == (State.COMPLETED, 100)
    assert list(status.results) == ["first", "second", "promote"]
    assert status.results["first"]["size"] == 5
    assert keys_of(staging) == []
    made = [*status.results["first"]["keys"], *status.results["second"]["keys"]]
    assert sorted([*made, pipeline.file(file.id).key]) == keys_of(media)
    assert pipeline.file(file.id).read() == b"hello"


def test_what_is_done_depends_on_the_detected_type(ledger: Ledger, staging: DiskStorage) -> None:
    """Not on the name."""
    pipeline = Pipeline(ledger)
    texts, pictures = Copies("texts"), Copies("pictures")
    pipeline.process("text/plain", texts)
    pipeline.process("image/*", pictures)
    sent(Uploader(staging, pipeline=pipeline), b"hello")
    assert (texts.made, pictures.made) == (1, 0)


def test_functions_are_processors(ledger: Ledger, staging: DiskStorage) -> None:
    """Sync and async ones; what they return is the result."""
    pipeline = Pipeline(ledger)

    @pipeline.process("*")
    def length(record: UploadRecord, job: JobContext) -> dict[str, Any]:
        with job.open() as file:
            return {"length": len(file.read()), "name": record.filename}

    @pipeline.process("*")
    async def shout(record: UploadRecord, job: JobContext) -> None:
        await job.aprogress(50, "shouting")
        await job.astore(job.file.read().upper(), content_type="text/plain")

    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    assert pipeline.status(file.id).results["length"] == {"length": 5, "name": "0.txt"}
    [made] = set(keys_of(staging)) - {file.key}
    assert b"".join(staging.read(made)) == b"HELLO"


def test_a_step_that_fails_is_tried_again_and_leaves_nothing(ledger: Ledger, staging: DiskStorage) -> None:
    """What it had made before it failed is gone."""
    failures = iter([OSError("no"), OSError("not yet")])

    def fail(job: JobContext) -> None:
        if error := next(failures, None):
            raise error

    pipeline = Pipeline(ledger)
    pipeline.process("*", Copies(fail=fail), **options())
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    status = pipeline.status(file.id)
    assert status.state is State.COMPLETED
    assert keys_of(staging) == sorted([file.key, *status.results["copies"]["keys"]])


def test_after_its_attempts_the_upload_has_failed(ledger: Ledger, staging: DiskStorage) -> None:
    """With a reason; its bytes stay, and it can be processed again."""
    is_broken = True

    def fail(job: JobContext) -> None:
        if is_broken:
            raise OSError("the disk is full")

    pipeline = Pipeline(ledger)
    heard = Heard(pipeline)
    pipeline.process("*", Copies(fail=fail), **options(attempts=2))
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    told(pipeline)
    status = pipeline.status(file.id)
    assert (status.state, status.reason) == (State.FAILED, "copies: OSError: the disk is full")
    assert heard.names() == ["file.uploaded", "file.failed"]
    assert keys_of(staging) == [file.key]
    is_broken = False
    pipeline.retry(file.id)
    assert pipeline.status(file.id).state is State.COMPLETED


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (OSError("cannot connect to db.internal as admin"), "failed", None),
        (Quarantined("Win.Test.EICAR"), "quarantined", None),
        (FileRefused("file 'file' is ugly", field="file", filter="ugly"), "rejected", "file 'file' is ugly"),
    ],
)
def test_a_sender_is_told_the_reason_where_it_is_his(
    ledger: Ledger, staging: DiskStorage, error: Exception, state: str, reason: str | None
) -> None:
    """What a program says when it fails is for its operator, and what a scan finds too."""

    def fail(job: JobContext) -> None:
        raise error

    pipeline = Pipeline(ledger)
    pipeline.process("*", Copies(fail=fail), **options(attempts=1))
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    status = pipeline.status(file.id)
    assert str(error) in (status.reason or "")
    assert (status.as_json()["state"], status.as_json()["reason"]) == (state, reason)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (OSError("no\0\udcff"), State.FAILED),
        (FileRefused("no\0\udcff", field="file", filter="ugly"), State.REJECTED),
        (Quarantined("no\0\udcff"), State.QUARANTINED),
    ],
    ids=["fails", "refuses", "finds"],
)
def test_whatever_an_error_says_its_upload_ends(
    ledger: Ledger, staging: DiskStorage, error: Exception, state: State, caplog: pytest.LogCaptureFixture
) -> None:
    """After as many attempts as were declared, also where no database takes its text."""
    caplog.set_level("CRITICAL", "uploadkit.processing")  # half a character cannot be reported from a test
    attempts: list[int] = []

    def fail(job: JobContext) -> None:
        attempts.append(job.attempt)
        raise error

    pipeline = Pipeline(ledger)
    heard = Heard(pipeline)
    pipeline.process("*", Copies(fail=fail), **options(attempts=1))
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    told(pipeline)
    record = ledger.get(file.id)
    assert record.state is state
    assert "no\\0\\udcff" in (record.reason or "")
    assert attempts == [1]
    assert len(heard.names()) == 2


def test_a_refusal_rejects_the_upload_and_removes_it(ledger: Ledger, staging: DiskStorage) -> None:
    """With all that was made before; there is no other attempt."""

    def fail(job: JobContext) -> None:
        raise FileRefused("file 'file' is ugly", field="file", filter="ugly")

    pipeline = Pipeline(ledger)
    heard = Heard(pipeline)
    pipeline.process("*", Copies("good"), Copies("bad", fail=fail))
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    told(pipeline)
    record = ledger.get(file.id)
    assert (record.state, record.reason, record.key) == (State.REJECTED, "file 'file' is ugly", None)
    assert heard.names() == ["file.uploaded", "file.rejected"]
    assert keys_of(staging) == []
    assert ledger.results(file.id) == []


def test_an_infected_upload_is_quarantined_and_removed(ledger: Ledger, staging: DiskStorage) -> None:
    """Nothing of it can be served, and subscribers hear what was found."""

    def fail(job: JobContext) -> None:
        raise Quarantined("Eicar")

    pipeline = Pipeline(ledger)
    heard = Heard(pipeline)
    pipeline.process("*", Copies("good"), Copies("scan", fail=fail))
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    told(pipeline)
    assert ledger.get(file.id).state is State.QUARANTINED
    assert heard.names() == ["file.uploaded", "file.scanned"]
    assert keys_of(staging) == []
    with pytest.raises(UploadChanged):
        pipeline.file(file.id)


def test_the_files_of_a_request_share_a_batch(ledger: Ledger, staging: DiskStorage) -> None:
    """Each has a record of its own."""
    pipeline = Pipeline(ledger)
    files = sent(Uploader(staging, pipeline=pipeline), b"one", b"two")
    batches = {ledger.get(file.id).batch for file in files}
    assert len(batches) == 1
    assert len(ledger.find(batch=batches.pop())) == 2


def test_a_deleted_upload_leaves_its_record(ledger: Ledger, staging: DiskStorage, media: DiskStorage) -> None:
    """And nothing else, whichever way it is deleted. Twice is no error."""
    pipeline = Pipeline(ledger, storage=media)
    heard = Heard(pipeline)
    pipeline.process("*", Copies())
    files = sent(Uploader(staging, pipeline=pipeline), b"one", b"two")
    pipeline.delete(files[0].id)
    files[1].delete()
    files[1].delete()
    pipeline.delete("nobody")
    told(pipeline)
    assert keys_of(media) == keys_of(staging) == []
    for file in files:
        assert ledger.get(file.id).state is State.DELETED
        assert heard.names(file.id) == ["file.uploaded", "file.processed", "file.deleted"]


def test_a_handler_may_have_an_upload_processed_at_once(ledger: Ledger, staging: DiskStorage) -> None:
    """Also where the pipeline has a queue; where the handler raises after that, everything is gone."""
    pipeline = Pipeline(ledger)
    pipeline.process("*", Copies())
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    assert asyncio.run(pipeline.arun(file)).state is State.COMPLETED
    file.discard()
    assert keys_of(staging) == []
    assert ledger.get(file.id).state is State.DELETED


def test_a_request_goes_on_soon_after_a_worker_that_was_faster(
    ledger: Ledger, staging: DiskStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for an answer is not put off as a job is, which may come back after seconds."""
    pipeline = Pipeline(ledger, queue=InlineQueue())
    copies = Copies()
    pipeline.process("*", copies)
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    held = ledger.claim(file.id, copies.name, copies.digest, seconds=60)
    assert held is not None
    claim = ledger.claim

    def the_other_gives_up(*arguments: Any, **more: Any) -> Any:
        if (claimed := claim(*arguments, **more)) is None:
            ledger.give_back(held)
        return claimed

    monkeypatch.setattr(ledger, "claim", the_other_gives_up)
    began = time.monotonic()
    assert pipeline.run(file).state is State.COMPLETED
    assert time.monotonic() - began < 3


def test_an_upload_is_described_by_the_application(ledger: Ledger, staging: DiskStorage) -> None:
    """Its owner is in the record, and an idempotency key is one upload's."""
    pipeline = Pipeline(ledger)
    first, second = sent(Uploader(staging, pipeline=pipeline), b"one", b"two")
    record = pipeline.describe(first.id, owner="42", tags={"album": "7"}, priority=Priority.HIGH, idempotency_key="k")
    assert (record.owner, record.tags, record.priority) == ("42", {"album": "7"}, Priority.HIGH)
    with pytest.raises(RecordExists) as caught:
        pipeline.describe(second.id, owner="42", idempotency_key="k")
    assert caught.value.upload == first.id
    with pytest.raises(RecordMissing):
        asyncio.run(pipeline.adescribe("nobody", owner="42"))


def test_a_newer_upload_replaces_the_older_ones_of_its_owner(ledger: Ledger, staging: DiskStorage) -> None:
    """In the same field; what others have stays."""
    pipeline = Pipeline(ledger)
    pipeline.process("*", Copies())
    upload = Uploader(staging, pipeline=pipeline)
    uploads = [
        sent(upload, name.encode(), field=field)[0] for name, field in (("a", "x"), ("b", "x"), ("c", "y"), ("d", "x"))
    ]
    for each, owner in zip(uploads, ("1", "1", "1", "2"), strict=True):
        pipeline.describe(each.id, owner=owner)
    assert pipeline.replace_others(uploads[1].id) == [uploads[0].id]
    left = [each.id for each in uploads if ledger.get(each.id).state is State.COMPLETED]
    assert left == [each.id for each in uploads[1:]]
    assert len(keys_of(staging)) == 3 * 3


def test_of_racing_replacements_one_stays(ledger: Ledger, staging: DiskStorage) -> None:
    """The newest; of the others nothing is left."""
    pipeline = Pipeline(ledger)
    pipeline.process("*", Copies())
    upload = Uploader(staging, pipeline=pipeline)
    together = threading.Barrier(6)

    def replace(number: int) -> None:
        together.wait(10)
        [file] = sent(upload, str(number).encode())
        with suppress(UploadChanged):  # a newer one has replaced it
            pipeline.describe(file.id, owner="42")
            pipeline.replace_others(file.id)

    threads = [threading.Thread(target=replace, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    [left] = [each for each in ledger.find(owner="42") if each.state is State.COMPLETED]
    assert left == ledger.find(owner="42")[0]
    assert len(keys_of(staging)) == 3


def test_what_was_made_under_another_digest_goes_when_the_new_one_stands(ledger: Ledger, staging: DiskStorage) -> None:
    """As when a program declares other variants, and old uploads are processed again."""
    old = Pipeline(ledger)
    old.process("*", Copies(count=3))
    [file] = sent(Uploader(staging, pipeline=old), b"hello")
    new = Pipeline(ledger, storages=[staging])
    new.process("*", Copies(count=1))
    ledger.move(file.id, State.PROCESSING)
    new.advance(file.id)
    assert new.status(file.id).state is State.COMPLETED
    [result] = ledger.results(file.id)
    assert keys_of(staging) == sorted([file.key, *result.told["results"]["keys"]])


def test_two_processors_have_two_names(ledger: Ledger) -> None:
    """And so do two storages: the ledger knows them by these."""
    pipeline = Pipeline(ledger, storages=[DiskStorage("a")])
    pipeline.process("image/*", Copies())
    with pytest.raises(ValueError, match="two processors are called 'copies'"):
        pipeline.process("text/plain", Copies())
    with pytest.raises(ValueError, match="two storages of the pipeline are called 'disk'"):
        Uploader(DiskStorage("b"), pipeline=pipeline).single("file")


def test_one_processor_may_be_for_several_kinds(ledger: Ledger, staging: DiskStorage) -> None:
    """It is made once for each upload."""
    pipeline = Pipeline(ledger)
    copies = Copies()
    pipeline.process("text/plain", copies)
    pipeline.process("*", copies)
    sent(Uploader(staging, pipeline=pipeline), b"hello")
    assert copies.made == 1


def test_an_upload_that_is_refused_is_remembered_as_that(ledger: Ledger, staging: DiskStorage) -> None:
    """Nothing of it is stored; subscribers hear why."""

    class Refuses:
        def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
            raise FileRefused("file 'file' is ugly", field="file", filter="ugly")

    pipeline = Pipeline(ledger)
    heard = Heard(pipeline)
    with pytest.raises(FileRefused):
        sent(Uploader(staging, pipeline=pipeline, check=Refuses()), b"hello")
    told(pipeline)
    [record] = ledger.find()
    assert (record.state, record.reason, record.key) == (State.REJECTED, "file 'file' is ugly", None)
    assert heard.names() == ["file.rejected"]
    assert keys_of(staging) == []


def test_an_upload_that_cannot_be_accepted_is_none(ledger: Ledger, staging: DiskStorage) -> None:
    """The error is raised, and the file is gone."""
    pipeline = Pipeline(ledger)
    upload = Uploader(staging, pipeline=pipeline)

    def fail(files: Any, **more: Any) -> None:
        raise LedgerFailed("the ledger does not answer", retryable=True)

    ledger.accept = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(LedgerFailed):
        sent(upload, b"hello")
    assert keys_of(staging) == []
    assert ledger.find()[0].state is State.REJECTED


def test_the_storage_of_a_test_takes_no_name(ledger: Ledger, staging: DiskStorage) -> None:
    """One after the other may have the same."""
    upload = Uploader(staging, pipeline=Pipeline(ledger))
    for _ in range(2):
        with swap_storage(upload, MemoryStorage(name="memory")):
            assert sent(upload, b"hello")


def test_a_key_of_the_applications_own_may_be_anothers_by_now(ledger: Ledger, staging: DiskStorage) -> None:
    """What is removed late, after a crash, leaves the newer upload its bytes."""
    pipeline = Pipeline(ledger)
    upload = Uploader(staging, pipeline=pipeline, filename=lambda file: "ada.txt")
    [old] = sent(upload, b"old")
    ledger.move(old.id, State.DELETED)
    staging.delete("ada.txt")
    [new] = sent(upload, b"new")
    pipeline.remove(ledger.get(old.id))
    assert pipeline.file(new.id).read() == b"new"
    assert ledger.get(old.id).key is None


def test_a_file_that_is_deleted_twice_takes_nobody_elses_bytes(ledger: Ledger, staging: DiskStorage) -> None:
    """Its key is another upload's by then."""
    pipeline = Pipeline(ledger)
    upload = Uploader(staging, pipeline=pipeline, filename=lambda file: "ada.txt")
    [old] = sent(upload, b"old")
    old.delete()
    [new] = sent(upload, b"new")
    old.delete()
    assert pipeline.file(new.id).read() == b"new"
    new.delete()
    assert keys_of(staging) == []


def test_what_a_step_has_left_and_cannot_be_removed_does_not_hold_up_the_next_attempt(
    ledger: Ledger, staging: DiskStorage
) -> None:
    """It is claimed only while it is being removed."""
    [file] = sent(Uploader(staging, pipeline=Pipeline(ledger)), b"hello")
    claim = ledger.claim(file.id, "copies", "d", seconds=60)
    assert claim is not None
    ledger.intend(claim, {"objects": [[staging.name, "made"]]})
    ledger.give_back(claim)
    [left] = ledger.leftovers()
    failing = Pipeline(ledger, storages=[FailingStorage(staging, after=0, on="delete")])
    with pytest.raises(StorageFailed):
        failing.clear(left, seconds=3600)
    assert ledger.claim(file.id, "copies", "d", seconds=60) is not None


def test_the_uploader_tells_where_uploads_lie(ledger: Ledger, staging: DiskStorage) -> None:
    """A worker imports it, and asks for no spec."""
    pipeline = Pipeline(ledger)
    Uploader(staging, pipeline=pipeline)
    assert pipeline.storages == {"staging": staging}


def test_what_was_made_can_be_given_out(ledger: Ledger, staging: DiskStorage, media: DiskStorage) -> None:
    """Under a name of its own. What was not made is missing."""
    pipeline = Pipeline(ledger, storage=media)
    pipeline.process("image/*", Variants(thumbnail=cover(8, 8)))
    form = FormBuilder().sample("photo", "image/png", filename="me.png")
    [photo] = receive(Uploader(staging, pipeline=pipeline).any(), form.content_type, [form.body]).files
    made = pipeline.made(photo.id, "thumbnail")
    assert (made.filename, made.content_type, made.size) == ("me-thumbnail.png", "image/png", len(made.read()))
    assert made.path == str(media.path(made.key))
    for name, processor in (("large", "variants"), ("thumbnail", "scan")):
        with pytest.raises(RecordMissing):
            pipeline.made(photo.id, name, processor=processor)


def test_a_handler_is_told_that_a_step_refused_what_it_had_processed_at_once(
    ledger: Ledger, staging: DiskStorage
) -> None:
    """As where a check had refused it while it was received."""

    def fail(job: JobContext) -> None:
        raise FileRefused("file 'file' is ugly", field="file", filter="ugly")

    pipeline = Pipeline(ledger, queue=InlineQueue())  # of which nobody does the jobs
    pipeline.process("*", Copies(fail=fail))
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    with pytest.raises(FileRefused, match="file 'file' is ugly"):
        pipeline.run(file)
    assert keys_of(staging) == []


def test_a_storage_that_nobody_knows_is_the_reason_of_a_failure(ledger: Ledger, staging: DiskStorage) -> None:
    """And holds up nobody: the claim is free at once."""
    waiting, other = Pipeline(ledger, queue=InlineQueue()), Pipeline(ledger)
    waiting.process("*", Copies(), **options())
    [file] = sent(Uploader(staging, pipeline=waiting), b"hello")
    other.process("*", Copies(), **options())
    other.advance(file.id)
    record = ledger.get(file.id)
    assert record.state is State.FAILED
    assert "'staging', and the pipeline knows of none" in str(record.reason)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_whatever_a_processor_raises_is_a_failed_attempt(
    ledger: Ledger, staging: DiskStorage, error: BaseException
) -> None:
    """It ends neither the request nor the event loop that waits for it."""
    pipeline = Pipeline(ledger)

    @pipeline.process("*", attempts=1)
    def leave(record: UploadRecord, job: JobContext) -> None:
        raise error

    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    status = pipeline.status(file.id)
    assert status.state is State.FAILED
    assert (status.reason or "").startswith(f"leave: {type(error).__name__}: ")


def test_more_functions_wait_than_there_are_worker_threads(ledger: Ledger, staging: DiskStorage) -> None:
    """Each waits for calls that are made in worker threads, and none of them holds one meanwhile."""
    pipeline = Pipeline(ledger)
    together = threading.Barrier(MAX_THREADS + 1)

    @pipeline.on("file.progressed")
    def hear(fact: Fact) -> None:
        """In a worker thread."""

    @pipeline.process("*", attempts=1)
    async def look(record: UploadRecord, job: JobContext) -> None:
        together.wait(30)
        await job.aprogress(50)

    upload = Uploader(staging, pipeline=pipeline)
    requests = [threading.Thread(target=sent, args=(upload, b"hello"), daemon=True) for _ in range(MAX_THREADS + 1)]
    for request in requests:
        request.start()
    for request in requests:
        request.join(60)
    assert ledger.count() == {State.COMPLETED: MAX_THREADS + 1}


def test_a_request_waits_for_its_own_process(ledger: Ledger, staging: DiskStorage) -> None:
    """What was told of an upload in the same process may be at it before the request is."""
    pipeline = Pipeline(ledger)
    began, go_on = threading.Event(), threading.Event()

    @pipeline.process("*")
    def wait(record: UploadRecord, job: JobContext) -> dict[str, Any]:
        began.set()
        go_on.wait(5)
        return {"is_done": True}

    @pipeline.on("file.uploaded")
    def let_go(fact: Fact) -> None:
        began.wait(5)
        threading.Timer(0.05, go_on.set).start()

    accept = ledger.accept

    def accept_and_tell(files: Any, **said: Any) -> Any:
        accepted = accept(files, **said)
        pipeline.forward()
        return accepted

    ledger.accept = accept_and_tell  # type: ignore[method-assign]
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    assert pipeline.status(file.id).results == {"wait": {"is_done": True}}


def test_a_subscriber_in_the_event_loop_does_not_wait_for_itself(ledger: Ledger, staging: DiskStorage) -> None:
    """A call that blocks is an error there, and not the end of all that is told."""
    pipeline = Pipeline(ledger)
    raised: list[str] = []

    @pipeline.on("file.processed")
    async def look(fact: Fact) -> None:
        try:
            pipeline.status(fact.upload)
        except RuntimeError as error:
            raised.append(str(error))

    sent(Uploader(staging, pipeline=pipeline), b"hello")
    told(pipeline)
    assert raised == ["a call that blocks, in the event loop that is to answer it: await its async twin"]


def test_a_number_that_is_no_priority_is_refused_or_passes(ledger: Ledger, staging: DiskStorage) -> None:
    """By whoever says it; one that stands in the ledger holds nothing up."""
    pipeline = Pipeline(ledger, queue=InlineQueue())
    pipeline.process("*", Copies())
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    with pytest.raises(ValueError, match="7 is not a valid Priority"):
        pipeline.describe(file.id, priority=7)  # type: ignore[arg-type]
    told(pipeline)
    [rule] = pipeline.rules
    for number, taken in ((0, Priority.URGENT), (7, Priority.NORMAL), (99, Priority.LOW)):
        record = ledger.change(ledger.get(file.id), priority=number)
        assert rule.job(record).priority is taken
        assert pipeline.status(file.id).state is State.PROCESSING


@pytest.mark.parametrize("upload", ["x" * 65, "a\0b", "\udc80"], ids=ascii)
def test_what_can_be_no_id_is_one_that_there_is_not(ledger: Ledger, upload: str) -> None:
    """It comes from an address, which anybody writes."""
    pipeline = Pipeline(ledger)
    for call in (pipeline.status, pipeline.file, pipeline.retry, pipeline.replace_others):
        with pytest.raises(RecordMissing):
            call(upload)
    pipeline.delete(upload)


def test_an_attempt_does_not_wait_for_the_one_before(ledger: Ledger, staging: DiskStorage, tmp_path: Path) -> None:
    """Also where that could not remove what it had made."""

    class Keeps(DiskStorage):
        def delete(self, key: str) -> None:
            raise StorageFailed("it does not delete", storage=self.name)

    def fail(job: JobContext) -> None:
        raise OSError("no")

    pipeline = Pipeline(ledger, storage=Keeps(tmp_path / "media", name="media"))
    pipeline.process("*", Copies(fail=fail), **options())
    began = time.monotonic()
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    assert pipeline.status(file.id).state is State.FAILED
    assert time.monotonic() - began < 5


def test_what_is_done_again_is_not_done_yet(ledger: Ledger, staging: DiskStorage) -> None:
    """What was made under another digest counts for nothing in how far an upload is."""
    pipeline = Pipeline(ledger, queue=InlineQueue())
    pipeline.process("*", Copies())
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    pipeline.advance(file.id)
    claim = ledger.claim(file.id, "copies", "another", seconds=60)
    assert claim is not None
    ledger.finish(claim, {"results": {}, "objects": []})
    status = pipeline.status(file.id)
    assert (status.state, status.percent, status.results) == (State.PROCESSING, 0, {"copies": {}})


def test_a_ledger_that_fails_at_the_end_of_a_step_does_not_hold_up_the_next_attempt(
    ledger: Ledger, staging: DiskStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that was not finished is given back, and not waited for."""
    finish, failures = ledger.finish, iter([LedgerFailed("busy")])

    def fail_once(*arguments: Any, **more: Any) -> None:
        if error := next(failures, None):
            raise error
        finish(*arguments, **more)

    monkeypatch.setattr(ledger, "finish", fail_once)
    pipeline = Pipeline(ledger)
    pipeline.process("*", Copies(), **options())
    began = time.monotonic()
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    assert pipeline.status(file.id).state is State.COMPLETED
    assert time.monotonic() - began < 5
    assert len(keys_of(staging)) == 3


VERDICTS = {
    "refuses": FileRefused("file 'file' is ugly", field="file", filter="ugly"),
    "finds": Quarantined("Eicar"),
    "fails": OSError("cut off"),
}


@pytest.mark.parametrize("error", VERDICTS.values(), ids=VERDICTS)
def test_what_a_late_attempt_says_takes_nothing_from_a_completed_upload(
    ledger: Ledger, staging: DiskStorage, error: Exception
) -> None:
    """Its claim was lost, and another attempt has made what it was to make."""
    late, other = Pipeline(ledger), Pipeline(ledger, storages=[staging])

    def lose(job: JobContext) -> None:
        ledger.release()  # as when it was not renewed for long
        other.advance(job.record.id)
        raise error

    late.process("*", Copies("first"), Copies("second", fail=lose), **options(attempts=1))
    other.process("*", Copies("first"), Copies("second"))
    [file] = sent(Uploader(staging, pipeline=late), b"hello")
    status = late.status(file.id)
    assert status.state is State.COMPLETED
    made = [key for name in ("first", "second") for key in status.results[name]["keys"]]
    assert keys_of(staging) == sorted([file.key, *made])
    assert ledger.leftovers() == []


@pytest.mark.parametrize("error", VERDICTS.values(), ids=VERDICTS)
def test_a_late_attempt_does_not_end_an_upload_that_another_one_has(
    ledger: Ledger, staging: DiskStorage, error: Exception
) -> None:
    """A verdict counts under the claim, or not at all."""
    claims: list[Claim | None] = []

    def lose(job: JobContext) -> None:
        ledger.release()
        claims.append(ledger.claim(job.record.id, copies.name, copies.digest, seconds=60))
        raise error

    pipeline, copies = Pipeline(ledger), Copies(fail=lose)
    pipeline.process("*", copies, **options(attempts=1))
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    assert ledger.get(file.id).state is State.PROCESSING
    assert keys_of(staging) == [file.key]
    [claim] = claims
    assert claim is not None
    ledger.finish(claim, {"results": {}, "objects": []})
    pipeline.advance(file.id)
    assert ledger.get(file.id).state is State.COMPLETED


def test_an_upload_does_not_fail_by_a_step_that_another_attempt_makes_or_has_made(
    ledger: Ledger, staging: DiskStorage
) -> None:
    """Whoever gives it up is late: while somebody is at it, it is asked again later."""
    pipeline = Pipeline(ledger, queue=InlineQueue())
    pipeline.process("*", Copies())
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    pipeline.advance(file.id)
    [rule] = pipeline.rules
    job = rule.job(ledger.get(file.id))
    dead = DeadJob(job=job, reason="too late", attempts=3, key="1")
    claim = ledger.claim(file.id, job.processor, job.digest, seconds=60)
    assert claim is not None
    with pytest.raises(Later):
        asyncio.run(pipeline._course.dead(dead))
    ledger.finish(claim, {"results": {}, "objects": []})
    asyncio.run(pipeline._course.dead(dead))
    assert ledger.get(file.id).state is State.PROCESSING


def test_nobody_begins_a_scan_before_the_quarantine_is_written_down(
    ledger: Ledger, staging: DiskStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would remove the copy there that the record is about to name."""
    kept, claims = MemoryStorage(name="quarantine"), list[Claim | None]()

    class Finds:
        name, digest, storages = "scan", "1", (kept,)

        def process(self, job: JobContext) -> None:
            job.intend((kept, "infected"))
            job.intend((job.file.storage, job.file.key), shared=True)
            copy_file(job.file, to=kept, key="infected")
            raise Quarantined("Eicar", moved=(kept.name, "infected"))

    async def amove(upload: str, state: State, **more: Any) -> UploadRecord:
        if state is State.QUARANTINED:
            claims.append(ledger.claim(upload, "scan", "1", seconds=60))
        return await Ledger.amove(ledger, upload, state, **more)

    monkeypatch.setattr(ledger, "amove", amove)
    pipeline = Pipeline(ledger)
    pipeline.process("*", Finds())
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    record = ledger.get(file.id)
    assert claims == [None]
    assert (record.state, record.storage, record.key) == (State.QUARANTINED, "quarantine", "infected")
    assert (keys_of(kept), keys_of(staging)) == (["infected"], [])
    assert ledger.leftovers() == []


def waiting(ledger: Ledger, staging: DiskStorage, processor: Copies, **more: Any) -> tuple[Pipeline, str]:
    """An upload whose step nobody has begun."""
    pipeline = Pipeline(ledger, queue=InlineQueue())
    pipeline.process("*", processor, **options(**more))
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    pipeline.advance(file.id)
    return pipeline, file.id


async def make(pipeline: Pipeline, upload: str, *, steal: bool = False) -> None:
    """One attempt at the first step, whatever the queue thinks of it."""
    [rule, *_] = pipeline.rules

    async def end(verdict: Verdict) -> None:
        pytest.fail(f"it has ended: {verdict}")

    await pipeline._steps.make(
        rule,
        await pipeline.ledger.aget(upload),
        attempt=1,
        steal=steal,
        tell=lambda percent, note: None,
        is_cancelled=lambda: False,
        end=end,
    )


def test_what_was_made_stays_where_a_cancellation_comes_while_the_ledgers_answer_is_lost(
    ledger: Ledger, staging: DiskStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been written down that it is made, and it was."""
    pipeline, upload = waiting(ledger, staging, Copies())
    finish = ledger.finish

    async def main() -> None:
        loop, making = asyncio.get_running_loop(), asyncio.create_task(make(pipeline, upload))

        def finish_unheard(*arguments: Any, **more: Any) -> None:
            finish(*arguments, **more)
            loop.call_soon_threadsafe(making.cancel)
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(10)
            raise LedgerFailed("the connection was lost", retryable=True)

        monkeypatch.setattr(ledger, "finish", finish_unheard)
        with pytest.raises(asyncio.CancelledError):
            await making

    asyncio.run(main())
    [result] = ledger.results(upload)
    assert sorted([ledger.get(upload).key or "", *result.told["results"]["keys"]]) == keys_of(staging)


def test_who_comes_after_one_that_was_overtaken_knows_of_it(ledger: Ledger, staging: DiskStorage) -> None:
    """Also when another attempt has failed meanwhile: the slow one may still write under the first key."""
    seen: list[bool] = []

    def fail_once(job: JobContext) -> None:
        seen.append(job.is_first)
        if len(seen) == 1:
            raise OSError("not yet")

    copies = Copies(fail=fail_once)
    pipeline, upload = waiting(ledger, staging, copies)
    assert ledger.claim(upload, copies.name, copies.digest, seconds=60) is not None  # the slow one's
    with pytest.raises(OSError, match="not yet"):
        asyncio.run(make(pipeline, upload, steal=True))
    asyncio.run(make(pipeline, upload))
    assert seen == [False, False]
    assert len(keys_of(staging)) == 3


def test_of_an_upload_that_is_gone_an_attempt_leaves_nothing(ledger: Ledger, staging: DiskStorage) -> None:
    """Not its claim either, though others had it before."""

    def delete(job: JobContext) -> None:
        pipeline.delete(job.record.id)
        raise OSError("it is gone")

    copies = Copies(fail=delete)
    pipeline, upload = waiting(ledger, staging, copies)
    assert ledger.claim(upload, copies.name, copies.digest, seconds=60) is not None
    with pytest.raises(OSError, match="it is gone"):
        asyncio.run(make(pipeline, upload, steal=True))
    assert (ledger.leftovers(), keys_of(staging)) == ([], [])


@pytest.mark.parametrize("attempts", [1, 2])
def test_what_is_stale_is_removed_by_another_attempt_or_holds_nothing_up(
    ledger: Ledger, staging: DiskStorage, attempts: int
) -> None:
    """The step itself is made by then, and is not made again."""
    copies = Copies()
    pipeline, upload = waiting(ledger, staging, copies, attempts=attempts)
    put(staging, "stale", b"hello")
    claim = ledger.claim(upload, copies.name, "another", seconds=60)
    assert claim is not None
    ledger.finish(claim, {"results": {}, "objects": [[staging.name, "stale"]]})
    delete, failures = staging.delete, [StorageFailed("not now", storage="staging")]

    def delete_later(key: str) -> None:
        if failures:
            raise failures.pop()
        delete(key)

    staging.delete = delete_later  # type: ignore[method-assign]
    with nullcontext() if attempts == 1 else pytest.raises(StorageFailed):
        asyncio.run(make(pipeline, upload))
    assert "stale" in keys_of(staging)
    asyncio.run(make(pipeline, upload))
    assert "stale" not in keys_of(staging)
    assert [result.digest for result in ledger.results(upload)] == [copies.digest]
    assert copies.made == 1


@pytest.mark.parametrize("error", [QueueFailed(retryable=True), LedgerFailed("busy", retryable=True)], ids=repr)
def test_a_step_that_is_made_has_not_failed_where_the_next_one_cannot_be_begun(
    ledger: Ledger, staging: DiskStorage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """That is put off, however few attempts there are."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    pipeline = Pipeline(ledger)
    here, failures = pipeline._here, [error]
    here._sleep = sleep
    add = here.aadd

    async def aadd(*jobs: Job) -> None:
        if jobs[0].processor == "second" and failures:
            raise failures.pop()
        await add(*jobs)

    monkeypatch.setattr(here, "aadd", aadd)
    first = Copies("first")
    pipeline.process("*", first, Copies("second"), **options(attempts=1))
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    assert (pipeline.status(file.id).state, first.made, failures) == (State.COMPLETED, 1, [])
    assert waits == [LATER_SECONDS]


def test_an_error_of_the_ledgers_that_means_something_else_is_a_failed_attempt(
    ledger: Ledger, staging: DiskStorage
) -> None:
    """The upload is there, and nobody else is at it: somebody is to hear why it does not go on."""
    pipeline = Pipeline(ledger)
    attempts: list[int] = []

    @pipeline.process("*", attempts=2, backoff=NO_WAIT)
    def again(record: UploadRecord, job: JobContext) -> None:
        attempts.append(job.attempt)
        pipeline.retry(record.id)

    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    record = ledger.get(file.id)
    assert (record.state, attempts) == (State.FAILED, [1, 2])
    assert (record.reason or "").startswith("again: UploadChanged: the upload is processing")


def test_an_upload_without_bytes_fails_where_it_is_to_be_processed_again(ledger: Ledger, staging: DiskStorage) -> None:
    """A scan has had them removed."""

    def find(job: JobContext) -> None:
        raise Quarantined("Eicar")

    pipeline = Pipeline(ledger)
    pipeline.process("*", Copies(fail=find), **options(attempts=1))
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    ledger.move(file.id, State.PROCESSING)
    pipeline.advance(file.id)
    eventually(lambda: ledger.get(file.id).state is State.FAILED)  # what tells of it may be at it already
    assert "has no bytes" in (ledger.get(file.id).reason or "")


def test_a_cancellation_leaves_no_claim(ledger: Ledger, staging: DiskStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it comes while the step is being claimed."""
    pipeline, upload = waiting(ledger, staging, Copies())
    claim = ledger.claim

    async def main() -> None:
        loop, making = asyncio.get_running_loop(), asyncio.create_task(make(pipeline, upload))

        def claim_slowly(*arguments: Any, **more: Any) -> Claim | None:
            claimed = claim(*arguments, **more)
            loop.call_soon_threadsafe(making.cancel)
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(10)
            return claimed

        monkeypatch.setattr(ledger, "claim", claim_slowly)
        monkeypatch.setattr(ledger, "aclaim", lambda *given, **more: in_thread(claim_slowly, *given, **more))
        with pytest.raises(asyncio.CancelledError):
            await making
        monkeypatch.undo()
        await make(pipeline, upload)

    asyncio.run(main())
    assert len(ledger.results(upload)) == 1


def test_a_cancellation_is_heard_while_a_claim_is_renewed(
    ledger: Ledger, staging: DiskStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of a step the renewal is waited for, and no more than that."""
    pipeline, upload = waiting(ledger, staging, Copies())
    claim = ledger.claim(upload, "copies", "d", seconds=60)
    assert claim is not None
    monkeypatch.setattr(steps, "RENEW_SECONDS", 0)

    async def main() -> None:
        loop, began, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def wait() -> None:
            loop.call_soon_threadsafe(began.set)
            go_on.wait(10)

        monkeypatch.setattr(ledger, "aextend", lambda *given, **more: in_thread(wait))

        async def held() -> None:
            async with pipeline._steps._held(claim):
                await began.wait()

        holding = asyncio.create_task(held())
        await began.wait()
        await asyncio.sleep(0)  # and now it waits for the renewal
        holding.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await holding

    asyncio.run(main())
