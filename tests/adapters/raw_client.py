"""A client of one connection that sends exactly the bytes it is given, in the pieces it is given, and ends as told.

It repairs nothing and retries nothing: what a test puts in is what is on the wire.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any, Self

from uploadkit.testing import FormBuilder


@dataclass(frozen=True)
class Answer:
    """A response that was read whole. `closes` is whether the server said that the connection ends with it."""

    status: int
    content_type: str
    body: bytes
    closes: bool

    @property
    def json(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(self.body)
        return members


class NoAnswer(Exception):
    """The server ended the connection without a whole response."""


class Client:
    """One connection. Every wait for the server is bounded by `timeout` seconds."""

    def __init__(self, port: int, *, timeout: float = 10) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def send_what_is_taken(self, data: bytes) -> None:
        """Sends until the server takes no more: it may have answered and gone."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def end(self) -> None:
        """Half-closes: the server reads an end, and may still answer."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection as a client does that crashed: the server gets an error in place of an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def interim(self) -> bytes:
        """The status line of a 1xx response, which is read and nothing after it."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(1) or _no_answer()
        return head.partition(b"\r\n")[0]

    def answer(self) -> Answer:
        """The next response. Raises `NoAnswer`."""
        with HTTPResponse(self.socket) as response:
            try:
                response.begin()
                body = response.read()
            except (ConnectionError, HTTPException) as error:
                raise NoAnswer from error
            content_type = response.headers.get_content_type()
            return Answer(response.status, content_type, body, response.will_close)


def _no_answer() -> bytes:
    raise NoAnswer


def head(path: str, content_type: str | None, *headers: str, length: int | None = None) -> bytes:
    """The head of a POST. Without `length` it says nothing of the body's."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def request(path: str, form: FormBuilder, *headers: str) -> bytes:
    """A whole request."""
    body = form.body
    return head(path, form.content_type, *headers, length=len(body)) + body


def chunked(*pieces: bytes) -> bytes:
    """A body in chunked transfer coding, with its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def exchange(port: int, sent: bytes, *, end: bool = False) -> Answer:
    """One request on a connection of its own. With `end` the client half-closes behind it."""
    with Client(port) as client:
        client.send_what_is_taken(sent)
        if end:
            client.end()
        return client.answer()
