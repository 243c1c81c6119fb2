"""What happens to an upload, as it happens: server-sent events. What counts is the ledger: facts, which come from all
processes, only say when to look."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import Response

from ..processing.pipeline import Pipeline
from .callers import Caller
from .problems import not_found

__all__ = ["Watch", "events"]


class Watch:
    """Hears facts in one process, and wakes who waits for an upload."""

    def __init__(self, pipeline: Pipeline, *, redis_url: str | None) -> None:
        self._pipeline = pipeline

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listens meanwhile."""
        yield


async def events(request: Request, caller: Caller) -> Response:
    """What is known of an upload, and then each change of that, until it is settled."""
    raise not_found()
