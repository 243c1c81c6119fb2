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

from .asgi import Message, Receive, Send

T = TypeVar("T")
P = ParamSpec("P")


class UnreadBody:
    """A request's body, with the `receive` and `send` that a framework is given in place of the server's.

    `ended` and `gone` say what the view has received last: the end of the body, or that the client is gone.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self.ended = False
        self.gone = False
        self._receive = receive
        self._send = send
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
        """Sends for the framework. What is said to a client that is gone, some servers would take for an error."""
        if not self.gone:
            await self._ask_server(self._send, message)

    async def for_view(self) -> Message:
        """The server's next message, for a view in the event loop."""
        message = await self.for_thread()
        if self.ended:
            self._handed_back.set()
        return message

    async def for_thread(self) -> Message:
        """The server's next message, for a view in a thread, which hands back itself when it waits for no more."""
        message = await self._ask_server(self._receive)
        self.gone = message["type"] == "http.disconnect"
        self.ended = not self.gone and not message.get("more_body", False)
        return message

    def hand_back(self) -> None:
        """From a thread: the rest of the server's messages is the framework's."""
        self._loop.call_soon_threadsafe(self._handed_back.set)

    async def _ask_server(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls the server in the context that it gave the request.

        A server that resumes reading in a call is from then on told of what arrives in the caller's context, and so
        begins the connection's next request in it: asgiref has its threads there, which have ended then.
        """
        return await self._loop.create_task(_result(call, *args, **kwargs), context=self._context)


async def _result(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    return await call(*args, **kwargs)
