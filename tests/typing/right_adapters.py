"""Views as users write them, in every framework."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from uploadkit import File, MemoryStorage, Submission, Text, UploadedFile, Uploader
from uploadkit.adapters import asgi, django, fastapi, flask, starlette, wsgi

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

upload = Uploader(MemoryStorage())
single = upload.single("avatar")
optional = upload.single("avatar", required=False)
array = upload.array("photos", max_count=12)
fields = upload.fields(File("avatar"), Text("title"))

flask_app = Flask(__name__)


@flask_app.post("/single")
@flask.receive(single)
def flask_single(avatar: UploadedFile) -> str:
    return avatar.filename


@flask_app.post("/optional/<int:number>")
@flask.receive(optional, raise_errors=True)
async def flask_optional(avatar: UploadedFile | None, number: int) -> dict[str, object]:
    return {"size": avatar.size if avatar else number}


@flask_app.post("/array")
@flask.receive(array)
def flask_array(photos: list[UploadedFile]) -> list[str]:
    return [photo.digest for photo in photos]


flask_single()
flask_optional(number=1)
flask_optional(2)


@django.receive(single)
def django_single(request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
    return HttpResponse(avatar.filename)


@django.receive(optional, csrf=False)
async def django_optional(request: HttpRequest, avatar: UploadedFile | None, *, number: int = 1) -> HttpResponse:
    return HttpResponse(avatar and await avatar.aread())


@django.receive(fields, raise_errors=True)
def django_fields(request: HttpRequest, submission: Submission) -> HttpResponse:
    return HttpResponse(submission.fields["title"])


urlpatterns = [path("single", django_single), path("<int:number>", django_optional), path("fields", django_fields)]
django_single(HttpRequest())
django_optional(HttpRequest(), number=3)

fastapi_app = FastAPI()
Avatar = Annotated[UploadedFile, fastapi.receive(single)]


@fastapi_app.post("/single")
async def fastapi_single(avatar: Avatar) -> dict[str, object]:
    return {"filename": avatar.filename}


@fastapi_app.post("/array", dependencies=[fastapi.receive(upload.none())])
def fastapi_array(photos: list[UploadedFile] = fastapi.receive(array)) -> int:
    return len(photos)


@starlette.receive(single)
async def starlette_single(request: Request, avatar: UploadedFile) -> Response:
    return PlainTextResponse(avatar.filename)


@starlette.receive(array)
async def starlette_array(request: Request, photos: list[UploadedFile]) -> PlainTextResponse:
    return PlainTextResponse(str(len(photos)))


Starlette(routes=[Route("/single", starlette_single), Route("/array", starlette_array)])
Starlette(routes=[Mount("/django", app=django.asgi(get_asgi_application()))])


@asgi.receive(single)
async def asgi_single(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send, avatar: UploadedFile) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [], "avatar": avatar.filename})


@wsgi.receive(optional)
def wsgi_optional(
    environ: WSGIEnvironment, start_response: StartResponse, avatar: UploadedFile | None
) -> Iterable[bytes]:
    return [avatar.read() if avatar else b""]


as_asgi: asgi.ASGIApp = asgi_single
as_wsgi: WSGIApplication = wsgi_optional


def wider(environ: dict[str, Any], start_response: StartResponse, file: object) -> list[bytes]:
    return []


wsgi.receive(single)(wider)
