"""A page in a real browser, for `@pytest.mark.needs("browser")` tests: Chromium, as the system has installed it.

Nothing is downloaded, and no page reaches beyond this machine. Playwright's API for plain functions keeps an event loop
running in the thread that uses it: it is started for a module and stopped at its end, so that tests of other modules
may run loops of their own. In a module that uses `page`, what needs a loop runs in a server's process.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """The path of the browser; None where there is none."""
    return next(filter(None, map(shutil.which, EXECUTABLES)), None)


@contextmanager
def opened() -> Iterator[Browser]:
    """Chromium without a window, and a loop that runs in this thread."""
    from playwright.sync_api import sync_playwright  # not there where the tests run without any extra

    with sync_playwright() as playwright:
        # Without the sandbox, which root may not have; in memory of its own, since a container's /dev/shm is small.
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=executable(), args=options)
        yield browser
        browser.close()


@contextmanager
def blank_page(browser: Browser) -> Iterator[Page]:
    """A page with cookies and storage of its own. Raises `AssertionError` at the end where a script failed."""
    with browser.new_context() as context:
        context.route("**/*", _within_this_machine)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert errors == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of a module."""
    with opened() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page; what fails in its scripts fails the test."""
    with blank_page(browser) as page:
        yield page


def _within_this_machine(route: Route) -> None:
    if route.request.url.startswith(("http://127.0.0.1:", "http://localhost:")):
        route.continue_()
    else:
        route.abort()
