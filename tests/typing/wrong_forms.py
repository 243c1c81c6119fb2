"""Mistakes around typed forms. Every line that is marked, and no other, is an error."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest, HttpResponse
from fastapi import FastAPI
from flask import Flask
from pydantic import BaseModel

from uploadkit import IMAGES, File, MemoryStorage, UploadedFile, Uploader, receive
from uploadkit.adapters import django, fastapi, flask

upload = Uploader(MemoryStorage())


class Profile(BaseModel):
    title: str
    avatar: Annotated[UploadedFile, File(accept=IMAGES)]
    cover: UploadedFile | None = None
    photos: list[UploadedFile] = []


class Other(BaseModel):
    title: str


form = upload.form(Profile)
upload.form(Profile())  # E: an instance, and one that lacks its fields
upload.form(Profile, required=True)  # E: no such option
File(accept=IMAGES, max_cuont=2)  # E: no such rule

flask_app = Flask(__name__)


@flask.receive(form)  # E: another model
def flask_other(profile: Other) -> str:
    return profile.title


@flask.receive(form)  # E: one file where the model comes
def flask_file(avatar: UploadedFile) -> str:
    return avatar.filename


@flask.receive(form)
def flask_attribute(profile: Profile) -> str:
    return profile.avtar.filename  # E: no such attribute


@flask.receive(form)
def flask_none(profile: Profile) -> int:
    return profile.cover.size  # E: None is forgotten


@django.receive(form)  # E: another model
def django_other(request: HttpRequest, profile: Other) -> HttpResponse:
    return HttpResponse(profile.title)


@django.receive(form)
def django_list(request: HttpRequest, profile: Profile) -> HttpResponse:
    return HttpResponse(profile.photos.filename)  # E: one file where a list is


fastapi_app = FastAPI()


@fastapi_app.post("/profile")
async def fastapi_none(profile: Annotated[Profile, fastapi.receive(form)]) -> str:
    return profile.cover.filename  # E: None is forgotten


def whole(chunks: list[bytes]) -> str:
    return receive(form, "multipart/form-data; boundary=b", chunks).titel  # E: no such attribute


def assigned() -> None:
    photo: UploadedFile = receive(form, None, [])  # E: the model is no file
    photo.delete()
