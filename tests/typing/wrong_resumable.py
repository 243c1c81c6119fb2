"""Uploads in several requests, as nobody may write them."""

from __future__ import annotations

import flask
from django.http import HttpRequest

from uploadkit import MemoryStorage, UploadedFile, Uploader
from uploadkit.adapters.asgi import Scope
from uploadkit.resumable import ResumableApp, ResumableUploads, ResumableWSGIApp
from uploadkit.resumable.django import resumable_urls
from uploadkit.resumable.flask import resumable_blueprint

upload = Uploader(MemoryStorage())
uploads = ResumableUploads(upload.single("video"))


def takes_several(videos: list[UploadedFile]) -> None: ...


def gives_a_number(scope: Scope) -> int:
    return 5


async def is_async(request: flask.Request) -> str:
    return "ada"


def of_another_framework(request: HttpRequest) -> str:
    return "ada"


ResumableUploads(upload.single("video"), handler=takes_several)  # E: a file, as the spec gives it
ResumableUploads(upload)  # E: a spec and no uploader
ResumableUploads(upload.single("video"), expires_seconds="1 day")  # E: seconds are a number
ResumableApp(uploads, owner=gives_a_number)  # E: an owner is a text
ResumableWSGIApp(uploads, owner="ada")  # E: an owner is asked for
resumable_blueprint(uploads, owner=is_async)  # E: Flask awaits nothing
resumable_blueprint(uploads, owner=of_another_framework)  # E: Flask's own request
resumable_urls(uploads, owner=is_async)  # E: Django's own request
