"""Tests of fastapi_app.py. Run them: python -m pytest examples/test_fastapi_app.py"""

from __future__ import annotations

from typing import Any

import pytest
from examples.fastapi_app import app, upload
from fastapi.testclient import TestClient

from uploadkit import Limits, MemoryStorage
from uploadkit.testing import BrokenForm, FormBuilder, sample
from uploadkit.testing.pytest_plugin import UploadsFail, UploadsInMemory

pytestmark = pytest.mark.usefixtures("no_upload_leaks")  # after every test

AVATAR = FormBuilder().sample("avatar", "image/png")
client = TestClient(app)


@pytest.fixture
def storage(uploads_in_memory: UploadsInMemory) -> MemoryStorage:
    """The application's files lie in memory until a test ends, and its own folder stays as it is."""
    return uploads_in_memory(upload)


def post(form: FormBuilder | BrokenForm) -> Any:
    return client.post("/profile", content=form.body, headers={"Content-Type": form.content_type})


def test_a_picture_is_stored(storage: MemoryStorage) -> None:
    answer = post(AVATAR)
    assert (answer.status_code, answer.json()["content_type"]) == (200, "image/png")
    assert [*storage.objects.values()] == [sample("image/png")]


def test_a_page_that_is_called_a_picture_is_refused(storage: MemoryStorage) -> None:
    page = FormBuilder().file("avatar", sample("text/html"), filename="me.png", content_type="image/png")
    answer = post(page)
    assert (answer.status_code, answer.json()["code"]) == (415, "file_refused")
    assert storage.objects == {}


def test_a_picture_that_is_too_large_is_refused(storage: MemoryStorage) -> None:
    answer = post(FormBuilder().sample("avatar", "image/png", size="5.1 MB"))
    assert (answer.status_code, answer.json()["limit"]) == (413, "file_size")
    assert storage.objects == {}


@pytest.mark.parametrize("broken", [*AVATAR.all_broken(), *AVATAR.over(Limits(file_size="5 MB"))], ids=str)
def test_a_broken_form_is_refused(broken: BrokenForm, storage: MemoryStorage) -> None:
    answer = post(broken)
    assert (answer.status_code, answer.json()["code"]) == (broken.status, broken.code)
    assert storage.objects == {}


def test_a_storage_that_fails_keeps_nothing(uploads_fail: UploadsFail, memory_storage: MemoryStorage) -> None:
    uploads_fail(upload, on="commit")
    assert post(AVATAR).status_code == 503
    assert memory_storage.objects == {}


def test_the_form_of_the_test_client_itself_is_taken(storage: MemoryStorage) -> None:
    answer = client.post("/profile", files={"avatar": ("me.png", sample("image/png"), "image/png")})
    assert answer.json()["filename"] == "me.png"
    assert [*storage.objects.values()] == [sample("image/png")]
