"""What a connection may send before anybody is asked who it is, how long it may take, and what is left when it ends."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from uploadkit.service import connections
from uploadkit.service.connections import HEAD_SIZE, Bounded
from uploadkit.testing import FormBuilder

from .listening import Listening, app_of, listening
from .processes import eventually
from .test_callers import rule

HEAD = b"POST /uploads HTTP/1.1\r\nHost: 127.0.0.1\r\n"
ASK = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
TOKEN = b"Authorization: Bearer anns\r\n"


@pytest.fixture(scope="module")
def app() -> Iterator[Starlette]:
    with TemporaryDirectory() as folder:
        yield app_of(Path(folder), tokens=(rule("anns"),), failed_rate=None)


@pytest.fixture(scope="module")
def server(app: Starlette) -> Iterator[Listening]:
    with listening(app, http=Bounded) as server:
        yield server


def connected(server: Listening) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 10)


def sent(connection: socket.socket, data: bytes, *, most: int) -> int:
    """How much of it was taken, piece by piece, until the server has ended the connection."""
    for at in range(0, most, len(data)):
        try:
            connection.sendall(data)
        except ConnectionError:
            return at
    return most


def rest(connection: socket.socket) -> bytes:
    """All that comes to the end of the connection, which the server makes."""
    came = bytearray()
    try:
        while more := connection.recv(65536):
            came += more
    except ConnectionResetError:  # it had sent more than was read
        pass
    return bytes(came)


MOST = 64 << 20
"""More than the buffers of a connection hold."""


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET /",  # a path
        b"GET /?",
        ASK + b"X: ",  # one header
        ASK,  # many of them
        ASK + TOKEN + b"X: ",
        b"A",  # a method
        b"\r\n",  # nothing
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ",  # a trailer, whoever sends it
        HEAD + TOKEN + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;",  # what stands beside the size of a chunk
    ],
    ids=repr,
)
def test_what_is_no_body_ends_somewhere(server: Listening, beginning: bytes) -> None:
    """Whatever it is, the server ends the connection, and has not kept it."""
    piece = b"X: y\r\n" * 1000 if beginning is ASK else b"\r\n" * 1000 if beginning == b"\r\n" else b"a" * 10_000
    with connected(server) as connection:
        connection.sendall(beginning)
        assert sent(connection, piece, most=MOST) < MOST
    assert ask(server).startswith(b"HTTP/1.1 200 ")


def ask(server: Listening) -> bytes:
    with connected(server) as connection:
        connection.sendall(ASK + b"Connection: close\r\n\r\n")
        return rest(connection)


@pytest.mark.parametrize("header", [b"X: y\r\n", b"X: " + b"a" * HEAD_SIZE], ids=["many", "one"])
def test_a_head_that_is_too_large_is_told_so(server: Listening, header: bytes) -> None:
    """Where the client waits for an answer: who goes on sending is cut off."""
    head = (ASK + header * (1 if len(header) > HEAD_SIZE else HEAD_SIZE))[: HEAD_SIZE + 1]  # the last byte is too much
    with connected(server) as connection:
        for at in range(0, len(head), 10_000):
            connection.sendall(head[at : at + 10_000])
        told, _, body = rest(connection).partition(b"\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"Content-Type: application/problem+json" in told
    assert b'"code":"head_too_large"' in body


def test_a_head_of_usual_size_is_taken(server: Listening) -> None:
    """In however many pieces, and the next one on the same connection too: nothing adds up."""
    with connected(server) as connection:
        for _ in range(4):
            head = ASK + b"X: " + b"a" * (HEAD_SIZE // 2) + b"\r\n\r\n"
            for at in range(0, len(head), 5000):
                connection.sendall(head[at : at + 5000])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_may_be_larger_than_a_head(server: Listening, chunked: bool) -> None:
    """Its limits are others."""
    form = FormBuilder(boundary="b").file("f", b"x" * 1_000_000, filename="1.txt", content_type="text/plain").body
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(form)
    body = b"%x\r\n%b\r\n0\r\nX-Trailer: y\r\n\r\n" % (len(form), form) if chunked else form
    with connected(server) as connection:
        content_type = b"Content-Type: multipart/form-data; boundary=b\r\n"
        connection.sendall(HEAD + TOKEN + content_type + framing + b"\r\n\r\n" + body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 202 ")
        connection.sendall(ASK + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_requests_that_are_sent_at_once_are_answered_one_after_the_other(server: Listening) -> None:
    with connected(server) as connection:
        connection.sendall((ASK + b"\r\n") * 20 + ASK + b"Connection: close\r\n\r\n")
        assert rest(connection).count(b"HTTP/1.1 200 ") == 21


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET",
        ASK + b"X: a",
        ASK + b"\r\n" + b"GET",  # after an answer
    ],
    ids=repr,
)
def test_who_begins_no_request_is_not_waited_for(
    server: Listening, beginning: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where he sends nothing, nor where he sends a little of it now and then."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    with connected(server) as connection:
        connection.sendall(beginning)
        came = rest(connection)
    assert came.count(b"HTTP/1.1 ") == beginning.count(b"\r\n\r\n")


def test_a_request_may_take_longer_than_its_head(server: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.05)
    form = FormBuilder(boundary="b").file("f", b"x" * 1000, filename="1.txt", content_type="text/plain").body
    head = HEAD + TOKEN + b"Content-Type: multipart/form-data; boundary=b\r\nExpect: 100-continue\r\n"
    with connected(server) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(form))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        with connected(server) as other:  # by then it would be over
            assert rest(other) == b""
        connection.sendall(form)
        assert connection.recv(65536).startswith(b"HTTP/1.1 202 ")


LARGE = b"x" * (32 << 20)
"""More than the buffers of the kernel take, which are some megabytes."""

GET_LARGE = b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n"


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """An answer that is over for the application before anybody has read it."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(LARGE))]})
    await send({"type": "http.response.body", "body": LARGE, "more_body": False})


class Unpaused(Bounded):
    """Whose answers are never waited for: what is left of one when it is over is less than that."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=2 * len(LARGE))


@pytest.mark.parametrize(
    ("asked", "http"),
    [
        (GET_LARGE + b"\r\n", Bounded),
        ((GET_LARGE + b"\r\n") * 200, Bounded),
        (GET_LARGE + b"Connection: close\r\n\r\n", Bounded),
        (GET_LARGE + b"Connection: close\r\n\r\n", Unpaused),
    ],
    ids=["one", "many at once", "the last", "the rest of one"],
)
def test_who_takes_nothing_of_an_answer_is_ended(
    asked: bytes, http: type[Bounded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And by a reset: the kernel would keep its megabytes for a client that takes nothing of those either."""
    monkeypatch.setattr(connections, "TAKE_SECONDS", 0.05)
    with listening(large, http=http) as server, connected(server) as connection:
        connection.sendall(asked)
        waiting = select.poll()
        waiting.register(connection, 0)  # no matter that there is something to read
        assert waiting.poll(10_000), "it was not ended"
        eventually(lambda: not server.open_connections)


RECEIVED = 65_536
"""Bytes that wait in the client's kernel, which makes twice that of it: who takes more has waited for the server."""


@pytest.mark.needs("linux")
def test_who_takes_an_answer_slowly_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though what he takes comes from the kernel, whose buffers hold more than he takes in the time."""
    monkeypatch.setattr(connections, "TAKE_SECONDS", 0.02)
    came = bytearray()
    enough = threading.Event()

    class Slow(Bounded):
        """Whose client takes a little before each look."""

        def _look(self) -> None:
            if self.flow.write_paused and not enough.is_set():
                untaken = self.transport.get_write_buffer_size()
                came.extend(connection.recv(4 * RECEIVED, socket.MSG_WAITALL))
                assert self.transport.get_write_buffer_size() == untaken
                if len(came) >= 20 * RECEIVED:
                    monkeypatch.setattr(connections, "TAKE_SECONDS", 60.0)
                    enough.set()
            super()._look()

    with listening(large, http=Slow) as server, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(GET_LARGE + b"Connection: close\r\n\r\n")
        assert enough.wait(10)
        came.extend(rest(connection))
    assert came.endswith(b"\r\n\r\n" + LARGE)


def test_a_request_behind_another_does_not_hide_that_the_client_is_gone() -> None:
    """The one that runs is told so; the one that waits is never begun."""
    begun, gone = threading.Event(), threading.Event()
    paths = []

    async def following(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        paths.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b":\n\n", "more_body": True})
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    with listening(following, http=Bounded, grace_seconds=0) as server:
        with connected(server) as connection:
            connection.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + (ASK + b"\r\n") * 2)
            assert begun.wait(10)
        assert gone.wait(10)
    assert paths == ["/events"]


def test_a_connection_that_is_reset_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is asked on it: one answer is on its way, one waits for that, and the next has not begun."""
    with listening(large, http=Bounded) as server:
        with connected(server) as connection:
            connection.sendall((GET_LARGE + b"\r\n") * 3)
            assert connection.recv(1) == b"H"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        eventually(lambda: not server.open_connections)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
