"""The page, for people. What it needs lies beside it, in the package."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ..problems import not_found

__all__ = ["asset", "index"]


async def index(request: Request) -> Response:
    """The page itself."""
    return Response("")


async def asset(request: Request) -> Response:
    """What it needs."""
    raise not_found()
