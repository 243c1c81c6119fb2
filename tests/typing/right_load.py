"""What bounds and watches uploads, as users write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_type

from flask import Request

from uploadkit import Capacity, Limits, MemoryStorage, Overloaded, UploadedFile, Uploader, UploadTooSlow, tune_allocator
from uploadkit.adapters import flask
from uploadkit.adapters.capabilities import capabilities

capacity = Capacity(uploads=10, waiting=None, wait_seconds=1, memory="64 MiB")
upload = Uploader(MemoryStorage(), capacity=capacity, digest=False, limits=Limits(idle_seconds=None, min_rate="4 KiB"))
assert_type(upload.capacity.in_flight, int)
assert_type(upload.capacity.close(1), bool)
assert_type(tune_allocator(), bool)
assert_type(capabilities("flask", "gunicorn").min_rate, bool)


def watch(request: Request) -> Callable[[int, int | None], None] | None:
    return print if "watched" in request.headers else None


@flask.receive(upload.single("avatar"), progress=watch)
def view(avatar: UploadedFile) -> str:
    assert_type(avatar.sha256, str | None)
    return avatar.digest


def told(error: Overloaded | UploadTooSlow) -> float:
    return error.retry_after if isinstance(error, Overloaded) else error.seen


async def at_the_end() -> bool:
    return await upload.capacity.aclose(5)
