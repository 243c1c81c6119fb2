"""Typed forms as users write them: the model is what the view is given, and what its attributes are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from django.http import HttpRequest, HttpResponse
from fastapi import FastAPI
from flask import Flask
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from uploadkit import IMAGES, FieldError, File, InvalidForm, MemoryStorage, Spec, UploadedFile, Uploader, receive
from uploadkit.adapters import django, fastapi, flask, starlette

upload = Uploader(MemoryStorage())


class Profile(BaseModel):
    title: str
    age: int = 0
    avatar: Annotated[UploadedFile, File(accept=IMAGES, max_size="5 MB")]
    cover: Annotated[UploadedFile, File(accept=IMAGES)] | None = None
    banner: Annotated[UploadedFile | None, File()] = None
    photos: Annotated[list[UploadedFile], File(max_count=8)] = []


@dataclass
class Note:
    text: str
    attachment: UploadedFile | None = None
    others: list[UploadedFile] = field(default_factory=list[UploadedFile])


profile_form: Spec[Profile] = upload.form(Profile)
note_form: Spec[Note] = upload.form(Note, nested=True)

flask_app = Flask(__name__)


@flask_app.post("/profile")
@flask.receive(profile_form)
def flask_profile(profile: Profile) -> dict[str, object]:
    cover = profile.cover.size if profile.cover else 0
    return {"title": profile.title.upper(), "sizes": [photo.size for photo in profile.photos], "cover": cover}


@django.receive(note_form)
def django_note(request: HttpRequest, note: Note) -> HttpResponse:
    return HttpResponse(note.attachment.filename if note.attachment else note.text)


@starlette.receive(profile_form)
async def starlette_profile(request: Request, profile: Profile) -> PlainTextResponse:
    return PlainTextResponse(profile.avatar.filename)


fastapi_app = FastAPI()


@fastapi_app.post("/profile")
async def fastapi_profile(profile: Annotated[Profile, fastapi.receive(profile_form)]) -> int:
    return profile.age + profile.avatar.size


def told(chunks: list[bytes]) -> list[FieldError]:
    try:
        note = receive(note_form, "multipart/form-data; boundary=b", chunks)
    except InvalidForm as error:
        return [each for each in error.errors if each.field != "text"]
    return [FieldError(field=None, code=note.text, message="")]
