"""What one owner may know of another's uploads: nothing, by any route.

An id of somebody else's is answered as one that there is not, byte for byte: whoever guesses ids learns nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.examples.working import picture

from uploadkit.service.app import create_app, routes
from uploadkit.service.settings import Settings

from .conftest import Serve, parts_of
from .listening import app_of
from .test_callers import bearer, rule

ANN, BOB = bearer("anns"), bearer("bobs")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")

OWNED = {
    "/uploads/{upload}": ("GET", "HEAD", "DELETE"),
    "/uploads/{upload}/events": ("GET", "HEAD"),
    "/batches/{batch}": ("GET", "HEAD"),
    "/direct/s3/multipart/{upload}": ("GET", "HEAD", "DELETE"),
    "/direct/s3/multipart/{upload}/complete": ("POST",),
    "/direct/s3/multipart/{upload}/{number}": ("GET", "HEAD"),
    "/files/{upload}": ("GET", "HEAD"),
    "/files/{upload}/{variant}": ("GET", "HEAD"),
    "/tus/{upload}": ("HEAD", "PATCH", "DELETE", "POST"),
}
"""Paths with an id, and what may be done to its upload there."""

DIRECT = [path for path in OWNED if path.startswith("/direct/")]
"""What is taken of an upload that goes straight into a bucket: see `test_direct`."""

OTHERS = {
    *("/uploads", "/direct/s3/params", "/direct/s3/complete", "/direct/s3/multipart", "/tus/"),
    *("/metrics", "/healthz", "/readyz", "/openapi.json", "/", "/page/{name}"),
}

FILE: dict[str, Any] = {"field": "f", "filename": "1.txt", "content_type": "text/plain"}

PICTURE = picture()

OF_THE_MOMENT = {"date", "x-request-id"}

OF_TUS = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
"""Without them a request to go on with an upload is none, whosever the upload is."""


@dataclass(frozen=True)
class Two:
    """A service with uploads of ann's, by their states. Bob has one of his own."""

    service: TestClient
    anns: dict[str, dict[str, str]]
    bobs: dict[str, str]

    def ask(self, method: str, path: str, headers: dict[str, str], ids: dict[str, str]) -> tuple[int, Any, bytes]:
        """All that there is to see of an answer."""
        if path.startswith("/tus/"):
            headers = headers | OF_TUS | ({"X-HTTP-Method-Override": "PATCH"} if method == "POST" else {})
        answer = self.service.request(method, path.format(**ids), headers=headers)
        told = sorted((name, value) for name, value in answer.headers.multi_items() if name not in OF_THE_MOMENT)
        return answer.status_code, told, answer.content


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    app = app_of(tmp_path_factory.mktemp("two"), tokens=(rule("anns", "ann"), rule("bobs", "bob")), rate=None)
    with TestClient(app, base_url="http://127.0.0.1:8000") as service:
        anns = {"completed": _upload(service, ANN), "deleted": _upload(service, ANN)}
        service.delete(f"/uploads/{anns['deleted']['upload']}", headers=ANN)
        begun = service.post("/tus/", headers={**ANN, **OF_TUS, "Upload-Length": "9"}).headers["Location"]
        record = parts_of(service).pipeline.ledger.get(begun.removeprefix("/tus/"))
        anns["receiving"] = _ids(record.id, record.batch or "")
        yield Two(service, anns, _upload(service, BOB))


def _upload(service: TestClient, headers: dict[str, str], **more: str) -> dict[str, str]:
    told = service.post("/uploads", files=[("f", ("1.png", PICTURE))], headers={**headers, **more}).json()
    return _ids(told["uploads"][0]["id"], told["batch"])


def _ids(upload: str, batch: str) -> dict[str, str]:
    return {"upload": upload, "batch": batch, "variant": "thumbnail", "number": "1"}


def _none(ids: dict[str, str]) -> dict[str, str]:
    """Ids that there are not, of the same form."""
    return _ids(token_hex(len(ids["upload"]) // 2), token_hex(len(ids["batch"]) // 2))


def test_every_route_is_asked_here() -> None:
    """A new one needs an entry above, and so does what may be done there."""
    there: dict[str, set[str]] = {}
    for route in routes():
        assert isinstance(route, Route)
        there[route.path_format] = there.get(route.path_format, set()) | (route.methods or set())
    assert set(there) == set(OWNED) | OTHERS
    assert {path: there[path] for path in OWNED} == {path: set(methods) for path, methods in OWNED.items()}


@pytest.mark.parametrize("path", OWNED)
def test_somebody_elses_upload_is_one_that_there_is_not(two: Two, path: str) -> None:
    """In whatever state it is, by whatever method; and afterwards it is as it was."""
    asked = f"{path}?key={{upload}}" if path in DIRECT else path
    for method in METHODS:
        for state, ids in two.anns.items():
            seen = two.ask(method, asked, BOB, ids)
            assert seen == two.ask(method, asked, BOB, _none(ids)), (method, state)
            assert seen[0] == (404 if method in OWNED[path] else 405), (method, state)
            assert method in ("HEAD", "OPTIONS") or b'"code"' in seen[2]
    states = {two.service.get(f"/uploads/{ids['upload']}", headers=ANN).json()["status"] for ids in two.anns.values()}
    assert states == set(two.anns)


@pytest.mark.parametrize("path", [path for path in OWNED if path not in DIRECT])
def test_its_owner_is_answered(two: Two, path: str) -> None:
    """So it is not that nobody is."""
    method, state = ("HEAD", "receiving") if path.startswith("/tus/") else ("GET", "completed")
    assert two.ask(method, path, ANN, two.anns[state])[0] == 200


def test_nobody_sees_another_ones_uploads_in_a_list(two: Two) -> None:
    ledger = parts_of(two.service).pipeline.ledger
    for headers, owner in ((ANN, "ann"), (BOB, "bob")):
        told = two.service.get("/uploads", headers=headers).json()["uploads"]
        assert told
        assert [each["id"] for each in told] == [record.id for record in ledger.find(owner=owner)]


def test_a_list_begins_nowhere_in_another_ones(two: Two) -> None:
    ids = two.anns["completed"]
    seen = two.ask("GET", "/uploads?after={upload}", BOB, ids)
    assert seen[0] == 404
    assert seen == two.ask("GET", "/uploads?after={upload}", BOB, _none(ids))


def test_a_batch_shows_what_its_owner_has_of_it(two: Two) -> None:
    """Also where a record of another owner bears the same word."""
    ledger = parts_of(two.service).pipeline.ledger
    ledger.add(token_hex(16), batch=two.anns["completed"]["batch"], owner="bob", **FILE)
    for headers, owner in ((ANN, "ann"), (BOB, "bob")):
        told = two.service.get(f"/batches/{two.anns['completed']['batch']}", headers=headers).json()
        assert [ledger.get(each["id"]).owner for each in told["uploads"]] == [owner]


def test_the_same_key_of_two_owners_is_two_keys(two: Two) -> None:
    """Neither is answered with what the other has sent, nor told that there is such a key."""
    first, other = (_upload(two.service, headers, **{"Idempotency-Key": "k"}) for headers in (ANN, BOB))
    assert first["upload"] != other["upload"]
    for headers, ids in ((ANN, first), (BOB, other)):
        assert _upload(two.service, headers, **{"Idempotency-Key": "k"}) == ids


def test_a_link_to_one_file_opens_no_other(two: Two) -> None:
    """Neither another owner's nor another one of the same, whoever asks; and it says nothing of which there are."""
    anns, bobs = two.anns["completed"]["upload"], two.bobs["upload"]
    shown = two.service.get(f"/uploads/{anns}", headers=ANN).json()
    for url in (shown["url"], shown["variants"]["thumbnail"]["url"]):
        assert two.service.get(url).status_code == 200
        _, _, query = url.partition("?")
        refused = [
            two.ask("GET", f"{path}?{query}", headers, {})
            for path in (
                f"/files/{bobs}",
                f"/files/{bobs}/thumbnail",
                f"/files/{anns}/original" if url is shown["url"] else f"/files/{anns}",
                f"/files/{two.anns['deleted']['upload']}",
                f"/files/{token_hex(16)}",
            )
            for headers in ({}, ANN, BOB)
        ]
        assert {status for status, _, _ in refused} == {403}
        assert len({content for _, _, content in refused}) == 1


def test_a_link_ends_with_its_file(serve: Serve) -> None:
    service = serve(tokens=(rule("anns", "ann"),))
    upload = _upload(service, ANN)["upload"]
    url = service.get(f"/uploads/{upload}", headers=ANN).json()["url"]
    service.delete(f"/uploads/{upload}", headers=ANN)
    assert service.get(url).status_code == 404


def test_a_quota_is_its_owners_alone(serve: Serve) -> None:
    service = serve(tokens=(rule("anns", "ann"), rule("bobs", "bob")), quota_files=1)
    for headers in (ANN, BOB):
        told = [service.post("/uploads", files=[("f", ("1.txt", b"one"))], headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in told] == [202, 413]
        assert told[1].json()["seen"] == 2


def test_an_owner_may_have_several_tokens_and_one_list(serve: Serve) -> None:
    service = serve(tokens=(rule("one", "ann"), rule("two", "ann")))
    ids = _upload(service, bearer("one"))
    assert service.get(f"/uploads/{ids['upload']}", headers=bearer("two")).status_code == 200


def test_an_open_service_shows_nothing_of_owners(two: Two, tmp_path: Path) -> None:
    """Nor do owners see what came while it was open."""
    pipeline = parts_of(two.service).pipeline
    opened = TestClient(create_app(Settings.load(data=tmp_path), pipeline=pipeline), base_url="http://127.0.0.1:8000")
    for ids in two.anns.values():
        assert opened.get(f"/uploads/{ids['upload']}").status_code == 404
    ids = _upload(opened, {})
    assert opened.get(f"/uploads/{ids['upload']}").status_code == 200
    assert two.service.get(f"/uploads/{ids['upload']}", headers=ANN).status_code == 404
