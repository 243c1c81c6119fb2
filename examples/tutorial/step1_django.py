"""The tutorial, first step, in Django: a project in one file, without pages and so without CSRF tokens."""

from __future__ import annotations

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from uploadkit import DiskStorage, UploadedFile, Uploader
from uploadkit.adapters.django import receive

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="for this tutorial only", MIDDLEWARE=[])

upload = Uploader(DiskStorage("uploads"))
photo_form = upload.single("photo")


@receive(photo_form)
def add(request: HttpRequest, photo: UploadedFile) -> JsonResponse:
    return JsonResponse({"filename": photo.filename, "content_type": photo.content_type, "size": photo.size})


urlpatterns = [path("photos", add)]
application = get_wsgi_application()
