"""Whose uploads, and how many: each user has room for so much. Run it: uvicorn owned:app"""

from __future__ import annotations

from dataclasses import replace

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from uploadkit import DiskStorage, Submission, Uploader
from uploadkit.adapters.starlette import receive
from uploadkit.processing.owned import Owned
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.records.record import Quota

pipeline = Pipeline(Ledger("sqlite:///uploads.db"))
form = Uploader(DiskStorage("files"), pipeline=pipeline).any(min_count=1)
quota = Quota(files=3, bytes=1_000_000)


async def add_files(request: Request) -> Response:
    """Each request has a register of its own, which knows whose its files are before the first byte comes."""
    user = request.headers["x-user"]  # your own way to know who asks
    expected = int(request.headers.get("content-length", 0))
    owned = Owned(pipeline, owner=user, quota=quota, expected_size=expected)
    return await receive(replace(form, register=owned))(kept)(request)


async def kept(request: Request, submission: Submission) -> Response:
    return JSONResponse({"ids": [file.id for file in submission.files]}, 201)


async def usage(request: Request) -> Response:
    has = await pipeline.ledger.ausage(request.headers["x-user"])
    return JSONResponse({"files": has.files, "bytes": has.bytes, "of": quota.bytes})


app = Starlette(routes=[Route("/files", add_files, methods=["POST"]), Route("/usage", usage)])
