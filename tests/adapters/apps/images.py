"""A route that takes pictures under an `ImageCheck` and makes a small one of each, in three frameworks."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from fastapi import FastAPI
from flask import Flask

from uploadkit import DiskStorage, UploadedFile, Uploader
from uploadkit.adapters import django, fastapi, flask
from uploadkit.content.images import ImageCheck
from uploadkit.content.variants import inside, make_variants

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test", MIDDLEWARE=[])

avatar = Uploader(DiskStorage("uploads")).single("avatar", check=ImageCheck())
on_fastapi, on_flask = FastAPI(), Flask(__name__)
received = fastapi.receive(avatar)


def _shown(file: UploadedFile) -> dict[str, Any]:
    small = make_variants(file, {"small": inside(30, 30)})["small"]
    return {"keys": [file.key, small.key], "sides": [small.width, small.height]}


@on_fastapi.post("/any")
def _(file: UploadedFile = received) -> dict[str, Any]:
    return _shown(file)


@on_flask.post("/any")
@flask.receive(avatar)
def view(file: UploadedFile) -> dict[str, Any]:
    return _shown(file)


@django.receive(avatar)
def django_view(request: HttpRequest, file: UploadedFile) -> JsonResponse:
    return JsonResponse(_shown(file))


urlpatterns = [path("any", django_view)]
on_django = get_wsgi_application()
