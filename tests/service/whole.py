"""A whole service in one process: what answers, and a worker beside it, over a Valkey server of its own.

Its settings are in the environment: `uvicorn --factory tests.service.whole:app`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from uploadkit.processing.worker import work
from uploadkit.service.app import create_app
from uploadkit.service.parts import pipeline_of
from uploadkit.service.settings import Settings


def app() -> Starlette:
    settings = Settings.load()
    pipeline = pipeline_of(settings)
    service = create_app(settings, pipeline=pipeline)
    serving = service.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        until = asyncio.Event()
        async with serving(app):
            worker = asyncio.create_task(work(pipeline, until=until, grace_seconds=5))
            yield
            until.set()
            await worker

    service.router.lifespan_context = lifespan
    return service
