"""The tutorial, first step: every file comes in."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI

from uploadkit import DiskStorage, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive

app = FastAPI()
install(app)  # the form stands on /docs
upload = Uploader(DiskStorage("uploads"))
photo_form = upload.single("photo")


@app.post("/photos")
async def add(photo: Annotated[UploadedFile, receive(photo_form)]) -> dict[str, object]:
    return {"filename": photo.filename, "content_type": photo.content_type, "size": photo.size}
