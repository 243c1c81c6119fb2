"""What is read below WSGI, from gunicorn's own parser and werkzeug's own streams over a real socket."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from werkzeug.serving import DechunkedInput

from uploadkit.adapters.sockets import READ_SIZE, Interruption, body_reader
from uploadkit.adapters.wsgi import drain
from uploadkit.errors import ClientDisconnected, FileRefused, MalformedForm, UploadTooSlow
from uploadkit.policy.limits import Limits
from uploadkit.policy.pace import Pace

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
SOON = Limits(idle_seconds=0.01)


class Ends:
    """A client's end and a server's end of a connection."""

    def __init__(self, stack: ExitStack) -> None:
        self.client, self.server = map(stack.enter_context, socket.socketpair())
        self._stack = stack

    def environ(self, kind: str, *, chunked: bool = False) -> dict[str, Any]:
        """What a server gives an application when it has read the head."""
        if kind == "gunicorn":
            parsed = next(RequestParser(Config(), self.server, ("127.0.0.1", 1)))
            return {"wsgi.input": parsed.body, "gunicorn.socket": self.server, "wsgi.input_terminated": True}
        stream = self._stack.enter_context(self.server.makefile("rb", -1))
        while stream.readline() != b"\r\n":
            pass
        return {"wsgi.input": DechunkedInput(stream) if chunked else stream, "werkzeug.socket": self.server}


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Closed afterwards."""
    with ExitStack() as stack:
        yield Ends(stack)


BOTH = pytest.mark.parametrize("kind", ["gunicorn", "werkzeug"])
CODINGS = pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])


def head(*, chunked: bool, length: int) -> bytes:
    """The head of a request."""
    return HEAD + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % length)


@BOTH
def test_what_has_come_is_given_without_waiting_for_more(ends: Ends, kind: str) -> None:
    """With the head, and after it; never a byte of the next request."""
    client = ends.client
    client.sendall(head(chunked=False, length=8) + b"one")
    environ = ends.environ(kind)
    with body_reader(environ, Pace(Limits())) as read:
        assert read(8) == b"one"
        client.sendall(b"two")
        assert read(5) == b"two"
        client.sendall(b"!!")
        assert read(2) == b"!!"
    if kind == "gunicorn":
        client.sendall(b"GET / HTTP/1.1\r\n")
        assert environ["wsgi.input"].read() == b"", "its own count of what is left was kept"


def test_a_chunk_is_given_as_it_comes(ends: Ends) -> None:
    """Also where its size has come and no byte of it: that is not the end."""
    client = ends.client
    client.sendall(head(chunked=True, length=0) + b"5\r\n")
    with body_reader(ends.environ("gunicorn"), Pace(Limits())) as read:
        client.sendall(b"12")
        assert read(READ_SIZE) == b"12"
        client.sendall(b"345\r\n1\r\n6\r\n0\r\n\r\n")
        assert [read(READ_SIZE), read(READ_SIZE), read(READ_SIZE), read(READ_SIZE)] == [b"345", b"6", b"", b""]


@BOTH
@CODINGS
def test_a_silent_client_is_too_slow(ends: Ends, kind: str, chunked: bool) -> None:
    """The wait ends with its time, and whoever reads on, as a server might, finds the end at once."""
    client, server = ends.client, ends.server
    client.sendall(head(chunked=chunked, length=10) + (b"a\r\n" if chunked else b""))
    environ = ends.environ(kind, chunked=chunked)
    with body_reader(environ, Pace(SOON)) as read, pytest.raises(UploadTooSlow) as caught:
        read(10)
    assert (caught.value.limit, caught.value.allowed) == ("idle_seconds", 0.01)
    assert server.gettimeout() is None
    assert server.recv(1) == b""


@BOTH
@CODINGS
def test_a_client_that_drips_is_too_slow(ends: Ends, kind: str, chunked: bool) -> None:
    """Every byte comes in time, and all of them together do not."""
    client = ends.client
    client.sendall(head(chunked=chunked, length=10) + (b"a\r\n" if chunked else b"") + b"1")
    environ = ends.environ(kind, chunked=chunked)
    clock = iter(range(0, 10_000, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uploadkit.adapters.sockets.time.monotonic", lambda: float(next(clock)))
        with body_reader(environ, Pace(Limits(min_rate="1 MB"))) as read:
            read(1)
            for byte in (b"2", b"3"):
                client.sendall(byte)
                read(1)
            client.sendall(b"4")
            with pytest.raises(UploadTooSlow) as caught:
                read(1)
    assert caught.value.limit == "min_rate"


@BOTH
def test_a_client_that_ends_is_no_error_and_one_that_breaks_off_is(ends: Ends, kind: str) -> None:
    """A half-closed connection is an end: whether it came too early is for the form to say."""
    client, server = ends.client, ends.server
    client.sendall(head(chunked=False, length=10) + b"12")
    with body_reader(ends.environ(kind), Pace(Limits())) as read:
        assert read(10) == b"12"
        client.shutdown(socket.SHUT_WR)
        assert read(10) == b""
        server.sendall(b"an answer that is never read")
        client.close()
        with pytest.raises(ClientDisconnected):
            read(10)


@BOTH
def test_the_servers_socket_is_left_as_it_was(ends: Ends, kind: str) -> None:
    """Its time-out too, and the server's own object stands where it stood."""
    client, server = ends.client, ends.server
    client.sendall(head(chunked=False, length=1) + b"1")
    environ = ends.environ(kind)
    server.settimeout(7)
    with body_reader(environ, Pace(Limits())) as read:
        read(1)
    assert server.gettimeout() == 7
    stream = environ["wsgi.input"]
    assert (stream.reader.unreader.sock if kind == "gunicorn" else stream.raw._sock) is server


def test_a_read_body_waits_for_no_collector(ends: Ends) -> None:
    """It is gone with its request, also where the collector never runs: what reads it does not hold itself. (Under
    chunked coding gunicorn's own parser does, until the body has ended.)"""
    ends.client.sendall(head(chunked=False, length=1) + b"1")
    environ = ends.environ("gunicorn")
    body = weakref.ref(environ["wsgi.input"])
    gc.disable()
    try:
        with body_reader(environ, Pace(Limits())) as read:
            read(1)
        del read
        environ.clear()
        assert body() is None
    finally:
        gc.enable()


def test_no_limit_is_no_timeout(ends: Ends) -> None:
    """Written out, as everywhere."""
    client, server = ends.client, ends.server
    client.sendall(head(chunked=False, length=1))
    with body_reader(ends.environ("gunicorn"), Pace(Limits(idle_seconds=None, min_rate=None))) as read:
        client.sendall(b"1")
        read(1)
        assert server.gettimeout() is None


def test_after_a_wait_that_was_too_long_tls_still_hides_the_answer() -> None:
    """Nothing of it is on the wire in the clear, and the client reads it."""
    ends = [ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)]
    for context in ends:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aNULL:@SECLEVEL=0")  # of a connection without a certificate
    plain_client, plain_server = socket.socketpair()
    shaking = threading.Thread(target=lambda: hands.append(ends[1].wrap_socket(plain_server, server_side=True)))
    hands: list[ssl.SSLSocket] = []
    shaking.start()
    with ends[0].wrap_socket(plain_client) as client:
        shaking.join(10)
        with hands[0] as server:
            client.sendall(head(chunked=False, length=10))
            parsed = next(RequestParser(Config(), server, ("127.0.0.1", 1)))
            environ = {"wsgi.input": parsed.body, "gunicorn.socket": server}
            with body_reader(environ, Pace(SOON)) as read, pytest.raises(UploadTooSlow):
                read(10)
            server.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 408")


def test_a_body_whose_coding_is_broken_is_the_clients_mistake(ends: Ends) -> None:
    """400, and no error of the server."""
    ends.client.sendall(head(chunked=True, length=0) + b"zz\r\n")
    with body_reader(ends.environ("gunicorn"), Pace(Limits())) as read, pytest.raises(MalformedForm):
        read(10)


def test_who_drips_after_an_early_answer_is_not_waited_for_long(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time; all waits together are bounded."""
    monkeypatch.setattr("uploadkit.adapters.wsgi.DRAIN_SECONDS", 0.05)
    ends.client.sendall(head(chunked=False, length=10_000_000))
    environ = ends.environ("gunicorn")
    ended = threading.Event()

    def drip() -> None:
        with suppress(OSError):
            while not ended.wait(0.01):
                ends.client.sendall(b"1")

    dripping = threading.Thread(target=drip)
    dripping.start()
    begun = time.monotonic()
    drain(environ, FileRefused("too large"))
    took = time.monotonic() - begun
    ended.set()
    dripping.join(10)
    assert took < 1


@BOTH
@CODINGS
def test_a_wait_is_interrupted_from_another_thread(ends: Ends, kind: str, chunked: bool) -> None:
    """Soon, and long before the client's time is over. What has come is not lost, and the socket is as it was."""
    client, server, interruption = ends.client, ends.server, Interruption()
    client.sendall(head(chunked=chunked, length=10) + (b"a\r\n" if chunked else b"") + b"12")
    environ = ends.environ(kind, chunked=chunked)
    with body_reader(environ, Pace(Limits()), interruption) as read:
        assert read(2) == b"12"
        reading = threading.Timer(0.01, interruption.interrupt, [FileRefused("no", field="f", filter="x")])
        reading.start()
        begun = time.monotonic()
        with pytest.raises(FileRefused):
            read(10)
        assert time.monotonic() - begun < 5
        reading.join()
    assert server.gettimeout() is None
    client.sendall(b"3")
    assert server.recv(1) == b"3"


def test_only_the_first_interruption_counts() -> None:
    """Whoever is to be told of it is told once, also where it came before."""
    interruption, told = Interruption(), list[BaseException]()
    interruption.check()
    interruption.on_interrupt(told.append)
    first = ValueError("the first")
    interruption.interrupt(first)
    interruption.interrupt(ValueError("another"))
    interruption.on_interrupt(told.append)
    assert told == [first, first]
    with pytest.raises(ValueError, match="the first"):
        interruption.check()
