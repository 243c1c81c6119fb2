"""Filesystems that fail, servers and processes that are killed: what is visible then, and what a sweep clears."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileOpener, LocalFileSystem
from tests.storage.fsspec.conftest import Place
from tests.storage.fsspec.sftp import SftpServer, sftp_server
from tests.storage.kinds import files_below, get, put, staged
from tests.storage.processes import in_a_fork

from uploadkit.errors import KeyRefused, ObjectExists, ObjectMissing, StorageFailed
from uploadkit.storage.contract import ObjectInfo, Sink
from uploadkit.storage.fsspec import FsspecStorage
from uploadkit.testing import assert_no_leaks

INFO = ObjectInfo()

REAL = pytest.mark.parametrize("kind", ["local", pytest.param("sftp", marks=pytest.mark.needs("sshd"))], indirect=True)

# Files that fail


class Files(LocalFileSystem):
    """Local files, each of which is an `Opened`."""

    cachable = False

    def __init__(self, opened: type[LocalFileOpener]) -> None:
        super().__init__()
        self.opened = opened

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> LocalFileOpener:
        return (self.opened if "w" in mode else LocalFileOpener)(path, mode, fs=self, **options)


class ShortWrites(LocalFileOpener):
    """Takes a part of what it is given, and says so."""

    def write(self, data: bytes) -> int:
        return int(self.f.write(data[: len(data) // 2 + 1]))


class LostBytes(LocalFileOpener):
    """Takes a part of what it is given, and says nothing."""

    def write(self, data: bytes) -> None:
        self.f.write(data[:-1])


class NoWrites(LocalFileOpener):
    """Takes nothing."""

    def write(self, data: bytes) -> int:
        return 0


class FailingWrites(LocalFileOpener):
    """As on a disk that is full, with a path in the exception's text."""

    def write(self, data: bytes) -> int:
        raise OSError(28, f"no space for {self.path}")


class FailingClose(LocalFileOpener):
    """Says while it is closed what it could not write."""

    def close(self) -> None:
        self.f.close()
        raise OSError(5, f"{self.path} was not written")


class LostAnswers(LocalFileSystem):
    """Moves a file, or not, and then its connection breaks."""

    cachable = False

    def __init__(self, *, moves: bool) -> None:
        super().__init__()
        self.moves = moves

    def link(self, source: str, target: str, **options: Any) -> None:
        if self.moves:
            self.mv(source, target)
        raise ConnectionResetError


class NoRanges(LocalFileSystem):
    """Gives all of a file, whatever is asked."""

    cachable = False

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> Any:
        return super().cat_file(path)


def over(opened: type[LocalFileOpener], root: Path) -> FsspecStorage:
    """A storage whose files are such."""
    return FsspecStorage(Files(opened), str(root))


def write_all(sink: Sink, data: bytes) -> None:
    """A whole object, which is staged."""
    sink.write(data)
    sink.stage()


def test_what_a_write_did_not_take_is_written_again(tmp_path: Path) -> None:
    """A file may take less than it was given: the object is whole all the same."""
    data = bytes(range(256)) * 100
    storage = over(ShortWrites, tmp_path)
    assert get(storage, put(storage, "key", data)) == data


@pytest.mark.parametrize("opened", [LostBytes, NoWrites, FailingWrites, FailingClose])
def test_what_could_not_be_written_is_never_an_object(opened: type[LocalFileOpener], tmp_path: Path) -> None:
    """Whether the file says so in a write, while it is closed or not at all; and the error's text holds no path."""
    storage = over(opened, tmp_path)
    with assert_no_leaks():
        sink = storage.open("key", INFO)
        with pytest.raises(StorageFailed) as raised:
            write_all(sink, b"data")
        assert str(tmp_path) not in str(raised.value)
        assert not raised.value.retryable
        with pytest.raises(StorageFailed, match="an earlier write failed"):
            sink.write(b"more")
        sink.discard()
        sink.discard()
    assert files_below(tmp_path) == set()


def test_a_commit_whose_answer_is_lost_has_happened(tmp_path: Path) -> None:
    """The connection broke after the move: the object is there, and the commit does not say that it failed."""
    storage = FsspecStorage(LostAnswers(moves=True), str(tmp_path))
    assert staged(storage, "key").commit().size == 4
    assert files_below(tmp_path) == {"key"}


def test_a_commit_that_is_lost_on_its_way_has_not_happened(tmp_path: Path) -> None:
    """The connection broke before the move: nothing is visible, and the same may succeed later."""
    upload = staged(FsspecStorage(LostAnswers(moves=False), str(tmp_path)), "key")
    with pytest.raises(StorageFailed) as raised:
        upload.commit()
    assert raised.value.retryable
    upload.discard()
    assert files_below(tmp_path) == set()


def test_a_filesystem_without_ranges_gives_nothing_rather_than_what_was_not_asked_for(tmp_path: Path) -> None:
    """As that of sshfs, which takes over `sftp://` where it is installed."""
    storage = FsspecStorage(NoRanges(), str(tmp_path))
    put(storage, "key", b"all of it")
    with pytest.raises(StorageFailed):
        b"".join(storage.read("key", 0, 3))
    assert get(storage, "key") == b"all of it"


def test_a_staging_folder_that_is_cleared_away_is_made_again(place: Place) -> None:
    """As by somebody who removes the root of a service that runs."""
    storage = place.storage()
    put(storage, "first")
    place.seen.rm(place.path, recursive=True)
    put(storage, "second")
    assert place.files() == ["second"]


@pytest.mark.parametrize("key", ["object/below", "object/far/below", "folder"])
def test_a_key_with_an_object_or_a_folder_in_its_way_is_refused(place: Place, key: str) -> None:
    """And the object that is there stays. SFTP has no word for what is in the way."""
    storage = place.storage()
    put(storage, "object", b"there before")
    put(storage, "folder/object")
    late = staged(storage, key)
    with pytest.raises((KeyRefused, ObjectExists, StorageFailed)):
        late.commit()
    late.discard()
    with pytest.raises(ObjectMissing):
        storage.stat(key)
    assert get(storage, "object") == b"there before"
    assert place.files() == ["folder/object", "object"]


# Memory


@REAL
def test_memory_does_not_grow_with_the_object(place: Place) -> None:
    """32 MiB, written and read back, need no more than a few blocks."""
    storage = place.storage()
    put(storage, "first")
    tracemalloc.start()
    try:
        sink = storage.open("key", INFO)
        for _ in range(32):
            sink.write(bytes(2**20))
        sink.stage().commit()
        assert sum(map(len, storage.read("key"))) == 32 * 2**20
        assert tracemalloc.get_traced_memory()[1] < 6 * 2**20
    finally:
        tracemalloc.stop()


# A server that is killed


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    """One that can be killed."""
    with sftp_server(tmp_path / "ssh") as server:
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Of the storage on that server."""
    return tmp_path / "root"


def storage_on(server: SftpServer, root: Path, **options: Any) -> FsspecStorage:
    """A storage on a server. The test closes it."""
    return FsspecStorage(server.url(root), options=server.options, **options)


@pytest.mark.needs("sshd")
@pytest.mark.parametrize("moment", ["writing", "staged"])
def test_a_server_that_is_killed_leaves_nothing_visible(server: SftpServer, root: Path, moment: str) -> None:
    """The upload fails, and may succeed later; when the server is back the storage is as well, and a sweep clears."""
    with assert_no_leaks():
        storage = storage_on(server, root)
        put(storage, "before")
        sink = storage.open("key", INFO)
        sink.write(bytes(2**20))
        upload = sink if moment == "writing" else sink.stage()
        server.kill()
        with pytest.raises(StorageFailed) as raised:
            sink.write(bytes(2**20)) if moment == "writing" else upload.commit()  # type: ignore[union-attr]
        assert raised.value.retryable
        assert "127.0.0.1" not in str(raised.value)
        with pytest.raises(StorageFailed):
            upload.discard()
        with pytest.raises(StorageFailed) as raised:
            storage.open("other", INFO)
        assert raised.value.retryable
        server.restart()

        with pytest.raises(ObjectMissing):
            storage.stat("key")
        assert get(storage, put(storage, "after")) == b"data"
        assert len(files_below(root / ".staging")) == 1
        assert storage.sweep() == 0  # it is not old enough
        storage.stale_seconds = 0.001
        assert storage.sweep() == 1
        assert files_below(root) == {"before", "after"}
        storage.close()
        server.kill()  # its own socket and thread were begun here as well


@pytest.mark.needs("sshd")
def test_an_upload_that_was_given_up_while_the_server_was_away_can_be_discarded_when_it_is_back(
    server: SftpServer, root: Path
) -> None:
    """A sink needs no connection of its own to be discarded."""
    storage = storage_on(server, root)
    sink = storage.open("key", INFO)
    sink.write(bytes(2**20))
    server.kill()
    with pytest.raises(StorageFailed):
        sink.write(bytes(2**20))
    server.restart()
    sink.discard()
    assert files_below(root) == set()
    storage.close()


@pytest.mark.needs("sshd")
def test_a_server_that_falls_silent_is_not_waited_for_without_end(
    server: SftpServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a time its connections are taken to be lost, and others are made."""
    monkeypatch.setattr("uploadkit.storage.fsspec.ways.SILENT_SECONDS", 0.5)
    storage = storage_on(server, root)
    sink = storage.open("key", INFO)
    sink.write(b"data")
    server.stop_answering()
    with pytest.raises(StorageFailed) as raised:
        sink.write(bytes(2**20))
    assert raised.value.retryable
    sink.discard()
    assert get(storage, put(storage, "other")) == b"data"
    assert files_below(root) == {"other"}
    storage.close()


@pytest.mark.needs("sshd")
def test_many_uploads_share_few_connections(server: SftpServer, root: Path) -> None:
    """At most as many as were asked for, and all of them end when the storage is closed."""
    with assert_no_leaks():
        storage = storage_on(server, root, connections=2)
        sinks = [storage.open(str(number), INFO) for number in range(6)]
        assert server.connections() == 2
        for sink in sinks:
            sink.write(b"data")
        storage.close()
        for sink in sinks:  # each ends with its last sink
            sink.stage().commit()
        assert files_below(root) == {str(number) for number in range(6)}
        storage.close()
    assert not [thread for thread in threading.enumerate() if "Transport" in type(thread).__name__]


@pytest.mark.needs("sshd")
@pytest.mark.parametrize("wrong", [{"username": "nobody-of-this-name"}, {"key_filename": "/no/such/key"}])
def test_who_is_not_let_in_is_told_so_and_not_to_try_again(
    server: SftpServer, root: Path, wrong: dict[str, str]
) -> None:
    """No user, no host and no path stand in the text."""
    storage = FsspecStorage(server.url(root), options=server.options | wrong)
    with assert_no_leaks(), pytest.raises(StorageFailed, match=r"^the storage could not connect: [\w ]+$") as raised:
        storage.open("key", INFO)
    assert not raised.value.retryable


# Processes that are killed, and forks

SCRIPT = """
import json, sys
from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.fsspec import FsspecStorage
sink = FsspecStorage(sys.argv[1], options=json.loads(sys.argv[2])).open("folder/key", ObjectInfo())
sink.write(bytes(2**20))
if sys.argv[3] == "staged":
    staged = sink.stage()
print("ready", flush=True)
while sys.argv[3] == "writing":
    sink.write(bytes(1000))
sys.stdin.read()
"""


@REAL
@pytest.mark.parametrize("moment", ["writing", "staged"])
def test_a_process_that_is_killed_leaves_no_part_of_an_object(place: Place, moment: str) -> None:
    """kill -9: nothing is visible. What it left is swept when it is old enough, and not before."""
    url, options = place.arguments["url_or_filesystem"], json.dumps(place.arguments.get("options", {}))
    command = [sys.executable, "-c", SCRIPT, url, options, moment]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    storage = place.storage()
    with pytest.raises(ObjectMissing):
        storage.stat("folder/key")
    assert [len(place.files()), len(place.staged())] == [1, 1]
    put(storage, "other")  # the first open sweeps
    assert storage.sweep() == 0
    assert len(place.staged()) == 1
    assert place.storage(stale_seconds=0.001).sweep() == 1
    assert place.files() == ["other"]


def test_a_sweep_takes_neither_live_uploads_of_its_storage_nor_what_no_storage_made(place: Place) -> None:
    """However old: its own uploads are known, and a name that no storage makes is somebody else's."""
    storage = place.storage(stale_seconds=0.001)
    live, sink = staged(storage, "key"), storage.open("other", INFO)
    for name in ("somebody's", "00000000-short"):
        place.seen.pipe_file(f"{place.path}/.staging/{name}", b"x")
    place.seen.pipe_file(f"{place.path}/.staging/00000000-{'0' * 32}", b"x")
    assert storage.sweep() == 1
    assert storage.sweep() == 0
    live.commit()
    sink.stage().commit()
    assert place.files() == [".staging/00000000-short", ".staging/somebody's", "key", "other"]


@REAL
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_connects_for_itself(place: Place) -> None:
    """A worker that is forked in the middle of an upload has connections of its own, and the upload goes on."""
    storage = place.storage()
    sink = storage.open("parent", INFO)
    sink.write(b"begun")
    assert in_a_fork(lambda: f"swept {storage.sweep()}, {put(storage, 'child')}") == "swept 0, child"
    sink.write(b" and ended")
    sink.stage().commit()
    assert get(storage, "parent") == b"begun and ended"
    assert place.files() == ["child", "parent"]


@pytest.mark.needs("sshd")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_filesystem_that_was_given_says_that_it_is_of_no_use_in_a_fork(sftp: SftpServer, tmp_path: Path) -> None:
    """Its connection is its parent's; it would wait without end."""
    from fsspec.implementations.sftp import SFTPFileSystem

    fs = SFTPFileSystem("127.0.0.1", **sftp.options, skip_instance_cache=True)
    storage = FsspecStorage(fs, str(tmp_path))
    put(storage, "parent")
    assert "made before a fork: give the storage a URL" in in_a_fork(lambda: put(storage, "child"))
    storage.close()
    assert fs.exists(str(tmp_path / "parent"))  # whoever made it ends it
    fs.client.close()
