"""A form as a class, in Django: two texts, an optional file and a list of files."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from pydantic import BaseModel, Field

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, File, Limits, UploadedFile, Uploader
from uploadkit.adapters.django import receive

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="for this example only", MIDDLEWARE=[])

upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="5 MB"))


class Application(BaseModel):
    name: Annotated[str, Field(min_length=2, max_length=40)]
    born: date
    portrait: Annotated[UploadedFile, File(accept=IMAGES)] | None = None
    papers: Annotated[list[UploadedFile], File(accept=DOCUMENTS, max_count=5)]


@receive(upload.form(Application))
def apply(request: HttpRequest, application: Application) -> JsonResponse:
    return JsonResponse(
        {
            "name": application.name,
            "year": application.born.year,
            "portrait": application.portrait.content_type if application.portrait else None,
            "papers": [paper.filename for paper in application.papers],
        }
    )


urlpatterns = [path("apply", apply)]
application = get_wsgi_application()
