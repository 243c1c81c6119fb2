"""Several processes over one root: what a sweep takes, what a killed process leaves, what a fork shares."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.storage.kinds import DISKS, NamedDiskStorage, files_below, get, put, staged
from tests.storage.processes import Child, in_a_fork

from uploadkit.errors import ObjectMissing
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.disk import DiskStorage
from uploadkit.testing import leftovers

INFO = ObjectInfo()


@pytest.fixture(params=DISKS)
def kind(request: pytest.FixtureRequest) -> str:
    """The name of each staging."""
    name: str = request.param
    return name


# Sweeping


def test_a_sweep_leaves_the_uploads_of_another_process_alone(kind: str, tmp_path: Path) -> None:
    """What another process is writing or has staged is not taken, and its objects come out whole."""
    script = """
sink = disk.open("written", ObjectInfo())
sink.write(b"begun")
staged = disk.open("staged", ObjectInfo()).stage()
say("ready")
wait()
sink.write(b" and ended")
sink.stage().commit()
staged.commit()
"""
    disk = DISKS[kind](tmp_path)
    with Child(script, kind, tmp_path) as child:
        assert child.line() == "ready"
        put(disk, "mine")  # the first open in this process sweeps too
        assert disk.sweep() == 0
        child.go_on()
    assert get(disk, "written") == b"begun and ended"
    assert get(disk, "staged") == b""
    assert files_below(tmp_path) == {"mine", "written", "staged"}


def test_the_first_open_sweeps_what_dead_processes_left(tmp_path: Path) -> None:
    """A service that starts again after a crash begins with an empty staging folder."""
    with Child("disk.open('key', ObjectInfo()).write(b'lost'); say('ready'); wait()", "named", tmp_path) as child:
        assert child.line() == "ready"
        child.killed()
    disk = NamedDiskStorage(tmp_path)
    assert len(leftovers(disk)) == 1
    sink = disk.open("key", INFO)
    assert len(leftovers(disk)) == 1
    sink.discard()
    assert leftovers(disk) == []


def test_a_sweep_counts_what_it_took_and_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    """Two forgotten files are two; a folder and a link in staging are somebody else's."""
    disk = NamedDiskStorage(tmp_path)
    live = staged(disk, "key")
    staging = tmp_path / ".staging"
    for name in ("one", "two"):
        (staging / name).write_bytes(b"forgotten")
    (staging / "folder").mkdir()
    (staging / "link").symlink_to("one")
    assert disk.sweep() == 2
    assert disk.sweep() == 0
    live.commit()
    assert files_below(tmp_path) == {"key", ".staging/link"}
    assert (staging / "folder").is_dir()


@pytest.mark.parametrize("moment", ["sweep is over", "sweep holds the lock"])
def test_a_sweep_that_takes_a_file_before_it_is_locked_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A file is made and then locked: if a sweep comes in between, the upload goes on in another file."""
    flock = fcntl.flock
    disk = NamedDiskStorage(tmp_path)
    put(disk, "first")
    held: list[int] = []

    def late(file: Any, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        [name] = leftovers(disk)
        if moment == "sweep is over":
            assert NamedDiskStorage(tmp_path).sweep() == 1
        else:
            held.append(os.open(tmp_path / ".staging" / name, os.O_RDWR))
            flock(held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    object = staged(disk, "key")
    for file in held:
        os.close(file)
    assert disk.sweep() == 0
    object.commit()
    assert files_below(tmp_path) == {"first", "key"}


def test_sweeps_and_uploads_at_once_do_each_other_no_harm(tmp_path: Path) -> None:
    """Threads upload while others sweep without a pause: no upload is lost and nothing is left."""
    disk = NamedDiskStorage(tmp_path)
    put(disk, "first")
    over = threading.Event()

    def sweep_on() -> int:
        swept = 0
        while not over.is_set():
            swept += disk.sweep()
        return swept

    def upload(number: int) -> list[str]:
        return [put(disk, f"{number}-{each}") for each in range(50)]

    with ThreadPoolExecutor(4) as threads:
        sweeps = [threads.submit(sweep_on) for _ in range(2)]
        try:
            keys = [key for keys in threads.map(upload, range(2)) for key in keys]
        finally:
            over.set()
        for each in sweeps:
            each.result()
    assert files_below(tmp_path) == {"first", *keys}
    assert all(get(disk, key) == b"data" for key in keys)


# kill -9

DEATHS = {
    "while it writes": """
sink = disk.open("folder/key", ObjectInfo())
sink.write(bytes(2**20))
say("ready")
while True:
    sink.write(bytes(1000))
""",
    "with everything staged": """
sink = disk.open("folder/key", ObjectInfo())
sink.write(bytes(2**20))
staged = sink.stage()
say("ready")
wait()
""",
    "before the link": """
staged = disk.open("folder/key", ObjectInfo()).stage()
os.link = lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL)
say("ready")
staged.commit()
""",
}


@pytest.mark.needs("linux")
@pytest.mark.parametrize("death", DEATHS)
def test_a_process_that_is_killed_leaves_no_part_of_an_object(kind: str, death: str, tmp_path: Path) -> None:
    """SIGKILL at any moment before the commit: nothing is visible, and the next sweep clears what is staged."""
    disk = DISKS[kind](tmp_path)
    with Child(DEATHS[death], kind, tmp_path) as child:
        assert child.line() == "ready"
        if death != "before the link":
            child.killed()
        child.process.wait()
        assert child.process.returncode == -signal.SIGKILL
    with pytest.raises(ObjectMissing):
        disk.stat("folder/key")
    assert {path for path in files_below(tmp_path) if not path.startswith(".staging/")} == set()
    assert disk.sweep() == (1 if kind == "named" else 0)
    assert files_below(tmp_path) == set()


def test_a_process_that_is_killed_right_after_the_link_leaves_a_whole_object(tmp_path: Path) -> None:
    """With both names there the object is whole, and the sweep takes the name in staging alone."""
    script = """
sink = disk.open("key", ObjectInfo())
sink.write(bytes(2**20))
staged = sink.stage()
os.unlink = lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL)
staged.commit()
"""
    with Child(script, "named", tmp_path) as child:
        child.process.wait()
    disk = NamedDiskStorage(tmp_path)
    assert disk.stat("key").size == 2**20
    assert len(leftovers(disk)) == 1
    assert disk.sweep() == 1
    assert files_below(tmp_path) == {"key"}
    assert get(disk, "key") == bytes(2**20)


# Forks


def test_a_fork_that_ends_takes_nothing_of_its_parent_away(kind: str, tmp_path: Path) -> None:
    """A worker forked in the middle of an upload sweeps, uploads and ends: the parent's upload goes on."""
    disk = DISKS[kind](tmp_path)
    sink = disk.open("parent", INFO)
    sink.write(b"begun")
    object = staged(disk, "staged")

    def work() -> str:
        swept = disk.sweep()
        put(disk, "child")
        return f"swept {swept}"

    assert in_a_fork(work) == "swept 0"
    sink.write(b" and ended")
    sink.stage().commit()
    object.commit()
    assert get(disk, "parent") == b"begun and ended"
    assert files_below(tmp_path) == {"parent", "staged", "child"}


def test_a_fork_prepares_for_itself(tmp_path: Path) -> None:
    """Each process sweeps at its first open: a worker forked after the parent's does too."""
    disk = NamedDiskStorage(tmp_path)
    put(disk, "parent")
    (tmp_path / ".staging" / "forgotten").write_bytes(b"")
    assert in_a_fork(lambda: put(disk, "child")) == "child"
    assert leftovers(disk) == []


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_does_not_wait_for_a_thread_that_it_has_not(tmp_path: Path) -> None:
    """A process forked while another thread prepares the storage can use it: it has no such thread to wait for."""
    preparing, go_on = threading.Event(), threading.Event()

    class Slow(DiskStorage):
        def _links_nameless(self) -> bool:
            if threading.current_thread() is not threading.main_thread():
                preparing.set()
                go_on.wait(5)
            return super()._links_nameless()

    disk = Slow(tmp_path)
    with ThreadPoolExecutor(1) as thread:
        parent = thread.submit(put, disk, "parent")
        try:
            assert preparing.wait(5)
            assert in_a_fork(lambda: put(disk, "child")) == "child"
        finally:
            go_on.set()
        parent.result()
    assert files_below(tmp_path) == {"parent", "child"}
