"""A FastAPI application with every kind of spec on its /docs and /redoc."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, Field

from uploadkit import DOCUMENTS, IMAGES, File, Limits, Submission, Text, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive

from .routes import server_storage

app = FastAPI(title="Pictures")
install(app)
upload = Uploader(server_storage(), limits=Limits(file_size="5 MB", files=10))
albums = APIRouter(prefix="/albums", tags=["albums"])


class Shown(BaseModel):
    """What came in: the files, and the text values by name."""

    files: list[UploadedFile]
    texts: dict[str, Any]


def shown(submission: Submission) -> Shown:
    return Shown(files=[*submission.files], texts={name: submission.fields.getlist(name) for name in submission.fields})


@app.post("/profile", summary="Change your picture")
async def profile(avatar: Annotated[UploadedFile, receive(upload.single("avatar", accept=IMAGES))]) -> UploadedFile:
    return avatar


@albums.post("/{album}", summary="Add pictures to an album")
async def album(
    album: str,
    photos: Annotated[list[UploadedFile], receive(upload.array("photos", max_count=3, min_count=1, accept=IMAGES))],
) -> list[UploadedFile]:
    return photos


report = upload.fields(
    File("report", required=True, accept=DOCUMENTS),
    File("cover", accept=IMAGES),
    File("annexes", max_count=None),
    Text("title", max_length=80),
)


@app.post("/reports", summary="Hand in a report")
async def reports(submission: Annotated[Submission, receive(report)]) -> Shown:
    return shown(submission)


@app.post("/any", summary="Files in any field")
async def anything(submission: Annotated[Submission, receive(upload.any())]) -> Shown:
    return shown(submission)


class Pet(BaseModel):
    name: str
    age: int


class Person(BaseModel):
    nick: str = Field(max_length=40, description="What we call you.")
    born: date | None = None
    tags: list[str] = []
    pet: Pet | None = None
    avatar: Annotated[UploadedFile | None, File("picture", accept=IMAGES, max_size="1.5 MB")] = None
    papers: list[UploadedFile]


@app.post("/people", summary="Introduce yourself")
async def people(person: Annotated[Person, receive(upload.form(Person))]) -> Shown:
    files = [*([person.avatar] if person.avatar else []), *person.papers]
    return Shown(files=files, texts=person.model_dump(mode="json", exclude={"avatar", "papers"}))


app.include_router(albums)
