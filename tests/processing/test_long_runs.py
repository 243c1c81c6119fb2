"""Workers and brokers that are killed in the middle of much work: nothing is lost, and nothing is doubled."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis
from tests.postgres import PostgresServer
from tests.processing.app import Places, built
from tests.processing.pipelines import disks, keys_of
from tests.soak import scaled

from uploadkit.events.facts import FileUploaded
from uploadkit.intake.blocking import receive
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.valkey import ValkeyServer
from uploadkit.records.lifecycle import State
from uploadkit.testing import FormBuilder, sample
from uploadkit.uploader import Uploader

ROOT = Path(__file__).parents[2]

_numbers = itertools.count(1)


class Workers:
    """Processes of `uploadkit worker`, of which one is killed now and then."""

    def __init__(self, places: Places, count: int, *, queues: str) -> None:
        self._places = places
        self._queues = queues
        self._processes = [self._begin() for _ in range(count)]
        self.killed = 0

    def kill_one(self) -> None:
        """With SIGKILL; another one takes its place."""
        process = self._processes.pop(0)
        process.kill()
        process.wait(10)
        self.killed += 1
        self._processes.append(self._begin())

    def end(self) -> None:
        """Gracefully."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            assert process.wait(30) == 0

    def _begin(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "uploadkit", "worker", "--app", "tests.processing.app:pipeline"]
        return subprocess.Popen([*command, "--queues", self._queues], cwd=ROOT, env=os.environ | self._places.environ())


@contextmanager
def workers(places: Places, count: int, *, queues: str) -> Iterator[Workers]:
    running = Workers(places, count, queues=queues)
    try:
        yield running
    finally:
        running.end()


@pytest.fixture(params=["embedded", pytest.param("servers", marks=pytest.mark.needs("postgres"))])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Places]:
    """SQLite and an embedded Valkey; PostgreSQL and a Valkey of its own."""
    if request.param == "embedded":
        yield Places(folder=tmp_path, ledger=f"sqlite:///{tmp_path}/uploads.db")
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    database = server.create()
    yield Places(
        folder=tmp_path,
        ledger=server.url(database),
        queue=request.getfixturevalue("valkey_url"),
        prefix=f"long{next(_numbers)}",
    )
    server.drop(database)


@contextmanager
def app(places: Places) -> Iterator[tuple[Pipeline, Uploader]]:
    """In this process."""
    pipeline, upload = built(places)
    pipeline.ledger.migrate()
    try:
        yield pipeline, upload
    finally:
        pipeline.close()


def send(upload: Uploader, count: int, *, name: str, data: Callable[[int], bytes], at_once: int = 20) -> list[str]:
    """So many files, in several requests."""
    ids = []
    for begin in range(0, count, at_once):
        form = FormBuilder()
        for number in range(begin, min(count, begin + at_once)):
            form = form.file("file", data(number), filename=name)
        ids += [file.id for file in receive(upload.any(), form.content_type, [form.body]).files]
    return ids


def all_completed(pipeline: Pipeline, count: int, *, within: float, meanwhile: Callable[[], object]) -> None:
    """`meanwhile` is called every 5 seconds."""
    until, next_call = time.monotonic() + within, time.monotonic() + 5
    while pipeline.ledger.count() != {State.COMPLETED: count}:
        assert time.monotonic() < until, pipeline.ledger.count()
        if time.monotonic() >= next_call:
            next_call += 5
            meanwhile()
        time.sleep(0.2)


def process_id(url: str) -> int:
    """Of the server there."""
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


@pytest.mark.soak
def test_pictures_while_workers_are_killed(places: Places, record_property: Callable[[str, object], None]) -> None:
    """Every upload ends completed, each variant exists once, and nothing is left in staging."""
    count = scaled(200, at_least=30)
    with app(places) as (pipeline, upload), workers(places, 2, queues="images") as crew:
        begun = time.monotonic()
        ids = send(upload, count, name="a.jpg", data=lambda number: sample("image/jpeg"))
        all_completed(pipeline, count, within=240, meanwhile=crew.kill_one)
        seconds = time.monotonic() - begun
        record_property("figure", f"{count} pictures, {crew.killed} workers killed: completed after {seconds:.0f} s")
        staging, media = disks(places.folder)
        made = [key for each in ids for result in pipeline.ledger.results(each) for _, key in result.told["objects"]]
        originals = [pipeline.file(each).key for each in ids]
        results = Counter(result.processor for each in ids for result in pipeline.ledger.results(each))
        assert results == {"variants": count, "promote": count}
        assert len(set(made)) == len(made) == 2 * count
        assert keys_of(media) == sorted([*made, *originals])
        assert keys_of(staging) == []
        assert list(staging.in_staging()) == []
        while pipeline.ledger.untold():
            pipeline.forward()


@pytest.mark.soak
def test_a_broker_that_is_killed_with_a_thousand_jobs(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """It is started again, and none of the jobs is lost."""
    places, count = Places(folder=tmp_path, ledger=f"sqlite:///{tmp_path}/uploads.db"), scaled(1000, at_least=100)
    with ExitStack() as stack:
        pipeline, upload = stack.enter_context(app(places))
        ids = send(upload, count, name="a.txt", data=lambda number: f"text {number}".encode())
        while pipeline.ledger.untold():
            pipeline.forward()
        os.kill(process_id(ValkeyServer(tmp_path / "queue").url()), signal.SIGKILL)
        stack.enter_context(workers(places, 1, queues="documents"))
        begun = time.monotonic()
        all_completed(pipeline, count, within=240, meanwhile=lambda: None)
        record_property("figure", f"{count} jobs after a killed broker: {time.monotonic() - begun:.0f} s")
        lines = places.effects.read_text().split()
        assert sorted(lines) == sorted(ids)


@pytest.mark.soak
def test_processes_killed_between_record_and_queue(
    places: Places, record_property: Callable[[str, object], None]
) -> None:
    """Each has accepted an upload, and dies before its job is added, or right after. None is lost; what is told again
    after newer ones were done has no effect."""
    rounds = scaled(100, at_least=12)
    with app(places) as (pipeline, _):
        pipeline.close()  # a fork shares no connection
        for number in range(rounds):
            child = subprocess.run(
                [sys.executable, "-m", "tests.processing.doomed", str(number)],
                cwd=ROOT, env=os.environ | places.environ(), timeout=60,
            )  # fmt: skip
            assert child.returncode == -signal.SIGKILL
        with workers(places, 1, queues="documents"):
            all_completed(pipeline, rounds, within=120, meanwhile=lambda: None)
            records = pipeline.ledger.find(state=State.COMPLETED, limit=1000)
            effects = Counter(places.effects.read_text().split())
            assert effects == {record.id: 1 for record in records}
            again = [
                FileUploaded(
                    upload=each.id, filename=each.filename, content_type=each.content_type, size=each.size or 0,
                    storage=each.storage or "", key=each.key or "",
                )
                for each in records
            ]  # fmt: skip
            pipeline.ledger.tell(again)
            while pipeline.ledger.untold():
                pipeline.forward()
            assert pipeline.ledger.count() == {State.COMPLETED: rounds}
        assert Counter(places.effects.read_text().split()) == effects
        record_property("figure", f"{rounds} processes killed between record and queue: nothing lost or doubled")
