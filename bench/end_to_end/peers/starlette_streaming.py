"""streaming-form-data under Starlette: its `FileTarget` writes the file while it arrives."""

from __future__ import annotations

import importlib
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ..told import TEXTS, destination, said

# By name: the types are checked where it is not installed.
_parser: Any = importlib.import_module("streaming_form_data")
_targets: Any = importlib.import_module("streaming_form_data.targets")


async def upload(request: Request) -> PlainTextResponse:
    parser = _parser.StreamingFormDataParser(headers=request.headers)
    texts = {name: _targets.ValueTarget() for name in TEXTS}
    parser.register("file", _targets.FileTarget(str(destination())))
    for name, target in texts.items():
        parser.register(name, target)
    async for chunk in request.stream():
        parser.data_received(chunk)
    return PlainTextResponse(said(*(target.value.decode() for target in texts.values())))


async def other(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/upload", upload, methods=["POST"]), Route("/other", other)])
