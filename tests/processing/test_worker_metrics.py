"""`uploadkit worker --metrics`: what Prometheus reads of a worker, and what is told where it can read nothing."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
from prometheus_client import CollectorRegistry
from tests.processing.app import Places, built
from tests.processing.pipelines import Copies, sent
from tests.processing.servers import ROOT, eventually
from tests.processing.test_metrics import parsed

from uploadkit.cli import main
from uploadkit.cli.worker import _address, _metrics_of
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.metrics import Metrics
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger

SECONDS = 60


def scraped(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return parsed(answer.read())


@pytest.mark.needs("linux")
def test_prometheus_reads_what_a_worker_has_done(tmp_path: Path, valkey_queue: BullMQQueue, valkey_url: str) -> None:
    """Of a user's function, which ran in a child process, and of a processor of uploadkit's own, which moved the file;
    the queue and the ledger besides. When the worker has ended nobody listens any more."""
    places = Places(
        folder=tmp_path, ledger=f"sqlite:///{tmp_path}/uploads.db", queue=valkey_url, prefix=valkey_queue._prefix
    )
    log = tmp_path / "log"
    command = [sys.executable, "-m", "uploadkit", "worker", "--app", "tests.processing.app:pipeline"]
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*command, "--metrics", "0"], cwd=ROOT, env=os.environ | places.environ(), stderr=stderr
        )
    pipeline, upload = built(places)
    try:
        [file] = sent(upload, b"seven b")
        eventually(lambda: pipeline.ledger.get(file.id).is_settled, seconds=SECONDS)
        address = re.search(r"numbers for Prometheus are at http://127\.0\.0\.1:(\d+)/metrics", log.read_text())
        assert address is not None
        port = int(address[1])
        eventually(lambda: scraped(port)["uploadkit_queue_jobs{queue=documents,state=active}"] == 0)
        found = scraped(port)
        for processor in ("read", "promote"):
            of_job = f"processor={processor},queue=documents"
            assert found[f"uploadkit_job_attempts_total{{outcome=done,{of_job}}}"] == 1
            assert found[f"uploadkit_job_processing_seconds_count{{{of_job}}}"] == 1
            assert found[f"uploadkit_job_processing_seconds_sum{{{of_job}}}"] > 0
            assert found[f"uploadkit_job_bytes_total{{{of_job}}}"] == 7
        assert found["uploadkit_job_waiting_seconds_count{queue=documents}"] == 2
        jobs = {name for name in found if name.startswith("uploadkit_queue_jobs")}
        assert jobs == {
            f"uploadkit_queue_jobs{{queue={queue},state={state}}}"
            for queue in ("images", "documents", "videos", "bulk")
            for state in ("waiting", "delayed", "active", "failed")
        }
        assert found["uploadkit_uploads{state=completed}"] == 1
        assert found["uploadkit_queue_up"] == found["uploadkit_ledger_up"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        with pytest.raises(OSError, match="refused"):
            scraped(port)
    finally:
        process.kill()
        process.wait()
        pipeline.close()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """In a module of an application: `shop:pipeline`. prometheus_client's own registry is a new one."""
    monkeypatch.setattr("uploadkit.processing.metrics.REGISTRY", CollectorRegistry())
    module = ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", module)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with closing(Pipeline(Ledger(f"sqlite:///{tmp_path}/uploads.db"), queue=InlineQueue())) as pipeline:
        pipeline.process("*", Copies(), queue="letters")
        vars(module)["pipeline"] = pipeline
        yield pipeline


def refused(capsys: pytest.CaptureFixture[str], metrics: object) -> str:
    """The one line that the command tells."""
    assert main(["worker", "--app", "shop:pipeline", "--metrics", str(metrics), "--log-level", "error"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_a_port_that_is_taken_is_told(shop: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """Before a job is begun. So is a host that is none of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused(capsys, port) == f"uploadkit: --metrics 127.0.0.1:{port}: Address already in use"
    assert refused(capsys, "192.0.2.1:9100").startswith("uploadkit: --metrics 192.0.2.1:9100: ")


def test_a_missing_extra_is_told(
    shop: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name."""
    monkeypatch.delitem(sys.modules, "uploadkit.processing.metrics")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert refused(capsys, 0) == (
        "uploadkit: --metrics: uploadkit.processing.metrics needs prometheus-client: pip install 'pyuploadkit[metrics]'"
    )


def test_numbers_of_the_applications_own_are_served(shop: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """Where its pipeline tells them: each attempt is counted once, and what it watches stays as it has said. Others
    would be counted twice."""
    own = Metrics()
    assert refused(capsys, 0).endswith("write pipeline.observe(metrics)")
    shop.observe(own)
    own.watch(InlineQueue(), queues=["parcels"])
    assert _metrics_of(shop) is own
    assert shop.observers == (own,)
    found = parsed(own.text())
    assert "uploadkit_queue_jobs{queue=parcels,state=waiting}" in found
    assert "uploadkit_queue_jobs{queue=letters,state=waiting}" not in found
    assert found["uploadkit_uploads{state=completed}"] == 0


def test_queues_of_the_applications_own_are_watched(shop: Pipeline) -> None:
    """Without being named."""
    assert parsed(_metrics_of(shop).text())["uploadkit_queue_jobs{queue=letters,state=waiting}"] == 0


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("9100", "127.0.0.1", 9100, "127.0.0.1:9100"),
        ("0.0.0.0:9100", "0.0.0.0", 9100, "0.0.0.0:9100"),
        ("[::1]:0", "::1", 0, "[::1]:0"),
    ],
)
def test_an_address_is_a_port_with_or_without_a_host(text: str, host: str, port: int, shown: str) -> None:
    """Without one it is this machine's alone."""
    assert tuple(_address(text)) == (host, port)
    assert str(_address(text)) == shown
