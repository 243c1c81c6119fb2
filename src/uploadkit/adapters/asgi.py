"""uploadkit for a plain ASGI application, and what every ASGI framework shares: the body as it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from functools import wraps
from typing import Any, TypeAlias, TypeVar

from ..errors import ClientDisconnected, MalformedForm, UploadError
from ..intake.asynchronous import akept_if_handled, areceive_submission
from ..intake.spec import Spec, check_spec
from .problem import PROBLEM_JSON, problem_body

T = TypeVar("T")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def receive(
    spec: Spec[T], *, raise_errors: bool = False
) -> Callable[[Callable[[Scope, Receive, Send, T], Awaitable[None]]], ASGIApp]:
    """Decorates an ASGI application that takes what the spec promises as its fourth argument.

    Errors are answered with problem details, unless `raise_errors`. A client that went away is not answered. Where
    the application raises, the files of the request are removed. A scope that is no HTTP request, such as "lifespan",
    is a `RuntimeError`: by that a server sees that it is not supported.
    """
    check_spec(spec)

    def decorate(app: Callable[[Scope, Receive, Send, T], Awaitable[None]]) -> ASGIApp:
        @wraps(app)
        async def receiving(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                raise RuntimeError(f"a form comes by HTTP, not in a scope of type {scope['type']!r}")
            answer = _Answer(send)
            try:
                content_type, content_length = form_headers(scope["headers"])
                submission = await areceive_submission(
                    spec, content_type, body_chunks(receive), content_length=content_length
                )
                async with akept_if_handled(spec, submission):
                    await app(scope, receive, answer.send, spec.give(submission))
            except UploadError as error:
                if raise_errors or answer.begun:
                    raise
                if not isinstance(error, ClientDisconnected):
                    await _send_problem(send, error)

        return receiving

    return decorate


async def body_chunks(receive: Receive) -> AsyncIterator[bytes]:
    """The body of an ASGI request. Raises `ClientDisconnected` where the client goes away before its end."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        if body := message.get("body", b""):
            yield body
        more = message.get("more_body", False)


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


class _Answer:
    """Notes whether the application has begun to answer: then an error can no longer be answered."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def send(self, message: Message) -> None:
        self.begun = True
        await self._send(message)


async def _send_problem(send: Send, error: UploadError) -> None:
    body = problem_body(error)
    headers = [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
