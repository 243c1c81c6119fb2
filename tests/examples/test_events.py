"""The examples of events: a ledger's facts and three subscribers, webhooks over a real server, Redis, and telemetry."""

from __future__ import annotations

import importlib
import os
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi.testclient import TestClient
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.adapters.servers import eventually
from tests.events.told import FACTS_TOLD, UPLOADED
from werkzeug.serving import make_server

from uploadkit.events.bus import Events
from uploadkit.events.facts import FileProcessed
from uploadkit.events.redis import RedisEvents
from uploadkit.events.webhooks import Webhooks, new_secret

ROOT = Path(__file__).parents[2]


def run(name: str, folder: Path, **environment: str) -> str:
    """What an example prints, in a folder of its own."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def test_three_subscribers_hear_what_the_ledger_forwards(tmp_path: Path) -> None:
    """One fails once: it hears the fact again, and so do the others, to whom that makes no difference."""
    assert run("events_app.py", tmp_path).splitlines() == [
        "searched ['photo.jpg']",
        "letters ['Thank you, Ann!']",
        "bills {'u1': 2000000}",
    ]


# Webhooks


@pytest.fixture
def secret() -> str:
    return new_secret()


@pytest.fixture
def receiver(secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The example as a server, and its URL."""
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    monkeypatch.setenv("WEBHOOK_DATABASE", str(tmp_path / "received.db"))
    example = fresh("examples.webhook_receiver")
    server = make_server("127.0.0.1", 0, example.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hooks"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fresh(name: str) -> ModuleType:
    """An example as it is when it is first imported."""
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def finished(folder: Path) -> list[str]:
    database = sqlite3.connect(folder / "received.db")
    try:
        return [row[0] for row in database.execute("SELECT upload FROM finished")]
    finally:
        database.close()


def test_the_receiver_does_once_what_comes_twice(receiver: str, secret: str, tmp_path: Path) -> None:
    webhooks = Webhooks(receiver, secret, internal=True)
    fact = FileProcessed(upload="u1")
    for each in (fact, fact, FileProcessed(upload="u2"), UPLOADED):
        webhooks.deliver(each)
    assert finished(tmp_path) == ["u1", "u2"]


def test_the_receiver_refuses_what_was_signed_by_nobody(receiver: str, tmp_path: Path) -> None:
    """And says so: the sender sees 403."""
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(urllib.request.Request(receiver, data=b"{}"), timeout=10)
    with raised.value as answer:
        assert (answer.code, answer.read()) == (403, b"the webhook is not signed")
    assert finished(tmp_path) == []


def test_the_sender_sends_what_the_ledger_has(receiver: str, secret: str, tmp_path: Path) -> None:
    """And keeps it where nobody took it."""
    environment = {"WEBHOOK_URL": receiver, "WEBHOOK_SECRET": secret}
    assert run("webhook_sender.py", tmp_path, **environment) == "taken 1 left 0\n"
    assert finished(tmp_path) == ["u1"]
    other = environment | {"WEBHOOK_SECRET": new_secret()}
    assert run("webhook_sender.py", tmp_path, **other) == "taken 0 left 1\n"
    assert finished(tmp_path) == ["u1"]


# Redis


def test_a_web_process_hears_what_a_worker_tells(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", valkey)
    example = fresh("examples.events_redis")
    worker = RedisEvents(valkey)
    with TestClient(example.app) as client:
        assert client.get("/uploads/example/status").status_code == 404
        worker.publish(FileProcessed(upload="example"))
        eventually(lambda: example.finished)
        assert example.finished == ["example"]
        eventually(lambda: client.get("/uploads/example/status").status_code == 200)
        assert client.get("/uploads/example/status").json()["state"] == "completed"
    worker.close()


# OpenTelemetry


def test_facts_are_counted_and_noted_in_the_span_of_who_publishes() -> None:
    reader, spans = InMemoryMetricReader(), InMemorySpanExporter()
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    metrics.set_meter_provider(MeterProvider([reader]))
    trace.set_tracer_provider(tracing)
    example = fresh("examples.events_opentelemetry")
    events = Events()
    events.on(retried=True)(example.observe)
    with trace.get_tracer("test").start_as_current_span("request"):
        for fact in FACTS_TOLD:
            events.publish(fact)
    [span] = spans.get_finished_spans()
    assert [event.name for event in span.events] == [fact.name for fact in FACTS_TOLD]
    assert span.events[0].timestamp == 1_795_685_400_250_000_000
    counted = points(reader, "uploadkit.facts")
    assert {point.attributes["event"]: point.value for point in counted} == {fact.name: 1 for fact in FACTS_TOLD}
    [sized] = points(reader, "uploadkit.upload.size")
    assert (sized.sum, dict(sized.attributes)) == (2_000_000, {"content_type": "image/jpeg"})


def points(reader: InMemoryMetricReader, name: str) -> list[Any]:
    data = reader.get_metrics_data()
    assert data is not None
    found: Mapping[str, Any] = {
        metric.name: metric.data
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    return list(found[name].data_points)
