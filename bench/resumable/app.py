"""What is measured: one spec, with a ledger and a disk that is durable, behind a form and behind tus.

`BENCH_FOLDER` is where files and ledger lie; with `BENCH_S3` files are in that S3 instead (see `bench.s3.stores`).
"""

from __future__ import annotations

import os
from pathlib import Path

from uploadkit import DiskStorage, Limits, UploadedFile, Uploader
from uploadkit.adapters.asgi import Receive, Scope, Send, receive
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.resumable.asgi import ResumableApp
from uploadkit.resumable.uploads import ResumableUploads
from uploadkit.storage.contract import Storage

FOLDER = Path(os.environ["BENCH_FOLDER"])


def _storage() -> Storage:
    if "BENCH_S3" not in os.environ:
        return DiskStorage(FOLDER / "files", durable=True)
    from uploadkit.storage.s3 import S3Storage  # optional

    return S3Storage(f"s3://{os.environ['BENCH_BUCKET']}", options={"endpoint_url": os.environ["BENCH_S3"]})


pipeline = Pipeline(Ledger(f"sqlite:///{FOLDER / 'uploads.db'}"))
upload = Uploader(_storage(), pipeline=pipeline, limits=Limits(body_size="4 GB", file_size="2 GB", files_size="4 GB"))
spec = upload.single("file")
tus = ResumableApp(ResumableUploads(spec))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """`/uploads` takes a form, `/tus` uploads in several requests, and every other path is the other route."""
    if scope["type"] == "http" and scope["path"].startswith("/tus/"):
        await tus(dict(scope, root_path="/tus"), receive, send)
    elif scope["type"] == "http" and scope["path"] != "/uploads":
        await _say(send, "ok")
    else:
        await form(scope, receive, send)


@receive(spec)
async def form(scope: Scope, receive: Receive, send: Send, file: UploadedFile) -> None:
    """Says how large it is."""
    await _say(send, str(file.size))


async def _say(send: Send, text: str) -> None:
    body = text.encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
