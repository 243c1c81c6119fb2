"""What clients of the IETF's draft do with the example: tus-js-client in a real browser, and curl as a reader types it,
against uvicorn."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.adapters.servers import Server, eventually, running, uvicorn
from tests.browsing import browser as browser
from tests.browsing import page as page
from tests.docs.documents import DOCS, ROOT, blocks
from tests.docs.pasted import paste, servers_of, started
from tests.examples import tus_js

from uploadkit.testing import sample

if TYPE_CHECKING:
    from playwright.sync_api import Page

FILM = sample("video/mp4", size=300_000)
EXAMPLES = ROOT / "examples"
PAGE = DOCS / "how-to" / "resumable-ietf.md"
PARTIAL = "Content-Type: application/partial-upload"

PROTOCOLS = ["ietf-draft-03", "ietf-draft-05", "tus-v1"]
"""All that tus-js-client speaks: interop versions 5 and 6, and tus."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    kind = uvicorn("resumable_ietf:app", "--app-dir", f"{EXAMPLES}", adapter="fastapi")
    with running(kind, tmp_path_factory.mktemp("films")) as server:
        yield server
        assert server.complaints() == []


@pytest.fixture(autouse=True)
def nothing_left(server: Server) -> Iterator[None]:
    """Every test ends with nothing in staging, and clears what it has stored."""
    yield
    left = server.staged()
    server.clear()
    assert left == []


@pytest.fixture
def tus_page(page: Page, server: Server) -> Page:
    """A page of the same origin, with the client and a film."""
    page.set_default_timeout(20_000)
    page.goto(f"http://127.0.0.1:{server.port}/openapi.json")
    page.add_script_tag(path=tus_js.script())
    page.add_script_tag(content=_DRIVER)
    page.evaluate("data => keep(data)", b64encode(FILM).decode())
    return page


# `send` uploads the film, or other text; it stops itself after so many chunks, and goes on where `url` is. What comes
# out is told when it has ended.
_DRIVER = """
let film;
async function keep(data) { film = await (await fetch(`data:video/mp4;base64,${data}`)).blob(); }
function send({ text, stopAfter, url, terminate, ...options }) {
    const body = text === undefined ? film : new Blob([text], { type: "video/mp4" });
    const told = { requests: [], progress: [], chunks: [] };
    return new Promise((resolve) => {
        const end = (more) => resolve({ ...told, url: upload.url, ...more });
        const upload = new tus.Upload(body, {
            endpoint: "/films/", uploadUrl: url, retryDelays: null, metadata: { filename: "film.mp4" },
            storeFingerprintForResuming: false,
            onAfterResponse: (req, res) => told.requests.push([req.getMethod(), res.getStatus()]),
            onProgress: (sent) => told.progress.push(sent),
            onChunkComplete: (_, sent) => {
                told.chunks.push(sent);
                if (told.chunks.length === stopAfter) { upload.abort(terminate).then(() => end({ stopped: true })); }
            },
            onSuccess: ({ lastResponse }) => end({ body: lastResponse.getBody() }),
            onError: (error) => end({
                error: `${error}`, status: error.originalResponse?.getStatus(), body: error.originalResponse?.getBody(),
            }),
            ...options,
        });
        upload.start();
    });
}
"""

in_a_browser = pytest.mark.needs("browser", "tus-js-client")


def send(page: Page, **options: Any) -> dict[str, Any]:
    told: dict[str, Any] = page.evaluate("options => send(options)", options)
    return told


def expect_film(server: Server) -> None:
    assert list(server.files().values()) == [hashlib.sha256(FILM).hexdigest()]


@in_a_browser
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("begins", ["carefully", "with bytes"])
@pytest.mark.parametrize("chunk", [None, 70_000, 100_000])
def test_tus_js_client_uploads_a_film(
    tus_page: Page, server: Server, protocol: str, begins: str, chunk: int | None
) -> None:
    """In one request, in chunks that end within it, and in chunks that end with it."""
    options: dict[str, Any] = {"chunkSize": chunk} if chunk else {}
    told = send(tus_page, protocol=protocol, uploadDataDuringCreation=begins == "with bytes", **options)
    assert "error" not in told, told
    assert told["chunks"][-1] == len(FILM)
    assert {status for _, status in told["requests"]} <= {201, 204}
    if protocol != "tus-v1":
        answer = json.loads(told["body"])
        assert (answer["name"], answer["size"]) == ("film.mp4", len(FILM))
        assert told["url"].endswith(answer["id"])
    expect_film(server)


@in_a_browser
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tus_js_client_goes_on_where_it_stopped(tus_page: Page, server: Server, protocol: str) -> None:
    """It asks how far the upload has come, and sends the rest; asked once more, it sees that all is there."""
    told = send(tus_page, protocol=protocol, chunkSize=100_000, stopAfter=1)
    assert told["stopped"], told
    told = send(tus_page, protocol=protocol, chunkSize=100_000, url=told["url"])
    assert "error" not in told, told
    assert told["requests"][0][0] == "HEAD"
    assert told["chunks"] == [200_000, 300_000]
    told = send(tus_page, protocol=protocol, url=told["url"])
    assert [method for method, _ in told["requests"]] == ["HEAD"]
    assert "error" not in told, told
    expect_film(server)


@in_a_browser
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tus_js_client_gives_an_upload_up(tus_page: Page, server: Server, protocol: str) -> None:
    """Nothing is left of it."""
    told = send(tus_page, protocol=protocol, chunkSize=100_000, stopAfter=1, terminate=True)
    assert told["requests"][-1] == ["DELETE", 204]
    assert server.files() == {}


@in_a_browser
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tus_js_client_is_told_that_a_film_is_none(tus_page: Page, server: Server, protocol: str) -> None:
    """The verdict, as problem details."""
    told = send(tus_page, protocol=protocol, text="no film " * 1000)
    assert told["status"] == 415
    assert json.loads(told["body"])["code"] == "file_refused"
    assert server.files() == {}


@in_a_browser
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tus_js_client_uploads_a_stream(tus_page: Page, server: Server, protocol: str) -> None:
    """Its length is known with its last chunk, which here ends with a chunk's size, and is followed by nothing."""
    script = """options => { const whole = film; film = whole.stream().getReader();
                 return send(options).finally(() => { film = whole; }); }"""
    for size in (70_000, 100_000):
        told = tus_page.evaluate(script, {"protocol": protocol, "uploadLengthDeferred": True, "chunkSize": size})
        assert "error" not in told, told
        assert told["chunks"][-1] == len(FILM)
    assert set(server.files().values()) == {hashlib.sha256(FILM).hexdigest()}
    assert len(server.files()) == 2


def curl(server: Server, path: str, *options: str, body: bytes | None = None) -> tuple[int, dict[str, str], str]:
    """The status, the headers by their names in lower case, and the body."""
    sent = [] if body is None else ["--data-binary", "@-"]
    url = f"http://127.0.0.1:{server.port}{path}"
    command = ["curl", "--silent", "--show-error", "--include", "--max-time", "20", *options, *sent, url]
    answer = subprocess.run(command, input=body or b"", capture_output=True, check=True).stdout.decode()
    head, _, rest = answer.partition("\r\n\r\n")
    while head.startswith("HTTP/1.1 100"):
        head, _, rest = rest.partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(status.split()[1]), {name.lower(): value for name, value in headers.items()}, rest


def test_the_page_shows_the_example() -> None:
    """Nothing is typed twice that could differ."""
    [shown] = blocks(PAGE.read_text("utf-8"), "python")
    assert shown.code in (EXAMPLES / "resumable_ietf.py").read_text("utf-8")


@pytest.mark.needs("curl")
def test_the_page_as_it_is_pasted(tmp_path: Path) -> None:
    """From itself alone: its file and the reader's own film in a folder, its server by its command, and line by line
    into a shell; the answers are those that it shows."""
    (tmp_path / "own.mp4").write_bytes(sample("video/mp4", size=400_000))
    text = PAGE.read_text("utf-8")
    paste(text, tmp_path)
    [command] = servers_of(text)
    script = "".join(block.code for block in blocks(text, "sh")).replace("$(curl -si", "$(curl -si -D first")
    with started(command, tmp_path) as port:
        script = script.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        seen = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    first, *answers = [block.code for block in blocks(text, "http")]
    assert _lines(first) <= _lines((tmp_path / "first").read_text())
    assert _lines("".join(answers)) <= _lines(seen)
    [kept] = [path for path in (tmp_path / "uploads").iterdir() if path.is_file()]
    assert kept.read_bytes() == (tmp_path / "film.mp4").read_bytes()


def _lines(answers: str) -> set[str]:
    """Those of some answers; of what differs from one to the next three dots stay."""
    lines = re.sub(r"[0-9a-f]{32,}|(?<=max-age=)\d+", "…", answers).splitlines()
    return {line.strip() for line in lines}


COMPLETE, INCOMPLETE = "Upload-Complete: ?1", "Upload-Complete: ?0"


@pytest.mark.needs("curl")
def test_curl_as_a_reader_types_it(server: Server) -> None:
    """The lines of the how-to: begin, send, ask, go on; the final answer is the application's."""
    named = 'Content-Disposition: inline; filename="film.mp4"'
    status, headers, _ = curl(server, "/films/", "-X", "POST", "-H", INCOMPLETE, "-H", named)
    assert status == 201
    assert headers["upload-limit"].startswith("max-size=5000000000, max-age=3")
    where = headers["location"]

    patch = ("-X", "PATCH", "-H", PARTIAL)
    status, headers, _ = curl(server, where, *patch, "-H", "Upload-Offset: 0", "-H", INCOMPLETE, body=FILM[:123_456])
    assert (status, headers["upload-offset"]) == (204, "123456")
    status, headers, _ = curl(server, where, "--head")
    assert (status, headers["upload-offset"], headers["upload-complete"]) == (204, "123456", "?0")

    late = (*patch, "-H", "Upload-Offset: 0", "-H", COMPLETE)
    status, headers, text = curl(server, where, *late, body=FILM)
    assert (status, headers["upload-offset"], json.loads(text)["expected-offset"]) == (409, "123456", 123_456)

    rest = (*patch, "-H", "Upload-Offset: 123456", "-H", COMPLETE)
    status, headers, text = curl(server, where, *rest, body=FILM[123_456:])
    assert (status, headers["upload-complete"]) == (201, "?1")
    assert json.loads(text) == {
        "id": where.rpartition("/")[2],
        "name": "film.mp4",
        "size": len(FILM),
        "sha256": hashlib.sha256(FILM).hexdigest(),
    }
    status, headers, _ = curl(server, where, "--head")
    assert (status, headers["upload-complete"]) == (204, "?1")
    expect_film(server)


@pytest.mark.needs("curl")
@pytest.mark.parametrize("framing", [[], ["-H", "Transfer-Encoding: chunked"]], ids=["length", "chunked"])
def test_curl_sends_all_at_once(server: Server, framing: list[str]) -> None:
    """A plain upload with one more header; and one that says no length."""
    plain = ("-X", "POST", "-H", COMPLETE, "-H", "Content-Type: video/mp4")
    status, headers, text = curl(server, "/films/", *plain, *framing, body=FILM)
    assert (status, headers["upload-complete"], json.loads(text)["size"]) == (201, "?1", len(FILM))
    expect_film(server)


@pytest.mark.needs("curl")
def test_curl_is_cut_off_and_goes_on(server: Server) -> None:
    """What came before curl was ended is there; and the upload is not complete, though that was its last request."""
    _, headers, _ = curl(server, "/films/", "-X", "POST", "-H", INCOMPLETE)
    where = headers["location"]
    url = f"http://127.0.0.1:{server.port}{where}"
    options = ["-X", "PATCH", "-H", PARTIAL, "-H", COMPLETE, "-H", "Upload-Offset: 0", "-T", "-"]
    with subprocess.Popen(["curl", "--silent", *options, url], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(FILM[:200_000])
        process.stdin.flush()
        eventually(lambda: server.staged() != [] and _size(server) == 200_000)
        process.kill()
    status, headers, _ = curl(server, where, "--head")
    offset = int(headers["upload-offset"])
    assert (status, headers["upload-complete"]) == (204, "?0")
    assert 0 < offset <= 200_000
    rest = ("-X", "PATCH", "-H", PARTIAL, "-H", COMPLETE, "-H", f"Upload-Offset: {offset}")
    assert curl(server, where, *rest, body=FILM[offset:])[0] == 201
    expect_film(server)


def _size(server: Server) -> int:
    return sum(path.stat().st_size for path in (server.root / ".staging").iterdir())
