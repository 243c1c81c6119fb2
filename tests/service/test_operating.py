"""What operators ask of a service: its numbers, and whether it lives and can work."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed
from starlette.testclient import TestClient

from uploadkit.errors import StorageFailed
from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.queue import Counts
from uploadkit.records.ledger import Ledger
from uploadkit.service.operating import Readiness
from uploadkit.storage.contract import ObjectInfo, StoredObject
from uploadkit.storage.memory import MemoryStorage

from .conftest import Serve, parts_of


def numbers(service: TestClient, **headers: str) -> dict[tuple[str, ...], float]:
    """By the name and the values of the labels, in the order of their names."""
    answer = service.get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in parsed(answer.text)
        for sample in family.samples
    }


# Numbers


def test_requests_are_counted_by_their_routes(service: TestClient) -> None:
    """By the template, and not by what a client may choose."""
    form = service.post("/uploads", files=[("f", ("1.txt", b"one"))])
    [upload] = form.json()["uploads"]
    answer = service.get(upload["status_url"])
    for name in ("a", "b", "c"):
        service.get(f"/uploads/{name}")
        service.get(f"/{name}")
        service.request(name.upper() * 5, "/uploads")
    found = numbers(service)
    requests = {key[1:]: value for key, value in found.items() if key[0] == "uploadkit_http_requests_total"}
    assert requests == {
        ("POST", "/uploads", "202"): 1,
        ("GET", "/uploads/{upload}", "200"): 1,
        ("GET", "/uploads/{upload}", "404"): 3,
        ("GET", "other", "404"): 3,
        ("other", "/uploads", "405"): 3,
    }
    assert found["uploadkit_http_request_seconds_count", "POST", "/uploads"] == 1
    assert found["uploadkit_http_request_seconds_sum", "POST", "/uploads"] > 0
    assert found["uploadkit_http_received_bytes_total", "/uploads"] == len(form.request.content)
    assert found["uploadkit_http_sent_bytes_total", "/uploads/{upload}"] > len(answer.content)


def test_refusals_are_counted_by_their_codes(service: TestClient) -> None:
    service.get("/uploads/nobody's")
    service.post("/uploads", files=[("f", ("1.exe", b"MZ" + bytes(100)))])
    found = numbers(service)
    refusals = {key[1]: value for key, value in found.items() if key[0] == "uploadkit_http_refusals_total"}
    assert refusals == {"not_found": 1, "file_refused": 1}


def test_codes_without_end_are_other(service: TestClient) -> None:
    """A function of the application's own may refuse with any."""
    told = parts_of(service).numbers
    for number in range(200):
        told._refusals.labels(told._bounded(f"code{number}")).inc()
    found = {key[1]: value for key, value in numbers(service).items() if key[0] == "uploadkit_http_refusals_total"}
    assert len(found) == 101
    assert found["other"] == 100


def test_what_is_not_answered_yet_is_seen(service: TestClient) -> None:
    """Uploads, which have a body, apart from the others; the scrape itself is one of those."""

    def under_way() -> tuple[float, float]:
        found = numbers(service)
        return found["uploadkit_http_under_way", "upload"], found["uploadkit_http_under_way", "other"]

    scope = {"type": "http", "headers": [(b"content-length", b"10")], "http_version": "1.1"}
    with parts_of(service).numbers.under_way(scope):
        assert under_way() == (1, 1)
    assert under_way() == (0, 1)


def test_jobs_and_uploads_are_counted(service: TestClient) -> None:
    """What `Metrics` tells: attempts of this process, and what the ledger has."""
    service.post("/uploads", files=[("f", ("1.txt", b"one"))])
    found = numbers(service)
    assert found["uploadkit_uploads", "completed"] == 1
    assert found["uploadkit_ledger_up",] == 1
    assert found["uploadkit_job_attempts_total", "done", "promote", "documents"] == 1


def test_two_services_of_one_process_count_apart(serve: Serve) -> None:
    first, second = serve(), serve()
    first.get("/healthz")
    assert ("uploadkit_http_requests_total", "GET", "/healthz", "200") not in numbers(second)


SHARING = """
import os, sys
from uploadkit.records.ledger import Ledger
from uploadkit.processing.pipeline import Pipeline
from prometheus_client.multiprocess import mark_process_dead
from uploadkit.service.operating import Numbers
numbers = Numbers(Pipeline(Ledger("sqlite:///" + sys.argv[1])))
begun, ended = os.pipe(), os.pipe()
scope = {"type": "http", "headers": [(b"content-length", b"10")], "http_version": "1.1"}
child = os.fork()
if child == 0:
    with numbers.under_way(scope):
        numbers._refusals.labels("not_found").inc()
        os.write(begun[1], b".")
        os.read(ended[0], 1)
        os._exit(0)
numbers._refusals.labels("not_found").inc()
os.read(begun[0], 1)

def show():
    shown = ("uploadkit_http_refusals", "uploadkit_http_under")
    print(*sorted(line for line in numbers._metrics.text().decode().splitlines() if line.startswith(shown)), sep="; ")

show()
os.write(ended[1], b".")
os.waitpid(child, 0)
mark_process_dead(child)
show()
"""


def test_processes_that_share_a_folder_count_together(tmp_path: Path) -> None:
    """And what one was at that has died is no longer under way."""
    (tmp_path / "numbers").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SHARING, tmp_path / "ledger.db"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "numbers")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        'uploadkit_http_refusals_total{code="not_found"} 2.0; uploadkit_http_under_way{kind="upload"} 1.0',
        'uploadkit_http_refusals_total{code="not_found"} 2.0',
    ]


# Who may read them


def test_who_has_the_token_reads_them(serve: Serve) -> None:
    service = serve(metrics_token="s3cret", open=True)
    assert numbers(service, Authorization="Bearer s3cret")
    assert numbers(service, Authorization="bearer s3cret")
    for wrong in (
        {},
        {"Authorization": "Bearer other"},
        {"Authorization": "s3cret"},
        {"Authorization": "Basic s3cret"},
    ):
        answer = service.get("/metrics", headers=wrong)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "settings",
    [
        {"open": True},
        {"host": "0.0.0.0", "open": True},
        {"host": "192.0.2.1", "open": True},
        {"host": "example.org", "open": True},
        {"tokens": [{"owner": "ann", "sha256": "0" * 64}]},
        {"hosts": ["uploads.example.org", "testserver", "127.0.0.1"]},
    ],
)
def test_without_a_token_a_service_for_others_tells_nobody(serve: Serve, settings: dict[str, Any]) -> None:
    answer = serve(**settings).get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_without_a_token_a_service_for_this_machine_tells_it(serve: Serve, host: str) -> None:
    assert numbers(serve(host=host))


# Health


def test_a_process_that_lives_says_so(service: TestClient) -> None:
    """Whatever else is wrong."""
    parts_of(service).readiness.drain()
    assert (service.get("/healthz").status_code, service.get("/healthz").json()) == (200, {"status": "ok"})


def test_what_can_work_is_ready_and_leaves_nothing(service: TestClient, tmp_path: Path) -> None:
    answer = service.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["cache-control"] == "no-store"
    assert [path for name in ("staging", "files") for path in (tmp_path / name).rglob("*") if path.is_file()] == []


def test_what_stops_is_not_ready(service: TestClient) -> None:
    parts_of(service).readiness.drain()
    answer = service.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "draining"})


class Silent(InlineQueue):
    """Does not answer, or says that it fails."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__(_nobody)
        self.error = error
        self.asked = 0

    async def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        await asyncio.Event().wait()
        raise AssertionError


async def _nobody(running: object) -> None:
    raise AssertionError


class Broken(MemoryStorage):
    """Has lost its server."""

    def stat(self, key: str) -> StoredObject:
        raise StorageFailed("cannot reach https://key:secret@storage", storage=self.name)


class Full(MemoryStorage):
    """Takes no byte."""

    def open(self, key: str, info: ObjectInfo) -> Any:
        raise StorageFailed("there is no room", storage=self.name)


def test_who_does_not_answer_is_named_and_no_more_is_said(serve: Serve, tmp_path: Path) -> None:
    """All at once; and of what is wrong with them nothing but the log says anything."""
    pipeline = Pipeline(
        Ledger(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder' / 'ledger.db'}"),
        queue=Silent(OSError("secret")),
        storage=Full(name="files"),
        storages=[Broken(name="staging"), MemoryStorage(name="quarantine")],
    )
    answer = serve(pipeline=pipeline).get("/readyz")
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "failing", "failing": ["ledger", "queue", "storage files", "storage staging"]},
    )


@contextmanager
def readiness(queue: Silent, folder: Path) -> Iterator[Readiness]:
    with closing(Pipeline(Ledger(f"sqlite:///{folder / 'ledger.db'}"), queue=queue)) as pipeline:
        yield Readiness(pipeline)


def test_what_hangs_is_waited_for_once_and_not_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often somebody asks: what has not answered is not asked again."""
    monkeypatch.setattr("uploadkit.service.operating.ANSWER_SECONDS", 0.02)
    monkeypatch.setattr("uploadkit.service.operating.KEPT_SECONDS", 0)
    queue = Silent(None)

    async def ask() -> None:
        with readiness(queue, tmp_path) as ready:
            assert (await ready.failing()) >= {"queue"}
            assert (await ready.failing()) >= {"queue"}
            for task in ready._pending.values():
                task.cancel()
            await asyncio.wait(ready._pending.values())

    asyncio.run(ask())
    assert queue.asked == 1


def test_an_answer_is_kept_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks meanwhile, at the same time too, is told the same, and nobody is asked for it."""
    queue = Silent(OSError("gone"))
    now = 1000.0
    monkeypatch.setattr("uploadkit.service.operating.monotonic", lambda: now)

    async def ask() -> None:
        nonlocal now
        with readiness(queue, tmp_path) as ready:
            answers = await asyncio.gather(*(ready.failing() for _ in range(20)))
            assert set(answers) == {frozenset({"queue"})}
            await ready.failing()
            assert queue.asked == 1
            now += 1.1
            await ready.failing()
            assert queue.asked == 2

    asyncio.run(ask())


def test_what_begins_to_fail_is_logged_once_and_when_it_is_well_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("uploadkit.service.operating.KEPT_SECONDS", 0)
    caplog.set_level("INFO", "uploadkit.service")
    queue = Silent(OSError("gone"))

    async def counts(queues: Sequence[str]) -> dict[str, Counts]:
        return {}

    async def ask() -> None:
        with readiness(queue, tmp_path) as ready:
            for _ in range(3):
                assert await ready.failing() == {"queue"}
            ready._checks["queue"] = lambda: counts([])
            assert await ready.failing() == set()

    asyncio.run(ask())
    assert caplog.messages == ["the queue does not answer: OSError: gone", "the queue answers again"]
