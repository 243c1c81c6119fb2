"""The body of an ASGI request beneath a framework that takes the whole of it before a view runs.

The framework is told at once that the body is empty and has ended; the view takes what really arrives. What the
framework asks for next, and expects to be a disconnect, waits until the view has received the body's end: nobody asks
the server for a message while another waits for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from ..errors import UploadTooSlow
from .asgi import Body, Message, Receive, Scope, Send, close_headers

T = TypeVar("T")
P = ParamSpec("P")


class UnreadBody(Body):
    """A request's body, which the view reads, in the event loop or in a thread.

    With it come the `receive` and `send` that a framework is given in place of the server's.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(receive)
        self._scope = scope
        self._send = send
        self._gone = False
        self._status = 0
        self._told = False
        self._handed_back = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()

    async def for_framework(self) -> Message:
        """An empty body, and then, when the view has handed back the server's `receive`, what that says.

        Where the view leaves the body unread, as after a refusal, or finds that the client is gone, that never comes:
        the framework answers meanwhile, and waits no longer.
        """
        if not self._told:
            self._told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._handed_back.wait()
        return await self._ask_server(self._receive)

    async def send(self, message: Message) -> None:
        """Sends for the framework, and reads a bounded rest of the body before the end of an early answer.

        What is said to a client that is gone, some servers would take for an error.
        """
        if self._gone:
            return
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if not self.ended:
                closing = close_headers(self._scope, self._status)
                message = {**message, "headers": [*message.get("headers", ()), *closing]}
        elif not message.get("more_body", False) and not self.ended:
            await self._ask_server(self._send, {**message, "more_body": True})
            if self._status != UploadTooSlow.status:
                await self.drain()
            message = {"type": "http.response.body", "body": b""}
        await self._ask_server(self._send, message)

    def hand_back(self) -> None:
        """The view waits for no more: the rest of the server's messages is the framework's. From any thread."""
        self._loop.call_soon_threadsafe(self._handed_back.set)

    async def _next_message(self) -> Message:
        message = await self._ask_server(self._receive)
        self._gone = message["type"] == "http.disconnect"
        return message

    async def _ask_server(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls the server in the context that it gave the request.

        A server that resumes reading in a call is from then on told of what arrives in the caller's context, and so
        begins the connection's next request in it: asgiref has its threads there, which have ended then.
        """
        return await self._loop.create_task(_result(call, *args, **kwargs), context=self._context)


async def _result(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    return await call(*args, **kwargs)
