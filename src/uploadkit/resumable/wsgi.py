"""Resumable uploads as a WSGI application, and what the frameworks of WSGI share: a request's answer, and its body.

app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/files": ResumableWSGIApp(uploads)})
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from http.client import responses
from typing import TYPE_CHECKING, Any, TypeAlias

from ..adapters.asgi import body_length
from ..adapters.sockets import Interruption
from ..adapters.wsgi import body_chunks, drain
from ..errors import ClientDisconnected, MalformedUpload, UploadError, UploadTooSlow
from .protocol import Answer, Request
from .serving import Server
from .uploads import ResumableUploads, is_async

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["Owner", "ResumableWSGIApp"]

Owner: TypeAlias = "Callable[[WSGIEnvironment], str | None]"
"""Says from an environment whose uploads a request is about. What it raises is the application's to answer."""

Chunks: TypeAlias = Callable[[int | None, Interruption], Generator[bytes]]
"""Reads the body of a request: `length` bytes, None where that is not known."""


class ResumableWSGIApp:
    """The WSGI twin of `ResumableApp`: answers tus and the IETF's draft under the path at which it is mounted.

    `owner` and `allow_origins` as there. Raises `TypeError` where the owner, the handler or a filter is async.
    """

    def __init__(
        self, uploads: ResumableUploads, *, owner: Owner | None = None, allow_origins: Iterable[str] = ()
    ) -> None:
        check_blocking(uploads, owner)
        self._server = Server(uploads, allow_origins=allow_origins)
        self._owner = owner

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        """Answers a request. After an answer that came early a bounded rest of its body is read."""
        limits = self._server.uploads.spec.limits

        def chunks(length: int | None, interruption: Interruption) -> Generator[bytes]:
            return body_chunks(environ, length, limits, interruption)

        asked = Asked(self._server, environ, chunks)
        answer = asked.answer(
            path=f"{_decoded(environ.get('SCRIPT_NAME', ''))}/",
            upload=_decoded(environ.get("PATH_INFO", "")).strip("/"),
            owner=None if self._owner is None else partial(self._owner, environ),
        )
        start_response(status_line(answer), list(answer.whole_headers().items()))
        return _then(answer.body, asked.drain)


class Asked:
    """A request of WSGI to `server`. `chunks` reads its body."""

    def __init__(self, server: Server, environ: WSGIEnvironment, chunks: Chunks) -> None:
        self._server = server
        self._environ = environ
        self._chunks = chunks
        self._drains = environ["REQUEST_METHOD"] in ("POST", "PATCH", "PUT")

    def answer(self, *, path: str, upload: str, owner: Callable[[], str | None] | None) -> Answer:
        """What the request is answered; `path` and `upload` as in `Request`. Raises what `owner` raises, and what is no
        `UploadError`."""
        try:
            request = request_of(self._environ, path=path, upload=upload)
            if owner is not None and request.method != "OPTIONS":
                request = replace(request, owner=owner())
            interruption = Interruption()
            with closing(self._body(request.body_length, interruption)) as body:
                answer = self._server.respond(request, body, interruption=interruption)
        except UploadError as error:
            answer = self._server.refused(error, origin=self._environ.get("HTTP_ORIGIN"))
        self._drains = self._drains and answer.status not in _NOBODY_WAITS
        return replace(answer, body=b"") if self._environ["REQUEST_METHOD"] == "HEAD" else answer

    def drain(self) -> None:
        """To be called when the answer is out: reads on, so that the client sees it. See `adapters.wsgi.drain`."""
        if self._drains:
            drain(self._environ)

    def _body(self, length: int | None, interruption: Interruption) -> Generator[bytes]:
        """A body that ends early is one whose client is gone: an end is where the Content-Length says."""
        come = 0
        with closing(self._chunks(length, interruption)) as chunks:
            for chunk in chunks:
                come += len(chunk)
                yield chunk
                del chunk  # the next one takes its place in memory
        if length is not None and come < length:
            raise ClientDisconnected
        self._drains = False


_NOBODY_WAITS = (ClientDisconnected.status, UploadTooSlow.status)


def request_of(environ: WSGIEnvironment, *, path: str, upload: str) -> Request:
    """The request of an environment, of nobody yet. Raises `MalformedForm` where its Content-Length is none, and
    `MalformedUpload` where the server leaves it to the application to find the end of the body (PEP 3333)."""
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value.strip()
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
    if (
        "transfer-encoding" in headers
        and not headers.get("content-length")
        and not environ.get("wsgi.input_terminated")
    ):
        raise MalformedUpload("behind this server a body has a Content-Length", status=411)
    return Request(
        method=environ["REQUEST_METHOD"],
        path=path,
        upload=upload,
        headers=headers,
        body_length=body_length(environ.get("CONTENT_LENGTH")),
    )


def check_blocking(uploads: ResumableUploads, owner: Callable[..., Any] | None) -> None:
    """Raises `TypeError` where the owner, the handler or a filter is async."""
    uploads.check_blocking()
    if is_async(owner):
        raise TypeError("an async owner needs an async application; elsewhere it is a plain function")


def status_line(answer: Answer) -> str:
    """Status and phrase; those that nobody has registered have none of their own."""
    return f"{answer.status} {responses.get(answer.status, 'Client Error' if answer.status < 500 else 'Server Error')}"


def _decoded(path: str) -> str:
    """PEP 3333 has the bytes of a path as characters."""
    return path.encode("latin-1").decode("utf-8", "replace")


def _then(body: bytes, drain: Callable[[], None]) -> Iterator[bytes]:
    """The server asks for the next block when it has sent this one, which is all that the length promises."""
    yield body
    drain()
