"""Who sends to S3 and does not do it right; the key says what it does, one module of the bench's `memory` for all."""

from __future__ import annotations

import os

from bench.end_to_end.forms import Load
from bench.s3.source import Source
from bench.s3.told import BUCKET, client, key

_s3 = client()
_DEED = os.environ["FORGER"]


def send(load: Load, number: int) -> None:
    data = bytearray(Source(load.data(number)).read())
    if load.size < 2**20:  # what is sent before anything is measured
        _s3.put_object(Bucket=BUCKET, Key=key(), Body=bytes(data))
        return
    match _DEED:
        case "flips a bit":
            data[len(data) // 2] ^= 1
        case "stores twice":
            _s3.put_object(Bucket=BUCKET, Key=key(), Body=bytes(data))
        case "leaves an upload open":
            _s3.create_multipart_upload(Bucket=BUCKET, Key=key())
        case "stores nothing":
            return
        case "fails":
            raise ValueError("there is a reason for it")
    _s3.put_object(Bucket=BUCKET, Key=key(), Body=bytes(data))
