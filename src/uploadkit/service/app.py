"""The application: routes, and what stands around each of them.

Around every request stand, from the outside: `logs.Logged` (its id, its line in the log, its numbers),
`draining.Drained` (answers before a body's end), `safety.Safe` (headers of safety, origins, hosts), CORS where it is
on, and `logs.Caught` (what nobody foresaw). A route that is `guarded` asks who calls before anything of a body is read,
and counts the request for that caller. Every error is answered by problem details.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from ..adapters.problem import log_failure
from ..errors import UploadError
from ..processing.pipeline import Pipeline
from . import direct, files, openapi, operating, page, receiving, resuming, uploads, watching
from .callers import Authenticate, Caller
from .draining import Drained
from .logs import Caught, Logged, unexpected
from .parts import Parts, parts_of
from .problems import Refused, answered, not_found
from .safety import Safe, cors
from .settings import Settings

__all__ = ["create_app"]

Endpoint: TypeAlias = Callable[[Request, Caller], Awaitable[Response]]


def create_app(
    settings: Settings | None = None, *, pipeline: Pipeline | None = None, authenticate: Authenticate | None = None
) -> Starlette:
    """The service as an ASGI application. Settings None are those of the environment.

    `pipeline` takes the place of the service's own: its storages are called "staging" and, where files stay, as it
    likes. `authenticate` is what the setting of this name names. Raises `ValueError` for what cannot be meant.
    """
    settings = Settings.load() if settings is None else settings
    parts = Parts.of(settings, pipeline=pipeline, authenticate=authenticate)
    app = Starlette(
        routes=routes(),
        middleware=[
            Middleware(Logged, parts=parts),
            Middleware(Drained),
            Middleware(Safe, settings=settings, is_open=parts.callers.is_open),
            *cors(settings),
            Middleware(Caught),
        ],
        exception_handlers={UploadError: _refused, HTTPException: _http, Exception: unexpected},
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False  # it would answer with the Host header's own words
    app.state.parts = parts
    return app


def guarded(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """Asks who calls, and whether it may, before the endpoint runs: what is refused here has read no body."""

    @wraps(endpoint)
    async def asking(request: Request) -> Response:
        parts = parts_of(request)
        caller = await parts.callers.of(request)
        request.state.caller = caller
        await parts.turns.count(caller)
        return await endpoint(request, caller)

    return asking


def linked(endpoint: Callable[[Request, files.Asker], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """As `guarded`, but a signed link is as good as its owner: who has one is not asked, nor counted."""
    guarding = guarded(endpoint)

    @wraps(endpoint)
    async def asking(request: Request) -> Response:
        asker = parts_of(request).links.linked(request)
        return await guarding(request) if asker is None else await endpoint(request, asker)

    return asking


def routes() -> list[BaseRoute]:
    """All that the service answers."""
    return [
        Route("/uploads", guarded(receiving.receive), methods=["POST"]),
        Route("/uploads", guarded(uploads.listing), methods=["GET"]),
        Route("/uploads/{upload}", guarded(uploads.status), methods=["GET"]),
        Route("/uploads/{upload}", guarded(uploads.delete), methods=["DELETE"]),
        Route("/uploads/{upload}/events", guarded(watching.events), methods=["GET"]),
        Route("/batches/{batch}", guarded(uploads.batch), methods=["GET"]),
        Route("/direct/s3/params", guarded(direct.form), methods=["GET"]),
        Route("/direct/s3/complete", guarded(direct.finish), methods=["POST"]),
        Route("/direct/s3/multipart", guarded(direct.begin), methods=["POST"]),
        Route("/direct/s3/multipart/{upload}", guarded(direct.parts), methods=["GET"]),
        Route("/direct/s3/multipart/{upload}", guarded(direct.abort), methods=["DELETE"]),
        Route("/direct/s3/multipart/{upload}/complete", guarded(direct.complete), methods=["POST"]),
        Route(f"/direct/s3/multipart/{{upload}}/{{number:{direct.PART}}}", guarded(direct.part), methods=["GET"]),
        Route("/files/{upload}", linked(files.original), methods=["GET"]),
        Route("/files/{upload}/{variant}", linked(files.variant), methods=["GET"]),
        Route(resuming.COLLECTION, resuming.capabilities, methods=["OPTIONS"]),
        Route(resuming.COLLECTION, guarded(resuming.respond), methods=["POST"]),
        Route(resuming.COLLECTION + "{upload}", guarded(resuming.respond), methods=["HEAD", "PATCH", "DELETE", "POST"]),
        Route("/metrics", operating.metrics, methods=["GET"]),
        Route("/healthz", operating.healthz, methods=["GET"]),
        Route("/readyz", operating.readyz, methods=["GET"]),
        Route("/openapi.json", openapi.document, methods=["GET"]),
        Route("/", page.index, methods=["GET"]),
        Route("/page/{name}", page.asset, methods=["GET"]),
    ]


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    parts: Parts = app.state.parts
    async with parts.watch.running():
        yield
        parts.readiness.drain()
    await parts.form.capacity.aclose(parts.settings.grace_seconds)
    await parts.turns.aclose()
    parts.pipeline.close()


async def _refused(request: Request, error: Exception) -> Response:
    """Whatever the library raises. What is somebody else's is not told apart from what is not there."""
    if not isinstance(error, UploadError):
        raise error
    log_failure(error)
    return answered(not_found() if error.status == 404 else error)


async def _http(request: Request, error: Exception) -> Response:
    """What Starlette refuses: a path, or a method."""
    if isinstance(error, HTTPException) and error.status_code == 404:
        return await _refused(request, not_found())
    if isinstance(error, HTTPException) and error.status_code == 405:
        headers = {"Allow": ", ".join(_methods(request))}
        return await _refused(request, Refused(405, "method_not_allowed", "this is not done here", headers=headers))
    raise error


def _methods(request: Request) -> list[str]:
    """All of this path: Starlette names those of the first of its routes alone."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in routes for method in route.methods or ()})
