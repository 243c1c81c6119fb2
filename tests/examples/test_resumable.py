"""The examples of uploads in several requests, under real servers: what is cut goes on, and who comes back is let in.

What differs between the frameworks is nothing that a client of tus sees.
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adapters.servers import Kind, Server, eventually, gunicorn, running, uvicorn

from uploadkit.testing import Answer, Client, exchange

_AT = str(Path(__file__).parents[2] / "examples" / "resumable")
_THREADS = ("--worker-class", "gthread", "--threads", "16", "--pythonpath", _AT)

KINDS: dict[str, Kind] = {
    "fastapi": uvicorn("resumable_fastapi:app", "--app-dir", _AT, adapter="fastapi"),
    "fastapi, h11": uvicorn("resumable_fastapi:app", "--app-dir", _AT, "--http", "h11", adapter="fastapi"),
    "flask": gunicorn("resumable_flask:app", *_THREADS, adapter="flask"),
    "django": gunicorn("resumable_django:application", *_THREADS, adapter="django"),
    "django, asgi": uvicorn(
        "resumable_django:asgi_application", "--app-dir", _AT, adapter="django under django.asgi()"
    ),
}

ADA = "Authorization: Bearer ada-1815"
GRACE = "Authorization: Bearer grace-1906"
TUS = "Tus-Resumable: 1.0.0"
OFFSET_TYPE = "Content-Type: application/offset+octet-stream"
PICTURE = b"\xff\xd8\xff\xe0" + os.urandom(300_000)

SOON_SECONDS = 5
"""Half of what a request waits for another one: a client that comes back is let in before that."""


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An example under its server, which has loaded what is loaded late, and made its tables."""
    with running(KINDS[request.param], tmp_path_factory.mktemp("resumable")) as server:
        with Client(server.port, timeout=60) as client:
            client.send(head("HEAD", "/files/0123456789abcdef", ADA))
            assert client.answer().status == 404
        yield server
        assert not server.complaints()


def head(method: str, path: str, *headers: str, length: int | None = None) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", TUS, *headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def created(server: Server, length: int = len(PICTURE), who: str = ADA) -> str:
    """Where a new upload is."""
    named = f"Upload-Metadata: filename {base64.b64encode(b'picture.jpg').decode()}"
    answer = exchange(server.port, head("POST", "/files/", who, named, f"Upload-Length: {length}", length=0))
    assert answer.status == 201, answer
    return answer.headers["location"]


def patch(where: str, offset: int, length: int, who: str = ADA) -> bytes:
    """The head of one that brings so many bytes."""
    return head("PATCH", where, who, OFFSET_TYPE, f"Upload-Offset: {offset}", length=length)


def asked(server: Server, where: str, who: str = ADA) -> Answer:
    return exchange(server.port, head("HEAD", where, who))


def offset_of(server: Server, where: str) -> int:
    return int(asked(server, where).headers["upload-offset"])


def kept(server: Server) -> list[str]:
    """What lies in the folder of uploads, whole or not."""
    return sorted(str(path.relative_to(server.root)) for path in server.root.rglob("*") if path.is_file())


def test_what_arrived_before_a_cut_is_kept_and_the_rest_is_sent(server: Server) -> None:
    """The connection breaks in the middle of a body; the file is whole in the end, its handler knows it, and nothing
    is left beside it."""
    server.clear()
    where = created(server)
    with Client(server.port) as client:
        client.send(patch(where, 0, len(PICTURE)), PICTURE[:200_000])
        client.reset()
    # What the kernel still had when it was told of the reset may be lost.
    eventually(lambda: 0 < offset_of(server, where) <= 200_000)
    offset = offset_of(server, where)
    answer = exchange(server.port, patch(where, offset, len(PICTURE) - offset) + PICTURE[offset:])
    assert (answer.status, answer.headers["upload-offset"]) == (204, str(len(PICTURE)))
    assert list(server.files().values()) == [hashlib.sha256(PICTURE).hexdigest()]
    shown = exchange(server.port, head("GET", where.replace("/files/", "/library/")))
    assert shown.json == {"filename": "picture.jpg", "content_type": "image/jpeg", "size": len(PICTURE)}
    assert len(kept(server)) == 1


def test_who_comes_back_is_let_in_while_the_old_connection_is_still_open(server: Server) -> None:
    """As when a client has changed its network: nobody has told the server that the old connection is dead."""
    server.clear()
    where = created(server)
    with Client(server.port) as lost:
        lost.send(patch(where, 0, len(PICTURE)), PICTURE[:100_000])
        lost.wait(0.3)  # until it is being read: what is asked before that finds nobody at it
        begun = time.monotonic()
        offset = offset_of(server, where)
        assert time.monotonic() - begun < SOON_SECONDS
        assert offset == 100_000
        answer = exchange(server.port, patch(where, offset, len(PICTURE) - offset) + PICTURE[offset:])
        assert answer.status == 204
        told = lost.answer()
        assert (told.status, told.json["code"]) == (423, "upload_locked")
        assert int(told.headers["retry-after"]) >= 1
    assert list(server.files().values()) == [hashlib.sha256(PICTURE).hexdigest()]


def test_a_file_of_another_type_is_refused_at_its_first_bytes(server: Server) -> None:
    """The client has sent a fraction, and is answered; the upload is gone, and nothing is left of it."""
    server.clear()
    where = created(server, 100_000_000)
    with Client(server.port) as client:
        client.send(patch(where, 0, 100_000_000), b"just words\n" * 20_000)
        answer = client.answer()
        assert (answer.status, answer.json["code"]) == (415, "file_refused")
    gone = asked(server, where)
    assert gone.status == 410
    assert kept(server) == []


def test_another_owner_sees_nothing(server: Server) -> None:
    """Not by any method, and nothing has changed; who is nobody is refused by the application itself."""
    where = created(server)
    assert exchange(server.port, patch(where, 0, 3, GRACE) + b"abc").status == 404
    assert asked(server, where, GRACE).status == 404
    assert exchange(server.port, head("DELETE", where, GRACE)).status == 404
    assert offset_of(server, where) == 0
    nobody = exchange(server.port, head("POST", "/files/", "Upload-Length: 1", length=0))
    assert nobody.status in (401, 403)
    assert exchange(server.port, head("DELETE", where, ADA)).status == 204
    assert asked(server, where).status == 410


def test_a_client_that_sends_a_body_to_the_wrong_place_sees_the_answer(server: Server) -> None:
    """The answer comes before its end, and the connection is not reset under it."""
    with Client(server.port) as client:
        client.send_what_is_taken(patch("/files/0123456789abcdef", 0, 2 << 20) + bytes(2 << 20))
        answer = client.answer()
    assert (answer.status, answer.json["code"]) == (404, "record_missing")
