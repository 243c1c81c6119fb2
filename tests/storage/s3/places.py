"""Prefixes in the buckets of real servers, each empty, for every folder of tests that imports the fixtures.

A server is begun when a test first asks for it, once in a process of tests, and ended with the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, TypeAlias

import pytest
from tests.once import Once
from tests.storage.s3.moto import moto_server
from tests.storage.s3.proxy import Proxy
from tests.storage.s3.server import BUCKET, S3Server
from tests.storage.s3.weed import weed_server

from uploadkit.storage.keys import STAGING
from uploadkit.storage.s3 import S3Storage

PART_SIZE = 5 * 2**20
"""The least that AWS and SeaweedFS take of a part that is not the last."""

ATTEMPTS = 3
"""So often the storages of the tests try, without a pause: see `no_pauses`."""


@dataclass(eq=False)
class Place:
    """A prefix that nobody else uses, and what is below it, seen past every proxy."""

    server: S3Server
    prefix: str = field(default_factory=lambda: f"tests/{token_hex(8)}")
    made: list[S3Storage] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}/{self.prefix}"

    def storage(self, through: Proxy | None = None, *, config: dict[str, Any] | None = None, **more: Any) -> S3Storage:
        """Another storage over the prefix. `config` is botocore's; `more` is for the storage itself."""
        arguments: dict[str, Any] = {"part_size": PART_SIZE, "options": self.options(through, **config or {})}
        self.made.append(S3Storage(self.url, **arguments | more))
        return self.made[-1]

    def options(self, through: Proxy | None = None, **config: Any) -> dict[str, Any]:
        """What s3fs needs to reach the server."""
        config = {"retries": {"total_max_attempts": ATTEMPTS, "mode": "standard"}} | config
        return self.server.options(None if through is None else through.url, **config)

    def keys(self) -> list[str]:
        """Of every object below the prefix, staged ones too, relative to it."""
        pages = self.server.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{self.prefix}/")
        return sorted(self._relative(item) for page in pages for item in page.get("Contents", ()))

    def uploads(self) -> list[str]:
        """The key of every multipart upload that is open below the prefix, relative to it."""
        return sorted(map(self._relative, self._uploads()))

    def left(self) -> list[str]:
        """What is there and nobody sees: open multipart uploads and staged objects."""
        staged = [key for key in self.keys() if key.startswith(f"{STAGING}/")]
        return [*(f"an upload of {key}" for key in self.uploads()), *staged]

    def get(self, key: str) -> bytes:
        """All of an object."""
        data: bytes = self.server.client.get_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}")["Body"].read()
        return data

    def clear(self) -> None:
        """Closes what was made and removes what is left."""
        for storage in self.made:
            storage.close()
        for upload in self._uploads():
            with suppress(self.server.client.exceptions.NoSuchUpload):  # it has ended meanwhile
                self.server.client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
        for key in self.keys():
            self.server.client.delete_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}")

    def _uploads(self) -> list[dict[str, Any]]:
        answer = self.server.client.list_multipart_uploads(Bucket=BUCKET, Prefix=f"{self.prefix}/")
        found: list[dict[str, Any]] = answer.get("Uploads", [])
        return found

    def _relative(self, item: dict[str, Any]) -> str:
        return str(item["Key"])[len(self.prefix) + 1 :]


@contextmanager
def place_on(server: S3Server) -> Iterator[Place]:
    """One that is cleared."""
    place = Place(server)
    place.clear()  # its client is connected before a test looks for what it leaves
    try:
        yield place
    finally:
        place.clear()


Locate: TypeAlias = Callable[[S3Server], Place]
"""A new place on a server."""


@pytest.fixture(scope="session")
def weed(once: Once, tmp_path_factory: pytest.TempPathFactory) -> S3Server:
    """SeaweedFS."""
    return once("weed", lambda: weed_server(tmp_path_factory.mktemp("weed")))


@pytest.fixture(scope="session")
def moto(once: Once, tmp_path_factory: pytest.TempPathFactory) -> S3Server:
    """moto."""
    return once("moto", lambda: moto_server(tmp_path_factory.mktemp("moto")))


@pytest.fixture
def locate() -> Iterator[Locate]:
    """Makes places, and clears them."""
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(place_on(server))


@pytest.fixture
def place(weed: S3Server, locate: Locate) -> Place:
    """One on SeaweedFS."""
    return locate(weed)


@pytest.fixture
def proxy(place: Place) -> Iterator[Proxy]:
    """In front of the server of `place`."""
    with Proxy(place.server) as proxy:
        yield proxy


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore tries again at once, where it would wait for a second or two."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
