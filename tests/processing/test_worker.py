"""The command `uploadkit worker`, as a process among others: how it begins, ends, and is killed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.processing.misbehaving import ATTEMPTS, built
from tests.processing.pipelines import Copies, keys_of, sent
from tests.processing.servers import ROOT, eventually
from tests.processing.test_children import lives

from uploadkit.cli import main
from uploadkit.errors import QueueFailed
from uploadkit.processing import worker
from uploadkit.processing.app import AppNotFound, load_app
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.queue import CONCURRENCY, Counts
from uploadkit.processing.steps import Apart
from uploadkit.processing.worker import shares_of, work
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import Accepted, WorkerRecord
from uploadkit.storage import event_loop
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.threads import in_own_thread
from uploadkit.testing import assert_no_leaks

SECONDS = 60

pytestmark = pytest.mark.needs("linux")


@dataclass
class Place:
    """Where a worker does its jobs, and leaves what it has done."""

    folder: Path
    queue: BullMQQueue
    url: str
    workers: list[subprocess.Popen[str]] = field(default_factory=list)

    def begin(self, *words: object) -> subprocess.Popen[str]:
        env = os.environ | {
            "UPLOADKIT_TEST_FOLDER": str(self.folder),
            "UPLOADKIT_TEST_URL": self.url,
            "UPLOADKIT_TEST_PREFIX": self.queue._prefix,
        }
        command = [sys.executable, "-m", "uploadkit", "worker", "--app", "tests.processing.worker_app:pipeline"]
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen([*command, *map(str, words)], cwd=ROOT, env=env, stderr=log, text=True)
        self.workers.append(process)
        return process

    def add(self, function: str, upload: str) -> None:
        """An upload, which the worker hears of by the ledger."""
        with self.ledger() as ledger:
            ledger.add(upload, field="file", filename=function, content_type="image/png")
            ledger.accept(
                [
                    Accepted(
                        upload=upload,
                        filename=function,
                        content_type="image/png",
                        size=5,
                        sha256=None,
                        storage="memory",
                        key="a.png",
                    )
                ]
            )

    def results(self, upload: str) -> list[Any]:
        with self.ledger() as ledger:
            return [result.told["results"] for result in ledger.results(upload)]

    def ledger(self) -> closing[Ledger]:
        return closing(Ledger(f"sqlite:///{self.folder / 'uploads.db'}"))

    def told(self, name: str) -> int:
        """The process that a function has named, once it has."""
        path = self.folder / name
        eventually(lambda: path.exists() and path.read_text(), seconds=SECONDS)
        return int(path.read_text())

    @property
    def counts(self) -> Counts:
        return event_loop.wait_for(self.queue.counts(["images"]))["images"]

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def known(self) -> list[WorkerRecord]:
        with self.ledger() as ledger:
            return ledger.workers()


@pytest.fixture
def place(tmp_path: Path, valkey_queue: BullMQQueue, valkey_url: str) -> Iterator[Place]:
    place = Place(tmp_path, valkey_queue, valkey_url)
    yield place
    for process in place.workers:
        process.kill()
        process.wait()


# Its end


def test_a_worker_that_is_told_to_end_finishes_its_job(place: Place) -> None:
    """It has said that it lives, and says that it ends; its child goes with it, and nothing is logged as wrong."""
    process = place.begin("--queues", "images,videos", "--heartbeat", place.folder / "alive")
    place.add("wait_for_go", "one")
    child = place.told("one.pid")
    [known] = place.known
    assert (known.pid, known.queues) == (process.pid, ("images", "videos"))
    assert (place.folder / "alive").exists()
    assert (place.folder / "forwarded").exists()
    process.send_signal(signal.SIGTERM)
    (place.folder / "go").touch()
    assert process.wait(SECONDS) == 0
    assert place.results("one") == [{"done": True}]
    assert place.counts == Counts(completed=1)
    assert place.known == []
    assert not lives(child)
    assert f"worker {process.pid} begins with images=5, videos=1" in place.log
    assert f"worker {process.pid} ends" in place.log
    assert "at job one-wait_for_go-d1 of images: done" in place.log
    assert "WARNING" not in place.log
    assert "Traceback" not in place.log


def test_a_job_that_is_not_done_in_time_is_handed_back(place: Place) -> None:
    """It is begun elsewhere at once, and its process is gone."""
    process = place.begin("--grace", "0.1")
    place.add("hang_here", "one")
    child = place.told("one.pid")
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 0
    assert not lives(child)
    counts = place.counts
    assert counts.waiting + counts.delayed == 1
    assert counts.active == counts.failed == 0


def test_a_second_signal_ends_it_at_once(place: Place) -> None:
    """Whatever grace it had. What it was at is handed back all the same."""
    process = place.begin("--grace", "600")
    place.add("hang_here", "one")
    child = place.told("one.pid")
    process.send_signal(signal.SIGTERM)
    eventually(lambda: "is told to end" in place.log)
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 128 + signal.SIGINT
    assert not lives(child)
    assert place.counts.waiting + place.counts.delayed == 1
    assert place.known == []


def test_a_thread_that_does_not_end_does_not_keep_the_worker(place: Place) -> None:
    """Its job was handed back."""
    process = place.begin("--grace", "0.1")
    place.add("hang_in_a_thread", "one")
    assert place.told("one.pid") == process.pid
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 0
    assert "still being done" in place.log
    assert place.known == []
    assert place.counts.completed == place.counts.failed == 0


def test_nothing_outlives_a_worker_that_is_killed(place: Place) -> None:
    """Neither a child at work, nor what was begun in it, nor a child that waits for a call."""
    process = place.begin("--concurrency", "images=2")
    (place.folder / "go").touch()
    place.add("wait_for_go", "one")
    place.add("wait_for_go", "two")
    idle = {place.told("one.pid"), place.told("two.pid")}
    eventually(lambda: place.results("one") and place.results("two"), seconds=SECONDS)
    place.add("fork_and_hang", "three")
    pids = idle | {place.told("three.pid"), place.told("three.left")}
    process.kill()
    process.wait()
    eventually(lambda: not any(lives(pid) for pid in pids))


# Its beginning


def test_an_application_that_is_none_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As by the other commands, which `test_cli_upkeep` goes through: nothing of it is lost in a traceback."""
    (tmp_path / "broken.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(["worker", "--app", "broken:pipeline"]) == 2
    told = capsys.readouterr().err
    assert "module 'broken' cannot be imported: ZeroDivisionError: division by zero" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--queues", "imges"],
        ["--queues", ","],
        ["--concurrency", "images"],
        ["--concurrency", "images=0"],
        ["--queues", "images", "--concurrency", "videos=1"],
        ["--grace", "-1"],
        ["--grace", "nan"],
        ["--metrics", "port"],
        ["--metrics", ":9100"],
        ["--metrics", "65536"],
    ],
)
def test_words_that_are_wrong_are_told(words: list[str], shop: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is connected to."""
    with pytest.raises(SystemExit) as ended:
        main(["worker", "--app", "shop:pipeline", *words])
    assert ended.value.code == 2
    assert "uploadkit worker: error:" in capsys.readouterr().err


def test_a_pipeline_without_a_queue_has_nothing_for_a_worker(shop: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """It does everything in the request."""
    assert main(["worker", "--app", "shop:alone"]) == 2
    assert "shop:alone has no queue" in capsys.readouterr().err


def test_a_ledger_of_another_version_ends_the_worker(
    shop: Stand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it takes a job, which would fail for that alone."""
    with closing(Ledger(f"sqlite:///{tmp_path / 'uploads.db'}")) as before:
        before.migrate()
    with closing(sqlite3.connect(tmp_path / "uploads.db")) as database:
        database.execute("UPDATE uploadkit_version SET version_num = '9999'")
        database.commit()
    assert main(["worker", "--app", "shop:pipeline"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("uploadkit: the ledger is of a newer version of uploadkit: 9999")
    assert not shop.has_begun.is_set()


def test_the_current_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does for servers of web applications."""
    (tmp_path / "here_first.py").write_text(
        "from uploadkit.processing.pipeline import Pipeline\n"
        "from uploadkit.records.ledger import Ledger\n"
        "pipeline = Pipeline(Ledger())"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert load_app("here_first:pipeline") is sys.modules["here_first"].pipeline
    assert sys.path[0] == str(tmp_path)
    with pytest.raises(AppNotFound):
        load_app(":pipeline")
    sys.modules.pop("here_first")


# In a process of one's own


class Book(Ledger):
    """Counts the calls that say that a worker lives, of which the first so many fail."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.beats = self.failures = self.retired = 0
        vars(self).update(abeat=self._beat, aretire=self._retire)  # they are final

    async def _beat(self, worker: WorkerRecord) -> WorkerRecord:
        self.beats += 1
        if self.beats <= self.failures:
            raise OSError("no database")
        return await Ledger.abeat(self, worker)

    async def _retire(self, worker_id: str) -> None:
        await Ledger.aretire(self, worker_id)
        self.retired += 1


class Stand(Pipeline):
    """Its work is to wait until `is_enough`, or until it is told to end."""

    def __init__(self, folder: Path) -> None:
        self.book = Book(f"sqlite:///{folder}/uploads.db")
        super().__init__(self.book, queue=InlineQueue())
        self.process("*", Copies("read"))
        self.process("*", Copies("write"), queue="letters")
        self.concurrency: Mapping[str, int] = {}
        self.forwarded = 0
        self.has_begun = asyncio.Event()
        self.is_enough: Callable[[], bool] = lambda: False

    async def work(
        self,
        *,
        concurrency: Mapping[str, int] = CONCURRENCY,
        until: asyncio.Event,
        grace_seconds: float = 20,
        apart: Apart | None = None,
    ) -> None:
        self.concurrency = concurrency
        assert apart is None
        self.has_begun.set()
        while not (until.is_set() or self.is_enough()):  # noqa: ASYNC110  it is a condition of several things
            await asyncio.sleep(0.001)

    async def aforward(self, *, limit: int = 50) -> int:
        self.forwarded += 1
        return await super().aforward(limit=limit)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with closing(Stand(tmp_path)) as stand:
        yield stand


@pytest.fixture
def shop(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """In a module of an application: `shop:pipeline`, and beside it `shop:alone`, which has no queue."""
    module = ModuleType("shop")
    vars(module).update(pipeline=stand, alone=Pipeline(stand.ledger))
    monkeypatch.setitem(sys.modules, "shop", module)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return stand


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "BEAT_SECONDS", 0.001)
    monkeypatch.setattr(worker, "FORWARD_SECONDS", 0.001)


def test_which_queues_and_how_many_jobs(stand: Stand) -> None:
    """All that jobs go to, unless some are named; one at a time, where nothing is known of a queue."""
    assert shares_of(stand) == {**CONCURRENCY, "letters": 1}
    assert shares_of(stand, ["letters", "images"], {"images": 2}) == {"letters": 1, "images": 2}
    with pytest.raises(ValueError, match="nothing goes to a queue 'lettres'"):
        shares_of(stand, ["lettres"])
    with pytest.raises(ValueError, match="'videos' is not: images"):
        shares_of(stand, ["images"], {"videos": 2})
    with pytest.raises(ValueError, match="at least one job"):
        shares_of(stand, None, {"videos": 0})
    with pytest.raises(ValueError, match="at least one queue"):
        shares_of(stand, [])


def test_a_worker_says_that_it_lives_and_forwards(stand: Stand, tmp_path: Path, often: None) -> None:
    """Again and again, and at the end that it ends."""
    stand.is_enough = lambda: stand.book.beats > 3 and stand.forwarded > 3 and (tmp_path / "alive").exists()

    async def run() -> None:
        async with assert_no_leaks():
            await work(stand, until=asyncio.Event(), heartbeat=tmp_path / "alive")
            stand.close()

    asyncio.run(asyncio.wait_for(run(), SECONDS))
    assert stand.book.retired == 1
    assert stand.ledger.workers() == []
    assert stand.concurrency == {**CONCURRENCY, "letters": 1}


def test_what_cannot_be_told_is_logged_once_and_again_when_it_can(
    stand: Stand, often: None, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that is away for an hour does not fill the log, and the work goes on."""
    stand.book.failures = 5
    stand.is_enough = lambda: stand.book.beats > 7
    with caplog.at_level(logging.INFO, "uploadkit.processing"):
        asyncio.run(asyncio.wait_for(work(stand, until=asyncio.Event()), SECONDS))
    said = [record.getMessage() for record in caplog.records]
    assert sum("failed to tell the ledger that it lives: OSError: no database" in text for text in said) == 1
    assert sum("is able again to tell the ledger" in text for text in said) == 1


def test_a_worker_that_is_cancelled_ends_all_it_began(stand: Stand) -> None:
    """And says that it ends."""

    async def run() -> None:
        async with assert_no_leaks():
            working = asyncio.create_task(work(stand, until=asyncio.Event()))
            await stand.has_begun.wait()
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
            stand.close()

    asyncio.run(asyncio.wait_for(run(), SECONDS))
    assert stand.book.retired == 1
    assert stand.ledger.workers() == []


def test_a_subscriber_that_hangs_does_not_keep_the_worker(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fact is told again by another one."""
    monkeypatch.setattr(worker, "LAST_SECONDS", 0.001)
    hangs, go_on = threading.Event(), threading.Event()

    async def forward() -> None:
        hangs.set()
        await in_own_thread(go_on.wait)

    monkeypatch.setattr(stand, "aforward", forward)
    stand.is_enough = hangs.is_set
    late = threading.Timer(SECONDS, go_on.set)
    late.start()

    async def run() -> None:
        await work(stand, until=asyncio.Event())
        assert not go_on.is_set()
        go_on.set()

    asyncio.run(run())
    late.cancel()
    assert stand.book.retired == 1


class Starting(InlineQueue):
    """Does not answer to the first calls, as long as its server starts."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    async def counts(self, queues: Sequence[str]) -> Mapping[str, Counts]:
        self.failures -= 1
        if self.failures >= 0:
            raise QueueFailed(retryable=True)
        return await super().counts(queues)


def test_a_worker_waits_for_a_queue_that_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """But not for ever."""
    queue = Starting(2)
    asyncio.run(worker._answering(queue, ["images"], asyncio.Event()))
    assert queue.failures == -1
    monkeypatch.setattr(worker, "START_SECONDS", 0)
    with pytest.raises(QueueFailed):
        asyncio.run(worker._answering(Starting(9), ["images"], asyncio.Event()))


# With a pipeline


def test_functions_that_go_wrong_fail_their_uploads_alone(
    tmp_path: Path, valkey_queue: BullMQQueue, valkey_url: str
) -> None:
    """After their attempts, with a reason that people can read; the worker lives, the next job runs, and nothing that
    was made in vain is left."""
    where = (str(tmp_path), valkey_url, valkey_queue._prefix)
    (tmp_path / "shop.py").write_text(
        f"from tests.processing.misbehaving import built\npipeline, upload = built(*{where!r})\n"
    )
    pipeline, upload = built(*where)
    reasons = {
        "raise": (State.FAILED, "act: KeyError: 'a mistake'"),
        "refuse": (State.REJECTED, "too ugly"),
        "hang": (State.FAILED, "act: took longer than 5 s"),
        "leak": (State.FAILED, "act: used more than 128 MiB"),
        "exit": (State.FAILED, "act: ended with exit status 7"),
        "crash": (State.FAILED, "act: was killed by signal 6"),
        "fine": (State.COMPLETED, None),
    }
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "uploadkit", "worker", "--app", "shop:pipeline", "--queues", "documents"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=log,
        )
    try:
        files = sent(upload, *(what.encode() for what in reasons))
        ids = [file.id for file in files]
        eventually(lambda: all(pipeline.ledger.get(each).is_settled for each in ids), seconds=120)
        records = [pipeline.ledger.get(each) for each in ids]
        assert {what: (r.state, r.reason) for what, r in zip(reasons, records, strict=True)} == reasons
        dead = asyncio.run(valkey_queue.dead("documents"))
        assert [each.attempts for each in dead] == [ATTEMPTS] * 5
        fine = pipeline.status(ids[-1])
        assert fine.results["act"]["what"] == "fine"
        assert fine.results["act"]["pid"] != process.pid
        media = pipeline.storages["media"]
        assert isinstance(media, DiskStorage)
        assert keys_of(media) == sorted([fine.results["act"]["key"], fine.record.key or ""])
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        pipeline.close()
