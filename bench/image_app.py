"""The server of `bench.images`: one route makes variants of a picture on disk, another only answers."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from uploadkit import MemoryStorage
from uploadkit.content.variants import amake_variants


async def process(request: Request) -> Response:
    """The three smaller variants of the picture that a header names."""
    made = await amake_variants(request.headers["x-picture"], into=MemoryStorage())
    return PlainTextResponse(str(len(made)))


async def ping(request: Request) -> Response:
    return PlainTextResponse("pong")


app = Starlette(routes=[Route("/process", process, methods=["POST"]), Route("/ping", ping)])
