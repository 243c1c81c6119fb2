"""Uploads that go from the browser straight into a bucket: a photo in one request, a video in parts, by Uppy.

    BUCKET=s3://media SECRET=... uvicorn --app-dir examples/direct_uploads app:app

The bucket needs the rule of cors.json beside this file, with the address of the page in it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from uploadkit import IMAGES, VIDEOS, S3Storage, UploadedFile, Uploader, UploadError
from uploadkit.adapters.starlette import ProblemResponse
from uploadkit.resumable.direct import DirectForm, DirectUploads
from uploadkit.storage.contract import StoredPart

app = FastAPI()
secret = os.environ["SECRET"]  # at least 16 bytes, the same for every process
storage = S3Storage(os.environ["BUCKET"], options={"endpoint_url": os.environ.get("S3_ENDPOINT")})
upload = Uploader(storage)
photos = DirectUploads(upload.single("photo", accept=IMAGES, max_size="5 MB"), secret=secret)
video = upload.single("video", accept=VIDEOS, max_size="5 GB")
videos = DirectUploads(video, secret=secret, expires_seconds=6 * 3600)


@app.exception_handler(UploadError)
async def refused(request: Request, error: UploadError) -> Response:
    return ProblemResponse(error)


# A photo: one form, sent by the page's own script.


class Wanted(BaseModel):
    filename: str
    type: str
    size: int


class Sent(BaseModel):
    token: str


@app.post("/photos")
async def begin_photo(wanted: Wanted) -> DirectForm:
    return await photos.abegin(wanted.filename, wanted.type, wanted.size)


@app.post("/photos/finish")
async def finish_photo(sent: Sent) -> dict[str, str]:
    return await shown(await photos.afinish(sent.token))


async def shown(file: UploadedFile) -> dict[str, str]:
    return {"filename": file.filename, "url": await file.aurl(inline=True)}


# A video: the routes that Uppy's AwsS3 asks for, below /videos. Its `key` is our token.


class WantedParts(BaseModel):
    filename: str
    type: str
    metadata: dict[str, Any]


@app.post("/videos/s3/multipart")
async def begin_video(wanted: WantedParts) -> dict[str, str]:
    begun = await videos.abegin_parts(wanted.filename, wanted.type, wanted.metadata.get("size"))
    return {"key": begun.token, "uploadId": begun.id}


@app.get("/videos/s3/multipart/{upload_id}")
async def list_parts(upload_id: str, key: str) -> list[dict[str, Any]]:
    return [as_in_s3(part) for part in await videos.alist_parts(key)]


def as_in_s3(part: StoredPart) -> dict[str, Any]:
    return {"PartNumber": part.number, "Size": part.size, "ETag": part.etag}


@app.get("/videos/s3/multipart/{upload_id}/{number}")
async def sign_part(upload_id: str, number: int, key: str) -> dict[str, str]:
    return {"url": await videos.asign_part(key, number)}


@app.post("/videos/s3/multipart/{upload_id}/complete")
async def complete_video(upload_id: str, key: str) -> dict[str, str]:
    await videos.acomplete(key)
    return {"location": "", "key": key}


@app.delete("/videos/s3/multipart/{upload_id}")
async def abort_video(upload_id: str, key: str) -> dict[str, str]:
    await videos.aabort(key)
    return {}


@app.post("/videos/finish")
async def finish_video(sent: Sent) -> dict[str, str]:
    return await shown(await videos.afinish(sent.token))


# The page, and the rules that it tells beforehand.


@app.get("/videos/rules")
async def rules() -> Any:
    return video.rules()["files"]["video"]


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return Path(__file__).with_name("page.html").read_text(encoding="utf-8")
