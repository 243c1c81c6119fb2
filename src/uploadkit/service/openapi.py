"""The contract: what each route takes and answers, as OpenAPI 3.1."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

__all__ = ["document"]


async def document(request: Request) -> Response:
    """The contract as JSON."""
    return JSONResponse({"openapi": "3.1.0"})
