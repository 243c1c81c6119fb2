"""uploadkit for a plain WSGI application (PEP 3333), and the body of a WSGI request as it arrives."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..errors import ClientDisconnected, UploadError
from ..intake.blocking import kept_if_handled, receive_submission
from ..intake.spec import Spec, check_spec
from .asgi import body_length
from .problem import PROBLEM_JSON, problem_body

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

T = TypeVar("T")

READ_SIZE = 1 << 16

DRAIN_SIZE = 16 << 20
"""More than the buffers of a fast connection hold: what a client had sent before it could see an early answer."""

DRAIN_SECONDS = 2.0
"""A client that sends no byte for so long is waited for no longer. The same as gunicorn's own patience."""


def receive(
    spec: Spec[T], *, raise_errors: bool = False
) -> Callable[[Callable[[WSGIEnvironment, StartResponse, T], Iterable[bytes]]], WSGIApplication]:
    """Decorates a WSGI application that takes what the spec promises as its third argument.

    Errors are answered with problem details, unless `raise_errors`. Where the application raises before it returns
    its iterable, the files of the request are removed. Raises `TypeError` where the spec has an async filter.
    """
    check_spec(spec)
    spec.check_blocking()

    def decorate(app: Callable[[WSGIEnvironment, StartResponse, T], Iterable[bytes]]) -> WSGIApplication:
        @wraps(app)
        def receiving(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            try:
                length = body_length(environ.get("CONTENT_LENGTH"))
                submission = receive_submission(
                    spec, environ.get("CONTENT_TYPE") or None, body_chunks(environ, length), content_length=length
                )
                with kept_if_handled(spec, submission):
                    return app(environ, start_response, spec.give(submission))
            except UploadError as error:
                if raise_errors:
                    raise
                return _problem(error, environ, start_response)

        return receiving

    return decorate


def body_chunks(environ: WSGIEnvironment, length: int | None) -> Iterator[bytes]:
    """The body of a WSGI request: `length` bytes, or up to its end where the server promises one."""
    stream: Readable = environ["wsgi.input"]
    if length is None and not environ.get("wsgi.input_terminated"):
        return  # PEP 3333: without a length nothing may be read
    rest = length
    while rest is None or rest > 0:
        chunk = read_chunk(stream, READ_SIZE if rest is None else min(READ_SIZE, rest))
        if not chunk:
            return
        if rest is not None:
            rest -= len(chunk)
        yield chunk


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_chunk(stream: Readable, size: int) -> bytes:
    """The next bytes of a request's body. Raises `ClientDisconnected` where the server cannot read on."""
    try:
        return stream.read(size)
    except OSError as error:
        raise ClientDisconnected from error


def drain(environ: WSGIEnvironment) -> None:
    """Reads on after an answer that came before the end of the body, so that the client sees it.

    gunicorn closes a connection after 64 KiB of a rest. That is a reset: a client that still sends gets an error in
    place of its answer. Bounded by bytes and seconds; under another server nothing is done, since its socket is not
    known and reading could wait forever.
    """
    connection = environ.get("gunicorn.socket")
    if connection is None:
        return
    stream: Readable = environ["wsgi.input"]  # gunicorn ends it where the body ends
    rest, end = DRAIN_SIZE, time.monotonic() + DRAIN_SECONDS
    with suppress(OSError):  # the client is gone, or stalls
        patience = connection.gettimeout()
        connection.settimeout(DRAIN_SECONDS)
        try:
            while rest > 0 and time.monotonic() < end and (chunk := stream.read(READ_SIZE)):
                rest -= len(chunk)
        finally:
            connection.settimeout(patience)


def _problem(error: UploadError, environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    body = problem_body(error)
    title = error.problem()["title"]
    headers = [("Content-Type", PROBLEM_JSON), ("Content-Length", str(len(body)))]
    # With an exception: the application may have called it before, and where bytes are out already, that is raised.
    start_response(f"{error.status} {title}", headers, sys.exc_info())
    return _then_drained(body, environ)


def _then_drained(body: bytes, environ: WSGIEnvironment) -> Iterator[bytes]:
    """The server asks for the next block when it has sent this one, which is all that the length promises."""
    yield body
    drain(environ)
