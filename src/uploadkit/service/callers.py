"""Who asks: by a bearer token, or by what the user's own function says of the request. No body is read here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.requests import Request

from .problems import Refused
from .settings import Settings

__all__ = ["ANYBODY", "Authenticate", "Caller", "Callers"]

ANYBODY: Final = "anybody"
"""Whose uploads are where nobody has to say who he is."""

Authenticate: TypeAlias = Callable[[Request], Awaitable[str | None] | str | None]
"""Says whose a request is, by its headers, cookies and address: the owner, None for nobody who may ask. It reads no
body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `owner` is whose uploads are meant, `counted_as` by what requests are counted: an open service counts
    them by address."""

    owner: str
    counted_as: str


class Callers:
    """Those of the settings."""

    def __init__(self, settings: Settings, *, authenticate: Authenticate | None = None) -> None:
        self._settings = settings

    async def of(self, request: Request) -> Caller:
        """Raises `Refused` (401)."""
        host = request.client.host if request.client else "?"
        if self._settings.tokens:
            raise Refused(401, "unauthenticated", "say who you are", headers={"WWW-Authenticate": "Bearer"})
        return Caller(owner=ANYBODY, counted_as=host)
