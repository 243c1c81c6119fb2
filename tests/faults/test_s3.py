"""Uploads to S3 that are given up, refused or slowed down, from the socket of a client to the bucket."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest
from tests.adapters.servers import Kind, Server, eventually, gunicorn, running, uvicorn
from tests.faults.test_loop_lag import CHUNK, LARGE, MOST_MILLISECONDS, lags
from tests.faults.test_loop_lag import body as quick_body
from tests.soak import mostly_soaked, scaled
from tests.storage.s3.places import Place, place_on
from tests.storage.s3.proxy import INTERNAL_ERROR, SLOW_DOWN, Fault, Hold, Proxy
from tests.storage.s3.server import S3Server

from uploadkit.intake.asynchronous import areceive
from uploadkit.policy.limits import Limits
from uploadkit.testing import Client, FormBuilder, request, request_head
from uploadkit.uploader import Uploader

_APP = "tests.adapters.apps.on_s3"

KINDS = {
    "fastapi": uvicorn(f"{_APP}:on_fastapi", adapter="fastapi"),
    "flask": gunicorn(f"{_APP}:on_flask", "--preload", "--worker-class", "gthread", "--threads", "4", adapter="flask"),
}

MIB = 2**20

TWO_PARTS = 10
"""MiB: a storage that is told nothing else sends 8 in each part."""

LARGE_SIZE = 20
"""MiB, in three parts, of which the first is under way when more than half has come."""

SAME = os.urandom(MIB)

UNLIMITED = Limits(body_size=None, file_size=None, files_size=None, min_rate=None)


@dataclass(frozen=True)
class App:
    """A server whose storage is reached through a proxy."""

    server: Server
    place: Place
    proxy: Proxy

    def left(self) -> list[str]:
        """What is neither an object nor given up."""
        return [*self.place.left(), *self.server.temporary()]

    def expect_nothing(self) -> None:
        """Soon nothing is there and nothing is left."""
        eventually(lambda: not self.left())
        assert self.left() == []
        assert self.place.keys() == []


@contextmanager
def application(kind: Kind, weed: S3Server, folder: Path, *options: str) -> Generator[App]:
    """One that has taken a first upload."""
    with place_on(weed) as place, Proxy(weed) as proxy:
        retries = {"total_max_attempts": 1}  # a pause before the second would be of a second
        to = {"UPLOADKIT_URL": place.url, "UPLOADKIT_OPTIONS": json.dumps(place.options(proxy, retries=retries))}
        with running(kind, folder, *options, **to) as server:
            assert server.post("any", form(b"first")).status == 200
            place.clear()
            yield App(server, place, proxy)


@pytest.fixture(scope="module", params=KINDS)
def of_the_module(
    request: pytest.FixtureRequest, weed: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """Each server."""
    with application(KINDS[request.param], weed, tmp_path_factory.mktemp("server")) as app:
        yield app
        # What S3 said stands in the log, as it should; nothing that was forgotten does.
        assert not [line for line in app.server.complaints() if "Warning: " in line or "never " in line]


@pytest.fixture
def app(of_the_module: App) -> Iterator[App]:
    """The same, with nothing in its bucket and nothing wrong."""
    yield of_the_module
    of_the_module.proxy.heal()
    of_the_module.proxy.bytes_per_second = None
    of_the_module.place.clear()


def form(data: bytes) -> FormBuilder:
    return FormBuilder(boundary="b").file("file", data, filename="a.bin")


def large(mebibytes: int) -> FormBuilder:
    """A file in which no two of them are alike."""
    return form(b"".join(number.to_bytes(8, "big") + SAME[8:] for number in range(mebibytes)))


def test_a_large_file_arrives_whole(app: App) -> None:
    """In parts; its digest is that of what was sent, and of what is in the bucket."""
    sent = large(LARGE_SIZE)
    answer = app.server.post("any", sent)
    assert answer.status == 200
    assert app.place.keys() == [answer.json["key"]]
    stored = app.place.get(answer.json["key"])
    assert answer.json["sha256"] == hashlib.sha256(stored).hexdigest()
    assert stored in sent.body
    assert len(stored) == LARGE_SIZE * MIB == answer.json["size"]
    assert app.left() == []


@pytest.mark.parametrize("end", [Client.end, Client.reset], ids=["half-closes", "resets"])
def test_a_client_that_goes_away_leaves_nothing(app: App, end: Callable[[Client], None]) -> None:
    """At 60 % of 40 MiB: parts are in the bucket, and parts are under way."""
    sent = request("/any", large(LARGE_SIZE))
    with Client(app.server.port) as client:
        client.send(sent[: len(sent) * 6 // 10])
        eventually(app.place.uploads)
        assert len(app.place.uploads()) == 1
        end(client)
        app.expect_nothing()
    assert app.server.post("any", form(b"the next one")).status == 200


def test_a_handler_that_raises_leaves_nothing(app: App) -> None:
    """The file was published before the handler was called, and is removed."""
    assert app.server.post("raises", large(TWO_PARTS)).status == 500
    app.expect_nothing()


@pytest.mark.parametrize(
    ("operation", "part"), [("CreateMultipartUpload", None), ("UploadPart", 2), ("CompleteMultipartUpload", None)]
)
@pytest.mark.parametrize(
    "wrong", mostly_soaked([INTERNAL_ERROR, SLOW_DOWN, Fault.RESET_AFTER], but=[INTERNAL_ERROR]), ids=str
)
def test_an_upload_that_s3_refuses_is_answered_503(app: App, operation: str, part: int | None, wrong: Any) -> None:
    """Nothing of it is left, and the next one arrives."""
    app.proxy.fail(operation, wrong, part=part)
    answer = app.server.post("any", large(TWO_PARTS))
    assert (answer.status, answer.json["code"]) == (503, "storage_failed")
    app.expect_nothing()
    app.proxy.heal()
    assert app.server.post("any", large(TWO_PARTS)).status == 200


def test_a_slow_s3_slows_the_client_and_fills_no_memory(app: App) -> None:
    """It takes 40 MiB in a second; the client has 96."""
    app.proxy.bytes_per_second = 40 * MIB
    seconds, grown = sent_slowly(app, 96)
    assert seconds > 1.2
    assert grown < 64 * MIB


@pytest.mark.soak
def test_a_very_slow_s3_fills_no_memory_either(app: App, record_property: Callable[[str, object], None]) -> None:
    """It takes a MiB in a second."""
    size = scaled(300, at_least=60)
    app.proxy.bytes_per_second = MIB
    seconds, grown = sent_slowly(app, size)
    record_property(
        "figure", f"{size} MiB to an S3 of 1 MiB/s in {seconds:.0f} s, memory grew by {grown / MIB:.1f} MiB"
    )
    assert seconds > (size - 48) * 0.8
    assert grown < 64 * MIB


def sent_slowly(app: App, mebibytes: int) -> tuple[float, int]:
    """How long the client took to send so much, and by how much the server's memory grew at most meanwhile."""
    sent, before, sizes, ended = large(mebibytes), app.server.resident_size(), [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            sizes.append(app.server.resident_size())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with Client(app.server.port, timeout=120) as client:
            begun = time.monotonic()
            client.send(request_head("/any", sent.content_type, length=len(sent.body)), sent.body)
            seconds = time.monotonic() - begun
            answer = client.answer()
    finally:
        ended.set()
        watching.join()
    assert (answer.status, answer.json["size"]) == (200, mebibytes * MIB)
    return seconds, max(sizes) - before


PATIENCE = {"fastapi": "--timeout-graceful-shutdown", "flask": "--graceful-timeout"}
"""The option that says for how many seconds a server that is asked to end waits for what is under way."""


@pytest.mark.parametrize(
    ("kind", "how", "is_swept"),
    [
        ("fastapi", signal.SIGTERM, False),
        ("fastapi", signal.SIGKILL, True),
        ("flask", signal.SIGTERM, True),  # gunicorn kills a worker whose threads still serve
    ],
)
def test_a_server_that_ends_shows_no_part_of_an_upload(
    kind: str, how: signal.Signals, is_swept: bool, weed: S3Server, tmp_path: Path
) -> None:
    """Asked to, it aborts what it does not wait for; where it is killed, that is left to the sweep."""
    with application(KINDS[kind], weed, tmp_path, PATIENCE[kind], "1") as app:
        sent = request("/any", large(TWO_PARTS))
        with Client(app.server.port) as client:
            client.send(sent[:-100])
            eventually(app.place.uploads)
            app.server.process.send_signal(how)
            app.server.process.wait(20)
        assert app.place.keys() == []
        assert len(app.place.uploads()) == is_swept
        assert app.place.storage(stale_seconds=0.001).sweep() == is_swept
        assert app.place.left() == []


# Tasks that are cancelled

BODY = large(TWO_PARTS)


@pytest.mark.parametrize(
    ("operation", "part"), [("CreateMultipartUpload", None), ("UploadPart", 1), ("CompleteMultipartUpload", None)]
)
def test_a_task_that_is_cancelled_leaves_nothing(place: Place, proxy: Proxy, operation: str, part: int | None) -> None:
    """While S3 is asked to begin, to take a part or to finish: what comes of it then is removed."""
    storage, hold = place.storage(proxy), Hold()
    proxy.fail(operation, hold, part=part)
    spec = Uploader(storage, limits=UNLIMITED).single("file")

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(BODY.body), 2**16):
            yield BODY.body[at : at + 2**16]
            await asyncio.sleep(0)

    async def main() -> None:
        receiving = asyncio.ensure_future(areceive(spec, BODY.content_type, chunks()))
        while not hold.reached.is_set():  # noqa: ASYNC110  # it is set in another thread
            await asyncio.sleep(0.002)
        receiving.cancel()
        await asyncio.sleep(0.01)
        hold.let_go()
        with pytest.raises(asyncio.CancelledError):
            await receiving

    asyncio.run(main())
    assert place.keys() == []
    assert place.left() == []


@pytest.mark.soak
def test_a_slow_s3_does_not_hold_up_the_event_loop(
    place: Place, proxy: Proxy, record_property: Callable[[str, object], None]
) -> None:
    """99 of 100 turns of the application's loop are less than 20 ms late, while an upload waits for S3."""
    spec = Uploader(place.storage(proxy), limits=UNLIMITED).single("f")
    proxy.bytes_per_second = 5 * MIB  # in this process as well: to read faster would hold the loop up by itself
    chunks = scaled(800, at_least=240)

    async def main() -> tuple[int, list[float]]:
        ended = asyncio.Event()
        watching = asyncio.ensure_future(lags(ended))
        file = await areceive(spec, LARGE.content_type, quick_body(chunks))
        ended.set()
        return file.size, await watching

    size, late = asyncio.run(main())
    assert size == chunks * len(CHUNK)
    p50, p99 = quantiles(late, n=100)[49], quantiles(late, n=100)[98]
    record_property(
        "figure", f"S3, slow: {size / 1e6:.0f} MB, lag p50 {p50:.2f} ms, p99 {p99:.2f} ms, {len(late)} turns"
    )
    assert p99 < MOST_MILLISECONDS
