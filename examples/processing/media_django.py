"""Pictures and documents in Django, a project in one file. Run it: gunicorn media_django:application, and beside it a
worker, as media.py says."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, Http404, HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_GET
from media import avatar_form, avatar_of, documents_form, photos_form, picture, pipeline

from uploadkit import RecordMissing, UploadedFile
from uploadkit.adapters.django import receive

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY=secrets.token_hex(), MIDDLEWARE=[])


@receive(avatar_form)
def change_avatar(request: HttpRequest, avatar: UploadedFile, owner: str) -> JsonResponse:
    pipeline.describe(avatar.id, owner=owner)
    status = pipeline.run(avatar)
    pipeline.replace_others(avatar.id)
    return JsonResponse(status.as_json())


@receive(photos_form)
def add_photos(request: HttpRequest, photos: list[UploadedFile], owner: str) -> JsonResponse:
    return JsonResponse({"uploads": [pipeline.describe(photo.id, owner=owner).id for photo in photos]}, status=202)


@receive(documents_form)
def add_documents(request: HttpRequest, documents: list[UploadedFile], owner: str) -> JsonResponse:
    uploads = [pipeline.describe(document.id, owner=owner).id for document in documents]
    return JsonResponse({"uploads": uploads}, status=202)


@require_GET
def status(request: HttpRequest, upload: str) -> JsonResponse:
    try:
        return JsonResponse(pipeline.status(upload).as_json())
    except RecordMissing as error:
        raise Http404 from error


@require_GET
def current(request: HttpRequest, owner: str) -> FileResponse:
    upload = avatar_of(owner)
    if upload is None:
        raise Http404
    return show(request, upload, "thumbnail")


@require_GET
def show(request: HttpRequest, upload: str, variant: str) -> FileResponse:
    path = picture(upload, variant)
    if path is None:
        raise Http404
    return FileResponse(open(path, "rb"))


urlpatterns = [
    path("users/<str:owner>/avatar", change_avatar),
    path("users/<str:owner>/picture", current),
    path("users/<str:owner>/photos", add_photos),
    path("users/<str:owner>/documents", add_documents),
    path("status/<str:upload>", status),
    path("pictures/<str:upload>/<str:variant>", show),
]
application = get_wsgi_application()
