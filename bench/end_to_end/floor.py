"""The floor: the raw body to a file, as plainly as a server allows. Nothing is parsed and no text value is read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .told import destination

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from uploadkit.adapters.asgi import Receive, Scope, Send

READ_SIZE = 2**18


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """Writes each chunk as it comes."""
    assert scope["type"] == "http"
    if scope["path"] == "/upload":
        with destination().open("wb", buffering=0) as file:
            more = True
            while more:
                message = await receive()
                file.write(message.get("body", b""))
                more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"||"})


def wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Reads and writes 256 KiB at a time."""
    if environ["PATH_INFO"] == "/upload":
        left = int(environ["CONTENT_LENGTH"])
        with destination().open("wb", buffering=0) as file:
            while left and (data := environ["wsgi.input"].read(min(left, READ_SIZE))):
                file.write(data)
                left -= len(data)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"||"]
