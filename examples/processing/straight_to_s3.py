"""A file goes straight into a bucket, and has a row in a database. Run it: uvicorn straight_to_s3:app"""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from uploadkit import S3Storage, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger

pipeline = Pipeline(Ledger("sqlite:///uploads.db"))
upload = Uploader(S3Storage(os.environ.get("BUCKET", "s3://my-bucket"), name="s3"), pipeline=pipeline)
file_form = upload.single("file", required=True)

app = FastAPI()
install(app)


@app.post("/files", status_code=201)
async def add_file(file: Annotated[UploadedFile, receive(file_form)]) -> dict[str, str]:
    return {"id": file.id, "url": await file.aurl(expires_seconds=600)}


@app.get("/files/{upload}")
async def show(upload: str) -> RedirectResponse:
    """As long as there is the row, there is an address."""
    file = await pipeline.afile(upload)
    return RedirectResponse(await file.aurl(expires_seconds=60))
