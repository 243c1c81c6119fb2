"""Facts between processes, over a real broker that may be killed; and where each upload is, for others to read."""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex

import pytest
import redis
from tests.adapters.servers import eventually
from tests.events.told import AT, FACTS_TOLD, UPLOADED, progress
from tests.storage.processes import in_a_fork
from tests.valkey import running

from uploadkit.errors import DeliveryFailed
from uploadkit.events.bus import Events
from uploadkit.events.facts import Fact, FileDeleted, FileProcessed, FileProgressed, FileScanned, as_json
from uploadkit.events.redis import Recorded, RedisEvents, RedisStatus
from uploadkit.records.lifecycle import State
from uploadkit.records.record import UploadRecord

SOON = 10
"""Seconds after which a test has failed."""


@pytest.fixture
def channel() -> str:
    return f"test:{token_hex(4)}"


@pytest.fixture
def client(valkey: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey) as client:
        yield client


@pytest.fixture
def of_another(valkey: str, channel: str) -> Iterator[RedisEvents]:
    """What another process would have: an object of its own."""
    other = RedisEvents(valkey, channel=channel)
    yield other
    other.close()


class Heard:
    """A subscriber that can be waited for."""

    def __init__(self) -> None:
        self._facts: queue.Queue[Fact] = queue.Queue()

    def __call__(self, fact: Fact) -> None:
        self._facts.put(fact)

    def next(self) -> Fact:
        return self._facts.get(timeout=SOON)

    def is_empty(self) -> bool:
        return self._facts.empty()


# Pub/sub


def test_every_fact_arrives_as_the_same_value(valkey: str, channel: str, of_another: RedisEvents) -> None:
    heard = Heard()
    with RedisEvents(valkey, channel=channel).listen(heard):
        for fact in FACTS_TOLD:
            of_another.publish(fact)
        assert [heard.next() for _ in FACTS_TOLD] == FACTS_TOLD


def test_facts_go_from_one_process_to_another(valkey: str, channel: str) -> None:
    """Both ways, each through its own `Events`, and each is heard once in each process."""
    script = """
import sys
from uploadkit.events.bus import Events
from uploadkit.events.facts import Fact, FileProcessed, FileUploaded
from uploadkit.events.redis import RedisEvents

events = Events()
redis = RedisEvents(sys.argv[1], channel=sys.argv[2])
events.on()(redis.publish)

@events.on("file.uploaded")
async def process(fact: FileUploaded) -> None:
    await events.apublish(FileProcessed(upload=fact.upload, results={"size": fact.size}))

@events.on()
def show(fact: Fact) -> None:
    print(fact.name, fact.id, flush=True)

with redis.listen(events.publish):
    print("ready", flush=True)
    sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, valkey, channel],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "ready\n"
        events, heard = Events(), Heard()
        mine = RedisEvents(valkey, channel=channel)
        events.on()(mine.publish)
        events.on()(heard)
        with mine.listen(events.publish):
            events.publish(UPLOADED)
            assert heard.next() == UPLOADED
            processed = heard.next()
            assert isinstance(processed, FileProcessed)
            assert processed.results == {"size": 2_000_000}
            last = FileDeleted(upload="u1")
            events.publish(last)
            assert heard.next() == last
            told = [other.stdout.readline().split() for _ in range(3)]
        other.stdin.write("\n")
        assert other.stdin.flush() is None
        assert other.stdout.read() == ""
        assert other.wait(SOON) == 0
        mine.close()
    # The one in the middle is published from within a subscriber of the first.
    assert sorted(told[:2]) == sorted([["file.uploaded", "f1"], ["file.processed", processed.id]])
    assert told[2] == ["file.deleted", last.id]
    assert heard.is_empty()


def test_a_process_may_listen_until_it_ends(valkey: str, channel: str, of_another: RedisEvents) -> None:
    """It ends in silence, also in the middle of a fact, and without anybody having closed anything."""
    script = """
import sys
from uploadkit.events.facts import Fact
from uploadkit.events.redis import RedisEvents

def hear(fact: Fact) -> None:
    print(fact.id, flush=True)

RedisEvents(sys.argv[1], channel=sys.argv[2]).listen(hear)
print("ready", flush=True)
sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, valkey, channel],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        of_another.publish(UPLOADED)
        assert process.stdout.readline() == "f1\n"
        assert process.communicate("\n", timeout=SOON) == ("", "")
        assert process.returncode == 0


def test_to_close_twice_is_no_error(valkey: str, channel: str, of_another: RedisEvents) -> None:
    heard = Heard()
    listening = RedisEvents(valkey, channel=channel).listen(heard)
    of_another.publish(UPLOADED)
    assert heard.next() == UPLOADED
    listening.close()
    listening.close()
    of_another.publish(UPLOADED)
    assert heard.is_empty()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_is_another_process(valkey: str, channel: str) -> None:
    """As under `gunicorn --preload`: with the same object, its facts are heard here, and ours are not."""
    heard = Heard()
    shared = RedisEvents(valkey, channel=channel)
    shared.publish(UPLOADED)  # a connection stands, which is not the fork's

    def work() -> str:
        for fact in FACTS_TOLD:
            shared.publish(fact)
        return "told"

    with shared.listen(heard):
        shared.publish(UPLOADED)
        assert in_a_fork(work) == "told"
        assert [heard.next() for _ in FACTS_TOLD] == FACTS_TOLD
    shared.close()
    assert heard.is_empty()


def test_the_order_of_an_upload_is_kept(valkey: str, channel: str, of_another: RedisEvents) -> None:
    heard = Heard()
    percents = list(range(101))
    with RedisEvents(valkey, channel=channel).listen(heard):
        for fact in progress("u1", *percents):
            of_another.publish(fact)
        facts = [heard.next() for _ in percents]
    assert [fact.percent for fact in facts if isinstance(fact, FileProgressed)] == percents


def test_an_async_program_hears_in_its_own_loop(valkey: str, channel: str, of_another: RedisEvents) -> None:
    async def application() -> tuple[Fact, bool]:
        facts: asyncio.Queue[tuple[Fact, asyncio.AbstractEventLoop]] = asyncio.Queue()

        async def hear(fact: Fact) -> None:
            await facts.put((fact, asyncio.get_running_loop()))

        async with RedisEvents(valkey, channel=channel).alisten(hear):
            await asyncio.to_thread(of_another.publish, UPLOADED)
            fact, loop = await asyncio.wait_for(facts.get(), SOON)
        return fact, loop is asyncio.get_running_loop()

    assert asyncio.run(application()) == (UPLOADED, True)


def test_what_is_no_fact_or_a_newer_one_is_left_out(
    valkey: str, channel: str, of_another: RedisEvents, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    newer = as_json(UPLOADED) | {"name": "file.watermarked", "colour": "red"}
    no_facts: list[str | bytes] = [b"\xff", "[]", "[" * 10_000, '{"name": "file.deleted"}', '{"name": 7}']
    with caplog.at_level(logging.DEBUG, "uploadkit"), RedisEvents(valkey, channel=channel).listen(heard):
        for message in [json.dumps(newer), *no_facts]:
            client.publish(channel, message)
        client.publish(channel, json.dumps(as_json(UPLOADED) | {"colour": "red"}))
        assert heard.next() == UPLOADED
    assert heard.is_empty()
    left_out = [record.levelno for record in caplog.records if "is left out" in record.getMessage()]
    assert left_out == [logging.DEBUG] + 5 * [logging.WARNING]


def test_what_a_listener_raises_is_logged_and_the_next_is_heard(
    valkey: str, channel: str, of_another: RedisEvents, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()

    def hear(fact: Fact) -> None:
        heard(fact)
        if isinstance(fact, FileDeleted):
            raise LookupError("no such customer")

    with RedisEvents(valkey, channel=channel).listen(hear):
        of_another.publish(FileDeleted(upload="u1"))
        of_another.publish(UPLOADED)
        assert [heard.next().name, heard.next().name] == ["file.deleted", "file.uploaded"]
    assert "no such customer" in caplog.text


@contextmanager
def standing() -> Iterator[threading.Semaphore]:
    """Released each time that a listener says that it listens."""
    times = threading.Semaphore(0)

    class Notice(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "facts are heard from Redis":
                times.release()

    notice = Notice()
    logging.getLogger("uploadkit").addHandler(notice)
    try:
        yield times
    finally:
        logging.getLogger("uploadkit").removeHandler(notice)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_listener_connects_anew_when_the_broker_was_killed(channel: str, caplog: pytest.LogCaptureFixture) -> None:
    """What is told meanwhile fails, and is heard by nobody; what is told when it stands again is heard."""
    caplog.set_level(logging.INFO, "uploadkit")
    heard = Heard()
    with standing() as stands, running() as broker:
        teller = RedisEvents(broker.url, channel=channel)
        with RedisEvents(broker.url, channel=channel).listen(heard):
            assert stands.acquire(timeout=SOON)
            for attempt in range(3):
                fact = FileDeleted(upload=f"u{attempt}")
                teller.publish(fact)
                assert heard.next() == fact
                broker.kill()
                with pytest.raises(DeliveryFailed, match="Redis failed: ConnectionError"):
                    teller.publish(UPLOADED)
                broker.start()
                assert stands.acquire(timeout=SOON)
            teller.publish(UPLOADED)
            assert heard.next() == UPLOADED
        teller.close()
    assert heard.is_empty()
    assert warnings(caplog) == 3 * ["Redis is gone, and what is told meanwhile is not heard: ConnectionError"]


def test_a_listener_asks_whether_anybody_is_there(
    channel: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is only silent is asked, and goes on; one that does not answer is left, whoever closed nothing."""
    monkeypatch.setattr("uploadkit.events.redis.SILENT_SECONDS", 0.05)
    caplog.set_level(logging.INFO, "uploadkit")
    heard = Heard()
    with standing() as stands, running() as broker, redis.Redis.from_url(broker.url) as client:
        teller = RedisEvents(broker.url, channel=channel)
        with RedisEvents(broker.url, channel=channel, timeout_seconds=2).listen(heard):
            assert stands.acquire(timeout=SOON)
            eventually(lambda: any(each["cmd"] == "ping" for each in client.client_list()))
            teller.publish(UPLOADED)
            assert heard.next() == UPLOADED
            assert warnings(caplog) == []
            broker.hold()
            eventually(lambda: warnings(caplog) != [])
            broker.go_on()
            assert stands.acquire(timeout=SOON)
            teller.publish(UPLOADED)
            assert heard.next() == UPLOADED
        teller.close()
    assert warnings(caplog) == ["Redis is gone, and what is told meanwhile is not heard: ConnectionError"]


def test_a_broker_that_is_not_there_is_told(tmp_path: Path) -> None:
    """To who publishes and to who listens, and not to who hears the same fact beside."""
    nowhere = RedisEvents(f"unix://{tmp_path}/none", timeout_seconds=0.1)
    with pytest.raises(DeliveryFailed, match="Redis was not reached"), nowhere.listen(print):
        pass
    events, heard = Events(), Heard()
    events.on()(nowhere.publish)
    events.on()(heard)
    events.publish(UPLOADED)
    assert heard.next() == UPLOADED
    nowhere.close()


def test_a_listener_that_is_cancelled_leaves_nothing(valkey: str, channel: str, client: redis.Redis) -> None:
    async def application() -> None:
        listens = asyncio.Event()

        async def listen() -> None:
            async with RedisEvents(valkey, channel=channel).alisten(print):
                listens.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(listen())
        await asyncio.wait_for(listens.wait(), SOON)
        assert client.pubsub_numsub(channel) == [(channel.encode(), 1)]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(application())
    eventually(lambda: client.pubsub_numsub(channel) == [(channel.encode(), 0)])
    assert client.pubsub_numsub(channel) == [(channel.encode(), 0)]


# Status


@pytest.fixture
def status(valkey: str) -> Iterator[RedisStatus]:
    kept = RedisStatus(valkey, prefix=f"test:{token_hex(4)}:")
    yield kept
    kept.close()


@contextmanager
def statuses(valkey: str) -> Iterator[tuple[RedisStatus, str]]:
    prefix = f"test:{token_hex(4)}:"
    status = RedisStatus(valkey, prefix=prefix, ttl_seconds=60)
    yield status, prefix
    status.close()


def later(seconds: int) -> datetime:
    return AT + timedelta(seconds=seconds)


def test_a_status_follows_an_upload(valkey: str) -> None:
    """What was known before stays known, and what is over is not said any longer."""
    events = Events()
    with statuses(valkey) as (status, _):
        events.on(retried=True)(status.hear)
        about = {
            "upload": "u1",
            "owner": "ann",
            "batch": "b1",
            "filename": "photo.jpg",
            "content_type": "image/jpeg",
            "size": 2_000_000,
        }
        assert status.get("u1") is None
        events.publish(UPLOADED)
        assert status.get("u1") == about | {"state": "staged", "at": AT.isoformat()}
        events.publish(replace(progress("u1", 40)[0], at=later(1), note="reading"))
        percent = {"processor": "variants", "percent": 40, "note": "reading"}
        assert status.get("u1") == about | percent | {"state": "processing", "at": later(1).isoformat()}
        events.publish(FileScanned(upload="u1", outcome="clean", at=later(2)))
        assert status.get("u1") == about | percent | {"state": "processing", "at": later(1).isoformat()}
        events.publish(FileProcessed(upload="u1", at=later(3), results={"variants": {}}))
        assert status.get("u1") == about | {"state": "completed", "at": later(3).isoformat()}
        events.publish(FileDeleted(upload="u1", at=later(4)))
        assert status.get("u1") == about | {"state": "deleted", "at": later(4).isoformat()}


@pytest.mark.parametrize("fact", FACTS_TOLD, ids=lambda fact: fact.name)
def test_every_state_that_is_told_is_one_of_the_lifecycle(fact: Fact, status: RedisStatus) -> None:
    status.hear(fact)
    told = status.get("u1")
    assert told is not None
    assert (
        State(told["state"])
        is {
            "file.uploaded": State.STAGED,
            "file.rejected": State.REJECTED,
            "file.scanned": State.QUARANTINED,
            "file.progressed": State.PROCESSING,
            "file.processed": State.COMPLETED,
            "file.failed": State.FAILED,
            "file.deleted": State.EXPIRED,
        }[fact.name]
    )


def test_others_read_it_as_json_until_its_time_is_over(valkey: str, client: redis.Redis) -> None:
    with statuses(valkey) as (status, prefix):
        status.hear(UPLOADED)
        stored = client.get(f"{prefix}u1")
        assert isinstance(stored, bytes)
        assert json.loads(stored) == status.get("u1")
        assert 50_000 < int(client.pttl(f"{prefix}u1")) <= 60_000
        client.pexpire(f"{prefix}u1", 1)
        eventually(lambda: status.get("u1") is None)
        assert status.get("u1") is None


def test_an_older_fact_never_replaces_a_newer_one(status: RedisStatus) -> None:
    """Facts are told at least once, and progress comes by another way than the end."""
    status.hear(FileProcessed(upload="u1", at=later(3)))
    status.hear(replace(progress("u1", 90)[0], at=later(2)))
    status.hear(UPLOADED)
    told = status.get("u1")
    assert told is not None
    assert (told["state"], told["at"]) == ("completed", later(3).isoformat())


def test_what_an_older_fact_knows_of_the_file_is_kept(status: RedisStatus) -> None:
    """Progress is told at once, and overtakes the fact from the ledger that has the file's name."""
    status.hear(replace(progress("u1", 40)[0], at=later(2)))
    status.hear(UPLOADED)
    told = status.get("u1")
    assert told is not None
    assert (told["state"], told["percent"], told["at"]) == ("processing", 40, later(2).isoformat())
    assert (told["filename"], told["size"]) == (UPLOADED.filename, UPLOADED.size)


def test_of_many_that_write_at_once_the_newest_stays(valkey: str, status: RedisStatus) -> None:
    facts = [replace(fact, at=later(fact.percent)) for fact in progress("u1", *range(40))]
    begin = threading.Barrier(4)

    def write(mine: list[FileProgressed]) -> None:
        begin.wait(SOON)
        for fact in mine:
            status.hear(fact)

    threads = [threading.Thread(target=write, args=(facts[n::4][::-1],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    told = status.get("u1")
    assert told is not None
    assert told["percent"] == 39


def record(upload: str, state: State, **words: object) -> UploadRecord:
    known = UploadRecord(
        id=upload,
        state=state,
        created_at=AT,
        changed_at=later(10),
        field="photo",
        filename="photo.jpg",
        content_type="image/jpeg",
        size=7,
    )
    return replace(known, **words)  # type: ignore[arg-type]


def test_it_is_rebuilt_from_records(status: RedisStatus, client: redis.Redis) -> None:
    """Where Redis was emptied, from what the ledger says; what is newer than that stays."""
    status.hear(replace(progress("u3", 60)[0], at=later(11)))
    records: list[Recorded] = [
        record("u1", State.COMPLETED, owner="ann"),
        record("u2", State.FAILED, reason="no memory"),
        record("u3", State.PROCESSING),
    ]
    for _ in range(2):  # once more changes nothing
        status.rebuild(records)
        about = {"filename": "photo.jpg", "content_type": "image/jpeg", "size": 7, "at": later(10).isoformat()}
        assert status.get("u1") == about | {"upload": "u1", "state": "completed", "owner": "ann"}
        assert status.get("u2") == about | {"upload": "u2", "state": "failed", "reason": "no memory"}
        third = status.get("u3")
        assert third is not None
        assert (third["state"], third["percent"]) == ("processing", 60)


@pytest.mark.parametrize("stored", ["", "[]", "nonsense", '{"at": 5}', '{"at": "2026-11-26T09:30:00"}', b"\xff"])
def test_what_somebody_else_has_written_there_is_replaced(
    stored: str | bytes, valkey: str, client: redis.Redis
) -> None:
    with statuses(valkey) as (status, prefix):
        client.set(f"{prefix}u1", stored)
        assert status.get("u1") is None
        status.hear(UPLOADED)
        told = status.get("u1")
        assert told is not None
        assert told["state"] == "staged"


def test_it_goes_on_when_the_broker_was_restarted() -> None:
    with running() as broker:
        status = RedisStatus(broker.url)
        status.hear(UPLOADED)
        broker.kill()
        gone: list[Callable[[], object]] = [
            lambda: status.hear(UPLOADED),
            lambda: status.get("u1"),
            lambda: status.rebuild([record("u1", State.STAGED)]),
        ]
        for call in gone:
            with pytest.raises(DeliveryFailed, match="Redis failed: ConnectionError"):
                call()
        broker.start()
        assert status.get("u1") is None
        status.rebuild([record("u1", State.STAGED)])
        told = status.get("u1")
        assert told is not None
        assert told["state"] == "staged"
        status.close()


def test_a_status_that_never_ends_or_has_ended_is_a_mistake(valkey: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RedisStatus(valkey, ttl_seconds=0)
