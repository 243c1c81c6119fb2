"""A bucket on AWS, and what an S3Storage can be told of its objects."""

from __future__ import annotations

from uploadkit import S3Storage

storage = S3Storage(
    "s3://my-bucket/uploads",
    options={"client_kwargs": {"region_name": "eu-central-1"}},
    storage_class="STANDARD_IA",
    encryption="aws:kms",
    kms_key="alias/uploads",
    cache_control="private, max-age=3600",
    metadata={"application": "gallery"},
)
