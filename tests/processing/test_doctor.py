"""What a doctor sees of pipelines that are well, and of some that are not."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.processing.pipelines import Copies, keys_of, sent, sqlite
from tests.processing.servers import eventually
from tests.records.ledgers import Clock

from uploadkit.errors import QueueFailed, StorageFailed
from uploadkit.events.facts import FileDeleted
from uploadkit.processing import doctor as doctors
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.doctor import Finding, Level, doctor
from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.queue import Counts
from uploadkit.records.ledger import Ledger
from uploadkit.records.record import WorkerRecord
from uploadkit.storage.contract import ObjectInfo, Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FailingStorage, Hang
from uploadkit.uploader import Uploader


def seen(pipeline: Pipeline, name: str, **more: Any) -> list[tuple[str, str]]:
    """Level and text of the findings of this name."""
    return [(finding.level, finding.text) for finding in doctor(pipeline, **more) if finding.name == name]


def wrong(pipeline: Pipeline, **more: Any) -> list[Finding]:
    return [finding for finding in doctor(pipeline, **more) if finding.level is not Level.OK]


def test_a_pipeline_that_is_well(ledger: Ledger, media: DiskStorage) -> None:
    """Nothing is wrong, and nothing of the probes is left. Every finding but those has a text."""
    pipeline = Pipeline(ledger, storage=media)
    sent(Uploader(media, pipeline=pipeline), b"hello")
    before = keys_of(media), ledger.find()
    findings = doctor(pipeline)
    assert (keys_of(media), ledger.find()) == before
    assert {finding.level for finding in findings} == {Level.OK}
    names = [finding.name for finding in findings]
    assert list(dict.fromkeys(names)) == ["python", "packages", "ledger", "queue", "storage media", "leftovers"]
    assert seen(pipeline, "ledger") == [("ok", "version 0001, writable; 1 completed")]


def test_a_ledger_without_tables_is_told_and_gets_none(tmp_path: Path) -> None:
    """A doctor makes nothing, not even a file."""
    with closing(Ledger(f"sqlite:///{tmp_path}/none.db")) as ledger:
        [finding] = wrong(Pipeline(ledger))
        assert (finding.name, finding.level, finding.text) == ("ledger", "failed", "has no tables yet")
        assert "uploadkit migrate" in (finding.advice or "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "said"),
    [("0000", "is of version 0000, and 0001 is up to date"), ("9999", "of a newer version of uploadkit")],
)
def test_a_ledger_of_another_version_is_told(tmp_path: Path, ledger: Ledger, version: str, said: str) -> None:
    """It stays as it is."""
    with closing(sqlite3.connect(tmp_path / "uploads.db")) as database:
        database.execute("UPDATE uploadkit_version SET version_num = ?", [version])
        database.commit()
    with closing(Ledger(f"sqlite:///{tmp_path}/uploads.db")) as anew:
        [finding] = wrong(Pipeline(anew))[:1]
        assert finding.level is Level.FAILED
        assert said in finding.text


def test_a_ledger_that_cannot_be_written_is_told(ledger: Ledger, media: DiskStorage) -> None:
    """Somebody else holds it for longer than a doctor waits."""
    with ledger._database.writing():
        findings = wrong(Pipeline(ledger), seconds=0.3)
    assert [(f.level, f.text) for f in findings if f.name == "ledger"] == [("failed", "no answer within 0.3 s")]
    eventually(lambda: not any(each.name == "uploadkit-doctor-ledger" for each in threading.enumerate()))


class Removes(DiskStorage):
    """Says that it has removed an object, and has not."""

    def delete(self, key: str) -> None:
        pass


class Replaces(MemoryStorage):
    """Promises that no object is replaced, and replaces it."""

    def open(self, key: str, info: ObjectInfo) -> Any:
        self._objects.pop(key, None)
        return super().open(key, info)


class NotSo(Replaces):
    exclusive_commit = False


def test_storages_are_tried(ledger: Ledger, tmp_path: Path) -> None:
    """By an object that is written, read and removed, and by a second one under its key."""
    unread = MemoryStorage("unread")
    storages: dict[str, Storage] = {
        "closed": FailingStorage(MemoryStorage("closed"), after=0, on="open"),
        "unread": FailingStorage(unread, after=0, on="read"),
        "stays": Removes(tmp_path / "stays", name="stays"),
        "replaces": Replaces("replaces"),
        "allowed": NotSo("allowed"),
    }
    findings = doctor(Pipeline(ledger, storages=storages.values()))
    told = {
        name: [finding.text for finding in findings if (finding.name, finding.level) == (f"storage {name}", "failed")]
        for name in storages
    }
    assert told == {
        "closed": ["StorageFailed: the storage was told to fail at open 1"],
        "unread": ["StorageFailed: the storage was told to fail at read 1"],
        "stays": [told["stays"][0]],
        "replaces": ["a second object has replaced the first, though the storage promises that none does"],
        "allowed": [],
    }
    assert told["stays"][0].endswith("is still there after it was deleted")
    assert unread.objects == {}
    memory = [finding for finding in findings if finding.name == "storage allowed"]
    assert [finding.level for finding in memory] == ["warning", "ok", "ok"]


def test_what_does_not_answer_is_not_waited_for(ledger: Ledger, media: DiskStorage) -> None:
    """The others are looked at all the same, and at the same time."""
    hangs = [Hang(30), Hang(30)]
    storages = [
        FailingStorage(MemoryStorage(f"slow{number}"), after=0, on="open", fault=hang)
        for number, hang in enumerate(hangs)
    ]
    began = time.monotonic()
    findings = wrong(Pipeline(ledger, storage=media, storages=storages), seconds=1)
    assert time.monotonic() - began < 5
    assert [(finding.name, finding.text) for finding in findings] == [
        ("storage slow0", "no answer within 1 s"),
        ("storage slow1", "no answer within 1 s"),
    ]
    for hang in hangs:
        hang.let_go()


def test_a_full_disk_is_told(ledger: Ledger, media: DiskStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is full."""
    monkeypatch.setattr(doctors, "LEAST_FREE", 2**70)
    [finding] = wrong(Pipeline(ledger, storage=media))
    assert (finding.name, finding.level, finding.advice) == ("storage media", "warning", "make room")


class Broker(InlineQueue):
    """As of servers that answer, or do not."""

    def __init__(self, *, counts: Counts | None) -> None:
        super().__init__()
        self._told = counts

    async def counts(self, queues: Any) -> Any:
        if self._told is None:
            raise QueueFailed(retryable=True) from ConnectionRefusedError("no server")
        return dict.fromkeys(queues, self._told)

    def server_time(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=20)


def test_a_queue_that_does_not_answer_is_told(ledger: Ledger) -> None:
    """With the reason."""
    [(level, text)] = seen(Pipeline(ledger, queue=Broker(counts=None)), "queue")
    assert level == "failed"
    assert text.startswith("QueueFailed: ")
    assert text.endswith("(no server)")


def test_jobs_that_have_failed_for_good_are_told(ledger: Ledger) -> None:
    """With their queues."""
    found = seen(Pipeline(ledger, queue=Broker(counts=Counts(waiting=2, delayed=1, active=3, failed=1))), "queue")
    assert ("warning", "jobs have failed for good: bulk 1, documents 1, images 1, videos 1") in found
    assert found[0][1].startswith("answers; waiting + being done: bulk 3 + 3, ")


def test_clocks_that_differ_are_told(ledger: Ledger) -> None:
    """Claims end by them."""
    [(level, text)] = seen(Pipeline(ledger, queue=Broker(counts=Counts())), "clocks")
    assert level == "failed"
    assert text.startswith(("that of queue is 20.0 s ahead of", "that of queue is 19.9 s ahead of"))


def test_the_clock_of_a_broker_is_asked(ledger: Ledger, broker_queue: BullMQQueue) -> None:
    """Whichever it is. The queue answers, and has nothing to do."""
    found = doctor(Pipeline(ledger, queue=broker_queue), seconds=30)
    assert [finding.text for finding in found if finding.name == "clocks"] == ["that of queue agrees"]
    [queue] = [finding for finding in found if finding.name == "queue"]
    assert queue.text == "answers; waiting + being done: bulk 0 + 0, documents 0 + 0, images 0 + 0, videos 0 + 0"


def test_queues_that_nobody_serves_are_told(ledger: Ledger) -> None:
    """Those alone in which something may wait."""
    pipeline = Pipeline(ledger, queue=Broker(counts=Counts()))
    pipeline.process("image/png", Copies("pictures"))
    pipeline.process("text/plain", Copies("texts"), queue="slow")
    assert seen(pipeline, "workers") == [("warning", "none was seen in the last minute")]
    now = datetime.now(UTC)
    worker = WorkerRecord(id="w", host="here", pid=1, queues=("images",), began_at=now, seen_at=now)
    ledger.beat(worker)
    assert seen(pipeline, "workers") == [("ok", "1 on here"), ("warning", "no worker does the jobs of slow")]


def test_what_is_left_is_told(tmp_path: Path, media: DiskStorage) -> None:
    """As long as no sweep has gone over it."""
    clock = Clock()
    clock.now = datetime.now(UTC) - timedelta(days=2)
    ledger = sqlite(tmp_path, now=clock)
    pipeline = Pipeline(ledger, storage=media)
    ledger.add("unended", field="f", filename="a", content_type="text/plain")
    ended = sent(Uploader(media, pipeline=pipeline), b"one", b"two")
    pipeline.describe(ended[0].id, expires_at=clock.now)
    with pytest.raises(StorageFailed):
        Pipeline(ledger, storage=FailingStorage(media, after=0, on="delete")).delete(ended[1].id)
    assert [text for level, text in seen(Pipeline(ledger, storage=media), "leftovers") if level == "warning"] == [
        "1 uploads that began more than a day ago and never ended",
        "1 uploads that are gone, and still have bytes",
        "1 uploads whose time is over",
    ]
    ledger.close()


def test_facts_that_nobody_tells_are_told(ledger: Ledger) -> None:
    """With how long the first of them waits."""
    pipeline = Pipeline(ledger)
    now = datetime.now(UTC)
    ledger.tell([FileDeleted(upload="x", at=now - timedelta(hours=1)), FileDeleted(upload="y", at=now)])
    assert seen(pipeline, "leftovers")[0] == ("warning", "2 facts are still to be told, for 3,600 s by now")
    pipeline.forward()
    assert seen(pipeline, "leftovers") == [("ok", "nothing that is over is left")]
