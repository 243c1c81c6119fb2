"""What happens to an upload, as it happens: server-sent events. What counts is the ledger; facts, which come from all
processes, only say when to look. A stream ends by itself, and is bounded by all that a client could make it last.

sse-starlette would do: it replaces `uvicorn.Server.handle_exit` for the whole process, asks twice a second whether that
was called, in a task that stays, and has four tasks for each stream. This has one, and none that stays.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..errors import LedgerFailed, RecordMissing
from .callers import Caller
from .hearing import Waiter
from .parts import parts_of
from .shown import shown
from .uploads import owned

__all__ = ["events"]

HEARTBEAT_SECONDS: Final = 15.0
"""So often something is sent: proxies end a connection on which nothing comes, after 60 seconds or sooner."""

PAUSE_SECONDS: Final = 0.1
"""So long a stream does not look again after it has looked, whatever is told."""

SEND_SECONDS: Final = 15.0
"""So long a client may take nothing of what is sent."""

LONGEST_SECONDS: Final = 3600.0
"""So long a stream lasts. Who follows on asks again, and says by Last-Event-ID what it has seen."""


async def events(request: Request, caller: Caller) -> Response:
    """What is known of an upload, and then each change of that, until it is settled.

    Each event is a `status`, with the same JSON as `GET /uploads/{id}`; its id stands for that, and what the client has
    seen by its Last-Event-ID is not sent again. 204, which ends what a browser asks for again and again, where it has
    seen all.
    """
    parts = parts_of(request)
    record = await owned(parts, caller, request.path_params["upload"])
    return _Stream(request, caller, record.id, seen=request.headers.get("last-event-id"))


@dataclass(frozen=True, slots=True)
class _Event:
    id: str
    data: bytes
    is_last: bool

    def encoded(self) -> bytes:
        return b"event: status\nid: %s\ndata: %s\n\n" % (self.id.encode(), self.data)


class _Stream(Response):
    """The answer. It begins when there is room for it, and ends when the upload is settled, the client is gone or takes
    nothing, the server stops, or an hour is over."""

    media_type = "text/event-stream"

    def __init__(self, request: Request, caller: Caller, upload: str, *, seen: str | None) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._request = request
        self._parts = parts_of(request)
        self._caller = caller
        self._upload = upload
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._parts.watch.waiting(self._caller, self._upload) as waiter:
            event = await self._look()
            if event.is_last and event.id == self._seen:
                await Response(status_code=204, headers=_HEADERS)(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                leaving = asyncio.create_task(_end_when_gone(receive, waiter))
                try:
                    await self._follow(event, waiter, send)
                except TimeoutError:  # nor would the client take the end
                    return
                finally:
                    leaving.cancel()
                    await asyncio.gather(leaving, return_exceptions=True)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _follow(self, event: _Event, waiter: Waiter, send: Send) -> None:
        """Raises `TimeoutError` where the client takes nothing."""
        now = asyncio.get_running_loop().time
        ends, beats = now() + LONGEST_SECONDS, now()
        while True:
            told = b"" if now() < beats else b":\n\n"
            if event.id != self._seen:
                self._seen, told = event.id, event.encoded()
            if told:
                async with asyncio.timeout(SEND_SECONDS):
                    await send({"type": "http.response.body", "body": told, "more_body": True})
                beats = now() + HEARTBEAT_SECONDS
            if event.is_last or now() >= ends:
                return
            await asyncio.sleep(PAUSE_SECONDS)
            if not await waiter.wait(min(self._parts.watch.look_seconds, beats - now())):
                return
            try:
                event = await self._look()
            except LedgerFailed:  # the next look may see it
                continue
            except RecordMissing:
                return

    async def _look(self) -> _Event:
        told = shown(self._request, await self._parts.pipeline.astatus(self._upload))
        data = json.dumps(told, separators=(",", ":")).encode("ascii")
        return _Event(hashlib.sha256(data).hexdigest()[:16], data, told["is_settled"])


_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx sends on what comes at once


async def _end_when_gone(receive: Receive, waiter: Waiter) -> None:
    """Whatever comes of a body before that is let go."""
    while (await receive())["type"] != "http.disconnect":
        pass
    waiter.end()
