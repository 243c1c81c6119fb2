"""uploadkit for a plain WSGI application (PEP 3333), and the body of a WSGI request as it arrives."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from functools import wraps
from typing import TYPE_CHECKING, TypeVar

from ..errors import ClientDisconnected, MalformedForm, UploadError, UploadTooSlow
from ..intake.blocking import kept_if_handled, receive_form
from ..intake.plan import OnProgress
from ..intake.spec import Spec, check_spec
from ..policy.limits import Limits
from ..policy.pace import Pace
from .asgi import body_length
from .problem import DRAIN_SECONDS, DRAIN_SIZE, problem_body, problem_headers
from .sockets import READ_SIZE, body_reader

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

T = TypeVar("T")


def receive(
    spec: Spec[T],
    *,
    raise_errors: bool = False,
    progress: Callable[[WSGIEnvironment], OnProgress | None] | None = None,
) -> Callable[[Callable[[WSGIEnvironment, StartResponse, T], Iterable[bytes]]], WSGIApplication]:
    """Decorates a WSGI application that takes what the spec promises as its third argument.

    Errors are answered with problem details, unless `raise_errors`. Where the application raises before it returns
    its iterable, the files of the request are removed. `progress(environ)` gives the `on_progress` of a request, None
    where nobody watches it. Raises `TypeError` where the spec has an async filter.
    """
    check_spec(spec)
    spec.check_blocking()

    def decorate(app: Callable[[WSGIEnvironment, StartResponse, T], Iterable[bytes]]) -> WSGIApplication:
        @wraps(app)
        def receiving(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            try:
                length = body_length(environ.get("CONTENT_LENGTH"))
                with closing(body_chunks(environ, length, spec.limits)) as chunks:
                    received = receive_form(
                        spec,
                        environ.get("CONTENT_TYPE") or None,
                        chunks,
                        content_length=length,
                        on_progress=None if progress is None else progress(environ),
                    )
                with kept_if_handled(spec, received.submission):
                    return app(environ, start_response, received.given)
            except UploadError as error:
                if raise_errors:
                    raise
                return _problem(error, environ, start_response)

        return receiving

    return decorate


def body_chunks(environ: WSGIEnvironment, length: int | None, limits: Limits) -> Generator[bytes]:
    """The body of a WSGI request: `length` bytes, or up to its end where the server promises one.

    Closed after use: until then the server's socket keeps the pace that `limits` ask for, where it is known.
    """
    if length is None and not environ.get("wsgi.input_terminated"):
        return  # PEP 3333: without a length nothing may be read
    with body_reader(environ, Pace(limits)) as read:
        rest = length
        while rest != 0 and (chunk := read(READ_SIZE if rest is None else min(READ_SIZE, rest))):
            if rest is not None:
                rest -= len(chunk)
            yield chunk
            del chunk  # the next one takes its place in memory


def drain(environ: WSGIEnvironment, error: Exception) -> None:
    """Reads on after an answer that came before the end of the body, so that the client sees it.

    gunicorn closes a connection after 64 KiB of a rest. That is a reset: a client that still sends gets an error in
    place of its answer. Bounded by bytes and seconds; who was too slow is not waited for again. Under another server
    nothing is done, since its socket is not known and reading could wait forever.
    """
    if "gunicorn.socket" not in environ or isinstance(error, UploadTooSlow):
        return
    rest = DRAIN_SIZE
    pace = Pace(_DRAINED, grace_seconds=DRAIN_SECONDS)
    with suppress(ClientDisconnected, MalformedForm, UploadTooSlow), body_reader(environ, pace) as read:
        while rest > 0 and (chunk := read(READ_SIZE)):  # gunicorn ends it where the body ends
            rest -= len(chunk)


_DRAINED = Limits(idle_seconds=DRAIN_SECONDS, min_rate=1 << 40)
"""A rate that nobody has: what is sent meanwhile earns no time, and all waits together are bounded."""


def _problem(error: UploadError, environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    body = problem_body(error)
    title = error.problem()["title"]
    headers = [*problem_headers(error).items(), ("Content-Length", str(len(body)))]
    # With an exception: the application may have called it before, and where bytes are out already, that is raised.
    start_response(f"{error.status} {title}", headers, sys.exc_info())
    return _then_drained(body, environ, error)


def _then_drained(body: bytes, environ: WSGIEnvironment, error: UploadError) -> Iterator[bytes]:
    """The server asks for the next block when it has sent this one, which is all that the length promises."""
    yield body
    drain(environ, error)
