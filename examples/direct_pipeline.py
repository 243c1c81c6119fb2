"""Videos that go straight into a bucket, and that a pipeline remembers: whose each is, is known before it is sent."""

from __future__ import annotations

import os
from dataclasses import replace

from uploadkit import VIDEOS, S3Storage, Uploader
from uploadkit.processing.owned import Owned
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processors import Metadata
from uploadkit.records.ledger import Ledger
from uploadkit.resumable.direct import DirectUploads

storage = S3Storage(os.environ["BUCKET"], options={"endpoint_url": os.environ.get("S3_ENDPOINT")})
pipeline = Pipeline(Ledger("sqlite:///uploads.db"))
pipeline.process(VIDEOS, Metadata())
video = Uploader(storage, pipeline=pipeline).single("video", accept=VIDEOS, max_size="5 GB")


def uploads_of(user: str) -> DirectUploads:
    return DirectUploads(replace(video, register=Owned(pipeline, owner=user)))
