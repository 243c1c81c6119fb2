"""Uploads straight into a bucket by the service's routes, over a bucket in memory: what each answers, to whom, and what
is left."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient
from tests.resumable.bucket import Bucket, ClientRefused

from uploadkit.errors import StorageFailed
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processors import Metadata
from uploadkit.processing.upkeep import sweep
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.resumable.direct import MIN_PART_SIZE
from uploadkit.storage.disk import DiskStorage
from uploadkit.testing import sample

from .conftest import Serve
from .test_callers import bearer, rule

PNG = sample("image/png")
LONG = sample("video/mp4", size=2 * MIN_PART_SIZE + 9)
ANN, BOB = bearer("anns"), bearer("bobs")
OWNERS = (rule("anns", "ann"), rule("bobs", "bob"))


@dataclass(eq=False)
class Place:
    """A service over a bucket, and what sends into that."""

    serve: Serve
    pipeline: Pipeline
    bucket: Bucket
    service: TestClient

    @property
    def ledger(self) -> Ledger:
        return self.pipeline.ledger

    def with_settings(self, **settings: Any) -> Place:
        self.service = self.serve(pipeline=self.pipeline, **settings)
        return self

    def ask(self, method: str, path: str, who: dict[str, str] = ANN, **more: Any) -> httpx.Response:
        answer: httpx.Response = self.service.request(method, f"/direct/s3/{path}", headers=who, **more)
        return answer

    def form(self, data: bytes | None = None, **said: Any) -> dict[str, Any]:
        """A form that has been asked for, and sent where there is `data`."""
        asked = self.ask("GET", "params", params={"filename": "me.png", "type": "image/png", **said})
        assert asked.status_code == 200, asked.text
        told: dict[str, Any] = asked.json()
        if data is not None:
            self.bucket.post(told["url"], told["fields"], data)
        return told

    def parts(self, *parts: bytes, name: str = "me.mp4", who: dict[str, str] = ANN, **metadata: Any) -> str:
        """An upload in parts, which have been sent."""
        said = {"filename": name, "type": None, "metadata": metadata}
        begun = self.ask("POST", "multipart", who, json=said)
        assert begun.status_code == 200, begun.text
        upload = begun.json()["uploadId"]
        assert begun.json() == {"key": upload, "uploadId": upload}
        for number, part in enumerate(parts, 1):
            self.bucket.put(self.ask("GET", f"multipart/{upload}/{number}?key={upload}", who).json()["url"], part)
        return str(upload)

    def completed(self, upload: str, who: dict[str, str] = ANN) -> httpx.Response:
        return self.ask("POST", f"multipart/{upload}/complete?key={upload}", who, json={"parts": []})

    def finished(self, key: str, who: dict[str, str] = ANN) -> httpx.Response:
        return self.ask("POST", "complete", who, params={"key": key})

    def state(self, upload: str) -> State:
        return self.ledger.get(upload).state

    def is_left(self) -> bool:
        """Whether anything is left of uploads that have come to nothing."""
        return bool(self.bucket.sent or self.bucket.parts or self.bucket.objects or self.ledger.find(resumable=True))


@pytest.fixture
def place(tmp_path: Path, serve: Serve) -> Iterator[Place]:
    bucket = Bucket("staging")
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        pipeline = Pipeline(ledger, storage=DiskStorage(tmp_path / "files", name="files"), storages=[bucket])
        pipeline.process("*", Metadata())
        yield Place(serve, pipeline, bucket, serve(pipeline=pipeline, tokens=OWNERS))


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


# What is meant


def test_a_form_is_sent_and_told_of_and_taken(place: Place) -> None:
    """Whether by its key, which Uppy says, or by the id."""
    for key in ("id", "key"):
        told = place.form(PNG, size=len(PNG))
        assert (told["method"], told["headers"], told["expires"]) == ("POST", {}, 86400)
        assert place.state(told["id"]) is State.RECEIVING
        answer = place.finished(told["id"] if key == "id" else f"some/prefix/.staging/direct-{told['id']}")
        assert answer.status_code == 202
        taken = answer.json()
        [upload] = taken["uploads"]
        assert (taken["location"], taken["key"], taken["total"]) == (f"/uploads/{told['id']}", told["id"], 1)
        assert (upload["id"], upload["filename"], upload["status_url"]) == (told["id"], "me.png", told["status_url"])
        shown = place.service.get(told["status_url"], headers=ANN).json()
        assert (shown["status"], shown["field"], shown["size"]) == ("completed", "file", len(PNG))
        assert shown["sha256"] == hashlib.sha256(PNG).hexdigest()
        assert place.service.get(shown["url"]).content == PNG
        batch = place.service.get(taken["batch_url"], headers=ANN).json()
        assert [each["id"] for each in batch["uploads"]] == [told["id"]]
    assert not place.is_left()


def test_parts_are_sent_and_completed_and_taken(place: Place) -> None:
    """In any order; which have arrived is told in between."""
    upload = place.parts(LONG[:MIN_PART_SIZE], LONG[MIN_PART_SIZE : 2 * MIN_PART_SIZE], size=str(len(LONG)))
    listed = place.ask("GET", f"multipart/{upload}?key={upload}").json()
    assert [(each["PartNumber"], each["Size"]) for each in listed] == [(1, MIN_PART_SIZE), (2, MIN_PART_SIZE)]
    assert all(each["ETag"] for each in listed)
    signed = place.ask("GET", f"multipart/{upload}/3?key={upload}").json()
    assert (signed["method"], signed["headers"]) == ("PUT", {})
    place.bucket.put(signed["url"], LONG[2 * MIN_PART_SIZE :])
    answer = place.completed(upload)
    assert (answer.status_code, answer.json()["location"]) == (202, f"/uploads/{upload}")
    assert place.service.get(f"/files/{upload}", headers=ANN).content == LONG
    assert not place.is_left()


def test_what_is_said_of_a_file_stands_in_its_record(place: Place) -> None:
    """In the metadata or beside it, and whatever else Uppy has there is none of ours."""
    metadata: dict[str, Any] = {
        "priority": "high",
        "tags": "a=b,c",
        "relativePath": None,
        "name": "me.mp4",
        "size": str(len(LONG)),
    }
    upload = place.parts(**metadata)
    told = place.form(None, **{f"metadata[{name}]": metadata[name] for name in ("priority", "tags", "name")})
    for each in (upload, told["id"]):
        record = place.ledger.get(each)
        assert (record.priority, record.tags, record.owner) == (5, {"a": "b", "c": ""}, "ann")
    place.bucket.post(told["url"], told["fields"], PNG)
    place.finished(told["id"])
    record = place.ledger.get(told["id"])
    assert (record.state, record.priority, record.tags) == (State.COMPLETED, 5, {"a": "b", "c": ""})


def test_uploads_have_the_time_that_all_have(place: Place) -> None:
    place.with_settings(tokens=OWNERS, expire_seconds=1000)
    expires = place.ledger.get(place.form()["id"]).expires_at
    assert expires is not None
    assert timedelta(seconds=900) < expires - datetime.now(UTC) <= timedelta(seconds=1000)


def test_a_digest_costs_reading_all_of_it_and_may_be_left_out(place: Place) -> None:
    """Unless the client has said one: then it has to be that."""
    place.with_settings(tokens=OWNERS, direct_sha256=False)
    told = place.form(PNG)
    place.finished(told["id"])
    assert place.ledger.get(told["id"]).sha256 is None
    for digest, status in ((hashlib.sha256(PNG).hexdigest(), 202), ("0" * 64, 460)):
        told = place.form(PNG, sha256=digest)
        assert place.finished(told["id"]).status_code == status
    assert place.state(told["id"]) is State.REJECTED


# What is refused


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"filename": "me.exe"}, (415, "file_refused")),
        ({"type": "application/x-msdownload"}, (415, "file_refused")),
        ({"size": "3000000000"}, (413, "limit_exceeded")),
        ({"size": "-1"}, (400, "malformed_upload")),
        ({"size": "many"}, (400, "malformed_upload")),
        ({"sha256": "abc"}, (400, "malformed_form")),
        ({"filename": "x" * 5000}, (413, "limit_exceeded")),
        ({"priority": "soon"}, (422, "field_refused")),
        ({"tags": "=x"}, (422, "field_refused")),
    ],
)
def test_what_can_be_known_before_a_byte_is_refused_before_it(
    place: Place, said: dict[str, str], expected: tuple[int, str]
) -> None:
    """By both ways, and leaves no record."""
    members: dict[str, Any] = {"filename": "me.png", "type": "image/png", **said}
    assert code(place.ask("GET", "params", params=members)) == expected
    assert code(place.ask("POST", "multipart", json=members)) == expected
    assert (place.ledger.find(), place.is_left()) == ([], False)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "malformed_upload")),
        (b"[]", (400, "malformed_upload")),
        (b"{", (400, "malformed_upload")),
        (b"[" * 50_000, (400, "malformed_upload")),
        (b'{"filename": 1}', (400, "malformed_upload")),
        (b'{"filename": "a.png", "type": 1}', (400, "malformed_upload")),
        (b'{"filename": "a.png", "size": true}', (400, "malformed_upload")),
        (b'{"filename": "a.png", "metadata": []}', (400, "malformed_upload")),
        (b'{"filename": "a.png", "size": 5e300}', (413, "limit_exceeded")),
        (b'{"filename": "a.png", "size": 5.0, "metadata": null}', (200, "")),
        (b'{"filename": "a.png", "metadata": [1]}', (400, "malformed_upload")),
        (b'{"filename": "a.png", "metadata": {"tags": {}}}', (400, "malformed_upload")),
        (b'{"filename": "\\ud800.png"}', (200, "")),
        (b'{"filename": "' + b"x" * 70_000 + b'"}', (413, "limit_exceeded")),
    ],
)
def test_what_is_said_may_be_anything(place: Place, body: bytes, expected: tuple[int, str]) -> None:
    answer = place.ask("POST", "multipart", content=body)
    assert answer.status_code == 200 if expected[0] == 200 else code(answer) == expected


@pytest.mark.parametrize("number", ["0", "x", "-1", "10001", "99999999", "1.5", "²", "9" * 5000])
def test_parts_have_numbers_that_a_file_can_have(place: Place, number: str) -> None:
    upload = place.parts()
    assert place.ask("GET", f"multipart/{upload}/{number}?key={upload}").status_code in (404, 413, 422)


def test_what_has_arrived_is_judged_as_in_a_form(place: Place) -> None:
    """The record says so, with the same words; nothing is left, and nothing more is taken."""
    for data in (b"<html><script>", sample("image/jpeg")):
        told = place.form(data)
        answer = place.finished(told["id"])
        in_form = place.service.post("/uploads", headers=ANN, files=[("file", ("me.png", data, "image/png"))])
        assert code(answer) == code(in_form)
        assert answer.json()["detail"] == in_form.json()["detail"]
        shown = place.service.get(f"/uploads/{told['id']}", headers=ANN).json()
        assert (shown["status"], shown["reason"]) == ("rejected", answer.json()["detail"])
        again = place.finished(told["id"])
        assert code(again) == (410, "upload_gone")
        assert answer.json()["detail"] in again.json()["detail"]
    assert not place.is_left()


def test_parts_of_another_size_are_refused(place: Place) -> None:
    """The bucket looks at no size of parts: what has arrived is added up."""
    for size, expected in ((11, (400, "truncated_form")), (9, (413, "limit_exceeded"))):
        upload = place.parts(b"x" * 10, name="a.txt", size=size)
        assert code(place.completed(upload)) == expected
        assert place.state(upload) is State.REJECTED
    assert not place.is_left()


def test_the_bucket_takes_no_form_of_another_size(place: Place) -> None:
    with pytest.raises(ClientRefused):
        place.form(PNG, size=len(PNG) - 1)


def test_what_has_not_arrived_is_said_to_have_not(place: Place) -> None:
    """It may arrive yet."""
    told, upload = place.form(), place.parts()
    assert code(place.finished(told["id"])) == (409, "not_arrived")
    assert code(place.finished(upload)) == (409, "not_arrived")
    place.bucket.post(told["url"], told["fields"], PNG)
    assert place.finished(told["id"]).status_code == 202


def test_where_files_lie_in_no_bucket_it_says_so(serve: Serve) -> None:
    service = serve()
    said = {"filename": "me.png"}
    told = [
        service.get("/direct/s3/params", params=said),
        service.post("/direct/s3/multipart", json=said),
    ]
    assert {code(answer) for answer in told} == {(409, "direct_unavailable")}
    mine = service.post("/uploads", files=[("f", ("1.txt", b"one"))]).json()["uploads"][0]["id"]
    for method, path in (
        ("GET", f"multipart/{mine}?key={mine}"),
        ("GET", f"multipart/{mine}/1?key={mine}"),
        ("DELETE", f"multipart/{mine}?key={mine}"),
        ("POST", f"multipart/{mine}/complete?key={mine}"),
        ("POST", f"complete?key={mine}"),
    ):
        assert code(service.request(method, f"/direct/s3/{path}")) == (409, "direct_unavailable")


# Quotas and turns


def test_a_quota_of_bytes_wants_to_know_the_size(place: Place) -> None:
    """What is announced counts until it is known. Uppy says it in the metadata."""
    place.with_settings(tokens=OWNERS, quota_size="10 MB")
    assert code(place.ask("GET", "params", params={"filename": "me.png"})) == (411, "length_required")
    assert code(place.ask("POST", "multipart", json={"filename": "me.mp4"})) == (411, "length_required")
    first = place.parts(size="6000000")
    more = {"filename": "me.mp4", "metadata": {"size": "6000000"}}
    assert code(place.ask("POST", "multipart", json=more)) == (413, "quota_exceeded")
    assert code(place.ask("GET", "params", params={"filename": "me.mp4", "size": "6000000"})) == (413, "quota_exceeded")
    assert place.ask("POST", "multipart", BOB, json=more).status_code == 200
    place.ask("DELETE", f"multipart/{first}?key={first}")
    assert place.ask("POST", "multipart", json=more).status_code == 200


def test_a_quota_of_files_counts_those_that_have_begun(place: Place) -> None:
    place.with_settings(tokens=OWNERS, quota_files=1)
    place.form()
    assert code(place.ask("POST", "multipart", json={"filename": "me.mp4"})) == (413, "quota_exceeded")


def test_to_judge_a_file_is_an_upload_that_is_under_way(place: Place) -> None:
    """Another one is refused meanwhile, where no more may be."""
    place.with_settings(tokens=OWNERS, uploads_at_once=1)
    told, other = place.form(PNG), place.form(PNG)
    seen: list[tuple[int, str]] = []
    place.bucket.before_commit = lambda: seen.append(code(place.finished(other["id"])))
    assert place.finished(told["id"]).status_code == 202
    assert seen == [(429, "too_many_uploads")]


# Once


def test_an_answer_that_got_lost_is_given_again(place: Place) -> None:
    """Uppy asks which parts there are, and completes once more: it sends none again."""
    told, upload = place.form(PNG), place.parts(LONG, size=len(LONG))
    for first, again in (
        (place.finished(told["id"]), place.finished(told["id"])),
        (place.completed(upload), place.completed(upload)),
    ):
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.json()["batch"] == again.json()["batch"]
        assert first.json()["location"] == again.json()["location"]
    listed = place.ask("GET", f"multipart/{upload}?key={upload}").json()
    assert [each["PartNumber"] for each in listed] == [1, 2, 3]
    assert code(place.ask("GET", f"multipart/{upload}/1?key={upload}")) == (409, "upload_changed")
    assert place.ask("DELETE", f"multipart/{upload}?key={upload}").status_code == 200
    assert place.state(upload) is State.COMPLETED
    assert len(place.ledger.find()) == 2


def test_one_that_fails_may_be_finished_again(place: Place) -> None:
    """Also by who asks first which parts there are, which are one object by then."""

    def fail() -> None:
        place.bucket.before_commit = None
        raise StorageFailed("no", storage="staging")

    upload = place.parts(LONG, size=len(LONG))
    place.bucket.before_commit = fail
    assert code(place.completed(upload)) == (503, "storage_failed")
    assert place.state(upload) is State.RECEIVING
    assert len(place.ask("GET", f"multipart/{upload}?key={upload}").json()) == 3
    assert place.completed(upload).status_code == 202
    assert not place.is_left()


def test_of_two_that_finish_at_once_one_is_told_to_wait(place: Place) -> None:
    told = place.form(PNG)
    seen: list[httpx.Response] = []
    place.bucket.before_commit = lambda: seen.append(place.finished(told["id"]))
    assert place.finished(told["id"]).status_code == 202
    assert code(seen[0]) == (423, "upload_locked")
    assert int(seen[0].headers["retry-after"]) > 0


# Whose it is


ROUTES = [
    ("GET", "multipart/{}?key={}"),
    ("GET", "multipart/{}/1?key={}"),
    ("DELETE", "multipart/{}?key={}"),
    ("POST", "multipart/{}/complete?key={}"),
    ("POST", "complete?key={}"),
    ("POST", "complete?key=staging/.staging/direct-{}"),
]


def seen_of(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    told = [pair for pair in answer.headers.multi_items() if pair[0] not in ("date", "x-request-id")]
    return answer.status_code, sorted(told), answer.content


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_somebody_elses_upload_is_one_that_there_is_not(place: Place, method: str, path: str) -> None:
    """Whatever has become of it, byte for byte; and afterwards it is as it was."""
    anns = {
        "parts": place.parts(LONG),
        "form": place.form(PNG)["id"],
        "gone": place.parts(),
        "taken": place.form(PNG)["id"],
    }
    place.ask("DELETE", f"multipart/{anns['gone']}?key={anns['gone']}")
    place.finished(anns["taken"])
    states = {name: place.state(upload) for name, upload in anns.items()}
    none = seen_of(place.ask(method, path.format(*[token_hex(16)] * 2), BOB))
    assert none[0] == 404
    for upload in (*anns.values(), "x", "..%2f", "0" * 64):
        assert seen_of(place.ask(method, path.format(*[upload] * 2), BOB)) == none
    assert {name: place.state(upload) for name, upload in anns.items()} == states
    assert place.completed(anns["parts"]).status_code == place.finished(anns["form"]).status_code == 202


@pytest.mark.parametrize(("method", "path"), ROUTES[:4])
def test_a_key_that_is_not_the_uploads_is_none(place: Place, method: str, path: str) -> None:
    """Uppy keeps both together, and another pair was made up."""
    upload, other = place.parts(LONG), place.parts(LONG)
    for key in (other, "", upload.upper()):
        assert code(place.ask(method, path.format(upload, key))) == (404, "not_found")
    assert code(place.ask(method, path.format(upload, "").partition("?")[0])) == (404, "not_found")
    assert place.state(upload) is State.RECEIVING


def test_an_upload_that_came_otherwise_is_none_of_these(place: Place) -> None:
    """Nor is one of these taken by the other ways."""
    begun = place.ledger.add(
        token_hex(16), field="file", filename="a", content_type="text/plain", owner="ann", batch="b"
    )
    for method, path in ROUTES:
        assert code(place.ask(method, path.format(begun.id, begun.id))) == (404, "not_found")
    assert place.state(begun.id) is State.RECEIVING
    upload = place.parts(LONG)
    tus = {**ANN, "Tus-Resumable": "1.0.0"}
    assert place.service.head(f"/tus/{upload}", headers=tus).status_code == 404
    headers = {**tus, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    assert place.service.patch(f"/tus/{upload}", headers=headers, content=b"x").status_code == 404
    assert place.completed(upload).status_code == 202


def test_a_page_of_another_origin_begins_nothing(place: Place) -> None:
    """By GET neither: a browser sends the cookies of its user with that, and asks nobody."""
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        for method, path in (("GET", "params?filename=a.png"), ("POST", "multipart")):
            assert code(place.ask(method, path, {**ANN, **headers})) == (403, "wrong_origin")
    assert place.ask("HEAD", "params?filename=a.png").status_code == 405
    assert place.ledger.find() == []


def test_a_page_that_may_is_let_in_as_the_settings_say(place: Place) -> None:
    """Uppy asks with nothing that a browser would have to ask for, but in JSON."""
    origin = {"Origin": "https://app.example"}
    place.with_settings(tokens=OWNERS, cors_origins=("https://app.example",))
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    answer = place.service.options("/direct/s3/multipart", headers={**origin, **asked})
    assert answer.status_code == 200
    begun = place.ask("POST", "multipart", {**ANN, **origin}, json={"filename": "me.mp4"})
    assert (begun.status_code, begun.headers["access-control-allow-origin"]) == (200, "https://app.example")
    gone = place.service.options(
        f"/direct/s3/multipart/{begun.json()['key']}", headers={**origin, "Access-Control-Request-Method": "DELETE"}
    )
    assert gone.status_code == 200


# What nobody finishes


def test_one_is_given_up_by_its_client(place: Place) -> None:
    """As often as it likes; by the route of every upload too."""
    upload, other = place.parts(LONG), place.form(PNG)["id"]
    for _ in range(2):
        answer = place.ask("DELETE", f"multipart/{upload}?key={upload}")
        assert (answer.status_code, answer.json()) == (200, {})
    place.service.delete(f"/uploads/{other}", headers=ANN)
    assert (place.state(upload), place.state(other), place.is_left()) == (State.DELETED, State.DELETED, False)
    assert code(place.completed(upload)) == (410, "upload_gone")


def test_one_that_rests_is_left_alone_and_then_swept(place: Place) -> None:
    """The first sweep of a service takes all that was begun before for dead: a direct upload has its own time."""
    place.with_settings(tokens=OWNERS, direct_seconds=7200)
    uploads = [place.parts(LONG), place.form(PNG)["id"], place.form()["id"]]
    now = datetime.now(UTC)
    place.ledger.release()
    sweep(place.pipeline, orphans=None, older_than_seconds=0, now=lambda: now + timedelta(seconds=7100))
    assert {place.state(upload) for upload in uploads} == {State.RECEIVING}
    swept = sweep(place.pipeline, orphans=None, older_than_seconds=1800, now=lambda: now + timedelta(seconds=7300))
    assert {place.state(upload) for upload in uploads} == {State.EXPIRED}
    assert (swept.expired, swept.failures, place.is_left()) == (3, 0, False)


# The document


def test_what_is_answered_is_as_the_document_says(place: Place) -> None:
    from .test_openapi import Said

    says = Said(place.service)
    told = says.of("get", "/direct/s3/params", place.ask("GET", "params", params={"filename": "me.png"}))
    place.bucket.post(told["url"], told["fields"], PNG)
    says.of("post", "/direct/s3/complete", place.finished(told["id"]))
    says.of("post", "/direct/s3/complete", place.finished(token_hex(16)))
    begun = says.of("post", "/direct/s3/multipart", place.ask("POST", "multipart", json={"filename": "me.mp4"}))
    path, upload = "/direct/s3/multipart/{upload}", begun["uploadId"]
    says.of("post", f"{path}/complete", place.ask("POST", f"multipart/{upload}/complete?key={upload}"))
    other = place.parts(LONG)
    says.of("get", f"{path}/{{number}}", place.ask("GET", f"multipart/{other}/1?key={other}"))
    says.of("get", path, place.ask("GET", f"multipart/{other}?key={other}"))
    says.of("post", f"{path}/complete", place.completed(other))
    says.of("get", f"{path}/{{number}}", place.ask("GET", f"multipart/{other}/1?key={other}"))
    says.of("get", path, place.ask("GET", f"multipart/{other}?key={other}"))
    says.of("delete", path, place.ask("DELETE", f"multipart/{other}?key={other}"))
    refused: list[Callable[[], httpx.Response]] = [
        lambda: place.ask("POST", "multipart", content=b"{"),
        lambda: place.ask("POST", "multipart", json={"filename": "me.exe"}),
    ]
    for each in refused:
        assert re.fullmatch("[a-z_]+", says.of("post", "/direct/s3/multipart", each())["code"])
