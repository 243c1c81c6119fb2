"""The routes as a Starlette application, and one more, whose filter waits until the request is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from uploadkit.adapters.starlette import receive
from uploadkit.intake.capacity import DEFAULT_CAPACITY
from uploadkit.intake.spec import Spec
from uploadkit.policy.fields import File
from uploadkit.policy.filters import IncomingFile
from uploadkit.uploader import Uploader

from .routes import ahandled, server_storage, specs, watched


async def waits(file: IncomingFile) -> bool:
    """Never answers."""
    await asyncio.get_running_loop().create_future()
    return True


def _route(route: str, spec: Spec[Any]) -> Route:
    @receive(spec, progress=watched(route))
    async def endpoint(request: Request, received: Any) -> Response:
        status, answer = await ahandled(route, received)
        return JSONResponse(answer, status)

    return Route(f"/{route}", endpoint, methods=["POST"])


_storage = server_storage()
_specs = specs(_storage) | {"waits": Uploader(_storage).fields(File("first"), File("second", filter=waits))}


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """At the server's end uploads that it has cancelled are waited for: until nothing of them is left."""
    yield
    await DEFAULT_CAPACITY.aclose(10)


app = Starlette(lifespan=lifespan, routes=[_route(route, spec) for route, spec in _specs.items()])
