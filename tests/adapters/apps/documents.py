"""A route that takes documents under a `DocumentCheck` and tells their pages, in three frameworks. They are stored on
the disk, or in the bucket that the environment names.
"""

from __future__ import annotations

import json
import os
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from fastapi import FastAPI
from flask import Flask

from uploadkit import DiskStorage, S3Storage, UploadedFile, Uploader
from uploadkit.adapters import django, fastapi, flask
from uploadkit.content.documents import Document, DocumentCheck, aread_document, read_document

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test", MIDDLEWARE=[])

disk, bucket = DiskStorage("uploads"), os.environ.get("UPLOADKIT_URL")
if bucket is None:
    uploader = Uploader(disk)
else:  # what is staged there cannot be read: it lies on the disk meanwhile
    uploader = Uploader(S3Storage(bucket, options=json.loads(os.environ["UPLOADKIT_OPTIONS"])), staging=disk)
document = uploader.single("document", check=DocumentCheck())
on_fastapi, on_flask = FastAPI(), Flask(__name__)
received = fastapi.receive(document)


def _shown(file: UploadedFile, found: Document) -> dict[str, Any]:
    return {"key": file.key, "pages": found.pages}


@on_fastapi.post("/any")
async def _(file: UploadedFile = received) -> dict[str, Any]:
    return _shown(file, await aread_document(file))


@on_flask.post("/any")
@flask.receive(document)
def view(file: UploadedFile) -> dict[str, Any]:
    return _shown(file, read_document(file))


@django.receive(document)
def django_view(request: HttpRequest, file: UploadedFile) -> JsonResponse:
    return JsonResponse(_shown(file, read_document(file)))


urlpatterns = [path("any", django_view)]
on_django = get_wsgi_application()
