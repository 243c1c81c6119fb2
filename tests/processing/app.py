"""A pipeline as its workers import it: `uploadkit worker --app tests.processing.app:pipeline`.

Where its ledger, its queue and its storages are comes from the environment, by `Places`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.processing.pipelines import disks

from uploadkit.content.variants import cover, inside
from uploadkit.policy.accept import IMAGES
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processor import JobContext
from uploadkit.processing.processors import Variants
from uploadkit.records.ledger import Ledger
from uploadkit.records.record import UploadRecord
from uploadkit.uploader import Uploader


@dataclass(frozen=True, kw_only=True)
class Places:
    """Of one application. `queue` None is an embedded server in `folder`."""

    folder: Path
    ledger: str
    queue: str | None = None
    prefix: str = "app"

    def environ(self) -> dict[str, str]:
        """For the processes of this application."""
        told = {"APP_FOLDER": str(self.folder), "APP_LEDGER": self.ledger, "APP_PREFIX": self.prefix}
        return told if self.queue is None else told | {"APP_QUEUE": self.queue}

    @classmethod
    def of_environ(cls) -> Places:
        return cls(
            folder=Path(os.environ["APP_FOLDER"]),
            ledger=os.environ["APP_LEDGER"],
            queue=os.environ.get("APP_QUEUE"),
            prefix=os.environ["APP_PREFIX"],
        )

    @property
    def effects(self) -> Path:
        """A line for each text that was read."""
        return self.folder / "effects"


def built(places: Places) -> tuple[Pipeline, Uploader]:
    """Pictures get variants, texts are read, and all are promoted."""
    staging, media = disks(places.folder)
    queue = BullMQQueue(places.queue, prefix=places.prefix, data=places.folder)
    pipeline = Pipeline(Ledger(places.ledger), queue=queue, storage=media)
    pipeline.process(IMAGES, Variants(thumbnail=cover(40, 40), small=inside(80, 80)))

    @pipeline.process("text/plain")
    def read(record: UploadRecord, job: JobContext) -> dict[str, int]:
        with places.effects.open("a") as effects:
            effects.write(f"{record.id}\n")
        return {"size": len(job.file.read())}

    return pipeline, Uploader(staging, pipeline=pipeline)


if "APP_FOLDER" in os.environ:
    pipeline, upload = built(Places.of_environ())
