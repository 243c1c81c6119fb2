"""The queues that keep the contract: each over a real server, apart from the others on it by its prefix. And what a
pipeline needs beside one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.content.conftest import clamd as clamd
from tests.postgres import PostgresServer
from tests.processing.pipelines import disks, sqlite
from tests.storage.s3.places import locate as locate
from tests.storage.s3.places import place as place
from tests.storage.s3.places import weed as weed

from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.queue import Queue
from uploadkit.records.ledger import Ledger
from uploadkit.storage import event_loop
from uploadkit.storage.disk import DiskStorage

MakeQueue: TypeAlias = Callable[[], Queue]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def valkey_url(valkey: str) -> str:
    """Of the Valkey server."""
    return valkey


@pytest.fixture(scope="session")
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """Of a database of the PostgreSQL server."""
    database = postgres.create()
    yield postgres.url(database)
    postgres.drop(database)


@pytest.fixture(params=["inline", "valkey", pytest.param("postgres", marks=pytest.mark.needs("postgres"))])
def make_queue(request: pytest.FixtureRequest) -> Iterator[MakeQueue]:
    """Makes queues that have the same jobs, as processes of one application do; an inline one has but one."""
    made: list[Queue] = []
    prefix = f"test{next(_numbers)}"

    def make() -> Queue:
        if request.param == "inline":
            return inline
        queue = BullMQQueue(request.getfixturevalue(f"{request.param}_url"), prefix=prefix)
        made.append(queue)
        return queue

    inline = InlineQueue()
    yield make
    for queue in made:
        queue.close()


@pytest.fixture
def queue(make_queue: MakeQueue) -> Queue:
    return make_queue()


@pytest.fixture
def valkey_queue(valkey_url: str) -> Iterator[BullMQQueue]:
    queue = BullMQQueue(valkey_url, prefix=f"test{next(_numbers)}")
    yield queue
    queue.close()


@pytest.fixture(params=["valkey", pytest.param("postgres", marks=pytest.mark.needs("postgres"))])
def broker_url(request: pytest.FixtureRequest) -> str:
    """Of a server that outlives the processes that use it."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def broker_queue(broker_url: str) -> Iterator[BullMQQueue]:
    queue = BullMQQueue(broker_url, prefix=f"test{next(_numbers)}")
    yield queue
    queue.close()


@pytest.fixture
def ledger(tmp_path: Path, pipelines_end: list[Ledger]) -> Ledger:
    """In SQLite."""
    pipelines_end.append(sqlite(tmp_path))
    return pipelines_end[-1]


@pytest.fixture
def staging(tmp_path: Path) -> DiskStorage:
    """Where uploads are received."""
    return disks(tmp_path)[0]


@pytest.fixture
def media(tmp_path: Path) -> DiskStorage:
    """Where they stay."""
    return disks(tmp_path)[1]


@pytest.fixture(autouse=True)
def pipelines_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Ledger]]:
    """What tells of uploads in the background ends with its test. Then the ledgers are closed that are handed in: no
    thread has a connection any more."""
    made: list[Pipeline] = []
    build = Pipeline.__init__

    def built(pipeline: Pipeline, *args: Any, **options: Any) -> None:
        build(pipeline, *args, **options)
        made.append(pipeline)

    monkeypatch.setattr(Pipeline, "__init__", built)
    ledgers: list[Ledger] = []
    yield ledgers
    for pipeline in made:
        pipeline._forwarder.stop()
    event_loop.wait_for(_none_goes_on())
    for pipeline in made:
        pipeline.close()
    for ledger in ledgers:
        ledger.close()


async def _none_goes_on() -> None:
    """A pipeline without a queue takes the place of a request that has died, in the background."""
    tasks = [task for task in asyncio.all_tasks() if "_run_here" in repr(task.get_coro())]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
