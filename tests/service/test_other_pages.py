"""What a page of somebody else's can do to a service, in a real browser that shows both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from tests.browsing import executable

from uploadkit.processing.pipeline import Pipeline

from .listening import app_of, listening
from .test_callers import rule

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.needs("browser")


@dataclass(frozen=True)
class Listening:
    """A service that listens, and what it has."""

    port: int
    pipeline: Pipeline


Listen: TypeAlias = Callable[..., Listening]


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Listen]:
    with ExitStack() as stack:

        def start(**settings: Any) -> Listening:
            app = app_of(tmp_path, **settings)
            return Listening(stack.enter_context(listening(app)).port, app.state.parts.pipeline)

        yield start


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of another server, which shows an empty page."""
    with _pages() as port:
        yield port


@contextmanager
def _pages() -> Iterator[int]:
    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "24")
            self.end_headers()
            self.wfile.write(b"<!doctype html><p>evil</")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)


SENDS_A_FORM = """url => {
    const form = Object.assign(document.createElement('form'), {method: 'post', action: url})
    form.enctype = 'multipart/form-data'
    const input = Object.assign(document.createElement('input'), {type: 'file', name: 'f'})
    const files = new DataTransfer()
    files.items.add(new File(['evil'], '1.txt', {type: 'text/plain'}))
    input.files = files.files
    form.append(input)
    document.body.append(form)
    form.submit()
}"""

SENDS_BLINDLY = """async url => {
    const form = new FormData()
    form.append('f', new File(['evil'], '1.txt', {type: 'text/plain'}))
    return fetch(url, {method: 'POST', mode: 'no-cors', body: form}).then(answer => answer.type, error => error.name)
}"""

READS = "url => fetch(url).then(answer => answer.text(), error => error.name)"

UPLOADS = """async ([url, token]) => {
    const form = new FormData()
    form.append('f', new File(['good'], '1.txt', {type: 'text/plain'}))
    const headers = {'Authorization': `Bearer ${token}`, 'Idempotency-Key': 'k'}
    const answer = await fetch(url, {method: 'POST', headers, body: form}).catch(error => error)
    return answer instanceof Error ? answer.name : [answer.status, await answer.json()]
}"""

NAMES = ["127.0.0.1", "localhost"]
"""Of the page: of another port alone it is of the same site, of another name it is not."""


@pytest.mark.parametrize("name", NAMES)
def test_a_page_of_another_origin_uploads_nothing(page: Page, listen: Listen, elsewhere: int, name: str) -> None:
    """Neither by a form, which a browser sends without asking, nor by a request whose answer it may not see."""
    service = listen()
    url = f"http://127.0.0.1:{service.port}/uploads"
    page.goto(f"http://{name}:{elsewhere}/")
    assert page.evaluate(SENDS_BLINDLY, url) == "TypeError"
    with page.expect_navigation(url=url) as navigation:
        page.evaluate(SENDS_A_FORM, url)
    assert navigation.value is not None
    assert (navigation.value.status, navigation.value.json()["code"]) == (403, "wrong_origin")
    assert service.pipeline.ledger.find() == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_of_another_origin_reads_nothing(page: Page, listen: Listen, elsewhere: int, name: str) -> None:
    service = listen()
    page.goto(f"http://{name}:{elsewhere}/")
    for path in ("/uploads", "/healthz", "/metrics"):
        assert page.evaluate(READS, f"http://127.0.0.1:{service.port}{path}") == "TypeError"


def test_a_page_whose_name_leads_here_does_nothing(browser: Browser, listen: Listen) -> None:
    """To the browser it is of the service's own origin. To the service it is another one's."""
    service = listen()
    rebound = ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP evil.example 127.0.0.1"]
    with browser.browser_type.launch(executable_path=executable(), args=rebound) as other:
        page = other.new_page()
        answer = page.goto(f"http://evil.example:{service.port}/uploads")
        assert answer is not None
        assert (answer.status, answer.json()["code"]) == (421, "wrong_host")
        with page.expect_navigation() as navigation:
            page.evaluate(SENDS_A_FORM, f"http://evil.example:{service.port}/uploads")
        assert navigation.value is not None
        assert navigation.value.status == 421
    assert service.pipeline.ledger.find() == []


def test_a_page_whose_origin_is_named_uploads_with_its_token(page: Page, listen: Listen, elsewhere: int) -> None:
    """It asks before it sends, and may read what it is answered. A page of another name may not."""
    service = listen(cors_origins=(f"http://localhost:{elsewhere}",), tokens=(rule("anns"),))
    url = f"http://127.0.0.1:{service.port}/uploads"
    page.goto(f"http://127.0.0.1:{elsewhere}/")
    assert page.evaluate(UPLOADS, [url, "anns"]) == "TypeError"
    page.goto(f"http://localhost:{elsewhere}/")
    status, told = page.evaluate(UPLOADS, [url, "anns"])
    assert (status, told["total"]) == (202, 1)
    status, told = page.evaluate(UPLOADS, [url, "bobs"])
    assert (status, told["code"]) == (401, "unauthenticated")
    assert [record.owner for record in service.pipeline.ledger.find()] == ["ann"]
