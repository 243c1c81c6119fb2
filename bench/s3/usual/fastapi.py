"""FastAPI's own `UploadFile`, sent by boto3 in a thread."""

from __future__ import annotations

from fastapi import FastAPI, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse

from ..told import ANSWER, BUCKET, key
from . import s3

app = FastAPI()


@app.post("/upload")
async def upload(file: UploadFile) -> PlainTextResponse:
    await run_in_threadpool(s3.upload_fileobj, file.file, BUCKET, key())
    return PlainTextResponse(ANSWER)


@app.get("/other")
async def other() -> PlainTextResponse:
    return PlainTextResponse("ok")
