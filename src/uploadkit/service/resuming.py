"""`/tus/`: uploads that come in several requests, under the rules of `POST /uploads`."""

from __future__ import annotations

from contextlib import AsyncExitStack

from starlette.requests import Request
from starlette.responses import Response

from ..adapters.asgi import Body
from ..resumable.asgi import request_of
from ..resumable.protocol import Answer
from .addresses import prefix
from .callers import Caller
from .parts import parts_of

__all__ = ["COLLECTION", "capabilities", "respond"]

COLLECTION = "/tus/"


async def respond(request: Request, caller: Caller) -> Response:
    """Whatever the protocol of the request asks for. When all has come the upload is one as any other."""
    parts, upload = parts_of(request), request.path_params.get("upload", "")
    asked = request_of(request.scope, path=_path(request), upload=upload, owner=caller.owner)
    async with AsyncExitStack() as turn:
        if asked.may_have_body:
            await turn.enter_async_context(parts.turns.uploading(caller))
        return _response(await parts.resumable.arespond(asked, Body(request.receive)))


async def capabilities(request: Request) -> Response:
    """What is spoken here: that anybody may know."""
    asked = request_of(request.scope, path=_path(request), upload="", owner=None)
    return _response(await parts_of(request).resumable.arespond(asked, Body(request.receive)))


def _path(request: Request) -> str:
    """As it is read: an address is made of it there."""
    return f"{prefix(request)}{COLLECTION}"


def _response(answer: Answer) -> Response:
    return Response(answer.body, status_code=answer.status, headers=dict(answer.headers))
