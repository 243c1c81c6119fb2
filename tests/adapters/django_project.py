"""What the tests of the adapter for Django share: the settings of a project as `startproject` makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

if not settings.configured:
    settings.configure(
        SECRET_KEY="of no use",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup(set_prefix=False)

CSRF = "django.middleware.csrf.CsrfViewMiddleware"
READS_POST = f"{__name__}.ReadsPost"
READS_BODY = f"{__name__}.ReadsBody"

PROJECT: dict[str, Any] = {
    "ALLOWED_HOSTS": ["testserver"],
    "DEBUG": False,
    "LOGGING_CONFIG": None,
    "SECRET_KEY": "of no use",
    "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
    "USE_I18N": False,
}


class Middleware:
    """What a middleware of a project's own is made of."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)


class ReadsPost(Middleware):
    """Looks into the form before the view does."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.POST.get("anything")
        return self.get_response(request)


class ReadsBody(Middleware):
    """Has the whole body in memory before the view runs, as one that checks a signature does."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        assert isinstance(request.body, bytes)
        return self.get_response(request)
