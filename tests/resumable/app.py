"""What real servers run in the tests of real clients: resumable uploads at /files, beside an empty page.

The environment says where the ledger is; files lie in `uploads` below the current folder. A process that was killed is
waited for one second, and not fifteen.
"""

from __future__ import annotations

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
from uploadkit.storage.disk import DiskStorage
from uploadkit.uploader import Uploader

LEASE_SECONDS = 1.0

_take: Any = holding.take
_take.__kwdefaults__["lease_seconds"] = LEASE_SECONDS

ledger = Ledger(os.environ.get("RESUMABLE_LEDGER", "sqlite:///uploads.db"))
upload = Uploader(DiskStorage("uploads"), pipeline=Pipeline(ledger))


async def blank(request: Request) -> HTMLResponse:
    """A page of the same origin."""
    return HTMLResponse("<!doctype html><title>uploads</title>")


app = Starlette(
    routes=[
        Route("/", blank),
        Mount("/files", ResumableApp(ResumableUploads(upload.single("file"), wait_seconds=5), allow_origins=["*"])),
    ]
)
