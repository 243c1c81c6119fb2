"""A typed form whose errors FastAPI shows as it shows its own.

uvicorn --app-dir examples validation_errors:app
"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI
from pydantic import BaseModel, Field

from uploadkit import IMAGES, DiskStorage, File, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive

app = FastAPI()
install(app)
upload = Uploader(DiskStorage("uploads"))


class Profile(BaseModel):
    name: str = Field(max_length=80)
    age: int = Field(gt=0)
    avatar: Annotated[UploadedFile, File(accept=IMAGES)] | None = None


profile_form = receive(upload.form(Profile), validation_errors=True)


@app.post("/profile")
async def create(profile: Annotated[Profile, profile_form]) -> Profile:
    return profile
