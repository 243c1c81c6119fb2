"""A client of one connection that sends exactly the bytes it is given, when it is told to, and ends as it is told.

    with Client(port) as client:
        client.send(request_head("/profile", form.content_type, length=len(form.body)))
        client.drip(form.body, every=1.0)
        answer = client.answer()

It repairs nothing and retries nothing: what a test puts in is what is on the wire, a wrong length or half a request
included. Requests that are sent one behind the other (pipelining) are answered one by one.
"""

from __future__ import annotations

import contextlib
import io
import json
import selectors
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any, Self

from .broken import BrokenForm
from .forms import FormBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response that was read whole. `closes` is whether the server said that the connection ends with it. The names
    of `headers` are in lower case."""

    status: int
    content_type: str
    body: bytes
    closes: bool
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def json(self) -> dict[str, Any]:
        """The body, which is a JSON object."""
        members: dict[str, Any] = json.loads(self.body)
        return members


class NoAnswer(Exception):
    """The server ended the connection without a whole response."""


class Client:
    """One connection, which a `with` closes. Every wait for the server is bounded by `timeout` seconds.

    Raises `OSError` where there is no connection: `ConnectionError` when the server has ended it, `TimeoutError`.
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1", timeout: float = 10) -> None:
        self.socket: socket.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming = _Incoming(_Received(self.socket))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Sending

    def send(self, *pieces: bytes) -> None:
        """Sends all of each piece, and each by itself."""
        for piece in pieces:
            self.socket.sendall(piece)

    def send_what_is_taken(self, data: bytes) -> None:
        """Sends until the server takes no more: it may have answered and gone."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def drip(self, data: bytes, *, size: int = 1, every: float) -> int:
        """Sends `size` bytes, waits `every` seconds, and so on. Returns how many bytes it has sent.

        Those are fewer than there are where the server answers or ends the connection before.
        """
        for at in range(0, len(data), size):
            try:
                self.socket.sendall(data[at : at + size])
            except ConnectionError:
                return at
            if self.wait(every):
                return min(at + size, len(data))
        return len(data)

    def wait(self, seconds: float) -> bool:
        """Stays silent until the server answers or ends the connection, but not longer. Returns whether it did."""
        with selectors.DefaultSelector() as selector:  # `select` knows no descriptor above 1023
            selector.register(self.socket, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    # Ending

    def end(self) -> None:
        """Half-closes (FIN): the server reads an end, and may still answer."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection as a client does that crashed (RST): the server gets an error in place of an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Ends the connection for both sides. Idempotent."""
        self.socket.close()

    # Receiving

    def interim(self) -> bytes:
        """The status line of a 1xx response, which is read and nothing after it. Raises `NoAnswer`."""
        status = self._incoming.readline()
        while self._incoming.readline() != b"\r\n":
            pass
        return status.rstrip(b"\r\n")

    def answer(self) -> Answer:
        """The next response. Raises `NoAnswer`."""
        with HTTPResponse(self._incoming) as response:  # type: ignore[arg-type]  # all that it calls is makefile
            try:
                response.begin()
                body = response.read()
            except (ConnectionError, HTTPException) as error:
                raise NoAnswer from error
            return Answer(
                status=response.status,
                content_type=response.headers.get_content_type(),
                body=body,
                closes=response.will_close,
                headers={name.lower(): value for name, value in response.headers.items()},
            )


def request_head(path: str, content_type: str | None, *headers: str, length: int | None = None) -> bytes:
    """The head of a POST. `length` becomes its Content-Length, true or not; without it there is none."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def request(path: str, form: FormBuilder | BrokenForm, *headers: str) -> bytes:
    """A whole POST of a form, or of what is none."""
    body = form.body
    return request_head(path, form.content_type, *headers, length=len(body)) + body


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


class _Received(io.RawIOBase):
    """What comes in. Unlike a socket's own file it can be read again after a timeout, and keeps no socket open."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer is from Python 3.12
        return self._connection.recv_into(buffer)


class _Incoming(io.BufferedReader):
    """A response closes its file when it was read. The next one is in the same file, perhaps in its buffer already."""

    def makefile(self, mode: str) -> Self:
        return self

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n"):  # `http.client` takes a head that was cut for a whole one
            raise NoAnswer
        return line

    def close(self) -> None:
        pass
