"""What the parts of an upload take of memory, of disk and of places, and that all of it is given back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.small_disk import small_disk
from tests.storage.kinds import get
from tests.storage.processes import in_a_fork
from tests.storage.s3.places import Place

from uploadkit.errors import StorageFailed
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.s3 import HELD_IN_ALL, MEMORY, PART_SIZE, PARTS_IN_ALL, S3Storage
from uploadkit.storage.s3.parts import MAX_PARTS, MIN_PART_SIZE, Part

BLOCK = os.urandom(2**20)

MakeStorage: TypeAlias = Callable[..., S3Storage]


@pytest.fixture
def make(place: Place) -> Iterator[MakeStorage]:
    """Storages over one place, with the smallest parts; each is closed."""
    made: list[S3Storage] = []

    def storage(**words: Any) -> S3Storage:
        given: dict[str, Any] = {"part_size": MIN_PART_SIZE, "options": place.server.options()} | words
        made.append(S3Storage(place.url, **given))
        return made[-1]

    yield storage
    for each in made:
        each.close()


def room(storage: S3Storage) -> tuple[int, int, int]:
    """What is left of memory, what is spare included, of room to hold small objects, and of places for parts."""
    budget = storage._budget
    spare = len(budget.spare) * budget.part_size
    return budget.memory.left + spare, budget.held.left, budget.parts._value


def all_of(storage: S3Storage) -> tuple[int, int, int]:
    return (MEMORY, HELD_IN_ALL * storage._budget.part_size, PARTS_IN_ALL)


@pytest.mark.parametrize("end", ["commit", "discard the staged", "discard the sink"])
@pytest.mark.parametrize("mebibytes", [1, 12], ids=["held", "in parts"])
def test_what_an_object_took_is_given_back(make: MakeStorage, place: Place, mebibytes: int, end: str) -> None:
    """On every way out: memory, the room for small objects, and the places of parts under way."""
    storage = make()
    sink = storage.open("key", ObjectInfo())
    for _ in range(mebibytes):
        sink.write(BLOCK)
    if end == "discard the sink":
        sink.discard()
    else:
        staged = sink.stage()
        staged.commit() if end == "commit" else staged.discard()
    assert room(storage) == all_of(storage)
    assert (place.keys(), place.uploads()) == (["key"] if end == "commit" else [], [])


@pytest.mark.parametrize("mebibytes", [3, 12], ids=["held", "in parts"])
def test_where_there_is_no_memory_parts_fill_temporary_files(make: MakeStorage, tmp_path: Path, mebibytes: int) -> None:
    """The object is the same, nobody waits, and the files have no name and are gone."""
    storage = make(memory=2**21, spill_to=tmp_path)
    before = len(os.listdir("/dev/fd"))
    sink = storage.open("key", ObjectInfo())
    for _ in range(mebibytes):
        sink.write(BLOCK)
    assert storage._budget.memory.left >= 0
    assert os.listdir(tmp_path) == []
    sink.stage().commit()
    assert get(storage, "key") == BLOCK * mebibytes
    storage.close()
    assert len(os.listdir("/dev/fd")) <= before + 4  # the event loop's own
    assert storage._budget.memory.left == 2**21


def test_a_temporary_file_that_cannot_be_made_fails_the_upload(make: MakeStorage, tmp_path: Path, place: Place) -> None:
    """As a disk that is full does, and nothing is left."""
    storage = make(memory=0, spill_to=tmp_path / "missing")
    sink = storage.open("key", ObjectInfo())
    with pytest.raises(StorageFailed, match="could not hold a file: No such file or directory"):
        sink.write(BLOCK)
    sink.discard()
    assert (place.keys(), place.uploads(), storage._budget.memory.left) == ([], [], 0)


@pytest.mark.needs("tmpfs")
def test_a_full_disk_below_the_parts_fails_the_upload(make: MakeStorage, tmp_path: Path, place: Place) -> None:
    """Told by the write that finds it full."""
    with small_disk(tmp_path, "size=2m"):
        sink = make(memory=0, spill_to=tmp_path).open("key", ObjectInfo())
        with pytest.raises(StorageFailed, match="No space left on device"):
            sink.write(BLOCK * 4)
        sink.discard()
    assert (place.keys(), place.uploads()) == ([], [])


def test_many_small_objects_of_a_form_are_sent_before_their_commit(make: MakeStorage, place: Place) -> None:
    """What waits for its commit is bounded: the rest lies at S3 already, where nobody sees it."""
    storage = make()
    staged = []
    for number in range(8):
        sink = storage.open(f"key-{number}", ObjectInfo())
        for _ in range(4):
            sink.write(BLOCK)
        staged.append(sink.stage())
    assert MEMORY - storage._budget.memory.left <= HELD_IN_ALL * MIN_PART_SIZE
    assert place.keys() == []
    assert place.uploads() == ["key-5", "key-6", "key-7"]
    for each in staged:
        each.commit()
    assert (len(place.keys()), place.uploads()) == (8, [])
    assert get(storage, "key-7") == BLOCK * 4


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_has_all_the_places_that_its_parent_uses(make: MakeStorage, place: Place) -> None:
    """A fork in the middle of an upload: parts that are under way in the parent never end in the child."""
    storage = make()
    budget = storage._budget
    for _ in range(PARTS_IN_ALL):
        budget.parts.acquire()

    def upload() -> str:
        sink = storage.open("of the child", ObjectInfo())
        for _ in range(12):
            sink.write(BLOCK)
        sink.stage().commit()
        return "done"

    assert in_a_fork(upload) == "done"
    assert place.get("of the child") == BLOCK * 12
    assert place.uploads() == []


@pytest.mark.parametrize(
    ("max_size", "part_size"),
    [
        (None, PART_SIZE),
        (0, PART_SIZE),
        (PART_SIZE * MAX_PARTS, PART_SIZE),
        (PART_SIZE * MAX_PARTS + 1, PART_SIZE + 2**20),
        (5 * 2**40, 525 * 2**20),
    ],
)
def test_ten_thousand_parts_hold_the_most_that_is_allowed(
    make: MakeStorage, max_size: int | None, part_size: int
) -> None:
    """Parts grow, in whole MiB, with what an object may have."""
    budget = make(part_size=PART_SIZE)._budget
    assert budget.part_size_for(max_size) == part_size
    assert max_size is None or budget.part_size_for(max_size) * MAX_PARTS >= max_size


def test_more_parts_than_s3_takes_are_an_error(make: MakeStorage, place: Place) -> None:
    """Where nobody said how large the object gets: it says what to do."""
    sink = make().open("key", ObjectInfo())
    for _ in range(5):
        sink.write(BLOCK)
    assert sink._parts is not None
    sink._parts._begun = MAX_PARTS
    with pytest.raises(StorageFailed, match="more than 10000 parts; give its field a max_size"):
        sink.write(BLOCK * 5)
    sink.discard()
    assert (place.keys(), place.uploads()) == ([], [])


def test_a_part_knows_its_bytes_wherever_they_lie(make: MakeStorage) -> None:
    """The checksum that the server compares is the same in memory and on disk, and at the seam."""
    said = set()
    for memory in (0, 3, 100):
        part = Part(make(memory=memory)._budget)
        for piece in (b"ab", b"cd", b"", b"e"):
            part.write(memoryview(piece))
        arguments = part.arguments()
        said.add((arguments["Body"].read(), arguments["ContentLength"], arguments["ChecksumCRC32"]))
        part.close()
    assert said == {(b"abcde", 5, "hYfYZQ==")}


def test_a_part_has_the_memory_of_one_that_was_sent(make: MakeStorage) -> None:
    """With one part under way and one that fills there is never memory for a third, however many follow."""
    storage = make(parts_at_once=1)
    sink = storage.open("many-parts.bin", ObjectInfo())
    for _ in range(6 * storage._budget.part_size // len(BLOCK)):
        sink.write(BLOCK)
    sink.stage().commit()
    assert 1 <= len(storage._budget.spare) <= 2


def test_a_part_that_has_begun_has_taken_all_its_memory(make: MakeStorage) -> None:
    """Of what all parts may take: what is there in one piece is counted as one."""
    budget = make(memory=MIN_PART_SIZE + 1)._budget
    part = Part(budget, first=False)
    part.write(memoryview(b"a"))
    assert budget.memory.left == 1
    part.write(memoryview(b"b"))
    assert budget.memory.left == 1
    part.close()
    part.close()
    assert budget.memory.left == MIN_PART_SIZE + 1
