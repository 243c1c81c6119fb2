"""uploadkit in Starlette."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from uploadkit import Submission
from uploadkit.adapters.starlette import receive

from . import answer, form


@receive(form)
async def upload(request: Request, received: Submission) -> PlainTextResponse:
    return PlainTextResponse(answer(received))


async def other(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/upload", upload, methods=["POST"]), Route("/other", other)])
