"""uploadkit in Django on ASGI, with async views, before Django's own handler takes the body."""

from __future__ import annotations

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from uploadkit import Submission
from uploadkit.adapters.django import asgi, receive

from . import answer, form

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="of no use",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # which answers with a Content-Length
)


@receive(form)
async def upload(request: HttpRequest, received: Submission) -> HttpResponse:
    return HttpResponse(answer(received))


async def other(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [path("upload", upload), path("other", other)]
app = asgi(get_asgi_application())
