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


def test_a_picture_is_stored() -> None:
    before = stored()
    form = FormBuilder().file("photo", picture(), filename="sea.png")
    answer = client.post("/photos", content=form.body, headers={"Content-Type": form.content_type})
    assert answer.json() == {"filename": "sea.png", "content_type": "image/png", "size": len(picture())}
    assert len(stored() - before) == 1


@pytest.mark.parametrize(
    ("data", "status", "filter"),
    [
        (b"just words", 415, "accept"),
        (picture()[:-30], 422, "picture"),
        (picture(8000, 6000), 422, "pixels"),
    ],
    ids=["no picture", "half a picture", "a huge picture"],
)
def test_what_is_refused_leaves_nothing(data: bytes, status: int, filter: str) -> None:
    before = stored()
    form = FormBuilder().file("photo", data, filename="sea.png")
    answer = client.post("/photos", content=form.body, headers={"Content-Type": form.content_type})
    assert (answer.status_code, answer.json()["filter"]) == (status, filter)
    assert stored() == before
