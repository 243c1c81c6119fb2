"""What is known of uploads, page by page, and what goes when one is deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from tests.service.conftest import Serve, parts_of

from uploadkit.errors import StorageFailed
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.service import uploads
from uploadkit.testing import sample


def owner_of(request: Request) -> str | None:
    return request.headers.get("owner")


@pytest.fixture
def shared(serve: Serve) -> TestClient:
    """A service whose callers say in a header whose their requests are; by default ann's."""
    client = serve(authenticate=owner_of, rate=None)
    client.headers["Owner"] = "ann"
    return client


def ledger_of(client: TestClient) -> Ledger:
    return parts_of(client).pipeline.ledger


def add(ledger: Ledger, upload: str, **more: Any) -> None:
    known = {"field": "file", "filename": f"{upload}.txt", "content_type": "text/plain", "owner": "ann"}
    ledger.add(upload, **known | more)


def pages(client: TestClient, path: str) -> list[list[str]]:
    """The ids on each page."""
    found: list[list[str]] = []
    following: str | None = path
    while following is not None:
        told = client.get(following).json()
        found.append([each["id"] for each in told["uploads"]])
        following = told["next"]
    return found


def test_pages_are_exact_while_uploads_come(shared: TestClient) -> None:
    """The newest first; what is added meanwhile moves none from one page to another, and others' are not there."""
    ledger = ledger_of(shared)
    for number in range(7):
        add(ledger, f"u{number}")
        add(ledger, f"e{number}", owner="eve")
    first = shared.get("/uploads?limit=3").json()
    add(ledger, "new")
    assert [each["id"] for each in first["uploads"]] == ["u6", "u5", "u4"]
    assert pages(shared, first["next"]) == [["u3", "u2", "u1"], ["u0"]]
    assert [len(page) for page in pages(shared, "/uploads?limit=4")] == [4, 4]
    assert pages(shared, "/uploads?limit=1")[0] == ["new"]


def test_uploads_are_listed_by_state(shared: TestClient) -> None:
    """Of several, too; and the next page is of the same."""
    ledger = ledger_of(shared)
    for number in range(3):
        add(ledger, f"r{number}")
        add(ledger, f"d{number}")
        ledger.move(f"d{number}", State.DELETED)
    assert pages(shared, "/uploads?status=receiving&limit=2") == [["r2", "r1"], ["r0"]]
    both = pages(shared, "/uploads?status=receiving&status=deleted&limit=5")
    assert [len(page) for page in both] == [5, 1]
    shown = shared.get("/uploads?status=receiving").json()["uploads"][0]
    assert (shown["status"], shown["size"], shown["sha256"], shown["filename"]) == ("receiving", None, None, "r2.txt")


@pytest.mark.parametrize(
    "asked", ["limit=0", "limit=101", "limit=-1", "limit=", "limit=1e1", "limit=%C2%B2", "status=", "status=done"]
)
def test_what_is_asked_wrongly_is_refused(shared: TestClient, asked: str) -> None:
    answer = shared.get(f"/uploads?{asked}")
    assert (answer.status_code, answer.json()["code"]) == (422, "parameter_refused")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("after", ["theirs", "nobody", "", "x" * 100, "%00", "%ED%A0%80"])
def test_a_page_begins_after_an_upload_of_ones_own(shared: TestClient, after: str) -> None:
    add(ledger_of(shared), "theirs", owner="eve")
    answer = shared.get(f"/uploads?after={after}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


NAMES = ["theirs", "nobody", "x" * 100, "a\0b", "\N{SNOWMAN}", "%2e%2e", "a b"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/uploads/{}"), ("DELETE", "/uploads/{}"), ("GET", "/batches/{}")]
)
def test_what_is_not_there_is_not_found(shared: TestClient, method: str, path: str, name: str) -> None:
    """As what is somebody else's, which stays as it is."""
    add(ledger_of(shared), "theirs", owner="eve", batch="theirs")
    answer = shared.request(method, path.format(quote(name)))
    assert (answer.status_code, answer.json()["code"]) in [(404, "not_found"), (405, "method_not_allowed")]
    assert ledger_of(shared).get("theirs").state is State.RECEIVING


def test_a_batch_is_shown_whole(shared: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: the most that a request may have was another number once. Not what is somebody else's."""
    monkeypatch.setattr(uploads, "MOST_LISTED", 3)
    ledger = ledger_of(shared)
    for number in range(7):
        add(ledger, f"u{number}", batch="b")
    add(ledger, "theirs", batch="b", owner="eve")
    ledger.move("u0", State.DELETED)
    told = shared.get("/batches/b").json()
    assert (told["total"], told["is_settled"], told["counts"]) == (7, False, {"deleted": 1, "receiving": 6})
    assert [each["id"] for each in told["uploads"]] == [f"u{number}" for number in range(7)]


def test_what_is_deleted_is_told_and_gone(service: TestClient, tmp_path: Path) -> None:
    """The original and each variant, with the bytes of all of them. A second time there is nothing to remove."""
    picture = sample("image/png")
    upload = service.post("/uploads", files=[("file", ("a.png", picture))]).json()["uploads"][0]["id"]
    stored = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in stored)
    assert len(stored) == 3
    told = service.delete(f"/uploads/{upload}")
    assert told.json() == {
        "id": upload,
        "status": "deleted",
        "removed": {"original": True, "variants": ["original", "thumbnail"], "bytes": size},
    }
    assert told.headers["cache-control"] == "no-store"
    again = service.delete(f"/uploads/{upload}").json()["removed"]
    assert again == {"original": False, "variants": [], "bytes": 0}
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []
    shown = service.get(f"/uploads/{upload}").json()
    assert (shown["status"], shown["is_settled"], shown["variants"], shown["url"]) == ("deleted", True, {}, None)


def test_what_could_not_be_removed_is_removed_when_it_is_deleted_again(
    service: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A storage that fails is 503; the upload is deleted for all who ask."""
    upload = service.post("/uploads", files=[("file", ("a.txt", b"some text"))]).json()["uploads"][0]["id"]
    pipeline: Pipeline = parts_of(service).pipeline
    with monkeypatch.context() as patch:
        patch.setattr(type(pipeline.storages["files"]), "delete", _fail)
        assert service.delete(f"/uploads/{upload}").status_code == 503
    assert service.get(f"/uploads/{upload}").json()["status"] == "deleted"
    assert service.delete(f"/uploads/{upload}").json()["removed"] == {"original": True, "variants": [], "bytes": 9}
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []


def _fail(storage: object, key: str) -> None:
    raise StorageFailed("the disk is gone", storage="files", key=key)


def test_a_head_is_answered_as_a_get(service: TestClient) -> None:
    upload = service.post("/uploads", files=[("file", ("a.txt", b"some text"))]).json()["uploads"][0]["id"]
    for path in (f"/uploads/{upload}", "/uploads"):
        head, get = service.head(path), service.get(path)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(get.content)))
