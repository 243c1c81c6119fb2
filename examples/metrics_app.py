"""Jobs that are measured, and what Prometheus reads of them. Run it: python examples/metrics_app.py"""

from __future__ import annotations

import logging

from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.metrics import Metrics
from uploadkit.processing.observing import observed
from uploadkit.processing.queue import Backoff, Job, Running

metrics = Metrics()


async def handler(running: Running) -> None:
    if running.job.upload == "broken":
        raise ValueError("not a picture after all")


queue = InlineQueue(observed(handler, metrics))
metrics.watch(queue, queues=["images"])


def main() -> None:
    logging.getLogger("uploadkit.processing").setLevel(logging.ERROR)  # it warns of each failed attempt
    for upload in ("holiday", "portrait", "broken"):
        job = Job(upload=upload, processor="index", digest="v1", queue="images", backoff=Backoff(seconds=0))
        queue.add(job)
    for line in metrics.text().decode().splitlines():
        if line.startswith(("uploadkit_job_attempts_total", "uploadkit_job_failures_total", "uploadkit_queue")):
            print(line)


if __name__ == "__main__":
    main()
