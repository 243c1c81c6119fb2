"""How the tests receive a form: by both drivers, in chunks of every size, and what is compared of what comes out.

Holds no expectation but one: where a form is not received, nothing of it is left (`refusal`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import Any, Protocol, TypeVar

import pytest
from tests.storage.kinds import files_below

from uploadkit.errors import UploadError
from uploadkit.intake.asynchronous import areceive
from uploadkit.intake.blocking import receive
from uploadkit.intake.plan import OnProgress
from uploadkit.intake.spec import Spec
from uploadkit.storage.contract import Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FailingStorage, FormBuilder, leftovers
from uploadkit.uploads import Submission

T = TypeVar("T")

URLENCODED = "application/x-www-form-urlencoded"

CHUNK_SIZE = 1 << 16
"""What adapters read at a time."""


class Drive(Protocol):
    """Receives a form by one of the drivers."""

    def __call__(
        self,
        spec: Spec[T],
        content_type: str | None,
        chunks: Iterable[bytes],
        *,
        content_length: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> T: ...


def blocking(
    spec: Spec[T],
    content_type: str | None,
    chunks: Iterable[bytes],
    *,
    content_length: int | None = None,
    on_progress: OnProgress | None = None,
) -> T:
    """By the blocking driver."""
    return receive(spec, content_type, chunks, content_length=content_length, on_progress=on_progress)


def asynchronous(
    spec: Spec[T],
    content_type: str | None,
    chunks: Iterable[bytes],
    *,
    content_length: int | None = None,
    on_progress: OnProgress | None = None,
) -> T:
    """By the async driver, in an event loop of its own, which is left empty."""

    async def main() -> T:
        try:
            return await areceive(
                spec, content_type, arriving(chunks), content_length=content_length, on_progress=on_progress
            )
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return asyncio.run(main())


DRIVES: dict[str, Drive] = {"blocking": blocking, "async": asynchronous}


async def arriving(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    """The chunks of an async body."""
    for chunk in chunks:
        yield chunk


class Body:
    """A body that counts how many of its chunks were taken."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.taken = 0
        self._chunks = iter(chunks)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self.taken += 1
        return chunk


def bytewise(body: bytes) -> list[bytes]:
    """One byte in each chunk."""
    return [body[at : at + 1] for at in range(len(body))]


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    """The body cut at these places; two equal ones make an empty chunk."""
    edges = [0, *sorted(min(place, len(body)) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def in_chunks(body: bytes, size: int = CHUNK_SIZE) -> list[bytes]:
    """Chunks of equal size, the last one perhaps shorter."""
    return [body[at : at + size] for at in range(0, len(body), size)]


def numbered(spec: Spec[Any]) -> Spec[Submission]:
    """The same spec with ids and keys that count from 0, giving the whole submission."""
    numbers = count()
    return replace(spec, new_key=lambda extension: f"{next(numbers)}{extension}", give=_submission)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is compared of an error. `LimitExceeded.seen` is left out: it may be less than what was sent."""

    kind: type[BaseException]
    text: str
    status: int | None = None
    code: str | None = None
    field: str | None = None
    limit: str | None = None
    allowed: int | None = None
    filter: str | None = None
    detected: str | None = None


def refusal_of(error: BaseException) -> Refusal:
    """What is compared of `error`."""
    if not isinstance(error, UploadError):
        return Refusal(type(error), str(error))
    return Refusal(
        type(error),
        str(error),
        status=error.status,
        code=error.code,
        field=error.field,
        limit=getattr(error, "limit", None),
        allowed=getattr(error, "allowed", None),
        filter=getattr(error, "filter", None),
        detected=getattr(error, "detected", None),
    )


def refusal(
    drive: Drive,
    spec: Spec[Any],
    form: FormBuilder,
    *storages: Storage,
    chunks: Iterable[bytes] | None = None,
    content_length: int | None = None,
) -> Refusal:
    """Why the form is not received. Nothing of it is left in the storages."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  which one is compared by the caller
        drive(spec, form.content_type, [form.body] if chunks is None else chunks, content_length=content_length)
    for storage in storages:
        assert left_in(storage) == []
    return refusal_of(caught.value)


def left_in(storage: Storage) -> list[str]:
    """What is in a storage: objects, and what was neither published nor discarded."""
    while isinstance(storage, FailingStorage):
        storage = storage.inner
    if isinstance(storage, DiskStorage):
        return sorted({*leftovers(storage), *files_below(storage.path("any").parent)})
    assert isinstance(storage, MemoryStorage)
    return sorted([*storage.objects, *storage.unfinished])


def _submission(submission: Submission) -> Submission:
    return submission
