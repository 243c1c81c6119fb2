"""The routes as a plain ASGI application."""

from __future__ import annotations

import json
from typing import Any

from uploadkit.adapters.asgi import ASGIApp, Receive, Scope, Send, receive
from uploadkit.intake.spec import Spec

from .routes import ahandled, server_storage, specs, watched


def _endpoint(route: str, spec: Spec[Any]) -> ASGIApp:
    @receive(spec, progress=watched(route))
    async def endpoint(scope: Scope, receive: Receive, send: Send, received: Any) -> None:
        status, answer = await ahandled(route, received)
        body = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return endpoint


_endpoints = {f"/{route}": _endpoint(route, spec) for route, spec in specs(server_storage()).items()}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Every path is a route; nobody asks for another. There is no lifespan, which uvicorn takes from the KeyError."""
    await _endpoints[scope["path"]](scope, receive, send)
