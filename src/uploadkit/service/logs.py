"""What is logged of requests: a line for each. Whatever else is written meanwhile has the request's id too: `lines`."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..adapters.asgi import Answer
from .exchange import Exchange, Passing
from .lines import request_id
from .parts import Parts
from .problems import Unexpected, answered

__all__ = ["Caught", "Logged", "unexpected"]

_requests = logging.getLogger("uploadkit.service.requests")
_log = logging.getLogger("uploadkit.service")

_ASKED_OFTEN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""By programs, every few seconds: where all is well that is no news."""


class Logged:
    """Around the application: the request's id, its line, and its numbers."""

    def __init__(self, app: ASGIApp, *, parts: Parts) -> None:
        self._app = app
        self._numbers = parts.numbers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passing = Passing(scope, receive, send)
        request_id.set(passing.id)  # to the end of the request's task: the server may still have something to say of it
        scope.setdefault("state", {})["request"] = passing.id
        with self._numbers.under_way(scope):
            try:
                await self._app(scope, passing.receive, passing.send)
            except asyncio.CancelledError:  # the service ends, and answers so
                passing.cut()
                raise
            finally:
                exchange = passing.ended()
                self._numbers.count(exchange)
                words = exchange.method, exchange.path, exchange.status
                _requests.log(_level(exchange), "%s %s %d", *words, extra={"exchange": exchange})


class Caught:
    """Around the routes, inside of all that adds headers: what nobody foresaw is answered here, where it can be."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = Answer(send)
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:
            if answer.begun:  # the server closes the connection, so that nobody takes it for whole
                raise
            await (await unexpected(Request(scope), error))(scope, receive, send)


async def unexpected(request: Request, error: Exception) -> Response:
    """What nobody foresaw is told to the operator, and not to who asked."""
    _log.error("%s failed", request.method, exc_info=error)
    return answered(Unexpected(getattr(request.state, "request", None)))


def _level(exchange: Exchange) -> int:
    if exchange.status >= 500:
        return logging.WARNING
    return logging.DEBUG if exchange.route in _ASKED_OFTEN and exchange.status < 400 else logging.INFO
