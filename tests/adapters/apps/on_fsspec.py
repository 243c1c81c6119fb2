"""A route for pictures in FastAPI and in Flask, over the storage of fsspec that the environment names."""

from __future__ import annotations

import json
import os
from typing import Any

from fastapi import FastAPI
from flask import Flask

from uploadkit import IMAGES, FsspecStorage, UploadedFile, Uploader
from uploadkit.adapters import fastapi, flask

storage = FsspecStorage(os.environ["UPLOADKIT_URL"], options=json.loads(os.environ["UPLOADKIT_OPTIONS"]))
avatar = Uploader(storage).single("avatar", accept=IMAGES, max_size="50 MB")
on_fastapi, on_flask = FastAPI(), Flask(__name__)
received = fastapi.receive(avatar)


def _shown(file: UploadedFile) -> dict[str, Any]:
    return {"key": file.key, "size": file.size, "sha256": file.digest}


@on_fastapi.post("/any")
async def _(file: UploadedFile = received) -> dict[str, Any]:
    return _shown(file)


@on_flask.post("/any")
@flask.receive(avatar)
def view(file: UploadedFile) -> dict[str, Any]:
    return _shown(file)
