"""Asks an ASGI application in this process, message by message, as a server does: for what no other client can do.

The application decides when it takes the next chunk; a client may go away after any of them. An exception of the
application comes out of `ask`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from uploadkit.testing import FormBuilder

Message: TypeAlias = MutableMapping[str, Any]
Application: TypeAlias = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


@dataclass
class Answer:
    """What an application has sent. `taken` is how many chunks of the body it asked for."""

    messages: list[Message] = field(default_factory=list)
    taken: int = 0

    @property
    def status(self) -> int:
        status: int = self.messages[0]["status"]
        return status

    def header(self, name: bytes) -> str | None:
        """The value of a header that is there at most once."""
        values = [value.decode("latin-1") for key, value in self.messages[0]["headers"] if key == name]
        assert len(values) < 2
        return values[0] if values else None

    @property
    def content_type(self) -> str | None:
        return self.header(b"content-type")

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    app: Any,
    form: FormBuilder | None = None,
    *,
    path: str = "/",
    method: str = "POST",
    headers: Iterable[tuple[bytes, bytes]] | None = None,
    chunks: Iterable[bytes] | None = None,
    leaves: bool = False,
    on_start: Callable[[], object] | None = None,
) -> Answer:
    """Sends a form, or `chunks` under `headers`. `leaves`: the client goes away after the last chunk. `on_start` is
    called when the answer begins."""
    if headers is None:
        headers = headers_of(form) if form is not None else []
    if chunks is None:
        chunks = [form.body] if form is not None else [b""]
    answer = Answer()
    scope = _scope(path, method, list(headers))
    asyncio.run(_ask(app, scope, list(chunks), answer, leaves, on_start))
    return answer


def headers_of(form: FormBuilder) -> list[tuple[bytes, bytes]]:
    """The headers that a form needs."""
    return [(b"content-type", form.content_type.encode()), (b"content-length", str(len(form.body)).encode())]


async def _ask(
    app: Application,
    scope: Message,
    chunks: list[bytes],
    answer: Answer,
    leaves: bool,
    on_start: Callable[[], object] | None,
) -> None:
    ended = asyncio.Event()

    async def receive() -> Message:
        if answer.taken < len(chunks):
            answer.taken += 1
            more = leaves or answer.taken < len(chunks)
            return {"type": "http.request", "body": chunks[answer.taken - 1], "more_body": more}
        if not leaves:
            await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start" and on_start is not None:
            on_start()
        answer.messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            ended.set()

    await app(scope, receive, send)


def _scope(path: str, method: str, headers: list[tuple[bytes, bytes]]) -> Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path.partition("?")[0],
        "raw_path": path.partition("?")[0].encode(),
        "query_string": path.partition("?")[2].encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
    }
