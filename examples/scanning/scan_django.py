"""Scanned uploads in Django. Run it: gunicorn --pythonpath examples/scanning scan_django:application"""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from scanned_form import answer, documents

from uploadkit import Submission
from uploadkit.adapters.django import receive

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY=secrets.token_hex(), MIDDLEWARE=[])


@receive(documents)
def create(request: HttpRequest, submission: Submission) -> JsonResponse:
    return JsonResponse(answer(submission))


urlpatterns = [path("documents", create)]
application = get_wsgi_application()
