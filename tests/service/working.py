"""A worker of the service, and a step that goes on when it is told to: `python -m tests.service.working`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

from uploadkit.processing.pipeline import EVERY, Pipeline
from uploadkit.processing.processor import JobContext
from uploadkit.processing.worker import work
from uploadkit.records.record import UploadRecord
from uploadkit.service.parts import pipeline_of
from uploadkit.service.settings import Settings

PERCENTS: Final = (10, 20, 60, 80, 90, 100)

MOST_SECONDS: Final = 60


def declare(pipeline: Pipeline) -> None:
    """Is the setting `steps` of a service: an upload comes so far as there are files `FILENAME-PERCENT` in a folder."""
    folder = Path(os.environ["UPLOADKIT_TEST_FOLDER"])

    @pipeline.process(EVERY, name="slowly")
    def slowly(record: UploadRecord, job: JobContext) -> None:
        until = time.monotonic() + MOST_SECONDS
        for percent in PERCENTS:
            while not (folder / f"{record.filename}-{percent}").exists():
                if time.monotonic() > until:
                    raise TimeoutError
                time.sleep(0.005)
            job.progress(percent, f"at {percent}")


async def main() -> None:
    """Ends by SIGTERM."""
    until = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, until.set)
    pipeline = pipeline_of(Settings.load())
    try:
        await work(pipeline, until=until, grace_seconds=1)
    finally:
        pipeline.close()


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    asyncio.run(main())
