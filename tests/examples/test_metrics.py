"""The examples of the numbers for Prometheus: a worker that is read over HTTP, and an app in several processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.processing.servers import eventually

ROOT = Path(__file__).parents[2]

WORKER = """
import asyncio, sys
from examples import metrics_worker

asyncio.run(metrics_worker.worker(int(sys.argv[1])))
"""

GUNICORN = """
import sys
from gunicorn.app.wsgiapp import run

options = "-w 2 --log-level error --no-control-socket -b"
sys.argv = ["gunicorn", *options.split(), f"unix:{sys.argv[1]}", "examples.metrics_web:app"]
run()
"""


@contextmanager
def running(program: str, argument: object, folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """In the folder. It is killed at the end."""
    inherited = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(argument)],
        cwd=folder,
        env=inherited | {"PYTHONPATH": str(ROOT)} | environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def number(text: str, name: str, **labels: str) -> float:
    """0 where it is not told."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return 0


def test_the_worker_of_the_page_is_read_over_http(tmp_path: Path) -> None:
    """It tells of the queue, until it is told to end."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    def text() -> str:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/metrics").text
        except httpx.TransportError:
            return ""

    with running(WORKER, port, tmp_path) as worker:
        eventually(lambda: number(text(), "uploadkit_queue_up"))
        eventually((tmp_path / "uploadkit-data" / "queue" / "valkey.sock").is_socket)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    assert text() == ""


def test_the_app_of_the_page_is_counted_in_all_its_processes() -> None:
    """Whichever of them is asked."""
    with tempfile.TemporaryDirectory(prefix="uploadkit-") as name:
        folder = Path(name)
        (folder / "numbers").mkdir()
        with running(GUNICORN, folder / "web.sock", folder, PROMETHEUS_MULTIPROC_DIR=str(folder / "numbers")) as server:
            eventually((folder / "web.sock").exists)
            transport = httpx.HTTPTransport(uds=str(folder / "web.sock"))
            with httpx.Client(transport=transport, base_url="http://test", headers={"connection": "close"}) as client:
                sent = 0

                def both_have_counted() -> bool:
                    nonlocal sent
                    client.post(f"/{sent}").raise_for_status()
                    sent += 1
                    return len(list((folder / "numbers").glob("counter_*.db"))) == 2

                eventually(both_have_counted)
                for _ in range(4):
                    answer = client.get("/metrics").raise_for_status()
                    assert number(answer.text, "uploadkit_job_attempts_total", outcome="done") == sent
            server.terminate()
            assert server.wait(20) == 0
