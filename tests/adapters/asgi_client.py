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
    """What an application has sent. `taken` is how many chunks of the body it asked for before it began to answer,
    `unfinished` are the tasks that it has left behind."""

    messages: list[Message] = field(default_factory=list)
    taken: int = 0
    unfinished: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def status(self) -> int:
        status: int = self.messages[0]["status"]
        return status

    def header(self, name: bytes) -> str | None:
        """The value of a header that is there at most once."""
        values = [value.decode("latin-1") for key, value in self.messages[0]["headers"] if key.lower() == name]
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


def ask(app: Any, form: FormBuilder | None = None, **request: Any) -> Answer:
    """The answer to one request, alone in an event loop. See `aask`."""
    return asyncio.run(aask(app, form, **request))


async def aask(
    app: Any,
    form: FormBuilder | None = None,
    *,
    path: str = "/",
    root_path: str = "",
    method: str = "POST",
    headers: Iterable[tuple[bytes, bytes]] | None = None,
    chunks: Iterable[bytes] | None = None,
    leaves: bool = False,
    leaves_answer: bool = False,
    before_chunk: Callable[[int], Awaitable[object]] | None = None,
    on_start: Callable[[], object] | None = None,
) -> Answer:
    """Sends a form, or `chunks` under `headers`. `leaves`: the client goes away after the last chunk, before it has
    said that this is the end; `leaves_answer`: after the end. `before_chunk` is awaited with a chunk's number before
    it is handed on, `on_start` called when the answer begins."""
    if headers is None:
        headers = headers_of(form) if form is not None else []
    if chunks is None:
        chunks = [form.body] if form is not None else [b""]
    answer = Answer()
    others = asyncio.all_tasks()
    scope = _scope(path, root_path, method, list(headers))
    client = _Client(list(chunks), answer, leaves, leaves_answer, before_chunk, on_start)
    await app(scope, client.receive, client.send)
    for _ in range(3):  # iterators that were left early are closed by tasks of their own, at once
        await asyncio.sleep(0)
    answer.unfinished.extend(asyncio.all_tasks() - others)
    return answer


def headers_of(form: FormBuilder) -> list[tuple[bytes, bytes]]:
    """The headers that a form needs."""
    return [(b"content-type", form.content_type.encode()), (b"content-length", str(len(form.body)).encode())]


@dataclass
class _Client:
    """What a server is to an application. As some servers do, it fails where two ask for a message at once."""

    chunks: list[bytes]
    answer: Answer
    leaves: bool
    leaves_answer: bool
    before_chunk: Callable[[int], Awaitable[object]] | None
    on_start: Callable[[], object] | None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    asked: bool = False
    handed: int = 0

    async def receive(self) -> Message:
        assert not self.asked, "two wait for a message of the server"
        self.asked = True
        try:
            return await self._next()
        finally:
            self.asked = False

    async def _next(self) -> Message:
        if self.handed < len(self.chunks):
            if self.before_chunk is not None:
                await self.before_chunk(self.handed)
            self.handed += 1
            if not self.answer.messages:
                self.answer.taken = self.handed
            more = self.leaves or self.handed < len(self.chunks)
            return {"type": "http.request", "body": self.chunks[self.handed - 1], "more_body": more}
        if not (self.leaves or self.leaves_answer):
            await self.ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self.on_start is not None:
            self.on_start()
        self.answer.messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.ended.set()


def _scope(path: str, root_path: str, method: str, headers: list[tuple[bytes, bytes]]) -> Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path.partition("?")[0],
        "raw_path": path.partition("?")[0].encode(),
        "query_string": path.partition("?")[2].encode(errors="surrogateescape"),
        "root_path": root_path,
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
    }
