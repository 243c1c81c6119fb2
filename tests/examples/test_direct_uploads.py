"""The page that sends straight into a bucket, in a real browser, to a real S3 server that knows the page by its rule.

The picture in `docs/img` is renewed by

    UPLOADKIT_PICTURES=docs/img python -m pytest tests/examples/test_direct_uploads.py
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from PIL import Image
from tests.adapters.servers import PROJECT, Server, running, uvicorn
from tests.docs.documents import DOCS, blocks
from tests.examples import uppy
from tests.storage.s3.places import Place, place_on
from tests.storage.s3.places import weed as weed
from tests.storage.s3.server import BUCKET, KEY, REGION, SECRET, S3Server

from uploadkit.resumable.direct import MIN_PART_SIZE
from uploadkit.testing import sample

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

EXAMPLE = PROJECT / "examples" / "direct_uploads"
JPEG = sample("image/jpeg", size=100_000)
CDN = f"https://cdn.jsdelivr.net/npm/uppy@{uppy.VERSION}/dist/"


@pytest.fixture(scope="module")
def place(weed: S3Server) -> Iterator[Place]:
    with place_on(weed) as place:
        yield place


@pytest.fixture(scope="module")
def server(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The application. The bucket takes what its page sends, by the rule that the how-to shows."""
    environment = {
        "BUCKET": place.url,
        "SECRET": "sixteen bytes or more",
        "S3_ENDPOINT": place.server.url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
    }
    kind = uvicorn("app:app", "--app-dir", f"{EXAMPLE}", adapter="fastapi")
    with running(kind, tmp_path_factory.mktemp("direct"), **environment) as server:
        rule = (EXAMPLE / "cors.json").read_text().replace("https://www.example.com", origin(server))
        place.server.client.put_bucket_cors(Bucket=BUCKET, CORSConfiguration=json.loads(rule))
        yield server
        place.server.client.delete_bucket_cors(Bucket=BUCKET)


@pytest.fixture
def page(page: Page, server: Server, place: Place) -> Iterator[Page]:
    """The page, when it has Uppy; in the end nothing is staged in the bucket."""
    files = uppy.folder()
    assert files is not None

    def give(route: Route) -> None:
        path = files / route.request.url.removeprefix(CDN)
        kind = "text/css" if path.suffix == ".css" else "text/javascript"
        route.fulfill(body=path.read_bytes(), headers={"Access-Control-Allow-Origin": "*", "Content-Type": kind})

    page.route(f"{CDN}**", give)
    page.set_default_timeout(20_000)
    page.set_viewport_size({"width": 820, "height": 440})
    page.goto(f"{origin(server)}/")
    page.locator(".uppy-Dashboard").wait_for()
    yield page
    assert place.left() == []


def origin(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


in_a_browser = pytest.mark.needs("browser", "uppy")


def send_photo(page: Page, path: Path) -> str:
    """Chooses a photo and sends it; returns what the page tells."""
    form = page.locator("#photo")
    form.locator("input").set_input_files(path)
    form.get_by_role("button", name="Send").click()
    return told(page, "#photo output")


def send_video(page: Page, path: Path) -> str:
    """Gives Uppy a video and lets it send it; returns what the page tells."""
    page.locator(".uppy-Dashboard-input").first.set_input_files(path)
    page.get_by_role("button", name="Upload 1 file").click()
    return told(page, "#video + output")


def told(page: Page, output: str) -> str:
    page.wait_for_function("output => document.querySelector(output).textContent", arg=output)
    text: str = page.locator(output).inner_text()
    return text


def stored(page: Page, output: str, place: Place) -> bytes:
    """What the link leads to that the page shows of an upload; it is the newest object of the bucket."""
    link = page.locator(f"{output} a").get_attribute("href")
    assert link is not None
    answer = requests.get(link, timeout=20)
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith("inline; filename=")
    assert answer.content in [place.get(key) for key in place.keys()]  # noqa: SIM118  it is no dict
    return answer.content


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@in_a_browser
def test_a_photo_goes_from_the_page_into_the_bucket(page: Page, place: Place, tmp_path: Path) -> None:
    """The page tells its progress, and then links to what was stored."""
    assert send_photo(page, written(tmp_path, "été.jpg", JPEG)) == "Received: été.jpg"
    assert stored(page, "#photo output", place) == JPEG
    value, most = page.locator("progress").evaluate("each => [each.value, each.max]")
    assert value == most > len(JPEG)


@in_a_browser
@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("notes.txt", b"What I saw.", "file 'photo' has a name that ends in '.txt', which the field does not accept"),
        ("large.jpg", sample("image/jpeg", size=5_000_001), "the file in field 'photo' has more than 5000000 bytes"),
        ("fake.png", JPEG, "file 'photo' is image/jpeg, and its name ends in '.png'"),
        ("fake.jpg", b"<script>alert(1)</script>", "file 'photo' is text/html, which the field does not accept"),
    ],
    ids=["a type", "a size", "another type", "a script"],
)
def test_a_photo_that_is_refused_leaves_nothing(
    page: Page, place: Place, tmp_path: Path, name: str, data: bytes, text: str
) -> None:
    """By what it says, before it is sent, or by its bytes, when it has arrived. The page tells why."""
    before = place.keys()
    assert send_photo(page, written(tmp_path, name, data)) == text
    assert place.keys() == before


@in_a_browser
def test_the_bucket_itself_refuses_more_than_was_announced(page: Page, place: Place, tmp_path: Path) -> None:
    """A page that tells a smaller size gets a form for a smaller file."""
    before = place.keys()

    def lie(route: Route) -> None:
        said = json.loads(route.request.post_data or "")
        route.continue_(post_data=json.dumps(said | {"size": 1000}))

    page.route("**/photos", lie)
    assert "exceeds the maximum allowed" in send_photo(page, written(tmp_path, "a.jpg", JPEG))
    assert place.keys() == before


@in_a_browser
def test_uppy_sends_a_video_in_parts(page: Page, place: Place, tmp_path: Path) -> None:
    """With addresses that are signed one by one; the picture of the page is taken on the way."""
    puts: list[str] = []
    page.on("request", lambda request: puts.append(request.url) if request.method == "PUT" else None)
    video = sample("video/mp4", size=2 * MIN_PART_SIZE + 1000)
    text = send_video(page, written(tmp_path, "holiday.mp4", video))
    assert text == "Received: holiday.mp4"
    assert hashlib.sha256(stored(page, "#video + output", place)).digest() == hashlib.sha256(video).digest()
    assert [re.search(r"partNumber=(\d+)", url)[1] for url in puts] == ["1", "2", "3"]  # type: ignore[index]
    assert place.uploads() == []
    folder = Path(os.environ.get("UPLOADKIT_PICTURES", tmp_path))
    page.screenshot(path=folder / "direct-uploads.png")
    with Image.open(folder / "direct-uploads.png") as shot:
        assert shot.size == (820, 440)


@in_a_browser
def test_uppy_is_told_that_a_video_is_none(page: Page, place: Place, tmp_path: Path) -> None:
    """When its bytes have arrived; and nothing of them is left."""
    before = place.keys()
    text = send_video(page, written(tmp_path, "fake.mp4", sample("application/pdf", size=MIN_PART_SIZE + 1)))
    assert text == "file 'video' is application/pdf, which the field does not accept"
    assert (place.keys(), place.uploads()) == (before, [])


@in_a_browser
def test_uppy_offers_what_the_rules_say(page: Page, tmp_path: Path) -> None:
    """Another type is not even taken into its list."""
    page.locator(".uppy-Dashboard-input").first.set_input_files(written(tmp_path, "notes.txt", b"What I saw."))
    page.get_by_text("You can only upload:").first.wait_for()
    assert page.get_by_role("button", name="Upload 1 file").count() == 0


@in_a_browser
def test_an_upload_that_is_cancelled_leaves_nothing(page: Page, place: Place, tmp_path: Path) -> None:
    """Uppy has its parts aborted, also those that have arrived."""
    gone: list[str] = []
    page.on("response", lambda answer: gone.append(answer.url) if answer.request.method == "DELETE" else None)
    page.route(re.compile(r"partNumber=2"), lambda route: None)  # it never ends
    page.locator(".uppy-Dashboard-input").first.set_input_files(
        written(tmp_path, "holiday.mp4", sample("video/mp4", size=2 * MIN_PART_SIZE))
    )
    with page.expect_request(re.compile(r"partNumber=2")):
        page.get_by_role("button", name="Upload 1 file").click()
    assert len(place.uploads()) == 1
    with page.expect_response(lambda answer: answer.request.method == "DELETE" and answer.ok):
        page.get_by_role("button", name="Cancel", exact=True).first.click()
    assert place.uploads() == []


def test_no_other_page_may_send(server: Server, place: Place) -> None:
    """The bucket's rule names the one that may, and tells it the ETag of a part."""
    for where, status in [(origin(server), 200), ("https://elsewhere.example", 403)]:
        for method in ("POST", "PUT"):
            asked = {"Origin": where, "Access-Control-Request-Method": method}
            answer = requests.options(f"{place.server.url}/{BUCKET}/key", headers=asked, timeout=20)
            assert (answer.status_code, answer.headers.get("Access-Control-Allow-Origin")) == (
                status,
                where if status == 200 else None,
            )


def test_parts_that_uppy_lost_sight_of_are_told(server: Server, place: Place) -> None:
    """After a reload it asks which have arrived, and goes on from there."""
    said: Any = {"filename": "a.mp4", "type": "video/mp4", "metadata": {"size": MIN_PART_SIZE + 9, "name": "a.mp4"}}
    routes = f"{origin(server)}/videos/s3/multipart"
    begun: dict[str, Any] = requests.post(routes, json=said, timeout=20).json()
    of_it = f"{routes}/{begun['uploadId']}"
    signed = requests.get(f"{of_it}/1", params={"key": begun["key"]}, timeout=20).json()
    etag = requests.put(signed["url"], data=bytes(MIN_PART_SIZE), timeout=20).headers["ETag"]
    parts = requests.get(of_it, params={"key": begun["key"]}, timeout=20).json()
    assert parts == [{"PartNumber": 1, "Size": MIN_PART_SIZE, "ETag": etag}]
    refused = requests.post(f"{of_it}/complete", params={"key": begun["key"]}, timeout=20)
    assert (refused.status_code, refused.json()["code"]) == (400, "truncated_form")
    assert requests.delete(of_it, params={"key": begun["key"] + "x"}, timeout=20).json()["code"] == "token_refused"
    assert requests.delete(of_it, params={"key": begun["key"]}, timeout=20).status_code == 200
    assert place.uploads() == []


@pytest.mark.parametrize("language", ["js", "json"])
def test_what_the_page_shows_stands_in_the_example(language: str) -> None:
    """To the letter, as Python does."""
    files = [path.read_text(encoding="utf-8") for path in EXAMPLE.iterdir() if path.is_file()]
    shown = blocks((DOCS / "how-to" / "direct-uploads.md").read_text(encoding="utf-8"), language)
    assert shown
    assert [block.code for block in shown if not any(block.code in text for text in files)] == []
