"""Routes: which request goes to which view."""

from __future__ import annotations

from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from . import views

urlpatterns = [
    path("files", require_POST(views.add)),
    path("files/<str:id>", views.OneFile.as_view()),
    path("files/<str:id>/content", require_GET(views.content), name="content"),
]
