"""The page that knows the rules of its form, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.adapters.servers import PROJECT, Server, running, uvicorn

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.needs("browser")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    kind = uvicorn("page_rules:app", adapter="fastapi")
    with running(kind, tmp_path_factory.mktemp("page_rules")) as server:
        yield server


@pytest.fixture
def page(page: Page, server: Server) -> Page:
    """The page, when it has learned the rules."""
    page.goto(f"http://127.0.0.1:{server.port}/")
    page.wait_for_selector("[name=pictures][accept]")
    page.locator("[name=title]").fill("What I saw")
    return page


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.txt"
    path.write_text("What I saw.")
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """One byte more than the report may have."""
    path = tmp_path / "large.txt"
    path.write_text("!" * 100_001)
    return path


def hand_in(page: Page) -> None:
    page.get_by_role("button", name="Hand in").click()


def validity(page: Page, name: str) -> str:
    """What the browser tells about an input; "" where it is fine."""
    text: str = page.locator(f"[name={name}]").evaluate("input => input.validationMessage")
    return text


def test_the_inputs_have_the_rules_of_their_fields(page: Page) -> None:
    """What the browser can check itself, it does."""
    report, pictures, title = (page.locator(f"[name={name}]") for name in ("report", "pictures", "title"))
    assert "application/pdf" in str(report.get_attribute("accept"))
    assert ".md" in str(report.get_attribute("accept")).split(",")
    assert str(pictures.get_attribute("accept")).startswith("image/avif,")
    assert [each.evaluate("input => input.multiple") for each in (report, pictures)] == [False, True]
    assert [each.evaluate("input => input.required") for each in (report, pictures, title)] == [True, False, True]
    assert title.get_attribute("maxlength") == "80"


def test_what_is_allowed_is_sent(page: Page, server: Server, small: Path) -> None:
    """And kept."""
    page.locator("[name=report]").set_input_files(small)
    hand_in(page)
    page.get_by_text("Received: small.txt").wait_for()
    assert len(server.files()) == 1
    server.clear()


def test_what_is_too_large_is_told_before_it_is_sent(page: Page, server: Server, small: Path, large: Path) -> None:
    """The form stays where it is until another file is chosen."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.locator("[name=report]").set_input_files(large)
    hand_in(page)
    assert validity(page, "report") == "large.txt is too large: 0.1 MB at most."
    page.locator("[name=pictures]").set_input_files([small] * 4)
    assert validity(page, "pictures") == "Choose 3 files at most."
    hand_in(page)
    assert sent == []
    page.locator("[name=report]").set_input_files(small)
    assert validity(page, "report") == ""


def test_the_server_judges_by_the_same_rules(page: Page, server: Server, large: Path) -> None:
    """Where the page is made to send all the same, the form is refused, and nothing is kept."""
    page.locator("[name=report]").set_input_files(large)
    page.locator("form").evaluate("form => form.noValidate = true")
    with page.expect_response("**/reports") as answer:
        hand_in(page)
    assert answer.value.status == 413
    page.get_by_text("the file in field 'report' has more than 100000 bytes").wait_for()
    assert (server.files(), server.staged(), server.open_files()) == ({}, [], [])


def test_the_document_shows_the_script_of_the_page() -> None:
    """To the letter."""
    document = (PROJECT / "docs" / "how-to" / "page-rules.md").read_text()
    [script] = re.findall(r"^```js\n(.*?)^```", document, re.DOTALL | re.MULTILINE)
    loop, function = script.split("\n\n")
    page = (PROJECT / "examples" / "page_rules.py").read_text()
    assert loop in page
    assert function in page
