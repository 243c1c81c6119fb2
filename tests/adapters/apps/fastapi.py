"""The routes as a FastAPI application."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from uploadkit.adapters.fastapi import receive
from uploadkit.intake.spec import Spec

from .routes import ahandled, server_storage, specs, watched

app = FastAPI()


def _add(route: str, spec: Spec[Any]) -> None:
    dependency = receive(spec, progress=watched(route))

    @app.post(f"/{route}")
    async def endpoint(received: Any = dependency) -> Response:
        status, answer = await ahandled(route, received)
        return JSONResponse(answer, status)


for _name, _spec in specs(server_storage()).items():
    _add(_name, _spec)
