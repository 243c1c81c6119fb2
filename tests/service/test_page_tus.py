"""Large files on the page of the service, which go in pieces: in a real browser, before a real service.

The pictures in `docs/img` are renewed by

    UPLOADKIT_PICTURES=docs/img python -m pytest tests/service/test_page_tus.py
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.adapters.servers import Server, eventually, running, uvicorn

from . import axe
from .serving import Served, wait_until_gone
from .visiting import (
    asked,
    card,
    choose,
    eventually_in,
    focus_on,
    ledger,
    moves,
    opened,
    part,
    picture_of,
    sideways,
    wait_for,
)
from .wire import HEADS, Wire

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request, Route

pytestmark = pytest.mark.needs("browser")

SERVICE = uvicorn("tests.service.whole:app", "--factory", adapter="starlette")
SETTINGS = {"UPLOADKIT_DATA": "data", "UPLOADKIT_MAX_FILE_SIZE": "400 MB", "UPLOADKIT_RATE": "100000/minute"}
SIZE = 20_000_000
SLOW = 6_000_000  # bytes a second: slow enough to be cut in the middle
BUFFERED = 6_000_000  # bytes that are on their way, at most, when a line is cut: they are sent once more


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(SERVICE, tmp_path_factory.mktemp("service"), **SETTINGS) as server:
        yield server


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test finds an empty service."""
    yield
    if "server" in request.fixturenames:
        server = request.getfixturevalue("server")
        for each in ledger(server):
            asked(server, each["status_url"], method="DELETE")
        assert staged(server) == []


@pytest.fixture
def page(page: Page) -> Page:
    page.set_default_timeout(90_000)
    page.set_viewport_size({"width": 860, "height": 760})
    return page


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    with Wire(server.port) as wire:
        yield wire


@pytest.fixture
def text(tmp_path: Path) -> Callable[..., Path]:
    """Makes a text of so many bytes, no two of which are alike."""

    def make(name: str = "diary.txt", size: int = SIZE) -> Path:
        chance = random.Random(name)
        with (tmp_path / name).open("w") as file:
            for _ in range(0, size, 1_000_000):
                file.write(chance.randbytes(500_000).hex())
            file.truncate(size)
        return tmp_path / name

    return make


def staged(server: Server) -> list[Path]:
    """What lies in staging, half or whole."""
    return [path for path in (server.folder / "data" / "staging").rglob("*") if path.is_file()]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def expect_kept(server: Server, path: Path) -> None:
    """The service has this file, and nothing else."""
    [upload] = ledger(server)
    assert (upload["status"], upload["filename"], upload["sha256"]) == ("completed", path.name, digest(path))
    assert staged(server) == []


def remembered(page: Page) -> int:
    """How many unfinished uploads the browser knows."""
    return int(page.evaluate("Object.keys(localStorage).length"))


def paused(page: Page, name: str) -> float:
    """Presses Pause when some of it has gone out. Returns how much, of 1."""
    sending = card(page, name)
    moves(page, sending, since=0.3)
    sending.get_by_role("button", name=f"Pause {name}").click()
    return part(wait_for(page, name, "paused"))


def test_a_large_file_goes_in_pieces(page: Page, server: Server, text: Callable[..., Path]) -> None:
    """With its tags; small ones beside it go as they always did. Nothing is remembered when it is there."""
    requests: list[tuple[str, str]] = []
    page.on("request", lambda request: requests.append((request.method, request.url.split("/", 3)[3])))
    opened(page, server)
    page.get_by_text("Tags and priority").click()
    page.get_by_label("Tags").fill("sea, year=2026")
    page.get_by_label("Priority").select_option("high")
    choose(page, text("tagebuch für später.txt"), text("note.txt", 1000))
    wait_for(page, "note.txt", "completed")
    wait_for(page, "tagebuch für später.txt", "completed")
    large = next(each for each in ledger(server) if each["size"] == SIZE)
    assert large["sha256"] == digest(text("tagebuch für später.txt"))
    assert large["filename"] == "tagebuch für später.txt"
    assert (large["tags"], large["priority"]) == ({"sea": "", "year": "2026"}, 5)
    assert requests.count(("POST", "tus/")) == 1
    assert requests.count(("POST", "uploads")) == 1
    assert 3 <= requests.count(("PATCH", f"tus/{large['id']}")) <= 5
    assert remembered(page) == 0


def test_it_is_paused_and_goes_on(
    page: Page, server: Server, wire: Wire, text: Callable[..., Path], tmp_path: Path
) -> None:
    """What has arrived stays, and only the rest is sent. All of it by keyboard: the focus stays on the button."""
    opened(page, wire)
    path, before = text(), wire.passed
    wire.bytes_per_second = SLOW
    choose(page, path)
    moves(page, card(page, path.name), since=0.3)
    focus_on(page, "Pause diary.txt")
    page.keyboard.press("Enter")
    held = wait_for(page, path.name, "paused")
    assert re.fullmatch(r"Paused · [\d.]+ MB of 20 MB", held.locator(".state").inner_text())
    page.wait_for_function("() => document.activeElement.getAttribute('aria-label') === 'Resume diary.txt'")
    page.wait_for_function("() => document.querySelector('#said').textContent === 'diary.txt paused.'")
    picture_of(page, "paused", tmp_path)
    [upload] = ledger(server)
    assert upload["status"] == "receiving"
    assert remembered(page) == 1
    wire.bytes_per_second = None
    page.keyboard.press("Enter")
    wait_for(page, path.name, "completed")
    assert wire.passed - before < SIZE + BUFFERED
    assert remembered(page) == 0
    expect_kept(server, path)


def test_a_line_that_is_cut_twice_costs_nothing_of_what_has_arrived(
    page: Page, server: Server, wire: Wire, text: Callable[..., Path]
) -> None:
    """It is told of, and goes on by itself."""
    opened(page, wire)
    path, before = text(), wire.passed
    wire.bytes_per_second = SLOW
    choose(page, path)
    for since in (0.2, 0.5):
        moves(page, card(page, path.name), since=since)
        wire.cut()
        waiting = wait_for(page, path.name, "waiting")
        assert waiting.locator(".state").inner_text().startswith("Waiting for the network · ")
        assert waiting.locator(".why").inner_text().endswith(" It goes on from there by itself.")
        wire.mend()
    wire.bytes_per_second = None
    wait_for(page, path.name, "completed")
    assert wire.passed - before < SIZE + 2 * BUFFERED
    expect_kept(server, path)


def test_a_browser_that_was_offline_goes_on_at_once(
    page: Page, server: Server, wire: Wire, text: Callable[..., Path]
) -> None:
    opened(page, wire)
    path = text()
    page.evaluate("Math.random = () => 1")
    wire.bytes_per_second = SLOW
    choose(page, path)
    moves(page, card(page, path.name), since=0.2)
    page.context.set_offline(True)
    waiting = wait_for(page, path.name, "waiting")
    assert waiting.locator(".why").inner_text().startswith("This device went offline after ")
    wire.bytes_per_second = None
    page.context.set_offline(False)
    wait_for(page, path.name, "completed")
    expect_kept(server, path)


def test_after_a_reload_the_same_file_goes_on(
    page: Page, server: Server, wire: Wire, text: Callable[..., Path], tmp_path: Path
) -> None:
    """The page shows what has not ended. Another file is not taken for it; the same one is sent from where it was."""
    opened(page, wire)
    path, before = text(), wire.passed
    wire.bytes_per_second = SLOW
    choose(page, path)
    moves(page, card(page, path.name), since=0.4)
    page.reload()
    left = wait_for(page, path.name, "left")
    wire.bytes_per_second = None
    assert page.get_by_role("region", name="Unfinished uploads").is_visible()
    left.locator(".state", has_text=re.compile(r"^[\d.]+ MB of 20 MB are there$")).wait_for()
    how = "Choose or drop the same file again, and it goes on from there."
    assert left.locator(".why").inner_text().startswith(how)
    picture_of(page, "unfinished", tmp_path)
    with page.expect_file_chooser() as chooser:
        left.get_by_role("button", name="Choose again diary.txt").click()
    chooser.value.set_files(str(text("other.txt")))
    left.locator(".why", has_text="other.txt is not the file that was begun").wait_for()
    with page.expect_file_chooser() as chooser:
        left.get_by_role("button", name="Choose again diary.txt").click()
    chooser.value.set_files(str(path))
    wait_for(page, path.name, "completed")
    assert page.locator("#left").is_hidden()
    assert page.locator("#queue .card").count() == 1
    assert wire.passed - before < SIZE + BUFFERED
    assert remembered(page) == 0
    expect_kept(server, path)


def test_a_file_that_is_dropped_again_goes_on_too(
    page: Page, server: Server, wire: Wire, text: Callable[..., Path]
) -> None:
    """Among others, and without a word of it."""
    opened(page, wire)
    path = text()
    wire.bytes_per_second = SLOW
    choose(page, path)
    share = paused(page, path.name)
    page.reload()
    wait_for(page, path.name, "left")
    wire.bytes_per_second, before = None, wire.passed
    choose(page, text("note.txt", 1000), path)
    wait_for(page, "note.txt", "completed")
    wait_for(page, path.name, "completed")
    assert wire.passed - before < SIZE * (1 - share) + BUFFERED
    assert len(ledger(server, "completed")) == 2
    assert ledger(server, "receiving") == []


def test_an_unfinished_upload_is_discarded(page: Page, server: Server, wire: Wire, text: Callable[..., Path]) -> None:
    """Nothing of it is left, here or there. A narrow screen shows all of it."""
    page.set_viewport_size({"width": 320, "height": 760})
    opened(page, wire)
    wire.bytes_per_second = SLOW
    choose(page, text())
    paused(page, "diary.txt")
    assert sideways(page) == 0
    page.reload()
    wait_for(page, "diary.txt", "left")
    assert sideways(page) == 0
    card(page, "diary.txt").get_by_role("button", name="Discard diary.txt").click()
    card(page, "diary.txt").wait_for(state="detached")
    assert page.locator("#said").inner_text() == "diary.txt is discarded."
    assert page.locator("#left").is_hidden()
    assert remembered(page) == 0
    assert ledger(server) == []
    assert staged(server) == []


@pytest.mark.parametrize("when", ["under way", "paused"])
def test_a_large_file_that_is_cancelled_leaves_nothing(
    page: Page, server: Server, wire: Wire, text: Callable[..., Path], when: str
) -> None:
    opened(page, wire)
    wire.bytes_per_second = SLOW
    choose(page, text())
    if when == "paused":
        paused(page, "diary.txt")
    else:
        moves(page, card(page, "diary.txt"), since=0.2)
    page.get_by_role("button", name="Cancel diary.txt").click()
    cancelled = wait_for(page, "diary.txt", "cancelled")
    assert ledger(server) == []
    assert staged(server) == []
    assert remembered(page) == 0
    wire.bytes_per_second = None
    cancelled.get_by_role("button", name="Retry diary.txt").click()
    wait_for(page, "diary.txt", "completed")
    assert len(ledger(server, "completed")) == 1


@pytest.mark.parametrize(("name", "reason"), [("setup.exe", "ends in '.exe'"), ("diary.txt", "portable-executable")])
def test_a_refused_type_is_told_of_at_its_first_bytes(
    page: Page, server: Server, wire: Wire, tmp_path: Path, name: str, reason: str
) -> None:
    """By its name before any byte, by its bytes after a few; not when all have gone out."""
    opened(page, wire)
    before = wire.passed
    (tmp_path / name).write_bytes(b"MZ" + bytes(SIZE))
    choose(page, tmp_path / name)
    refused = wait_for(page, name, "refused")
    assert reason in refused.locator(".why").inner_text()
    assert refused.locator(".why").inner_text().endswith("Send a file of another type.")
    assert wire.passed - before < HEADS
    assert remembered(page) == 0
    assert staged(server) == []


def test_wrong_tags_are_told_of_before_any_byte(
    page: Page, server: Server, wire: Wire, text: Callable[..., Path]
) -> None:
    opened(page, wire)
    before = wire.passed
    page.get_by_text("Tags and priority").click()
    page.get_by_label("Tags").fill("x" * 100)
    choose(page, text())
    refused = wait_for(page, "diary.txt", "refused")
    assert refused.locator(".why").inner_text().endswith("Mend the tags, and add the file again.")
    assert wire.passed - before < HEADS
    assert ledger(server) == []


def test_an_upload_that_is_gone_is_begun_again(
    page: Page, server: Server, wire: Wire, text: Callable[..., Path]
) -> None:
    """Somebody has deleted it meanwhile, or its time is over."""
    opened(page, wire)
    path = text()
    wire.bytes_per_second = SLOW
    choose(page, path)
    paused(page, path.name)
    [upload] = ledger(server)
    asked(server, upload["status_url"], method="DELETE")
    wire.bytes_per_second = None
    page.get_by_role("button", name="Resume diary.txt").click()
    wait_for(page, path.name, "completed")
    expect_kept(server, path)


def test_answers_that_are_lost_are_asked_for(page: Page, server: Server, wire: Wire, text: Callable[..., Path]) -> None:
    """The service has each piece, and no answer comes: the page sends none of them twice. (The browser may, by itself,
    on another connection.)"""
    opened(page, wire)
    path = text(size=17_000_000)
    offsets: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))

    page.on("request", note)
    wire.loses_answers = True
    choose(page, path)
    wait_for(page, path.name, "waiting")
    wait_for(page, path.name, "completed")
    assert len(offsets) >= 3
    assert offsets == sorted(set(offsets))
    expect_kept(server, path)


def test_a_file_that_has_changed_is_not_sent(page: Page, server: Server, wire: Wire, text: Callable[..., Path]) -> None:
    """A browser takes that for a lost connection, and it would be tried for ever. What was there of it is removed."""
    opened(page, wire)
    path = text()
    wire.bytes_per_second = SLOW
    choose(page, path)
    paused(page, path.name)
    path.write_text("It was nothing.")
    page.get_by_role("button", name="Resume diary.txt").click()
    refused = wait_for(page, path.name, "refused")
    assert refused.locator(".why").inner_text() == "The file was changed, moved or removed since it was chosen."
    eventually(lambda: staged(server) == [])
    assert remembered(page) == 0
    assert ledger(server) == []


def test_an_upload_whose_beginning_is_not_answered_is_begun_again(
    page: Page, server: Server, text: Callable[..., Path]
) -> None:
    """As any other request in which nothing goes on for a minute: here for three seconds."""
    hurry(page, "queue.js", SILENT=500, DEAD=3000)
    held = hold(page, "POST", "**/tus/", first=1)
    opened(page, server)
    path = text()
    choose(page, path)
    waiting = wait_for(page, path.name, "waiting")
    assert waiting.locator(".why").inner_text().startswith("The connection was lost")
    wait_for(page, path.name, "completed")
    assert len(held) == 1
    expect_kept(server, path)


def test_an_upload_whose_beginning_is_not_answered_is_cancelled(
    page: Page, server: Server, text: Callable[..., Path]
) -> None:
    """An answer is waited for, so that nothing is left of what it tells of; but not for ever."""
    hurry(page, "tus.js", LINGER=500)
    held = hold(page, "POST", "**/tus/", first=1)
    opened(page, server)
    choose(page, text())
    eventually_in(page, lambda: held)
    page.get_by_role("button", name="Cancel diary.txt").click()
    wait_for(page, "diary.txt", "cancelled")
    assert ledger(server) == []
    page.get_by_role("button", name="Retry diary.txt").click()
    wait_for(page, "diary.txt", "completed")
    expect_kept(server, text())


def test_an_upload_whose_end_is_not_answered_is_cancelled(
    page: Page, server: Server, wire: Wire, text: Callable[..., Path]
) -> None:
    """It is asked for again."""
    hurry(page, "service.js", PATIENCE=1000)
    held = hold(page, "DELETE", "**/tus/*", first=1)
    opened(page, wire)
    wire.bytes_per_second = SLOW
    choose(page, text())
    paused(page, "diary.txt")
    page.get_by_role("button", name="Cancel diary.txt").click()
    wait_for(page, "diary.txt", "cancelled")
    assert len(held) == 1
    assert ledger(server) == []
    assert staged(server) == []
    assert remembered(page) == 0


def hurry(page: Page, script: str, **milliseconds: int) -> None:
    """Makes constants of a script of the page shorter."""

    def shorten(route: Route) -> None:
        answer = route.fetch()
        body = answer.text()
        for name, value in milliseconds.items():
            body, count = re.subn(rf"const {name} = [\d_]+;", f"const {name} = {value};", body)
            assert count == 1
        route.fulfill(response=answer, body=body)

    page.route(f"**/page/{script}", shorten)


def hold(page: Page, method: str, pattern: str, *, first: int) -> list[Route]:
    """So many requests are never answered, nor do they come to the service. Returns those that were made so far."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        if route.request.method == method and len(held) < first:
            held.append(route)
        else:
            route.continue_()

    page.route(pattern, keep)
    return held


@pytest.mark.needs("axe")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_from_pausing(
    page: Page, server: Server, wire: Wire, text: Callable[..., Path], scheme: Any
) -> None:
    """axe-core finds nothing while a file is sent in pieces, is paused, waits for the network, or is left."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    opened(page, wire)
    wire.bytes_per_second = SLOW // 4
    choose(page, text())
    moves(page, card(page, "diary.txt"))
    assert axe.found(page) == []
    wire.cut()
    wait_for(page, "diary.txt", "waiting")
    assert axe.found(page) == []
    page.get_by_role("button", name="Pause diary.txt").click()
    wait_for(page, "diary.txt", "paused")
    assert axe.found(page) == []
    wire.mend()
    page.reload()
    wait_for(page, "diary.txt", "left")
    assert axe.found(page) == []


TOKENS = [{"owner": name, "sha256": hashlib.sha256(f"{name}-token".encode()).hexdigest()} for name in ("ann", "bob")]


def test_nobody_sees_what_another_has_begun(page: Page, text: Callable[..., Path], tmp_path: Path) -> None:
    """Though it was at this browser. With the token all is forgotten that has not ended, and nothing of it is left."""
    with (
        running(SERVICE, tmp_path / "guarded", **SETTINGS, UPLOADKIT_TOKENS=json.dumps(TOKENS)) as guarded,
        Wire(guarded.port) as wire,
    ):
        enter(page, wire, "ann")
        wire.bytes_per_second = SLOW
        choose(page, text())
        paused(page, "diary.txt")
        page.evaluate("sessionStorage.clear()")  # as in another tab
        enter(page, wire, "bob")
        page.locator("#empty").wait_for()
        assert page.locator("#left").is_hidden()
        assert remembered(page) == 1
        page.evaluate("sessionStorage.clear()")
        enter(page, wire, "ann")
        wait_for(page, "diary.txt", "left")
        page.get_by_role("button", name="Forget the token").click()
        page.get_by_label("Access token").wait_for()
        assert remembered(page) == 0
        assert page.locator(".card").count() == 0
        assert staged(guarded) == []


def test_what_one_has_begun_is_not_forgotten_for_another(page: Page, text: Callable[..., Path], tmp_path: Path) -> None:
    """Who signs in after a 401 is told 404 of it: it goes on for who has begun it."""
    patched: list[Route] = []

    def refuse_third(route: Route) -> None:
        if route.request.method == "PATCH":
            patched.append(route)
        if len(patched) == 3 and route.request.method == "PATCH":
            route.fulfill(status=401, body="{}")
        else:
            route.continue_()

    with (
        running(SERVICE, tmp_path / "guarded", **SETTINGS, UPLOADKIT_TOKENS=json.dumps(TOKENS)) as guarded,
        Wire(guarded.port) as wire,
    ):
        page.route("**/tus/*", refuse_third)
        enter(page, wire, "ann")
        choose(page, text())
        sign_in(page, "bob")
        wait_for(page, "diary.txt", "completed")
        assert remembered(page) == 1
        page.evaluate("sessionStorage.clear()")
        enter(page, wire, "ann")
        left = wait_for(page, "diary.txt", "left")
        left.locator(".state", has_text="8.1 MB of 20 MB are there").wait_for()


def enter(page: Page, wire: Wire, name: str) -> None:
    page.goto(wire.url)
    sign_in(page, name)


def sign_in(page: Page, name: str) -> None:
    page.get_by_label("Access token").fill(f"{name}-token")
    page.keyboard.press("Enter")
    page.locator("#zone").wait_for()


@pytest.mark.parametrize("size", [40_000_000, pytest.param(300_000_000, marks=pytest.mark.soak)])
def test_it_outlives_the_line_the_page_and_the_service(
    page: Page, text: Callable[..., Path], tmp_path: Path, size: int
) -> None:
    """Its line is cut twice, the page is reloaded once, the service is killed by -9 once and begun again. It is the
    same file then, and nothing else is left."""
    page.set_default_timeout(200_000)
    path, served = text("film script.txt", size), Served(tmp_path)
    try:
        served.start()
        with Wire(int(served.url.rpartition(":")[2])) as wire:
            opened(page, wire)
            wire.bytes_per_second = min(size // 6, 10_000_000)
            choose(page, path)
            for since in (0.1, 0.25):
                moves(page, card(page, path.name), since=since)
                wire.cut()
                wait_for(page, path.name, "waiting")
                wire.mend()
            moves(page, card(page, path.name), since=0.4)
            page.reload()
            wait_for(page, path.name, "left")
            choose(page, path)
            moves(page, card(page, path.name), since=0.6)
            served.kill_all()
            wait_for(page, path.name, "waiting")
            served.start()
            wire.leads_to = int(served.url.rpartition(":")[2])
            wire.bytes_per_second = None
            wait_for(page, path.name, "completed")
            assert wire.passed < size * 1.5
        told = served.get("/uploads")["uploads"]
        assert [(each["status"], each["sha256"]) for each in told] == [("completed", digest(path))]
        assert remembered(page) == 0
        assert list(served.staged()) == []
    finally:
        served.close()
        wait_until_gone(served)
