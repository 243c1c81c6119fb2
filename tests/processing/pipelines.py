"""Pipelines whose processors are of the tests' own, and uploads into them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from uploadkit.events.facts import Fact
from uploadkit.intake.blocking import receive
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processor import JobContext
from uploadkit.processing.queue import Backoff
from uploadkit.records.ledger import Ledger
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission, UploadedFile

NO_WAIT = Backoff(seconds=0)


class Copies:
    """Stores `count` copies of an upload, and tells how long it is. `fail` is called with the context when half is
    made, and may raise."""

    def __init__(
        self, name: str = "copies", *, count: int = 2, fail: Callable[[JobContext], object] | None = None
    ) -> None:
        self.name = name
        self.digest = hashlib.sha256(f"{name}{count}".encode()).hexdigest()[:32]
        self.made = 0
        self._count = count
        self._fail = fail

    def process(self, job: JobContext) -> None:
        data = job.file.read()
        keys = []
        for number in range(self._count):
            if number == self._count // 2 and self._fail is not None:
                self._fail(job)
            keys.append(job.store(data, content_type="text/plain"))
            job.progress(100 * (number + 1) // self._count)
        job.add({"size": len(data), "keys": keys})
        self.made += 1


def form(*contents: bytes, field: str = "file") -> FormBuilder:
    """Text files."""
    built = FormBuilder(boundary="b")
    for number, content in enumerate(contents):
        built = built.file(field, content, filename=f"{number}.txt")
    return built


def sent(upload: Uploader, *contents: bytes, field: str = "file") -> list[UploadedFile]:
    """Received without a framework, and accepted."""
    body = form(*contents, field=field)
    submission: Submission = receive(upload.any(), body.content_type, [body.body])
    return list(submission.files)


class Heard:
    """What a pipeline tells."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.facts: list[Fact] = []
        pipeline.on()(self.facts.append)

    def names(self, upload: str | None = None) -> list[str]:
        return [fact.name for fact in self.facts if upload in (None, fact.upload) and fact.name != "file.progressed"]


def told(pipeline: Pipeline) -> None:
    """Until nothing is left to tell."""
    while pipeline.ledger.untold():
        pipeline.forward()


def keys_of(storage: MemoryStorage | DiskStorage) -> Sequence[str]:
    """What is visible in it."""
    return sorted(each.key for each in storage.list())


def disks(folder: Path) -> tuple[DiskStorage, DiskStorage]:
    """Where uploads are received, and where they stay."""
    return DiskStorage(folder / "staging", name="staging"), DiskStorage(folder / "media", name="media")


def options(**more: Any) -> dict[str, Any]:
    """Of steps that are tried again at once."""
    return {"backoff": NO_WAIT} | more


def sqlite(folder: Path, **more: Any) -> Ledger:
    ledger = Ledger(f"sqlite:///{folder}/uploads.db", **more)
    ledger.migrate()
    return ledger
