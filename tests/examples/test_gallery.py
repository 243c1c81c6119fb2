"""The gallery as a browser and as curl use it, on Flask's own server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.adapters.servers import Kind, Server, running

from uploadkit.testing import Answer, Client, FormBuilder, exchange, request, request_head

GALLERY = Kind(module="flask", options=("--app", "examples.gallery", "run", "--port", "0"), adapter="flask")
FROM_A_BROWSER = "Accept: text/html,application/xhtml+xml"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(GALLERY, tmp_path_factory.mktemp("gallery")) as server:
        yield server


@pytest.fixture
def picture() -> bytes:
    held = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(held, "PNG")
    return held.getvalue()


def test_a_picture_that_curl_sends_is_shown_on_the_page(gallery: Server, picture: bytes) -> None:
    """The answer names it, the page shows it, and the link gives the same bytes."""
    form = FormBuilder().file("photos", picture, filename="cat.png", content_type="image/png")
    answer = exchange(gallery.port, request("/photos", form))
    [photo] = answer.json["photos"]
    assert (answer.status, photo["filename"], photo["size"]) == (200, "cat.png", len(picture))
    assert photo["url"] in _get(gallery, "/").body.decode()
    shown = _get(gallery, photo["url"])
    assert (shown.status, shown.content_type, shown.body) == (200, "image/png", picture)


def test_a_browser_is_sent_back_to_the_page(gallery: Server, picture: bytes) -> None:
    """Reloading the page after an upload does not send the pictures again."""
    form = FormBuilder().file("photos", picture, filename="cat.png", content_type="image/png")
    assert exchange(gallery.port, request("/photos", form, FROM_A_BROWSER)).status == 303


@pytest.mark.parametrize(
    ("form", "status", "text"),
    [
        (FormBuilder().file("photos", b"no picture", filename="cat.png"), 415, "file &#39;photos&#39; is text/plain"),
        (FormBuilder().file("photos", b"", filename=""), 422, "field &#39;photos&#39; is missing"),
        (FormBuilder().file("<b>", b"", filename="a"), 422, "field &#39;&lt;b&gt;&#39;, only in &#39;photos&#39;"),
    ],
)
def test_a_refusal_is_told_on_the_page(gallery: Server, form: FormBuilder, status: int, text: str) -> None:
    """A browser gets the page again with the reason, escaped; nothing is stored."""
    before = gallery.files()
    answer = exchange(gallery.port, request("/photos", form, FROM_A_BROWSER))
    assert (answer.status, answer.content_type) == (status, "text/html")
    assert text in answer.body.decode()
    assert gallery.files() == before


def test_a_link_to_what_is_no_picture_of_the_gallery_finds_nothing(gallery: Server) -> None:
    """Neither the staging folder nor anything above the gallery's."""
    assert _get(gallery, "/photos/.staging").status == 404
    assert _get(gallery, "/photos/..%2f" + Path(__file__).name).status == 404


def _get(gallery: Server, path: str) -> Answer:
    with Client(gallery.port) as client:
        client.send(request_head(path, None).replace(b"POST", b"GET", 1))
        return client.answer()
