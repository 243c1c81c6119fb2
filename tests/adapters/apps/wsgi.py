"""The routes as a plain WSGI application."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from uploadkit.adapters.wsgi import receive
from uploadkit.intake.spec import Spec

from .routes import handled, server_storage, specs, watched

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_STATUS = {200: "200 OK", 409: "409 Conflict"}


def _endpoint(route: str, spec: Spec[Any]) -> WSGIApplication:
    @receive(spec, progress=watched(route))
    def endpoint(environ: WSGIEnvironment, start_response: StartResponse, received: Any) -> Iterable[bytes]:
        status, answer = handled(route, received)
        body = json.dumps(answer).encode()
        start_response(_STATUS[status], [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return endpoint


_endpoints = {f"/{route}": _endpoint(route, spec) for route, spec in specs(server_storage()).items()}


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Every path is a route; nobody asks for another."""
    return _endpoints[environ["PATH_INFO"]](environ, start_response)
