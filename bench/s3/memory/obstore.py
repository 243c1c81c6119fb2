"""obstore's writer, with the parts that `S3Storage` sends: 8 MiB, four of them in flight."""

from __future__ import annotations

from obstore import open_writer
from obstore.store import S3Store

from ...end_to_end.forms import MIB, Load
from ..told import BUCKET, ENDPOINT, key

_store = S3Store(BUCKET, endpoint=ENDPOINT, client_options={"allow_http": True})


def send(load: Load, number: int) -> None:
    with open_writer(_store, key(), buffer_size=8 * MIB, max_concurrency=4) as writer:
        for piece in load.data(number):
            writer.write(bytes(piece))  # it would hold the buffer, which is its caller's
