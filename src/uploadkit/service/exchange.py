"""A request and its answer, as they pass: what the log says of them, and what the numbers count.

Nothing of a query is kept, since signatures stand there, and nothing of a header but the request's id.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from json import JSONDecodeError, loads
from secrets import token_hex
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

from ..adapters.problem import PROBLEM_JSON
from ..errors import ClientDisconnected, shortened
from ..records.schema import ID_LENGTH

__all__ = ["Exchange", "Passing"]

PATH_SIZE: Final = 200
"""Characters of a path that are kept: a client may send as many as the server reads."""

MOST_UPLOADS: Final = 100
"""So many ids of a request's uploads are kept. Its batch leads to all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What there is to tell of a request when it is over.

    `route` is the template that its path matched, None where there is none. `received` and `sent` are bytes of the
    bodies. `code` is that of the problem it was answered with. `cut` says who has ended it before its answer was out:
    the "client", whose status is 499 where no answer had begun, or the "service".
    """

    request: str
    method: str
    path: str
    route: str | None
    status: int
    seconds: float
    received: int
    sent: int
    client: str | None
    owner: str | None
    batch: str | None
    uploads: tuple[str, ...]
    code: str | None
    cut: str | None


class Passing:
    """A request that is under way: `receive` and `send` take the place of the server's own."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.id: Final = _id(scope)
        self._scope, self._receive, self._send = scope, receive, send
        self._began = time.perf_counter()
        self._status: int | None = None
        self._received = self._sent = 0
        self._is_problem = self._is_whole = self._has_left = False
        self._code: str | None = None

    async def receive(self) -> Message:
        """The next message of the client."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
        elif not self._is_whole:
            self._has_left = True
            if self._status is None:
                self._status = ClientDisconnected.status
        return message

    async def send(self, message: Message) -> None:
        """Tells the client the request's id with the answer."""
        if message["type"] == "http.response.start":
            self._status = self._status or message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self.id.encode("ascii"))]
            self._is_problem = (b"content-type", PROBLEM_JSON.encode("ascii")) in headers
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            if self._is_problem and body:
                self._code, self._is_problem = _code(body), False
            self._sent += 0 if self._scope["method"] == "HEAD" else len(body)
            self._is_whole = not message.get("more_body", False)
        await self._send(message)

    def cut(self) -> None:
        """The service ends before it has answered."""
        self._status = self._status or 503

    def ended(self) -> Exchange:
        """What there is to tell. Whose it was, and which uploads came with it, the routes have written down: `caller`
        and `owned` in the state of the request."""
        scope, state, named = self._scope, self._scope.get("state", {}), self._scope.get("path_params", {})
        caller, owned = state.get("caller"), state.get("owned")
        batch, uploads = named.get("batch"), [named["upload"]] if "upload" in named else []
        if owned is not None:
            batch, uploads = owned.batch, owned.uploads
        return Exchange(
            request=self.id,
            method=scope["method"],
            path=shortened(scope["path"], PATH_SIZE),
            route=_route(scope),
            status=self._status or 500,
            seconds=time.perf_counter() - self._began,
            received=self._received,
            sent=self._sent,
            client=scope["client"][0] if scope.get("client") else None,
            owner=None if caller is None else caller.owner,
            batch=None if batch is None else shortened(batch, ID_LENGTH),
            uploads=tuple(shortened(upload, ID_LENGTH) for upload in uploads[:MOST_UPLOADS]),
            code=self._code,
            cut="client" if self._has_left else None if self._is_whole else "service",
        )


_SANE = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def _id(scope: Scope) -> str:
    """The one that a proxy has given it, where that is one, or a new one."""
    told = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(told) == 1 and _SANE.fullmatch(told[0]):
        return str(told[0], "ascii")
    return token_hex(16)


def _code(body: bytes) -> str | None:
    try:
        problem: Any = loads(body)
    except (JSONDecodeError, UnicodeDecodeError):
        return None
    code = problem.get("code") if isinstance(problem, Mapping) else None
    return code if isinstance(code, str) else None


def _route(scope: Scope) -> str | None:
    """As it was declared: the endpoint is known when the router has found it."""
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return None
    for route in scope["app"].routes:
        if getattr(route, "endpoint", None) is endpoint:
            path: str | None = getattr(route, "path", None)
            return path
    return None
