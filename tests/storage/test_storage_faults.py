"""FailingStorage fails the one call it was told to, and is otherwise the storage that it is given."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.storage.kinds import get, staged

from uploadkit.errors import StorageFailed
from uploadkit.storage.contract import ExclusiveCommit, ObjectInfo, ReadsStaged, Sink, Staged, SweepsStaging
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FailingStorage
from uploadkit.testing.storage_faults import Call


@pytest.mark.parametrize("call", ["open", "write", "stage", "commit", "read", "stat", "delete"])
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


def attempt(storage: FailingStorage, key: str) -> str | None:
    """Every call of a storage once; what failed, if something did, after the sink was given up."""
    things: list[Sink | Staged] = []
    try:
        things.append(sink := storage.open(key, ObjectInfo()))
        sink.write(b"data")
        things.append(object := sink.stage())
        object.commit()
        get(storage, key)
        storage.stat(key)
        storage.delete(key)
    except StorageFailed as error:
        for thing in things:
            thing.discard()
        return f"{error}, retryable: {error.retryable}"
    return None
