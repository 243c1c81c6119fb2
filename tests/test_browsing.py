"""The browser of the tests opens pages, stays on this machine, and leaves other tests their event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from tests.browsing import blank_page, opened

pytestmark = pytest.mark.needs("browser")

PAGE = b"""<!doctype html><title>Here</title><img id=there src="http://192.0.2.1/there.png">
<script>document.title += location.hash.slice(1)</script>"""


@pytest.fixture
def address() -> Iterator[str]:
    """Of a server that answers everything with `PAGE`."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_page_is_opened_with_its_scripts_and_nothing_from_elsewhere(address: str) -> None:
    """What lies on another machine is refused at once, without a wait for it. When the browser is closed, the thread
    may run a loop again."""
    refused: list[str] = []
    with opened() as browser, blank_page(browser) as page:
        page.on("requestfailed", lambda request: refused.append(request.url))
        page.goto(f"{address}#!")
        assert page.title() == "Here!"
    assert refused == ["http://192.0.2.1/there.png"]
    asyncio.run(asyncio.sleep(0))


def test_a_script_that_fails_fails_the_test(address: str) -> None:
    """Its message is what the test fails with."""

    def failing() -> None:
        with opened() as browser, blank_page(browser) as page:
            page.goto(address)
            page.evaluate("setTimeout(() => nowhere(), 0)")
            page.wait_for_event("pageerror")

    with pytest.raises(AssertionError, match="nowhere is not defined"):
        failing()
