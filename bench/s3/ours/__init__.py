"""uploadkit with an `S3Storage` that is told no more than where it is, and without limits of size."""

from __future__ import annotations

from uploadkit import File, Limits, S3Storage, Uploader

from ..told import BUCKET, ENDPOINT

_limits = Limits(file_size=None, files_size=None, body_size=None)
_storage = S3Storage(f"s3://{BUCKET}", options={"endpoint_url": ENDPOINT})
form = Uploader(_storage, limits=_limits).fields(File("file", required=True))
