"""A pipeline whose function does what stands in the file: much of that goes wrong."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from tests.processing.pipelines import NO_WAIT, disks

from uploadkit import FileRefused
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processor import JobContext
from uploadkit.records.ledger import Ledger
from uploadkit.records.record import UploadRecord
from uploadkit.uploader import Uploader

ATTEMPTS = 2
"""Each of those that go wrong takes a new process."""


def built(folder: str, url: str, prefix: str) -> tuple[Pipeline, Uploader]:
    staging, media = disks(Path(folder))
    queue = BullMQQueue(url, prefix=prefix)
    pipeline = Pipeline(Ledger(f"sqlite:///{folder}/uploads.db"), queue=queue, storage=media, storages=[staging])
    pipeline.process("text/plain", attempts=ATTEMPTS, backoff=NO_WAIT, seconds=5, memory="128 MiB")(act)
    return pipeline, Uploader(staging, pipeline=pipeline)


async def act(record: UploadRecord, job: JobContext) -> dict[str, Any]:
    await job.aprogress(10, "reading")
    what = job.file.read().decode()
    key = await job.astore(b"made of it", content_type="text/plain")
    match what:
        case "raise":
            raise KeyError("a mistake")
        case "refuse":
            raise FileRefused("too ugly", filter="beauty")
        case "hang":
            threading.Event().wait(600)
        case "leak":
            held = []
            while True:
                held.append(b"x" * 2**20)
        case "exit":
            os._exit(7)
        case "crash":
            os.abort()
    return {"what": what, "key": key, "pid": os.getpid()}
