"""The sockets below WSGI: gunicorn and werkzeug show theirs, and then a wait for the client can be bounded.

PEP 3333 has no word for it: `wsgi.input.read(n)` returns when n bytes have come, and not before. Below both servers'
own buffers their socket is replaced, while a body is read, by one that keeps the pace; above them what has come is
taken without waiting for more. Under any other server a body is read as the standard has it.
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ..errors import ClientDisconnected, MalformedForm, UploadError
from ..policy.pace import Pace

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

READ_SIZE = 256 << 10
"""Bytes taken at once of what has come. Larger reads are no faster, and smaller ones pay for more calls."""

WHOLE_READ_SIZE = 64 << 10
"""Bytes of a read that returns only when all of them have come: nothing is decided before."""

_SHORTEST_WAIT = 0.001
"""Seconds. A timeout of 0 would mean not to wait at all."""

_LOOK_SECONDS = 0.25
"""So often it is looked, while nothing comes, whether a wait was interrupted."""

Read: TypeAlias = Callable[[int], bytes]
"""The next bytes of a body, at most so many; none at its end. Raises `ClientDisconnected` where it breaks off."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Interruption:
    """Ends the reading of a body from any thread: whoever waits for the client is raised the error, and who would."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._told: list[Callable[[BaseException], object]] = []

    def interrupt(self, error: BaseException) -> None:
        """Nothing more is read. Only the first error counts."""
        with self._lock:
            if self._error is not None:
                return
            self._error, told = error, self._told
        for tell in told:
            tell(error)

    def check(self) -> None:
        """Raises the error, where there is one."""
        if self._error is not None:
            raise self._error

    def on_interrupt(self, tell: Callable[[BaseException], object]) -> None:
        """Has `tell` called with the error, in the thread that interrupts, or at once where that has happened."""
        with self._lock:
            self._told.append(tell)
            error = self._error
        if error is not None:
            tell(error)


@contextmanager
def body_reader(environ: WSGIEnvironment, pace: Pace, interruption: Interruption | None = None) -> Iterator[Read]:
    """Reads the body of a request at a pace, and leaves the server's socket as it was. A wait may be interrupted."""
    stream = environ["wsgi.input"]
    server = _server_of(environ, stream)
    sock = None if server is None else server.socket
    if server is None or sock is None:  # another server, HTTP/2, or a stream that somebody has put in its place
        yield partial(read_whole, stream)
        return
    before = sock.gettimeout()
    server.socket = _PacedSocket(sock, pace, interruption)
    try:
        yield partial(_read, server.read)
    finally:
        server.socket = sock
        with suppress(OSError):  # it is closed already
            sock.settimeout(before)


def _server_of(environ: WSGIEnvironment, stream: Any) -> _Gunicorn | _Werkzeug | None:
    if "gunicorn.socket" in environ and hasattr(stream, "reader"):
        return _Gunicorn(stream)
    return _Werkzeug(stream) if "werkzeug.socket" in environ else None


def read_whole(stream: Readable, size: int) -> bytes:
    """A `Read` of any stream, which waits until `WHOLE_READ_SIZE` bytes have come."""
    return _read(stream.read, min(size, WHOLE_READ_SIZE))


def _read(read: Read, size: int) -> bytes:
    try:
        return read(size)
    except OSError as error:
        raise ClientDisconnected from error


class _PacedSocket:
    """A socket that raises `UploadTooSlow` where the client is slower than its pace."""

    def __init__(self, sock: Any, pace: Pace, interruption: Interruption | None) -> None:
        self._sock = sock
        self._pace = pace
        self._interruption = interruption

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, *args: int) -> bytes:
        data: bytes = self._timed(self._sock.recv, args, len)
        return data

    def recv_into(self, *args: Any) -> int:
        size: int = self._timed(self._sock.recv_into, args, int)
        return size

    def _timed(self, receive: Callable[..., Any], args: tuple[Any, ...], size_of: Callable[[Any], int]) -> Any:
        patience, begun = self._pace.patience, time.monotonic()
        try:
            received = self._waited(partial(receive, *args), patience)
        except TimeoutError:
            self._shut()
            raise self._pace.give_up(time.monotonic() - begun) from None
        try:
            self._pace.count(time.monotonic() - begun, size_of(received))
        except BaseException:
            self._shut()
            raise
        return received

    def _waited(self, receive: Callable[[], Any], patience: float | None) -> Any:
        """In one wait, or in short ones where somebody may interrupt it. Raises `TimeoutError`."""
        rest = math.inf if patience is None else max(patience, _SHORTEST_WAIT)
        while True:
            wait = rest if self._interruption is None else min(rest, _LOOK_SECONDS)
            self._sock.settimeout(None if wait == math.inf else wait)
            try:
                return receive()
            except TimeoutError:
                rest -= wait
                if self._interruption is None or rest <= 0:
                    raise
                self._interruption.check()

    def _shut(self) -> None:
        """Nobody reads on: a server that would wait for the rest of the body finds its end."""
        with suppress(OSError):
            # The plain socket's method: that of `ssl` drops the encryption, and the answer would go out in the clear.
            shutdown = socket.socket.shutdown if isinstance(self._sock, ssl.SSLSocket) else type(self._sock).shutdown
            shutdown(self._sock, socket.SHUT_RD)


class _Gunicorn:
    """gunicorn's `Body`. What came with the head lies in its `unreader`, all else is still in the socket."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._reader = body.reader
        owner = getattr(body.reader, "unreader", None) or getattr(getattr(body.reader, "req", None), "unreader", None)
        self._unreader: Any = owner if hasattr(owner, "sock") else None
        self._has_length = hasattr(body.reader, "length")

    @property
    def socket(self) -> Any:
        # A chunked body that breaks off has to be known as such to gunicorn: before 27 it would parse on behind it.
        known = self._has_length or (hasattr(self._reader, "parser") and hasattr(self._body, "failed"))
        return self._unreader.sock if known and self._unreader is not None else None

    @socket.setter
    def socket(self, sock: Any) -> None:
        self._unreader.sock = sock

    def read(self, size: int) -> bytes:
        held = self._body.buf.tell()
        if held:  # somebody has read a line of it
            data: bytes = self._body.read(min(size, held))
            return data
        try:
            return self._take_of_length(size) if self._has_length else self._take_of_chunks(size)
        except BaseException as error:
            self._body.failed = True  # where the next request begins is unknown: the connection ends
            if isinstance(error, OSError | UploadError) or not isinstance(error, Exception):
                raise
            raise MalformedForm("the body is not coded as its Transfer-Encoding says") from error

    def _take_of_length(self, size: int) -> bytes:
        size = min(size, self._reader.length)
        held = self._unreader.buf.getbuffer().nbytes
        data: bytes = self._unreader.read(min(size, held)) if held else self._unreader.sock.recv(size)
        self._reader.length -= len(data)
        return data

    def _take_of_chunks(self, size: int) -> bytes:
        """A chunk of the coding, or a part of one, as the server's own parser has it, which may be more than `size`."""
        reader = self._reader
        if held := reader.buf.tell():
            rest: bytes = reader.read(held)
            return rest
        data: bytes
        for data in reader.parser or ():
            if data:  # it gives an empty piece where a chunk's size has come before the chunk
                return data
        reader.parser = None
        return b""


class _Werkzeug:
    """werkzeug's development server: a buffered file over the socket, under chunked coding inside another."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._raw = getattr(getattr(stream, "_rfile", stream), "raw", None)

    @property
    def socket(self) -> Any:
        return getattr(self._raw, "_sock", None)

    @socket.setter
    def socket(self, sock: Any) -> None:
        self._raw._sock = sock  # type: ignore[union-attr]  # it has one: it was read before

    def read(self, size: int) -> bytes:
        take_one = getattr(self._stream, "read1", None)  # what is there; under chunked coding there is no such thing
        data: bytes = self._stream.read(min(size, WHOLE_READ_SIZE)) if take_one is None else take_one(size)
        return data
