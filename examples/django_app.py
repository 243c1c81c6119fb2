"""One upload in Django, a whole project in one file. Run it: gunicorn --pythonpath examples django_app:application

Or under ASGI: uvicorn --app-dir examples django_app:asgi_application

It has no pages, and so no CSRF tokens: `CsrfViewMiddleware` is left out of its MIDDLEWARE. Where a project has it,
uploadkit checks the token while the form arrives.
"""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, Limits, UploadedFile, Uploader
from uploadkit.adapters.django import asgi, receive

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY=secrets.token_hex(), MIDDLEWARE=[])

upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="5 MB"))


@receive(upload.single("avatar", accept=[IMAGES, DOCUMENTS]))
def profile(request: HttpRequest, avatar: UploadedFile) -> JsonResponse:
    return JsonResponse(
        {
            "filename": avatar.filename,
            "content_type": avatar.content_type,
            "size": avatar.size,
            "sha256": avatar.digest,
        }
    )


urlpatterns = [path("profile", profile)]
application = get_wsgi_application()
asgi_application = asgi(get_asgi_application())
