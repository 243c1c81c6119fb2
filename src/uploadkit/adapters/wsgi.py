"""uploadkit for a plain WSGI application (PEP 3333), and the body of a WSGI request as it arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..errors import ClientDisconnected, UploadError
from ..intake.blocking import kept_if_handled, receive_submission
from ..intake.spec import Spec
from .asgi import body_length
from .problem import PROBLEM_JSON, problem_body

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

T = TypeVar("T")

READ_SIZE = 1 << 16


def receive(
    spec: Spec[T], *, raise_errors: bool = False
) -> Callable[[Callable[[WSGIEnvironment, StartResponse, T], Iterable[bytes]]], WSGIApplication]:
    """Decorates a WSGI application that takes what the spec promises as its third argument.

    Errors are answered with problem details, unless `raise_errors`. Where the application raises before it returns
    its iterable, the files of the request are removed. Raises `TypeError` where the spec has an async filter.
    """
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
                return _problem(error, start_response)

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


def _problem(error: UploadError, start_response: StartResponse) -> Iterable[bytes]:
    body = problem_body(error)
    title = error.problem()["title"]
    headers = [("Content-Type", PROBLEM_JSON), ("Content-Length", str(len(body)))]
    start_response(f"{error.status} {title}", headers)
    return [body]
