"""Somebody at the page of the service: chooses files, and looks at their cards and at what the service has of them."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.adapters.servers import Server, eventually

from .wire import Wire

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Locator, Page

SLOW = 300_000  # bytes a second


def asked(server: Server, path: str, *, method: str = "GET") -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def ledger(server: Server, *states: str) -> list[dict[str, Any]]:
    """The uploads that the service knows, in these states or in any but deleted."""
    wanted = states or ("receiving", "staged", "processing", "completed", "failed", "rejected")
    found: list[dict[str, Any]] = []
    path: str | None = "/uploads?" + "&".join(f"status={each}" for each in wanted)
    while path:
        told = asked(server, path)
        found += told["uploads"]
        path = told["next"]
    return found


def opened(page: Page, server: Server | Wire) -> Page:
    page.goto(f"http://127.0.0.1:{server.port}/")
    page.locator("#zone").wait_for()
    return page


def choose(page: Page, *files: Path) -> None:
    page.locator("#files").set_input_files([str(file) for file in files])


def card(page: Page, name: str) -> Locator:
    return page.locator(".card").filter(has=page.get_by_role("heading", name=name, exact=True))


def wait_for(page: Page, name: str, status: str) -> Locator:
    found = card(page, name)
    page.locator(f'.card[data-status="{status}"]', has=page.get_by_role("heading", name=name, exact=True)).wait_for()
    return found


def slowed(page: Page, *, bytes_per_second: int = SLOW) -> CDPSession:
    """The line of the browser, made slow."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    line(session, bytes_per_second)
    return session


def line(session: CDPSession, bytes_per_second: int) -> None:
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
    session.send("Network.emulateNetworkConditions", conditions)


def part(card: Locator) -> float:
    return float(card.locator("progress").evaluate("bar => bar.value"))


def moves(page: Page, card: Locator, *, since: float = 0) -> float:
    """Waits until a card's bar stands further than before, but not at its end. Returns where."""
    bar = card.locator("progress").element_handle()
    page.wait_for_function("([bar, since]) => bar.value > since && bar.value < 1", arg=[bar, since])
    return part(card)


def picture_of(page: Page, name: str, tmp_path: Path) -> None:
    """A picture for the documents, where they are to be renewed."""
    folder = Path(os.environ.get("UPLOADKIT_PICTURES", tmp_path))
    page.mouse.move(0, 0)
    page.screenshot(path=folder / f"service-{name}.png", full_page=True, animations="disabled")


def focus_on(page: Page, name: str) -> None:
    """Presses Tab until a button has the focus."""
    told = "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent)"
    for _ in range(30):
        if page.evaluate(told) == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not come to {name!r}")


def eventually_in(page: Page, condition: Callable[[], object]) -> None:
    """As `eventually`, while the page goes on: what it tells is heard within calls alone."""

    def met() -> object:
        page.evaluate("1")
        return condition()

    eventually(met)
    assert condition()


def sideways(page: Page) -> int:
    """How many pixels stand out on the right."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
