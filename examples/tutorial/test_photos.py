"""The tutorial, last step: its tests. They stand beside photos.py."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from photos import app
from PIL import Image

from uploadkit.testing import FormBuilder

client = TestClient(app)


def stored() -> set[str]:
    """The names of all files that were published."""
    return {path.name for path in Path("uploads").glob("[!.]*")}


def picture(width: int = 64, height: int = 48) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(stream, "PNG")
    return stream.getvalue()


def test_an_album_is_stored() -> None:
    before = stored()
    form = FormBuilder().text("title", "The sea").file("photos", picture(), filename="1.png")
    form.file("photos", picture(), filename="2.png")
    answer = client.post("/albums", content=form.body, headers={"Content-Type": form.content_type})
    assert answer.json() == {"title": "The sea", "taken": None, "photos": ["1.png", "2.png"]}
    assert len(stored() - before) == 2


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"just words", 415, "file 'photos' is text/plain, which the field does not accept"),
        (picture()[:-30], 422, "the picture is damaged"),
        (picture(8000, 6000), 422, "the picture has 8000 x 6000 pixels"),
    ],
    ids=["no picture", "half a picture", "a huge picture"],
)
def test_one_bad_picture_and_nothing_is_stored(data: bytes, status: int, message: str) -> None:
    before = stored()
    form = FormBuilder().text("title", "The sea").file("photos", picture(), filename="1.png")
    form.file("photos", data, filename="2.png")
    answer = client.post("/albums", content=form.body, headers={"Content-Type": form.content_type})
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["message"]) == (status, message)
    assert stored() == before
