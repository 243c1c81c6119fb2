"""An application as `uploadkit worker` runs it: an upload's file name is that of the function that is done with it.

A function leaves what it has done in the folder `UPLOADKIT_TEST_FOLDER`, under the upload's id.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uploadkit.processing import pipeline as pipelines
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.processor import JobContext
from uploadkit.processing.rules import Rule
from uploadkit.records.ledger import Ledger
from uploadkit.records.record import UploadRecord
from uploadkit.storage.memory import MemoryStorage

FOLDER = Path(os.environ["UPLOADKIT_TEST_FOLDER"])

Function = Callable[[JobContext], None]


@dataclass(frozen=True)
class Known:
    """A processor that calls a function of the tests."""

    function: Function
    digest: str = "d1"

    @property
    def name(self) -> str:
        return self.function.__name__

    def process(self, job: JobContext) -> None:
        self.function(job)


class Named(Rule):
    """For uploads that are called as its processor is."""

    def is_for(self, record: UploadRecord) -> bool:
        return record.filename == self.processor.name


class Pipeline(pipelines.Pipeline):
    async def aforward(self, *, limit: int = 50) -> int:
        (FOLDER / "forwarded").touch()
        return await super().aforward(limit=limit)


pipeline = Pipeline(
    Ledger(f"sqlite:///{FOLDER / 'uploads.db'}"),
    queue=BullMQQueue(os.environ["UPLOADKIT_TEST_URL"], prefix=os.environ["UPLOADKIT_TEST_PREFIX"]),
    storages=[MemoryStorage()],
)


def known(function: Function) -> Function:
    """As a user's function, it is done in a child process."""
    pipeline.rules.add(Named(processor=Known(function), queue="images", is_apart=True))
    return function


@known
def wait_for_go(job: JobContext) -> None:
    (FOLDER / f"{job.record.id}.pid").write_text(str(os.getpid()))
    while not (FOLDER / "go").exists():
        threading.Event().wait(0.01)
    job.add({"done": True})


@known
def hang_here(job: JobContext) -> None:
    (FOLDER / f"{job.record.id}.pid").write_text(str(os.getpid()))
    threading.Event().wait(600)


@known
def fork_and_hang(job: JobContext) -> None:
    left = os.fork()
    if left:
        (FOLDER / f"{job.record.id}.left").write_text(str(left))
        (FOLDER / f"{job.record.id}.pid").write_text(str(os.getpid()))
    threading.Event().wait(600)


def hang_in_a_thread(job: JobContext) -> None:
    """As a processor of uploadkit's own, in the worker."""
    hang_here(job)


pipeline.rules.add(Named(processor=Known(hang_in_a_thread), queue="images"))
