"""Uppy in a real browser, on a page of another origin, before `uploadkit serve` over a real S3 server: as its `AwsS3`
is by itself, and with a connection that is cut and a service that dies in the middle."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.browsing import blank_page
from tests.browsing import browser as browser
from tests.docs.documents import DOCS, ROOT, blocks
from tests.examples import uppy
from tests.processing.servers import eventually
from tests.storage.s3.places import Place, place_on
from tests.storage.s3.places import weed as weed
from tests.storage.s3.server import BUCKET, S3Server

from uploadkit.resumable.direct import MIN_PART_SIZE
from uploadkit.testing import sample

from .serving import Served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request, Route

pytestmark = pytest.mark.needs("browser", "uppy")

EXAMPLE = ROOT / "examples" / "service" / "direct.html"
CORS = ROOT / "examples" / "direct_uploads" / "cors.json"
CDN = f"https://cdn.jsdelivr.net/npm/uppy@{uppy.VERSION}/dist/"
SECONDS = 60
VIDEO = sample("video/mp4", size=4 * MIN_PART_SIZE + 1000)
PHOTO = sample("image/jpeg", size=100_000)


@dataclass(frozen=True)
class Shop:
    """A service, which may be begun again at its port, and its bucket. `page` is the origin of the page."""

    served: Served
    place: Place
    port: int
    page: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        options = json.dumps(self.place.options())
        self.served.start(
            *("--port", self.port),
            UPLOADKIT_STORAGE=self.place.url,
            UPLOADKIT_STORAGE_OPTIONS=options,
            UPLOADKIT_CORS_ORIGINS=self.page,
        )

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=SECONDS) as answer:
            return json.load(answer)

    def file(self, upload: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}/files/{upload}", timeout=SECONDS) as answer:
            data: bytes = answer.read()
            return data

    def newest(self) -> dict[str, Any]:
        """When it is settled."""
        eventually(lambda: self._newest()["status"] not in ("receiving", "staged", "processing"), seconds=SECONDS)
        return self._newest()

    def _newest(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/uploads?limit=1")["uploads"][0]
        return found


@contextmanager
def given(text: str) -> Iterator[str]:
    """A server that gives this page to everybody: a browser lets no page that comes from nowhere ask this machine."""

    class Giving(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Giving) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port: int = door.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def shop(weed: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The bucket takes what the page sends, by the rule that the how-to shows."""
    port = _free_port()
    text = EXAMPLE.read_text(encoding="utf-8").replace("https://uploads.example.com", f"http://127.0.0.1:{port}")
    with place_on(weed) as place, given(text) as origin:
        shop = Shop(Served(tmp_path_factory.mktemp("shop")), place, port, origin)
        rule = CORS.read_text().replace("https://www.example.com", origin)
        place.server.client.put_bucket_cors(Bucket=BUCKET, CORSConfiguration=json.loads(rule))
        try:
            shop.start()
            yield shop
        finally:
            shop.served.close()
            place.server.client.delete_bucket_cors(Bucket=BUCKET)


@pytest.fixture
def page(browser: Browser, shop: Shop) -> Iterator[Page]:
    """The example's page, when it has Uppy; in the end nothing is staged in the bucket."""
    files = uppy.folder()
    assert files is not None

    def give(route: Route) -> None:
        path = files / route.request.url.removeprefix(CDN)
        kind = "text/css" if path.suffix == ".css" else "text/javascript"
        route.fulfill(body=path.read_bytes(), headers={"Access-Control-Allow-Origin": "*", "Content-Type": kind})

    with blank_page(browser) as page:
        page.route(f"{CDN}**", give)
        page.set_default_timeout(30_000)
        page.goto(f"{shop.page}/")
        page.locator(".uppy-Dashboard").wait_for()
        yield page
    assert shop.place.uploads() == []
    staged = [key for key in shop.place.keys() if key.startswith("staging/")]  # noqa: SIM118  it is no dict
    assert staged == []


def choose(page: Page, folder: Path, name: str, data: bytes) -> None:
    path = folder / name
    path.write_bytes(data)
    page.locator(".uppy-Dashboard-input").first.set_input_files(path)


def begin(page: Page) -> None:
    page.get_by_role("button", name="Upload 1 file").click()


def told(page: Page) -> str:
    page.wait_for_function("() => document.querySelector('output').textContent")
    text: str = page.locator("output").inner_text()
    return text


def part_of(request: Request) -> str | None:
    """The number of the part that a request brings to the bucket."""
    found = re.search(r"[?&]partNumber=(\d+)", request.url)
    return found[1] if found is not None and request.method == "PUT" else None


def test_a_small_file_goes_by_a_form(page: Page, shop: Shop, tmp_path: Path) -> None:
    """Nothing of it comes by the service, which takes it all the same."""
    choose(page, tmp_path, "été.jpg", PHOTO)
    begin(page)
    assert told(page) == "Taken: été.jpg"
    shown = shop.newest()
    assert (shown["filename"], shown["size"]) == ("été.jpg", len(PHOTO))
    assert shown["sha256"] == hashlib.sha256(PHOTO).hexdigest()


def test_what_is_refused_is_told(page: Page, shop: Shop, tmp_path: Path) -> None:
    """When its bytes have arrived."""
    choose(page, tmp_path, "fake.jpg", b"<html><script>alert(1)</script>")
    begin(page)
    assert told(page) == "file 'file' is text/html, which the field does not accept"
    shown = shop.newest()
    assert (shown["status"], shown["reason"]) == ("rejected", told(page))


def test_a_large_file_survives_a_cut_and_a_death(page: Page, shop: Shop, tmp_path: Path) -> None:
    """The network goes while the second part is sent, and comes back; while the fourth is, all processes of the service
    are killed, and begin again. Every part arrives once, in its order, and the file is what was sent."""
    arrived: list[str] = []

    def note(request: Request) -> None:
        number, answer = part_of(request), request.response()
        if number is not None and answer is not None and answer.ok:
            arrived.append(number)

    page.on("requestfinished", note)
    held: list[Route] = []
    page.route(re.compile(r"[?&]partNumber=[24]&"), lambda route: held.append(route), times=1)
    choose(page, tmp_path, "film.mp4", VIDEO)
    with page.expect_request(lambda request: part_of(request) == "2"):
        begin(page)
    page.context.set_offline(True)
    held.pop().abort("internetdisconnected")
    retry = page.get_by_role("button", name="Retry upload", exact=True).first
    retry.wait_for()
    page.context.set_offline(False)
    assert arrived == ["1"]
    page.route(re.compile(r"[?&]partNumber=4&"), lambda route: held.append(route), times=1)
    with page.expect_request(lambda request: part_of(request) == "4"):
        retry.click()
    page.get_by_role("button", name="Pause", exact=True).first.click()
    assert arrived == ["1", "2", "3"]
    assert len(shop.place.uploads()) == 1
    shop.served.kill_all()
    shop.start()
    page.get_by_role("button", name="Resume", exact=True).first.click()
    assert told(page) == "Taken: film.mp4"
    assert arrived == ["1", "2", "3", "4", "5"]
    shown = shop.newest()
    assert (shown["status"], shown["size"]) == ("completed", len(VIDEO))
    assert shown["sha256"] == hashlib.sha256(VIDEO).hexdigest() == hashlib.sha256(shop.file(shown["id"])).hexdigest()


def test_what_is_cancelled_is_given_up(page: Page, shop: Shop, tmp_path: Path) -> None:
    """Its record says so, and its parts are gone."""
    page.route(re.compile(r"[?&]partNumber=2&"), lambda route: None)  # it never ends
    choose(page, tmp_path, "film.mp4", VIDEO)
    with page.expect_request(lambda request: part_of(request) == "2"):
        begin(page)
    assert len(shop.place.uploads()) == 1
    with page.expect_response(lambda answer: answer.request.method == "DELETE" and answer.ok):
        page.get_by_role("button", name="Cancel", exact=True).first.click()
    assert shop.newest()["status"] == "deleted"


def test_what_the_how_to_shows_stands_in_the_example() -> None:
    """To the letter."""
    shown = blocks((DOCS / "how-to" / "service-direct.md").read_text(encoding="utf-8"), "js")
    text = EXAMPLE.read_text(encoding="utf-8")
    assert shown
    assert [block.code for block in shown if block.code not in text] == []
