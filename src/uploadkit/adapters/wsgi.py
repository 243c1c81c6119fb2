"""uploadkit for a plain WSGI application (PEP 3333), and the body of a WSGI request as it arrives."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ClientDisconnected, MalformedForm, UploadError, UploadTooSlow
from ..intake.blocking import kept_if_handled, receive_form
from ..intake.plan import OnProgress
from ..intake.spec import Spec, check_spec
from ..policy.limits import Limits
from ..policy.pace import Pace
from .asgi import body_length
from .problem import DRAIN_SECONDS, DRAIN_SIZE, log_failure, problem_body, problem_headers
from .sockets import READ_SIZE, Interruption, body_reader

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
    its iterable, the files of the request are removed; when it has returned, a pipeline accepts them. Who answers by
    the `write` of PEP 3333 answers before that.
    `progress(environ)` gives the `on_progress` of a request, None where nobody watches it. Raises `TypeError` where the
    spec has an async filter.
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
                answer: Iterable[bytes] = ()
                start = _HeldStart(start_response)
                try:
                    with kept_if_handled(spec, received.submission):
                        answer = app(environ, start, received.given)
                    start.let_go()
                except BaseException:
                    getattr(answer, "close", bool)()  # PEP 3333: the server is not given it
                    raise
                else:
                    return answer
            except UploadError as error:
                if raise_errors:
                    raise
                return _problem(error, environ, start_response)

        return receiving

    return decorate


class _HeldStart:
    """The `start_response` of an application, told to the server when its files were accepted.

    gunicorn, told once more of another answer, sends the headers of both.
    """

    def __init__(self, start_response: StartResponse) -> None:
        self._start = start_response
        self._said: tuple[Any, ...] | None = None
        self._write: Callable[[bytes], object] | None = None
        self._held = True

    def __call__(self, *said: Any) -> Callable[[bytes], object]:
        if not self._held:
            return self._start(*said)
        if self._said is not None and not said[2:]:
            raise AssertionError("start_response was called before")
        self._said = said
        return self._write_at_once

    def let_go(self) -> None:
        """From here calls go to the server, the one that was held first."""
        if self._held and self._said is not None:
            self._write = self._start(*self._said)
        self._held = False

    def _write_at_once(self, data: bytes) -> object:
        self.let_go()
        return None if self._write is None else self._write(data)


def body_chunks(
    environ: WSGIEnvironment, length: int | None, limits: Limits, interruption: Interruption | None = None
) -> Generator[bytes]:
    """The body of a WSGI request: `length` bytes, or up to its end where the server promises one.

    Closed after use: until then the server's socket keeps the pace that `limits` ask for, where it is known. There a
    wait for the client may be interrupted.
    """
    if length is None and not environ.get("wsgi.input_terminated"):
        return  # PEP 3333: without a length nothing may be read
    with body_reader(environ, Pace(limits), interruption) as read:
        rest = length
        while rest != 0 and (chunk := read(READ_SIZE if rest is None else min(READ_SIZE, rest))):
            if rest is not None:
                rest -= len(chunk)
            yield chunk
            del chunk  # the next one takes its place in memory


def drain(environ: WSGIEnvironment, error: Exception | None = None) -> None:
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
    log_failure(error)
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
