"""The rules of a form for pages, and forms in FastAPI's document, as users write them."""

from __future__ import annotations

import json
from typing import Annotated, assert_type

from fastapi import FastAPI
from pydantic import BaseModel

from uploadkit import MemoryStorage, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive

app = FastAPI()
install(app)
upload = Uploader(MemoryStorage())


class Profile(BaseModel):
    name: str
    avatar: UploadedFile | None = None


profile_form = upload.form(Profile)


@app.post("/profile")
async def profile(profile: Annotated[Profile, receive(profile_form, validation_errors=True)]) -> Profile:
    return profile


rules = upload.single("avatar").rules()
assert_type(rules["files"]["avatar"]["accept"], list[str] | None)
assert_type(rules["files"]["avatar"]["multiple"], bool)
assert_type(rules["texts"]["title"]["max_length"], int | None)
assert_type(rules["limits"]["file_size"], int | None)
json.dumps(profile_form.rules())
