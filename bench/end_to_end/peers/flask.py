"""Flask's `request.files`, each file saved by its `save`."""

from __future__ import annotations

from flask import Flask, request

from ..told import TEXTS, destination, said

app = Flask(__name__)


@app.post("/upload")
def upload() -> str:
    request.files["file"].save(destination())
    return said(*(request.form.get(name, "") for name in TEXTS))


@app.get("/other")
def other() -> str:
    return "ok"
