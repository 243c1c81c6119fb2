"""The tutorial, third step: a picture is opened before it is published."""

from __future__ import annotations

from typing import Annotated, BinaryIO

from fastapi import FastAPI
from PIL import Image

from uploadkit import IMAGES, DiskStorage, FileRefused, IncomingFile, Limits, UploadedFile, Uploader
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
photo_form = upload.single("photo")


@app.post("/photos")
async def add(photo: Annotated[UploadedFile, receive(photo_form)]) -> dict[str, object]:
    return {"filename": photo.filename, "content_type": photo.content_type, "size": photo.size}
