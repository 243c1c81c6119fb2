"""What is given out: uploads and what was made of them. Ranges, conditions, and headers that keep browsers safe."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from .problems import not_found

__all__ = ["original", "variant"]


async def original(request: Request) -> Response:
    """The upload itself. HEAD too."""
    raise not_found()


async def variant(request: Request) -> Response:
    """What was made of it, such as its thumbnail."""
    raise not_found()
