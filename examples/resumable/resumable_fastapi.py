"""Photos and films that come in as many requests as the network needs. Run it:

uvicorn --app-dir examples/resumable resumable_fastapi:app
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request

from uploadkit import IMAGES, VIDEOS, DiskStorage, Limits, UploadedFile, Uploader
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.resumable import ResumableApp, ResumableUploads

app = FastAPI()
pipeline = Pipeline(Ledger())  # remembers in uploads.db how far each upload has come
upload = Uploader(DiskStorage("uploads"), pipeline=pipeline, limits=Limits(file_size="5 GB", files_size="5 GB"))
tokens = {"ada-1815": "ada", "grace-1906": "grace"}  # yours are in a session, or in a table
library: dict[str, dict[str, object]] = {}  # so are yours


def owner(scope: MutableMapping[str, Any]) -> str:
    token = Request(scope).headers.get("Authorization", "").removeprefix("Bearer ")
    if token not in tokens:
        raise HTTPException(401)
    return tokens[token]


async def taken(file: UploadedFile) -> None:
    library[file.id] = {"filename": file.filename, "content_type": file.content_type, "size": file.size}


files = ResumableUploads(upload.single("file", accept=[IMAGES, VIDEOS]), handler=taken)
app.mount("/files", ResumableApp(files, owner=owner))


@app.get("/library/{upload}")
async def show(upload: str) -> dict[str, object]:
    return library[upload]
