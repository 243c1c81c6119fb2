"""uploadkit in a plain ASGI application."""

from __future__ import annotations

from uploadkit import Submission
from uploadkit.adapters.asgi import Receive, Scope, Send, receive

from . import answer, form


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """`/upload` takes a form, every other path is the other route."""
    if scope["type"] == "http" and scope["path"] != "/upload":
        await _say(send, "ok")
    else:
        await upload(scope, receive, send)


@receive(form)
async def upload(scope: Scope, receive: Receive, send: Send, received: Submission) -> None:
    await _say(send, answer(received))


async def _say(send: Send, text: str) -> None:
    body = text.encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
