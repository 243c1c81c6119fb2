"""FailingStorage fails the one call it was told to, and is otherwise the storage that it is given."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, cast

import pytest
from tests.storage.kinds import get, put, staged

from uploadkit.errors import StorageFailed
from uploadkit.storage.contract import (
    CopiesObjects,
    ExclusiveCommit,
    ListsObjects,
    ObjectInfo,
    ReadableStaged,
    ReadsStaged,
    Sink,
    Staged,
    Storage,
    SweepsStaging,
)
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import Corruption, FailingStorage, Hang, check_storage
from uploadkit.testing.storage_faults import Call


@pytest.mark.parametrize(
    "call", ["open", "write", "stage", "open staged", "commit", "read", "stat", "list", "copy", "delete"]
)
def test_it_fails_one_call_and_lets_the_others_through(call: Call) -> None:
    """`after=1` lets the first call of its kind through, fails the second, and lets the third through."""
    inner = MemoryStorage()
    storage = FailingStorage(inner, after=1, on=call, retryable=True)
    outcomes = [attempt(storage, f"object-{number}") for number in range(3)]
    assert outcomes == [None, f"the storage was told to fail at {call} 2, retryable: True", None]
    assert storage.failed
    assert inner.unfinished == []


def test_a_failed_write_is_not_written_and_the_sink_can_only_be_discarded() -> None:
    """Neither another write nor `stage` works after a write that failed; `discard` does."""
    inner = MemoryStorage()
    sink = FailingStorage(inner, after=0, on="write").open("key", ObjectInfo())
    for call in (lambda: sink.write(b"lost"), lambda: sink.write(b"more"), sink.stage):
        with pytest.raises(StorageFailed):
            call()
    sink.discard()
    assert (inner.objects, inner.unfinished) == ({}, [])


def test_a_discard_can_fail_and_be_done_again() -> None:
    """A clean-up that fails leaves the object open, so that a test sees who does not try again."""
    inner = MemoryStorage()
    object = staged(FailingStorage(inner, after=0, on="discard"), "key")
    with pytest.raises(StorageFailed):
        object.discard()
    assert inner.unfinished == ["key"]
    object.discard()
    assert inner.unfinished == []


def test_it_can_what_the_storage_inside_can(tmp_path: Path) -> None:
    """The abilities of the storage inside are offered, and no others."""
    memory = FailingStorage(MemoryStorage(), after=0, on="open")
    disk = FailingStorage(DiskStorage(tmp_path, durable=True, name="d"), after=0, on="read")
    assert isinstance(memory, ReadsStaged)
    assert isinstance(memory, ExclusiveCommit)
    assert not isinstance(memory, SweepsStaging)
    assert isinstance(disk, SweepsStaging)
    assert (disk.name, disk.may_block, disk.sweep()) == ("d", True, 0)
    for storage, other in ((memory, MemoryStorage()), (disk, DiskStorage(tmp_path))):
        assert isinstance(storage, ListsObjects)
        assert isinstance(storage, CopiesObjects)
        assert storage.copies_from(storage)
        assert storage.copies_from(other)
        assert not storage.copies_from(FailingStorage(other, after=0, on="read")), "it would be read behind its back"
    plain = FailingStorage(cast(Storage, Plain()), after=0, on="read")
    assert not isinstance(plain, ListsObjects | CopiesObjects | ReadsStaged)


class Plain:
    """A storage without abilities."""

    name = "plain"
    may_block = False


@pytest.mark.parametrize("after", range(10))
def test_any_call_can_be_the_one_that_fails(after: int) -> None:
    """With `on="any"` calls of all kinds are counted together, whatever comes between them."""
    inner = MemoryStorage()
    storage = FailingStorage(inner, after=after, on="any")
    assert attempt(storage, "key") == f"the storage was told to fail at call {after + 1}, retryable: False"
    assert inner.unfinished == []
    assert (inner.objects == {}) is (after < 5), "the first five calls publish nothing"


def test_it_raises_what_it_is_given_and_does_not_translate_it() -> None:
    """For a storage that breaks the contract, or a defect of its own; the sink stays broken all the same."""
    full = OSError(errno.ENOSPC, "no space left")
    sink = FailingStorage(MemoryStorage(), after=0, on="write", fault=full).open("key", ObjectInfo())
    for call in (lambda: sink.write(b"lost"), sink.stage):
        with pytest.raises(OSError, match="no space left") as caught:
            call()
        assert caught.value is full
    sink.discard()


def test_a_call_that_hangs_goes_on_when_it_is_let_go() -> None:
    """It may block, whatever the storage inside says, so that no event loop makes the call itself."""
    hang = Hang()
    storage = FailingStorage(MemoryStorage(), after=0, on="commit", fault=hang)
    assert storage.may_block
    with ThreadPoolExecutor(1) as thread:
        commit = thread.submit(put, storage, "key")
        assert hang.reached.wait(5)
        assert not commit.done()
        hang.let_go()
        commit.result()
    assert get(storage, "key") == b"data"


@pytest.mark.parametrize("fails", [False, True])
def test_a_call_hangs_no_longer_than_its_seconds(fails: bool) -> None:
    """Nobody lets it go: it goes on by itself, or fails then."""
    storage = FailingStorage(MemoryStorage(), after=0, on="commit", fault=Hang(0.01, fails=fails), retryable=True)
    assert attempt(storage, "key") == ("the storage was told to fail at commit 1, retryable: True" if fails else None)
    assert storage.failed


CORRUPT = {Corruption.SHORT: b"da", Corruption.FLIPPED: b"daua"}


@pytest.mark.parametrize("corruption", Corruption)
@pytest.mark.parametrize("call", ["write", "read"])
def test_a_corruption_is_silent_and_done_once(call: Literal["write", "read"], corruption: Corruption) -> None:
    """One write or one read is wrong, and no call says so."""
    storage = FailingStorage(MemoryStorage(), after=1, on=call, fault=corruption)
    assert [get(storage, put(storage, f"object-{number}")) for number in range(3)] == [
        b"data",
        CORRUPT[corruption],
        b"data",
    ]
    assert storage.failed


@pytest.mark.parametrize("corruption", Corruption)
def test_where_there_are_no_bytes_none_go_wrong(corruption: Corruption) -> None:
    """An empty write, an empty object."""
    for call in ("write", "read"):
        storage = FailingStorage(MemoryStorage(), after=0, on=call, fault=corruption)
        assert get(storage, put(storage, "key", b"")) == b""
        assert not storage.failed


@pytest.mark.parametrize("call", ["any", "open", "commit"])
def test_calls_without_bytes_cannot_be_corrupted(call: Call) -> None:
    """Such a test would test nothing."""
    with pytest.raises(ValueError, match=f"and '{call}' has none"):
        FailingStorage(MemoryStorage(), after=0, on=call, fault=Corruption.SHORT)


@pytest.mark.parametrize("corruption", Corruption)
@pytest.mark.parametrize("call", ["write", "read"])
def test_the_suite_of_the_contract_notices_a_corruption(call: Literal["write", "read"], corruption: Corruption) -> None:
    """Whoever runs `check_storage` against a storage that loses or changes bytes is told."""
    with pytest.raises(AssertionError) as caught:
        check_storage(lambda: FailingStorage(MemoryStorage(), after=0, on=call, fault=corruption))
    assert "round_trip: An object is read back as it was written." in str(caught.value)


def attempt(storage: FailingStorage, key: str) -> str | None:
    """Every call of a storage once; what failed, if something did, after the sink was given up."""
    things: list[Sink | Staged] = []
    try:
        things.append(sink := storage.open(key, ObjectInfo()))
        sink.write(b"data")
        things.append(object := sink.stage())
        cast(ReadableStaged, object).open().close()
        object.commit()
        get(storage, key)
        storage.stat(key)
        assert [each.key for each in cast(ListsObjects, storage).list(key)] == [key]
        cast(CopiesObjects, storage).copy(key, f"{key}-copy")
        storage.delete(key)
    except StorageFailed as error:
        for thing in things:
            thing.discard()
        return f"{error}, retryable: {error.retryable}"
    return None
