"""What the three applications share, and the worker: what is remembered, where files lie, what is done with them.

    uploadkit worker --app media:pipeline

Nothing has to be installed beside it, and everything lies in the folder in which it is started. In production the
environment says where else: DATABASE_URL is a PostgreSQL, REDIS_URL a Redis or Valkey, CLAMD a virus scanner.
"""

from __future__ import annotations

import os

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, Limits, RecordMissing, Uploader
from uploadkit.content.documents import DocumentCheck
from uploadkit.content.images import ImageCheck
from uploadkit.content.scanning import ClamAV
from uploadkit.content.variants import cover, inside
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processors import Metadata, Scan, Variants
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State

staging = DiskStorage("staging", name="staging")
media = DiskStorage("media", name="media")
quarantine = DiskStorage("quarantine", name="quarantine")
clamav = ClamAV(os.environ.get("CLAMD", "unix:///run/clamav/clamd.ctl"))

pipeline = Pipeline(
    Ledger(os.environ.get("DATABASE_URL", "sqlite:///uploads.db")),
    queue=BullMQQueue(),
    storage=media,  # where uploads stay: from `staging` they are moved there, when all else is done
)
pipeline.process(IMAGES, Variants(thumbnail=cover(200, 200), large=inside(1920, 1080)))
pipeline.process(DOCUMENTS, Scan(clamav, quarantine=quarantine))
pipeline.process([IMAGES, DOCUMENTS], Metadata())

upload = Uploader(staging, limits=Limits(file_size="20 MB"), pipeline=pipeline)
avatar_form = upload.single("avatar", accept=IMAGES, check=ImageCheck(), required=True)
photos_form = upload.array("photos", accept=IMAGES, max_count=20, required=True)
documents_form = upload.array("documents", accept=DOCUMENTS, max_count=5, check=DocumentCheck(), required=True)


def avatar_of(owner: str) -> str | None:
    """The upload that is somebody's picture now."""
    newest = pipeline.ledger.find(owner=owner, field="avatar", state=State.COMPLETED, limit=1)
    return newest[0].id if newest else None


def picture(upload: str, variant: str) -> str | None:
    """Where a variant of a picture lies, when it is made. In a bucket it would be its `url()`."""
    try:
        return pipeline.made(upload, variant).path
    except RecordMissing:
        return None
