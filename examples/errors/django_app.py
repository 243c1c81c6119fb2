"""Errors of uploads in an application's own words, in Django: a middleware sees what a view raises."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from uploadkit import IMAGES, DiskStorage, UploadedFile, Uploader, UploadError
from uploadkit.adapters.django import receive

if not settings.configured:
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="for this example only",
        MIDDLEWARE=[f"{__name__}.Refusals"],
    )

upload = Uploader(DiskStorage("uploads"))


class Refusals:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, UploadError):
            return None
        answer = {"error": error.code, "field": error.field, "message": str(error)}
        return JsonResponse(answer, status=error.status)


@receive(upload.single("avatar", accept=IMAGES), raise_errors=True)
def profile(request: HttpRequest, avatar: UploadedFile) -> JsonResponse:
    return JsonResponse({"stored": avatar.filename})


urlpatterns = [path("profile", profile)]
application = get_wsgi_application()
