"""Objects on any filesystem of fsspec: SFTP, a bucket, memory, a folder.

Bytes go into `.staging/` below the root under a random name. A commit moves them to their key, in the way in which
that filesystem moves whole or not at all; where it can refuse a name that is taken, the move is one that does. Never
`with fs.open(...)` around the writing: an exception inside it would close the file and publish half an object. And
never `autocommit=False`: fsspec's local files and those of SFTP wait in `/tmp` then, from where a move may be a copy.

fsspec is imported when a storage is made, never by `import uploadkit`.
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from ...errors import KeyRefused, ObjectExists, ObjectMissing, StorageError, StorageFailed
from ..contract import Buffer, ObjectInfo, Storage, StoredObject
from ..keys import STAGING, check_key, is_key
from ..reading import check_range
from .connections import Connection, Pools, class_of, filesystem_of, giver, maker
from .ways import copied, info_of, leave, make_folder, way_of, way_of_given

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

BLOCK_SIZE = 2**20

STALE_SECONDS = 24 * 60 * 60

# A connection or a lack that passes by itself. Not a full disk: somebody has to make room.
_PASSING = {
    *(errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ESTALE),
    *(errno.EPIPE, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH),
    *(errno.ETIMEDOUT, errno.EBADF),  # EBADF: the file was closed with its connection
}

# What is wrong with a call, and would be with every connection.
_MISTAKES = (AttributeError, LookupError, NotImplementedError, TypeError, ValueError)

# The names in staging say when they were made, in seconds of this machine's clock: a filesystem of fsspec has no locks,
# and not each one has times.
_staging_name = re.compile(r"([0-9a-f]{8,12})-[0-9a-f]{32}").fullmatch


class FsspecStorage:
    """Keeps objects below a URL of fsspec, or below `root` of a filesystem that is given.

    Of a URL the storage makes filesystems of its own with `options`, in each process after a fork anew, and again where
    a connection was lost. Where one serves a single thread, as SFTP does, there are up to `connections`, each used by
    one thread at a time. A filesystem that is given is used as it is: it is not connected again, and has to be made
    after a fork.

    `exclusive_commit` is true where a move refuses a name that is taken: local files and SFTP. Elsewhere a commit
    replaces what is there: names at random, as the library makes them, never meet. Staged objects can be read. It
    copies where the filesystem does, which SFTP does not, also from another storage over the same filesystem.

    Nothing is touched before a process's first `open`, which makes the staging folder and sweeps it. A sweep takes what
    is older than `stale_seconds` and not this storage's own: choose more than your longest upload can last. Links that
    stand below the root are followed, but not listed.
    """

    may_block = True
    reads_staged = True

    def __init__(
        self,
        url_or_filesystem: str | AbstractFileSystem,
        root: str | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        connections: int = 4,
        stale_seconds: float = STALE_SECONDS,
        name: str = "fsspec",
    ) -> None:
        """Raises `ModuleNotFoundError` without fsspec, `ImportError` without what the filesystem needs, `TypeError` for
        one that cannot move a file."""
        self.name = name
        self.stale_seconds = stale_seconds
        if connections < 1 or stale_seconds <= 0:
            raise ValueError("connections and stale_seconds are more than 0")
        self._given_to: int | None = None  # a process's id, where a filesystem that was given is of no use in a fork
        if isinstance(url_or_filesystem, str):
            if root is not None:
                raise TypeError("the root is a part of the URL: FsspecStorage('sftp://host/srv/uploads')")
            self._way = way_of(class_of(url_or_filesystem))
            make = maker(url_or_filesystem, dict(options or {}), self._way)
            self._filesystem: object = filesystem_of(url_or_filesystem, dict(options or {}))
            self._pools = Pools(make, self._way, 1 if self._way.shared else connections)
        else:
            if root is None or options is not None:
                raise TypeError("a filesystem has its options, and needs a root: FsspecStorage(filesystem, '/uploads')")
            self._way = replace(way_of_given(url_or_filesystem), end=leave)  # it is not ours to end
            self._filesystem = url_or_filesystem
            self._given_to = None if self._way.forks else os.getpid()
            self._pools = Pools(giver(url_or_filesystem, root), self._way, 1)
        self._prepared_by: int | None = None  # a process's id: a fork's copy has to prepare for itself
        self._preparing: dict[int, threading.Lock] = {}  # by process: a fork's copy of a held lock stays held
        self._live: set[str] = set()  # the names in staging that are not given up

    @property
    def exclusive_commit(self) -> bool:
        return self._way.exclusive

    def open(self, key: str, info: ObjectInfo) -> _Sink:
        check_key(key, storage=self.name)
        self._prepare()
        return _Sink(self, key)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """As `Storage.read`; what is missing is said by the call and not by the first `next`. No file is held open:
        every block is asked for by itself."""
        check_range(start, end)
        size = self.stat(key).size
        return self._blocks(key, key, start, size if end is None else min(end, size))

    def stat(self, key: str) -> StoredObject:
        check_key(key, storage=self.name)
        found = self._look(key, key)
        if found is None:
            raise ObjectMissing("there is no such object", storage=self.name, key=key)
        return _stored(key, found)

    def delete(self, key: str) -> None:
        check_key(key, storage=self.name)
        if self._size(key, key) is not None:
            self._remove(key, key, "delete a file")

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """As `ListsObjects.list`, one folder after the other: what is in one is held at a time."""
        folder, _, _ = prefix.rpartition("/")
        return self._below(folder, prefix) if not folder or is_key(folder) else iter(())

    def copies_from(self, source: Storage) -> bool:
        if not isinstance(source, FsspecStorage):
            return False
        return self._way.copies and (source is self or source._filesystem == self._filesystem)

    def copy(self, key: str, new_key: str, *, source: Storage | None = None) -> StoredObject:
        """As `CopiesObjects.copy`, into staging and on from there. What is known of an object beside its bytes is as
        the filesystem copies it."""
        source = self if source is None else source
        if not self.copies_from(source) or not isinstance(source, FsspecStorage):
            raise TypeError(f"storage {self.name!r} cannot copy from {source.name!r}: see copies_from")
        original = source.stat(key)
        check_key(new_key, storage=self.name)
        self._prepare()
        staged = _Staged(self, new_key, _staging_name_now(), original.size)
        try:
            staged.copy(source, original)
            return staged.commit()
        except BaseException:
            with suppress(StorageFailed):  # a sweep removes it
                staged.discard()
            raise

    def in_staging(self) -> Sequence[str]:
        with self._using("look at the staging folder") as (fs, root):
            try:
                return [str(name).rpartition("/")[2] for name in fs.ls(f"{root}/{STAGING}", detail=False)]
            except FileNotFoundError:
                return []

    def sweep(self) -> int:
        """Removes what was begun in staging more than `stale_seconds` ago and is not this storage's own; returns how
        many files. An upload of another process that takes longer than that is lost: its commit fails."""
        before = time.time() - self.stale_seconds
        dead = [name for name in self.in_staging() if self._dead(name, before)]
        return sum(self._remove(f"{STAGING}/{name}", None, "sweep a file") for name in dead)

    def close(self) -> None:
        """Ends this process's connections, those in use with their last sink. The next call connects again."""
        self._pools.close()

    def _dead(self, name: str, before: float) -> bool:
        matched = _staging_name(name)
        return matched is not None and int(matched[1], 16) <= before and name not in self._live

    # Before the first object

    def _prepare(self) -> None:
        """Once in a process: makes the staging folder and sweeps it."""
        process = os.getpid()
        if self._prepared_by == process:
            return
        with self._preparing.setdefault(process, threading.Lock()):
            if self._prepared_by == process:  # another thread was faster
                return
            with self._using("make the staging folder") as (fs, root):
                make_folder(fs, f"{root}/{STAGING}")
            self.sweep()
            self._prepared_by = process

    # What the filesystem is asked. A path is below the root: a key, or a name in staging.

    def _look(self, path: str, key: str | None) -> Mapping[str, Any] | None:
        """What is known of a file. None where there is none."""
        with self._using("look at a file", key) as (fs, root):
            found = info_of(fs, f"{root}/{path}")
        return found if found is not None and found["type"] == "file" else None

    def _size(self, path: str, key: str | None) -> int | None:
        """The bytes of a file. None where there is none."""
        found = self._look(path, key)
        return None if found is None else int(found["size"])

    def _below(self, folder: str, prefix: str) -> Iterator[StoredObject]:
        folders = [folder]
        while folders:
            folder = folders.pop()
            for found in self._inside(folder):
                name = str(found["name"]).rstrip("/").rpartition("/")[2]
                key = f"{folder}/{name}" if folder else name
                if found.get("islink") or not is_key(key):
                    continue
                if found["type"] == "directory" and f"{key}/".startswith(prefix):
                    folders.append(key)
                elif found["type"] == "file" and key.startswith(prefix):
                    yield _stored(key, found)

    def _inside(self, folder: str) -> Sequence[Mapping[str, Any]]:
        """What is in a folder now. Nothing is, where it is gone or was none."""
        with self._using("list a folder") as (fs, root):
            path = f"{root}/{folder}" if folder else root or fs.root_marker
            for last in (False, False, True):
                found = info_of(fs, path)
                if found is None or found["type"] != "directory":
                    return ()
                try:
                    return list(fs.ls(path, detail=True))
                except FileNotFoundError:  # it is gone, or only something in it while it was being listed
                    if last:
                        raise
        return ()

    def _remove(self, path: str, key: str | None, doing: str) -> bool:
        """Whether it was there."""
        with self._using(doing, key) as (fs, root):
            try:
                fs.rm_file(f"{root}/{path}")
            except FileNotFoundError:
                return False
        return True

    def _blocks(self, path: str, key: str, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            block = self._block(path, key, start, min(end, start + BLOCK_SIZE))
            start += len(block)
            yield block

    def _block(self, path: str, key: str, start: int, end: int) -> bytes:
        with self._using("read a file", key) as (fs, root):
            block = bytes(fs.cat_file(f"{root}/{path}", start=start, end=end))
            if not 0 < len(block) <= end - start:  # somebody has cut the file; or the filesystem knows no ranges
                raise OSError(errno.EIO, f"{len(block)} bytes were read in place of {end - start}")
        return block

    def _publish(self, name: str, key: str) -> None:
        """What lies in staging is visible under `key`, or nothing has changed."""
        with self._using("publish a file", key) as (fs, root):
            folder, _, _ = key.rpartition("/")
            try:
                if folder:
                    make_folder(fs, f"{root}/{folder}")
                self._way.move(fs, f"{root}/{STAGING}/{name}", f"{root}/{key}")
            except FileExistsError as error:
                raise ObjectExists("the object exists already", storage=self.name, key=key) from error
            except (IsADirectoryError, NotADirectoryError) as error:
                text = "the storage key has a file or a folder in its way"
                raise KeyRefused(text, storage=self.name, key=key) from error

    def _was_published(self, name: str, staged: StoredObject) -> bool:
        """Whether a move was made whose answer got lost with the connection."""
        with suppress(StorageFailed):
            return self._size(f"{STAGING}/{name}", None) is None and self._size(staged.key, None) == staged.size
        return False

    # Connections and errors

    @contextmanager
    def _using(self, doing: str, key: str | None = None) -> Generator[tuple[Any, str]]:
        """A filesystem for one call of this thread alone, and its root."""
        connection = self._taken(key)
        try:
            with self._translated(connection, doing, key), connection.lock:
                connection.fs.invalidate_cache()  # others have been there, with caches of their own
                yield connection.fs, connection.root
        finally:
            self._pools.give_back(connection)

    def _taken(self, key: str | None) -> Connection:
        if self._given_to not in (None, os.getpid()):
            raise RuntimeError("the filesystem was made before a fork: give the storage a URL, or make both after it")
        try:
            return self._pools.take()
        except (TypeError, ValueError):  # options that the filesystem does not know
            raise
        except Exception as error:
            # What is none of these is about who we are: another user, another host key.
            refused = isinstance(error, OSError) and (error.errno is None or _is_passing(error))
            passing = refused or isinstance(error, EOFError)
            raise self._failed("connect", key, error, retryable=passing) from error

    @contextmanager
    def _translated(self, connection: Connection, doing: str, key: str | None) -> Generator[None]:
        try:
            yield
        except StorageError:
            raise
        except Exception as error:
            passing = _is_passing(error) or (_says_nothing(error) and connection.is_dead())
            connection.broken |= passing
            raise self._failed(doing, key, error, retryable=passing) from error

    def _failed(self, doing: str, key: str | None, error: Exception, *, retryable: bool) -> StorageFailed:
        # The system's own words for a number, or the kind of the exception: its own words may hold a path.
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number else type(error).__name__
        return StorageFailed(
            f"the storage could not {doing}: {reason}", storage=self.name, key=key, retryable=retryable
        )


class _Sink:
    """A file that is open in staging. It stays with the connection on which it was opened."""

    def __init__(self, storage: FsspecStorage, key: str) -> None:
        self._storage = storage
        self._key = key
        self._name = _staging_name_now()
        self._size = 0
        self._broken = True
        self._file: Any = None
        self._connection: Connection | None = storage._taken(key)
        storage._live.add(self._name)
        try:
            with self._working("open a file") as connection:
                self._file = connection.opened(f"{STAGING}/{self._name}")
        except BaseException:
            with suppress(StorageFailed):
                self.discard()
            raise
        self._broken = False

    def write(self, data: Buffer) -> None:
        self._expect_writable()
        self._broken = True  # until all of it is down, whatever may come in between
        rest = bytes(data)  # a copy: what a filesystem keeps of it nobody knows
        with self._working("write a file"):
            while rest:
                written = self._file.write(rest)
                if written == 0:
                    raise OSError(errno.EIO, "nothing was written")
                written = len(rest) if written is None else written
                self._size += written
                rest = rest[written:]
        self._broken = False

    def stage(self) -> _Staged:
        self._expect_writable()
        self._broken = True
        with self._working("write a file"):
            self._file.close()
        # Asked, and not believed: paramiko, for one, keeps silent about what goes wrong while it closes a file.
        size = self._storage._size(f"{STAGING}/{self._name}", self._key)
        if size != self._size:
            text = f"the storage could not write a file: of {self._size} bytes {size or 0} are there"
            raise StorageFailed(text, storage=self._storage.name, key=self._key)
        self._let_go()
        return _Staged(self._storage, self._key, self._name, self._size)

    def discard(self) -> None:
        if self._connection is None:
            return
        try:
            with suppress(StorageFailed), self._working("close a file"):
                if self._file is not None:
                    self._file.close()
            self._storage._remove(f"{STAGING}/{self._name}", self._key, "discard a file")
        finally:
            self._let_go()
            self._storage._live.discard(self._name)

    @contextmanager
    def _working(self, doing: str) -> Generator[Connection]:
        connection = self._connection
        if connection is None:
            raise RuntimeError("the sink was staged or discarded")
        with self._storage._translated(connection, doing, self._key), connection.lock:
            yield connection

    def _let_go(self) -> None:
        connection, self._connection, self._file = self._connection, None, None
        if connection is not None:
            self._storage._pools.give_back(connection)

    def _expect_writable(self) -> None:
        if self._connection is None:
            raise RuntimeError("the sink was staged or discarded")
        if self._broken:
            text = "the storage could not write a file: an earlier write failed"
            raise StorageFailed(text, storage=self._storage.name, key=self._key)


class _Staged:
    def __init__(self, storage: FsspecStorage, key: str, name: str, size: int) -> None:
        self._storage = storage
        self._name: str | None = name
        self._object = StoredObject(key=key, size=size)

    def open(self) -> BinaryIO:
        raw = _StagedFile(self._storage, f"{STAGING}/{self._held()}", self._object)
        return io.BufferedReader(raw, BLOCK_SIZE)

    def copy(self, source: FsspecStorage, original: StoredObject) -> None:
        """Puts a copy of an object into staging."""
        storage, name = self._storage, self._held()
        with source._using("look at a file", original.key) as (_, root):
            path = f"{root}/{original.key}"
        storage._live.add(name)
        with storage._using("copy a file", self._object.key) as (fs, root):
            copied(fs, path, f"{root}/{STAGING}/{name}")
        size = storage._size(f"{STAGING}/{name}", self._object.key)
        if size != original.size:
            source.stat(original.key)  # it may have been deleted meanwhile
            text = f"the storage could not copy a file: of {original.size} bytes {size or 0} are there"
            raise StorageFailed(text, storage=storage.name, key=self._object.key)

    def commit(self) -> StoredObject:
        name = self._held()
        try:
            self._storage._publish(name, self._object.key)
        except StorageFailed as error:
            if not (error.retryable and self._storage._was_published(name, self._object)):
                raise
        self._storage._live.discard(name)
        self._name = None
        return self._object

    def discard(self) -> None:
        name, self._name = self._name, None
        if name is not None:
            try:
                self._storage._remove(f"{STAGING}/{name}", self._object.key, "discard a file")
            finally:
                self._storage._live.discard(name)

    def _held(self) -> str:
        if self._name is None:
            raise RuntimeError("the staged object was committed or discarded")
        return self._name


class _StagedFile(io.RawIOBase):
    """Asks for each block by itself: a file of the filesystem could not be read beside others of its connection."""

    def __init__(self, storage: FsspecStorage, path: str, staged: StoredObject) -> None:
        self._storage = storage
        self._path = path
        self._staged = staged
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._staged.size}[whence]
        if at < 0:
            raise ValueError(f"there is nothing before the beginning: {at}")
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._at + BLOCK_SIZE, self._staged.size)
        if end <= self._at:
            return 0
        block = self._storage._block(self._path, self._staged.key, self._at, end)
        buffer[: len(block)] = block
        self._at += len(block)
        return len(block)


# When a file was written, as SFTP and local files say it, Azure, S3, Google, and memory.
_TIMES = ("mtime", "last_modified", "LastModified", "updated", "created")


def _stored(key: str, found: Mapping[str, Any]) -> StoredObject:
    time = next((found[name] for name in _TIMES if found.get(name)), None)
    return StoredObject(key=key, size=int(found["size"]), modified=_as_datetime(time))


def _as_datetime(time: object) -> datetime | None:
    """Seconds, a text of ISO 8601, or a datetime, which is in UTC where it says nothing else."""
    if isinstance(time, int | float):
        return datetime.fromtimestamp(time, UTC)
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return None
    if not isinstance(time, datetime):
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _staging_name_now() -> str:
    return f"{int(time.time()):08x}-{secrets.token_hex(16)}"


def _is_passing(error: Exception) -> bool:
    """Whether it is the connection's, and another one may do better."""
    if isinstance(error, OSError):
        return isinstance(error, (ConnectionError, TimeoutError)) or error.errno in _PASSING
    return not isinstance(error, _MISTAKES)


def _says_nothing(error: Exception) -> bool:
    """paramiko has no number for "Socket is closed", and none for "Failure"."""
    return type(error) is OSError and error.errno is None
