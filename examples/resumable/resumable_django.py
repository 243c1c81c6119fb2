"""Photos and films that come in as many requests as the network needs, a whole project in one file. Run it:

    gunicorn --pythonpath examples/resumable --threads 16 resumable_django:application

Or under ASGI: uvicorn --app-dir examples/resumable resumable_django:asgi_application
"""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.exceptions import PermissionDenied
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from uploadkit import IMAGES, VIDEOS, DiskStorage, Limits, UploadedFile, Uploader
from uploadkit.adapters.django import asgi
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.resumable import ResumableUploads
from uploadkit.resumable.django import resumable_urls

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY=secrets.token_hex(), MIDDLEWARE=[])

pipeline = Pipeline(Ledger())  # remembers in uploads.db how far each upload has come
upload = Uploader(DiskStorage("uploads"), pipeline=pipeline, limits=Limits(file_size="5 GB", files_size="5 GB"))
tokens = {"ada-1815": "ada", "grace-1906": "grace"}  # yours are in request.user, or in a table
library: dict[str, dict[str, object]] = {}  # so are yours


def owner(request: HttpRequest) -> str:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token not in tokens:
        raise PermissionDenied
    return tokens[token]


def taken(file: UploadedFile) -> None:
    library[file.id] = {"filename": file.filename, "content_type": file.content_type, "size": file.size}


def show(request: HttpRequest, upload: str) -> JsonResponse:
    return JsonResponse(library[upload])


files = ResumableUploads(upload.single("file", accept=[IMAGES, VIDEOS]), handler=taken)
urlpatterns = [path("files/", include(resumable_urls(files, owner=owner))), path("library/<str:upload>", show)]
application = get_wsgi_application()
asgi_application = asgi(get_asgi_application())
