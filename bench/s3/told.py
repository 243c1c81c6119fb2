"""What a process is told by its environment, and the boto3 client that everybody would make of it.

Credentials and region are in the variables that botocore itself reads.
"""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

ENDPOINT = os.environ["BENCH_S3"]
"""The address of the S3."""

BUCKET = os.environ["BENCH_BUCKET"]
"""Is there, and empty."""


def key() -> str:
    """For a new object, by a name that nobody else has."""
    return uuid4().hex


def client() -> Any:
    """As boto3 makes it; safe for threads."""
    import boto3

    return boto3.client("s3", endpoint_url=ENDPOINT)


ANSWER = "||"
"""What an upload is answered with: the sender's forms have no text values."""
