"""Resumable uploads as an ASGI application, to be mounted in any other: in FastAPI and Starlette by one line.

app.mount("/files", ResumableApp(ResumableUploads(upload.single("video"))))
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from ..adapters.asgi import Body, Receive, Scope, Send, body_length, path_below, send_answer
from ..errors import ClientDisconnected, UploadError
from .protocol import Answer, Request
from .serving import Server
from .uploads import ResumableUploads

__all__ = ["Owner", "ResumableApp"]

Owner: TypeAlias = Callable[[Scope], "str | Awaitable[str | None] | None"]
"""Says from a scope whose uploads a request is about. What it raises is the application's to answer."""


class ResumableApp:
    """Answers tus and the IETF's draft under the path at which it is mounted.

    `owner` says who asks, and may be async; one that is not is called in the event loop. Nobody sees, continues or
    deletes an upload of somebody else. Where it says None, and without it, uploads are nobody's, and whoever knows the
    address of one may do all that: it has 128 random bits. `allow_origins` as in `Server`.
    """

    def __init__(
        self, uploads: ResumableUploads, *, owner: Owner | None = None, allow_origins: Iterable[str] = ()
    ) -> None:
        self._server = Server(uploads, allow_origins=allow_origins)
        self._owner = owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises `RuntimeError` for a scope that is no HTTP request, such as "lifespan": by that a server sees that it
        is not supported."""
        if scope["type"] != "http":
            raise RuntimeError(f"an upload comes by HTTP, not in a scope of type {scope['type']!r}")
        body = Body(receive)
        try:
            answer = await self._answer(scope, body)
        except ClientDisconnected:
            return
        await send_answer(scope, send, answer.status, answer.whole_headers(), answer.body, body)

    async def _answer(self, scope: Scope, body: Body) -> Answer:
        try:
            asked = None if self._owner is None or scope["method"] == "OPTIONS" else self._owner(scope)
            owner = await asked if inspect.isawaitable(asked) else asked
            path, upload = scope.get("root_path", ""), path_below(scope).strip("/")
            request = request_of(scope, path=f"{path}/", upload=upload, owner=owner)
        except UploadError as error:
            return self._server.refused(error, origin=_headers(scope).get("origin"))
        return await self._server.arespond(request, body)


def request_of(scope: Scope, *, path: str, upload: str, owner: str | None) -> Request:
    """The request of a scope to the uploads at `path`. Raises `MalformedForm` where its Content-Length is none."""
    headers = _headers(scope)
    return Request(
        method=scope["method"],
        path=path,
        upload=upload,
        headers=headers,
        body_length=body_length(headers.get("content-length")),
        owner=owner,
    )


def _headers(scope: Scope) -> dict[str, str]:
    """By their names in lower case; what stands in several lines in one."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
