"""Middleware: what is settled before a view runs, and what is left to answer after it.

`SignedIn` is asked before a byte of a body is read; `received` reads it, under the rules of `uploads`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from uploadkit.adapters.django import receive

from .services import NoSuchFile
from .uploads import new_files

TOKEN = f"Bearer {os.environ['APP_TOKEN']}"

received = receive(new_files)


class SignedIn:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if secrets.compare_digest(request.headers.get("Authorization", "").encode(), TOKEN.encode()):
            return self.get_response(request)
        return problem(401, "sign in with a bearer token", {"WWW-Authenticate": "Bearer"})


class ProblemAnswers:
    """What uploadkit refuses it answers itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        return problem(404, "there is no such file") if isinstance(error, NoSuchFile) else None


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JsonResponse:
    members = {"type": "about:blank", "status": status, "detail": detail}
    return JsonResponse(members, status=status, headers=headers, content_type="application/problem+json")
