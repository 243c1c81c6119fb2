"""The example for many uploads, in its own process: what it answers, what it says meanwhile, and how it ends."""

from __future__ import annotations

import os
from pathlib import Path

from tests.adapters.servers import running, uvicorn

from uploadkit.testing import Client, FormBuilder, exchange, request, request_head

KIND = uvicorn("under_load:app", adapter="fastapi", route="videos")
VIDEO = FormBuilder(boundary="b").file("video", os.urandom(300_000), filename="film.bin")


def progress_of(port: int, name: str) -> float | None:
    """What the example says of an upload."""
    head = f"GET /progress/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    done: float | None = exchange(port, head.encode()).json["done"]
    return done


def test_it_shows_how_far_an_upload_is_and_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    """Half of it, then all of it; an upload that is under way at the end leaves nothing."""
    with running(KIND, tmp_path, "--timeout-graceful-shutdown", "0") as server:
        head = request_head("/videos", VIDEO.content_type, "X-Upload: one", length=len(VIDEO.body))
        with Client(server.port) as client:
            client.send(head, VIDEO.body[:150_000])
            while not 0.4 < (progress_of(server.port, "one") or 0) < 0.6:
                pass  # the server has yet to read it; the client's own time-out bounds every question
            client.send(VIDEO.body[150_000:])
            answer = client.answer()
        assert (answer.status, answer.json["size"]) == (200, 300_000)
        assert progress_of(server.port, "one") == 1
        assert progress_of(server.port, "two") is None
        assert exchange(server.port, request("/videos", VIDEO)).status == 200
        with Client(server.port) as client:
            client.send(head, VIDEO.body[:150_000])
            while progress_of(server.port, "one") == 1:
                pass
            server.process.terminate()
            assert server.process.wait(10) is not None
    assert len(server.files()) == 2
    assert not server.staged()
