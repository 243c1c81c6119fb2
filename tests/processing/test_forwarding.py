"""What forwards in the background."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest
from tests.processing.pipelines import sent, sqlite, told
from tests.processing.servers import ROOT, eventually
from tests.storage.processes import held_elsewhere, in_a_fork

from uploadkit.events.facts import Fact
from uploadkit.processing import forwarding
from uploadkit.processing import pipeline as pipelines
from uploadkit.processing.forwarding import Forwarder
from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.storage import event_loop
from uploadkit.storage.memory import MemoryStorage
from uploadkit.uploader import Uploader

SOON = 10
"""Seconds after which a test has failed."""


@pytest.fixture
def others() -> Iterator[ThreadPoolExecutor]:
    """Other threads."""
    with ThreadPoolExecutor() as pool:
        yield pool


def is_forwarders(thread: threading.Thread) -> bool:
    return thread.name.endswith("-forward")


def test_one_that_is_stopped_asks_nobody_any_more() -> None:
    """Though there is something left to tell; when it is woken it begins anew."""
    told = threading.Event()

    def forward() -> int:
        told.set()
        return 0

    forwarder = Forwarder(forward, lambda: 1)
    forwarder.stop()
    for _ in range(2):
        told.clear()
        forwarder.wake()
        assert told.wait(10)
        assert forwarder.is_running
        forwarder.stop()
        assert not forwarder.is_running


def test_one_is_stopped_at_its_very_beginning(monkeypatch: pytest.MonkeyPatch, others: ThreadPoolExecutor) -> None:
    """While its thread is being begun. What it was woken for is told all the same."""
    told: list[int] = []
    stopped: list[Future[None]] = []
    start = threading.Thread.start

    def begin(thread: threading.Thread) -> None:
        if is_forwarders(thread):
            stopped.append(others.submit(forwarder.stop))
            wait(stopped, timeout=0.1)  # it must not end, and cannot do so before the thread does
        start(thread)

    def forward() -> int:
        told.append(1)
        return 0

    monkeypatch.setattr(forwarding, "FIRST_WAIT", 60.0)
    monkeypatch.setattr(threading.Thread, "start", begin)
    forwarder = Forwarder(forward, lambda: 1)
    forwarder.wake()
    stopped[0].result(SOON)
    assert not forwarder.is_running
    assert told == [1]


def test_what_comes_while_it_stops_is_told(monkeypatch: pytest.MonkeyPatch, others: ThreadPoolExecutor) -> None:
    """It does not wait for what takes so long. Who stops it then waits for both."""
    untold = [1]
    working, stopping, go_on, told = (threading.Event() for _ in range(4))
    join = event_loop.wait_for_thread

    def wait_for_thread(thread: threading.Thread) -> None:
        stopping.set()
        join(thread)

    def forward() -> int:
        if not working.is_set():
            working.set()
            assert go_on.wait(SOON)
        elif untold:
            untold.clear()
            told.set()
            return 1
        return 0

    monkeypatch.setattr(event_loop, "wait_for_thread", wait_for_thread)
    forwarder = Forwarder(forward, lambda: len(untold))
    forwarder.wake()
    assert working.wait(SOON)
    stopped = [others.submit(forwarder.stop)]
    assert stopping.wait(SOON)
    forwarder.wake()
    was_told = told.wait(SOON / 4)
    stopped.append(others.submit(forwarder.stop))
    go_on.set()
    for each in stopped:
        each.result(SOON)
    assert was_told
    assert not forwarder.is_running


@pytest.mark.parametrize("fails", [False, True], ids=["told", "failed"])
def test_one_that_is_woken_all_the_time_is_stopped(fails: bool, others: ThreadPoolExecutor) -> None:
    """By what it tells, for example, which is always followed by more."""
    asked, quiet = threading.Event(), threading.Event()

    def forward() -> int:
        asked.set()
        if not quiet.is_set():
            forwarder.wake()
            if fails:
                raise ConnectionError
        return 0

    forwarder = Forwarder(forward, lambda: 0)
    forwarder.wake()
    assert asked.wait(SOON)
    try:
        others.submit(forwarder.stop).result(SOON / 4)
    finally:
        quiet.set()
    eventually(lambda: not forwarder.is_running)  # one that it was woken for last may have begun


def test_where_no_thread_can_be_begun_it_tells_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the process. What it tells may be followed by more, and may close all."""
    untold = ["one"]
    told: list[tuple[str, threading.Thread]] = []
    start = threading.Thread.start

    def begin(thread: threading.Thread) -> None:
        if is_forwarders(thread):
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    def forward() -> int:
        if not untold:
            return 0
        told.append((untold.pop(), threading.current_thread()))
        if told == [("one", threading.current_thread())]:
            untold.append("two")
            forwarder.wake()
        forwarder.stop()
        return 1

    monkeypatch.setattr(threading.Thread, "start", begin)
    forwarder = Forwarder(forward, lambda: len(untold))
    forwarder.wake()
    assert told == [("one", threading.current_thread()), ("two", threading.current_thread())]
    assert not forwarder.is_running


def test_a_fork_tells_itself() -> None:
    """Also where the parent's forwarder is at work, and another thread had the lock in its hand."""
    told = [threading.Event()]

    def forward() -> int:
        told[-1].set()
        return 0

    def work() -> str:
        told.append(threading.Event())  # the parent's thread may have had the other one in its hand
        was_running = forwarder.is_running
        forwarder.wake()
        assert told[-1].wait(SOON)
        forwarder.stop()
        return f"{was_running}, {forwarder.is_running}"

    forwarder = Forwarder(forward, lambda: 1)
    forwarder.wake()
    with held_elsewhere(forwarder._changed):
        assert in_a_fork(work) == "False, False"
    assert forwarder.is_running
    forwarder.stop()


def test_what_is_new_does_not_wait_with_what_could_not_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "FIRST_WAIT", 60.0)
    asked = threading.Semaphore(0)

    def forward() -> int:
        asked.release()
        return 0

    forwarder = Forwarder(forward, lambda: 1)
    for _ in range(2):
        forwarder.wake()
        assert asked.acquire(timeout=10)
    assert not asked.acquire(blocking=False)
    forwarder.stop()


def test_a_pipeline_that_is_closed_leaves_its_ledger_alone(tmp_path: Path) -> None:
    """A subscriber that fails is not told again until somebody uses the pipeline."""
    heard = threading.Event()
    pipeline = Pipeline(sqlite(tmp_path))

    @pipeline.on(retried=True)
    def fail(fact: object) -> None:
        heard.set()
        raise ConnectionError

    sent(Uploader(MemoryStorage(), pipeline=pipeline), b"hello")
    assert heard.wait(10)
    pipeline.close()
    assert not pipeline._forwarder.is_running


SCRIPT = """
import sys, threading, time
from pathlib import Path
import pytest
from tests.processing.pipelines import disks, sent, sqlite
from uploadkit.processing.pipeline import Pipeline
from uploadkit.uploader import Uploader

folder = Path(sys.argv[1])
pipeline = Pipeline(sqlite(folder))

@pipeline.on(retried=True)
def hear(fact):
    print(fact.name, flush=True)
    {heard}

upload = Uploader(disks(folder)[0], pipeline=pipeline)

def send():
    sent(upload, b"hello")

{last}
"""


def run_script(folder: Path, *, heard: str, last: str) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(heard=heard, last=last)
    words = [sys.executable, "-W", "ignore::ResourceWarning", "-c", script, str(folder)]  # it closes no connection
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True)


LATER = "send(); threading.Thread(target=lambda: [time.sleep(0.5), send()]).start()"


@pytest.mark.parametrize(("last", "uploads"), [("send()", 1), (LATER, 2)], ids=["script", "thread"])
def test_what_is_being_told_when_the_process_ends_is_heard(last: str, uploads: int, tmp_path: Path) -> None:
    """Of a script, for example, whose last line was the upload, or whose thread sends when the main one has ended."""
    done = run_script(tmp_path, heard="time.sleep(0.1)", last=last)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == uploads * ["file.uploaded", "file.processed"]


def test_who_fails_to_hear_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """It is heard again in another process."""
    began = time.monotonic()
    done = run_script(tmp_path, heard="raise ConnectionError", last="send()")
    assert done.returncode == 0
    assert done.stdout.split() == ["file.uploaded"]
    assert time.monotonic() - began < event_loop.EXIT_SECONDS
    with closing(sqlite(tmp_path)) as ledger:
        assert ledger.untold() == 2


@pytest.mark.parametrize("is_async", [False, True])
def test_a_subscriber_that_hangs_on_one_fact_keeps_nobody_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_async: bool
) -> None:
    """In no process. It is begun once in each, and the fact is over when it has heard it after all."""
    monkeypatch.setattr(pipelines, "FORWARD_SECONDS", 0.05)
    go_on = threading.Event()
    late = threading.Timer(SOON, go_on.set)
    late.start()
    begun: list[str] = []
    heard: list[str] = []

    def hear(fact: Fact) -> None:
        begun.append(fact.upload)
        if fact.upload == hung.id:
            go_on.wait()
        heard.append(fact.upload)

    async def ahear(fact: Fact) -> None:
        begun.append(fact.upload)
        while fact.upload == hung.id and not go_on.is_set():  # noqa: ASYNC110  # it is set in another thread
            await asyncio.sleep(0.001)
        heard.append(fact.upload)

    with closing(Pipeline(sqlite(tmp_path), queue=InlineQueue())) as pipeline:
        monkeypatch.setattr(pipeline._forwarder, "wake", lambda: None)
        pipeline.on("file.uploaded")(ahear if is_async else hear)
        hung, *others = sent(Uploader(MemoryStorage(name="memory"), pipeline=pipeline), b"one", b"two", b"three")
        eventually(lambda: pipeline.forward() or len(heard) == 2)
        assert heard == [each.id for each in others]
        assert not go_on.is_set()
        go_on.set()
        eventually(lambda: hung.id in heard)
        told(pipeline)
        assert begun.count(hung.id) == heard.count(hung.id) == 1
    late.cancel()
