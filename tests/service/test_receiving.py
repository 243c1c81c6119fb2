"""What comes in by `POST /uploads`, and what is left behind by what does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from .conftest import parts_of


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
    answer = service.post("/uploads", data={"priority": "high"}, files={})
    assert answer.status_code == 415 or answer.json()["code"] == "field_missing"


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
    taken = service.post("/uploads", files=[("f", ("1.txt", b"one")), ("f", ("p", b"x"))], headers=headers)
    assert taken.status_code in (202, 415)
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


def _stored(folder: Path) -> list[str]:
    return [str(path) for name in ("staging", "files") for path in (folder / name).rglob("*") if path.is_file()]
