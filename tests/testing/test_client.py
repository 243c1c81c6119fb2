"""The client puts on the wire what it is given, and nothing else; seen from the other end of its connection."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from uploadkit.testing import Answer, Client, FormBuilder, NoAnswer, chunked, request, request_head

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that does nothing by itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        yield listener


@pytest.fixture
def client(listener: socket.socket) -> Iterator[Client]:
    """A client that is connected."""
    with Client(listener.getsockname()[1], timeout=5) as client:
        yield client


@pytest.fixture
def peer(listener: socket.socket, client: Client) -> Iterator[socket.socket]:
    """The other end of the client's connection."""
    peer, _ = listener.accept()
    peer.settimeout(5)
    with peer:
        yield peer


def everything(peer: socket.socket) -> bytes:
    """What the client sent, when it has ended."""
    with closing(peer.makefile("rb")) as sent:
        return sent.read()


def test_it_sends_what_it_is_given(client: Client, peer: socket.socket) -> None:
    """Half a request, and a length that is a lie."""
    client.send(request_head("/profile", "text/plain", "X: y", length=1000), b"not a th", b"ousand")
    client.end()
    assert everything(peer) == (
        b"POST /profile HTTP/1.1\r\nHost: 127.0.0.1\r\nX: y\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n"
        b"not a thousand"
    )


def test_a_whole_request_has_the_length_of_its_body() -> None:
    """A form, as it is."""
    form = FormBuilder().text("title", "Holiday")
    assert request("/", form) == request_head("/", form.content_type, length=len(form.body)) + form.body


def test_chunks_are_coded_as_http_says() -> None:
    """With the last one, which is empty."""
    assert chunked(b"one", b"0123456789abcdef") == b"3\r\none\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"


def test_answers_to_a_pipeline_come_one_by_one(client: Client, peer: socket.socket) -> None:
    """Both are there before the first is read, and an interim one before them."""
    peer.sendall(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + OK + b'{"answer": 1}' + OK + b'{"answer": 2}')
    assert client.interim() == b"HTTP/1.1 100 Continue"
    first = Answer(status=200, content_type="application/json", body=b'{"answer": 1}', closes=False)
    assert client.answer() == first
    assert client.answer().json == {"answer": 2}


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nX: y\r\n", OK + b"half"])
def test_an_answer_that_is_not_whole_is_none(client: Client, peer: socket.socket, sent: bytes) -> None:
    """The server ends the connection before, inside the head, inside the body."""
    peer.sendall(sent)
    peer.close()
    with pytest.raises(NoAnswer):
        client.answer()


def test_an_interim_answer_that_is_not_whole_is_none(client: Client, peer: socket.socket) -> None:
    """It has no empty line."""
    peer.sendall(b"HTTP/1.1 100 Continue\r\n")
    peer.close()
    with pytest.raises(NoAnswer):
        client.interim()


def test_a_server_that_is_silent_is_not_waited_for_without_end(listener: socket.socket) -> None:
    """`timeout`, after which an answer can still come."""
    with Client(listener.getsockname()[1], timeout=0.01) as client:
        peer, _ = listener.accept()
        with pytest.raises(TimeoutError):
            client.answer()
        with peer:
            peer.sendall(OK + b'{"answer": 1}')
            assert client.wait(5)
            assert client.answer().json == {"answer": 1}


def test_it_drips_to_the_end_where_nobody_answers(client: Client, peer: socket.socket) -> None:
    """In pieces of that size, with a silence behind each."""
    begun = time.monotonic()
    assert client.drip(b"0123456789", size=3, every=0.01) == 10
    assert time.monotonic() - begun >= 0.04
    client.end()
    assert everything(peer) == b"0123456789"


def test_it_stops_dripping_when_it_is_answered(client: Client, peer: socket.socket) -> None:
    """A server that has had enough is heard at once, and not after the silence."""
    peer.sendall(OK + b'{"answer": 1}')
    assert client.drip(b"0123456789", every=5) == 1
    assert client.answer().status == 200


def test_it_stops_dripping_when_the_connection_has_ended(client: Client, peer: socket.socket) -> None:
    """A reset is no error of the test's."""
    peer.close()
    assert client.drip(b"0123456789", every=0.01) < 10


def test_after_a_half_close_the_server_can_still_answer(client: Client, peer: socket.socket) -> None:
    """It reads an end."""
    client.end()
    assert everything(peer) == b""
    peer.sendall(OK + b'{"answer": 1}')
    assert client.answer().status == 200


def test_a_reset_is_an_error_for_the_server(client: Client, peer: socket.socket) -> None:
    """In place of an end."""
    client.reset()
    with pytest.raises(ConnectionError):
        peer.recv(1)
