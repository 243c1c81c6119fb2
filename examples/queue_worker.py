"""A worker that ends with SIGTERM, and a test of its handler. Run it: python -m examples.queue_worker"""

from __future__ import annotations

import asyncio
import signal

from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.queue import DeadJob

from .queue_app import handler, job_for, queue


async def on_dead(dead: DeadJob) -> None:
    """Here a record is marked as failed, or somebody is told."""
    print("dead", dead.job.upload, dead.reason, flush=True)


async def worker() -> None:
    until = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, until.set)
    await queue.work(handler, until=until, grace_seconds=20, on_dead=on_dead)


def test_a_broken_picture_is_tried_three_times() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    queue = InlineQueue(handler, sleep=sleep)
    queue.add(job_for("broken", "image/png"))
    (dead,) = asyncio.run(queue.dead("images"))
    assert (dead.attempts, waits) == (3, [0.1, 0.2])


if __name__ == "__main__":
    asyncio.run(worker())
