"""Flask's `request.files`, sent by boto3."""

from __future__ import annotations

from flask import Flask, request

from ..told import ANSWER, BUCKET, key
from . import s3

app = Flask(__name__)


@app.post("/upload")
def upload() -> str:
    s3.upload_fileobj(request.files["file"].stream, BUCKET, key())
    return ANSWER


@app.get("/other")
def other() -> str:
    return "ok"
