"""Listings: the same of every storage, and on disk nothing that is no object, wherever it stands."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.storage.kinds import descriptors, put, staged

from uploadkit.errors import StorageFailed
from uploadkit.storage.contract import ListsObjects, Storage, StoredObject
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.fsspec import FsspecStorage
from uploadkit.storage.keys import is_key
from uploadkit.storage.memory import MemoryStorage

NAMES = st.sampled_from(["a", "b", "ab", "a.b", "a b", "A", "é", "é.", "日本", "-", "..a", "*", "[a]", "%61"])
KEYS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def listed(storage: Storage, prefix: str = "") -> list[str]:
    """The keys of a listing, in order."""
    assert isinstance(storage, ListsObjects)
    return sorted(each.key for each in storage.list(prefix))


@pytest.fixture
def disk(tmp_path: Path) -> DiskStorage:
    """A storage whose root is not made yet."""
    return DiskStorage(tmp_path / "root")


@pytest.fixture(autouse=True)
def _no_descriptor_is_lost() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() <= before


# Prefixes


@given(keys=st.sets(KEYS, max_size=8), prefix=st.one_of(KEYS, st.text(max_size=4)), cut=st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_a_prefix_lists_the_keys_that_begin_with_it(
    keys: set[str], prefix: str, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the keys and wherever the prefix ends: memory, disk and filesystems of fsspec agree."""
    root = tmp_path_factory.getbasetemp() / token_hex(8)
    memory = f"memory://{token_hex(8)}"
    local = f"file://{root}/local"
    storages: list[Storage] = [MemoryStorage(), DiskStorage(root / "disk"), FsspecStorage(local), FsspecStorage(memory)]
    taken: list[str] = []
    for key in sorted(keys):
        if not any(
            key.startswith(f"{other}/") or other.startswith(f"{key}/") for other in taken
        ):  # no file is a folder
            taken.append(key)
            for storage in storages:
                put(storage, key)
    for beginning in (prefix, *(key[:cut] for key in taken)):
        expected = sorted(key for key in taken if key.startswith(beginning))
        assert [listed(storage, beginning) for storage in storages] == [expected] * len(storages)


@given(text=st.text(max_size=8))
@settings(max_examples=60, deadline=None)
def test_what_is_a_key_and_what_is_refused_are_the_same_question(text: str) -> None:
    """A listing leaves out exactly the names that nobody could read, stat or delete."""
    storage = MemoryStorage()
    try:
        put(storage, text)
    except Exception:
        assert not is_key(text)
    else:
        assert is_key(text)


# What stands in a folder of the disk


def test_a_listing_touches_nothing(disk: DiskStorage, tmp_path: Path) -> None:
    """Of a root that is not there it is empty, and none is made."""
    assert listed(disk) == []
    assert listed(disk, "a/b") == []
    assert list(tmp_path.iterdir()) == []


def test_links_are_not_followed_and_not_listed(disk: DiskStorage, tmp_path: Path) -> None:
    """To a file, to a folder outside, to the root itself, and in the prefix."""
    put(disk, "folder/object")
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (root / "file").symlink_to(outside / "secret")
    (root / "folder/elsewhere").symlink_to(outside)
    (root / "folder/up").symlink_to(root)
    (root / "folder/nowhere").symlink_to(root / "missing")
    assert listed(disk) == ["folder/object"]
    for prefix in ("folder/elsewhere/", "folder/elsewhere/s", "folder/up/folder/", "folder/nowhere/", "file", "file/"):
        assert listed(disk, prefix) == []


def test_what_is_no_object_is_not_listed(disk: DiskStorage, tmp_path: Path) -> None:
    """Names that are no keys, whoever has put them there, pipes, empty folders, and all that is staged."""
    put(disk, "object")
    waiting = staged(disk, "waiting")
    root = os.fsencode(tmp_path / "root")
    for name in (b"\xff\xfe", b"back\\slash", b"new\nline", "re\u0301sume\u0301".encode(), b".Staging/x", b"..."):
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
        Path(os.fsdecode(os.path.join(root, name))).write_bytes(b"x")
    os.makedirs(os.path.join(root, b"wrong\x80folder"))
    Path(os.fsdecode(os.path.join(root, b"wrong\x80folder", b"object"))).write_bytes(b"x")
    os.mkfifo(os.path.join(root, b"pipe"))
    os.mkdir(os.path.join(root, b"empty"))
    assert listed(disk) == ["...", "object"]
    waiting.discard()


def test_a_folder_that_cannot_be_read_is_said(disk: DiskStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that leaves objects out without a word would be believed."""
    put(disk, "folder/object")
    listdir = os.listdir

    def failing(folder: int) -> list[str]:
        if "object" in listdir(folder):
            raise OSError(errno.EIO, "EIO")
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", failing)
    with pytest.raises(StorageFailed, match="could not list a folder: Input/output error"):
        listed(disk)


def test_a_folder_that_goes_meanwhile_is_left_out(disk: DiskStorage, tmp_path: Path) -> None:
    """Its objects were deleted, or a link has taken its place."""
    for key in ("a/object", "b/object", "c/object"):
        put(disk, key)
    listing = disk.list()
    first = next(listing).key
    gone, linked = sorted({"a", "b", "c"} - {first[0]})
    for folder in (gone, linked):
        disk.delete(f"{folder}/object")
        (tmp_path / "root" / folder).rmdir()
    (tmp_path / "root" / linked).symlink_to(tmp_path / "root" / first[0])
    assert [each.key for each in listing] == []


def test_a_listing_that_is_given_up_holds_no_folder_open(disk: DiskStorage) -> None:
    """Whoever takes the first object only leaves nothing open: the fixture counts."""
    for number in range(3):
        put(disk, f"folder/{number}")
    listing = disk.list()
    next(listing)
    del listing


def test_an_object_is_as_old_as_its_bytes(disk: DiskStorage, tmp_path: Path) -> None:
    """In UTC, with `stat` and a listing of one mind."""
    put(disk, "old")
    put(disk, "new")
    written = datetime(2020, 2, 29, 12, 30, tzinfo=UTC)
    os.utime(tmp_path / "root/old", (0, written.timestamp()))
    objects = {each.key: each for each in disk.list()}
    assert objects["old"].modified == disk.stat("old").modified == written
    modified = objects["new"].modified
    assert modified is not None
    assert abs(datetime.now(UTC) - modified) < timedelta(minutes=1)
    assert objects["old"] == StoredObject(key="old", size=4), "when is no part of what an object is"
