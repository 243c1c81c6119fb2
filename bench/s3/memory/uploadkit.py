"""uploadkit's `S3Storage` alone: no form is parsed and no digest is made."""

from __future__ import annotations

from uploadkit import ObjectInfo, S3Storage

from ...end_to_end.forms import Load
from ..told import BUCKET, ENDPOINT, key

_storage = S3Storage(f"s3://{BUCKET}", options={"endpoint_url": ENDPOINT})


def send(load: Load, number: int) -> None:
    sink = _storage.open(key(), ObjectInfo())
    for piece in load.data(number):
        sink.write(piece)
    sink.stage().commit()
