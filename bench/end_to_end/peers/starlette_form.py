"""Starlette's `request.form()`, each file read in pieces of 1 MiB to its destination."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ..told import TEXTS, destination, said


async def upload(request: Request) -> PlainTextResponse:
    async with request.form() as form:
        file = form["file"]
        assert isinstance(file, UploadFile)
        with destination().open("wb") as saved:
            while piece := await file.read(2**20):
                saved.write(piece)
        return PlainTextResponse(said(*(str(form.get(name, "")) for name in TEXTS)))


async def other(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/upload", upload, methods=["POST"]), Route("/other", other)])
