"""A typed form, for the applications beside this file."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import BaseModel, Field

from uploadkit import IMAGES, DiskStorage, File, Limits, UploadedFile, Uploader


class Profile(BaseModel):
    name: str = Field(min_length=2, max_length=80)
    born: date
    avatar: Annotated[UploadedFile, File(accept=IMAGES, max_size="5 MB")] | None = None
    photos: Annotated[list[UploadedFile], File(accept=IMAGES, max_count=12)]


upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="20 MB"))
profile_form = upload.form(Profile)


def answer(profile: Profile) -> dict[str, object]:
    return {
        "name": profile.name,
        "year": profile.born.year,
        "avatar": profile.avatar and profile.avatar.content_type,
        "photos": [photo.filename for photo in profile.photos],
    }
