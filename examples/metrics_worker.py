"""A worker whose numbers Prometheus reads over HTTP. Run it: python -m examples.metrics_worker"""

from __future__ import annotations

import asyncio
import signal

from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.metrics import Metrics
from uploadkit.processing.observing import observed
from uploadkit.processing.queue import Running

queue = BullMQQueue()
metrics = Metrics()
metrics.watch(queue)


async def handler(running: Running) -> None:
    """Does a job."""


async def worker(port: int = 9100) -> None:
    until = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, until.set)
    with metrics.serve(port):
        await queue.work(observed(handler, metrics), until=until)


if __name__ == "__main__":
    asyncio.run(worker())
