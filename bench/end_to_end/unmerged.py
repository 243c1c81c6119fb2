"""What is being written in other branches, and whether it is there yet. Goes when it is."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import uploadkit

_uploadkit: Any = uploadkit


def has_digest() -> bool:
    return "digest" in inspect.signature(_uploadkit.Uploader).parameters


def has_tune_allocator() -> bool:
    return hasattr(_uploadkit, "tune_allocator")


def has_django_asgi() -> bool:
    try:
        adapter: Any = importlib.import_module("uploadkit.adapters.django")
    except ImportError:
        return False
    return hasattr(adapter, "asgi")


def tune_allocator() -> bool:
    return bool(_uploadkit.tune_allocator())


def digest(wanted: bool) -> Any:  # noqa: FBT001
    return {"digest": wanted} if has_digest() else {}


def django_asgi(application: Any) -> Any:
    adapter: Any = importlib.import_module("uploadkit.adapters.django")
    return adapter.asgi(application)
