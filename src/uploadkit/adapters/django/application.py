"""Django's ASGI application, wrapped: a form, or the bytes of a resumable upload, stay with the server until the view
that takes them reads it.

Alone, Django takes the whole body before any view runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.urls import Resolver404, get_resolver
from django.utils import translation

from ...multipart.headers import MULTIPART, URLENCODED
from ..asgi import ASGIApp, Receive, Scope, Send
from ..unread import UnreadBody
from .body import ANYTHING, FORMS, RECEIVES, UNREAD


def asgi(application: Callable[[Any, Any, Any], Awaitable[None]]) -> ASGIApp:
    """Wraps Django's ASGI application, so that decorated views receive their forms while they arrive.

        application = asgi(get_asgi_application())

    What is refused is refused early, and nothing is stored outside the spec's storage: alone, Django takes the whole
    body before a view runs, and a large one into a temporary file. A view is found if it is decorated as a whole: a
    function, the result of `as_view()`, or a class at its `dispatch`. Every other request goes to Django untouched.

    The views of `uploadkit.resumable.django` are found as well, and have every body that is sent to them.

    - Nobody but the decorated view has the body: where a middleware, or a decorator above it, has used `request.POST`,
      `request.FILES` or `request.body`, which are empty there, the view raises `RuntimeError`.
    - The path is looked up in `ROOT_URLCONF` and with the `root_path` that comes in here. So the wrapper stands
      directly around Django, inside what mounts it. It is not for a project that sets `request.urlconf` and has at
      the same path a decorated view in one URLconf and another view elsewhere: the latter would get an empty form.
    - A sync view occupies its thread for as long as its form arrives.
    """

    async def receiving(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _is_for_view(scope):
            unread = UnreadBody(scope, receive, send)
            await application({**scope, UNREAD: unread}, unread.for_framework, unread.send)
        else:
            await application(scope, receive, send)

    return receiving


def _is_for_view(scope: Scope) -> bool:
    """Whether the view to which Django will give the request reads its body itself."""
    has_form = _has_form(scope)
    if not has_form and scope["method"] not in _WITH_BODIES:
        return False
    receives = _receives(scope)
    return receives == ANYTHING or (receives == FORMS and has_form)


_WITH_BODIES = ("PATCH", "POST", "PUT")


def _has_form(scope: Scope) -> bool:
    types = [value.decode("latin-1") for name, value in scope["headers"] if name == b"content-type"]
    return any(each.partition(";")[0].strip(" \t").lower() in (MULTIPART, URLENCODED) for each in types)


def _receives(scope: Scope) -> str | None:
    """Which bodies the view reads that Django will call. It finds it as Django does, with the language that is in the
    path."""
    try:
        path = ASGIRequest(scope, BytesIO()).path_info
        language = translation.get_language_from_path(path) or settings.LANGUAGE_CODE
        with translation.override(language, deactivate=True):
            view = get_resolver().resolve(path).func
    except (Resolver404, UnicodeDecodeError):  # Django answers these
        return None
    return getattr(view, RECEIVES, None)
