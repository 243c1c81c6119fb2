"""A client of the upload service: sends files, waits for what becomes of each, and fetches it.

python client.py http://127.0.0.1:8000 photo.jpg
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from mimetypes import guess_extension
from pathlib import Path
from typing import Any, TypeAlias

import httpx

Upload: TypeAlias = dict[str, Any]
"""What the service knows of an upload, as `GET /uploads/{id}` says it."""

ATTEMPTS = 5


class Refused(Exception):
    """The service has said no, and why: `code` is for programs, the text for people."""

    def __init__(self, answer: httpx.Response) -> None:
        problem = answer.json()
        super().__init__(problem["detail"])
        self.code: str = problem["code"]


def connected(url: str, *, token: str | None = None) -> httpx.Client:
    """A client of the service at `url`. The heartbeats of a stream come every 15 seconds."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=60)


def upload(service: httpx.Client, paths: Sequence[Path], *, tags: Sequence[str] = ()) -> list[str]:
    """Uploads files in one request. Returns their ids, in the same order.

    Where nobody knows whether the request has arrived it is sent again: by its key it is taken once.
    """
    key = str(uuid.uuid4())
    for attempt in range(1, ATTEMPTS):
        try:
            answer = _post(service, paths, tags, key)
        except httpx.TransportError:
            time.sleep(attempt)
        else:
            if "Retry-After" not in answer.headers:
                return _ids(answer)
            time.sleep(int(answer.headers["Retry-After"]))
    return _ids(_post(service, paths, tags, key))


def _post(service: httpx.Client, paths: Sequence[Path], tags: Sequence[str], key: str) -> httpx.Response:
    with ExitStack() as stack:
        files = [("file", (path.name, stack.enter_context(path.open("rb")))) for path in paths]
        return service.post("/uploads", files=files, data={"tags": tags}, headers={"Idempotency-Key": key})


def _ids(answer: httpx.Response) -> list[str]:
    if answer.status_code != 202:
        raise Refused(answer)
    return [each["id"] for each in answer.json()["uploads"]]


def wait(service: httpx.Client, upload: str) -> Upload:
    """What is known of an upload when nothing more happens to it. A stream that ends before that is asked for again."""
    while True:
        for told in watch(service, upload):
            if told["is_settled"]:
                return told


def watch(service: httpx.Client, upload: str) -> Iterator[Upload]:
    """What is known of an upload, whenever that changes, until the stream ends."""
    with service.stream("GET", f"/uploads/{upload}/events") as answer:
        if answer.status_code != 200:
            answer.read()
            raise Refused(answer)
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def fetch(service: httpx.Client, url: str, path: Path) -> None:
    """Fetches a file of the service. What has come of it before is not fetched again."""
    had = path.stat().st_size if path.exists() else 0
    with service.stream("GET", url, headers={"Range": f"bytes={had}-"} if had else {}) as answer:
        if answer.status_code == 416:  # all of it has come
            return
        if answer.status_code not in (200, 206):
            answer.read()
            raise Refused(answer)
        with path.open("ab" if answer.status_code == 206 else "wb") as file:
            for chunk in answer.iter_bytes():
                file.write(chunk)


def main(url: str, names: Sequence[str]) -> None:
    with connected(url, token=os.environ.get("UPLOADKIT_TOKEN")) as service:
        for each in upload(service, [Path(name) for name in names]):
            told = wait(service, each)
            print(f"{told['filename']}: {told['status']}")
            for name, variant in told["variants"].items():
                path = Path(f"{Path(told['filename']).stem}-{name}{guess_extension(variant['content_type'])}")
                fetch(service, f"/files/{each}/{name}", path)
                print(f"  {path}: {variant['width']} x {variant['height']}, {variant['size']} bytes")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
