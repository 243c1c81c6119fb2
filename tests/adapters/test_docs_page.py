"""FastAPI's own /docs and /redoc in a real browser, which sends files through the page.

FastAPI loads Swagger UI and ReDoc from a CDN; here they come from a package. The picture in `docs/img` is renewed by

    UPLOADKIT_PICTURES=docs/img python -m pytest tests/adapters/test_docs_page.py
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from tests.adapters.servers import Server, running, uvicorn

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

pytestmark = pytest.mark.needs("browser")

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\6\0\0\0\x1f\x15\xc4\x89"
ON_THE_CDN = {
    "swagger-ui-dist@5/swagger-ui-bundle.js": "swagger-ui-dist/swagger-ui-bundle.js",
    "swagger-ui-dist@5/swagger-ui.css": "swagger-ui-dist/swagger-ui.css",
    "redoc@2/bundles/redoc.standalone.js": "redoc/bundles/redoc.standalone.js",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    kind = uvicorn("tests.adapters.apps.documented:app", adapter="fastapi")
    with running(kind, tmp_path_factory.mktemp("documented")) as server:
        yield server


@pytest.fixture
def page(page: Page) -> Page:
    """One that finds on the CDN what the installed package has."""
    found = find_spec("drf_spectacular_sidecar")  # found, not imported: it is Django's
    assert found is not None
    assert found.origin is not None
    files = Path(found.origin).parent / "static" / "drf_spectacular_sidecar"

    def give(route: Route) -> None:
        route.fulfill(path=files / ON_THE_CDN[route.request.url.removeprefix("https://cdn.jsdelivr.net/npm/")])

    page.route("https://cdn.jsdelivr.net/npm/**", give)
    page.set_default_timeout(10_000)
    return page


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "me.png"
    path.write_bytes(PNG)
    return path


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_text("What I saw.")
    return path


def open_operation(page: Page, server: Server, path: str) -> Locator:
    """An operation on /docs, unfolded and ready to be tried out."""
    page.goto(f"http://127.0.0.1:{server.port}/docs")
    operation = page.locator(".opblock", has=page.locator(f'[data-path="{path}"]'))
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    return operation


def execute(operation: Locator) -> tuple[str, Any]:
    """The status and the JSON that the page shows after the form was sent."""
    operation.get_by_role("button", name="Execute").click()
    live = operation.locator(".live-responses-table .response")
    body = live.locator(".response-col_description code").first
    return live.locator(".response-col_status").inner_text().split()[0], json.loads(body.inner_text())


def choose(operation: Locator, field: str, *files: Path) -> None:
    """Chooses files for a field; for the second one and every further one the page has a button."""
    row = operation.locator(f'tr[data-property-name="{field}"]')
    for number, file in enumerate(files):
        if number:
            row.get_by_role("button", name="Add string item").click()
        row.locator('input[type="file"]').nth(number).set_input_files(file)


def fill(operation: Locator, field: str, text: str) -> None:
    operation.locator(f'tr[data-property-name="{field}"]').locator("input[type=text], textarea").last.fill(text)


def names(files: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(file["field"], file["filename"]) for file in files]


def test_a_file_is_chosen_on_the_docs_page_and_sent(page: Page, server: Server, picture: Path, tmp_path: Path) -> None:
    """Swagger UI shows a picker for the file and what it may be; the answer stands on the page."""
    page.set_viewport_size({"width": 1000, "height": 480})
    operation = open_operation(page, server, "/profile")
    row = operation.locator('tr[data-property-name="avatar"]')
    assert "At most 5 MB. Types: image/avif, image/bmp" in row.inner_text()
    assert row.locator('input[type="file"]').is_visible()
    choose(operation, "avatar", picture)
    folder = Path(os.environ.get("UPLOADKIT_PICTURES", tmp_path))
    operation.evaluate("element => element.scrollIntoView()")
    page.screenshot(path=folder / "fastapi-docs.png")
    with Image.open(folder / "fastapi-docs.png") as shot:
        assert shot.size == (1000, 480)
    status, file = execute(operation)
    assert (status, file["filename"], file["content_type"], file["size"]) == ("200", "me.png", "image/png", len(PNG))
    assert server.files()[file["key"]] == hashlib.sha256(PNG).hexdigest()


def test_a_refusal_stands_on_the_page(page: Page, server: Server, notes: Path) -> None:
    """With the problem's details."""
    operation = open_operation(page, server, "/profile")
    choose(operation, "avatar", notes)
    status, problem = execute(operation)
    assert (status, problem["code"], problem["detected"]) == ("415", "file_refused", "text/plain")


def test_several_files_are_chosen_for_a_list(page: Page, server: Server, picture: Path) -> None:
    """Each in a picker of its own, beside a parameter of the path."""
    operation = open_operation(page, server, "/albums/{album}")
    operation.get_by_placeholder("album").fill("holidays")
    choose(operation, "photos", picture, picture)
    status, files = execute(operation)
    assert (status, names(files)) == ("200", [("photos", "me.png")] * 2)


def test_fields_that_may_be_left_out_are(page: Page, server: Server, notes: Path) -> None:
    """The page sends what it was given, and for a file that was not chosen none."""
    operation = open_operation(page, server, "/reports")
    choose(operation, "report", notes)
    fill(operation, "title", "What I saw")
    status, shown = execute(operation)
    assert (status, names(shown["files"])) == ("200", [("report", "notes.txt")])
    assert shown["texts"]["title"] == ["What I saw"]


def test_a_model_is_filled_in(page: Page, server: Server, picture: Path, notes: Path) -> None:
    """Text, lists by repeating their names, a model inside as JSON, files under the names that the form has."""
    operation = open_operation(page, server, "/people")
    fill(operation, "nick", "Ada")
    fill(operation, "born", "1815-12-10")
    for tag in ("maths", "poetry"):
        operation.locator('tr[data-property-name="tags"]').get_by_role("button", name="Add string item").click()
        fill(operation, "tags", tag)
    fill(operation, "pet", '{"name": "Puff", "age": 3}')
    choose(operation, "papers", notes, picture)
    status, shown = execute(operation)
    assert (status, names(shown["files"])) == ("200", [("papers", "notes.txt"), ("papers", "me.png")])
    pet = {"name": "Puff", "age": 3}
    assert shown["texts"] == {"nick": "Ada", "born": "1815-12-10", "tags": ["maths", "poetry"], "pet": pet}


def test_a_field_of_any_name_has_a_picker(page: Page, server: Server, notes: Path) -> None:
    """Under a name to begin with."""
    operation = open_operation(page, server, "/any")
    choose(operation, "files", notes)
    status, shown = execute(operation)
    assert (status, names(shown["files"])) == ("200", [("files", "notes.txt")])


def test_redoc_shows_every_form(page: Page, server: Server) -> None:
    """Its fields, that they are files, and their limits."""
    page.goto(f"http://127.0.0.1:{server.port}/redoc")
    page.get_by_role("heading", name="Introduce yourself").wait_for()
    text = " ".join(page.locator("body").inner_text().split())
    assert "avatar required string <binary> <application/octet-stream> At most 5 MB. Types: image/avif" in text
    assert "photos required Array of strings <binary> [ 1 .. 3 ] items" in text
    assert "nick required string (Nick) <= 40 characters What we call you." in text
    assert "picture string <binary> <application/octet-stream> (Avatar) At most 1.5 MB." in text
    assert "415 No form, or a file of a type that is not accepted." in text
