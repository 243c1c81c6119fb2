"""Pictures: checked, made smaller, described. Run it: uvicorn --app-dir examples images_app:app"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI

from uploadkit import IMAGES, DiskStorage, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive
from uploadkit.content.images import ImageCheck, aimage_info
from uploadkit.content.variants import amake_variants, cover, inside

app = FastAPI()
install(app)
upload = Uploader(DiskStorage("uploads"))
picture_form = upload.single("photo", accept=IMAGES, check=ImageCheck(max_pixels=40_000_000))


@app.post("/photos")
async def photos(photo: Annotated[UploadedFile, receive(picture_form)]) -> dict[str, object]:
    info = await aimage_info(photo)
    variants = await amake_variants(photo, {"thumbnail": cover(200, 200, quality=80), "large": inside(1920, 1080)})
    return {
        "format": info.format,
        "taken_at": info.taken_at,
        "variants": {name: [made.width, made.height, made.content_type] for name, made in variants.items()},
    }
