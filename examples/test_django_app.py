"""Tests of django_app.py. Run them: python -m pytest examples/test_django_app.py

With pytest-django its fixture `client` takes the place of the one here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings
from examples import django_app

from uploadkit import Limits, MemoryStorage
from uploadkit.testing import BrokenForm, FormBuilder, sample
from uploadkit.testing.pytest_plugin import UploadsFail, UploadsInMemory

pytestmark = pytest.mark.usefixtures("no_upload_leaks")  # after every test

AVATAR = FormBuilder().sample("avatar", "image/png")


@pytest.fixture
def client() -> Iterator[Client]:
    with override_settings(ROOT_URLCONF=django_app):
        yield Client()


@pytest.fixture
def storage(uploads_in_memory: UploadsInMemory) -> MemoryStorage:
    """The application's files lie in memory until a test ends, and its own folder stays as it is."""
    return uploads_in_memory(django_app.upload)


def post(client: Client, form: FormBuilder | BrokenForm) -> Any:
    return client.post("/profile", data=form.body, content_type=form.content_type)


def test_a_picture_is_stored(client: Client, storage: MemoryStorage) -> None:
    answer = client.post("/profile", {"avatar": SimpleUploadedFile("me.png", sample("image/png"), "image/png")})
    assert (answer.status_code, answer.json()["content_type"]) == (200, "image/png")
    assert [*storage.objects.values()] == [sample("image/png")]


def test_a_page_that_is_called_a_picture_is_refused(client: Client, storage: MemoryStorage) -> None:
    page = FormBuilder().file("avatar", sample("text/html"), filename="me.png", content_type="image/png")
    answer = post(client, page)
    assert (answer.status_code, answer.json()["code"]) == (415, "file_refused")
    assert storage.objects == {}


@pytest.mark.parametrize("broken", [*AVATAR.all_broken(), *AVATAR.over(Limits(file_size="5 MB"))], ids=str)
def test_a_broken_form_is_refused(broken: BrokenForm, client: Client, storage: MemoryStorage) -> None:
    answer = post(client, broken)
    assert (answer.status_code, answer.json()["code"]) == (broken.status, broken.code)
    assert storage.objects == {}


def test_a_storage_that_fails_keeps_nothing(
    client: Client, uploads_fail: UploadsFail, memory_storage: MemoryStorage
) -> None:
    uploads_fail(django_app.upload, on="commit")
    assert post(client, AVATAR).status_code == 503
    assert memory_storage.objects == {}
