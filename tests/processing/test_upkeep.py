"""What is left when processes die and storages fail, made by dying and failing, and what a sweep makes of it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.processing.pipelines import Copies, Heard, keys_of, sent
from tests.processing.servers import eventually, line_of, running
from tests.records.ledgers import Clock
from tests.storage.kinds import NamedDiskStorage, put

from uploadkit.errors import QueueFailed, StorageFailed
from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.overlap import Overlap
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processor import JobContext, Quarantined
from uploadkit.processing.queue import Job
from uploadkit.processing.upkeep import MOST_FAILURES, Swept, sweep
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import UploadRecord, WorkerRecord
from uploadkit.storage.contract import StoredObject
from uploadkit.storage.disk import DiskStorage
from uploadkit.testing import FailingStorage
from uploadkit.uploader import Uploader

DAY = 86400


@dataclass(kw_only=True)
class Site:
    """An application in a folder: where uploads are received and where they stay, and what time it is there."""

    folder: Path
    clock: Clock
    ledger: Ledger
    staging: DiskStorage
    media: DiskStorage

    def pipeline(self, **more: Any) -> Pipeline:
        """As another process has it."""
        options: dict[str, Any] = {"storage": self.media, "storages": [self.staging]}
        return Pipeline(self.ledger, **options | more)

    def sweep(self, pipeline: Pipeline | None = None, **more: Any) -> Swept:
        return sweep(pipeline or self.pipeline(), now=self.clock, **more)

    def all_of_it(self) -> tuple[list[str], dict[str, bytes]]:
        """Every row of the ledger, and every file of the storages."""
        with sqlite3.connect(self.folder / "uploads.db") as database:
            rows = list(database.iterdump())
        database.close()
        files = [path for root in ("staging", "media") for path in (self.folder / root).rglob("*") if path.is_file()]
        return rows, {str(path): path.read_bytes() for path in files}

    def objects(self) -> list[str]:
        return [*keys_of(self.staging), *keys_of(self.media)]


@pytest.fixture
def site(tmp_path: Path, pipelines_end: list[Ledger]) -> Site:
    clock = Clock()
    clock.now = datetime.now(UTC)  # that of the files
    ledger = Ledger(f"sqlite:///{tmp_path}/uploads.db", now=clock)
    ledger.migrate()
    pipelines_end.append(ledger)
    return Site(
        folder=tmp_path,
        clock=clock,
        ledger=ledger,
        staging=NamedDiskStorage(tmp_path / "staging", name="staging"),
        media=DiskStorage(tmp_path / "media", name="media"),
    )


PROCESS = """
import sys
from tests.processing.pipelines import Copies, form
from tests.storage.kinds import NamedDiskStorage
from uploadkit.intake.blocking import receive
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.storage.disk import DiskStorage
from uploadkit.uploader import Uploader

folder, moment = sys.argv[1:]

def reached(where, *_):
    if where == moment:
        print(where, flush=True)
        sys.stdin.readline()

class Watched(Pipeline):
    def accept(self, files):
        reached("stored")
        super().accept(files)

def blocks(body):
    yield body[: len(body) // 2]
    reached("receiving")
    yield body[len(body) // 2 :]

media = DiskStorage(f"{folder}/media", name="media")
staging = NamedDiskStorage(f"{folder}/staging", name="staging")
pipeline = Watched(Ledger(f"sqlite:///{folder}/uploads.db"), storage=media, storages=[staging])
pipeline.process("*", Copies(fail=lambda job: reached("processing")))
sent = form(b"x" * 500_000)
receive(Uploader(staging, pipeline=pipeline).any(), sent.content_type, blocks(sent.body))
"""


def killed(site: Site, moment: str, *, days: int = 2) -> str:
    """A process that receives an upload is killed: the id of that. Then so many days go by."""
    with running(PROCESS, site.folder, moment) as process:
        assert line_of(process) == moment
    [record] = site.ledger.find()
    site.clock.forward(days * DAY)
    return record.id


def would(site: Site) -> Swept:
    """What a dry run says, which changes nothing."""
    before = site.all_of_it()
    swept = site.sweep(dry_run=True, orphans=True, forget_after_seconds=90 * DAY)
    assert site.all_of_it() == before
    assert swept.are_orphans_kept
    return swept


def idle(pipeline: Pipeline) -> None:
    """It has told everything, and tells nothing of what other pipelines do."""
    eventually(lambda: not pipeline._forwarder.is_running and not pipeline.ledger.untold())


def described(site: Site, pipeline: Pipeline, *contents: bytes, **said: Any) -> list[str]:
    """Uploads that were received and processed, of which the application said something."""
    files = sent(Uploader(site.staging, pipeline=pipeline), *contents)
    for file in files:
        pipeline.describe(file.id, **said)
    idle(pipeline)
    return [file.id for file in files]


def queued(site: Site, pipeline: Pipeline, *contents: bytes) -> list[str]:
    """Uploads that wait in the pipeline's queue."""
    uploads = [file.id for file in sent(Uploader(site.staging, pipeline=pipeline), *contents)]
    for upload in uploads:
        pipeline.advance(upload)
    idle(pipeline)
    return uploads


def soon(site: Site) -> datetime:
    return site.clock.now + timedelta(hours=1)


def test_an_upload_that_was_killed_while_it_came_is_ended(site: Site) -> None:
    """Its record is expired, its file in staging is gone; the next sweep finds nothing."""
    upload = killed(site, "receiving")
    assert (site.ledger.get(upload).state, len(site.staging.in_staging())) == (State.RECEIVING, 1)
    staged = [f"staging: {name}" for name in site.staging.in_staging()]
    assert would(site).names == {"staging": staged, "unended": [upload]}
    swept = site.sweep()
    assert replace(swept, names={}) == Swept(staging=1, unended=1)
    assert swept.names == {"unended": [upload]}
    record = site.ledger.get(upload)
    assert (record.state, record.reason, record.key) == (State.EXPIRED, "its upload never ended", None)
    assert (site.staging.in_staging(), site.objects()) == ([], [])
    assert site.sweep() == Swept()


def test_an_upload_that_was_killed_before_it_was_accepted_is_ended(site: Site) -> None:
    """Its object is visible under the key that its record told before."""
    upload = killed(site, "stored")
    assert len(keys_of(site.staging)) == 1
    assert would(site).names == {"unended": [upload]}
    assert site.sweep().unended == 1
    assert (site.ledger.get(upload).state, site.objects()) == (State.EXPIRED, [])


def test_a_step_that_was_killed_is_made_again(site: Site) -> None:
    """What its process had made is gone, and what stands is whole."""
    upload = killed(site, "processing")
    assert site.ledger.get(upload).state is State.PROCESSING
    assert would(site).names == {"stuck": [upload]}
    pipeline = site.pipeline()
    pipeline.process("*", Copies())
    heard = Heard(pipeline)
    swept = site.sweep(pipeline)
    assert (swept.stuck, swept.failures) == (1, 0)
    status = pipeline.status(upload)
    assert status.state is State.COMPLETED
    assert keys_of(site.media) == sorted([*status.results["copies"]["keys"], pipeline.file(upload).key])
    assert keys_of(site.staging) == []
    assert heard.names() == ["file.uploaded", "file.processed"]


def test_what_a_killed_step_has_made_of_an_upload_that_is_gone_by_now_is_removed(site: Site) -> None:
    """It is known by the announcement alone."""
    upload = killed(site, "processing", days=0)
    pipeline = site.pipeline()
    pipeline.delete(upload)  # while somebody may still be at it, for all that the ledger knows
    idle(pipeline)
    assert len(site.objects()) == 1
    assert site.sweep().unfinished == 0
    site.clock.forward(2 * DAY)
    assert would(site).names == {"unfinished": [f"{upload}: copies"]}
    swept = site.sweep()
    assert (swept.unfinished, swept.names["unfinished"]) == (1, [f"{upload}: copies"])
    assert (site.objects(), site.ledger.leftovers()) == ([], [])
    assert site.sweep() == Swept()


def test_what_somebody_is_at_is_left_alone(site: Site) -> None:
    """A claim that is not over: who has it may still finish, or remove what he made."""
    pipeline = site.pipeline()
    [upload] = described(site, pipeline, b"hello")
    claim = site.ledger.claim(upload, "copies", "d", seconds=5 * DAY)
    assert claim is not None
    site.ledger.intend(claim, {"objects": [["media", put(site.media, "made")]]})
    site.clock.forward(2 * DAY)
    assert site.sweep(orphans=True).unfinished == 0
    assert "made" in keys_of(site.media)


def test_live_and_young_uploads_are_not_touched(site: Site) -> None:
    """One that arrives, one that is stored and waits for its handler, one that is processed, all of them of today."""
    moments = ("receiving", "stored", "processing")
    with ExitStack() as stack:
        processes = [stack.enter_context(running(PROCESS, site.folder, moment)) for moment in moments]
        assert tuple(map(line_of, processes)) == moments
        before = site.ledger.find(), site.all_of_it()[1]
        swept = site.sweep(site.pipeline(queue=InlineQueue()), orphans=True)
        assert (site.ledger.find(), site.all_of_it()[1]) == before
        assert replace(swept, told=0) == Swept(are_orphans_kept=False)
        for process in processes:
            process.communicate("\n", timeout=60)
        assert [process.returncode for process in processes] == [0, 0, 0]
    assert [record.state for record in site.ledger.find()] == [State.COMPLETED] * 3


def test_the_staging_of_a_live_upload_is_kept_however_old_it_is(site: Site) -> None:
    """Its process has it locked. Its record is over: the upload is told so when it ends."""
    with running(PROCESS, site.folder, "receiving") as process:
        assert line_of(process) == "receiving"
        site.clock.forward(2 * DAY)
        assert site.sweep().staging == 0
        assert len(site.staging.in_staging()) == 1
        _, _ = process.communicate("\n", timeout=60)
        assert process.returncode != 0
    assert (site.objects(), site.staging.in_staging()) == ([], [])
    [record] = site.ledger.find()
    assert record.state is State.EXPIRED


def test_uploads_whose_time_is_over_go_with_all_that_was_made_of_them(site: Site) -> None:
    """It is told, once; others stay."""
    pipeline = site.pipeline()
    pipeline.process("*", Copies())
    gone = described(site, pipeline, b"one", b"two", expires_at=soon(site))
    [stays] = described(site, pipeline, b"three")
    assert site.sweep(pipeline).expired == 0
    site.clock.forward(2 * 3600)
    heard = Heard(pipeline)
    assert site.sweep(pipeline).expired == 2
    assert site.sweep(pipeline) == Swept()
    assert sorted(fact.upload for fact in heard.facts if fact.name == "file.deleted") == sorted(gone)
    assert {site.ledger.get(upload).state for upload in gone} == {State.EXPIRED}
    status = pipeline.status(stays)
    assert site.objects() == sorted([*status.results["copies"]["keys"], pipeline.file(stays).key])


def test_an_upload_that_is_given_more_time_at_that_moment_stays(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at its time and its end."""
    pipeline = site.pipeline()
    [upload] = described(site, pipeline, b"hello", expires_at=soon(site))
    site.clock.forward(2 * 3600)
    later = soon(site)
    move = Ledger.move

    def slow(ledger: Ledger, *args: Any, **said: Any) -> UploadRecord:
        pipeline.describe(upload, expires_at=later)
        return move(ledger, *args, **said)

    monkeypatch.setattr(Ledger, "move", slow)
    assert site.sweep(pipeline) == Swept()
    assert (site.ledger.get(upload).state, site.ledger.get(upload).expires_at) == (State.COMPLETED, later)
    assert pipeline.file(upload).read() == b"hello"


def test_bytes_that_could_not_be_removed_go_with_the_next_sweep(site: Site) -> None:
    """An upload was deleted while its storage failed."""
    [upload] = described(site, site.pipeline(), b"hello")
    failing = FailingStorage(site.media, after=0, on="delete")
    with pytest.raises(StorageFailed):
        site.pipeline(storage=failing).delete(upload)
    assert (site.ledger.get(upload).state, len(site.objects())) == (State.DELETED, 1)
    assert site.sweep().unremoved == 0  # somebody may be at it
    site.clock.forward(3600)
    assert site.sweep().unremoved == 1
    assert (site.objects(), site.ledger.get(upload).key) == ([], None)
    assert site.sweep() == Swept()


class Infected:
    """Finds every upload infected. `then` is called before it says so."""

    name, digest = "scan", "1"

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self._then = then

    def process(self, job: JobContext) -> None:
        self._then()
        raise Quarantined("EICAR")


@pytest.mark.parametrize("is_deleted", [False, True])
def test_what_was_made_of_an_infected_upload_goes_with_a_later_sweep(site: Site, is_deleted: bool) -> None:
    """The storage failed when it was found infected, and when it was deleted then."""
    failing = FailingStorage(site.media, after=0, on="delete")
    pipeline = site.pipeline(storage=failing)
    pipeline.process("*", Copies(), Infected())
    [upload] = described(site, pipeline, b"infected")
    assert site.ledger.get(upload).state is State.QUARANTINED
    if is_deleted:
        with pytest.raises(StorageFailed):
            site.pipeline(storage=FailingStorage(site.media, after=0, on="delete")).delete(upload)
    made = len(keys_of(site.media))
    assert (made, len(site.ledger.results(upload))) == (2, 1)
    assert site.sweep().unremoved == 0  # somebody may be at it
    site.clock.forward(3600)
    assert site.sweep(dry_run=True).names == {"unremoved": [upload]}
    assert site.sweep().unremoved == 1
    assert (keys_of(site.media), site.ledger.results(upload)) == ([], [])
    site.clock.forward(2 * DAY)
    site.sweep()
    assert (site.objects(), site.sweep()) == ([], Swept())


class Dead(DiskStorage):
    """Removes nothing."""

    def delete(self, key: str) -> None:
        raise StorageFailed("the storage is down", storage=self.name, key=key)


def test_what_fails_is_counted_and_the_rest_is_done(site: Site) -> None:
    """A storage that is down keeps no other part from being done, and is not waited for again and again."""
    pipeline = site.pipeline()
    uploads = described(site, pipeline, *[b"x"] * (MOST_FAILURES + 5), expires_at=soon(site))
    [late] = queued(site, site.pipeline(queue=InlineQueue()), b"late")
    site.clock.forward(3 * 3600)
    dead = Dead(site.folder / "media", name="media")
    swept = site.sweep(site.pipeline(storage=dead, queue=InlineQueue()))
    assert (swept.expired, swept.failures, swept.stuck) == (0, MOST_FAILURES, 1)
    assert swept.names["stuck"] == [late]
    assert sum(site.ledger.get(upload).state is State.EXPIRED for upload in uploads) == MOST_FAILURES
    site.clock.forward(3600)
    swept = site.sweep()
    assert (swept.expired, swept.unremoved, swept.failures) == (5, MOST_FAILURES, 0)
    assert site.objects() == [site.ledger.get(late).key]


def test_uploads_that_the_queue_has_lost_are_handed_to_it_again(site: Site) -> None:
    """Not those that wait there, however long."""
    lost = InlineQueue()
    pipeline = site.pipeline(queue=lost)
    uploads = queued(site, pipeline, b"one", b"two")
    site.clock.forward(3600)
    assert site.sweep(pipeline).stuck == 0
    anew = site.pipeline(queue=InlineQueue())  # as after a broker that forgot
    assert site.sweep(anew, dry_run=True).stuck == 2
    swept = site.sweep(anew)
    assert (swept.stuck, sorted(swept.names["stuck"])) == (2, sorted(uploads))
    assert site.sweep(anew) == Swept()


def test_without_a_queue_nobody_is_waited_for(site: Site) -> None:
    """Another process is at a step, however long: it goes on when that has let go."""
    [upload] = queued(site, site.pipeline(queue=InlineQueue()), b"hello")
    copies = Copies()
    pipeline = site.pipeline()
    pipeline.process("*", copies)
    claim = site.ledger.claim(upload, copies.name, copies.digest, seconds=2 * 3600)
    assert claim is not None
    site.clock.forward(3600)
    assert site.sweep(pipeline).stuck == 0
    site.ledger.give_back(claim)
    assert site.sweep(pipeline).stuck == 1
    assert site.ledger.get(upload).state is State.COMPLETED


def test_a_queue_that_does_not_answer_is_asked_once(site: Site) -> None:
    """The rest is done all the same."""

    class Gone(InlineQueue):
        asked = 0

        async def progress(self, job: Job) -> None:
            Gone.asked += 1
            raise QueueFailed(retryable=True)

        async def aadd(self, *jobs: Job) -> None:
            raise QueueFailed(retryable=True)

    queued(site, site.pipeline(queue=InlineQueue()), b"one", b"two")
    put(site.media, "nobodys")
    site.clock.forward(2 * DAY)
    swept = site.sweep(site.pipeline(queue=Gone()), orphans=True)
    assert (Gone.asked, swept.stuck, swept.failures, swept.orphans) == (1, 0, 1, 1)


def test_objects_of_nobody_are_counted_and_go_where_that_is_asked_for(site: Site) -> None:
    """Uploads, and what was made of them, are somebody's, and so is what is young."""
    pipeline = site.pipeline()
    pipeline.process("*", Copies())
    described(site, pipeline, b"one", b"two")
    whose = site.objects()
    for number in range(3):
        put(site.media, f"nobodys/{number}")
    assert site.sweep(pipeline, orphans=True).orphans == 0
    site.clock.forward(2 * DAY)
    counted = site.sweep(pipeline)
    assert (counted.orphans, counted.are_orphans_kept) == (3, True)
    assert len(site.objects()) == len(whose) + 3
    swept = site.sweep(pipeline, orphans=True)
    assert (swept.orphans, swept.are_orphans_kept) == (3, False)
    assert sorted(swept.names["orphans"]) == [f"media: nobodys/{number}" for number in range(3)]
    assert site.objects() == whose
    assert site.sweep(pipeline, orphans=True).orphans == 0


@pytest.mark.parametrize("is_known", [True, False], ids=["old name known", "old name forgotten"])
def test_uploads_of_a_storage_that_has_another_name_by_now_are_nobodys_orphans(site: Site, is_known: bool) -> None:
    """Their records have the old name."""
    pipeline = site.pipeline(storage=None)
    pipeline.process("*", Copies())
    described(site, pipeline, b"one", b"two")
    whose = keys_of(site.staging)
    put(site.staging, "nobodys")
    site.clock.forward(2 * DAY)
    renamed = DiskStorage(site.folder / "staging", name="renamed")
    anew = site.pipeline(storage=renamed, storages=[site.staging] if is_known else [])
    assert set(site.sweep(anew, dry_run=True, orphans=True).names["orphans"]) >= {"renamed: nobodys"}
    swept = site.sweep(anew, orphans=True)
    assert (swept.orphans, swept.failures) == (1, 0)
    assert keys_of(site.staging) == whose


@pytest.mark.parametrize("where", ["inner", "outer"])
def test_uploads_in_a_folder_of_another_storage_are_nobodys_orphans(site: Site, where: str) -> None:
    """Whether their records name the storage that is the folder, or the one that has it."""
    outer = DiskStorage(site.folder / "media", name="outer")
    inner = DiskStorage(site.folder / "media" / "deep" / "inner", name="inner")
    receiving = {"inner": inner, "outer": outer}[where]
    pipeline = site.pipeline(storage=None, storages=[outer, inner])
    pipeline.process("*", Copies())
    in_inner = Uploader(receiving, pipeline=pipeline, filename=lambda file: f"deep/inner/{file.id}")
    files = sent(in_inner, b"one", b"two")
    idle(pipeline)
    whose = keys_of(outer)
    put(outer, "nobodys")
    put(inner, "nobodys")
    site.clock.forward(2 * DAY)
    swept = site.sweep(pipeline, orphans=True)
    assert (swept.orphans, swept.failures) == (2, 0)
    assert keys_of(outer) == whose
    assert [pipeline.file(file.id).read() for file in files] == [b"one", b"two"]


def test_an_orphan_under_the_key_that_an_upload_has_in_another_storage_goes(site: Site) -> None:
    """They are two objects: such as what was left of a move from the one to the other."""
    pipeline = site.pipeline()
    [upload] = described(site, pipeline, b"hello")
    key = pipeline.file(upload).key
    put(site.staging, key)
    site.clock.forward(2 * DAY)
    assert site.sweep(pipeline, orphans=True).names["orphans"] == [f"staging: {key}"]
    assert (keys_of(site.staging), keys_of(site.media)) == ([], [key])


def test_orphans_that_another_sweep_removes_meanwhile_hide_no_overlap(site: Site) -> None:
    """The object by which it is looked for is gone before it is seen in the other storage."""

    class Slow(DiskStorage):
        def list(self, prefix: str = "") -> Iterator[StoredObject]:
            inner.delete("0")
            return super().list(prefix)

    outer = Slow(site.folder / "media", name="outer")
    inner = DiskStorage(site.folder / "media" / "inner", name="inner")
    pipeline = site.pipeline(storage=None, storages=[outer, inner])
    [file] = sent(Uploader(outer, pipeline=pipeline, filename=lambda file: "inner/1"), b"one")
    idle(pipeline)
    nobodys = StoredObject(key=put(inner, "0"), size=4, modified=site.clock.now)
    overlap = Overlap(pipeline, inner, site.clock.now + timedelta(days=1))
    assert overlap.unknown([nobodys]) == []
    assert overlap.unknown([inner.stat("1")]) == []
    assert pipeline.file(file.id).read() == b"one"


def test_records_of_what_is_over_are_forgotten_in_the_end(site: Site) -> None:
    """With what they have left. Those that are not over are remembered for ever."""

    def fail(job: object) -> None:
        raise OSError("never")

    pipeline = site.pipeline()
    [stays, gone] = described(site, pipeline, b"one", b"two")
    pipeline.delete(gone)
    pipeline.close()  # in the background it would take the next one on, by its own rules
    broken = site.pipeline()
    broken.process("*", Copies(fail=fail), attempts=1)
    [failed] = described(site, broken, b"three")
    assert site.ledger.get(failed).state is State.FAILED
    site.clock.forward(89 * DAY)
    assert site.sweep(forget_after_seconds=90 * DAY).forgotten == 0
    site.clock.forward(2 * DAY)
    assert site.sweep().forgotten == 0
    assert site.sweep(forget_after_seconds=90 * DAY).forgotten == 2
    assert [record.id for record in site.ledger.find()] == [stays]
    assert site.objects() == [site.ledger.get(stays).key]


def test_a_record_whose_bytes_cannot_be_removed_is_not_forgotten(site: Site) -> None:
    """Nobody would know of them any more."""
    [upload] = described(site, site.pipeline(), b"hello")
    dead = site.pipeline(storage=Dead(site.folder / "media", name="media"))
    with pytest.raises(StorageFailed):
        dead.delete(upload)
    site.clock.forward(2 * DAY)
    swept = site.sweep(dead, forget_after_seconds=DAY)
    assert (swept.forgotten, swept.failures) == (0, 2)
    assert site.ledger.get(upload).key is not None
    assert site.sweep(forget_after_seconds=DAY).forgotten == 0  # it has changed just now
    site.clock.forward(2 * DAY)
    assert site.sweep(forget_after_seconds=DAY).forgotten == 1
    assert site.objects() == []


def test_workers_that_died_without_a_word_are_removed(site: Site) -> None:
    """Those that are alive stay."""
    for name in ("dead", "alive"):
        site.ledger.beat(
            WorkerRecord(
                id=name, host="here", pid=1, queues=("images",), began_at=site.clock.now, seen_at=site.clock.now
            )
        )
        site.clock.forward(3600)
    site.clock.forward(-3590)
    assert site.sweep(dry_run=True).workers == 1
    assert site.sweep().workers == 1
    assert [worker.id for worker in site.ledger.workers()] == ["alive"]


def test_sweeps_at_the_same_time_do_each_thing_once(site: Site) -> None:
    """And neither fails."""
    pipeline = site.pipeline()
    pipeline.process("*", Copies())
    uploads = described(site, pipeline, *[b"x"] * 20, expires_at=soon(site))
    heard = Heard(pipeline)
    site.clock.forward(2 * 3600)
    start, done = threading.Barrier(4), list[Swept]()

    def run() -> None:
        start.wait()
        done.append(site.sweep(pipeline))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(swept.expired for swept in done) == len(uploads)
    assert [swept.failures for swept in done] == [0] * 4
    assert site.objects() == []
    told = [fact.upload for fact in heard.facts if fact.name == "file.deleted"]
    assert sorted(told) == sorted(uploads)


def test_more_than_a_page_is_swept_and_progress_is_told(site: Site) -> None:
    """How much is found makes no difference, but to the names, of which there is an end."""
    for number in range(120):
        site.ledger.add(f"u{number}", field="f", filename="a", content_type="text/plain")
    site.clock.forward(2 * DAY)
    told: list[tuple[str, int]] = []
    swept = site.sweep(on_progress=lambda part, count: told.append((part, count)))
    assert swept.unended == 120
    assert told == [("unended", number) for number in range(1, 121)]


def test_times_are_not_negative(site: Site) -> None:
    """Nothing would be too young."""
    with pytest.raises(ValueError, match="not negative"):
        site.sweep(older_than_seconds=-1)
    with pytest.raises(ValueError, match="not negative"):
        site.sweep(forget_after_seconds=-1)
