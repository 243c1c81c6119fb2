"""What users get wrong when uploadkit serves their views and endpoints: every marked line is an error, no other."""

from __future__ import annotations

from flask import Flask, request
from starlette.requests import Request
from starlette.responses import Response

from uploadkit import MemoryStorage, UploadedFile, Uploader
from uploadkit.adapters import flask, starlette

upload = Uploader(MemoryStorage())
flask_app = Flask(__name__)

flask_app.request_class = flask.request_class(upload)  # E: the uploader is no spec
flask_app.request_class = flask.request_class(upload.any)  # E: it is not called
flask_app.request_class = flask.request_class(upload.any(), True)  # E: a flag has a name
flask_app.request_class = flask.request_class(upload.any(), base=Flask)  # E: an application is no request
flask_app.request_class = upload.any()  # E: a spec is no class


def view() -> str:
    file = request.files["avatar"]
    if isinstance(file, flask.StoredFile):
        name: bytes = file.keep().filename  # E: a name is text
        file.uploaded.filename = "mine"  # E: it is a value
        return str(name)
    return ""


@starlette.request_form(upload)  # E: the uploader is no spec
async def no_spec(request: Request) -> Response:
    return Response()


@starlette.request_form(upload.any())  # E: the file is in the form
async def wants_file(request: Request, avatar: UploadedFile) -> Response:
    return Response()


@starlette.request_form(upload.any())  # E: an endpoint is async
def not_async(request: Request) -> Response:
    return Response()


@starlette.request_form(upload.any())
async def not_kept(request: Request) -> Response:
    form = await request.form()
    form["avatar"].keep()  # E: it may be a text
    return Response()
