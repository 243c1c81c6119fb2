"""`copy_object` between storages of every kind: whole or not there, with flat memory, and nothing is left open."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from tests.intake.receiving import left_in
from tests.storage.kinds import descriptors, get, put

from uploadkit.errors import KeyRefused, ObjectExists, ObjectMissing, StorageFailed
from uploadkit.storage.contract import ObjectInfo, Storage, StoredObject
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.fsspec import FsspecStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.storage.transfer import copies_itself, copy_object
from uploadkit.testing import Corruption, FailingStorage

DATA = bytes(range(256)) * 10_000  # three blocks

MAKE: dict[str, Callable[[Path], Storage]] = {
    "memory": lambda _: MemoryStorage(),
    "disk": DiskStorage,
    "fsspec, memory": lambda _: FsspecStorage(f"memory://{token_hex(8)}"),
    "fsspec, local": lambda folder: FsspecStorage(f"file://{folder}"),
}


@pytest.fixture(autouse=True)
def _no_descriptor_is_lost() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() <= before


@pytest.mark.parametrize("source", MAKE)
@pytest.mark.parametrize("target", MAKE)
def test_an_object_is_copied_from_any_storage_to_any_other(source: str, target: str, tmp_path: Path) -> None:
    """Under its own key and under another; what was there stays."""
    one, other = MAKE[source](tmp_path / "one"), MAKE[target](tmp_path / "other")
    put(one, "folder/object", DATA)
    assert copy_object("folder/object", source=one, target=other) == StoredObject(key="folder/object", size=len(DATA))
    assert copy_object("folder/object", "new", source=one, target=other) == StoredObject(key="new", size=len(DATA))
    assert get(one, "folder/object") == get(other, "folder/object") == get(other, "new") == DATA
    with pytest.raises(ObjectMissing):
        copy_object("missing", source=one, target=other)
    with pytest.raises(KeyRefused):
        copy_object("folder/object", "../new", source=one, target=other)


def test_who_copies_by_itself_does(tmp_path: Path) -> None:
    """The storages' own copy is taken where it is offered, and nothing is read then."""
    disk = DiskStorage(tmp_path / "one")
    put(disk, "object", DATA)
    unread = FailingStorage(disk, after=0, on="read")
    copy_object("object", "copy", source=unread, target=unread)
    assert not unread.failed
    assert copies_itself(DiskStorage(tmp_path / "other"), disk)
    assert not copies_itself(MemoryStorage(), disk)
    sftp = FsspecStorage("sftp://host/root")
    assert not copies_itself(sftp, sftp)


def test_what_is_known_goes_with_the_stream() -> None:
    """And how large it will be: a storage that sends parts chooses their size by it."""
    source, target = MemoryStorage(), Told()
    put(source, "object", DATA)
    copy_object("object", source=source, target=target, info=ObjectInfo(content_type="image/png", filename="a.png"))
    copy_object("object", "unknown", source=source, target=target)
    assert target.told == [
        ObjectInfo(content_type="image/png", filename="a.png", max_size=len(DATA)),
        ObjectInfo(max_size=len(DATA)),
    ]


def test_a_key_that_is_taken_stays_as_it_is(tmp_path: Path) -> None:
    """Streamed as by the storage itself."""
    memory, disk = MemoryStorage(), DiskStorage(tmp_path)
    put(memory, "object", DATA)
    put(disk, "object", b"other")
    for target in (memory, disk):
        with pytest.raises(ObjectExists):
            copy_object("object", source=memory, target=target)
    assert (get(memory, "object"), get(disk, "object")) == (DATA, b"other")
    assert left_in(disk) == left_in(memory) == ["object"]


@pytest.mark.parametrize("call", ["open", "write", "stage", "commit"])
@pytest.mark.parametrize("fault", [None, KeyboardInterrupt()], ids=["fails", "interrupted"])
def test_whatever_fails_in_the_target_nothing_is_left(call: Any, fault: BaseException | None, tmp_path: Path) -> None:
    """Every call of it, the third write too; the object stays."""
    source = MemoryStorage()
    put(source, "object", DATA)
    for after in range(3 if call == "write" else 1):
        target = FailingStorage(DiskStorage(tmp_path), after=after, on=call, fault=fault)
        with pytest.raises(KeyboardInterrupt if fault else StorageFailed):
            copy_object("object", source=source, target=target)
        assert target.failed
        assert left_in(target) == []
    assert left_in(source) == ["object"]


@pytest.mark.parametrize("fault", [None, KeyboardInterrupt(), Corruption.SHORT], ids=["fails", "interrupted", "short"])
def test_whatever_fails_in_the_source_nothing_is_left(fault: Any, tmp_path: Path) -> None:
    """Also a source that loses bytes and does not know it: what is not whole does not get visible."""
    disk = DiskStorage(tmp_path / "source")
    put(disk, "object", DATA)
    source, target = FailingStorage(disk, after=0, on="read", fault=fault), DiskStorage(tmp_path / "target")
    wanted = KeyboardInterrupt if isinstance(fault, KeyboardInterrupt) else StorageFailed
    with pytest.raises(wanted) as raised:
        copy_object("object", source=source, target=target)
    if fault is Corruption.SHORT:
        assert str(raised.value) == f"the storage gave {len(DATA) - 2**19} of {len(DATA)} bytes"
    assert left_in(target) == []


def test_a_target_that_loses_bytes_is_found_out(tmp_path: Path) -> None:
    """Its commit says how much it has."""
    source, inner = DiskStorage(tmp_path), MemoryStorage()
    put(source, "object", DATA)
    target = FailingStorage(inner, after=0, on="write", fault=Corruption.SHORT)
    with pytest.raises(StorageFailed, match=r"the storage kept \d+ of \d+ bytes"):
        copy_object("object", source=source, target=target)
    assert left_in(inner) == []


def test_what_cannot_be_removed_is_noted_on_the_reason(tmp_path: Path) -> None:
    """A discard that fails does not take the place of what went wrong first."""
    source, inner = DiskStorage(tmp_path), MemoryStorage()
    put(source, "object", DATA)
    target = FailingStorage(FailingStorage(inner, after=0, on="discard"), after=0, on="write")
    with pytest.raises(StorageFailed, match="fail at write 1") as raised:
        copy_object("object", source=source, target=target)
    [note] = raised.value.__notes__
    assert note.startswith("and what was staged could not be removed: StorageFailed(")
    assert inner.unfinished == ["object"]


def test_a_reading_that_is_given_up_is_closed(tmp_path: Path) -> None:
    """While the traceback is still held: a server that copies in a loop does not run out of descriptors."""
    source = DiskStorage(tmp_path)
    put(source, "object", DATA)
    before = descriptors()
    with pytest.raises(StorageFailed) as raised:
        copy_object("object", source=source, target=FailingStorage(MemoryStorage(), after=1, on="write"))
    assert descriptors() <= before
    assert raised.traceback


def test_memory_does_not_grow_with_the_object(tmp_path: Path) -> None:
    """64 MiB go through four."""
    source, target = DiskStorage(tmp_path / "source"), FsspecStorage(f"file://{tmp_path}/target")
    sink = source.open("object", ObjectInfo())
    for _ in range(64):
        sink.write(bytes(2**20))
    sink.stage().commit()
    tracemalloc.start()
    try:
        copy_object("object", source=source, target=target)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20
    assert target.stat("object").size == 2**26


class Told(MemoryStorage):
    """Keeps what it is told of its objects, and copies nothing by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[ObjectInfo] = []

    def open(self, key: str, info: ObjectInfo) -> Any:
        self.told.append(info)
        return super().open(key, info)

    def copies_from(self, source: Storage) -> bool:
        return False
