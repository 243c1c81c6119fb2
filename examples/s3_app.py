"""Uploads into a bucket of S3. Run it: uvicorn --app-dir examples s3_app:app"""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import FastAPI

from uploadkit import IMAGES, Limits, S3Storage, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive

app = FastAPI()
install(app)
storage = S3Storage(os.environ.get("UPLOADS", "s3://uploads"))
upload = Uploader(storage, limits=Limits(file_size="1 GiB", files_size="1 GiB", body_size="1.1 GiB"))
photo_form = upload.single("photo", accept=IMAGES)


@app.post("/photos")
async def add_photo(photo: Annotated[UploadedFile, receive(photo_form)]) -> dict[str, object]:
    return {"filename": photo.filename, "size": photo.size, "url": await photo.aurl(inline=True)}
