"""Views of Flask and endpoints of Starlette that are there already, as users let uploadkit serve them."""

from __future__ import annotations

from typing import assert_type

from flask import Flask, Request, request
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from werkzeug.exceptions import HTTPException

from uploadkit import File, MemoryStorage, UploadedFile, Uploader, UploadError
from uploadkit.adapters import flask, starlette

upload = Uploader(MemoryStorage())


class Mine(Request):
    """A request class that an application had."""


flask_app = Flask(__name__)
flask_app.request_class = flask.request_class(upload.any())
flask_app.request_class = flask.request_class(upload.single("avatar", required=False), errors_in_form=True)
flask_app.request_class = flask.request_class(upload.fields(File("avatar")), base=Mine)


@flask_app.post("/profile")
def profile() -> str:
    file = request.files["avatar"]
    file.save("avatar")
    if isinstance(file, flask.StoredFile):
        assert_type(file.keep(), UploadedFile)
        return file.uploaded.client_filename
    if isinstance(file, flask.RefusedFile):
        return file.reason
    kept: UploadedFile = file.keep()  # what a FileStorage has not is asked of its stream
    return kept.key


@flask_app.errorhandler(flask.UploadProblem)
def refused(problem: flask.UploadProblem) -> tuple[str, int]:
    assert_type(problem.error, UploadError)
    http: HTTPException = problem
    return http.description or "", problem.error.status


@starlette.request_form(upload.any())
async def endpoint(request: StarletteRequest) -> Response:
    async with request.form() as form:
        avatar = form["avatar"]
        if isinstance(avatar, starlette.StoredFile):
            file: UploadFile = avatar
            assert_type(await file.read(), bytes)
            assert_type(avatar.keep(), UploadedFile)
    return PlainTextResponse("ok")


raising = starlette.request_form(upload.array("photos"), raise_errors=True)(endpoint)
app = Starlette(routes=[Route("/", endpoint, methods=["POST"]), Route("/raising", raising, methods=["POST"])])
