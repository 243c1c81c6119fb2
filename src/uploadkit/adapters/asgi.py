"""uploadkit for a plain ASGI application, and what every ASGI framework shares: the body as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from functools import wraps
from typing import Any, Self, TypeAlias, TypeVar, cast

from ..errors import ClientDisconnected, MalformedForm, UploadError, UploadTooSlow
from ..intake.asynchronous import akept_if_handled, areceive_form
from ..intake.plan import OnProgress
from ..intake.spec import Spec, check_spec
from .problem import DRAIN_SECONDS, DRAIN_SIZE, log_failure, problem_body, problem_headers

T = TypeVar("T")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def receive(
    spec: Spec[T], *, raise_errors: bool = False, progress: Callable[[Scope], OnProgress | None] | None = None
) -> Callable[[Callable[[Scope, Receive, Send, T], Awaitable[None]]], ASGIApp]:
    """Decorates an ASGI application that takes what the spec promises as its fourth argument.

    Errors are answered with problem details, unless `raise_errors`. A client that went away is not answered. Where
    the application raises, the files of the request are removed. A pipeline accepts them when the application begins
    to answer, before anything of that is sent. `progress(scope)` gives the `on_progress` of a
    request, None where nobody watches it. A scope that is no HTTP request, such as "lifespan",
    is a `RuntimeError`: by that a server sees that it is not supported.
    """
    check_spec(spec)

    def decorate(app: Callable[[Scope, Receive, Send, T], Awaitable[None]]) -> ASGIApp:
        @wraps(app)
        async def receiving(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                raise RuntimeError(f"a form comes by HTTP, not in a scope of type {scope['type']!r}")
            answer, body = Answer(send), Body(receive)
            try:
                content_type, content_length = form_headers(scope["headers"])
                received = await areceive_form(
                    spec,
                    content_type,
                    body,
                    content_length=content_length,
                    on_progress=None if progress is None else progress(scope),
                )
                async with akept_if_handled(spec, received.submission) as kept:
                    answer.before = kept.accept
                    await app(scope, receive, answer.send, received.given)
            except UploadError as error:
                if raise_errors or answer.begun:
                    raise
                if not isinstance(error, ClientDisconnected):
                    await send_problem(scope, send, error, body)

        return receiving

    return decorate


class Body:
    """The body of an ASGI request as it arrives. Raises `ClientDisconnected` where the client goes away before its end.

    `received` is in bytes; `ended` is whether all of it has come.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.received: int = 0
        self.ended: bool = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self.ended:
            message = await self._next_message()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            self.ended = not message.get("more_body", False)
            if chunk := message.get("body", b""):
                self.received += len(chunk)
                return cast(bytes, chunk)
        raise StopAsyncIteration

    async def _next_message(self) -> Message:
        return await self._receive()

    async def drain(self) -> None:
        """Reads on after an answer that came before the end, so that the client sees it and not a reset."""
        most = self.received + DRAIN_SIZE
        with suppress(TimeoutError, ClientDisconnected):
            async with asyncio.timeout(DRAIN_SECONDS):
                async for _ in self:
                    if self.received > most:
                        return


def form_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str | None, int | None]:
    """Content-Type and Content-Length of a request. Raises `MalformedForm` where one is there twice or is no length."""
    values: dict[bytes, str] = {}
    for raw_name, value in headers:
        name = raw_name.lower()
        if name in (b"content-type", b"content-length"):
            if name in values:
                raise MalformedForm(f"the request has more than one {name.decode('ascii')} header")
            values[name] = value.decode("latin-1")
    return values.get(b"content-type"), body_length(values.get(b"content-length"))


def body_length(content_length: str | None) -> int | None:
    """The bytes that a Content-Length promises, None where there is none. Raises `MalformedForm`."""
    if not content_length:
        return None
    if not (content_length.isascii() and content_length.isdigit() and len(content_length) < 20):
        raise MalformedForm("the Content-Length is no length")
    return int(content_length)


class Answer:
    """Notes whether the application has begun to answer: then an error can no longer be answered. `before` it begins
    something may have to be done; where that raises, nothing is sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.before: Callable[[], Awaitable[None]] | None = None
        self.begun: bool = False

    async def send(self, message: Message) -> None:
        if not self.begun and self.before is not None:
            await self.before()
        self.begun = True
        await self._send(message)


async def send_problem(scope: Scope, send: Send, error: UploadError, body: Body) -> None:
    """Answers with problem details: see `send_answer`."""
    log_failure(error)
    answer = problem_body(error)
    headers = problem_headers(error) | {"Content-Length": str(len(answer))}
    await send_answer(scope, send, error.status, headers, answer, body)


async def send_answer(
    scope: Scope, send: Send, status: int, headers: Mapping[str, str], answer: bytes, body: Body
) -> None:
    """Answers, and reads a bounded rest of the request's body before it lets the server go on.

    The answer is out before the rest is read. What comes after that rest is the server's to read or to cut off.
    """
    raw_headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    raw_headers += close_headers(scope, status)
    await send({"type": "http.response.start", "status": status, "headers": raw_headers})
    await send({"type": "http.response.body", "body": answer, "more_body": not body.ended})
    if not body.ended:
        if status != UploadTooSlow.status:  # who was is not waited for again
            await body.drain()
        await send({"type": "http.response.body", "body": b""})


def close_headers(scope: Scope, status: int) -> list[tuple[bytes, bytes]]:
    """Ends the connection of who was too slow (RFC 9110 §15.5.9), which goes on dripping otherwise.

    Nobody else's: curl stops sending at an early answer, but not where that says that the connection is closed; it
    goes on then until it is reset. HTTP/2 and 3 have no such header, and end a stream without one.
    """
    closes = status == UploadTooSlow.status and scope["http_version"].startswith("1.")
    return [(b"connection", b"close")] if closes else []


def path_below(scope: Scope) -> str:
    """The path below the one at which the application is mounted. What a proxy has taken off, and `root_path` begins
    with, servers put back, as the specification has it, or do not: it is the `app_root_path` that Starlette notes."""
    root, path = scope.get("root_path", ""), scope["path"]
    for prefix in (root, root.removeprefix(scope.get("app_root_path", ""))):
        if path == prefix or path.startswith(f"{prefix}/"):
            return str(path[len(prefix) :])
    return str(path)
