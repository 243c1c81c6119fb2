"""Copies on disk: by the kernel where it can, of their own, whole or not there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.storage.kinds import DISKS, descriptors, files_below, get, put
from tests.storage.test_disk_faults import Fault

from uploadkit.errors import KeyRefused, ObjectExists, ObjectMissing, StorageFailed
from uploadkit.storage.disk import DiskStorage, files
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import leftovers

DATA = bytes(range(256)) * 1000


@pytest.fixture(params=[(disk, durable) for disk in DISKS for durable in (False, True)], ids=str)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> DiskStorage:
    """A storage of each staging, durable or not."""
    kind, durable = request.param
    return DISKS[kind](tmp_path / "root", durable=durable)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of `disk`."""
    return tmp_path / "root"


@pytest.fixture(autouse=True)
def _no_descriptor_is_lost() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() <= before


def test_a_copy_is_a_file_of_its_own(disk: DiskStorage, root: Path) -> None:
    """Who changes one of them by its path, as picture tools do, does not change the other; nobody else reads it."""
    put(disk, "object", DATA)
    disk.copy("object", "folder/copy")
    original, copied = root / "object", root / "folder/copy"
    assert not original.samefile(copied)
    assert stat.S_IMODE(copied.stat().st_mode) == 0o600
    original.write_bytes(b"changed")
    assert get(disk, "folder/copy") == DATA


def test_nothing_is_made_where_there_is_nothing_to_copy(disk: DiskStorage, tmp_path: Path) -> None:
    """Not even the root."""
    with pytest.raises(ObjectMissing):
        disk.copy("missing", "copy")
    assert list(tmp_path.iterdir()) == []


def test_links_are_not_copied_and_not_copied_over(disk: DiskStorage, root: Path, tmp_path: Path) -> None:
    """What a link leads to is not this storage's."""
    put(disk, "object")
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "elsewhere").symlink_to(tmp_path)
    for key in ("link", "elsewhere/secret"):
        with pytest.raises(KeyRefused):
            disk.copy(key, "copy")
    for new_key in ("link", "elsewhere/copy"):
        with pytest.raises((KeyRefused, ObjectExists)):
            disk.copy("object", new_key)
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert files_below(root) == {"object", "link"}
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_where_the_kernel_cannot_copy_the_process_does(
    disk: DiskStorage, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file system, an old kernel, a sandbox."""
    put(disk, "object", DATA)
    monkeypatch.setattr(os, "copy_file_range", failing(number), raising=False)
    disk.copy("object", "copy")
    assert get(disk, "copy") == DATA


def test_where_there_is_no_such_call_the_process_copies(disk: DiskStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS; in more than one block."""
    put(disk, "object", DATA)
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    monkeypatch.setattr(files, "BLOCK_SIZE", 100_000)
    disk.copy("object", "copy")
    assert get(disk, "copy") == DATA


@pytest.mark.skipif(not hasattr(os, "copy_file_range"), reason="only Linux has the call")
def test_what_the_kernel_leaves_the_process_copies_on_from_there(
    disk: DiskStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems say 0 before the end, and some fail in the middle."""
    put(disk, "object", DATA)
    copy = os.copy_file_range
    for at, last in enumerate((lambda: 0, failing(errno.EXDEV))):
        answers = iter(
            [lambda s, t, _: copy(s, t, 10_000), lambda s, t, _: copy(s, t, 1), lambda *_, last=last: last()]
        )
        monkeypatch.setattr(os, "copy_file_range", lambda *args, answers=answers: next(answers)(*args))
        disk.copy("object", f"copy {at}")
        assert get(disk, f"copy {at}") == DATA


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_copy_that_fails_leaves_nothing(
    disk: DiskStorage, root: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is said with the system's words."""
    put(disk, "object", DATA)
    monkeypatch.setattr(os, "copy_file_range", failing(number), raising=False)
    with pytest.raises(StorageFailed, match=os.strerror(number)) as raised:
        disk.copy("object", "folder/copy")
    assert (raised.value.storage, raised.value.key) == ("disk", "folder/copy")
    assert files_below(root) == {"object"}


def test_a_file_that_is_cut_meanwhile_is_not_copied(
    disk: DiskStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an object is none."""
    put(disk, "object", DATA)

    def cut(*_: object) -> int:
        os.truncate(root / "object", 10)
        return 0

    monkeypatch.setattr(os, "copy_file_range", cut, raising=False)
    with pytest.raises(StorageFailed, match="could not copy a file"):
        disk.copy("object", "copy")
    assert files_below(root) == {"object"}


@pytest.mark.parametrize(
    ("error", "after"),
    [
        pytest.param(OSError(errno.EIO, "EIO"), False, id="EIO"),
        pytest.param(KeyboardInterrupt(), False, id="interrupted before a call"),
        pytest.param(KeyboardInterrupt(), True, id="interrupted after a call"),
    ],
)
def test_whichever_call_fails_the_copy_is_whole_or_not_there(
    disk: DiskStorage, root: Path, error: BaseException, after: bool
) -> None:
    """Every system call of a copy fails once, or is interrupted: no file or descriptor is left but the object."""
    put(disk, "object", DATA)
    before, failures = descriptors(), 0
    for at in range(1, 1000):
        fault = Fault(at, error, after=after)
        copied = False
        try:
            with fault.armed():
                disk.copy("object", "a/b/copy")
            copied = True
        except (StorageFailed, KeyboardInterrupt):
            failures += 1
        if fault.raised_at is None:
            break
        assert descriptors() <= before, f"{fault.raised_at}, call {at}"
        if fault.raised_at == "unlink":  # what a clean-up could not remove is the next sweep's
            disk.sweep()
        if copied:
            assert get(disk, "a/b/copy") == DATA
            disk.delete("a/b/copy")
        assert files_below(root) == {"object"}, f"{fault.raised_at}, call {at}"
    assert failures >= 4
    assert get(disk, "object") == get(disk, "a/b/copy") == DATA


def test_a_copy_of_another_root_fails_where_its_object_does(disk: DiskStorage, tmp_path: Path) -> None:
    """The error names the storage that lacks the object, and only a disk is a source for a disk."""
    other = DiskStorage(tmp_path / "other", name="other")
    with pytest.raises(ObjectMissing) as raised:
        disk.copy("object", "copy", source=other)
    assert raised.value.storage == "other"
    put(other, "object", DATA)
    assert disk.copy("object", "object", source=other).size == len(DATA)
    assert get(disk, "object") == DATA
    with pytest.raises(TypeError, match="not from 'memory'"):
        disk.copy("object", "copy", source=MemoryStorage())
    assert leftovers(disk) == []


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no second file system")
def test_a_copy_crosses_file_systems(tmp_path: Path) -> None:
    """Whoever copies it, the bytes arrive."""
    root = Path("/dev/shm") / f"uploadkit-{os.getpid()}"
    there, here = DiskStorage(root), DiskStorage(tmp_path)
    try:
        put(there, "object", DATA)
        here.copy("object", "copy", source=there)
        assert get(here, "copy") == DATA
    finally:
        there.delete("object")
        for folder in (root / ".staging", root):
            if folder.exists():
                folder.rmdir()


def failing(number: int) -> Callable[..., int]:
    """A call that fails with this number."""

    def call(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return call
