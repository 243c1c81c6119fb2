"""Errors of uploads in an application's own words, in Flask."""

from __future__ import annotations

from flask import Flask
from flask.typing import ResponseReturnValue

from uploadkit import IMAGES, DiskStorage, UploadedFile, Uploader, UploadError
from uploadkit.adapters.flask import receive

app = Flask(__name__)
upload = Uploader(DiskStorage("uploads"))


@app.errorhandler(UploadError)
def refused(error: UploadError) -> ResponseReturnValue:
    return {"error": error.code, "field": error.field, "message": str(error)}, error.status


@app.post("/profile")
@receive(upload.single("avatar", accept=IMAGES), raise_errors=True)
def profile(avatar: UploadedFile) -> dict[str, str]:
    return {"stored": avatar.filename}
