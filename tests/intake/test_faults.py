"""A storage that fails, at every call that a form needs, by both drivers, in the event loop and in threads.

Nothing of the form is left, but for what the storage itself could not remove; the first error is what is raised.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from tests.intake.receiving import DRIVES, Drive, Refusal, cut, left_in, refusal, refusal_of
from tests.storage.kinds import descriptors

from uploadkit.errors import StorageFailed, TruncatedForm
from uploadkit.intake.asynchronous import akept_if_handled
from uploadkit.intake.blocking import kept_if_handled
from uploadkit.intake.capacity import BUFFER_SIZE
from uploadkit.storage.contract import Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import Corruption, FailingStorage, FormBuilder
from uploadkit.testing.storage_faults import Call
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission

FORM = (
    FormBuilder(boundary="b")
    .file("small", b"one", filename="1.txt")
    .text("t", "x")
    .file("large", b"x" * (2 * BUFFER_SIZE + 100_000), filename="2.bin")
    .file("empty", b"", filename="3.txt")
)
CHUNKS = cut(FORM.body, [1000, 400_000, 800_000, len(FORM.body) - 400])

Make = Callable[[Path], Storage]

INNER: dict[str, Make] = {
    "memory": lambda _: MemoryStorage(),
    "disk": DiskStorage,
    "durable disk": lambda folder: DiskStorage(folder, durable=True),
}


@pytest.fixture(params=INNER)
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """A storage that works, and keeps no file open. The durable one is called in threads by the async driver."""
    open_before = descriptors()
    yield INNER[request.param](tmp_path)
    assert descriptors() <= open_before


@pytest.mark.parametrize("call", ["open", "write", "stage", "commit"])
def test_whichever_call_fails_nothing_is_left(drive: Drive, inner: Storage, call: Call) -> None:
    """The first, the second, the third: each time the storage's own error and an empty storage."""
    writes = 4 if drive is DRIVES["async"] else 2  # one writes the large file in buffers, the other as it came
    calls = writes if call == "write" else 3
    for after in range(calls):
        storage = FailingStorage(inner, after=after, on=call)
        assert refusal(drive, Uploader(storage).any(), FORM, storage) == Refusal(
            StorageFailed,
            f"the storage was told to fail at {call} {after + 1}",
            status=503,
            code="storage_failed",
        )
    storage = FailingStorage(inner, after=calls, on=call)
    drive(Uploader(storage).any(), FORM.content_type, [FORM.body]).discard()
    assert not storage.failed


@pytest.mark.parametrize("after", range(4))
def test_a_write_in_the_middle_of_a_file_fails(drive: Drive, inner: Storage, after: int) -> None:
    """Where a file comes in many chunks; nothing more is read then."""
    storage = FailingStorage(inner, after=after, on="write")
    why = refusal(drive, Uploader(storage).any(), FORM, storage, chunks=CHUNKS)
    assert why.kind is StorageFailed


def test_when_the_second_of_three_files_cannot_be_published_the_first_is_taken_back(
    drive: Drive, inner: Storage
) -> None:
    """All or nothing: what was visible for a moment is gone."""
    storage = FailingStorage(inner, after=1, on="commit")
    assert refusal(drive, Uploader(storage).any(), FORM, storage).kind is StorageFailed


@pytest.mark.parametrize("after", [0, 1])
def test_what_cannot_be_taken_back_is_noted(drive: Drive, inner: Storage, after: int) -> None:
    """The third commit fails, and then a delete: that one object is left, the other is gone, the error stays."""
    storage = FailingStorage(FailingStorage(inner, after=2, on="commit"), after=after, on="delete")
    with pytest.raises(StorageFailed, match="fail at commit 3") as caught:
        drive(Uploader(storage).any(), FORM.content_type, [FORM.body])
    [left] = left_in(storage)
    assert inner.stat(left).size == (2 * BUFFER_SIZE + 100_000 if after == 0 else 3)
    [note] = caught.value.__notes__
    field = "large" if after == 0 else "small"
    assert note.startswith(f"and the file in field {field!r} could not be removed: StorageFailed(")
    assert "remove" not in str(caught.value), "it is the sender who reads the text"
    inner.delete(left)


@pytest.mark.parametrize("after", [0, 1])
def test_a_discard_that_fails_keeps_no_other_from_being_tried(drive: Drive, after: int) -> None:
    """The body ends early and a discard fails: one sink is left open, the other is discarded, the error stays."""
    storage = FailingStorage(MemoryStorage(), after=after, on="discard")
    with pytest.raises(TruncatedForm) as caught:
        drive(Uploader(storage).any(), FORM.content_type, CHUNKS[:3])
    assert len(left_in(storage)) == 1
    assert len(caught.value.__notes__) == 1


def test_a_storage_that_fails_in_everything_is_asked_to_discard_all_the_same(drive: Drive) -> None:
    """Three files staged, the gate to publishing closed, and no discard works: three notes on one error."""
    storage: Storage = MemoryStorage()
    for _ in range(3):
        storage = FailingStorage(storage, after=0, on="discard")
    storage = FailingStorage(storage, after=0, on="commit")
    with pytest.raises(StorageFailed, match="commit 1") as caught:
        drive(Uploader(storage).any(), FORM.content_type, [FORM.body])
    assert len(caught.value.__notes__) == 3


@pytest.mark.parametrize("after", range(2))
def test_a_storage_that_lost_bytes_without_a_word_is_found_out(drive: Drive, inner: Storage, after: int) -> None:
    """Its commit says how much it has, which is less than what was received: 503, and the whole form is taken back."""
    storage = FailingStorage(inner, after=after, on="write", fault=Corruption.SHORT)
    with pytest.raises(StorageFailed, match=r"the storage kept \d+ of \d+ bytes") as caught:
        drive(Uploader(storage).any(), FORM.content_type, [FORM.body])
    assert (caught.value.status, caught.value.storage) == (503, inner.name)
    assert left_in(storage) == []


@pytest.mark.parametrize(
    ("call", "corruption"), [("write", Corruption.FLIPPED), ("read", Corruption.FLIPPED), ("read", Corruption.SHORT)]
)
def test_what_no_size_tells_the_digest_does(
    drive: Drive, inner: Storage, call: Literal["write", "read"], corruption: Corruption
) -> None:
    """`UploadedFile.size` and `digest` are of what was received: reading back shows whether the storage has it."""
    storage = FailingStorage(inner, after=0, on=call, fault=corruption)
    submission = drive(Uploader(storage).any(), FORM.content_type, [FORM.body])
    whole = []
    for file in submission.files:
        data = file.read()
        whole.append((len(data) == file.size, hashlib.sha256(data).hexdigest() == file.digest))
    assert whole == [(corruption is not Corruption.SHORT, False), (True, True), (True, True)]
    submission.discard()


class Gone(Exception):
    """What a server raises where its client went away."""


@pytest.mark.parametrize("error", [Gone("mid-file"), KeyboardInterrupt(), StopIteration()], ids=repr)
@pytest.mark.parametrize("place", range(1, len(CHUNKS)))
def test_a_body_that_breaks_off_leaves_nothing(drive: Drive, inner: Storage, error: BaseException, place: int) -> None:
    """Whatever the iterable of chunks raises is raised, wherever it is."""

    def chunks() -> Iterator[bytes]:
        yield from CHUNKS[:place]
        raise error

    with pytest.raises(RuntimeError if isinstance(error, StopIteration) else type(error)) as caught:
        drive(Uploader(inner).any(), FORM.content_type, chunks())
    if not isinstance(error, StopIteration):  # no generator lets it out
        assert caught.value is error
    assert left_in(inner) == []


def test_an_iterator_that_fails_at_its_beginning_leaves_nothing(drive: Drive, inner: Storage) -> None:
    """Before the first chunk there is nothing to withdraw."""

    def gone(chunk: bytes) -> bytes:
        raise Gone("at once")

    with pytest.raises(Gone):
        drive(Uploader(inner).any(), FORM.content_type, map(gone, CHUNKS))
    assert left_in(inner) == []


def test_a_failing_storage_is_not_asked_for_more(drive: Drive, inner: Storage) -> None:
    """The body is not read on after an error."""
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        for chunk in CHUNKS:
            taken += 1
            yield chunk

    storage = FailingStorage(inner, after=0, on="stage")
    with pytest.raises(StorageFailed):
        drive(Uploader(storage).any(), FORM.content_type, chunks())
    assert taken == 1, "the first file ends in the first chunk"


# Around a handler


class Driven:
    """A form that was received, and the context in which its handler runs."""

    def __init__(self, driver: str, storage: Storage, keeps: bool) -> None:
        self.driver = driver
        self.spec = Uploader(storage, on_error="keep" if keeps else "discard").any()
        self.submission: Submission = DRIVES[driver](self.spec, FORM.content_type, [FORM.body])

    def handle(self, handler: Callable[[], None]) -> None:
        """Runs the handler as an adapter does."""
        if self.driver == "blocking":
            with kept_if_handled(self.spec, self.submission):
                handler()
            return

        async def main() -> None:
            async with akept_if_handled(self.spec, self.submission):
                handler()

        asyncio.run(main())


HANDLER_ERRORS = [ValueError("wrong"), KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError(), Gone()]


@pytest.fixture(params=DRIVES)
def driver(request: pytest.FixtureRequest) -> str:
    """The name of a driver."""
    name: str = request.param
    return name


@pytest.mark.parametrize("error", HANDLER_ERRORS, ids=repr)
def test_the_files_of_a_handler_that_raises_are_removed(driver: str, inner: Storage, error: BaseException) -> None:
    """Whatever it raises, which comes out as it is."""
    with pytest.raises(type(error)) as caught:
        Driven(driver, inner, keeps=False).handle(raising(error))
    assert refusal_of(caught.value) == refusal_of(error)
    assert left_in(inner) == []


@pytest.mark.parametrize("error", HANDLER_ERRORS, ids=repr)
def test_they_are_kept_where_the_uploader_says_so(driver: str, inner: Storage, error: BaseException) -> None:
    """`on_error="keep"`."""
    driven = Driven(driver, inner, keeps=True)
    with pytest.raises(type(error)):
        driven.handle(raising(error))
    assert left_in(inner) == sorted(file.key for file in driven.submission.files)
    driven.submission.discard()


def test_they_stay_where_the_handler_returns(driver: str, inner: Storage) -> None:
    """And what it has discarded itself stays away."""
    driven = Driven(driver, inner, keeps=False)
    driven.handle(lambda: None)
    assert len(left_in(inner)) == 3
    driven.handle(driven.submission.discard)
    assert left_in(inner) == []
    with pytest.raises(ValueError, match="after it"):
        driven.handle(raising(ValueError("after it")))


def test_a_handlers_error_goes_before_that_of_the_removal(driver: str) -> None:
    """Which is noted; all files are tried."""
    storage = FailingStorage(MemoryStorage(), after=1, on="delete")
    with pytest.raises(ValueError, match="wrong") as caught:
        Driven(driver, storage, keeps=False).handle(raising(ValueError("wrong")))
    assert len(left_in(storage)) == 1
    [note] = caught.value.__notes__
    assert note.startswith("and the files of the request could not be removed: StorageFailed(")


def raising(error: BaseException) -> Callable[[], None]:
    """A handler that raises."""

    def handler() -> None:
        raise error

    return handler
