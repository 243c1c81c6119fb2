"""Views that do not fit their spec: each is caught before it runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from starlette.requests import Request
from starlette.responses import Response

from uploadkit import MemoryStorage, Submission, UploadedFile, Uploader
from uploadkit.adapters import asgi, django, flask, starlette, wsgi

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

upload = Uploader(MemoryStorage())
single = upload.single("avatar")
optional = upload.single("avatar", required=False)
array = upload.array("photos")


@flask.receive(single)  # E: a list where one file comes
def flask_list(avatar: list[UploadedFile]) -> str:
    return ""


@flask.receive(array)  # E: one file where a list comes
def flask_one(photos: UploadedFile) -> str:
    return ""


@flask.receive(optional)  # E: None is forgotten
def flask_none(avatar: UploadedFile) -> str:
    return ""


@flask.receive(single)  # E: the file comes first
def flask_order(number: int, avatar: UploadedFile) -> str:
    return ""


@flask.receive(single)  # E: nothing is taken
def flask_nothing() -> str:
    return ""


@flask.receive(optional)
def flask_forgets(avatar: UploadedFile | None) -> str:
    return avatar.filename  # E: it may be None


@flask.receive(single)
def flask_misspelt(avatar: UploadedFile) -> str:
    return avatar.file_name  # E: no such attribute


@flask.receive(single)
def flask_right(avatar: UploadedFile, number: int) -> str:
    return ""


flask_right(number="1")  # E: the rest of the signature stays as it is
flask.receive(MemoryStorage())  # E: not a spec
flask.receive(single, raises=True)  # E: no such option


@django.receive(single)  # E: the view does not take the file
def django_nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@django.receive(single)  # E: the request comes first
def django_order(avatar: UploadedFile, request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@django.receive(optional)  # E: None is forgotten
async def django_none(request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
    return HttpResponse()


@django.receive(upload.any())  # E: one file where a submission comes
def django_any(request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
    return HttpResponse()


@django.receive(single, csrf=None)
def django_right(request: HttpRequest, avatar: UploadedFile) -> HttpResponse:
    return HttpResponse(avatar.digest)


django_right(HttpRequest(), "avatar")  # E: the file is given by the decorator


@starlette.receive(array)  # E: one file where a list comes
async def starlette_one(request: Request, photos: UploadedFile) -> Response:
    return Response()


@starlette.receive(single)  # E: not async
def starlette_sync(request: Request, avatar: UploadedFile) -> Response:
    return Response()


@starlette.receive(upload.none())
async def starlette_submission(request: Request, submission: Submission) -> Response:
    return Response(submission.text["title"])  # E: no such attribute


@asgi.receive(single)  # E: the file comes last
async def asgi_order(avatar: UploadedFile, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    return None


@wsgi.receive(optional)  # E: None is forgotten
def wsgi_none(environ: WSGIEnvironment, start_response: StartResponse, avatar: UploadedFile) -> Iterable[bytes]:
    return []
