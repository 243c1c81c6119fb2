"""What a disk storage does to its root and to nothing else: modes, links, folders, staging."""

from __future__ import annotations

import gc
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from tests.storage.kinds import DISKS, descriptors, files_below, get, put, staged

from uploadkit.errors import KeyRefused, ObjectExists, ObjectMissing, StorageFailed
from uploadkit.storage.contract import ObjectInfo, ReadableStaged
from uploadkit.storage.disk import DiskStorage
from uploadkit.testing import leftovers

INFO = ObjectInfo()


@pytest.fixture(params=DISKS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> DiskStorage:
    """A storage of each staging, whose root is not made yet."""
    return DISKS[request.param](tmp_path / "root")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of `disk`."""
    return tmp_path / "root"


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A umask that takes no bit away."""
    before = os.umask(0)
    yield
    assert os.umask(before) == 0, "the umask was changed"


@pytest.fixture(autouse=True)
def _no_descriptor_is_lost() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() <= before


# Before the first object


def test_nothing_is_touched_before_the_first_open(disk: DiskStorage, root: Path) -> None:
    """A storage can be made, asked and swept where there is no root, and none is made."""
    for ask in (disk.stat, disk.read):
        with pytest.raises(ObjectMissing):
            ask("key")
    disk.delete("key")
    assert disk.sweep() == 0
    assert not root.exists()


def test_the_first_open_makes_the_root_with_its_parents(tmp_path: Path) -> None:
    """The root may lie deeper than what is there."""
    disk = DiskStorage(tmp_path / "a" / "b", durable=True)
    put(disk, "key")
    assert files_below(tmp_path) == {"a/b/key"}


def test_a_root_that_was_cleared_away_is_made_again(disk: DiskStorage, root: Path) -> None:
    """A test suite, or an administrator, may remove the folder under a process that lives on."""
    put(disk, "one")
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    root.rmdir()
    assert get(disk, put(disk, "two")) == b"data"


def test_a_relative_root_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root is relative to where the process was when the storage was made."""
    monkeypatch.chdir(tmp_path)
    disk = DiskStorage("root")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    put(disk, "key")
    assert files_below(tmp_path) == {"root/key"}
    assert disk.path("key") == tmp_path / "root" / "key"


def test_a_root_may_be_a_link(tmp_path: Path) -> None:
    """Where the root is is the configuration's word: only below it no link is followed."""
    (tmp_path / "disk2").mkdir()
    (tmp_path / "root").symlink_to("disk2")
    disk = DiskStorage(tmp_path / "root")
    assert get(disk, put(disk, "a/key")) == b"data"
    assert (tmp_path / "disk2" / "a" / "key").is_file()


def test_a_root_that_is_a_file_is_a_failure_without_a_path_in_its_text(tmp_path: Path) -> None:
    """The text of an error may reach the sender: the system's words are in it, the server's paths are not."""
    disk = DiskStorage(tmp_path / "root")
    (tmp_path / "root").write_bytes(b"")
    with pytest.raises(StorageFailed) as raised:
        disk.open("key", INFO)
    assert str(raised.value) == "the storage could not open a file: File exists"
    assert isinstance(raised.value.__cause__, FileExistsError)
    assert (raised.value.storage, raised.value.key, raised.value.retryable) == ("disk", "key", False)


@pytest.mark.parametrize("root", ["file", "file/below", "link"])
def test_a_root_that_is_a_file_already_is_refused_when_the_storage_is_made(tmp_path: Path, root: str) -> None:
    """And not at each upload."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(ValueError, match=f"needs a folder, and {tmp_path}/{root.partition('/')[0]} is a file"):
        DiskStorage(tmp_path / root)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_threads_that_open_at_once_prepare_once(tmp_path: Path) -> None:
    """However many requests are the first, the root is made and swept by one of them, and the others wait for it."""
    prepared: list[int] = []

    class Counting(DiskStorage):
        def _links_nameless(self) -> bool:
            prepared.append(threading.get_ident())
            return super()._links_nameless()

    disk = Counting(tmp_path / "root")
    gate = threading.Barrier(8)

    def first(number: int) -> str:
        gate.wait()
        return put(disk, str(number))

    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(first, range(8)))
    assert len(prepared) == 1
    assert {key for key in keys if get(disk, key) == b"data"} == set(map(str, range(8)))


def test_windows_is_told_apart_when_the_storage_is_made(tmp_path: Path) -> None:
    """The module can be imported where flock and openat are missing; the storage says why it cannot be used."""
    script = """
import os, sys
sys.platform = "win32"
sys.modules["fcntl"] = None
for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY", "O_TMPFILE"):
    if hasattr(os, name):
        delattr(os, name)
from uploadkit.storage.disk import DiskStorage
try:
    DiskStorage("root")
except RuntimeError as error:
    print(error)
"""
    source = Path(sys.modules[DiskStorage.__module__].__file__ or "").parents[2]
    environment = os.environ | {"PYTHONPATH": str(source)}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert ran.stdout == "DiskStorage needs Linux or macOS: Windows has neither flock nor openat\n", ran.stderr


# Modes


@pytest.mark.usefixtures("open_umask")
def test_a_file_is_its_owners_alone_from_the_first_byte(disk: DiskStorage, root: Path) -> None:
    """Mode 0600 while it is staged and when it is an object, under any umask; the staging folder has 0700."""
    object = cast(ReadableStaged, staged(disk, "folder/key"))
    with object.open() as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    object.commit()
    modes = {str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    assert modes == {"folder": 0o777, "folder/key": 0o600, ".staging": 0o700}


def test_an_object_has_one_name(disk: DiskStorage) -> None:
    """After the commit no other name of the file is left, in staging or elsewhere."""
    put(disk, "key")
    assert disk.path("key").stat().st_nlink == 1
    assert leftovers(disk) == []


@pytest.mark.needs("linux")
def test_what_is_staged_has_no_visible_name(disk: DiskStorage, root: Path) -> None:
    """Until the commit the root holds nothing beside its staging folder."""
    sink = disk.open("folder/key", INFO)
    sink.write(b"data")
    object = sink.stage()
    assert [path.name for path in root.iterdir()] == [".staging"]
    assert len(leftovers(disk)) == (0 if type(disk) is DiskStorage else 1)
    object.discard()
    assert files_below(root) == set()


# Links in the way


@pytest.mark.parametrize("key", ["link/key", "folder/link/key", "folder/link/deeper/key", "dangling/key"])
def test_a_link_in_the_way_is_refused(disk: DiskStorage, root: Path, tmp_path: Path, key: str) -> None:
    """No call follows a link below the root, wherever it leads."""
    outside = tmp_path / "outside"
    (outside / "deeper").mkdir(parents=True)
    for victim in (outside / "key", outside / "deeper" / "key"):
        victim.write_bytes(b"untouched")
    put(disk, "folder/object")
    (root / "link").symlink_to(outside)
    (root / "folder" / "link").symlink_to("../../outside")
    (root / "dangling").symlink_to("nowhere")
    for call in calls(disk, key):
        with pytest.raises(KeyRefused, match="in its way"):
            call()
    assert files_below(outside) == {"key", "deeper/key"}
    assert not (root / "nowhere").exists()


def test_a_link_under_the_key_itself_is_refused(disk: DiskStorage, root: Path, tmp_path: Path) -> None:
    """A link is no object, even one that leads to an object of the same root."""
    (tmp_path / "victim").write_bytes(b"untouched")
    put(disk, "object")
    for name, target in {"out": str(tmp_path / "victim"), "in": "object", "dangling": "nowhere"}.items():
        (root / name).symlink_to(target)
        for call in calls(disk, name):
            with pytest.raises(KeyRefused):
                call()
        assert (root / name).is_symlink()
    assert (tmp_path / "victim").read_bytes() == b"untouched"


@pytest.mark.parametrize("key", ["folder/key", "key"])
def test_a_link_that_is_put_in_the_way_of_a_commit_is_not_followed(
    disk: DiskStorage, root: Path, tmp_path: Path, key: str
) -> None:
    """Whoever can write to the root cannot make a commit leave it, and the object can still be discarded."""
    (tmp_path / "outside").mkdir()
    object = staged(disk, key)
    (root / key.split("/")[0]).symlink_to(tmp_path / "outside")
    with pytest.raises((KeyRefused, ObjectExists)):
        object.commit()
    object.discard()
    assert files_below(tmp_path / "outside") == set()
    assert leftovers(disk) == []


def test_a_staging_folder_that_is_a_link_is_not_used(disk: DiskStorage, root: Path, tmp_path: Path) -> None:
    """Nothing is swept and nothing staged where a link stands in place of the staging folder."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "victim").write_bytes(b"untouched")
    root.mkdir()
    (root / ".staging").symlink_to(tmp_path / "outside")
    for call in (lambda: disk.open("key", INFO), disk.sweep):
        with pytest.raises(StorageFailed):
            call()
    assert files_below(tmp_path / "outside") == {"victim"}


# Folders, and what is no regular file


def test_a_folder_is_no_object(disk: DiskStorage, root: Path) -> None:
    """The key of a folder cannot be written; to read it finds nothing, and to delete it does nothing."""
    put(disk, "folder/key")
    for ask in (disk.stat, disk.read):
        with pytest.raises(ObjectMissing):
            ask("folder")
    disk.delete("folder")
    with pytest.raises(KeyRefused):
        disk.open("folder", INFO)
    assert files_below(root) == {"folder/key"}


def test_an_object_is_no_folder(disk: DiskStorage, root: Path) -> None:
    """A key below an object cannot be written; to read it finds nothing, and to delete it does nothing."""
    late = staged(disk, "object/below/key")
    put(disk, "object")
    for ask in (disk.stat, disk.read):
        with pytest.raises(ObjectMissing):
            ask("object/key")
    disk.delete("object/key")
    with pytest.raises(KeyRefused):
        disk.open("object/key", INFO)
    with pytest.raises(KeyRefused):
        late.commit()
    late.discard()
    assert files_below(root) == {"object"}


def test_a_pipe_is_no_object_and_nobody_waits_for_it(disk: DiskStorage, root: Path) -> None:
    """What is no regular file is not there, and a reader does not hang on it; in staging it is left alone."""
    put(disk, "object")
    os.mkfifo(root / "pipe")
    (root / ".staging").mkdir(exist_ok=True)
    os.mkfifo(root / ".staging" / "pipe")
    for ask in (disk.stat, disk.read):
        with pytest.raises(ObjectMissing):
            ask("pipe")
    with pytest.raises(KeyRefused):
        disk.open("pipe", INFO)
    disk.delete("pipe")
    assert disk.sweep() == 0
    assert files_below(root) == {"object", "pipe", ".staging/pipe"}


def test_a_commit_does_not_replace_what_came_in_since_open(disk: DiskStorage, root: Path) -> None:
    """A file that another program put under the key is not replaced, nor is a folder."""
    objects = [staged(disk, "file"), staged(disk, "folder")]
    (root / "file").touch()
    (root / "folder").mkdir()
    for object in objects:
        with pytest.raises(ObjectExists):
            object.commit()
        object.discard()
    assert leftovers(disk) == []
    assert (root / "file").read_bytes() == b""


# Reading


def test_a_reader_that_is_dropped_closes_its_file(disk: DiskStorage) -> None:
    """Blocks that nobody takes, some or none, hold no descriptor."""
    put(disk, "key", b"x" * (2**20 + 1))
    gc.collect()  # what other tests have left
    before = descriptors()
    not_begun, begun = disk.read("key"), disk.read("key")
    assert len(next(begun)) == 2**20
    assert descriptors() == before + 2
    del not_begun, begun
    assert descriptors() <= before


def test_a_reader_reads_on_after_the_object_is_deleted(disk: DiskStorage) -> None:
    """A download that has begun is not cut by a delete."""
    put(disk, "key", b"x" * (2**20 + 1))
    blocks = disk.read("key")
    disk.delete("key")
    assert sum(map(len, blocks)) == 2**20 + 1


@pytest.mark.parametrize(("start", "end"), [(-1, None), (0, -1)])
def test_a_range_has_no_negative_ends(disk: DiskStorage, start: int, end: int | None) -> None:
    """A range that counts from the end is wrong use."""
    with pytest.raises(ValueError, match="negative"):
        disk.read("key", start, end)


# Wrong use


def test_a_sink_is_not_written_after_its_end(disk: DiskStorage) -> None:
    """To write to a sink or end it after it was staged or discarded is a mistake of the programmer."""
    ended, discarded = disk.open("one", INFO), disk.open("two", INFO)
    ended.stage().discard()
    discarded.discard()
    for sink in (ended, discarded):
        late: list[Callable[[], object]] = [partial(sink.write, b"late"), sink.stage]
        for call in late:
            with pytest.raises(RuntimeError, match="the sink was staged or discarded"):
                call()


def test_a_staged_object_is_committed_once(disk: DiskStorage) -> None:
    """To commit or open it again, or after a discard, is a mistake of the programmer."""
    committed, discarded = staged(disk, "one"), staged(disk, "two")
    committed.commit()
    discarded.discard()
    for object in (committed, discarded):
        with pytest.raises(RuntimeError, match="the staged object was committed or discarded"):
            object.commit()


def calls(disk: DiskStorage, key: str) -> list[Callable[[], object]]:
    """Every call of a storage that takes a key and looks at the disk."""
    return [
        lambda: disk.open(key, INFO),
        lambda: disk.stat(key),
        lambda: disk.read(key),
        lambda: disk.delete(key),
    ]
