"""Resumable uploads in Django, as a URLconf: what the project's middleware does for its views, it does for these too.

urlpatterns = [path("files/", include(resumable_urls(ResumableUploads(upload.single("video")))))]
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable
from dataclasses import replace
from functools import partial
from inspect import isawaitable
from typing import Any, TypeAlias

try:
    from asgiref.sync import sync_to_async
    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern, path
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.resumable.django needs Django: pip install 'pyuploadkit[django]'", name=_missing.name
    ) from _missing

from ..adapters.django.body import ANYTHING, RECEIVES, abody_of, body_of
from ..adapters.sockets import Interruption
from ..errors import UploadError
from .protocol import Answer
from .serving import Server
from .uploads import ResumableUploads, is_async
from .wsgi import Asked, request_of

__all__ = ["Owner", "resumable_urls"]

Owner: TypeAlias = Callable[[HttpRequest], "str | Awaitable[str | None] | None"]
"""Says from a request whose uploads it is about. What it raises, as `PermissionDenied`, is Django's to answer."""


def resumable_urls(
    uploads: ResumableUploads, *, owner: Owner | None = None, allow_origins: Iterable[str] = ()
) -> list[URLPattern]:
    """Answers tus and the IETF's draft under the path where it is included, which ends with a slash.

    `owner` says who asks, with `request.user` and all else that a view has: nobody sees, continues or deletes an upload
    of somebody else. Where it says None, and without it, uploads are nobody's, and whoever knows the address of one may
    do all that: it has 128 random bits. `allow_origins` as in `Server`.

    The view is async where the owner, the handler or a filter is, and sync everywhere else. Under ASGI a project wraps
    its application in `uploadkit.adapters.django.asgi`: alone, Django takes the whole body before a view runs, so that
    of one that is cut nothing arrives here.

    It is exempt from Django's protection against CSRF, since clients of these protocols know no token, and needs none:
    every request that changes anything has a header, a type or a method that no form can send, and that a page of
    another origin may send only when a preflight has allowed it, which `allow_origins` decides. Cookies are not taken
    from there at all.
    """
    server = Server(uploads, allow_origins=allow_origins)
    view: Any = _async_view(server, owner) if is_async(owner) or uploads.asks_async else _sync_view(server, owner)
    view.csrf_exempt = True
    setattr(view, RECEIVES, ANYTHING)
    return [path("", view, name="resumable-uploads"), path("<str:upload>", view, name="resumable-upload")]


def _sync_view(server: Server, owner: Owner | None) -> Callable[..., HttpResponse]:
    def resumable(request: HttpRequest, upload: str = "") -> HttpResponse:
        def chunks(length: int | None, interruption: Interruption) -> Generator[bytes]:
            return body_of(request, length, server.uploads.spec.limits, interruption)

        asked = Asked(server, request.META, chunks)
        known: Any = None if owner is None else partial(owner, request)
        response = _response(asked.answer(path=_place(request, upload), upload=upload, owner=known))
        response._resource_closers.append(asked.drain)  # type: ignore[attr-defined]  # run when the answer was sent
        return response

    return resumable


def _async_view(server: Server, owner: Owner | None) -> Callable[..., Awaitable[HttpResponse]]:
    async def resumable(request: HttpRequest, upload: str = "") -> HttpResponse:
        try:
            asking = request_of(request.META, path=_place(request, upload), upload=upload)
            if owner is not None and asking.method != "OPTIONS":
                asking = replace(asking, owner=await _asked(owner, request))
            return _response(await server.arespond(asking, abody_of(request)))
        except UploadError as error:
            return _response(server.refused(error, origin=request.META.get("HTTP_ORIGIN")))

    return resumable


async def _asked(owner: Owner, request: HttpRequest) -> str | None:
    """One that is not async may ask the database, which Django allows in its own threads alone."""
    said = owner(request) if is_async(owner) else await sync_to_async(owner)(request)
    return await said if isawaitable(said) else said


def _place(request: HttpRequest, upload: str) -> str:
    return request.path.removesuffix(upload)


def _response(answer: Answer) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status, headers=answer.whole_headers())
    if not answer.has_type:
        del response["Content-Type"]  # Django's own, for a body that is none
    return response
