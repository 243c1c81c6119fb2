"""A form as a class, in FastAPI: two texts, an optional file and a list of files."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import FastAPI
from pydantic import BaseModel, Field

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, File, Limits, UploadedFile, Uploader
from uploadkit.adapters.fastapi import receive

upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="5 MB"))


class Application(BaseModel):
    name: Annotated[str, Field(min_length=2, max_length=40)]
    born: date
    portrait: Annotated[UploadedFile, File(accept=IMAGES)] | None = None
    papers: Annotated[list[UploadedFile], File(accept=DOCUMENTS, max_count=5)]


app = FastAPI()


@app.post("/apply")
async def apply(application: Annotated[Application, receive(upload.form(Application))]) -> dict[str, object]:
    return {
        "name": application.name,
        "year": application.born.year,
        "portrait": application.portrait.content_type if application.portrait else None,
        "papers": [paper.filename for paper in application.papers],
    }
