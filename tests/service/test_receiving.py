"""What comes in by `POST /uploads`, and what is left behind by what does not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any, TypeAlias

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from tests.postgres import PostgresServer
from tests.service.listening import Listening, listening
from tests.service.processes import eventually

from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.upkeep import sweep
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import UploadRecord, Usage
from uploadkit.service import jobs, receiving
from uploadkit.service.app import create_app
from uploadkit.service.settings import Settings
from uploadkit.testing import Answer, Client, FormBuilder, exchange, request, request_head

from .conftest import parts_of, quick_pipeline


def test_many_files_of_one_request_are_taken_together(service: TestClient) -> None:
    """In the order in which they came, with a status for each and for all of them."""
    answer = service.post("/uploads", files=[("a", ("1.txt", b"one")), ("b", ("2.txt", b"two"))])
    told = answer.json()
    assert (answer.status_code, told["total"]) == (202, 2)
    assert [each["filename"] for each in told["uploads"]] == ["1.txt", "2.txt"]
    for each in told["uploads"]:
        assert service.get(each["status_url"]).json()["status"] == "completed"
    batch = service.get(told["batch_url"]).json()
    assert (batch["total"], batch["is_settled"], batch["counts"]) == (2, True, {"completed": 2})
    assert [each["id"] for each in batch["uploads"]] == [each["id"] for each in told["uploads"]]


def test_priority_and_tags_are_those_of_every_file(service: TestClient) -> None:
    told = service.post(
        "/uploads", files=[("file", ("1.txt", b"one"))], data={"priority": "HIGH", "tags": ["year=2026, sea", "x"]}
    ).json()
    shown = service.get(told["uploads"][0]["status_url"]).json()
    assert shown["priority"] == 5
    assert shown["tags"] == {"year": "2026", "sea": "", "x": ""}


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"priority": "soon"}, "priority"),
        ({"prio": "high"}, "prio"),
        ({"tags": "x" * 65}, "tags"),
        ({"tags": ",".join(f"t{number}" for number in range(21))}, "tags"),
        ({"tags": ["same"] * 21}, "tags"),
        ({"tags": "=value"}, "tags"),
    ],
)
def test_what_is_said_wrongly_leaves_nothing(
    service: TestClient, tmp_path: Path, data: dict[str, str | list[str]], field: str
) -> None:
    answer = service.post("/uploads", files=[("file", ("1.txt", b"one"))], data=data)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "field_refused", field)
    assert _stored(tmp_path) == []
    assert service.get("/uploads?status=staged&status=completed").json()["uploads"] == []


def test_a_form_without_a_file_is_refused(service: TestClient) -> None:
    form = FormBuilder().text("priority", "high")
    answer = service.post("/uploads", content=form.body, headers={"Content-Type": form.content_type})
    assert (answer.status_code, answer.json()["code"]) == (422, "field_missing")


def test_the_same_request_again_is_answered_as_the_first_was(service: TestClient) -> None:
    """By its Idempotency-Key, without reading it; another owner, or another key, is another request."""
    first = service.post("/uploads", files=[("f", ("1.txt", b"one"))], headers={"Idempotency-Key": "k"})
    again = service.post("/uploads", files=[("f", ("other.txt", b"two"))], headers={"Idempotency-Key": "k"})
    assert again.json()["uploads"][0]["id"] == first.json()["uploads"][0]["id"]
    other = service.post("/uploads", files=[("f", ("1.txt", b"one"))], headers={"Idempotency-Key": "l"})
    assert other.json()["uploads"][0]["id"] != first.json()["uploads"][0]["id"]


def test_a_key_of_what_came_to_nothing_may_be_used_again(service: TestClient) -> None:
    headers = {"Idempotency-Key": "k"}
    refused = service.post("/uploads", files=[("f", ("1.exe", b"MZ" + bytes(100)))], headers=headers)
    assert refused.status_code == 415
    taken = service.post("/uploads", files=[("f", ("1.txt", b"one"))], headers=headers)
    assert taken.status_code == 202


def test_a_quota_is_kept(serve, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Of files and of bytes: what is deleted counts no longer."""
    service: TestClient = serve(quota_files=2, quota_size="10 KB")
    ids = [service.post("/uploads", files=[("f", ("1.txt", b"x" * 1000))]).json()["uploads"][0]["id"] for _ in range(2)]
    refused = service.post("/uploads", files=[("f", ("1.txt", b"x"))])
    assert (refused.status_code, refused.json()["code"], refused.json()["limit"]) == (413, "quota_exceeded", "files")
    service.delete(f"/uploads/{ids[0]}")
    refused = service.post("/uploads", files=[("f", ("1.txt", b"x" * 9500))])
    assert (refused.status_code, refused.json()["limit"]) == (413, "bytes")
    assert service.post("/uploads", files=[("f", ("1.txt", b"x" * 1000))]).status_code == 202
    assert parts_of(service).pipeline.ledger.usage("anybody").files == 2


# On real sockets


@dataclass(frozen=True, kw_only=True)
class Served:
    """A service behind a socket, and its pipeline. Whose a request is stands in its header `Owner`."""

    server: Listening
    pipeline: Pipeline

    @property
    def records(self) -> list[UploadRecord]:
        return self.pipeline.ledger.find()

    def usage(self) -> Usage:
        return self.pipeline.ledger.usage("ann")

    def post(self, *sizes: int, key: str | None = None, owner: str = "ann") -> Answer:
        """So many files of these sizes."""
        return exchange(self.server.port, request("/uploads", form_of(*sizes), *headers_of(key, owner)))

    def begin(self, client: Client, *sizes: int, key: str | None = None, cut: int = 10) -> bytes:
        """Sends a request but for its last bytes, which are returned. Its first file is known then."""
        known = len(self.records)
        sent = request("/uploads", form_of(*sizes), *headers_of(key, "ann"))
        client.send(sent[:-cut])
        eventually(lambda: len(self.records) >= known + len(sizes))
        return sent[-cut:]


Serve: TypeAlias = Callable[..., Served]


def form_of(*sizes: int) -> FormBuilder:
    form = FormBuilder()
    for number, size in enumerate(sizes):
        form.file("file", b"x" * size, filename=f"{number}.txt")
    return form


def headers_of(key: str | None, owner: str) -> list[str]:
    return [f"Owner: {owner}", *([] if key is None else [f"Idempotency-Key: {key}"])]


def _owner(asked: Request) -> str | None:
    return asked.headers.get("owner")


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Serve]:
    """Begins a service: `listen(quota_files=5)` takes the names of `Settings`, and `pipeline`."""
    with ExitStack() as stack:

        def begin(*, pipeline: Pipeline | None = None, **settings: Any) -> Served:
            asked = Settings(data=tmp_path / "data", rate=None, uploads_at_once=100, **settings)
            pipeline = pipeline or quick_pipeline(tmp_path)
            app = create_app(asked, pipeline=pipeline, authenticate=_owner)
            return Served(server=stack.enter_context(listening(app)), pipeline=pipeline)

        yield begin


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    """One of the service, over each database."""
    if request.param == "sqlite":
        yield quick_pipeline(tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    database = server.create()
    ledger = Ledger(server.url(database))
    ledger.migrate()
    yield quick_pipeline(tmp_path, ledger=ledger)
    ledger.close()
    server.drop(database)


def at_once(count: int, call: Callable[[], Answer]) -> list[Answer]:
    """The answers to so many who begin together."""
    barrier = Barrier(count)

    def run(_: int) -> Answer:
        barrier.wait(30)
        return call()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.parametrize("end", [Client.close, Client.reset, Client.end], ids=["closes", "resets", "cuts"])
def test_a_client_that_leaves_in_the_middle_leaves_nothing(
    listen: Serve, tmp_path: Path, end: Callable[[Client], None]
) -> None:
    """No bytes, nothing that is counted, and a key that may be used again."""
    served = listen(quota_files=1)
    with Client(served.server.port) as client:
        served.begin(client, 100000, key="k")
        assert served.usage().files == 1
        end(client)
        eventually(lambda: served.records[0].state is State.REJECTED)
    assert served.usage() == Usage(files=0, bytes=0)
    eventually(lambda: _stored(tmp_path) == [])
    assert served.post(10, key="k").status == 202
    assert served.usage() == Usage(files=1, bytes=10)


def test_one_of_those_that_race_with_one_key_is_taken(listen: Serve, tmp_path: Path, pipeline: Pipeline) -> None:
    """The others are answered as it is, or told that it is under way."""
    served = listen(pipeline=pipeline)
    answers = at_once(10, lambda: served.post(1000, 1000, key="k"))
    taken = [answer for answer in answers if answer.status == 202]
    assert len({answer.json["batch"] for answer in taken}) == 1
    others = {(answer.status, answer.json["code"]) for answer in answers if answer.status != 202}
    assert others <= {(409, "idempotency_conflict")}
    records = [record for record in served.records if record.state is not State.REJECTED]
    assert {record.id for record in records} == {each["id"] for each in taken[0].json["uploads"]}
    assert len(_stored(tmp_path)) == 2


def test_a_key_is_under_way_until_its_request_is_answered(listen: Serve) -> None:
    """For its owner: for others it is a key like any other."""
    served = listen()
    with Client(served.server.port) as client:
        rest = served.begin(client, 100000, key="k")
        refused = served.post(10, key="k")
        assert (refused.status, refused.json["code"]) == (409, "idempotency_conflict")
        assert served.post(10, key="k", owner="eve").status == 202
        client.send(rest)
        first = client.answer()
    assert first.status == 202
    assert served.post(10, key="k").json == first.json


def test_a_key_is_kept_by_what_was_accepted(listen: Serve) -> None:
    """Whatever has become of it since: the same request again is no new one."""
    served = listen()
    first = served.post(10, 10, key="k").json
    served.pipeline.delete(first["uploads"][0]["id"])
    again = served.post(10, 10, key="k")
    assert (again.status, again.json["batch"]) == (202, first["batch"])
    assert [each["status"] for each in again.json["uploads"]] == ["deleted", "completed"]
    served.pipeline.delete(first["uploads"][1]["id"])
    assert served.post(10, 10, key="k").json["batch"] == first["batch"]


def test_a_request_that_died_lets_its_key_go(listen: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it has been silent for a minute: nothing of it is accepted after that."""
    served = listen()
    ledger, files = served.pipeline.ledger, {"field": "file", "filename": "a", "content_type": "text/plain"}
    more: dict[str, Any] = {**files, "owner": "ann", "batch": "b"}
    ledger.add("first", **more, idempotency_key="k", reserved=100)
    ledger.add("second", **more, reserved=0)
    assert served.post(10, key="k").status == 409
    monkeypatch.setattr(ledger, "_now", lambda: datetime.now(UTC) + timedelta(seconds=2 * receiving.LOST_SECONDS))
    monkeypatch.setattr(receiving, "LOST_SECONDS", -receiving.LOST_SECONDS)
    assert served.post(10, key="k").status == 202
    assert {ledger.get(upload).state for upload in ("first", "second")} == {State.REJECTED}
    assert served.usage() == Usage(files=1, bytes=10)


def test_a_request_with_a_key_says_that_it_lives(listen: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it is received."""
    monkeypatch.setattr(receiving, "ALIVE_SECONDS", 0.01)
    served = listen()
    with Client(served.server.port) as client:
        rest = served.begin(client, 100000, key="k")
        before = served.records[0]
        eventually(lambda: served.records[0].changed_at > before.changed_at)
        client.send(rest)
        assert client.answer().status == 202


def test_of_every_upload_of_a_request_it_is_said_that_it_lives(listen: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without a key, and not of one that was deleted."""
    monkeypatch.setattr(receiving, "ALL_ALIVE_SECONDS", 0.01)
    served = listen()
    ledger = served.pipeline.ledger
    with Client(served.server.port) as client:
        rest = served.begin(client, 10, 10, 100000)
        [first, *others] = served.records
        served.pipeline.delete(first.id)
        deleted = ledger.get(first.id)
        for each in others:
            eventually(lambda each=each: ledger.get(each.id).changed_at > each.changed_at)  # type: ignore[misc]
        assert ledger.get(first.id).changed_at == deleted.changed_at
        client.send(rest)
        assert client.answer().status == 202


def test_what_a_process_was_receiving_that_has_died_is_ended(listen: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the service lives on: its quota is free again when it has been silent for half an hour."""
    served = listen()
    ledger = served.pipeline.ledger
    told: dict[str, Any] = {"field": "file", "filename": "a", "content_type": "text/plain"}
    at = datetime.now(UTC)
    for name, ago in (("silent", jobs.SILENT_SECONDS + 1), ("alive", receiving.ALL_ALIVE_SECONDS + 60)):
        monkeypatch.setattr(ledger, "_now", lambda ago=ago: at - timedelta(seconds=ago))
        ledger.add(name, **told, owner="ann", batch=name, reserved=100)
    monkeypatch.setattr(ledger, "_now", lambda: at)

    async def keep() -> None:
        async with jobs.upkeep(served.pipeline):
            await asyncio.to_thread(eventually, lambda: ledger.get("silent").state is State.EXPIRED)

    asyncio.run(keep())
    assert ledger.get("alive").state is State.RECEIVING
    assert served.usage() == Usage(files=1, bytes=100)


def test_of_files_that_are_taken_together_one_that_is_refused_leaves_nothing(listen: Serve, tmp_path: Path) -> None:
    served = listen(quota_files=3)
    form = form_of(100000).file("file", b"MZ" + bytes(100), filename="a.exe")
    for _ in range(3):
        refused = exchange(served.server.port, request("/uploads", form, *headers_of("k", "ann")))
        assert refused.status == 415
    assert (_stored(tmp_path), served.usage()) == ([], Usage(files=0, bytes=0))
    assert served.post(10, 10, 10, key="k").status == 202


def test_of_twenty_that_race_as_many_are_taken_as_the_quota_allows(listen: Serve, pipeline: Pipeline) -> None:
    """No more, and no fewer; and as many again when those are gone."""
    length = len(form_of(1000).body)
    served = listen(pipeline=pipeline, quota_files=7, quota_size=str(5 * length))
    for _ in range(2):
        answers = at_once(20, lambda: served.post(1000))
        assert Counter(answer.status for answer in answers) == {202: 5, 413: 15}
        assert {answer.json["limit"] for answer in answers if answer.status == 413} == {"bytes"}
        assert served.usage() == Usage(files=5, bytes=5000)
        for record in served.pipeline.ledger.find(state=State.COMPLETED):
            served.pipeline.delete(record.id)
        assert served.usage() == Usage(files=0, bytes=0)
    few = listen(pipeline=pipeline, quota_files=7)
    answers = at_once(20, lambda: few.post(1000))
    assert Counter(answer.status for answer in answers) == {202: 7, 413: 13}


def test_what_an_owner_has_is_counted_exactly(listen: Serve, pipeline: Pipeline) -> None:
    """After what was refused, broken off, deleted and expired: those that are there."""
    served = listen(pipeline=pipeline, quota_files=10, quota_size="1 MB", expire_seconds=0.001)
    assert served.post(1000, 200).status == 202
    sweep(pipeline, older_than_seconds=3600)
    assert served.usage() == Usage(files=0, bytes=0)
    served = listen(pipeline=pipeline, quota_files=10, quota_size="1 MB")
    kept = served.post(1000, 200, 30).json["uploads"]
    assert served.post(*[1] * 8).json["limit"] == "files"
    assert served.post(999_000).json["limit"] == "bytes"
    with Client(served.server.port) as client:
        served.begin(client, 100_000, 100_000)
        assert served.usage().files == 5
        assert served.usage().bytes == 1230 + len(form_of(100_000, 100_000).body)
        client.reset()
        eventually(lambda: served.usage().files == 3)
    assert served.usage() == Usage(files=3, bytes=1230)
    served.pipeline.delete(kept[0]["id"])
    assert served.usage() == Usage(files=2, bytes=230)


def test_no_quota_is_passed_by_deleting_what_reserves_it(listen: Serve, tmp_path: Path) -> None:
    """The first file of a request holds what all of them need. It is gone, another request takes the room, and the
    rest of the first is too much."""
    served = listen(quota_size="250 KB")
    with Client(served.server.port) as client:
        rest = served.begin(client, 100_000, 100_000)
        first = next(record for record in served.records if record.filename == "0.txt")
        served.pipeline.delete(first.id)
        assert served.post(200_000).status == 202
        client.send(rest)
        refused = client.answer()
    assert (refused.status, refused.json["code"]) == (413, "quota_exceeded")
    assert served.usage() == Usage(files=1, bytes=200_000)
    eventually(lambda: len(_stored(tmp_path)) == 1)


def test_an_upload_that_is_deleted_while_it_comes_leaves_nothing(listen: Serve, tmp_path: Path) -> None:
    """The other files of its request are taken."""
    served = listen()
    with Client(served.server.port) as client:
        rest = served.begin(client, 100_000, 100_000)
        first = next(record for record in served.records if record.filename == "0.txt")
        served.pipeline.delete(first.id)
        client.send(rest)
        told = client.answer().json
    assert [each["status"] for each in told["uploads"]] == ["deleted", "completed"]
    eventually(lambda: len(_stored(tmp_path)) == 1)


def test_a_quota_of_bytes_asks_for_a_length(listen: Serve) -> None:
    served = listen(quota_size="1 MB")
    form = form_of(10)
    head = request_head("/uploads", form.content_type, "Owner: ann", "Transfer-Encoding: chunked")
    with Client(served.server.port) as client:
        client.send(head, b"%x\r\n%b\r\n0\r\n\r\n" % (len(form.body), form.body))
        answer = client.answer()
    assert (answer.status, answer.json["code"], served.records) == (411, "length_required", [])


def _stored(folder: Path) -> list[str]:
    return [str(path) for name in ("staging", "files") for path in (folder / name).rglob("*") if path.is_file()]
