"""S3 that fails, is slow, loses answers or is not there: what is told to the caller, and what is left."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.adapters.servers import eventually
from tests.storage.kinds import staged
from tests.storage.s3.places import ATTEMPTS, PART_SIZE, Place, place_on
from tests.storage.s3.proxy import INTERNAL_ERROR, SLOW_DOWN, Fault, Hold, Proxy, Wrong
from tests.storage.s3.server import KEY, SECRET, S3Server

from uploadkit.errors import ObjectExists, ObjectMissing, StorageError, StorageFailed
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.s3 import S3Storage
from uploadkit.testing import assert_no_leaks

pytestmark = pytest.mark.usefixtures("no_pauses")

INFO = ObjectInfo()

LARGE = bytes(range(256)) * (PART_SIZE // 256) + b"the last part"
"""In two parts: no part but the last may be smaller."""

SMALL = b"in one call"

IMPATIENT = {"read_timeout": 0.4, "retries": {"total_max_attempts": 2 * ATTEMPTS, "mode": "standard"}}
"""A machine that is busy may be as slow as S3 that is silent: then it is tried more often."""

SILENCES = (Fault.SILENT, Fault.LOST_SILENTLY)

FAULTS: dict[str, list[Wrong]] = {
    "CreateMultipartUpload": [SLOW_DOWN, Fault.RESET_AFTER, Fault.SILENT],
    "UploadPart": [INTERNAL_ERROR, SLOW_DOWN, Fault.RESET, Fault.RESET_HALFWAY, Fault.RESET_AFTER, Fault.SILENT],
    "CompleteMultipartUpload": [INTERNAL_ERROR, SLOW_DOWN, Fault.RESET_HALFWAY, Fault.SILENT],
    "PutObject": [INTERNAL_ERROR, SLOW_DOWN, Fault.RESET_HALFWAY, Fault.SILENT],
}
"""What an object is made by, and what may happen to it: S3 has done nothing, and the next time it may."""

LOST: list[Wrong] = [Fault.LOST, Fault.LOST_SILENTLY]
"""S3 has done it, and its client does not know."""

DATA = dict.fromkeys(FAULTS, LARGE) | {"PutObject": SMALL}
"""An object that needs the call."""


@dataclass(frozen=True)
class At:
    """A storage, whose calls go through a proxy."""

    place: Place
    proxy: Proxy
    storage: S3Storage
    impatient: S3Storage

    def meeting(self, wrong: Wrong) -> S3Storage:
        """The storage that is not busy with waiting for what does not come."""
        return self.impatient if wrong in SILENCES else self.storage

    @contextmanager
    def leaves_nothing(self) -> Generator[None]:
        """No upload, no staged object, no connection, no descriptor and no thread of the block outlives it."""
        with assert_no_leaks(self.place.left):
            yield
            self.proxy.disconnect()  # those that wait for their next call

    def tried(self, operation: str, part: int = 1) -> int:
        """How many calls of an operation have come, of `UploadPart` those of one part."""
        return sum(call.operation == operation and call.part in (None, part) for call in self.proxy.calls)


@pytest.fixture(scope="module")
def of_the_module(weed: S3Server) -> Iterator[At]:
    """One for all: to connect takes a tenth of a second."""
    with place_on(weed) as place, Proxy(weed) as proxy:
        at = At(place, proxy, place.storage(proxy), place.storage(proxy, config=IMPATIENT))
        for storage in (at.storage, at.impatient):
            assert list(storage.list()) == []  # it connects
        yield at


@pytest.fixture
def at(of_the_module: At) -> Iterator[At]:
    """The same, with nothing in it and nothing wrong."""
    yield of_the_module
    of_the_module.proxy.heal()
    of_the_module.place.clear()
    of_the_module.proxy.calls.clear()


def fail(storage: S3Storage, data: bytes) -> StorageFailed:
    """What its upload raises. It is discarded, twice; nothing is there then."""
    upload: Any = storage.open("key", INFO)
    try:
        upload.write(data)
        upload = upload.stage()
        upload.commit()
    except StorageFailed as error:
        upload.discard()
        upload.discard()
        with pytest.raises(ObjectMissing):
            storage.stat("key")
        return error
    raise AssertionError("it did not fail")


# Once, or always


@pytest.mark.parametrize(
    ("operation", "wrong"),
    [(operation, wrong) for operation, faults in FAULTS.items() for wrong in faults]
    + [(operation, wrong) for operation in FAULTS for wrong in LOST if operation != "CreateMultipartUpload"],
    ids=str,
)
def test_what_goes_wrong_once_is_tried_again(at: At, operation: str, wrong: Wrong) -> None:
    """The object is whole and there once, nothing else is left, and whoever uploads is told nothing of it."""
    data, storage = DATA[operation], at.meeting(wrong)
    at.proxy.fail(operation, wrong, times=1, part=1 if operation == "UploadPart" else None)
    with at.leaves_nothing():
        assert staged(storage, "key", data).commit().size == len(data)
    assert at.place.keys() == ["key"]
    assert at.place.get("key") == data
    assert at.tried(operation) >= 2


@pytest.mark.parametrize(
    ("operation", "wrong"),
    [(operation, SLOW_DOWN) for operation in FAULTS]
    + [("UploadPart", wrong) for wrong in (INTERNAL_ERROR, Fault.RESET_AFTER, Fault.SILENT, Fault.LOST)]
    + [("CompleteMultipartUpload", Fault.RESET), ("PutObject", Fault.RESET)],
    ids=str,
)
def test_what_goes_wrong_always_is_a_failure_that_may_pass(at: At, operation: str, wrong: Wrong) -> None:
    """It is tried as often as botocore is told, and then nothing is there."""
    data, storage = DATA[operation], at.meeting(wrong)
    at.proxy.fail(operation, wrong, part=1 if operation == "UploadPart" else None)
    with at.leaves_nothing():
        error = fail(storage, data)
    assert error.retryable
    assert ATTEMPTS <= at.tried(operation) <= 2 * ATTEMPTS  # aiohttp repeats some once by itself, after a reset
    at.proxy.heal()
    staged(at.storage, "key", data).commit()  # the storage is as it was
    assert at.place.get("key") == data


@pytest.mark.parametrize("part", [2, 3])
def test_it_makes_no_difference_which_part_fails(at: At, part: int) -> None:
    """One that goes while the next one fills, or the last, which `stage` sends."""
    at.proxy.fail("UploadPart", INTERNAL_ERROR, part=part)
    with at.leaves_nothing():
        assert fail(at.storage, 2 * LARGE).retryable
    at.proxy.heal()
    at.proxy.fail("UploadPart", INTERNAL_ERROR, part=part, times=1)
    staged(at.storage, "key", 2 * LARGE).commit()
    assert at.place.get("key") == 2 * LARGE


def test_a_failure_is_told_by_the_next_write(at: At) -> None:
    """A part that has failed while the next one fills is not found out at the end alone: a client need not send all."""
    at.proxy.fail("UploadPart", INTERNAL_ERROR, part=1)
    sink = at.storage.open("key", INFO)
    sink.write(bytes(PART_SIZE))
    raised: list[StorageFailed] = []

    def fails() -> bool:
        try:
            sink.write(b"a few bytes more, so that no part is full")
        except StorageFailed as error:
            raised.append(error)
        return raised != []

    eventually(fails)
    assert raised[0].retryable
    for call in (lambda: sink.write(b"more"), sink.stage):
        with pytest.raises(StorageFailed, match="an earlier write failed"):
            call()
    sink.discard()
    assert not at.place.left()


# Lost answers


@pytest.mark.parametrize("operation", ["CompleteMultipartUpload", "PutObject"])
def test_a_commit_of_which_no_answer_ever_comes_has_happened(at: At, operation: str) -> None:
    """S3 has made the object at the first attempt, and says to the second that the upload is gone, or the key taken:
    the commit looks, knows its object again, and succeeds."""
    at.proxy.fail(operation, Fault.LOST)
    with at.leaves_nothing():
        staged(at.storage, "key", DATA[operation]).commit()
    assert at.place.keys() == ["key"]
    assert at.place.get("key") == DATA[operation]


@pytest.mark.parametrize("operation", ["CompleteMultipartUpload", "PutObject"])
def test_a_commit_whose_answer_got_lost_never_takes_another_object_for_its_own(at: At, operation: str) -> None:
    """Another one of the same size stands under the key: it stays, and this commit is told so."""
    data, other = DATA[operation], DATA[operation][::-1]
    upload = staged(at.storage, "key", data)
    staged(at.storage, "key", other).commit()
    at.proxy.fail(operation, Fault.LOST, times=1)
    with at.leaves_nothing(), pytest.raises(ObjectExists):
        upload.commit()
    upload.discard()
    assert at.place.get("key") == other
    assert not at.place.left()


@pytest.mark.parametrize("operation", ["CompleteMultipartUpload", "PutObject"])
@pytest.mark.parametrize("healed", ["before it is discarded", "after it was discarded in vain"])
def test_an_object_of_a_commit_that_failed_is_not_left(at: At, operation: str, healed: str) -> None:
    """S3 makes the object, its answer is lost, and then nothing can be asked: nobody knows that it is there. Whoever
    gives it up removes it, as soon as that can be done."""
    upload = staged(at.storage, "key", DATA[operation])
    at.proxy.fail(operation, Fault.LOST, times=1)
    for call in (operation, "HeadObject", "AbortMultipartUpload", "DeleteObject"):
        at.proxy.fail(call, Fault.RESET)
    with pytest.raises(StorageFailed) as raised:
        upload.commit()
    assert raised.value.retryable
    assert at.place.keys() == ["key"]
    if healed == "after it was discarded in vain":
        with pytest.raises(StorageFailed):
            upload.discard()
    at.proxy.heal()
    upload.discard()
    assert not at.place.keys()
    assert not at.place.left()


@pytest.mark.parametrize("wrong", LOST, ids=str)
def test_a_beginning_whose_answer_got_lost_is_swept(at: At, wrong: Wrong) -> None:
    """Nobody knows the name of the upload that S3 has begun: it is begun again, and the sweep removes the first."""
    at.proxy.fail("CreateMultipartUpload", wrong, times=1)
    staged(at.meeting(wrong), "key", LARGE).commit()
    assert at.place.keys() == ["key"]
    assert at.place.uploads() == ["key"]
    assert at.storage.sweep() == 0  # it is not old enough
    assert at.place.storage(stale_seconds=0.001).sweep() == 1
    assert not at.place.left()
    assert at.place.get("key") == LARGE


# To give up


@pytest.mark.parametrize("moment", ["writing", "staged"])
def test_an_upload_that_cannot_be_discarded_is_swept(at: At, moment: str) -> None:
    """It says so, other uploads go on, and a sweep removes it when it is old enough."""
    upload: Any = at.storage.open("key", INFO)
    upload.write(LARGE)
    upload = upload.stage() if moment == "staged" else upload
    at.proxy.fail("AbortMultipartUpload", SLOW_DOWN)
    with pytest.raises(StorageFailed) as raised:
        upload.discard()
    assert raised.value.retryable
    at.proxy.heal()
    assert not at.place.keys()
    assert at.place.uploads() == ["key"]
    at.storage.stale_seconds, before = 0.001, at.storage.stale_seconds
    assert at.storage.sweep() == 1  # of the very storage that made it
    at.storage.stale_seconds = before
    assert not at.place.left()


def test_parts_that_are_under_way_are_not_waited_for(at: At) -> None:
    """They are cancelled; and one that S3 takes after the upload was aborted leaves nothing."""
    hold = Hold()
    at.proxy.fail("UploadPart", hold)
    with at.leaves_nothing():
        sink = at.storage.open("key", INFO)
        sink.write(LARGE)
        assert hold.reached.wait(5)
        sink.discard()
        assert not at.place.uploads()
        hold.let_go()
        assert hold.over.wait(5)
    assert [call.status for call in at.proxy.calls if call.operation == "UploadPart"] == [404]
    assert not at.place.keys()


def test_a_part_that_is_taken_while_the_upload_is_aborted_leaves_nothing(at: At) -> None:
    """S3 is taking it when the abort comes."""
    hold = Hold()
    at.proxy.fail("AbortMultipartUpload", hold)
    with at.leaves_nothing(), ThreadPoolExecutor(1) as thread:
        sink = at.storage.open("key", INFO)
        sink.write(LARGE)
        discarding = thread.submit(sink.discard)
        assert hold.reached.wait(5)
        hold.let_go()
        discarding.result(5)
    assert not at.place.keys()


def test_a_server_that_takes_no_byte_is_not_waited_for_without_end(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has accepted the connection, and reads nothing of the part."""
    monkeypatch.setattr("uploadkit.storage.s3.client.SILENT_SECONDS", 0.3)
    at.proxy.fail("UploadPart", Fault.STALLED, part=1, times=1)
    staged(at.storage, "key", LARGE).commit()
    at.proxy.disconnect()
    assert at.place.get("key") == LARGE


# What writes nothing

MEDIUM = LARGE[: 3 * 2**20]
"""Read in three steps."""

READS: dict[str, Callable[[S3Storage], object]] = {
    "GetObject": lambda storage: b"".join(storage.read("key")),
    "HeadObject": lambda storage: storage.stat("key"),
    "ListObjectsV2": lambda storage: list(storage.list()),
    "ListMultipartUploads": lambda storage: storage.sweep(),
    "DeleteObject": lambda storage: storage.delete("key"),
    "CopyObject": lambda storage: storage.copy("key", "copy").size,
}


@pytest.mark.parametrize(
    ("operation", "wrong"),
    [(operation, wrong) for operation in READS for wrong in (SLOW_DOWN, Fault.CUT)]
    + [("GetObject", Fault.SILENT), ("CopyObject", Fault.LOST), ("DeleteObject", Fault.LOST)],
    ids=str,
)
def test_what_else_goes_wrong_once_is_tried_again_too(at: At, operation: str, wrong: Wrong) -> None:
    """Whoever reads, looks, lists, copies or deletes is told what is there, or that it was done."""
    staged(at.storage, "key", MEDIUM).commit()
    expected = {"GetObject": MEDIUM, "HeadObject": at.storage.stat("key"), "ListObjectsV2": [at.storage.stat("key")]}
    expected |= {"ListMultipartUploads": 0, "DeleteObject": None, "CopyObject": len(MEDIUM)}
    at.proxy.fail(operation, wrong, times=1)
    with at.leaves_nothing():
        assert READS[operation](at.meeting(wrong)) == expected[operation]
    assert len(at.place.keys()) == {"DeleteObject": 0, "CopyObject": 2}.get(operation, 1)


@pytest.mark.parametrize("operation", READS)
def test_what_else_goes_wrong_always_is_a_failure_that_may_pass(at: At, operation: str) -> None:
    """And nothing has changed."""
    staged(at.storage, "key", MEDIUM).commit()
    at.proxy.fail(operation, INTERNAL_ERROR)
    with at.leaves_nothing(), pytest.raises(StorageFailed) as raised:
        READS[operation](at.storage)
    assert raised.value.retryable
    assert at.place.keys() == ["key"]


def test_a_reader_goes_on_where_its_connection_broke(at: At) -> None:
    """In the middle of a later block; what it was given is the object."""
    staged(at.storage, "key", MEDIUM).commit()
    blocks = at.storage.read("key")
    begin = next(blocks)
    at.proxy.fail("GetObject", Fault.CUT, times=2)
    assert begin + b"".join(blocks) == MEDIUM


def test_a_reader_is_never_given_the_bytes_of_two_objects(at: At) -> None:
    """The object is another one before all of it was read: that is a failure, and no mixture."""
    staged(at.storage, "key", MEDIUM).commit()
    blocks = at.storage.read("key")
    next(blocks)
    at.storage.delete("key")
    staged(at.storage, "key", MEDIUM[::-1]).commit()
    with pytest.raises((StorageFailed, ObjectMissing)):
        list(blocks)


def test_a_storage_that_is_closed_connects_again(at: At) -> None:
    """Between two calls, and in the middle of an upload: whatever becomes of that, nothing of it is left."""
    storage = at.place.storage(at.proxy, config=IMPATIENT)
    sink: Any = storage.open("key", INFO)
    sink.write(LARGE)
    storage.close()
    try:
        upload = sink.stage()
        storage.close()
        upload.commit()
    except StorageFailed:
        sink.discard()
    else:
        assert at.place.get("key") == LARGE
    storage.close()
    assert not at.place.left()


# Who is not let in, and what is not there


@pytest.mark.parametrize(
    ("wrong", "retryable"),
    [
        ({"secret": "another-secret"}, False),
        ({"key": "another-key"}, False),
        ({"endpoint_url": "http://127.0.0.1:1"}, True),
        ({"endpoint_url": "http://no-such-host.invalid"}, True),
    ],
    ids=["secret", "key", "endpoint", "host"],
)
def test_who_is_not_let_in_is_told_so(place: Place, wrong: dict[str, Any], retryable: bool) -> None:
    """By every call, with no secret and no address in the text; to try again is of use where nobody listens."""
    expect_failures(place.storage(options=place.options() | wrong), retryable)
    assert not place.keys()


def test_a_bucket_that_is_not_there_is_a_failure(place: Place) -> None:
    """Nothing passes by itself. Only where S3 is asked for a head it does not say what is missing."""
    storage = S3Storage("s3://no-such-bucket/prefix", options=place.options(), part_size=PART_SIZE)
    expect_failures(storage, False, of_a_head=ObjectMissing)


def expect_failures(storage: S3Storage, retryable: bool, of_a_head: type[StorageError] = StorageFailed) -> None:
    """Each call says what it could not do and why, in a few words; then the storage is closed."""
    calls: list[tuple[Callable[[], object], type[StorageError]]] = [
        (lambda: staged(storage, "key", SMALL).commit(), StorageFailed),
        (lambda: staged(storage, "key", LARGE), StorageFailed),
        (lambda: list(storage.read("key")), StorageFailed),
        (lambda: storage.stat("key"), of_a_head),
        (lambda: storage.copy("key", "other"), of_a_head),
        (lambda: storage.delete("key"), StorageFailed),
        (lambda: list(storage.list()), StorageFailed),
        (storage.sweep, StorageFailed),
    ]
    with assert_no_leaks():
        for call, expected in calls:
            with pytest.raises(expected) as raised:
                call()
            text = str(raised.value)
            if isinstance(raised.value, StorageFailed):
                assert re.fullmatch(r"the storage could not [a-z ]+: \w+", text)
                assert raised.value.retryable == retryable
            assert not [
                secret for secret in (KEY, SECRET, "another", "127.0.0.1", "invalid", "no-such") if secret in text
            ]
        storage.close()
