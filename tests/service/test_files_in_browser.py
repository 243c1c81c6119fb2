"""What a browser does with what is given out: it plays and draws what is harmless, and saves the rest."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.browsing import browser as browser
from tests.browsing import page as page
from tests.service.conftest import quick_pipeline
from tests.service.listening import listening

from uploadkit.service.app import create_app
from uploadkit.service.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

pytestmark = pytest.mark.needs("browser")

MEDIA = Path(__file__).parents[1] / "samples" / "media"


class Shelf:
    """A service that a browser reaches."""

    def __init__(self, port: int, client: TestClient) -> None:
        self.port = port
        self._client = client

    def address(self, data: bytes, filename: str) -> str:
        """Of an upload, as its owner is shown it."""
        answer = self._client.post("/uploads", files=[("file", (filename, data))])
        upload = self._client.get(answer.json()["uploads"][0]["status_url"]).json()
        return f"http://127.0.0.1:{self.port}{upload['url']}"


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    accept = ("image/png", "image/svg+xml", "text/html", "text/plain", "application/pdf", "video/*", "audio/*")
    app = create_app(Settings.load(data=tmp_path / "data", accept=accept), pipeline=quick_pipeline(tmp_path))
    with listening(app) as server:
        yield Shelf(server.port, TestClient(app, base_url=f"http://127.0.0.1:{server.port}"))


@pytest.mark.parametrize("name", ["film.webm", "index-first.mp4", "vorbis.ogg", "plain.wav", "varying.mp3"])
def test_films_and_sounds_are_played(shelf: Shelf, page: Page, name: str) -> None:
    """A player asks for them again from the page that the browser makes of the address: its policy has to let it."""
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    address = shelf.address((MEDIA / name).read_bytes(), name)

    def is_players(response: Response) -> bool:
        return response.url == address and response.request.resource_type == "media"

    with page.expect_response(is_players) as played:
        page.goto(address)
    assert played.value.status == 206
    assert [error for error in errors if "favicon" not in error and "404" not in error] == []


def test_a_picture_is_drawn_by_the_page_of_the_service(shelf: Shelf, page: Page) -> None:
    file = BytesIO()
    Image.new("RGB", (30, 20), "teal").save(file, "PNG")
    address = shelf.address(file.getvalue(), "a.png")
    page.goto(f"http://127.0.0.1:{shelf.port}/")
    drawn = """source => new Promise(done => {
        const image = new Image();
        image.onload = image.onerror = () => done([image.width, image.height]);
        image.src = source;
    })"""
    assert page.evaluate(drawn, address) == [30, 20]


@pytest.mark.parametrize(
    ("filename", "data"),
    [
        ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
        ("a.html", b"<!doctype html><script>alert(1)</script>"),
        ("a.pdf", b"%PDF-1.7\n" + bytes(1000)),
    ],
)
def test_what_could_run_is_saved(shelf: Shelf, page: Page, filename: str, data: bytes) -> None:
    page.goto(f"http://127.0.0.1:{shelf.port}/")
    address = shelf.address(data, filename)
    with page.expect_download() as saved:
        page.evaluate("address => { location.href = address }", address)
    assert saved.value.suggested_filename == filename
    assert Path(saved.value.path()).read_bytes() == data
    assert page.url == f"http://127.0.0.1:{shelf.port}/"


def test_a_text_is_read_as_utf_8(shelf: Shelf, page: Page) -> None:
    """In which nothing is markup."""
    with page.expect_response(lambda response: "/files/" in response.url) as shown:
        page.goto(shelf.address("grüße <b>".encode(), "a.txt"))
    assert shown.value.headers["content-type"] == "text/plain; charset=utf-8"
    assert page.locator("pre").inner_text() == "grüße <b>"
