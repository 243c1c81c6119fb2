"""What forwards in the background."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from tests.processing.pipelines import sent, sqlite
from tests.processing.servers import ROOT

from uploadkit.processing.forwarding import Forwarder
from uploadkit.processing.pipeline import Pipeline
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


AT_EXIT = """
import sys, time
from pathlib import Path
from tests.processing.pipelines import disks, sent, sqlite
from uploadkit.processing.pipeline import Pipeline
from uploadkit.uploader import Uploader

folder = Path(sys.argv[1])
pipeline = Pipeline(sqlite(folder))

@pipeline.on()
def hear(fact):
    print(fact.name, flush=True)
    time.sleep(0.1)

sent(Uploader(disks(folder)[0], pipeline=pipeline), b"hello")
"""


def test_what_is_being_told_when_the_process_ends_is_heard(tmp_path: Path) -> None:
    """Of a script, for example, whose last line was the upload."""
    done = subprocess.run([sys.executable, "-c", AT_EXIT, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["file.uploaded", "file.processed"]
