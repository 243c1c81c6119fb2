"""Uploads in several requests as users write them."""

from __future__ import annotations

from typing import assert_type

import flask
from django.http import HttpRequest
from django.urls import URLPattern, include, path
from starlette.applications import Starlette
from starlette.requests import Request

from uploadkit import VIDEOS, DiskStorage, Submission, UploadedFile, Uploader
from uploadkit.adapters.asgi import Scope
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.records.record import Quota
from uploadkit.resumable import ResumableApp, ResumableUploads, ResumableWSGIApp
from uploadkit.resumable.django import resumable_urls
from uploadkit.resumable.flask import resumable_blueprint
from uploadkit.resumable.protocol import Answer

upload = Uploader(DiskStorage("uploads"), pipeline=Pipeline(Ledger()))


def taken(video: UploadedFile) -> None:
    assert_type(video.size, int)


async def ataken(video: UploadedFile) -> Answer:
    return Answer(status=201, headers={"Location": f"/videos/{video.id}"})


def of_a_form(form: Submission) -> str:
    return form.files[0].filename


videos = ResumableUploads(upload.single("video", accept=VIDEOS), handler=taken, quota=Quota(bytes=10**9))
async_videos = ResumableUploads(upload.single("video"), handler=ataken, staging=DiskStorage("waiting", name="waiting"))
any_file = ResumableUploads(upload.any(), handler=of_a_form, expires_seconds=3600, wait_seconds=5)
assert_type(videos.max_size, int | None)


def by_scope(scope: Scope) -> str:
    return Request(scope).headers["x-user"]


async def by_scope_async(scope: Scope) -> str | None:
    return None


def by_flask(request: flask.Request) -> str | None:
    return request.headers.get("X-User")


def by_django(request: HttpRequest) -> str:
    return str(request.user)


async def by_django_async(request: HttpRequest) -> str:
    return str(await request.auser())


app = Starlette()
app.mount("/files", ResumableApp(videos, owner=by_scope, allow_origins=["https://www.example.com"]))
app.mount("/others", ResumableApp(async_videos, owner=by_scope_async))

flask_app = flask.Flask(__name__)
flask_app.register_blueprint(resumable_blueprint(videos, owner=by_flask, name="videos"), url_prefix="/files")
flask_app.wsgi_app = ResumableWSGIApp(videos, owner=lambda environ: environ.get("REMOTE_USER"))  # type: ignore[method-assign]  # as Flask has it

urls = assert_type(resumable_urls(videos, owner=by_django), list[URLPattern])
urlpatterns = [path("files/", include(urls)), path("others/", include(resumable_urls(any_file, owner=by_django_async)))]
