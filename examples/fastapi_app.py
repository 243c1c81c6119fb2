"""One upload in FastAPI. Run it: uvicorn --app-dir examples fastapi_app:app"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, Limits, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive

app = FastAPI()
install(app)  # the form stands on /docs
upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="5 MB"))
avatar_form = upload.single("avatar", accept=[IMAGES, DOCUMENTS])


@app.post("/profile")
async def profile(avatar: Annotated[UploadedFile, receive(avatar_form)]) -> dict[str, object]:
    return {
        "filename": avatar.filename,
        "content_type": avatar.content_type,
        "size": avatar.size,
        "sha256": avatar.digest,
    }
