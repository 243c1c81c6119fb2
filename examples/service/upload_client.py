"""Uploads files with a token, and sends them again when the service says that they may succeed later."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx

MORE_ATTEMPTS = 4


def upload(client: httpx.Client, paths: Sequence[Path]) -> list[str]:
    """The ids of the uploads. Raises `httpx.HTTPStatusError` for what is refused for good."""
    headers = {"Idempotency-Key": uuid4().hex}  # of all attempts: what was taken is not taken twice
    answer = _send(client, paths, headers)
    for _ in range(MORE_ATTEMPTS):
        if "Retry-After" not in answer.headers:
            break
        time.sleep(int(answer.headers["Retry-After"]))
        answer = _send(client, paths, headers)
    answer.raise_for_status()
    return [each["id"] for each in answer.json()["uploads"]]


def _send(client: httpx.Client, paths: Sequence[Path], headers: dict[str, str]) -> httpx.Response:
    with ExitStack() as stack:
        files = [("file", stack.enter_context(path.open("rb"))) for path in paths]
        return client.post("/uploads", files=files, headers=headers)
