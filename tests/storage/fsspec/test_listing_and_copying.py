"""What filesystems of fsspec tell of their files, and copies that they make by themselves."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.implementations.sftp import SFTPFileSystem
from tests.storage.fsspec.conftest import Place
from tests.storage.kinds import files_below, get, put, staged

from uploadkit.errors import KeyRefused, ObjectExists, ObjectMissing, StorageFailed
from uploadkit.storage.fsspec import FsspecStorage
from uploadkit.storage.memory import MemoryStorage

COPYING = pytest.mark.parametrize("kind", ["memory", "memory, given", "local", "a folder of another"], indirect=True)


def listed(storage: FsspecStorage, prefix: str = "") -> list[str]:
    return sorted(each.key for each in storage.list(prefix))


def local(**methods: Any) -> LocalFileSystem:
    """Local files with some methods that are others."""
    fs = LocalFileSystem(skip_instance_cache=True)
    for name, method in methods.items():
        setattr(fs, name, method)
    return fs


# Listing


def test_a_listing_makes_no_root(place: Place) -> None:
    """Where nothing was stored it is empty, also below a folder."""
    storage = place.storage()
    assert listed(storage) == listed(storage, "a/b") == []
    assert place.files() == []


def test_what_is_no_object_is_not_listed(place: Place) -> None:
    """What is staged, and what others have put there under names that are no keys. A file is no folder."""
    storage = place.storage()
    put(storage, "folder/object")
    waiting = staged(storage, "waiting")
    for name in ("back\\slash", ".Staging", "e\u0301"):
        place.seen.pipe_file(f"{place.path}/{name}", b"x")
    assert listed(storage) == listed(storage, "folder/") == ["folder/object"]
    assert listed(storage, "folder/object/") == listed(storage, "folder/object/x") == []
    waiting.discard()


@pytest.mark.parametrize("kind", ["local", pytest.param("sftp", marks=pytest.mark.needs("sshd"))], indirect=True)
def test_links_are_not_listed(place: Place, tmp_path: Path) -> None:
    """A link to the folder above would have no end."""
    storage = place.storage()
    put(storage, "folder/object")
    root = Path(place.path)
    (root / "folder/up").symlink_to(root)
    (root / "link").symlink_to(root / "folder/object")
    (root / "nowhere").symlink_to(root / "missing")
    assert listed(storage) == ["folder/object"]
    assert get(storage, "link") == b"data", "followed it is, as the class says"


def test_stat_and_listing_say_when_an_object_was_written(place: Place) -> None:
    """In UTC, and both the same."""
    storage = place.storage()
    before = datetime.now(UTC) - timedelta(seconds=2)  # SFTP counts in seconds
    put(storage, "object")
    [stored] = storage.list()
    assert stored.modified is not None
    assert stored.modified == storage.stat("object").modified
    assert before <= stored.modified <= datetime.now(UTC) + timedelta(seconds=2)


@pytest.mark.parametrize(
    ("told", "modified"),
    [
        ({"mtime": 1_500_000_000.5}, datetime(2017, 7, 14, 2, 40, 0, 500_000, tzinfo=UTC)),
        (
            {"LastModified": datetime(2020, 1, 2, 3, tzinfo=timezone(timedelta(hours=1)))},
            datetime(2020, 1, 2, 2, tzinfo=UTC),
        ),
        ({"last_modified": datetime(2020, 1, 2)}, datetime(2020, 1, 2, tzinfo=UTC)),
        ({"updated": "2020-01-02T03:04:05.678Z"}, datetime(2020, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)),
        ({"updated": "yesterday"}, None),
        ({"mtime": None, "created": 1_500_000_000}, datetime(2017, 7, 14, 2, 40, tzinfo=UTC)),
        ({"created": (2020, 1, 2)}, None),
        ({}, None),
    ],
)
def test_each_way_to_say_a_time_is_read(told: dict[str, Any], modified: datetime | None, tmp_path: Path) -> None:
    """Seconds, texts, datetimes with and without a zone: filesystems differ, and some say nothing."""
    fs = local(info=lambda path: {"name": path, "size": 4, "type": "file", **told})
    assert FsspecStorage(fs, str(tmp_path)).stat("object").modified == modified


def test_a_folder_that_changes_while_it_is_listed_is_listed_again(tmp_path: Path) -> None:
    """Older versions of fsspec fail where a file of the folder goes meanwhile."""
    faults: list[FileNotFoundError] = []
    fs = LocalFileSystem()

    def ls(path: str, detail: bool = False) -> Any:
        if faults:
            raise faults.pop()
        return fs.ls(path, detail=detail)

    storage = FsspecStorage(local(ls=ls), str(tmp_path))
    put(storage, "object")
    faults += [FileNotFoundError("gone")] * 2
    assert listed(storage) == ["object"]
    faults += [FileNotFoundError("gone")] * 3
    with pytest.raises(StorageFailed, match="could not list a folder"):
        listed(storage)


def test_a_lost_connection_is_no_empty_listing(tmp_path: Path) -> None:
    """Whoever believed it would think that all objects are gone."""

    def lost(path: str) -> Any:
        raise ConnectionResetError

    with pytest.raises(StorageFailed, match="could not list a folder") as raised:
        listed(FsspecStorage(local(info=lost), str(tmp_path)))
    assert raised.value.retryable


# Copying


def test_a_source_is_the_same_filesystem_or_none(tmp_path: Path) -> None:
    """By its protocol, its host and its options, or as the object that was given."""
    files, memory = LocalFileSystem(), MemoryFileSystem()
    here = FsspecStorage(f"file://{tmp_path}/a")
    assert here.copies_from(FsspecStorage(f"file://{tmp_path}/b"))
    assert not here.copies_from(FsspecStorage(f"file://{tmp_path}/b", options={"auto_mkdir": True}))
    assert not here.copies_from(FsspecStorage("memory://b"))
    assert not here.copies_from(MemoryStorage())
    assert FsspecStorage(files, str(tmp_path)).copies_from(FsspecStorage(files, str(tmp_path / "b")))
    assert not FsspecStorage(memory, "/a").copies_from(FsspecStorage(files, str(tmp_path)))
    chained = [FsspecStorage(f"dir::file://{tmp_path}", options={"dir": {"path": str(tmp_path)}}) for _ in range(2)]
    assert chained[0].copies_from(chained[0])
    assert not chained[0].copies_from(chained[1]), "what is inside of what nobody has compared"


def test_sftp_copies_nothing_and_a_folder_of_it_does_not_either() -> None:
    """SFTP has no call for it. What is wrapped says it, not the wrapper."""
    storage = FsspecStorage("sftp://host/root")
    assert not storage.copies_from(storage)
    with pytest.raises(TypeError, match="see copies_from"):
        storage.copy("key", "copy")
    inner = SFTPFileSystem.__new__(SFTPFileSystem)  # without a connection
    folder = FsspecStorage(DirFileSystem("folder", inner), "root")
    assert not folder.copies_from(folder)


@COPYING
def test_a_copy_comes_from_another_root(place: Place) -> None:
    """Of the same filesystem; the error of a missing object names the source."""
    storage = place.storage()
    put(storage, "object")
    if "root" in place.arguments:
        other = FsspecStorage(place.arguments["url_or_filesystem"], f"{place.arguments['root']}/below", name="other")
    else:
        other = FsspecStorage(f"{place.arguments['url_or_filesystem']}/below", name="other")
    other.copy("object", "a/copy", source=storage)
    assert get(other, "a/copy") == b"data"
    assert place.files() == ["below/a/copy", "object"]
    with pytest.raises(ObjectMissing) as raised:
        storage.copy("missing", "copy", source=other)
    assert raised.value.storage == "other"


@pytest.mark.parametrize("kind", ["local"], indirect=True)
def test_a_copy_has_its_way_cleared_or_blocked_as_a_commit(place: Place) -> None:
    """Staging that somebody has removed is made again; a file in the way of a folder is refused."""
    storage = place.storage()
    put(storage, "object")
    (Path(place.path) / ".staging").rmdir()
    storage.copy("object", "copy")
    with pytest.raises(KeyRefused):
        storage.copy("object", "copy/below")
    with pytest.raises(ObjectExists):
        storage.copy("object", "copy")
    assert place.files() == ["copy", "object"]


def test_half_a_copy_is_none(tmp_path: Path) -> None:
    """A filesystem that loses bytes and does not know it, one that is full, and Ctrl-C: nothing is left of the copy."""
    root = tmp_path / "root"

    def half(source: str, target: str) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:2])

    def full(source: str, target: str) -> None:
        half(source, target)
        raise OSError(errno.ENOSPC, f"no space for {target}")

    def interrupted(source: str, target: str) -> None:
        half(source, target)
        raise KeyboardInterrupt

    for cp_file, error, text in (
        (half, StorageFailed, "of 4 bytes 2 are there"),
        (full, StorageFailed, "could not copy a file: No space left on device"),
        (interrupted, KeyboardInterrupt, None),
    ):
        storage = FsspecStorage(local(cp_file=cp_file), str(root))
        if not root.exists():
            put(storage, "object")
        with pytest.raises(error, match=text):
            storage.copy("object", "copy")
        assert files_below(root) == {"object"}


def test_an_object_that_goes_while_it_is_copied_is_missing(tmp_path: Path) -> None:
    """Between the look and the copy."""

    def gone(source: str, target: str) -> None:
        os.unlink(source)
        raise FileNotFoundError(source)

    storage = FsspecStorage(local(cp_file=gone), str(tmp_path))
    put(storage, "object")
    with pytest.raises(ObjectMissing) as raised:
        storage.copy("object", "copy")
    assert raised.value.key == "object"
    assert files_below(tmp_path) == set()
