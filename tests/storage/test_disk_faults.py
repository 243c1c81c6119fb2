"""A disk storage whose system calls fail, one after the other, and disks and limits that are really full.

Whatever fails, an object is visible whole or not at all, and neither a descriptor nor a file is left behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.small_disk import small_disk
from tests.storage.kinds import DISKS, descriptors, files_below, get, put, staged
from tests.storage.processes import Child

from uploadkit.errors import ObjectMissing, StorageFailed
from uploadkit.storage.contract import ObjectInfo, Sink, Staged
from uploadkit.storage.disk import DiskStorage
from uploadkit.testing import leftovers

INFO = ObjectInfo()

# What the storage calls. A descriptor that `open` or `dup` has made is lost if the interpreter is interrupted before
# it can be kept: no program in Python can prevent that, so only calls that make none fail after they were done.
MAKE_DESCRIPTORS = ("open", "dup")
OTHERS = ("write", "link", "unlink", "mkdir", "rmdir", "stat", "fstat", "fsync", "listdir", "flock")


@pytest.fixture(params=[(disk, durable) for disk in DISKS for durable in (False, True)], ids=str)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> DiskStorage:
    """A storage of each staging, durable or not."""
    kind, durable = request.param
    return DISKS[kind](tmp_path / "root", durable=durable)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of `disk`."""
    return tmp_path / "root"


class Fault:
    """Counts system calls and raises at one of them, before it is made or right after it."""

    def __init__(self, at: int, error: BaseException, *, after: bool) -> None:
        self.raised_at: str | None = None
        self._countdown = at
        self._error = error
        self._after = after

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def faulty(*args: Any, **options: Any) -> Any:
            self._countdown -= 1
            if self._countdown != 0:
                return call(*args, **options)
            self.raised_at = name
            if self._after:
                call(*args, **options)
            raise self._error

        return faulty

    @contextmanager
    def armed(self) -> Iterator[None]:
        names = OTHERS if self._after else (*MAKE_DESCRIPTORS, *OTHERS)
        with pytest.MonkeyPatch.context() as patch:
            for name in names:
                owner = fcntl if name == "flock" else os
                patch.setattr(owner, name, self.around(name, getattr(owner, name)))
            yield


def upload(disk: DiskStorage, fault: Fault) -> BaseException | None:
    """One object, in folders that are not there yet, and discarded if anything fails: what a driver does."""
    things: list[Sink | Staged] = []
    try:
        with fault.armed():
            things.append(sink := disk.open("a/b/key", INFO))
            sink.write(b"data")
            things.append(object := sink.stage())
            object.commit()
    except (StorageFailed, KeyboardInterrupt) as error:
        for thing in things:
            thing.discard()
        return error
    return None


@pytest.mark.parametrize(
    ("error", "when"),
    [
        pytest.param(OSError(errno.EIO, "EIO"), "before", id="EIO"),
        pytest.param(OSError(errno.EMFILE, "EMFILE"), "before", id="EMFILE"),
        pytest.param(KeyboardInterrupt(), "before", id="interrupted before a call"),
        pytest.param(KeyboardInterrupt(), "after", id="interrupted after a call"),
    ],
)
def test_whichever_call_fails_nothing_is_left_behind(
    disk: DiskStorage, root: Path, error: BaseException, when: str
) -> None:
    """Every system call of an upload fails once: the object is whole or missing, and no file or descriptor stays.

    Folders that were made for the object go with it.
    """
    before = descriptors()
    failures = 0
    for at in range(1, 1000):
        fault = Fault(at, error, after=when == "after")
        failure = upload(disk, fault)
        if fault.raised_at is None:
            break
        assert descriptors() <= before, f"{fault.raised_at}, call {at}"
        if failure is None:  # a probe whose failure decides something, or a sweep that lost a race
            assert get(disk, "a/b/key") == b"data"
            disk.delete("a/b/key")
        else:
            failures += 1
            assert isinstance(error, KeyboardInterrupt) or failure.__cause__ is error
            if fault.raised_at == "unlink":  # what a clean-up could not remove is the next sweep's
                disk.sweep()
            assert files_below(root) == set(), f"{fault.raised_at}, call {at}"
            if when == "before":  # else a folder may have been made without a word of it
                assert not (root / "a").exists(), f"{fault.raised_at}, call {at}"
        for folder in ("a/b", "a"):
            with suppress(FileNotFoundError):
                (root / folder).rmdir()
    assert fault.raised_at is None
    assert failures >= 4
    assert get(disk, "a/b/key") == b"data"


def test_a_folder_that_a_failed_commit_has_made_is_removed(disk: DiskStorage, root: Path) -> None:
    """Folders that were there stay; the new ones go."""
    put(disk, "kept/object")
    object = staged(disk, "kept/new/newer/key")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", failing(errno.ENOSPC))
        with pytest.raises(StorageFailed, match="could not publish a file: No space left on device"):
            object.commit()
    object.discard()
    assert [path.name for path in (root / "kept").iterdir()] == ["object"]


def test_a_discard_that_fails_says_so_and_leaves_its_file_to_the_sweep(tmp_path: Path) -> None:
    """A staged file that cannot be removed is no longer locked: the next sweep takes it."""
    disk = DISKS["named"](tmp_path)
    sink = disk.open("key", INFO)
    before = descriptors()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "unlink", failing(errno.EIO))
        with pytest.raises(StorageFailed, match="could not discard a file"):
            sink.discard()
    assert descriptors() <= before - 1
    sink.discard()
    assert len(leftovers(disk)) == 1
    assert disk.sweep() == 1
    assert leftovers(disk) == []


def test_short_writes_are_carried_on(disk: DiskStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes only some of a buffer at a time is given the rest."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:1000]))
    data = bytes(range(256)) * 20
    assert get(disk, put(disk, "key", data)) == data


def test_after_a_failed_write_a_sink_can_only_be_discarded(disk: DiskStorage, root: Path) -> None:
    """Neither another write nor `stage` works, so that a file with a hole is never published."""
    sink = disk.open("key", INFO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", failing(errno.EIO))
        with pytest.raises(StorageFailed, match="could not write a file: Input/output error"):
            sink.write(b"lost")
    for call in (lambda: sink.write(b"more"), sink.stage):
        with pytest.raises(StorageFailed, match="an earlier write failed"):
            call()
    sink.discard()
    assert files_below(root) == set()


@pytest.mark.parametrize(
    ("name", "retryable"),
    [
        *((name, True) for name in ("EMFILE", "ENFILE", "EAGAIN", "ESTALE", "ENOBUFS", "ENOMEM")),
        *((name, False) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO")),
    ],
)
def test_a_failure_says_whether_it_passes_by_itself(disk: DiskStorage, name: str, retryable: object) -> None:
    """Descriptors come free; a full disk, a quota and a read-only disk need somebody to act."""
    number = getattr(errno, name)
    sink = disk.open("key", INFO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", failing(number))
        with pytest.raises(StorageFailed) as raised:
            sink.write(b"data")
    assert raised.value.retryable is retryable
    assert str(raised.value) == f"the storage could not write a file: {os.strerror(number)}"
    sink.discard()


@pytest.mark.needs("linux")
def test_durable_flushes_the_file_before_its_name_and_the_folders_after(tmp_path: Path) -> None:
    """A name never outlives a power cut without its bytes, and a commit that has returned is on the disk."""
    done: list[str] = []

    def noting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **options: Any) -> Any:
            is_folder = name == "fsync" and os.path.isdir(f"/dev/fd/{args[0]}")
            where = os.readlink(f"/proc/self/fd/{args[0]}") if is_folder else ""
            result = call(*args, **options)
            done.append(f"{name} {os.path.relpath(where, tmp_path)}" if is_folder else name)
            return result

        return noted

    disk = DiskStorage(tmp_path / "root", durable=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "link", "unlink"):
            patch.setattr(os, name, noting(name, getattr(os, name)))
        object = disk.open("a/b/key", INFO).stage()
        assert done[:1] == ["fsync ."]  # the new root's own name
        assert done[-1] == "fsync"
        done.clear()
        object.commit()
        assert done == ["fsync root", "fsync root/a", "link", "fsync root/a/b"]
        done.clear()
        disk.delete("a/b/key")
        assert done == ["unlink", "fsync root/a/b"]


# Real limits


def test_a_process_without_descriptors_leaves_nothing_behind(disk: DiskStorage, root: Path) -> None:
    """However few descriptors are left, an upload works or fails whole, and says that it may be tried again."""
    put(disk, "first")
    disk.delete("first")
    outcomes = []
    for free in range(8):
        before = descriptors()
        with few_descriptors(free):
            outcomes.append(failure := upload(disk, Fault(0, OSError(), after=False)))
        assert descriptors() <= before
        if failure is not None:
            assert isinstance(failure, StorageFailed)
            assert failure.retryable
            assert files_below(root) == set()
            with pytest.raises(ObjectMissing):
                disk.stat("a/b/key")
        else:
            disk.delete("a/b/key")
    assert outcomes[0] is not None
    assert outcomes[-1] is None


@pytest.fixture
def full_soon(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB and 8 inodes."""
    folder = tmp_path / "small"
    folder.mkdir()
    with small_disk(folder, "size=256k,nr_inodes=8"):
        yield folder


@pytest.mark.needs("tmpfs")
@pytest.mark.parametrize("kind", DISKS.values(), ids=DISKS)
def test_a_full_disk_is_a_failure_and_gets_its_room_back(kind: type[DiskStorage], full_soon: Path) -> None:
    """A write to a full disk fails as not retryable, nothing is visible, and a discard gives back all of its room."""
    disk = kind(full_soon)
    sink = disk.open("too-big", INFO)
    sink.write(bytes(200_000))
    with pytest.raises(StorageFailed) as raised:
        sink.write(bytes(200_000))
    assert str(raised.value) == "the storage could not write a file: No space left on device"
    assert not raised.value.retryable
    assert isinstance(raised.value.__cause__, OSError)
    with pytest.raises(StorageFailed):
        sink.stage()
    sink.discard()
    assert files_below(full_soon) == set()
    assert len(get(disk, put(disk, "fits", bytes(200_000)))) == 200_000


@pytest.mark.needs("tmpfs")
@pytest.mark.parametrize("kind", DISKS.values(), ids=DISKS)
def test_a_disk_without_inodes_fails_the_commit_and_can_be_used_again(kind: type[DiskStorage], full_soon: Path) -> None:
    """Where no folder can be made any more the commit fails, and the folders that it had made are gone."""
    disk = kind(full_soon)
    object = staged(disk, "a/b/c/d/e/f/g/h/key")
    with pytest.raises(StorageFailed, match="could not publish a file: No space left on device"):
        object.commit()
    object.discard()
    assert [path.name for path in full_soon.rglob("*")] == [".staging"]
    assert get(disk, put(disk, "a/b/key")) == b"data"


@pytest.mark.parametrize("kind", DISKS)
def test_a_file_beyond_the_size_limit_of_the_process_is_a_failure(kind: str, tmp_path: Path) -> None:
    """RLIMIT_FSIZE cuts a write short and then refuses it: what was cut is never published."""
    script = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
sink = disk.open("key", ObjectInfo())
try:
    sink.write(bytes(20_000))
except StorageFailed as error:
    print(error, error.retryable)
sink.discard()
"""
    with Child(script, kind, tmp_path) as child:
        assert child.line() == "the storage could not write a file: File too large False"
    assert files_below(tmp_path) == set()


@contextmanager
def few_descriptors(free: int) -> Iterator[None]:
    """A process that can open so many files more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir("/dev/fd")}
    lowest = (number for number in range(limits[0]) if number not in used or not is_open(number))
    number = [next(lowest) for _ in range(free + 1)][-1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def is_open(number: int) -> bool:
    """Whether it is a descriptor of this process: a listing of them has one of its own."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def failing(number: int) -> Callable[..., Any]:
    """A system call that always fails."""

    def call(*args: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return call
