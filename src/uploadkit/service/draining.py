"""Answers that come before the end of a body, as refusals do: they are out before a bounded rest of it is read, so that
the client sees the answer, and not that the connection is gone."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..adapters.asgi import Body, close_headers
from ..errors import UploadTooSlow

__all__ = ["Drained", "may_have_body"]

DRIP_SIZE: Final = 2048
"""Who sends fewer bytes after an answer, and does not end, is not waited for again: the server would, for ever."""


class Drained:
    """Around an application: nothing of a body is read here before the answer has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Seen(receive, ended=not may_have_body(scope))
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if not body.ended:
                    message = {**message, "headers": [*message.get("headers", ()), *close_headers(scope, status)]}
            elif not message.get("more_body", False) and not body.ended:
                await send({**message, "more_body": True})
                # Who was too slow before is not waited for again. Where the answer has no end, which it does not need,
                # servers close the connection: there is no other word for that once its head is out.
                if status != UploadTooSlow.status and not await body.comes():
                    return
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self._app(scope, body.receive, answer)


class _Seen(Body):
    """A body that somebody else reads. What is left of it can be drained."""

    def __init__(self, receive: Receive, *, ended: bool) -> None:
        super().__init__(receive)
        self.ended = ended

    async def receive(self) -> Message:
        message = await self._next_message()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self.ended = True
        self.received += len(message.get("body", b""))
        return message

    async def comes(self) -> bool:
        """Drains it: whether it ends, or goes on as a body does that somebody sends."""
        before = self.received
        await self.drain()
        return self.ended or self.received - before >= DRIP_SIZE


def may_have_body(scope: Scope) -> bool:
    """Whether the request says that a body follows (RFC 9112, 6.3; in HTTP/2 a stream may just go on)."""
    names = {name for name, value in scope["headers"] if value != b"0"}
    return bool(names & {b"content-length", b"transfer-encoding"}) or not scope["http_version"].startswith("1.")
