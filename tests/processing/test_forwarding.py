"""What forwards in the background."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.processing.pipelines import sent, sqlite
from tests.processing.servers import ROOT

from uploadkit.processing import forwarding
from uploadkit.processing.forwarding import Forwarder
from uploadkit.processing.pipeline import Pipeline
from uploadkit.storage import event_loop
from uploadkit.storage.memory import MemoryStorage
from uploadkit.uploader import Uploader


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
