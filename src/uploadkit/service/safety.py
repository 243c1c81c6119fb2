"""Headers of safety for every answer, and requests that a browser was made to send from elsewhere.

A page of another site can have its visitor's browser send a form to any address, also to `127.0.0.1`, without asking;
and by a name of its own that leads there it could even read the answer. So who calls by a name that is not the
service's, and what another page sends, is refused before anything of it is read or counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..adapters.asgi import path_below
from ..resumable.serving import ANSWER_HEADERS, REQUEST_HEADERS
from .draining import Drained
from .problems import Refused, answered
from .settings import Settings

__all__ = ["Safe", "cors", "is_loopback"]

DEFAULTS: Final = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
"""What an answer has that says nothing else of it: the page and files do."""

HSTS: Final = b"max-age=31536000"
"""For this name alone: what else lies below it is not ours to decide."""

ASKED_BY_ADDRESS: Final = frozenset({"/healthz", "/readyz"})
"""By what runs the service, which knows no name of it."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""They change nothing (RFC 9110, 9.2.1)."""

BEGINNING: Final = "/direct/s3/params"
"""Begins an upload, and is asked for by GET all the same, as Uppy's client does."""


class Safe:
    """Around the application: headers, and who may call it by which name, from which page."""

    def __init__(self, app: ASGIApp, *, settings: Settings, is_open: bool) -> None:
        self._app = app
        self._names = _Names(settings, is_open=is_open)
        self._origins = frozenset(settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _completed(message.get("headers", ()), scope["scheme"])}
            await send(message)

        refusal = self._refusal(scope)
        app = self._app if refusal is None else Drained(answered(refusal))
        await app(scope, receive, safely)

    def _refusal(self, scope: Scope) -> Refused | None:
        path, hosts = path_below(scope), _values(scope, b"host")
        if len(hosts) > 1:
            return Refused(400, "malformed_request", "the request has more than one Host header")
        host = hosts[0] if hosts else ""
        if path not in ASKED_BY_ADDRESS and not self._names.has(host):
            return Refused(421, "wrong_host", "the service is not called by the name in the Host header")
        if (scope["method"] not in SAFE_METHODS or path == BEGINNING) and self._is_from_elsewhere(scope, host):
            return Refused(403, "wrong_origin", "a page of another origin may not do this")
        return None

    def _is_from_elsewhere(self, scope: Scope, host: str) -> bool:
        """Whether a browser sends it for a page that is not the service's own, nor one of those that may. What neither
        header comes with was not sent by a browser."""
        origins, sites = _values(scope, b"origin"), _values(scope, b"sec-fetch-site")
        if len(origins) > 1 or len(sites) > 1:
            return True
        if "*" in self._origins or self._origins.intersection(origins):
            return False
        if sites:  # The browser compares origins itself, and knows https where a proxy lets nobody here see it.
            return sites[0] not in ("same-origin", "none")
        return bool(origins) and origins[0].lower() != f"{scope['scheme']}://{host}".lower()


def cors(settings: Settings) -> Sequence[Middleware]:
    """None, unless the settings name origins. Cookies go with requests of named origins, and never of all."""
    if not settings.cors_origins:
        return ()
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
            allow_headers=["Idempotency-Key", "Last-Event-ID", "Range", *REQUEST_HEADERS],
            allow_credentials="*" not in settings.cors_origins,
            expose_headers=[
                *ANSWER_HEADERS,
                "Accept-Ranges",
                "Content-Disposition",
                "Content-Length",
                "Content-Range",
                "ETag",
                "RateLimit",
                "RateLimit-Policy",
                "WWW-Authenticate",
                "X-Request-ID",
            ],
        )
    ]


def is_loopback(name: str) -> bool:
    """Whether a name or an address is this machine's own, and no other's."""
    name = name.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3: no name server is asked
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


class _Names:
    """By which the service may be called: those of the settings, and those of this machine where it listens to this
    machine alone. Without names in the settings a service that asks who calls, or listens to other machines, takes any:
    a page that gets there by a name of its own knows no token, and has no cookie of the service."""

    def __init__(self, settings: Settings, *, is_open: bool) -> None:
        self._names = frozenset(name.lower().strip("[]") for name in settings.hosts)
        self._is_local = is_loopback(settings.host)
        self._takes_any = not self._names and not (is_open and self._is_local)

    def has(self, host: str) -> bool:
        """Whether a Host header has one of them."""
        if self._takes_any:
            return True
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].lower().removesuffix(".").strip("[]")
        return name in self._names or (self._is_local and is_loopback(name))


_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")  # RFC 9110, 7.2: the port may be empty


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for each, value in scope["headers"] if each == name]


def _completed(headers: Iterable[tuple[bytes, bytes]], scheme: str) -> list[tuple[bytes, bytes]]:
    told = list(headers)
    names = {name.lower() for name, _ in told}
    told += [(name, value) for name, value in DEFAULTS.items() if name not in names]
    if scheme == "https" and b"strict-transport-security" not in names:
        told.append((b"strict-transport-security", HSTS))
    return told
