"""How often somebody may ask, and how many of his requests may upload at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .callers import Caller
from .settings import Settings

__all__ = ["Turns"]


class Turns:
    """Those of one process; requests are counted for all processes where there is a `redis_url`."""

    def __init__(self, settings: Settings, *, redis_url: str | None) -> None:
        self._settings = settings

    async def count(self, caller: Caller) -> None:
        """Counts a request. Raises `Refused` (429) with Retry-After."""

    @asynccontextmanager
    async def uploading(self, caller: Caller) -> AsyncIterator[None]:
        """For as long as a request uploads. Raises `Refused` (429) at once where too many of the caller's do."""
        yield
