"""The routes as a Django project in one file: `/single` is a sync view, `/async/single` an async one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import URLPattern, path

from uploadkit.adapters.django import asgi, receive
from uploadkit.intake.spec import Spec

from .routes import ahandled, handled, server_storage, specs, watched

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="of no use", MIDDLEWARE=[])


def _paths(route: str, spec: Spec[Any]) -> list[URLPattern]:
    @receive(spec, progress=watched(route))
    def view(request: HttpRequest, received: Any) -> JsonResponse:
        status, answer = handled(route, received)
        return JsonResponse(answer, status=status)

    @receive(spec, progress=watched(route))
    async def async_view(request: HttpRequest, received: Any) -> JsonResponse:
        status, answer = await ahandled(route, received)
        return JsonResponse(answer, status=status)

    return [path(route, view), path(f"async/{route}", async_view)]


urlpatterns = [pattern for route, spec in specs(server_storage()).items() for pattern in _paths(route, spec)]
application = get_wsgi_application()
asgi_application = get_asgi_application()
streamed_application = asgi(asgi_application)
