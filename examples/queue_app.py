"""Jobs that are added, and a worker that does them, with a broker of its own. Run it: python examples/queue_app.py"""

from __future__ import annotations

import asyncio
import logging

from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.queue import Backoff, Job, Priority, Running, queue_for

queue = BullMQQueue()


def job_for(upload: str, content_type: str, priority: Priority = Priority.NORMAL) -> Job:
    return Job(
        upload=upload,
        processor="index",
        digest="v1",  # of what the processor is to make: with another one it is other work
        queue=queue_for(content_type),
        priority=priority,
        backoff=Backoff(seconds=0.1, jitter=0),
    )


async def handler(running: Running) -> None:
    """Does a job. What it raises is a failed attempt."""
    await running.progress(10, "reading")
    print("begun", running.job.upload, running.job.queue, f"attempt {running.attempt}")
    if running.job.upload == "broken":
        raise ValueError("not a picture after all")


async def work(seconds: float) -> None:
    until = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, until.set)  # a real worker ends with SIGTERM
    await queue.work(handler, concurrency={"images": 1}, until=until)


async def look() -> None:
    print((await queue.counts(["images"]))["images"])
    for dead in await queue.dead("images"):
        print("dead ", dead.job.upload, dead.attempts, dead.reason)


def main() -> None:
    logging.getLogger("uploadkit.processing").setLevel(logging.ERROR)  # it warns of each failed attempt
    queue.add(job_for("holiday", "image/jpeg"), job_for("broken", "image/png"))
    queue.add(job_for("portrait", "image/webp", Priority.URGENT))
    queue.add(job_for("holiday", "image/jpeg"))  # waits already
    asyncio.run(work(seconds=2))
    asyncio.run(look())


if __name__ == "__main__":
    main()
