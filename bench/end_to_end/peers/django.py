"""Django's `request.FILES` with its default upload handlers, saved by its `FileSystemStorage`.

The view is a sync one on ASGI too: Django runs it, and with it parsing and saving, in a thread.
"""

from __future__ import annotations

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import UploadedFile
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from ..told import FOLDER, TEXTS, destination, said

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="of no use",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # which answers with a Content-Length
)
storage = FileSystemStorage(location=FOLDER)


def upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES["file"]
    assert isinstance(file, UploadedFile)
    storage.save(destination().name, file)  # a large file is moved from where the handler has put it
    return HttpResponse(said(*(request.POST.get(name, "") for name in TEXTS)))


def other(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [path("upload", upload), path("other", other)]
wsgi = get_wsgi_application()
asgi = get_asgi_application()
