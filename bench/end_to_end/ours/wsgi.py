"""uploadkit in a plain WSGI application."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from uploadkit import Submission
from uploadkit.adapters.wsgi import receive

from . import answer, form

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """`/upload` takes a form, every other path is the other route."""
    if environ["PATH_INFO"] != "/upload":
        return _say(start_response, "ok")
    return upload(environ, start_response)


@receive(form)
def upload(environ: WSGIEnvironment, start_response: StartResponse, received: Submission) -> Iterable[bytes]:
    return _say(start_response, answer(received))


def _say(start_response: StartResponse, text: str) -> Iterable[bytes]:
    body = text.encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
