"""The tutorial, fourth step: an album of several photos, with text, as a class."""

from __future__ import annotations

from datetime import date
from typing import Annotated, BinaryIO

from fastapi import FastAPI
from PIL import Image
from pydantic import BaseModel, Field

from uploadkit import IMAGES, DiskStorage, File, FileRefused, IncomingFile, Limits, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive


class WholePicture:
    """Reads the picture to its end. It has at most `pixels`, so that a small file is no huge picture."""

    def __init__(self, *, pixels: int) -> None:
        self.pixels = pixels

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        try:
            with Image.open(staged) as picture:
                width, height = picture.size  # from the header: nothing is decoded yet
                if width * height > self.pixels:
                    raise FileRefused(f"the picture has {width} x {height} pixels", field=file.field, filter="pixels")
                picture.load()
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for broken pictures
            raise FileRefused("the picture is damaged", field=file.field, filter="picture") from error


app = FastAPI()
install(app)  # the form stands on /docs
upload = Uploader(
    DiskStorage("uploads"),
    limits=Limits(file_size="5 MB"),
    accept=IMAGES,
    check=WholePicture(pixels=40_000_000),
)


class Album(BaseModel):
    title: Annotated[str, Field(min_length=2, max_length=80)]
    taken: date | None = None
    photos: Annotated[list[UploadedFile], File(max_count=12, required=True)]


@app.post("/albums")
async def create(album: Annotated[Album, receive(upload.form(Album))]) -> dict[str, object]:
    return {"title": album.title, "taken": album.taken, "photos": [photo.filename for photo in album.photos]}
