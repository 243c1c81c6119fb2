"""Uploads straight into a bucket of a real S3 server, by a client that speaks plain HTTP to it and to the service: what
the signatures allow, and what is left in the bucket."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.storage.s3.places import Locate, Place
from tests.storage.s3.places import locate as locate
from tests.storage.s3.places import weed as weed
from tests.storage.s3.server import S3Server

from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.upkeep import sweep
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.resumable.direct import MIN_PART_SIZE
from uploadkit.service.app import create_app
from uploadkit.service.settings import Settings
from uploadkit.storage.s3 import S3Storage
from uploadkit.testing import sample

from .listening import Listening, listening
from .test_callers import bearer, rule

PNG, PDF = sample("image/png", size=100_000), sample("application/pdf", size=MIN_PART_SIZE + 1)
VIDEO = sample("video/mp4", size=2 * MIN_PART_SIZE + 1000)
ANN, BOB = bearer("anns"), bearer("bobs")


@dataclass(eq=False)
class Client:
    """Somebody who sends to a service and to its bucket."""

    server: Listening
    place: Place
    pipeline: Pipeline

    def ask(self, method: str, path: str, who: dict[str, str] = ANN, **more: Any) -> requests.Response:
        return requests.request(method, f"http://127.0.0.1:{self.server.port}{path}", headers=who, timeout=60, **more)

    def form(self, name: str, data: bytes, *, size: int | None = None) -> dict[str, Any]:
        """One that was asked for, for so many bytes; nothing is sent."""
        said = {"filename": name, "size": len(data) if size is None else size}
        told: dict[str, Any] = self.ask("GET", "/direct/s3/params", params=said).json()
        return told

    def post(self, form: dict[str, Any], data: bytes, **changed: str) -> int:
        fields = {**form["fields"], **changed}
        return requests.post(form["url"], data=fields, files={"file": ("blob", data)}, timeout=60).status_code

    def parts(self, name: str, data: bytes, *, size: int | None = None) -> str:
        """An upload in parts, all of which were sent."""
        said = {"filename": name, "metadata": {"size": str(len(data) if size is None else size)}}
        upload: str = self.ask("POST", "/direct/s3/multipart", json=said).json()["uploadId"]
        for number, at in enumerate(range(0, len(data), MIN_PART_SIZE), 1):
            self.put(upload, number, data[at : at + MIN_PART_SIZE])
        return upload

    def put(self, upload: str, number: int, data: bytes) -> None:
        url = self.ask("GET", f"/direct/s3/multipart/{upload}/{number}?key={upload}").json()["url"]
        assert requests.put(url, data=data, timeout=60).status_code == 200

    def complete(self, upload: str) -> requests.Response:
        return self.ask("POST", f"/direct/s3/multipart/{upload}/complete?key={upload}")

    def finish(self, key: str) -> requests.Response:
        return self.ask("POST", "/direct/s3/complete", params={"key": key})

    def state(self, upload: str) -> State:
        return self.pipeline.ledger.get(upload).state

    def file(self, upload: str) -> bytes:
        return self.ask("GET", f"/files/{upload}").content


@pytest.fixture
def client(weed: S3Server, locate: Locate, tmp_path: Path) -> Iterator[Client]:
    place = locate(weed)
    staging, files = (
        S3Storage(f"{place.url}/{name}", options=place.options(), name=name, stale_seconds=30 * 86400)
        for name in ("staging", "files")
    )
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        pipeline = Pipeline(ledger, storage=files, storages=[staging])
        tokens = (rule("anns", "ann"), rule("bobs", "bob"))
        app = create_app(Settings(data=tmp_path / "data", tokens=tokens, rate=None), pipeline=pipeline)
        with listening(app) as server:
            yield Client(server, place, pipeline)
    for storage in (staging, files):
        storage.close()


def left(client: Client) -> list[str]:
    """What is in the bucket beside the files that are kept."""
    kept = {f"{record.storage}/{record.key}" for record in client.pipeline.ledger.find()}
    found = [key for key in client.place.keys() if key not in kept]  # noqa: SIM118  it is no dict
    return [*found, *client.place.uploads()]


def test_a_form_goes_into_the_bucket_and_is_taken(client: Client) -> None:
    """By the key that stands in it, as Uppy says it; the file is promoted, and nothing is left in staging."""
    form = client.form("été.png", PNG)
    assert client.post(form, PNG) in (200, 204)
    answer = client.finish(form["fields"]["key"])
    assert (answer.status_code, answer.json()["key"]) == (202, form["id"])
    assert client.state(form["id"]) is State.COMPLETED
    shown = client.ask("GET", form["status_url"]).json()
    assert (shown["filename"], shown["content_type"]) == ("été.png", "image/png")
    assert shown["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert (client.file(form["id"]), left(client)) == (PNG, [])


def test_parts_go_into_the_bucket_and_are_taken(client: Client) -> None:
    """In between the client asks which have arrived, as after a reload."""
    upload = client.parts("a.mp4", VIDEO[:MIN_PART_SIZE], size=len(VIDEO))
    [first] = client.ask("GET", f"/direct/s3/multipart/{upload}?key={upload}").json()
    assert (first["PartNumber"], first["Size"], first["ETag"] != "") == (1, MIN_PART_SIZE, True)
    for number in (3, 2):
        client.put(upload, number, VIDEO[(number - 1) * MIN_PART_SIZE : number * MIN_PART_SIZE])
    assert client.complete(upload).status_code == 202
    assert (client.complete(upload).status_code, client.state(upload)) == (202, State.COMPLETED)
    assert hashlib.sha256(client.file(upload)).digest() == hashlib.sha256(VIDEO).digest()
    assert left(client) == []


def test_the_bucket_keeps_to_what_was_signed(client: Client) -> None:
    """Another size, another type or another name is not taken by it, and there is nothing to be finished."""
    form = client.form("a.png", PNG)
    assert client.post(form, PNG + b"x") in (400, 403)
    assert client.post(form, PNG, **{"Content-Type": "text/html"}) == 403
    assert client.post(form, PNG, key="somewhere/else") == 403
    answer = client.finish(form["id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "not_arrived")
    assert client.state(form["id"]) is State.RECEIVING


@pytest.mark.parametrize(
    ("name", "data", "size", "status", "code"),
    [
        ("a.mp4", PDF, None, 415, "file_refused"),
        ("a.mp4", VIDEO, len(VIDEO) + 1, 400, "truncated_form"),
        ("a.mp4", VIDEO, len(VIDEO) - 1, 413, "limit_exceeded"),
    ],
    ids=["another type", "truncated", "too much"],
)
def test_what_is_refused_leaves_nothing(
    client: Client, name: str, data: bytes, size: int | None, status: int, code: str
) -> None:
    upload = client.parts(name, data, size=size)
    answer = client.complete(upload)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    record = client.pipeline.ledger.get(upload)
    assert (record.state, record.reason) == (State.REJECTED, answer.json()["detail"])
    assert (left(client), client.complete(upload).status_code) == ([], 410)


def test_another_owner_gets_nowhere(client: Client) -> None:
    upload = client.parts("a.mp4", VIDEO)
    for method, path in (("GET", ""), ("GET", "/1"), ("DELETE", ""), ("POST", "/complete")):
        answer = client.ask(method, f"/direct/s3/multipart/{upload}{path}?key={upload}", BOB)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client.complete(upload).status_code == 202
    assert left(client) == []


def test_of_many_that_finish_at_once_one_does(client: Client) -> None:
    """The others are told to wait, or that it is taken; there is one file."""
    form = client.form("a.png", PNG)
    client.post(form, PNG)
    together, statuses = threading.Barrier(4), []

    def finish() -> None:
        together.wait(10)
        statuses.append(client.finish(form["id"]).status_code)

    threads = [threading.Thread(target=finish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 202 in statuses
    assert set(statuses) <= {202, 423}
    assert client.finish(form["id"]).status_code == 202
    assert (client.state(form["id"]), left(client)) == (State.COMPLETED, [])


def test_a_form_that_is_sent_again_changes_nothing(client: Client) -> None:
    """What was taken stays as it was judged."""
    form = client.form("a.txt", b"harmless")
    client.post(form, b"harmless")
    assert client.finish(form["id"]).status_code == 202
    client.post(form, b"<script>")
    assert client.finish(form["id"]).status_code == 202
    assert client.file(form["id"]) == b"harmless"


def test_what_is_given_up_leaves_nothing(client: Client) -> None:
    """By its client, or when its time is over: parts, forms that were sent, and what was one object already."""
    given_up, abandoned = client.parts("a.mp4", VIDEO), client.parts("b.mp4", VIDEO)
    whole = client.parts("c.mp4", PDF)
    form = client.form("a.png", PNG)
    client.post(form, PNG)
    row = client.pipeline.ledger.resumables.get(whole)
    assert row is not None
    told, staging = row.told["direct"], client.pipeline.storages["staging"]
    assert isinstance(staging, S3Storage)
    staging.complete_parts(whole, told["parts"], staging.list_parts(whole, told["parts"]))
    staging.arrived(form["id"])  # whoever looks at it makes a copy, and may die then
    assert len(client.place.uploads()) == 2
    for _ in range(2):
        assert client.ask("DELETE", f"/direct/s3/multipart/{given_up}?key={given_up}").status_code == 200
    assert len(client.place.uploads()) == 1
    now = datetime.now(UTC)
    sweep(client.pipeline, older_than_seconds=0, now=lambda: now + timedelta(hours=23))
    assert {client.state(upload) for upload in (abandoned, whole, form["id"])} == {State.RECEIVING}
    swept = sweep(client.pipeline, older_than_seconds=1800, now=lambda: now + timedelta(hours=25))
    assert {client.state(upload) for upload in (abandoned, whole, form["id"])} == {State.EXPIRED}
    assert (left(client), client.place.uploads(), swept.failures) == ([], [], 0)
