"""Pictures and documents in Flask. Run it: flask --app media_flask run, and beside it a worker, as media.py says."""

from __future__ import annotations

from typing import Any

from flask import Flask, abort, send_file
from flask.typing import ResponseReturnValue
from media import avatar_form, avatar_of, documents_form, photos_form, picture, pipeline
from werkzeug import Response

from uploadkit import UploadedFile, UploadError
from uploadkit.adapters.flask import receive

app = Flask(__name__)


@app.post("/users/<owner>/avatar")
@receive(avatar_form)
def change_avatar(avatar: UploadedFile, owner: str) -> dict[str, Any]:
    pipeline.describe(avatar.id, owner=owner)
    status = pipeline.run(avatar)
    pipeline.replace_others(avatar.id)
    return status.as_json()


@app.get("/users/<owner>/picture")
def current(owner: str) -> Response:
    upload = avatar_of(owner)
    return abort(404) if upload is None else show(upload, "thumbnail")


@app.post("/users/<owner>/photos")
@receive(photos_form)
def add_photos(photos: list[UploadedFile], owner: str) -> ResponseReturnValue:
    return {"uploads": [pipeline.describe(photo.id, owner=owner).id for photo in photos]}, 202


@app.post("/users/<owner>/documents")
@receive(documents_form)
def add_documents(documents: list[UploadedFile], owner: str) -> ResponseReturnValue:
    return {"uploads": [pipeline.describe(document.id, owner=owner).id for document in documents]}, 202


@app.get("/status/<upload>")
def status(upload: str) -> dict[str, Any]:
    return pipeline.status(upload).as_json()


@app.get("/pictures/<upload>/<variant>")
def show(upload: str, variant: str) -> Response:
    path = picture(upload, variant)
    return abort(404) if path is None else send_file(path)


@app.errorhandler(UploadError)
def failed(error: UploadError) -> ResponseReturnValue:
    return error.problem(), error.status
