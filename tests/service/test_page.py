"""The page of the service in a real browser, before a real service with its worker.

The pictures in `docs/img` are renewed by

    UPLOADKIT_PICTURES=docs/img python -m pytest tests/service/test_page.py
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageDraw
from tests.adapters.servers import Server, running, uvicorn

from . import axe
from .visiting import (
    asked,
    card,
    choose,
    eventually_in,
    focus_on,
    ledger,
    line,
    moves,
    opened,
    picture_of,
    sideways,
    slowed,
    wait_for,
)
from .wire import HEADS, Wire

if TYPE_CHECKING:
    from playwright.sync_api import FileChooser, Page, Request, Route

pytestmark = pytest.mark.needs("browser")

SERVICE = uvicorn("tests.service.whole:app", "--factory", adapter="starlette")
SETTINGS = {
    "UPLOADKIT_DATA": "data",
    "UPLOADKIT_STEPS": "tests.service.whole:slow",
    "UPLOADKIT_MAX_FILE_SIZE": "20 MB",
    "UPLOADKIT_RATE": "100000/minute",
}

TIMES = "\u00d7"
PROGRAM = b"MZ" + bytes(2000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(SERVICE, tmp_path_factory.mktemp("service"), **SETTINGS) as server:
        yield server


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another one, below `/svc`."""
    service = uvicorn("tests.service.whole:mounted", "--factory", adapter="starlette")
    with running(service, tmp_path_factory.mktemp("mounted"), **SETTINGS) as server:
        yield server


@pytest.fixture(autouse=True)
def clean(server: Server) -> Iterator[None]:
    """Each test finds an empty service."""
    yield
    (server.folder / "go").touch()
    for each in ledger(server):
        asked(server, each["status_url"], method="DELETE")
    (server.folder / "go").unlink()


@pytest.fixture
def page(page: Page) -> Page:
    page.set_default_timeout(60_000)
    page.set_viewport_size({"width": 860, "height": 760})
    return page


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    with Wire(server.port) as wire:
        yield wire


@pytest.fixture
def photo(tmp_path: Path) -> Callable[..., Path]:
    """Makes a photograph: the same one for the same seed."""

    def make(name: str, seed: int = 1, size: tuple[int, int] = (900, 600)) -> Path:
        chance = random.Random(seed)
        wide, high = size
        sky = [(40 + chance.randrange(90), 90 + chance.randrange(80), 170 + chance.randrange(60)), (255, 214, 170)]
        picture = Image.new("RGB", (1, 2))
        picture.putdata(sky)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
        draw = ImageDraw.Draw(picture)
        x, y, r = chance.randrange(wide), chance.randrange(high // 3, high // 2), high // 12
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 244, 214))
        for ridge in range(1, 5):
            waves = [(chance.uniform(0.5, 3), chance.uniform(0, 6)) for _ in range(4)]
            tops = [sum(math.sin(often * at / wide * 6.3 + shift) for often, shift in waves) for at in range(wide)]
            edge = [(at, high * (0.4 + ridge * 0.13) + top * high * 0.035) for at, top in enumerate(tops)]
            draw.polygon([(0, high), *edge, (wide, high)], fill=(20 + ridge * 9, 105 - ridge * 17, 110 - ridge * 19))
        grain = Image.frombytes("L", size, chance.randbytes(wide * high))
        picture = Image.blend(picture, grain.convert("RGB"), 0.06)
        picture.save(tmp_path / name, quality=95)
        return tmp_path / name

    return make


@pytest.fixture
def large(photo: Callable[..., Path]) -> Path:
    """A picture that needs seconds on a slow line."""
    return photo("large.png", size=(1000, 650))


def test_five_photos_are_sent_and_their_thumbnails_seen(
    page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path
) -> None:
    """Three at a time: their bars move, with speed and time left. Then each shows what was made of it."""
    opened(page, server)
    picture_of(page, "empty", tmp_path)
    session = slowed(page)
    names = ["dawn.jpg", "fjord.jpg", "harbour.jpg", "the last light over the hills.jpg", "valley.jpg"]
    choose(page, *(photo(name, number) for number, name in enumerate(names)))
    first = card(page, names[0])
    then = moves(page, first)
    assert moves(page, first, since=then) > then
    assert page.locator('.card[data-status="sending"]').count() == 3
    page.wait_for_function("() => document.querySelector('.state').textContent.includes(' left')")
    assert re.fullmatch(r"[\d.]+ kB of \d+ kB · \d+ kB/s · \d+ s left", first.locator(".state").inner_text())
    assert page.locator("#sum").inner_text().startswith("0 of 5 done")
    picture_of(page, "sending", tmp_path)
    line(session, -1)
    for name in names:
        done = wait_for(page, name, "completed")
        assert done.locator(".state").inner_text().endswith(f"JPEG · 900 {TIMES} 600")
        done.scroll_into_view_if_needed()
        shown = done.locator('.thumb img[src*="/files/"]')
        page.wait_for_function("image => image.naturalWidth === 200", arg=shown.element_handle())
    picture_of(page, "done", tmp_path)
    page.emulate_media(color_scheme="dark")
    picture_of(page, "done-dark", tmp_path)
    assert page.locator("#sum").inner_text() == "5 of 5 done"
    assert sorted(each["filename"] for each in ledger(server)) == names


def test_the_details_of_an_upload_unfold(
    page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path
) -> None:
    """With links to all that was made of it, which hold for who opens them."""
    opened(page, server)
    page.get_by_text("Tags and priority").click()
    page.get_by_label("Tags").fill("sea, year=2026")
    choose(page, photo("harbour.jpg"))
    done = wait_for(page, "harbour.jpg", "completed")
    more = done.get_by_role("button", name="Details of harbour.jpg")
    assert more.get_attribute("aria-expanded") == "false"
    more.click()
    assert more.get_attribute("aria-expanded") == "true"
    about = done.locator(".about")
    (known,) = ledger(server)
    told = dict(zip(about.locator("dt").all_inner_texts(), about.locator("dd").all_inner_texts(), strict=True))
    assert told["SHA-256"] == known["sha256"]
    assert told["Tags"] == "sea, year=2026"
    assert (told["Type"], told["Dimensions"]) == ("image/jpeg", f"900 {TIMES} 600 pixels")
    links = about.get_by_role("link")
    assert links.all_inner_texts() == ["As it was sent", "Thumbnail", "Medium", "Large", "Original size, written anew"]
    picture_of(page, "details", tmp_path)
    for link in links.all():
        answer = page.request.get(link.evaluate("link => link.href"))
        assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    more.click()
    assert about.is_hidden()


def test_a_cut_line_is_told_of_and_sent_again(
    page: Page, server: Server, wire: Wire, large: Path, tmp_path: Path
) -> None:
    """By itself, once the line is there again: the service has it once."""
    opened(page, wire)
    session = slowed(page)
    choose(page, large)
    sending = card(page, "large.png")
    moves(page, sending, since=0.1)
    wire.cut()
    page.locator('.card[data-tone="wait"]').wait_for()
    assert sending.locator(".why").inner_text().startswith("The connection was lost after ")
    assert re.fullmatch(
        r"The connection was lost. It goes on by itself in \d+ s.", page.locator("#hold span").inner_text()
    )
    picture_of(page, "cut", tmp_path)
    line(session, -1)
    wire.mend()
    wait_for(page, "large.png", "completed")
    assert page.locator("#hold").is_hidden()
    assert [each["filename"] for each in ledger(server, "completed", "processing", "staged")] == ["large.png"]


def test_an_answer_that_is_lost_leaves_one_upload(
    page: Page, server: Server, wire: Wire, photo: Callable[..., Path]
) -> None:
    """The service has taken it, and its answer was cut off. The browser sends it again by itself, on other connections,
    and loses those answers too. Then the page asks what came of it, and sends nothing again.

    It knows that all had gone out: where the line is lost in the same moment a browser may not come to say so. The page
    sends the file again then, with the same key.
    """
    opened(page, wire)
    path = photo("once.jpg")
    wire.loses_answers = True
    wire.may_lose.clear()
    choose(page, path)
    card(page, "once.jpg").get_by_text("waiting for the answer").wait_for()
    wire.may_lose.set()
    page.locator('.card[data-tone="wait"]').wait_for()
    wire.loses_answers, before = False, wire.passed
    wait_for(page, "once.jpg", "completed")
    assert len(ledger(server)) == 1
    assert wire.passed - before < path.stat().st_size


def test_a_browser_without_a_network_goes_on_when_there_is_one(
    page: Page, server: Server, photo: Callable[..., Path]
) -> None:
    opened(page, server)
    page.context.set_offline(True)
    choose(page, photo("later.jpg"))
    page.locator("#hold").wait_for()
    assert page.locator("#hold span").inner_text().startswith("This device went offline.")
    page.context.set_offline(False)
    wait_for(page, "later.jpg", "completed")
    assert len(ledger(server, "completed")) == 1


def test_a_refused_type_shows_its_reason(page: Page, server: Server, tmp_path: Path) -> None:
    """As the service tells it, and what may be done; nothing is left of it."""
    opened(page, server)
    (tmp_path / "setup.exe").write_bytes(PROGRAM)
    choose(page, tmp_path / "setup.exe")
    refused = wait_for(page, "setup.exe", "refused")
    assert "application/vnd.microsoft.portable-executable" in refused.locator(".why").inner_text()
    assert refused.locator(".why").inner_text().endswith("Send a file of another type.")
    said = page.locator("#said")
    page.wait_for_function(
        "() => document.querySelector('#said').textContent.includes('setup.exe refused: This file is')"
    )
    assert said.get_attribute("role") == "status"
    picture_of(page, "refused", tmp_path)
    refused.get_by_role("button", name="Remove setup.exe").click()
    assert page.locator(".card").count() == 0
    assert ledger(server, "staged", "processing", "completed") == []


def posted(page: Page) -> list[str]:
    """The addresses that it sends something to from now on."""
    addresses: list[str] = []

    def note(request: Request) -> None:
        if request.method != "GET":
            addresses.append(request.url)

    page.on("request", note)
    return addresses


def test_a_large_file_of_an_unlikely_type_is_sent_when_somebody_says_so(
    page: Page, server: Server, wire: Wire, tmp_path: Path
) -> None:
    """A browser would send all of it before it reads that it is refused. What counts is what the service says."""
    opened(page, wire)
    before, posts = wire.passed, posted(page)
    (tmp_path / "setup.exe").write_bytes(PROGRAM + bytes(1_500_000))
    choose(page, tmp_path / "setup.exe")
    doubted = wait_for(page, "setup.exe", "doubted")
    why = "Files of the type .exe are not taken here. You may send it all the same."
    assert doubted.locator(".why").inner_text() == why
    assert posts == []
    assert wire.passed - before < HEADS
    doubted.get_by_role("button", name="Send anyway setup.exe").click()
    refused = wait_for(page, "setup.exe", "refused")
    assert "portable-executable" in refused.locator(".why").inner_text()


def test_a_file_that_is_too_large_is_not_sent(page: Page, server: Server, wire: Wire, tmp_path: Path) -> None:
    opened(page, wire)
    before, posts = wire.passed, posted(page)
    (tmp_path / "film.mp4").write_bytes(bytes(20_000_001))
    choose(page, tmp_path / "film.mp4")
    refused = wait_for(page, "film.mp4", "refused")
    assert refused.locator(".why").inner_text() == "The file has 20 MB, of 20 MB at most. Send a smaller file."
    assert posts == []
    assert wire.passed - before < HEADS
    assert "20 MB a file at most." in page.locator("#allowed").inner_text()


def test_a_cancelled_upload_leaves_nothing(page: Page, server: Server, large: Path) -> None:
    """Neither a record of something, nor a byte; and it can be sent after all."""
    opened(page, server)
    session = slowed(page)
    choose(page, large)
    moves(page, card(page, "large.png"))
    page.get_by_role("button", name="Cancel large.png").click()
    cancelled = wait_for(page, "large.png", "cancelled")
    assert ledger(server, "receiving", "staged", "processing", "completed") == []
    assert [path for path in (server.folder / "data" / "staging").rglob("*") if path.is_file()] == []
    line(session, -1)
    cancelled.get_by_role("button", name="Retry large.png").click()
    wait_for(page, "large.png", "completed")
    assert len(ledger(server, "completed")) == 1


def test_an_upload_that_is_cancelled_after_its_answer_was_lost_leaves_nothing(
    page: Page, server: Server, wire: Wire, photo: Callable[..., Path]
) -> None:
    """The service had taken it: it is found by its key, and deleted."""
    opened(page, wire)
    page.evaluate("Math.random = () => 1")  # the longest wait
    wire.loses_answers = True
    wire.may_lose.clear()
    choose(page, photo("regretted.jpg"))
    card(page, "regretted.jpg").get_by_text("waiting for the answer").wait_for()
    wire.may_lose.set()
    page.locator('.card[data-tone="wait"]').wait_for()
    wire.loses_answers = False
    page.get_by_role("button", name="Cancel regretted.jpg").click()
    wait_for(page, "regretted.jpg", "cancelled")
    assert ledger(server, "staged", "processing", "completed") == []
    assert len(ledger(server, "deleted")) >= 1


def test_an_upload_is_deleted_after_a_question(
    page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path
) -> None:
    """With all that was made of it. The focus goes to the next one."""
    opened(page, server)
    choose(page, photo("a.jpg", 1), photo("b.jpg", 2))
    wait_for(page, "a.jpg", "completed")
    wait_for(page, "b.jpg", "completed")
    delete = page.get_by_role("button", name="Delete a.jpg")
    delete.click()
    dialog = page.get_by_role("dialog", name="Delete this upload?")
    assert dialog.locator("#sure-what").inner_text() == "a.jpg, and 4 pictures made of it, will be gone for good."
    picture_of(page, "delete", tmp_path)
    dialog.get_by_role("button", name="Keep it").click()
    assert delete.evaluate("button => button === document.activeElement")
    delete.click()
    dialog.get_by_role("button", name="Delete").click()
    card(page, "a.jpg").wait_for(state="detached")
    assert page.locator("#said").inner_text() == "a.jpg is deleted."
    assert card(page, "b.jpg").evaluate("card => card.contains(document.activeElement)")
    assert [each["filename"] for each in ledger(server)] == ["b.jpg"]


def test_what_was_uploaded_before_is_listed(page: Page, server: Server, photo: Callable[..., Path]) -> None:
    """The newest first, and more of it on demand, with its thumbnails."""
    opened(page, server)
    choose(page, *(photo(f"{number}.jpg", number, (60, 40)) for number in range(23)))
    page.wait_for_function("() => document.querySelectorAll('.card[data-mood=good]').length === 23", timeout=90_000)
    page.reload()
    page.locator("#earlier .card").nth(19).wait_for()
    assert page.locator("#earlier .card").count() == 20
    page.get_by_role("button", name="Show more").click()
    page.locator("#earlier .card").nth(22).wait_for()
    assert page.get_by_role("button", name="Show more").is_hidden()
    names = page.locator("#earlier .name").all_inner_texts()
    assert sorted(names) == sorted(f"{number}.jpg" for number in range(23))
    assert page.locator("#earlier .card").nth(20).evaluate("card => card.contains(document.activeElement)")
    shown = page.locator("#earlier .card .thumb img").first
    page.wait_for_function("image => image.naturalWidth > 0", arg=shown.element_handle())


def test_names_are_shown_as_text(page: Page, server: Server, photo: Callable[..., Path]) -> None:
    """Whatever they are made of, before and after the service has seen them."""
    name = "<img src=x onerror=alert(1)>.png"
    opened(page, server)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    choose(page, photo(name), photo("photo\u202egpj.png", 2))
    wait_for(page, name, "completed")
    assert page.locator(".name img").count() == 0
    assert page.locator(".name").all_inner_texts() == [name, "photo\ufffdgpj.png"]
    page.reload()
    page.locator("#earlier .card").nth(1).wait_for()
    assert page.locator(".name img").count() == 0
    assert all("img src=x onerror" in text or "gpj" in text for text in page.locator(".name").all_inner_texts())


def test_what_becomes_of_an_upload_is_seen_as_it_happens(
    page: Page, server: Server, wire: Wire, tmp_path: Path
) -> None:
    """By events, which go on after the line was cut."""
    opened(page, wire)
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    streams: list[str | None] = []

    def note(request: Request) -> None:
        if _is_stream(request.url):
            streams.append(request.headers.get("last-event-id"))

    page.on("request", note)
    choose(page, tmp_path / "rows.csv")
    table = wait_for(page, "rows.csv", "processing")
    state = table.locator(".state")
    page.wait_for_function("state => state.textContent.endsWith('reading the rows')", arg=state.element_handle())
    assert re.fullmatch(r"Processing · \d+ % · reading the rows", state.inner_text())
    wire.cut()
    wire.mend()
    eventually_in(page, lambda: len(streams) >= 2)
    assert streams[0] is None
    assert streams[-1]  # what was seen is not told again
    (server.folder / "go").touch()
    wait_for(page, "rows.csv", "completed")


def test_where_events_do_not_come_through_it_is_asked(page: Page, server: Server, photo: Callable[..., Path]) -> None:
    page.route("**/events", lambda route: route.fulfill(status=502, body="no"))
    opened(page, server)
    choose(page, *(photo(f"{number}.jpg", number, (60, 40)) for number in range(4)))
    for number in range(4):
        wait_for(page, f"{number}.jpg", "completed")


def test_many_that_are_worked_on_are_asked_for_together(page: Page, server: Server, tmp_path: Path) -> None:
    """Two have a stream each, so that there are connections left for what is sent."""
    opened(page, server)
    calls: list[str] = []
    page.on("request", lambda request: calls.append(request.url))
    for number in range(6):
        (tmp_path / f"{number}.csv").write_text("a,b\n1,2\n")
    choose(page, *(tmp_path / f"{number}.csv" for number in range(6)))
    page.wait_for_function(
        "() => document.querySelectorAll('.card[data-status=staged], .card[data-status=processing]').length === 6"
    )
    eventually_in(page, lambda: any(url.endswith("?limit=100") for url in calls))
    assert sum(_is_stream(url) for url in calls) == 2
    (server.folder / "go").touch()
    for number in range(6):
        wait_for(page, f"{number}.csv", "completed")


def test_the_page_works_below_a_prefix(page: Page, server: Server, photo: Callable[..., Path]) -> None:
    """Which a proxy takes off."""
    here = f"http://127.0.0.1:{server.port}/"
    page.route("**/*", lambda route: route.abort())
    page.route(f"{here}inbox/**", lambda route: route.continue_(url=route.request.url.replace("/inbox/", "/")))
    page.goto(f"{here}inbox/")
    choose(page, photo("below.jpg"))
    shown = wait_for(page, "below.jpg", "completed").locator(".thumb img[src*='/inbox/files/']")
    page.wait_for_function("image => image.naturalWidth === 200", arg=shown.element_handle())


@pytest.mark.parametrize("prefix", ["", "/inbox", "/svc"])
def test_the_page_works_where_an_application_mounts_the_service(
    page: Page, mounted: Server, photo: Callable[..., Path], prefix: str
) -> None:
    """Behind a proxy too, which takes off a prefix that nobody tells the application: be that the same."""
    here = f"http://127.0.0.1:{mounted.port}"
    if prefix:
        page.route("**/*", lambda route: route.abort())
        page.route(
            f"{here}{prefix}/**",
            lambda route: route.continue_(url=route.request.url.replace(f"{here}{prefix}/", f"{here}/")),
        )
    page.goto(f"{here}{prefix}/svc/")
    choose(page, photo(f"mounted {len(prefix)}.jpg", seed=len(prefix)))
    shown = wait_for(page, f"mounted {len(prefix)}.jpg", "completed")
    thumbnail = shown.locator(f".thumb img[src^='{here}{prefix}/svc/files/']")
    page.wait_for_function("image => image.naturalWidth === 200", arg=thumbnail.element_handle())


def test_who_is_asked_to_wait_waits(page: Page, server: Server, photo: Callable[..., Path]) -> None:
    """As long as Retry-After says; others are not begun meanwhile."""
    opened(page, server)
    refusals = 0

    def refuse_one(route: Route) -> None:
        nonlocal refusals
        if route.request.method != "POST" or refusals:
            route.fallback()
            return
        refusals += 1
        problem = json.dumps({"status": 429, "code": "too_many_requests", "detail": "too many requests"})
        route.fulfill(status=429, headers={"Retry-After": "120"}, content_type="application/problem+json", body=problem)

    page.route("**/uploads", refuse_one)
    choose(page, photo("patient.jpg"))
    page.locator("#hold").wait_for()
    assert page.locator("#hold span").inner_text() == "Too many requests. It goes on by itself in 2 min."
    page.get_by_role("button", name="Try now").click()
    wait_for(page, "patient.jpg", "completed")


def test_the_page_is_used_by_keyboard_alone(page: Page, server: Server, photo: Callable[..., Path]) -> None:
    """Each step by Tab, Enter and Space, with a focus that can be seen."""
    choosers: list[FileChooser] = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))  # before it is needed: it takes effect later
    opened(page, server)
    focus_on(page, "Choose files")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for key, name in (("Space", "by foot.jpg"), ("Enter", "by hand.jpg")):
        page.keyboard.press(key)
        eventually_in(page, lambda: choosers)
        choosers.pop().set_files(str(photo(name)))
        wait_for(page, name, "completed")
    focus_on(page, "Details of by hand.jpg")
    page.keyboard.press("Enter")
    assert page.locator(".about:visible").count() == 1
    focus_on(page, "Delete by hand.jpg")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "Keep it"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Delete by hand.jpg"
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    card(page, "by hand.jpg").wait_for(state="detached")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Details of by foot.jpg"
    assert [each["filename"] for each in ledger(server)] == ["by foot.jpg"]


def test_files_are_dropped_with_their_folders(
    page: Page, server: Server, tmp_path: Path, photo: Callable[..., Path]
) -> None:
    """Anywhere on the page; files that a system hides are left out."""
    folder = tmp_path / "holidays"
    (folder / "sea").mkdir(parents=True)
    photo("wave.jpg").rename(folder / "sea" / "wave.jpg")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "notes.txt").write_text("It was windy.")
    opened(page, server)
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    session.send("Input.dispatchDragEvent", {"type": "dragEnter", "x": 500, "y": 700, "data": data})
    session.send("Input.dispatchDragEvent", {"type": "dragOver", "x": 500, "y": 700, "data": data})
    page.locator("#zone.over").wait_for()
    picture_of(page, "drop", tmp_path)
    session.send("Input.dispatchDragEvent", {"type": "drop", "x": 500, "y": 700, "data": data})
    wave = wait_for(page, "wave.jpg", "completed")
    assert wave.locator(".folder").inner_text() == "holidays/sea"
    wait_for(page, "notes.txt", "completed")
    assert page.locator(".card").count() == 2
    assert page.locator("#zone.over").count() == 0


def test_a_picture_is_pasted(page: Page, server: Server) -> None:
    opened(page, server)
    page.evaluate("""async () => {
        const canvas = new OffscreenCanvas(30, 20);
        canvas.getContext("2d").fillRect(0, 0, 9, 9);
        const data = new DataTransfer();
        data.items.add(new File([await canvas.convertToBlob()], "image.png", {type: "image/png"}));
        dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, cancelable: true}));
    }""")
    assert wait_for(page, "image.png", "completed").locator(".state").inner_text().endswith(f"PNG · 30 {TIMES} 20")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that knows two tokens."""
    tokens = [
        {"owner": name, "sha256": hashlib.sha256(f"{name}-token".encode()).hexdigest()} for name in ("ann", "bob")
    ]
    settings = SETTINGS | {"UPLOADKIT_TOKENS": json.dumps(tokens)}
    with running(SERVICE, tmp_path_factory.mktemp("guarded"), **settings) as server:
        yield server


def test_who_has_to_say_who_he_is_is_asked(
    page: Page, guarded: Server, photo: Callable[..., Path], tmp_path: Path
) -> None:
    """Once for a tab. Until then, and when the token is forgotten, there is nothing to see of anybody's uploads."""
    page.goto(f"http://127.0.0.1:{guarded.port}/")
    token = page.get_by_label("Access token")
    token.wait_for()
    picture_of(page, "token", tmp_path)
    assert token.evaluate("input => input === document.activeElement")
    assert page.locator("#zone").is_hidden()
    token.fill("nobody's")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("That token is not valid").wait_for()
    assert token.get_attribute("aria-invalid") == "true"
    token.fill("ann-token")
    page.get_by_role("button", name="Go on").click()
    page.locator("#zone").wait_for()
    choose(page, photo("of ann.jpg"))
    done = wait_for(page, "of ann.jpg", "completed")
    thumbnail = done.locator(".thumb img[src*='/files/']")
    page.wait_for_function("image => image.naturalWidth === 200", arg=thumbnail.element_handle())
    page.reload()
    card(page, "of ann.jpg").wait_for()
    page.get_by_role("button", name="Forget the token").click()
    token.wait_for()
    assert page.locator(".card").count() == 0
    assert page.evaluate("sessionStorage.length") == 0
    token.fill("bob-token")
    page.keyboard.press("Enter")
    page.locator("#empty").wait_for()
    assert page.locator(".card").count() == 0


def test_a_token_that_ends_meanwhile_is_asked_for_and_all_goes_on(
    page: Page, guarded: Server, photo: Callable[..., Path]
) -> None:
    """What waits is sent when there is a token again."""
    page.goto(f"http://127.0.0.1:{guarded.port}/")
    page.get_by_label("Access token").fill("ann-token")
    page.keyboard.press("Enter")
    page.locator("#zone").wait_for()
    page.evaluate("import('/page/service.js').then(service => { service.access.token = 'over'; })")
    choose(page, photo("meanwhile.jpg"))
    page.get_by_label("Access token").wait_for()
    assert card(page, "meanwhile.jpg").get_attribute("data-status") == "waiting"
    page.get_by_label("Access token").fill("ann-token")
    page.keyboard.press("Enter")
    wait_for(page, "meanwhile.jpg", "completed")


@pytest.mark.needs("axe")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_from_using_it(
    page: Page, server: Server, wire: Wire, photo: Callable[..., Path], tmp_path: Path, scheme: Any
) -> None:
    """Names, roles, contrast, order: axe-core finds nothing in any state, in light and dark."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    opened(page, wire)
    assert axe.found(page) == []
    session = slowed(page, bytes_per_second=60_000)
    (tmp_path / "setup.exe").write_bytes(PROGRAM)
    choose(page, tmp_path / "setup.exe", *(photo(f"{number}.jpg", number) for number in range(9)))
    wait_for(page, "setup.exe", "refused")
    moves(page, card(page, "0.jpg"))
    assert axe.found(page) == []
    wire.cut()
    page.locator("#hold").wait_for()
    assert axe.found(page) == []
    line(session, -1)
    wire.mend()
    page.get_by_role("button", name="Try now").click()
    wait_for(page, "8.jpg", "completed")
    page.get_by_role("button", name="Details of 0.jpg").click()
    page.get_by_text("Tags and priority").click()
    assert axe.found(page) == []
    page.get_by_role("button", name="Delete 0.jpg").click()
    assert axe.found(page) == []


def test_a_phone_has_all_of_it(page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path) -> None:
    """In the dark, as well."""
    page.set_viewport_size({"width": 375, "height": 720})
    page.emulate_media(color_scheme="dark")
    opened(page, server)
    (tmp_path / "setup.exe").write_bytes(PROGRAM)
    choose(page, photo("dawn.jpg", 0), photo("fjord.jpg", 1), tmp_path / "setup.exe")
    wait_for(page, "dawn.jpg", "completed")
    wait_for(page, "fjord.jpg", "completed")
    wait_for(page, "setup.exe", "refused")
    page.get_by_role("button", name="Details of dawn.jpg").click()
    picture_of(page, "phone", tmp_path)


@pytest.mark.parametrize("width", [320, 375])
def test_a_narrow_screen_shows_all_of_it(
    page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path, width: int
) -> None:
    """Nothing is scrolled sideways."""
    page.set_viewport_size({"width": width, "height": 760})
    opened(page, server)
    assert sideways(page) == 0
    (tmp_path / "setup.exe").write_bytes(PROGRAM)
    choose(page, photo(f"{'a_name_without_a_space_' * 6}.jpg"), tmp_path / "setup.exe")
    page.locator('.card[data-status="completed"]').wait_for()
    wait_for(page, "setup.exe", "refused")
    page.get_by_role("button", name="Details of").click()
    assert sideways(page) == 0
    page.get_by_text("Tags and priority").click()
    assert sideways(page) == 0


def test_five_hundred_files_stay_usable(page: Page, server: Server) -> None:
    """They are added in a moment, and found by what is wrong with them."""
    page.route("**/uploads", lambda route: route.abort() if route.request.method == "POST" else route.fallback())
    opened(page, server)
    page.evaluate("""() => {
        const data = new DataTransfer();
        for (let number = 0; number < 500; number += 1) data.items.add(new File(["x"], `${number}.txt`));
        data.items.add(new File([new Uint8Array(21e6)], "film.mp4"));
        dispatchEvent(new DragEvent("drop", {dataTransfer: data, cancelable: true}));
    }""")
    page.locator(".card").nth(500).wait_for(state="attached")
    assert page.locator("#filter").is_visible()
    page.locator("#filter").get_by_text("With problems").click()
    assert page.locator(".card:visible .name").all_inner_texts() == ["film.mp4"]
    page.locator("#filter").get_by_text("All").click()
    page.get_by_role("button", name="Cancel all").click()
    page.wait_for_function("() => document.querySelectorAll('.card[data-status=cancelled]').length === 500")
    page.get_by_role("button", name="Clear the list").click()
    assert page.locator(".card").count() == 0


def _is_stream(url: str) -> bool:
    return url.endswith("/events")
