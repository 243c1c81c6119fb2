"""`upload_fileobj` of boto3, as it is."""

from __future__ import annotations

from ...end_to_end.forms import Load
from ..source import Source
from ..told import BUCKET, client, key

_s3 = client()


def send(load: Load, number: int) -> None:
    _s3.upload_fileobj(Source(load.data(number)), BUCKET, key())
