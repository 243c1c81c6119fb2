"""A typed form in Django. Run it: gunicorn --pythonpath examples/typed_forms django_app:application"""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from profile_form import Profile, answer, profile_form

from uploadkit.adapters.django import receive

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY=secrets.token_hex(), MIDDLEWARE=[])


@receive(profile_form)
def create(request: HttpRequest, profile: Profile) -> JsonResponse:
    return JsonResponse(answer(profile))


urlpatterns = [path("profile", create)]
application = get_wsgi_application()
