"""A whole service in one process: what answers, and a worker beside it, over a Valkey server of its own.

Its settings are in the environment: `uvicorn --factory tests.service.whole:app`. With UPLOADKIT_STEPS that names `slow`
a table is worked on until there is a file `go` in the server's folder, so that a test can look at it meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount

from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processor import JobContext
from uploadkit.processing.worker import work
from uploadkit.records.record import UploadRecord
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


def mounted() -> Starlette:
    """The same below a path of an application."""
    service = app()

    @asynccontextmanager
    async def lifespan(outer: Starlette) -> AsyncIterator[None]:
        async with service.router.lifespan_context(service):
            yield

    return Starlette(routes=[Mount("/svc", service)], lifespan=lifespan)


def slow(pipeline: Pipeline) -> None:
    @pipeline.process("text/csv")
    def rows(upload: UploadRecord, job: JobContext) -> None:
        job.progress(40, "reading the rows")
        while not Path("go").exists():  # what another process has done cannot be waited for otherwise
            time.sleep(0.02)
        job.progress(100)
