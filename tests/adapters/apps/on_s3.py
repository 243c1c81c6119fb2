"""Routes for one file in FastAPI and in Flask, over the bucket that the environment names."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from flask import Flask

from uploadkit import Limits, S3Storage, UploadedFile, Uploader
from uploadkit.adapters import fastapi, flask

logging.getLogger("uploadkit").addHandler(logging.NullHandler())  # tests have S3 fail: that is no complaint
storage = S3Storage(os.environ["UPLOADKIT_URL"], options=json.loads(os.environ["UPLOADKIT_OPTIONS"]))
upload = Uploader(storage, limits=Limits(body_size=None, file_size=None, files_size=None))
any_file = upload.single("file")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """At the server's end uploads that it has cancelled are waited for: uvicorn ends by a signal, without an exit."""
    yield
    await upload.capacity.aclose(10)


on_fastapi, on_flask = FastAPI(lifespan=lifespan), Flask(__name__)
received = fastapi.receive(any_file)


def _shown(file: UploadedFile) -> dict[str, Any]:
    return {"key": file.key, "size": file.size, "sha256": file.digest}


@on_fastapi.post("/any")
async def _(file: UploadedFile = received) -> dict[str, Any]:
    return _shown(file)


@on_fastapi.post("/raises")
async def _(file: UploadedFile = received) -> dict[str, Any]:
    raise RuntimeError("the handler raises, as it should")


@on_flask.post("/any")
@flask.receive(any_file)
def view(file: UploadedFile) -> dict[str, Any]:
    return _shown(file)


@on_flask.post("/raises")
@flask.receive(any_file)
def raises(file: UploadedFile) -> dict[str, Any]:
    raise RuntimeError("the handler raises, as it should")
