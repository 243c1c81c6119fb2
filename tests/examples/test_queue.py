"""The examples of the queue: what the page shows beside its program, which tests/docs runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from examples.queue_worker import test_a_broken_picture_is_tried_three_times as test_the_test_of_the_page
from tests.processing.servers import eventually

__all__ = ["test_the_test_of_the_page"]

ROOT = Path(__file__).parents[2]


def test_the_worker_of_the_page_ends_with_sigterm(tmp_path: Path) -> None:
    """And its broker with it."""
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    environment["PYTHONPATH"] = str(ROOT)
    worker = subprocess.Popen([sys.executable, "-m", "examples.queue_worker"], cwd=tmp_path, env=environment)
    try:
        eventually((tmp_path / "uploadkit-data" / "queue" / "valkey.sock").is_socket)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    finally:
        worker.kill()
        worker.wait()
    assert not (tmp_path / "uploadkit-data" / "queue" / "valkey.sock").exists()
