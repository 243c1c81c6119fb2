"""What bounds and watches uploads, as nobody may write it."""

from __future__ import annotations

from django.http import HttpRequest
from flask import Request

from uploadkit import Capacity, Limits, MemoryStorage, Uploader
from uploadkit.adapters import flask

Capacity(10)  # E: a number without a name says nothing
Capacity(uploads="ten")  # E: uploads is an int or None
Limits(idle_seconds="30 s")  # E: seconds are a number
upload = Uploader(MemoryStorage(), capacity=10)  # E: capacity is a Capacity
spec = Uploader(MemoryStorage()).none()


def of_another_framework(request: HttpRequest) -> None: ...


def gives_no_callable(request: Request) -> int:
    return 5


flask.receive(spec, progress=of_another_framework)  # E: Flask's own request
flask.receive(spec, progress=gives_no_callable)  # E: an on_progress or None
