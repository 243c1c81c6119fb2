"""The worker of a service: does its jobs, and its upkeep.

`pipeline` is that of the settings in the environment: it is what the commands take where no application is named, and
what the child processes import in which users' steps run. `python -m uploadkit.service.jobs CHANNEL [BEGAN]` is the
worker of `uploadkit serve`, which `tree` begins.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache, partial
from itertools import chain, repeat
from typing import Any, Final

from ..processing.pipeline import Pipeline
from ..processing.upkeep import sweep
from ..processing.valkey import ValkeyServer
from ..processing.worker import work
from ..storage.threads import in_own_thread
from .channel import Parent
from .lines import configure
from .operating import Numbers
from .parts import pipeline_of
from .settings import Settings

__all__ = ["APP", "lacking", "main", "upkeep"]

APP: Final = "uploadkit.service.jobs:pipeline"
"""The name of the pipeline, as that of any application."""

UPKEEP_SECONDS: Final = 900.0

SILENT_SECONDS: Final = 1800.0
"""An upload of which so long nothing was said has died with its process: see `receiving.ALL_ALIVE_SECONDS`."""

_log = logging.getLogger("uploadkit.service")


@cache
def _pipeline() -> Pipeline:
    return pipeline_of(Settings.load())


def __getattr__(name: str) -> Any:
    """`pipeline` is made when somebody asks for it. Raises `ValueError` where the settings cannot be meant."""
    if name == "pipeline":
        return _pipeline()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main(channel: int, began: datetime | None) -> int:
    """Returns the status to exit with. `began`: what was begun before belongs to nobody who lives."""
    parent = Parent(channel)
    settings = Settings.load()
    configure(settings)
    try:
        pipeline = pipeline_of(settings)
        pipeline.ledger.migrate()
        if began is not None:
            pipeline.ledger.release(began)
        Numbers(pipeline)
    except Exception as error:
        _log.debug("the worker cannot begin", exc_info=True)
        parent.failed(error)
        return 2
    gc.freeze()  # what was imported stays: the collector need not look at it again, 1 s at the end of a busy machine
    asyncio.run(_work(pipeline, settings, parent, began))
    pipeline.close()
    return 0


def lacking(settings: Settings) -> str | None:
    """What a further worker would not share with the service, and what to do."""
    data, has_queue = settings.data, settings.redis_url is not None or ValkeyServer(settings.data / "queue").runs()
    if not has_queue:
        text = f"there is no queue: no uploadkit serve runs in {data}, and REDIS_URL is not set"
    elif settings.database_url is None and not (data / "ledger.db").exists():
        text = f"there is no ledger: none is in {data}, and DATABASE_URL is not set"
    elif settings.storage is None and not data.is_dir():
        text = f"there are no files: {data} is not there, and UPLOADKIT_STORAGE is not set"
    else:
        return None
    return f"{text}. A worker has all three of the service: its data folder, or its servers and its bucket"


async def _work(pipeline: Pipeline, settings: Settings, parent: Parent, began: datetime | None) -> None:
    loop, until = asyncio.get_running_loop(), asyncio.Event()
    working = asyncio.ensure_future(
        work(pipeline, app=APP, until=until, grace_seconds=settings.grace_seconds, log_level=settings.log_level)
    )
    parent.listen(
        on_end=lambda: loop.call_soon_threadsafe(until.set),
        on_gone=lambda: loop.call_soon_threadsafe(working.cancel),
    )
    parent.ready()
    async with upkeep(pipeline, began):
        await asyncio.wait({working})
    if not working.cancelled():
        working.result()


@asynccontextmanager
async def upkeep(pipeline: Pipeline, began: datetime | None = None) -> AsyncIterator[None]:
    """Sweeps meanwhile: at once, and every quarter of an hour. The first one takes all that was begun before `began`
    for dead, and does not wait until it is old."""

    async def keep() -> None:
        sweeping = partial(sweep, pipeline, orphans=None, older_than_seconds=SILENT_SECONDS)
        first = sweeping if began is None else partial(sweeping, older_than_seconds=0, now=lambda at=began: at)
        for sweep_now in chain([first], repeat(sweeping)):
            try:
                _log.debug("swept: %s", await in_own_thread(sweep_now))
            except Exception:
                _log.warning("upkeep could not be done, and is tried again", exc_info=True)
            await asyncio.sleep(UPKEEP_SECONDS)

    task = asyncio.create_task(keep())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), datetime.fromtimestamp(float(sys.argv[2]), UTC) if len(sys.argv) > 2 else None))
