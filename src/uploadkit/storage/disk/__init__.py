"""Objects as files below one folder, on Linux and macOS.

Bytes go into a file without a name (`O_TMPFILE`) where the file system has such, else into a named file in `.staging/`
that is held by `flock` for its whole life: what a sweep can lock belongs to nobody. What comes in several goes is a
named file too, which nobody holds in between. A commit is one `link`, so a name appears with the whole object behind
it and never takes the place of another. Every way is walked from the root name by name and no link is followed, so
nothing outside the root is read, written or removed. Files have mode 0600 from the call that makes them; the umask is
not touched.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from io import BufferedReader, FileIO
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, TypeAlias

from ...errors import KeyRefused, ObjectExists, ObjectMissing, StorageFailed
from ..contract import Buffer, ObjectInfo, Storage, StoredObject
from ..keys import STAGING, check_key, check_upload, is_key
from ..reading import check_range
from .drafts import Draft, NamedDraft, NamelessDraft
from .files import (
    BLOCK_SIZE,
    FOLDER,
    NOFOLLOW,
    NONBLOCK,
    TMPFILE,
    copied,
    enter,
    entered,
    flush,
    look,
    make_folder,
    opened,
    swept,
)
from .partials import Partial

STALE_SECONDS = 24 * 60 * 60

# Under 128 random bits, as the library makes them, there is nothing: to look costs a tenth of a small file's time.
_is_random = re.compile(r"[0-9a-f]{32}(?:\.[a-z0-9]+)?").fullmatch

# These pass by themselves: descriptors and memory come free. A full disk does not: somebody has to make room.
# ENOENT: a folder that another upload gave up, or that was cleared away, is made again by the next attempt.
_PASSING = {
    *(errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EMFILE, errno.ENFILE),
    *(errno.ENOBUFS, errno.ENOENT, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT),
}

# The key is at fault: a link (ELOOP) or a file (ENOTDIR) is in its way, or this file system takes no such name.
_BAD_KEY = {errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EILSEQ}

_Names: TypeAlias = list[str]  # in a class with a method of that name `list` would be the method


class DiskStorage:
    """Keeps objects as files below `root`. Never replaces one; staged objects can be read; a `/` makes folders.

    Nothing is touched before a process's first `open`, which makes the root and sweeps its staging. With `durable` a
    commit and a delete are on the disk when they return, at the price of an `fsync` for the file and for each folder
    on its way. An object is a regular file. Folders made for keys stay when their objects are deleted.

    An object that comes in several goes is `.staging/partial-UPLOAD` until its commit. A sweep removes it when nothing
    was added to it for `stale_seconds` (a day): choose more than the time for which an upload may be resumed.
    """

    reads_staged = True
    exclusive_commit = True

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        durable: bool = False,
        stale_seconds: float = STALE_SECONDS,
        name: str = "disk",
    ) -> None:
        """Raises `RuntimeError` on Windows, `ValueError` where `root` can be no folder."""
        if sys.platform == "win32":
            raise RuntimeError("DiskStorage needs Linux or macOS: Windows has neither flock nor openat")
        if stale_seconds <= 0:
            raise ValueError(f"stale_seconds is more than 0, not {stale_seconds}")
        self.name = name
        self.durable = durable
        self.stale_seconds = stale_seconds
        self._root: str = os.path.abspath(os.fspath(root))  # a later chdir changes nothing
        there = next(filter(os.path.exists, (self._root, *map(str, Path(self._root).parents))))
        if not os.path.isdir(there):
            raise ValueError(f"DiskStorage needs a folder, and {there} is a file")
        self._nameless = False
        self._prepared_by: int | None = None  # a process's id: a fork's copy has to prepare for itself
        self._preparing: dict[int, threading.Lock] = {}  # by process: a fork's copy of a held lock stays held

    @property
    def may_block(self) -> bool:
        return self.durable or self._prepared_by != os.getpid()  # the first `open` sweeps, and may find much

    def open(self, key: str, info: ObjectInfo) -> _Sink:
        check_key(key, storage=self.name)
        try:
            self._prepare()
            if not _is_random(key):
                self._expect_free_way(key)
            return _Sink(self, key, self._draft())
        except OSError as error:
            raise self._failed("open a file", key, error) from error

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """As `Storage.read`; what is missing is said by the call and not by the first `next`."""
        check_range(start, end)
        blocks = self._blocks(self._object(key), key, start, end)
        next(blocks)  # begun, so that blocks which nobody takes close their file too
        return blocks

    def stat(self, key: str) -> StoredObject:
        with self._expecting(key, "look at a file"), self._place_of(key) as (name, folder):
            return _stored(key, look(name, folder))

    def delete(self, key: str) -> None:
        with suppress(ObjectMissing), self._expecting(key, "delete a file"), self._place_of(key) as (name, folder):
            look(name, folder)
            os.unlink(name, dir_fd=folder)
            if self.durable:
                self._flush_folder(folder)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """As `ListsObjects.list`, folder after folder: the names of one are held at a time. Links and what else is no
        object of this storage are not among them."""
        folder, _, _ = prefix.rpartition("/")
        return self._below(folder, prefix) if not folder or is_key(folder) else iter(())

    def copies_from(self, source: Storage) -> bool:
        return isinstance(source, DiskStorage)

    def copy(self, key: str, new_key: str, *, source: Storage | None = None) -> StoredObject:
        """As `CopiesObjects.copy`, by the kernel, and in no time where the file system shares blocks. It is never a
        link: who changes one file by its path does not change the other."""
        source = self if source is None else source
        if not isinstance(source, DiskStorage):
            raise TypeError(f"a disk storage copies from others of its kind, not from {source.name!r}")
        with source._object(key) as original:
            sink = self.open(new_key, ObjectInfo())
            begun: _Sink | _Staged = sink
            try:
                sink.fill(original)
                begun = staged = sink.stage()
                return staged.commit()
            except BaseException:
                with suppress(StorageFailed):  # a sweep removes it
                    begun.discard()
                raise

    def path(self, key: str) -> Path:
        """Where the object of `key` lies. Only the key is looked at: whether the object is there is not said."""
        check_key(key, storage=self.name)
        return Path(self._root, key)

    def begin_partial(self, upload: str, info: ObjectInfo) -> str:
        check_upload(upload)
        with self._translated("begin a file"):
            self._prepare()
            try:
                Partial.begin(self, upload)
            except FileNotFoundError:  # the root is gone
                self._prepare(anew=True)
                Partial.begin(self, upload)
        return "file"

    def partial(self, upload: str, kept: str) -> Partial:
        check_upload(upload)
        with self._translated("open a file"):
            return Partial.found(self, upload)

    def in_staging(self) -> Sequence[str]:
        """As `SweepsStaging.in_staging`: where Linux takes files without a name, only what comes in several goes has
        one."""
        with self._translated("look at the staging folder"):
            try:
                with self._staging() as folder:
                    return os.listdir(folder)
            except FileNotFoundError:
                return []

    def sweep(self) -> int:
        """Removes what dead processes left in staging, and what comes in several goes if nothing was added to it for
        `stale_seconds`; returns how many files. A live upload's file is locked."""
        with self._translated("sweep the staging folder"):
            return self._sweep()

    # Before the first object

    def _draft(self) -> Draft:
        try:
            return self._begun()
        except FileNotFoundError:  # the root is gone
            self._prepare(anew=True)
            return self._begun()

    def _begun(self) -> Draft:
        return NamelessDraft(self) if self._nameless else NamedDraft(self)

    def _prepare(self, *, anew: bool = False) -> None:
        """Once in a process, and again where the root is gone: makes it, sweeps, sees which staging works."""
        process = os.getpid()
        if self._prepared_by == process and not anew:
            return
        with self._preparing.setdefault(process, threading.Lock()):
            if self._prepared_by == process and os.path.isdir(self._root):  # another thread was faster
                return
            self._make_root()
            self._sweep()
            self._nameless = self._links_nameless()
            self._prepared_by = process

    def _make_root(self) -> None:
        root = Path(self._root)
        missing = list(takewhile(lambda folder: not folder.exists(), (root, *root.parents)))
        root.mkdir(parents=True, exist_ok=True)
        if self.durable:
            for folder in missing:
                with entered(folder.parent) as parent:
                    flush(parent)

    def _sweep(self) -> int:
        before = time.time() - self.stale_seconds
        try:
            with self._staging() as folder:
                return sum(swept(name, folder, before) for name in os.listdir(folder))
        except FileNotFoundError:
            return 0

    def _links_nameless(self) -> bool:
        """Tried out, since file systems, sandboxes and a missing /proc each refuse it in their own way."""
        if TMPFILE is None:
            return False
        name = secrets.token_hex(16)
        try:
            with closing(NamelessDraft(self)) as draft, self._staging(make=True) as folder:
                draft.link(name, folder)
                with suppress(FileNotFoundError):  # the sweep of another process was faster
                    os.unlink(name, dir_fd=folder)
        except OSError as error:
            if error.errno in _PASSING - {errno.ENOENT}:
                raise
            return False
        return True

    def _expect_free_way(self, key: str) -> None:
        """Raises `KeyRefused` where a link, a folder or a file is in the way of `key`; an object under it is not."""
        with self._translated("open a file", key, blaming=True):
            try:
                with self._place_of(key) as (name, folder):
                    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                return
            if not stat.S_ISREG(found.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "a link, a folder or a device")

    # Making visible

    def _publish(self, draft: Draft, key: str) -> None:
        """`draft` is visible under `key` and released, or nothing has changed and it can be released."""
        made: list[str] = []
        try:
            with self._translated("publish a file", key, blaming=True), self._place_of(key, made) as (name, folder):
                self._link(draft, key, name, folder)
        except BaseException:
            self._unmake(made)
            raise

    def _link(self, draft: Draft, key: str, name: str, folder: int | None) -> None:
        inode = os.fstat(draft.file)
        try:
            try:
                draft.link(name, folder)
            except FileExistsError as error:
                raise ObjectExists("the object exists already", storage=self.name, key=key) from error
            draft.release()
            if self.durable:
                self._flush_folder(folder)
        except BaseException:
            with suppress(OSError):
                # Told by its inode: what another upload has put under this name is left alone.
                if os.path.samestat(inode, os.stat(name, dir_fd=folder, follow_symlinks=False)):
                    os.unlink(name, dir_fd=folder)
            raise

    def _unmake(self, made: _Names) -> None:
        for path in reversed(made):
            with suppress(OSError), self._place_of(path) as (name, folder):  # one that is in use by now is not empty
                os.rmdir(name, dir_fd=folder)

    # The way from the root to a key

    def _place_of(self, path: str, made: _Names | None = None) -> _Place:
        """The last name of `path` and a descriptor of its folder. With `made` missing folders are made and added."""
        return _Place(self, path, made)

    def _reached(self, names: _Names, made: _Names | None) -> int:
        """A descriptor of a folder, reached without following a link. The caller closes it."""
        folder = os.open(self._root, FOLDER)
        try:
            for depth, name in enumerate(names, start=1):
                if made is not None:
                    if make_folder(name, folder):
                        made.append("/".join(names[:depth]))
                    if self.durable:  # one that was there may be another upload's that has not flushed it yet
                        flush(folder)
                folder, left = enter(name, folder), folder
                os.close(left)
        except BaseException:
            os.close(folder)
            raise
        return folder

    @contextmanager
    def _staging(self, *, make: bool = False) -> Generator[int]:
        folder = self._reached([STAGING], [] if make else None)
        try:
            yield folder
        finally:
            os.close(folder)

    def _flush_folder(self, folder: int | None) -> None:
        if folder is not None:
            flush(folder)
            return
        with entered(self._root) as root:
            flush(root)

    # Reading

    def _object(self, key: str) -> FileIO:
        with self._expecting(key, "open a file"), self._place_of(key) as (name, folder):
            return opened(name, os.O_RDONLY | NOFOLLOW | NONBLOCK, folder)

    def _below(self, folder: str, prefix: str) -> Iterator[StoredObject]:
        folders = [folder]
        while folders:
            folder = folders.pop()
            for name, found in self._inside(folder):
                key = f"{folder}/{name}" if folder else name
                if not is_key(key):
                    continue
                if stat.S_ISDIR(found.st_mode) and f"{key}/".startswith(prefix):
                    folders.append(key)
                elif stat.S_ISREG(found.st_mode) and key.startswith(prefix):
                    yield _stored(key, found)

    def _inside(self, path: str) -> Iterator[tuple[str, os.stat_result]]:
        """What is in a folder now. Nothing is, where it is gone or was none."""
        with self._translated("list a folder"):
            try:
                folder = self._reached(path.split("/") if path else [], None)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    return
                raise
            try:
                for name in os.listdir(folder):
                    with suppress(FileNotFoundError):  # it was deleted meanwhile
                        yield name, os.stat(name, dir_fd=folder, follow_symlinks=False)
            finally:
                os.close(folder)

    def _blocks(self, file: FileIO, key: str, start: int, end: int | None) -> Iterator[bytes]:
        with file:
            yield b""  # for `read` alone
            with self._translated("read a file", key):
                size = os.fstat(file.fileno()).st_size
            end = size if end is None else min(end, size)  # what is asked may be more than the system can count
            while start < end:
                with self._translated("read a file", key):
                    block = os.pread(file.fileno(), min(BLOCK_SIZE, end - start), start)
                if not block:  # somebody has cut the file
                    return
                start += len(block)
                yield block

    # Errors

    @contextmanager
    def _expecting(self, key: str, doing: str) -> Generator[None]:
        check_key(key, storage=self.name)
        with self._translated(doing, key, blaming=True):
            try:
                yield
            except (FileNotFoundError, NotADirectoryError) as error:  # or a file stands where the key has a folder
                raise ObjectMissing("there is no such object", storage=self.name, key=key) from error

    def _translated(self, doing: str, key: str | None = None, *, blaming: bool = False) -> _Translated:
        return _Translated(self, doing, key, blaming=blaming)

    def _failed(self, doing: str, key: str | None, error: OSError) -> StorageFailed:
        # The system's own words for the number: those of the exception may hold a path.
        reason = os.strerror(error.errno) if error.errno else "unknown reason"
        passing = error.errno in _PASSING
        return StorageFailed(f"the storage could not {doing}: {reason}", storage=self.name, key=key, retryable=passing)


class _Place:
    """A name and a descriptor of the folder that it is in, as the calls of the system take them.

    A key without folders has none on its way that could be a link: its name is a path then, and needs no descriptor.
    """

    __slots__ = ("_folder", "_made", "_path", "_storage")

    def __init__(self, storage: DiskStorage, path: str, made: list[str] | None) -> None:
        self._storage = storage
        self._path = path
        self._made = made
        self._folder: int | None = None

    def __enter__(self) -> tuple[str, int | None]:
        if "/" not in self._path:
            return f"{self._storage._root}/{self._path}", None
        *folders, name = self._path.split("/")
        self._folder = self._storage._reached(folders, self._made)
        return name, self._folder

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if self._folder is not None:
            os.close(self._folder)


class _Translated:
    """Translates the system's errors, and with `blaming` blames the key for those that are its fault.

    A class, and no generator: it is entered several times for every file.
    """

    __slots__ = ("_blaming", "_doing", "_key", "_storage")

    def __init__(self, storage: DiskStorage, doing: str, key: str | None, *, blaming: bool) -> None:
        self._storage = storage
        self._doing = doing
        self._key = key
        self._blaming = blaming

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if not isinstance(error, OSError):
            return
        if self._blaming and error.errno in _BAD_KEY:
            text = "the storage key has a link, a folder or a file in its way, or is no name here"
            raise KeyRefused(text, storage=self._storage.name, key=self._key) from error
        raise self._storage._failed(self._doing, self._key, error) from error


class _Sink:
    def __init__(self, storage: DiskStorage, key: str, draft: Draft) -> None:
        self._storage = storage
        self._key = key
        self._draft: Draft | None = draft
        self._size = 0
        self._broken = False

    def write(self, data: Buffer) -> None:
        file = self._writable().file
        self._broken = True  # until all of it is down, whatever may come in between
        try:
            written = os.write(file, data)
            self._size += written
            rest = memoryview(data).nbytes - written
            while rest:
                written = os.write(file, memoryview(data).cast("B")[-rest:])
                self._size += written
                rest -= written
        except OSError as error:
            raise self._storage._failed("write a file", self._key, error) from error
        self._broken = False

    def fill(self, original: FileIO) -> None:
        """Writes all of a file."""
        file = self._writable().file
        self._broken = True
        try:
            self._size += copied(original.fileno(), file)
        except OSError as error:
            raise self._storage._failed("copy a file", self._key, error) from error
        self._broken = False

    def stage(self) -> _Staged:
        draft = self._writable()
        self._broken = True
        try:
            # Closing a copy makes network file systems say now, and not after the commit, what they could not write.
            os.close(os.dup(draft.file))
            if self._storage.durable:
                flush(draft.file)
        except OSError as error:
            raise self._storage._failed("write a file", self._key, error) from error
        self._draft = None
        return _Staged(self._storage, self._key, draft, self._size)

    def discard(self) -> None:
        draft, self._draft = self._draft, None
        if draft is not None:
            with self._storage._translated("discard a file", self._key):
                draft.release()

    def _writable(self) -> Draft:
        if self._draft is None:
            raise RuntimeError("the sink was staged or discarded")
        if self._broken:
            text = "the storage could not write a file: an earlier write failed"
            raise StorageFailed(text, storage=self._storage.name, key=self._key)
        return self._draft


class _Staged:
    def __init__(self, storage: DiskStorage, key: str, draft: Draft, size: int) -> None:
        self._storage = storage
        self._draft: Draft | None = draft
        self._object = StoredObject(key=key, size=size)

    def open(self) -> BinaryIO:
        with self._storage._translated("open a file", self._object.key):
            return BufferedReader(self._held().reopened())

    def commit(self) -> StoredObject:
        self._storage._publish(self._held(), self._object.key)
        self._draft = None
        return self._object

    def discard(self) -> None:
        draft, self._draft = self._draft, None
        if draft is not None:
            with self._storage._translated("discard a file", self._object.key):
                draft.release()

    def _held(self) -> Draft:
        if self._draft is None:
            raise RuntimeError("the staged object was committed or discarded")
        return self._draft


def _stored(key: str, found: os.stat_result) -> StoredObject:
    return StoredObject(key=key, size=found.st_size, modified=datetime.fromtimestamp(found.st_mtime, UTC))
