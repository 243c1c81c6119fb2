"""What Prometheus reads: parsed as it parses it, of one process and of several, and where nobody answers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families
from tests.processing.jobs import job
from tests.processing.test_contract import NO_WAIT, broken, nothing, worked_off

from uploadkit import QueueFailed
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.metrics import CONTENT_TYPE, MOST_LABELS, Metrics
from uploadkit.processing.observing import Attempted, Observer, Outcome, observed
from uploadkit.processing.queue import Counts, GivenUp, Handler, Later, Queue, Running
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State

ROOT = Path(__file__).parents[2]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry(), answer_seconds=10)


def parsed(text: bytes) -> dict[str, float]:
    """`name{label=value,...}`, labels in the order of their names, and its number."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def numbers(metrics: Metrics, *names: str) -> dict[str, float]:
    """Those whose names begin with one of these, without the prefix of all."""
    found = {name.removeprefix("uploadkit_"): value for name, value in parsed(metrics.text()).items()}
    return {name: value for name, value in found.items() if name.startswith(names)}


def attempted(outcome: Outcome = "done", **words: Any) -> Attempted:
    given: dict[str, Any] = {
        "queue": "images",
        "processor": "variants",
        "seconds": 0.2,
        "waited_seconds": None,
        "attempt": 1,
    }
    return Attempted(outcome=outcome, **given | words)


# What is counted here


def test_metrics_are_an_observer(metrics: Metrics) -> None:
    """As the protocol has it."""
    assert isinstance(metrics, Observer)


def test_every_attempt_is_counted_by_how_it_ended(metrics: Metrics) -> None:
    """What failed once more by itself, so that an alarm needs no list of outcomes."""
    outcomes: list[Outcome] = ["done", "done", "again", "dead", "put_off", "cancelled", "refused", "quarantined"]
    for outcome in outcomes:
        metrics.observe(attempted(outcome))
    of_job = "processor=variants,queue=images"
    assert numbers(metrics, "job_attempts_total", "job_failures_total") == {
        **{f"job_attempts_total{{outcome={name},{of_job}}}": outcomes.count(name) for name in outcomes},
        f"job_failures_total{{{of_job}}}": 2,
    }


def test_times_are_histograms(metrics: Metrics) -> None:
    """What was put off or cancelled took no time that would tell anything; who waited is counted once."""
    metrics.observe(attempted("again", seconds=0.02, waited_seconds=2))
    metrics.observe(attempted("done", seconds=40))
    metrics.observe(attempted("put_off", seconds=0, waited_seconds=0.001))
    metrics.observe(attempted("cancelled", seconds=7))
    found = numbers(metrics, "job_waiting", "job_processing")
    assert found["job_waiting_seconds_count{queue=images}"] == 2
    assert found["job_waiting_seconds_sum{queue=images}"] == pytest.approx(2.001)
    assert found["job_waiting_seconds_bucket{le=1.0,queue=images}"] == 1
    assert found["job_waiting_seconds_bucket{le=5.0,queue=images}"] == 2
    assert found["job_processing_seconds_count{processor=variants,queue=images}"] == 2
    assert found["job_processing_seconds_sum{processor=variants,queue=images}"] == pytest.approx(40.02)
    assert found["job_processing_seconds_bucket{le=0.05,processor=variants,queue=images}"] == 1


def test_bytes_are_those_of_what_was_done(metrics: Metrics) -> None:
    """Not of attempts that failed, which come again; a size that nobody knows is none."""
    given: list[tuple[Outcome, int | None]] = [
        ("done", 1000),
        ("again", 10),
        ("refused", 200),
        ("quarantined", 3),
        ("done", None),
    ]
    for outcome, size in given:
        metrics.observe(attempted(outcome, size=size))
    assert numbers(metrics, "job_bytes_total") == {"job_bytes_total{processor=variants,queue=images}": 1203}


def test_labels_are_bounded(metrics: Metrics) -> None:
    """A program that makes names of its own, by mistake, does not fill Prometheus."""
    for number in range(MOST_LABELS + 50):
        metrics.observe(attempted(queue=f"q{number}", processor=f"p{number}"))
    found = numbers(metrics, "job_failures_total", "job_attempts_total")
    assert len(found) == MOST_LABELS + 1
    assert found["job_attempts_total{outcome=done,processor=other,queue=other}"] == 50


def test_many_threads_count_at_a_time(metrics: Metrics) -> None:
    """None is lost."""

    def count() -> None:
        for _ in range(500):
            metrics.observe(attempted(size=1))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(numbers(metrics, "job_attempts_total", "job_bytes_total").values()) == {4000}


def test_names_are_registered_once() -> None:
    """Two would count into the same series."""
    registry = CollectorRegistry()
    Metrics(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        Metrics(registry)


# A handler that is observed


class Seen:
    def __init__(self) -> None:
        self.all: list[Attempted] = []

    def observe(self, attempted: Attempted) -> None:
        self.all.append(attempted)

    def outcomes(self) -> list[tuple[int, Outcome]]:
        return [(one.attempt, one.outcome) for one in self.all]


async def given_up(running: Running) -> None:
    raise GivenUp("no picture")


async def lost(running: Running) -> None:
    raise asyncio.CancelledError  # of something within it


@pytest.mark.parametrize(
    ("handler", "outcomes"),
    [
        (nothing, [(1, "done")]),
        (broken, [(1, "again"), (2, "dead")]),
        (lost, [(1, "again"), (2, "dead")]),
        (given_up, [(1, "dead")]),
    ],
)
def test_an_observed_handler_tells_how_each_attempt_ended(
    handler: Handler, outcomes: list[tuple[int, Outcome]]
) -> None:
    """As the queue has it."""
    seen = Seen()
    InlineQueue(observed(handler, seen)).add(job(1, attempts=2, backoff=NO_WAIT))
    assert seen.outcomes() == outcomes
    first, *further = seen.all
    assert (first.queue, first.processor, first.size) == ("images", "variants", None)
    assert first.waited_seconds is not None
    assert [one.waited_seconds for one in further] == [None] * len(further)
    assert all(0 <= one.seconds < 5 for one in seen.all)


def test_an_observed_handler_that_puts_a_job_off_has_made_no_attempt() -> None:
    """It is told, though."""
    seen = Seen()

    async def handler(running: Running) -> None:
        if len(seen.all) == 0:
            raise Later(0)

    InlineQueue(observed(handler, seen)).add(job(1))
    assert seen.outcomes() == [(1, "put_off"), (1, "done")]


@pytest.mark.parametrize("by", ["cancel", "the caller"])
def test_an_observed_handler_that_is_cancelled_has_not_failed(by: str) -> None:
    """Neither where the job was taken back, nor where the task was cancelled that it ran in."""
    seen = Seen()
    began = asyncio.Event()

    async def handler(running: Running) -> None:
        began.set()
        await asyncio.sleep(30)

    async def main() -> None:
        queue = InlineQueue(observed(handler, seen))
        task = asyncio.create_task(queue.aadd(job(1)))
        await began.wait()
        if by == "cancel":
            await queue.cancel(job(1))
        else:
            task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    assert seen.outcomes() == [(1, "cancelled")]


def test_what_a_worker_does_is_counted(make_queue: Any, metrics: Metrics) -> None:
    """Over every queue."""
    queue = make_queue()

    async def handler(running: Running) -> None:
        if running.job.upload == "bad":
            await broken(running)

    async def main() -> None:
        await queue.aadd(job(1), job("bad", attempts=2, backoff=NO_WAIT))
        await worked_off(queue, observed(handler, metrics))

    metrics.watch(queue, queues=["images", "videos"])
    asyncio.run(main())
    of_job = "processor=variants,queue=images"
    found = numbers(metrics, "job_attempts_total", "job_waiting_seconds_count", "queue")
    assert found == {
        f"job_attempts_total{{outcome=done,{of_job}}}": 1,
        f"job_attempts_total{{outcome=again,{of_job}}}": 1,
        f"job_attempts_total{{outcome=dead,{of_job}}}": 1,
        "job_waiting_seconds_count{queue=images}": 2,
        "queue_up": 1,
        **{
            f"queue_jobs{{queue={name},state={state}}}": float((name, state) == ("images", "failed"))
            for name in ("images", "videos")
            for state in ("waiting", "delayed", "active", "failed")
        },
    }


# What is asked


class Telling(InlineQueue):
    """Says what it was told to."""

    def __init__(self, told: Mapping[str, Counts] | Exception) -> None:
        super().__init__()
        self.told = told
        self.asked = 0

    async def counts(self, queues: Sequence[str]) -> Mapping[str, Counts]:
        self.asked += 1
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


def test_a_queue_is_asked_at_each_scrape(metrics: Metrics) -> None:
    """Nobody is asked before; what is done is not told, since few of them are kept."""
    queue = Telling({"images": Counts(waiting=3, delayed=1, active=2, completed=10, failed=5)})
    metrics.watch(queue)
    assert queue.asked == 0
    assert numbers(metrics, "queue") == {
        "queue_up": 1,
        "queue_jobs{queue=images,state=waiting}": 3,
        "queue_jobs{queue=images,state=delayed}": 1,
        "queue_jobs{queue=images,state=active}": 2,
        "queue_jobs{queue=images,state=failed}": 5,
    }
    queue.told = {"images": Counts()}
    assert numbers(metrics, "queue")["queue_jobs{queue=images,state=waiting}"] == 0
    assert queue.asked == 2


@pytest.mark.parametrize("error", [QueueFailed(retryable=True), RuntimeError("a bug")], ids=str)
def test_a_queue_that_fails_is_told_as_a_number(
    metrics: Metrics, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest of the scrape is there, and the log says why, once until it answers again."""
    queue = Telling(error)
    metrics.watch(queue)
    metrics.observe(attempted())
    for _ in range(2):
        assert numbers(metrics, "queue") == {"queue_up": 0}
        assert numbers(metrics, "job_attempts_total")
    assert [record.getMessage() for record in caplog.records] == [
        f"the queue cannot be counted: {type(error).__name__}: {error}"
    ]
    queue.told = {}
    assert numbers(metrics, "queue") == {"queue_up": 1}


class Hanging(Telling):
    """Does not answer before it may, and blocks whoever asks."""

    def __init__(self) -> None:
        super().__init__({})
        self.may = threading.Event()

    async def counts(self, queues: Sequence[str]) -> Mapping[str, Counts]:
        self.asked += 1
        self.may.wait(30)
        return self.told if isinstance(self.told, Mapping) else {}


def test_a_queue_that_hangs_holds_up_no_scrape() -> None:
    """Nor do threads pile up; when it answers again it is asked again."""
    metrics, queue = Metrics(CollectorRegistry(), answer_seconds=0.05), Hanging()
    metrics.watch(queue)
    threads = threading.active_count()
    for _ in range(3):
        began = time.monotonic()
        assert numbers(metrics, "queue") == {"queue_up": 0}
        assert time.monotonic() - began < 1
    assert queue.asked == 1
    assert threading.active_count() == threads + 1
    queue.told = {"images": Counts(waiting=1)}
    queue.may.set()
    while not numbers(metrics, "queue")["queue_up"]:
        pass
    assert numbers(metrics, "queue")["queue_jobs{queue=images,state=waiting}"] == 1


def test_a_broker_that_is_down_is_told_within_a_bounded_time() -> None:
    """Of a real queue, whose own patience is longer."""
    metrics, queue = Metrics(CollectorRegistry(), answer_seconds=0.5), BullMQQueue("redis://127.0.0.1:9")
    metrics.watch(queue)
    began = time.monotonic()
    assert numbers(metrics, "queue") == {"queue_up": 0}
    assert time.monotonic() - began < 2
    queue.close()


def test_uploads_are_told_by_their_state(metrics: Metrics, tmp_path: Path) -> None:
    """Every state, also where there is none in it."""
    ledger = Ledger(f"sqlite:///{tmp_path}/uploads.db")
    metrics.watch_ledger(ledger)
    found = numbers(metrics, "uploads", "ledger")
    ledger.close()
    assert found == {"ledger_up": 1, **{f"uploads{{state={state.value}}}": 0 for state in State}}


def test_a_ledger_that_fails_is_told_as_a_number(metrics: Metrics, tmp_path: Path) -> None:
    """As a queue is."""
    (tmp_path / "uploads.db").mkdir()
    ledger = Ledger(f"sqlite:///{tmp_path}/uploads.db", wait_seconds=0.1)
    metrics.watch_ledger(ledger)
    assert numbers(metrics, "uploads", "ledger") == {"ledger_up": 0}
    ledger.close()


def test_one_of_each_is_watched(metrics: Metrics, tmp_path: Path) -> None:
    """Two would tell the same series."""
    metrics.watch(InlineQueue())
    with pytest.raises(RuntimeError, match="a queue is watched already"):
        metrics.watch(InlineQueue())


# To whom it is told


def test_an_event_loop_goes_on_while_a_queue_is_asked(metrics: Metrics) -> None:
    """`atext` waits in a thread, also for a queue that lives in this loop's process."""
    queue: Queue = InlineQueue()
    queue.add(job(1))
    metrics.watch(queue)

    async def main() -> bytes:
        return await metrics.atext()

    assert parsed(asyncio.run(main()))["uploadkit_queue_jobs{queue=images,state=waiting}"] == 1


def test_a_server_answers_prometheus(metrics: Metrics) -> None:
    """On this machine alone where nothing is said, with the application's own numbers too, until it is closed."""
    Counter("shop_orders", "Orders.", registry=metrics._registry).inc()
    metrics.observe(attempted())
    with metrics.serve(0) as server:
        assert server._server.server_address[0] == "127.0.0.1"
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            found = parsed(answer.read())
        with pytest.raises(OSError, match="in use"):
            metrics.serve(server.port)
    assert found["shop_orders_total"] == 1
    assert found["uploadkit_job_attempts_total{outcome=done,processor=variants,queue=images}"] == 1
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10)


FORKING = """
import os, sys
from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.metrics import Metrics
from uploadkit.processing.observing import Attempted
from uploadkit.processing.queue import Job

metrics, queue = Metrics(), InlineQueue()
queue.add(Job(upload="1", processor="variants", digest="d", queue="images"))
metrics.watch(queue, queues=["images"])

def count(times):
    for _ in range(times):
        words = {"seconds": 0.1, "waited_seconds": 0.5, "attempt": 1, "outcome": "done", "size": 100}
        metrics.observe(Attempted(queue="images", processor="variants", **words))

metrics.text()
for times in (1, 2):
    if (child := os.fork()) == 0:
        count(times)
        os._exit(0 if b"uploadkit_queue_up 1.0" in metrics.text() else 1)
    _, status = os.waitpid(child, 0)
    if status != 0:
        sys.exit(f"a child has ended with {status}")
count(4)
sys.stdout.buffer.write(metrics.text())
"""


@pytest.fixture
def shared(tmp_path: Path) -> dict[str, str]:
    """The environment of processes that count together."""
    return os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}


def test_processes_count_together(shared: dict[str, str]) -> None:
    """Forks, as of gunicorn, and those that have ended: each tells of all. A queue is asked once, not in each."""
    done = subprocess.run([sys.executable, "-c", FORKING], env=shared, cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = parsed(done.stdout)
    of_job = "processor=variants,queue=images"
    assert found[f"uploadkit_job_attempts_total{{outcome=done,{of_job}}}"] == 7
    assert found[f"uploadkit_job_bytes_total{{{of_job}}}"] == 700
    assert found["uploadkit_job_waiting_seconds_count{queue=images}"] == 7
    assert found[f"uploadkit_job_processing_seconds_bucket{{le=0.1,{of_job}}}"] == 7
    assert found["uploadkit_queue_jobs{queue=images,state=waiting}"] == 1
    assert found["uploadkit_queue_up"] == 1


SCRAPED = """
import sys
from uploadkit.processing.metrics import Metrics
sys.stdout.buffer.write(Metrics().text())
"""


def test_a_process_that_begins_just_now_fails_no_scrape(shared: dict[str, str], tmp_path: Path) -> None:
    """Its file is there and empty for a moment."""
    (tmp_path / "counter_1.db").touch()
    done = subprocess.run([sys.executable, "-c", SCRAPED], env=shared, cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_what_is_missing_is_said() -> None:
    """With the extra that brings it."""
    program = "import sys; sys.modules['prometheus_client'] = None; import uploadkit.processing.metrics"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "uploadkit.processing.metrics needs prometheus-client: pip install 'pyuploadkit[metrics]'" in done.stderr
