"""What real servers run in the tests of real clients: resumable uploads at /files, beside an empty page.

The environment says where the ledger is; files lie in `uploads` below the current folder, or in a bucket that is named
there too. A process that was killed is waited for one second, and not fifteen.
"""

from __future__ import annotations

import json
import os
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route

from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.resumable import holding
from uploadkit.resumable.asgi import ResumableApp
from uploadkit.resumable.uploads import ResumableUploads
from uploadkit.storage.contract import Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.s3 import S3Storage
from uploadkit.uploader import Uploader

LEASE_SECONDS = 1.0

_take: Any = holding.take
_take.__kwdefaults__["lease_seconds"] = LEASE_SECONDS


def storage() -> Storage:
    """Where files wait and stay."""
    if "RESUMABLE_BUCKET" not in os.environ:
        return DiskStorage("uploads")
    return S3Storage(os.environ["RESUMABLE_BUCKET"], options=json.loads(os.environ["RESUMABLE_S3"]))


ledger = Ledger(os.environ.get("RESUMABLE_LEDGER", "sqlite:///uploads.db"))
upload = Uploader(storage(), pipeline=Pipeline(ledger))


async def blank(request: Request) -> HTMLResponse:
    """A page of the same origin."""
    return HTMLResponse("<!doctype html><title>uploads</title>")


app = Starlette(
    routes=[
        Route("/", blank),
        Mount("/files", ResumableApp(ResumableUploads(upload.single("file"), wait_seconds=5), allow_origins=["*"])),
    ]
)
