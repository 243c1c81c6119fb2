"""The page that goes on where it was, in a real browser: with tus-js-client, against the example in FastAPI."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.adapters.servers import Server, eventually, running
from tests.docs.documents import DOCS, blocks
from tests.examples import tus_js
from tests.examples.test_resumable import KINDS, PICTURE

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

PAGE = Path(__file__).parents[2] / "examples" / "resumable" / "page.html"
CDN = f"https://cdn.jsdelivr.net/npm/tus-js-client@{tus_js.VERSION}/dist/tus.min.js"
AN_UPLOAD = re.compile(r"/files/\w+$")

in_a_browser = pytest.mark.needs("browser", "tus-js-client")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The example, under uvicorn."""
    with running(KINDS["fastapi"], tmp_path_factory.mktemp("page")) as server:
        yield server


@pytest.fixture
def page(page: Page, server: Server) -> Page:
    """The page, beside the uploads, with the client from npm in place of the one from the network."""
    script = tus_js.script()
    assert script is not None
    headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "text/javascript"}
    page.route(CDN, lambda route: route.fulfill(body=script.read_bytes(), headers=headers))
    page.route("**/page.html", lambda route: route.fulfill(path=PAGE, content_type="text/html"))
    page.set_default_timeout(30_000)
    server.clear()
    visit(page, server)
    return page


def visit(page: Page, server: Server) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/page.html")
    page.wait_for_function("window.tus")


def choose(page: Page, folder: Path, data: bytes = PICTURE) -> None:
    path = folder / "picture.jpg"
    if not path.exists():
        path.write_bytes(data)
    page.locator("input").set_input_files(path)


def told(page: Page) -> str:
    page.wait_for_function("document.querySelector('output').textContent")
    text: str = page.locator("output").inner_text()
    return text


def test_the_how_to_shows_the_page() -> None:
    """Nothing in the documents is typed twice."""
    shown = blocks((DOCS / "how-to" / "resumable.md").read_text(encoding="utf-8"), "js")
    assert shown
    assert all(block.code in PAGE.read_text(encoding="utf-8") for block in shown)


@in_a_browser
def test_a_lost_connection_is_taken_up_by_itself(page: Page, server: Server, tmp_path: Path) -> None:
    """The first request with bytes fails, as where a network changes; the next one brings them."""
    failed: list[str] = []

    def fail_once(route: Route) -> None:
        if route.request.method == "PATCH" and not failed:
            failed.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(AN_UPLOAD, fail_once)
    choose(page, tmp_path)
    assert told(page) == "Received: picture.jpg"
    assert len(failed) == 1
    assert list(server.files().values()) == [hashlib.sha256(PICTURE).hexdigest()]


@in_a_browser
def test_an_upload_goes_on_when_the_page_was_closed(page: Page, server: Server, tmp_path: Path) -> None:
    """The same file, chosen again, is the same upload."""
    asked: list[tuple[str, str]] = []
    page.on("request", lambda request: asked.append((request.method, request.url)))
    page.route(AN_UPLOAD, lambda route: route.abort("connectionreset"))
    choose(page, tmp_path)
    eventually(lambda: page.evaluate("localStorage.length"))
    begun = page.evaluate("JSON.parse(Object.values(localStorage)[0]).uploadUrl")
    visit(page, server)
    page.unroute(AN_UPLOAD)  # not before: the page that is left tries again
    asked.clear()
    choose(page, tmp_path)
    assert told(page) == "Received: picture.jpg"
    methods = [method for method, url in asked if "/files/" in url]
    assert set(methods) == {"HEAD", "PATCH"}  # no POST: it is the same upload
    assert {url for _, url in asked if "/files/" in url} == {f"http://127.0.0.1:{server.port}{begun}"}
    assert page.evaluate("localStorage.length") == 0


@in_a_browser
def test_the_page_says_why_a_file_is_refused(page: Page, server: Server, tmp_path: Path) -> None:
    """In the words of the answer, and nothing is stored."""
    choose(page, tmp_path, b"just words\n" * 1000)
    assert told(page) == "file 'file' is text/plain, which the field does not accept"
    assert server.files() == {}
