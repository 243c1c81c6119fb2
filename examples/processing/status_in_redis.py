"""Where each upload is stands in Redis for an hour, for services that have no access to the database.

Run it: uvicorn status_in_redis:app
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException

from uploadkit import DiskStorage, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive
from uploadkit.events.redis import RedisStatus
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processors import Metadata
from uploadkit.records.ledger import Ledger

pipeline = Pipeline(Ledger("sqlite:///uploads.db"))
pipeline.process("*", Metadata())
redis = RedisStatus(os.environ.get("REDIS_URL", "redis://localhost:6379/0"), ttl_seconds=3600)
pipeline.on()(redis.hear)  # of every fact

upload = Uploader(DiskStorage("files"), pipeline=pipeline)
file_form = upload.single("file", required=True)

app = FastAPI()
install(app)


@app.post("/files", status_code=202)
async def add_file(file: Annotated[UploadedFile, receive(file_form)]) -> dict[str, str]:
    return {"id": file.id}


@app.get("/status/{upload}")
def status(upload: str) -> Mapping[str, Any]:
    """Asks Redis alone. After an hour, or when Redis was emptied, the ledger still knows: `redis.rebuild` reads it."""
    told = redis.get(upload)
    if told is None:
        raise HTTPException(404)
    return told
