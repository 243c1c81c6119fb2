"""The memory storage as a fake for tests: it shows what it holds, and wrong use is loud."""

from __future__ import annotations

import pytest
from tests.storage.kinds import put, staged

from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.memory import MemoryStorage


def test_it_shows_its_objects_and_what_was_left_open() -> None:
    """A test can assert what is left behind: visible objects by key, and the keys that nobody finished."""
    storage = MemoryStorage()
    put(storage, "visible", b"1")
    storage.open("begun", ObjectInfo())
    staged(storage, "staged")
    assert storage.objects == {"visible": b"1"}
    assert storage.unfinished == ["begun", "staged"]


def test_a_sink_is_not_written_after_its_end() -> None:
    """To write to a sink or end it after it was staged or discarded is a mistake of the programmer."""
    sink = MemoryStorage().open("key", ObjectInfo())
    sink.stage()
    for call in (lambda: sink.write(b"late"), sink.stage):
        with pytest.raises(RuntimeError, match="the sink was staged or discarded"):
            call()


def test_a_staged_object_is_committed_once() -> None:
    """To commit again, or after a discard, is a mistake of the programmer."""
    storage = MemoryStorage()
    committed, discarded = staged(storage, "one"), staged(storage, "two")
    committed.commit()
    discarded.discard()
    for object in (committed, discarded):
        with pytest.raises(RuntimeError, match="the staged object was committed or discarded"):
            object.commit()
    assert storage.objects == {"one": b"data"}


@pytest.mark.parametrize(("start", "end"), [(-1, None), (0, -1)])
def test_a_range_has_no_negative_ends(start: int, end: int | None) -> None:
    """A range that counts from the end is wrong use, and not a slice."""
    storage = MemoryStorage()
    with pytest.raises(ValueError, match="negative"):
        storage.read(put(storage, "key"), start, end)
