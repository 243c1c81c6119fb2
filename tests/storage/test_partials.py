"""Objects that come in several goes, on disk: processes that are killed, race or meet a full disk, and what is left."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.small_disk import small_disk
from tests.storage.kinds import DISKS, descriptors, files_below, get, put
from tests.storage.processes import Child
from tests.storage.test_disk_faults import Fault

from uploadkit.errors import ObjectExists, ObjectMissing, StorageFailed
from uploadkit.storage.contract import ObjectInfo, PartialObject
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import leftovers

INFO = ObjectInfo()

DATA = bytes(range(251)) * 400


@pytest.fixture(params=[(disk, durable) for disk in DISKS for durable in (False, True)], ids=str)
def disk(request: pytest.FixtureRequest, root: Path) -> DiskStorage:
    """A storage of each staging, durable or not."""
    kind, durable = request.param
    return DISKS[kind](root, durable=durable)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of `disk`."""
    return tmp_path / "root"


@pytest.fixture(autouse=True)
def _no_descriptor_is_lost() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() <= before


def add(disk: DiskStorage, upload: str, data: bytes) -> None:
    """In one go."""
    found = disk.partial(upload, "")
    found.append(data)
    found.keep()
    found.close()


def arrived(disk: DiskStorage, upload: str) -> bytes:
    """What is there of it."""
    found = disk.partial(upload, "")
    found.complete()
    with found.open() as file:
        data = file.read()
    assert len(data) == found.size
    found.close()
    return data


def commit(disk: DiskStorage, upload: str, key: str) -> None:
    """Completes it first."""
    found = disk.partial(upload, "")
    found.complete()
    found.commit(key, INFO)


def test_it_is_a_file_in_staging_that_nobody_else_may_read(disk: DiskStorage, root: Path) -> None:
    """It has a name, so that it is there for the next process, and a sweep of that process leaves it."""
    disk.begin_partial("upload", INFO)
    add(disk, "upload", b"arrived")
    file = root / ".staging" / "partial-upload"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert disk.in_staging() == leftovers(disk) == ["partial-upload"]
    put(DiskStorage(root), "key")  # the first `open` of a process sweeps
    assert file.read_bytes() == b"arrived"
    commit(disk, "upload", "folder/object")
    assert files_below(root) == {"key", "folder/object"}
    assert stat.S_IMODE((root / "folder/object").stat().st_mode) == 0o600


def test_a_name_is_begun_once(disk: DiskStorage) -> None:
    """Of two who make the same one the second is told; the first one's bytes stay."""
    disk.begin_partial("upload", INFO)
    add(disk, "upload", b"arrived")
    with pytest.raises(StorageFailed, match="could not begin a file: File exists") as raised:
        disk.begin_partial("upload", INFO)
    assert not raised.value.retryable
    assert arrived(disk, "upload") == b"arrived"


def test_a_sweep_takes_what_nothing_was_added_to_for_too_long(root: Path) -> None:
    """Its age is that of its last change; while somebody has it open, it is the same."""
    disk = DiskStorage(root, stale_seconds=3600)
    for upload in ("old", "fresh"):
        disk.begin_partial(upload, INFO)
        add(disk, upload, upload.encode())
    held, before = disk.partial("old", ""), time.time() - 3601
    for upload, changed in (("old", before), ("fresh", before + 60)):
        os.utime(root / ".staging" / f"partial-{upload}", (changed, changed))
    assert (disk.sweep(), disk.sweep()) == (1, 0)
    assert disk.in_staging() == ["partial-fresh"]
    with pytest.raises(StorageFailed, match="it was committed or removed"):
        held.append(b"too late")
    held.close()
    assert files_below(root) == {".staging/partial-fresh"}


def test_what_somebody_adds_to_is_not_old(root: Path) -> None:
    """A sweep that sees an old file, of which the next bytes come just now, leaves it."""
    disk = DiskStorage(root, stale_seconds=3600)
    disk.begin_partial("upload", INFO)
    os.utime(root / ".staging" / "partial-upload", (0, 0))
    add(disk, "upload", b"fresh")
    assert disk.sweep() == 0
    assert arrived(disk, "upload") == b"fresh"


def test_a_storage_waits_for_some_time(root: Path) -> None:
    """Of none at all every upload would be swept between two requests."""
    with pytest.raises(ValueError, match="stale_seconds is more than 0"):
        DiskStorage(root, stale_seconds=0)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_file_of_ours_is_not_there(disk: DiskStorage, root: Path, kind: str) -> None:
    """Somebody has put it in the place of an upload: it is neither read nor written."""
    disk.begin_partial("another", INFO)
    place, victim = root / ".staging" / "partial-upload", root / "victim"
    victim.write_bytes(b"untouched")
    if kind == "link":
        place.symlink_to(victim)
    elif kind == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)
    with pytest.raises(ObjectMissing):
        disk.partial("upload", "")
    assert victim.read_bytes() == b"untouched"


def test_what_has_come_in_its_place_is_not_added_to(disk: DiskStorage, root: Path) -> None:
    """Nor is what it was: under its name lies another file now."""
    disk.begin_partial("upload", INFO)
    found = disk.partial("upload", "")
    place = root / ".staging" / "partial-upload"
    os.link(place, root / "kept-by-hand")
    place.unlink()
    place.write_bytes(b"")
    with pytest.raises(StorageFailed, match="it was committed or removed"):
        found.append(b"lost")
    found.close()
    assert (place.read_bytes(), (root / "kept-by-hand").read_bytes()) == (b"", b"")


# Calls of the system that fail


def go_through(disk: DiskStorage, fault: Fault, kept: list[int]) -> BaseException | None:
    """One upload in two goes, from its beginning to its end. `kept` is given how much was kept."""
    things: list[Any] = []
    try:
        with fault.armed():
            disk.begin_partial("upload", INFO)
            kept.append(0)
            for piece in (DATA[:1000], DATA[1000:]):
                things.append(found := disk.partial("upload", ""))
                found.append(piece[:500])
                found.append(piece[500:])
                found.keep()
                kept.append(found.size)
            found.complete()
            with found.open() as file:
                assert file.read() == DATA
            found.commit("a/b/key", INFO)
    except (StorageFailed, KeyboardInterrupt) as error:
        return error
    finally:
        for thing in things:
            thing.close()
    return None


@pytest.mark.parametrize(
    ("error", "when"),
    [
        pytest.param(OSError(errno.EIO, "EIO"), "before", id="EIO"),
        pytest.param(KeyboardInterrupt(), "before", id="interrupted before a call"),
        pytest.param(KeyboardInterrupt(), "after", id="interrupted after a call"),
    ],
)
def test_whichever_call_fails_what_was_kept_is_there(
    disk: DiskStorage, root: Path, error: BaseException, when: str
) -> None:
    """What is there is what came first, and no less than what was kept. Another go ends it, and nothing is left."""
    failures = 0
    for at in range(1, 1000):
        kept: list[int] = []
        fault = Fault(at, error, after=when == "after")
        before = descriptors()
        failure = go_through(disk, fault, kept)
        assert descriptors() <= before, f"{fault.raised_at}, call {at}"
        if fault.raised_at is None:
            break
        failures += failure is not None
        with suppress(StorageFailed):
            disk.begin_partial("upload", INFO)
        with suppress(ObjectExists):  # it was committed, and only not removed
            seen = arrived(disk, "upload")
            assert DATA.startswith(seen), f"{fault.raised_at}, call {at}"
            if not (root / "a/b/key").exists():
                assert len(seen) >= (kept or [0])[-1], f"{fault.raised_at}, call {at}"
                add(disk, "upload", DATA[len(seen) :])
                commit(disk, "upload", "a/b/key")
        assert get(disk, "a/b/key") == DATA, f"{fault.raised_at}, call {at}"
        disk.delete("a/b/key")
        with suppress(ObjectMissing):
            disk.partial("upload", "").discard()
        disk.sweep()
        assert files_below(root) == set(), f"{fault.raised_at}, call {at}"
        for folder in ("a/b", "a"):
            with suppress(FileNotFoundError):
                (root / folder).rmdir()
    else:
        raise AssertionError("there is no end of calls")
    assert failures >= 10


def failing(number: int) -> Callable[..., Any]:
    """A call of the system that fails."""

    def call(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return call


def test_short_writes_are_carried_on(disk: DiskStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes only some of a buffer at a time is given the rest, at its place."""
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: pwrite(file, data[:1000], at))
    disk.begin_partial("upload", INFO)
    add(disk, "upload", DATA[:5001])
    add(disk, "upload", DATA[5001:])
    assert arrived(disk, "upload") == DATA


def test_an_append_that_fails_halfway_is_taken_back(disk: DiskStorage) -> None:
    """The size is what it was, and the same bytes can come again."""
    pwrite = os.pwrite
    disk.begin_partial("upload", INFO)
    add(disk, "upload", DATA[:100])
    found = disk.partial("upload", "")

    def halfway(file: int, data: memoryview, at: int) -> int:
        return pwrite(file, data[:500], at) if at == 100 else failing(errno.EIO)()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", halfway)
        with pytest.raises(StorageFailed, match="could not write a file: Input/output error"):
            found.append(DATA[100:])
    assert (found.size, arrived(disk, "upload")) == (100, DATA[:100])
    found.append(DATA[100:])
    found.close()
    assert arrived(disk, "upload") == DATA


def test_where_it_cannot_be_taken_back_nothing_more_is_added(disk: DiskStorage) -> None:
    """What is there then is told by the next go: some of the bytes that came, in their order."""
    pwrite = os.pwrite
    disk.begin_partial("upload", INFO)
    found = disk.partial("upload", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", lambda file, data, at: pwrite(file, data[:500], at) if not at else failing(5)())
        patch.setattr(os, "ftruncate", failing(errno.EIO))
        with pytest.raises(StorageFailed):
            found.append(DATA)
    with pytest.raises(StorageFailed, match="not known any more"):
        found.append(DATA)
    found.close()
    assert arrived(disk, "upload") == DATA[:500]


@pytest.mark.needs("linux")
def test_durable_is_on_the_disk_when_it_is_kept(tmp_path: Path) -> None:
    """The file's name when it is begun, its bytes with `keep`, and the object's name before the other one goes."""
    done: list[str] = []

    def noting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **options: Any) -> Any:
            where = os.path.relpath(os.readlink(f"/proc/self/fd/{args[0]}"), tmp_path) if name == "fsync" else ""
            done.append(f"{name} {where}".rstrip())
            return call(*args, **options)

        return noted

    disk = DiskStorage(tmp_path / "root", durable=True)
    put(disk, "first")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "link", "unlink"):
            patch.setattr(os, name, noting(name, getattr(os, name)))
        disk.begin_partial("upload", INFO)
        assert done[-1] == "fsync root/.staging"
        done.clear()
        found = disk.partial("upload", "")
        found.append(b"data")
        assert done == []
        found.keep()
        assert done == ["fsync root/.staging/partial-upload"]
        found.complete()
        done.clear()
        found.commit("a/key", INFO)
        assert done == ["fsync root", "link", "fsync root/a", "unlink"]


@pytest.mark.needs("tmpfs")
@pytest.mark.parametrize("kind", DISKS.values(), ids=DISKS)
def test_a_full_disk_takes_nothing_of_what_does_not_fit(kind: type[DiskStorage], tmp_path: Path) -> None:
    """The offset says the truth, and where somebody has made room the upload goes on."""
    small = tmp_path / "small"
    small.mkdir()
    with small_disk(small, "size=256k,nr_inodes=32"):
        disk = kind(small)
        other = put(disk, "other", bytes(100_000))
        disk.begin_partial("upload", INFO)
        found = disk.partial("upload", "")
        found.append(DATA[:70_000])
        found.keep()
        with pytest.raises(StorageFailed, match="No space left on device") as raised:
            found.append(bytes(200_000))
        assert not raised.value.retryable
        assert found.size == 70_000
        assert arrived(disk, "upload") == DATA[:70_000]
        disk.delete(other)
        found.append(DATA[70_000:])
        found.complete()
        found.commit("key", INFO)
        assert get(disk, "key") == DATA
        assert files_below(small) == {"key"}


# extend


def test_where_the_kernel_copies_nothing_the_bytes_go_through_this_process(
    disk: DiskStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on file systems that know no such call, or between two of them."""
    monkeypatch.setattr(os, "copy_file_range", failing(errno.EXDEV), raising=False)
    for upload, data in (("piece", DATA), ("whole", b"first,")):
        disk.begin_partial(upload, INFO)
        add(disk, upload, data)
    piece, whole = disk.partial("piece", ""), disk.partial("whole", "")
    piece.complete()
    whole.extend(piece)
    whole.close()
    assert (arrived(disk, "whole"), arrived(disk, "piece")) == (b"first," + DATA, DATA)
    piece.close()


def test_it_is_extended_by_its_own_kind_alone(disk: DiskStorage, tmp_path: Path) -> None:
    """What lies in another storage has no bytes here."""
    memory, elsewhere = MemoryStorage(), DiskStorage(tmp_path / "elsewhere")
    for storage in (disk, memory, elsewhere):
        storage.begin_partial("upload", INFO)
    found = disk.partial("upload", "")
    others: list[PartialObject] = [memory.partial("upload", ""), elsewhere.partial("upload", "")]
    for other in others:
        other.complete()
        with pytest.raises(TypeError):
            found.extend(other)
        with pytest.raises(TypeError):
            memory.partial("upload", "").extend(found)
        other.close()
    found.close()


# Other processes


def test_a_process_that_is_killed_while_it_adds_leaves_what_came_first(root: Path) -> None:
    """SIGKILL at any moment: what is there is a beginning of what came, and no less than what was kept."""
    script = """
disk.begin_partial("upload", ObjectInfo())
found = disk.partial("upload", "")
block = b"".join(b"%07d\\n" % number for number in range(2**13))
found.append(block)
found.keep()
say("kept")
while True:
    found.append(block)
"""
    block = b"".join(b"%07d\n" % number for number in range(2**13))
    disk = DiskStorage(root)
    for _ in range(5):
        with Child(script, "nameless", root) as child:
            assert child.line() == "kept"
            eventually_grows(root / ".staging" / "partial-upload", 3 * len(block))
            child.killed()
        disk.sweep()
        seen = arrived(disk, "upload")
        assert len(seen) >= len(block)
        assert seen == (block * (len(seen) // len(block) + 1))[: len(seen)]
        add(disk, "upload", b"the end")
        commit(disk, "upload", "key")
        assert get(disk, "key") == seen + b"the end"
        disk.delete("key")
    assert files_below(root) == set()


def eventually_grows(file: Path, size: int) -> None:
    """It has so many bytes within five seconds."""
    end = time.monotonic() + 5
    while file.stat().st_size < size:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_processes_that_add_at_once_mix_no_bytes(root: Path) -> None:
    """Each append is there whole, at the end of what its process knew, or not at all; who is too late is told."""
    script = """
from uploadkit.errors import StorageFailed
name = sys.stdin.readline().strip().encode()
line, told = name * 5000 + b"\\n", []
for _ in range(300):
    found = disk.partial("upload", "")
    try:
        for _ in range(3):
            found.append(line)
            told.append(name)
    except StorageFailed:
        pass
    found.close()
say(len(told))
"""
    disk = DiskStorage(root)
    disk.begin_partial("upload", INFO)
    children = [Child(script, "nameless", root) for _ in range(3)]
    try:
        for child, name in zip(children, "abc", strict=True):
            child.say(name)
        told = [int(child.line()) for child in children]
    finally:
        for child in children:
            child.killed()
            child.process.communicate()
    lines = arrived(disk, "upload").split(b"\n")
    assert lines.pop() == b""
    assert {len(line) for line in lines} == {5000}
    assert [sum(line == name * 5000 for line in lines) for name in (b"a", b"b", b"c")] == told
    assert sum(told) == len(lines)


@pytest.mark.parametrize("moment", ["before the link", "after the link"])
def test_a_process_that_is_killed_in_its_commit_can_be_followed(root: Path, moment: str) -> None:
    """Before the link nothing is visible; after it the object is whole, and the same commit is no error."""
    script = """
disk.begin_partial("upload", ObjectInfo())
found = disk.partial("upload", "")
found.append(b"whole")
found.complete()
os.NAME = lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL)
found.commit("folder/key", ObjectInfo())
"""
    with Child(script.replace("NAME", "link" if moment == "before the link" else "unlink"), "named", root) as child:
        child.process.wait()
    disk = DiskStorage(root)
    object_is_there = (root / "folder/key").exists()
    assert object_is_there == (moment == "after the link")
    assert disk.in_staging() == ["partial-upload"]
    if object_is_there:
        late = disk.partial("upload", "")
        with pytest.raises(StorageFailed, match="committed or removed"):
            late.append(b"not any more")
        late.close()
    put(disk, "taken")
    found = disk.partial("upload", "")
    found.complete()
    with pytest.raises(ObjectExists):
        found.commit("taken", INFO)
    found.commit("folder/key", INFO)
    assert (get(disk, "folder/key"), get(disk, "taken")) == (b"whole", b"data")
    assert files_below(root) == {"folder/key", "taken"}


def test_what_was_committed_and_not_removed_can_be_discarded(root: Path) -> None:
    """The object stays: it has a name of its own."""
    disk = DiskStorage(root)
    disk.begin_partial("upload", INFO)
    add(disk, "upload", b"whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "unlink", failing(errno.EIO))
        commit(disk, "upload", "key")
    assert files_below(root) == {"key", ".staging/partial-upload"}
    disk.partial("upload", "").discard()
    assert files_below(root) == {"key"}
    assert get(disk, "key") == b"whole"


# In memory


def test_the_storage_in_memory_tells_what_nobody_finished() -> None:
    """By its name, until it is committed or discarded."""
    memory = MemoryStorage()
    for upload in ("one", "other"):
        memory.begin_partial(upload, INFO)
    assert memory.unfinished == ["partial-one", "partial-other"]
    found = memory.partial("one", "")
    found.append(b"data")
    found.complete()
    found.commit("key", INFO)
    memory.partial("other", "").discard()
    assert (memory.objects, memory.unfinished) == ({"key": b"data"}, [])


def test_the_storage_in_memory_begins_a_name_once() -> None:
    """As every other one does."""
    memory = MemoryStorage()
    memory.begin_partial("upload", INFO)
    with pytest.raises(StorageFailed):
        memory.begin_partial("upload", INFO)
