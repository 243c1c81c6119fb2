"""What is an inline queue's own: a job is done by whoever adds it."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
from tests.processing.jobs import job
from tests.processing.test_contract import broken, counted, nothing, run
from tests.storage.processes import held_elsewhere, in_a_fork

from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.queue import Backoff, Counts, Running


def test_add_returns_when_the_job_is_done() -> None:
    """In the thread that adds it."""
    seen: list[object] = []

    async def handler(running: Running) -> None:
        seen.append((running.job.upload, threading.current_thread()))

    InlineQueue(handler).add(job(1), job(2))
    assert seen == [("1", threading.current_thread()), ("2", threading.current_thread())]


def test_whoever_adds_waits_for_delay_and_attempts() -> None:
    """As long as they say; a job that fails raises nothing there, and is found among the dead."""
    waits: list[float] = []
    told = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def on_dead(dead: object) -> None:
        told.append(dead)

    queue = InlineQueue(broken, on_dead=on_dead, sleep=sleep)
    queue.add(job(1, delay_seconds=7, backoff=Backoff(seconds=2, factor=3, jitter=0)))

    async def main() -> None:
        assert list(await queue.dead("images")) == told
        assert await counted(queue) == Counts(failed=1)

    run(main())
    assert waits == [7, 2, 6]


def test_add_in_a_running_loop_is_a_mistake() -> None:
    """It would block the loop. Without a handler nothing is done, and so nothing blocked."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match="await aadd"):
            InlineQueue(nothing).add(job(1))
        queue = InlineQueue()
        queue.add(job(1))
        assert await counted(queue) == Counts(waiting=1)

    run(main())


def test_a_caller_that_is_cancelled_leaves_the_job() -> None:
    """It waits, and is done when it is added again."""
    began = asyncio.Event()

    async def handler(running: Running) -> None:
        if not began.is_set():
            began.set()
            await asyncio.sleep(30)

    async def main() -> None:
        queue = InlineQueue(handler)
        task = asyncio.create_task(queue.aadd(job(1)))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await counted(queue) == Counts(waiting=1)
        await queue.aadd(job(1))
        assert await counted(queue) == Counts(completed=1)

    run(main())


def test_a_worker_that_is_cancelled_begins_nothing_else() -> None:
    """What waited for a place waits on."""
    began = asyncio.Event()
    seen = []

    async def handler(running: Running) -> None:
        seen.append(running.job.upload)
        began.set()
        await asyncio.sleep(30)

    async def main() -> None:
        queue = InlineQueue()
        queue.add(job(1), job(2))
        task = asyncio.create_task(queue.work(handler, concurrency={"images": 1}, until=asyncio.Event()))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await counted(queue) == Counts(waiting=2)

    run(main())
    assert seen == ["1"]


def test_a_fork_does_its_own_jobs() -> None:
    """Also where another thread had the lock in its hand. What the parent is at is the parent's, and may be added in
    the child once more: nobody there would end it."""
    parent = os.getpid()
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    async def handler(running: Running) -> None:
        if os.getpid() == parent:
            begun.set()
            await asyncio.to_thread(go_on.wait, 10)
        done.append(running.job.upload)

    def work() -> str:
        was_at = queue.is_at("1")
        queue.add(job(1), job(2))
        return f"{was_at}, {done}"

    queue = InlineQueue(handler)
    thread = threading.Thread(target=queue.add, args=[job(1)])
    thread.start()
    assert begun.wait(10)
    with held_elsewhere(queue._lock):
        assert in_a_fork(work) == "False, ['1', '2']"
    assert queue.is_at("1")
    go_on.set()
    thread.join()
    assert done == ["1"]


def test_what_waits_is_known_in_a_fork() -> None:
    """Where nobody was at it."""
    queue = InlineQueue()
    queue.add(job(1))
    assert in_a_fork(lambda: str(asyncio.run(counted(queue)))) == str(Counts(waiting=1))
