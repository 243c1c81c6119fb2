"""What becomes of uploads whose work waits in a queue, over each queue, and of the facts on their way there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.processing.conftest import MakeQueue
from tests.processing.pipelines import Copies, Heard, keys_of, options, sent, told

from uploadkit.errors import QueueFailed
from uploadkit.events.facts import FileUploaded
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processor import JobContext
from uploadkit.processing.queue import Priority, Queue
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import UploadRecord
from uploadkit.storage.disk import DiskStorage
from uploadkit.uploader import Uploader


@asynccontextmanager
async def working(pipeline: Pipeline, **concurrency: int) -> AsyncIterator[None]:
    """A worker, while the block runs."""
    until = asyncio.Event()
    work = asyncio.create_task(pipeline.work(concurrency=concurrency or {"documents": 2}, until=until))
    await asyncio.sleep(0)  # an inline queue now has its handler
    try:
        yield
    finally:
        until.set()
        await work


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110  another process may make it true
            await asyncio.sleep(0.01)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


def test_what_waits_in_a_queue_is_done_by_a_worker(
    queue: Queue, ledger: Ledger, staging: DiskStorage, media: DiskStorage
) -> None:
    """Step after step, each a job of its own; until then the upload is processing."""
    pipeline = Pipeline(ledger, queue=queue, storage=media)
    heard = Heard(pipeline)
    pipeline.process("*", Copies("first"), Copies("second"))
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    told(pipeline)
    assert pipeline.status(file.id).state is State.PROCESSING

    async def work() -> None:
        async with working(pipeline):
            await eventually(lambda: ledger.get(file.id).state is State.COMPLETED)

    run(work())
    told(pipeline)
    assert heard.names() == ["file.uploaded", "file.processed"]
    assert keys_of(staging) == []
    assert len(keys_of(media)) == 5


def test_what_was_begun_is_done_before_something_else_is_begun(
    queue: Queue, ledger: Ledger, staging: DiskStorage
) -> None:
    """Else no upload would be completed before the first step of all that wait was made."""
    seen: list[tuple[str, str]] = []
    pipeline = Pipeline(ledger, queue=queue)
    for name in ("first", "second"):
        pipeline.process("*", Copies(name, fail=lambda job, name=name: seen.append((job.record.id, name))))  # type: ignore[misc]
    files = sent(Uploader(staging, pipeline=pipeline), b"1", b"2", b"3")
    told(pipeline)

    async def work() -> None:
        async with working(pipeline, documents=1):
            await eventually(lambda: all(ledger.get(file.id).state is State.COMPLETED for file in files))

    run(work())
    assert [name for _, name in seen] == ["first", "second"] * 3
    assert [upload for upload, _ in seen[::2]] == [upload for upload, _ in seen[1::2]]


def test_small_uploads_are_processed_in_the_request(queue: Queue, ledger: Ledger, staging: DiskStorage) -> None:
    """Those below the size that is said; larger ones wait for a worker."""
    pipeline = Pipeline(ledger, queue=queue, inline_below="1 KB")
    pipeline.process("*", Copies())
    small, large = sent(Uploader(staging, pipeline=pipeline), b"a" * 999, b"b" * 1000)
    told(pipeline)
    assert [ledger.get(each.id).state for each in (small, large)] == [State.COMPLETED, State.PROCESSING]


def test_progress_is_the_statuss(queue: Queue, ledger: Ledger, staging: DiskStorage) -> None:
    """Of all steps together, with the word of the one that is being made."""
    pipeline = Pipeline(ledger, queue=queue)
    half, go_on = threading.Event(), threading.Event()

    @pipeline.process("*")
    def slow(record: UploadRecord, job: JobContext) -> None:
        job.progress(50, "half of it")
        half.set()
        go_on.wait(20)

    pipeline.process("*", Copies())
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    told(pipeline)

    async def work() -> None:
        async with working(pipeline):
            await eventually(half.is_set)
            status = await pipeline.astatus(file.id)
            assert (status.percent, status.note) == (25, "half of it")
            go_on.set()
            await eventually(lambda: ledger.get(file.id).is_settled)
        assert (await pipeline.astatus(file.id)).percent == 100

    try:
        run(work())
    finally:
        go_on.set()


def test_jobs_have_the_priority_and_the_queue_that_were_said(
    queue: Queue, ledger: Ledger, staging: DiskStorage
) -> None:
    """The most urgent first, whenever it came."""
    pipeline = Pipeline(ledger, queue=queue)
    order: list[str] = []

    @pipeline.process("*", queue="bulk")
    def note(record: UploadRecord, job: JobContext) -> None:
        order.append(record.tags["name"])

    upload = Uploader(staging, pipeline=pipeline)
    with Held(pipeline):
        for priority in (Priority.LOW, Priority.NORMAL, Priority.URGENT, Priority.HIGH):
            [file] = sent(upload, b"hello")
            pipeline.describe(file.id, priority=priority, tags={"name": priority.name})
    told(pipeline)

    async def work() -> None:
        async with working(pipeline, bulk=1):
            await eventually(lambda: len(order) == 4)

    run(work())
    assert order == ["URGENT", "HIGH", "NORMAL", "LOW"]


class Held:
    """Nothing is forwarded in the background meanwhile."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._forwarder = pipeline._forwarder

    def __enter__(self) -> None:
        self._forwarder.wake = lambda: None  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        del self._forwarder.wake


def test_what_is_done_twice_has_its_effect_once(make_queue: MakeQueue, ledger: Ledger, staging: DiskStorage) -> None:
    """A fact that is told again, and a job that is run again after its id was forgotten."""
    pipeline = Pipeline(ledger, queue=make_queue())
    copies = Copies()
    pipeline.process("*", copies)
    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    told(pipeline)

    async def work() -> None:
        async with working(pipeline):
            await eventually(lambda: ledger.get(file.id).is_settled)
            record = await ledger.aget(file.id)
            [rule] = pipeline.rules.of(record)
            queue = pipeline.queue
            assert queue is not None
            await queue.aadd(rule.job(record))
            again = FileUploaded(
                upload=file.id, filename="", content_type="text/plain", size=5, storage="staging", key=file.key
            )
            await ledger.atell([again])
            while await ledger.auntold():
                await pipeline.aforward()

            async def is_idle() -> bool:
                counts = (await queue.counts(["documents"]))["documents"]
                return not (counts.waiting or counts.delayed or counts.active)

            async with asyncio.timeout(20):
                while not await is_idle():  # noqa: ASYNC110  as above
                    await asyncio.sleep(0.01)

    run(work())
    assert copies.made == 1
    assert len(keys_of(staging)) == 3
    assert ledger.get(file.id).state is State.COMPLETED


def test_an_upload_that_is_deleted_while_it_is_processed_leaves_nothing(
    queue: Queue, ledger: Ledger, staging: DiskStorage
) -> None:
    """Whoever is at it hears of it, and what it makes after that is removed."""
    pipeline = Pipeline(ledger, queue=queue)
    begun = threading.Event()

    @pipeline.process("*")
    def endless(record: UploadRecord, job: JobContext) -> None:
        job.store(b"made before")
        begun.set()
        until = time.monotonic() + 20
        while not job.is_cancelled and time.monotonic() < until:
            time.sleep(0.01)

    [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
    told(pipeline)

    async def work() -> None:
        async with working(pipeline):
            await eventually(begun.is_set)
            await pipeline.adelete(file.id)

    run(work())
    assert keys_of(staging) == []
    assert ledger.get(file.id).state is State.DELETED
    assert ledger.leftovers() == []


def test_an_upload_is_accepted_while_the_queue_does_not_answer(
    valkey_url: str, ledger: Ledger, staging: DiskStorage
) -> None:
    """What is to be told waits in the ledger, and is told when it does."""
    nowhere = BullMQQueue("redis://127.0.0.1:1", timeout_seconds=0.5)
    pipeline = Pipeline(ledger, queue=nowhere)
    pipeline.process("*", Copies(), **options())
    with Held(pipeline):
        [file] = sent(Uploader(staging, pipeline=pipeline), b"hello")
        assert pipeline.forward() == 0
    assert ledger.untold() == 1
    assert pipeline.status(file.id).state is State.PROCESSING
    with pytest.raises(QueueFailed):
        pipeline.advance(file.id)
    mended = Pipeline(ledger, queue=BullMQQueue(valkey_url, prefix=file.id), storages=[staging])
    mended.process("*", Copies(), **options())

    async def work() -> None:
        async with working(mended):
            await ledger.aforward(lambda fact: None, seconds=1e-9)  # nothing: it is not its time
            await eventually(lambda: mended.forward() or ledger.get(file.id).is_settled)
            await eventually(lambda: ledger.get(file.id).is_settled)

    run(work())
    assert ledger.get(file.id).state is State.COMPLETED
    mended.close()
    nowhere.close()
