"""Errors of uploads in an application's own words, in FastAPI."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from uploadkit import IMAGES, DiskStorage, UploadedFile, Uploader, UploadError
from uploadkit.adapters.fastapi import receive

app = FastAPI()
upload = Uploader(DiskStorage("uploads"))


@app.exception_handler(UploadError)
async def refused(request: Request, error: UploadError) -> JSONResponse:
    return JSONResponse({"error": error.code, "field": error.field, "message": str(error)}, error.status)


@app.post("/profile")
async def profile(avatar: Annotated[UploadedFile, receive(upload.single("avatar", accept=IMAGES))]) -> dict[str, str]:
    return {"stored": avatar.filename}
