"""Memory does not grow with a body: not with its size, not with the number of its chunks.

What is measured is the peak of what Python has allocated, above what was there before.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tests.intake.called import turns
from tests.intake.receiving import CHUNK_SIZE, URLENCODED, Body, Drive, arriving

from uploadkit.errors import FileRefused, LimitExceeded, UploadError
from uploadkit.intake.asynchronous import areceive
from uploadkit.intake.blocking import receive
from uploadkit.intake.capacity import BUFFER_SIZE
from uploadkit.intake.spec import Spec
from uploadkit.policy.filters import IncomingFile
from uploadkit.policy.limits import Limits
from uploadkit.storage.contract import Buffer, ObjectInfo, Storage, StoredObject
from uploadkit.storage.disk import DiskStorage
from uploadkit.uploader import Uploader

MIB = 1 << 20
CONTENT_TYPE = "multipart/form-data; boundary=b"
BEGIN = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x.bin"\r\n\r\n'
BEGIN_TEXT = b'--b\r\nContent-Disposition: form-data; name="t"\r\n\r\n'
END = b"\r\n--b--\r\n"


class DroppingStorage:
    """Keeps only the size."""

    name = "dropping"
    may_block = False

    def __init__(self) -> None:
        self.size = 0
        self.key = ""

    def open(self, key: str, info: ObjectInfo) -> DroppingStorage:
        """It is its own sink."""
        self.key = key
        return self

    def write(self, data: Buffer) -> None:
        """Drops the bytes."""
        self.size += len(data)

    def stage(self) -> DroppingStorage:
        """And its own staged object."""
        return self

    def commit(self) -> StoredObject:
        """Nothing to do."""
        return StoredObject(key=self.key, size=self.size)

    def discard(self) -> None:
        """Nothing to do."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """There is nothing to read."""
        return iter(())

    def stat(self, key: str) -> StoredObject:
        """All there is."""
        return StoredObject(key=key, size=self.size)

    def delete(self, key: str) -> None:
        """Nothing to do."""


class BlockingStorage(DroppingStorage):
    """The async driver calls it in threads."""

    may_block = True


@pytest.fixture(params=["dropping", "blocking", "disk"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Storages that keep nothing in memory."""
    if request.param == "disk":
        return DiskStorage(tmp_path)
    return DroppingStorage() if request.param == "dropping" else BlockingStorage()


@pytest.fixture
def peak() -> Iterator[Peak]:
    """Measures from here on."""
    tracemalloc.start()
    yield Peak()
    tracemalloc.stop()


class Peak:
    """The most that was allocated since the beginning, above what was there then."""

    def __init__(self) -> None:
        self._before, _ = tracemalloc.get_traced_memory()

    @property
    def bytes(self) -> int:
        """So far."""
        return tracemalloc.get_traced_memory()[1] - self._before


def body(begin: bytes, count: int, size: int = CHUNK_SIZE) -> Iterator[bytes]:
    """A body of chunks that are made when they are asked for, none of them like another."""
    yield begin
    for number in range(count):
        yield number.to_bytes(4, "big")[-size:].ljust(size, b"x")
    yield END


def test_a_large_file_takes_no_more_memory_than_a_small_one(drive: Drive, storage: Storage, peak: Peak) -> None:
    """64 MiB go through 4."""
    file = drive(Uploader(storage).single("f"), CONTENT_TYPE, body(BEGIN, 1024))
    assert file.size == 64 * MIB
    assert peak.bytes < 4 * MIB


def test_a_file_in_tiny_chunks_takes_no_more(drive: Drive, peak: Peak) -> None:
    """Of a chunk of two bytes nothing is kept but its bytes, in one buffer."""
    file = drive(Uploader(DroppingStorage()).single("f"), CONTENT_TYPE, body(BEGIN, 20_000, 2))
    assert file.size == 40_000
    assert peak.bytes < BUFFER_SIZE + MIB // 2


def test_a_text_in_tiny_chunks_takes_no_more(drive: Drive, peak: Peak) -> None:
    """It is held, but not its chunks."""
    body_of_text = body(BEGIN_TEXT, 20_000, 2)
    limits = Limits(field_size=39_999)
    with pytest.raises(LimitExceeded):
        drive(Uploader(DroppingStorage(), limits=limits).none(), CONTENT_TYPE, body_of_text)
    assert peak.bytes < MIB


def test_a_body_without_an_end_is_refused_at_its_limit_with_as_little(drive: Drive, peak: Peak) -> None:
    """Nothing that is over a limit is held before it is refused."""
    with pytest.raises(LimitExceeded):
        drive(Uploader(DroppingStorage(), limits=Limits(file_size=8 * MIB)).any(), CONTENT_TYPE, body(BEGIN, 1 << 30))
    assert peak.bytes < 4 * MIB


REFUSED = {
    "cut": (CONTENT_TYPE, [BEGIN + bytes(100_000)]),
    "cut in a text value": (CONTENT_TYPE, [BEGIN_TEXT + b"x"]),
    "empty": (CONTENT_TYPE, [b""]),
    "malformed": (CONTENT_TYPE, [BEGIN + b"data\r\n--b\r\nno header", b"\r\n\r\n", b"more"]),
    "malformed behind a part": (CONTENT_TYPE, [BEGIN + b"data\r\n--b\r\nno header\r\n\r\n"]),
    "too large": (CONTENT_TYPE, [BEGIN + bytes(3_000_000)]),
    "too many fields": (CONTENT_TYPE, [(BEGIN_TEXT + b"x\r\n") * 2000 + END]),
    "no form": ("text/plain", [b"data"]),
    "refused by a check": (CONTENT_TYPE, [BEGIN + b"2" * 10_000 + END]),
    "urlencoded, malformed": (URLENCODED, [b"a=1&%ff=1&b=1"]),
    "urlencoded, malformed at its end": (URLENCODED, [b"a=1&%ff"]),
}


def is_refused(spec: Spec[Any], content_type: str, chunks: Iterable[bytes]) -> None:
    """By the blocking driver."""
    with suppress(UploadError):
        receive(spec, content_type, chunks)
        pytest.fail("it was not refused")


def is_refused_in_a_loop(spec: Spec[Any], content_type: str, chunks: Iterable[bytes]) -> None:
    """By the async one. The error stays in the coroutine: asyncio keeps one that comes out of a task."""

    async def main() -> None:
        with suppress(UploadError):
            await areceive(spec, content_type, arriving(chunks))
            pytest.fail("it was not refused")
        await turns()  # asyncio closes the generator that was left: cancelled at its end, it would keep the error

    asyncio.run(main())


@pytest.mark.parametrize("refused", [is_refused, is_refused_in_a_loop], ids=["blocking", "async"])
@pytest.mark.parametrize(("content_type", "chunks"), REFUSED.values(), ids=REFUSED)
def test_what_a_refused_form_held_does_not_wait_for_the_collector(
    refused: Callable[[Spec[Any], str, Iterable[bytes]], None], content_type: str, chunks: list[bytes], tmp_path: Path
) -> None:
    """An error holds the frames that it came through, and they the request: whoever keeps the error in one of them
    keeps the request until the garbage collector comes by."""
    spec = Uploader(DiskStorage(tmp_path), max_size="2 MB", check=RefusesTwos()).any()
    body = Body(chunks)
    held = weakref.ref(body)
    gc.disable()
    try:
        refused(spec, content_type, body)
        del body
        assert held() is None
    finally:
        gc.enable()


class RefusesTwos:
    """A check of a staged file."""

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        """Refuses a file that begins with 2."""
        if staged.read(1) == b"2":
            raise FileRefused("no twos")
