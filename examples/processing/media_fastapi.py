"""Pictures and documents in FastAPI. Run it: uvicorn media_fastapi:app, and beside it a worker, as media.py says."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse
from media import avatar_form, avatar_of, documents_form, photos_form, picture, pipeline

from uploadkit import UploadedFile
from uploadkit.adapters.fastapi import install, receive

app = FastAPI()
install(app)


@app.post("/users/{owner}/avatar")
async def change_avatar(owner: str, avatar: Annotated[UploadedFile, receive(avatar_form)]) -> dict[str, Any]:
    await pipeline.adescribe(avatar.id, owner=owner)
    status = await pipeline.arun(avatar)
    await pipeline.areplace_others(avatar.id)
    return status.as_json()


@app.get("/users/{owner}/picture")
def current(owner: str) -> FileResponse:
    upload = avatar_of(owner)
    if upload is None:
        raise HTTPException(404)
    return show(upload, "thumbnail")


@app.post("/users/{owner}/photos", status_code=202)
async def add_photos(owner: str, photos: Annotated[list[UploadedFile], receive(photos_form)]) -> dict[str, list[str]]:
    return {"uploads": [(await pipeline.adescribe(photo.id, owner=owner)).id for photo in photos]}


@app.post("/users/{owner}/documents", status_code=202)
async def add_documents(
    owner: str, documents: Annotated[list[UploadedFile], receive(documents_form)]
) -> dict[str, list[str]]:
    return {"uploads": [(await pipeline.adescribe(document.id, owner=owner)).id for document in documents]}


@app.get("/status/{upload}")
async def status(upload: str) -> dict[str, Any]:
    return (await pipeline.astatus(upload)).as_json()


@app.get("/pictures/{upload}/{variant}")
def show(upload: str, variant: str) -> FileResponse:
    path = picture(upload, variant)
    if path is None:
        raise HTTPException(404)
    return FileResponse(path)
