"""Clients of tus as their authors have made them, over connections that are cut off at random: tuspy, tus-js-client and
Uppy, the two in a real browser. What arrives is what was sent, and what is told of offsets never goes back.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.adapters.servers import Server, eventually, running, uvicorn
from tests.browsing import browser as browser
from tests.browsing import page as page
from tests.examples import tus_js, uppy
from tests.resumable.cutting import cutting
from tests.soak import mostly_soaked

if TYPE_CHECKING:
    from playwright.sync_api import Page

KIND = uvicorn("tests.resumable.app:app", "--http", "h11", adapter="starlette")

in_a_browser = pytest.mark.needs("browser", "tus-js-client")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Under uvicorn."""
    with running(KIND, tmp_path_factory.mktemp("server")) as server:
        yield server
        assert server.complaints() == []


@pytest.fixture(autouse=True)
def nothing_left(server: Server) -> Iterator[None]:
    """Nothing of an earlier test lies there."""
    yield
    server.clear()


def at_random(seed: int, size: int, *, often: float = 0.5) -> Callable[[], tuple[int | None, int | None]]:
    """Cuts so many of the connections after some of what they send, and a few at the beginning of their answer: half a
    head is a whole one to Python's http.client, and tuspy misses its offset there."""
    chance = random.Random(seed)

    def budget() -> tuple[int | None, int | None]:
        if chance.random() >= often:
            return None, None
        return (None, chance.randrange(1, 12)) if chance.random() < 0.2 else (chance.randrange(1, size), None)

    return budget


def expect(server: Server, *files: bytes) -> None:
    """These files are there, and nothing waits."""
    digests = sorted(hashlib.sha256(data).hexdigest() for data in files)
    assert sorted(server.files().values()) == digests
    eventually(lambda: server.open_files() == [])
    assert server.open_files() == []


# tuspy


@pytest.mark.parametrize("seed", mostly_soaked(range(20), {0, 1}))
def test_tuspy_goes_on_after_every_cut(server: Server, seed: int) -> None:
    """With a checksum of every chunk and without."""
    from tusclient.client import TusClient
    from tusclient.exceptions import TusCommunicationError

    data = random.Random(seed).randbytes(1_000_003)
    with cutting(server.port, at_random(seed, 300_000)) as proxy:
        uploader = TusClient(f"{proxy.url}/files/").uploader(
            file_stream=io.BytesIO(data),
            chunk_size=random.Random(seed).choice([100_000, 250_000, 2_000_000]),
            retries=100,
            retry_delay=0,
            metadata={"filename": "a.bin"},
            upload_checksum=seed % 2 == 0,
        )
        url = None
        while url is None:
            with suppress(TusCommunicationError):
                url = uploader.create_url()
        proxy.offsets.clear()
        uploader.set_url(url)
        uploader.offset = 0
        uploader.upload()
        assert proxy.offsets == sorted(proxy.offsets)
        assert proxy.offsets[-1] == len(data)
    expect(server, data)


# tus-js-client

_DRIVER = """
function send({ files, together, options, endpoint }) {
    const told = { progress: [], errors: [] };
    const sent = files.map((text) => new Promise((resolve) => {
        const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
        const upload = new tus.Upload(new Blob([bytes]), {
            endpoint, retryDelays: Array(40).fill(50), metadata: { filename: "a.bin", filetype: "application/x-test" },
            metadataForPartialUploads: {},
            onShouldRetry: (error) => { told.errors.push(`${error}`); return true; },
            onSuccess: () => resolve({ url: upload.url }),
            onError: (error) => resolve({ error: `${error}` }),
            ...options,
        });
        upload.start();
    }));
    return Promise.all(sent).then((ended) => ({ ...told, ended }));
}
"""


@pytest.fixture
def send(page: Page) -> Callable[..., dict[str, Any]]:
    """Sends files by tus-js-client from a page of the address that is given."""

    def sent(url: str, *files: bytes, **options: Any) -> dict[str, Any]:
        page.set_default_timeout(60_000)
        page.goto(f"{url}/")
        page.add_script_tag(path=tus_js.script())
        page.add_script_tag(content=_DRIVER)
        texts = [base64.b64encode(data).decode() for data in files]
        told: dict[str, Any] = page.evaluate(
            "options => send(options)", {"files": texts, "endpoint": f"{url}/files/", "options": options}
        )
        return told

    return sent


WAYS: list[dict[str, Any]] = [
    {},
    {"chunkSize": 150_000},
    {"uploadDataDuringCreation": True},
    {"chunkSize": 150_000, "overridePatchMethod": True},
    {"chunkSize": 150_000, "uploadDataDuringCreation": True, "addRequestId": True},
]


@in_a_browser
@pytest.mark.parametrize("way", mostly_soaked(range(len(WAYS)), {0, 2, 3}))
def test_tus_js_client_goes_on_after_every_cut(server: Server, send: Callable[..., Any], way: int) -> None:
    """All of a file in one request or in chunks, with its first bytes in the request that begins it or not."""
    seed = way
    data = random.Random(seed).randbytes(1_000_003)
    # A browser loads its page over the same connections.
    budget, loaded = at_random(seed, 500_000), [0]

    def after_the_page() -> tuple[int | None, int | None]:
        loaded[0] += 1
        return budget() if loaded[0] > 2 else (None, None)

    with cutting(server.port, after_the_page) as proxy:
        told = send(proxy.url, data, **WAYS[way])
        assert "url" in told["ended"][0], told
        if "uploadDataDuringCreation" not in WAYS[way]:  # else one is begun anew, at 0
            assert proxy.offsets == sorted(proxy.offsets)
    expect(server, data)


@in_a_browser
@pytest.mark.parametrize("parallel", mostly_soaked([2, 5], {5}))
def test_tus_js_client_sends_parts_of_a_file_at_once(server: Server, send: Callable[..., Any], parallel: int) -> None:
    """They are put together, and are no files of their own."""
    data, staged = os.urandom(1_000_003), server.staged()
    told = send(f"http://127.0.0.1:{server.port}", data, parallelUploads=parallel)
    assert "url" in told["ended"][0], told
    expect(server, data)
    assert server.staged() == staged


@in_a_browser
@pytest.mark.parametrize("seed", mostly_soaked(range(10), {0}))
def test_parts_that_are_sent_at_once_go_on_after_every_cut(server: Server, send: Callable[..., Any], seed: int) -> None:
    """Each for itself."""
    data = random.Random(seed).randbytes(1_000_003)
    budget, loaded = at_random(seed, 300_000, often=0.3), [0]

    def after_the_page() -> tuple[int | None, int | None]:
        loaded[0] += 1
        return budget() if loaded[0] > 2 else (None, None)

    with cutting(server.port, after_the_page) as proxy:
        told = send(proxy.url, data, parallelUploads=3, chunkSize=100_000)
        assert "url" in told["ended"][0], told
    assert hashlib.sha256(data).hexdigest() in server.files().values()


@in_a_browser
def test_many_uploads_of_one_page_do_not_mix(server: Server, send: Callable[..., Any]) -> None:
    """Six at once."""
    files = [os.urandom(size) for size in (0, 1, 8192, 100_000, 300_000, 300_001)]
    told = send(f"http://127.0.0.1:{server.port}", *files, chunkSize=50_000)
    assert all("url" in each for each in told["ended"]), told
    expect(server, *files)


@in_a_browser
def test_a_page_of_another_origin_uploads(server: Server, page: Page, send: Callable[..., Any]) -> None:
    """Where it is allowed to: its browser asks before, and lets it read what it has to know."""
    data = os.urandom(300_000)
    page.goto(f"http://localhost:{server.port}/")
    page.add_script_tag(path=tus_js.script())
    page.add_script_tag(content=_DRIVER)
    told = page.evaluate(
        "options => send(options)",
        {
            "files": [base64.b64encode(data).decode()],
            "endpoint": f"http://127.0.0.1:{server.port}/files/",
            "options": {"chunkSize": 100_000, "headers": {"Authorization": "Bearer x"}},
        },
    )
    assert "url" in told["ended"][0], told
    expect(server, data)


# Uppy


@pytest.mark.needs("browser", "uppy")
@pytest.mark.parametrize("cut", [False, True])
def test_uppy_uploads_by_its_plugin(server: Server, page: Page, tmp_path: Path, cut: bool) -> None:
    """With all that it says of a file; and it goes on where its connection was cut."""
    folder = uppy.folder()
    assert folder is not None
    data = os.urandom(1_000_000)
    numbers = iter(range(10**6))

    def budget() -> tuple[int | None, int | None]:
        number = next(numbers)
        return (400_000 if cut and number in (2, 3, 4) else None), None

    with cutting(server.port, budget) as proxy:
        page.set_default_timeout(60_000)
        page.goto(f"{proxy.url}/")
        page.add_script_tag(path=folder / "uppy.min.js")
        told = page.evaluate(
            """async ({ text, endpoint }) => {
                const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
                const uppy = new Uppy.Uppy({ autoProceed: false });
                uppy.use(Uppy.Tus, { endpoint, retryDelays: Array(20).fill(50), chunkSize: 300000, limit: 2 });
                uppy.addFile({ name: "ä b.bin", type: "application/x-test", data: new Blob([bytes]) });
                const { successful, failed } = await uppy.upload();
                return { successful: successful.length, failed: failed.map((file) => `${file.error}`) };
            }""",
            {"text": base64.b64encode(data).decode(), "endpoint": f"{proxy.url}/files/"},
        )
        assert told == {"successful": 1, "failed": []}
        assert proxy.offsets == sorted(proxy.offsets)
    expect(server, data)
