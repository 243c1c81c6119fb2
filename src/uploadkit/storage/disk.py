"""Objects as files below one folder, on Linux and macOS.

Bytes go into a file without a name (`O_TMPFILE`) where the file system has such, else into a named file in `.staging/`
that is held by `flock` for its whole life: what a sweep can lock belongs to nobody. A commit is one `link`, so a name
appears with the whole object behind it and never takes the place of another. Every way is walked from the root name
by name and no link is followed, so nothing outside the root is read, written or removed. Files have mode 0600 from
the call that makes them; the umask is not touched.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from io import BufferedReader, FileIO
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, TypeAlias

from ..errors import KeyRefused, ObjectExists, ObjectMissing, StorageFailed
from .contract import Buffer, ObjectInfo, Storage, StoredObject
from .keys import STAGING, check_key, is_key
from .reading import check_range

if sys.platform != "win32":
    import fcntl

BLOCK_SIZE = 2**20

_COPY_SIZE = 2**26  # what the kernel copies in one call, which nothing interrupts

# By getattr what Windows lacks: this module can be imported there, and says why it cannot be used.
_NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)  # a pipe that somebody put in our way would wait for its other end
_FOLDER: int = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_TMPFILE: int | None = getattr(os, "O_TMPFILE", None)  # Linux only
_OWN_DESCRIPTORS = "/proc/self/fd"

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

# The kernel cannot copy between these two files by itself.
_CANNOT_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}

# In staging, but gone by now or nothing that this storage made.
_NOT_OURS = {errno.ENOENT, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES, errno.EPERM}

_Names: TypeAlias = list[str]  # in a class with a method of that name `list` would be the method


class DiskStorage:
    """Keeps objects as files below `root`. Never replaces one; staged objects can be read; a `/` makes folders.

    Nothing is touched before a process's first `open`, which makes the root and sweeps its staging. With `durable` a
    commit and a delete are on the disk when they return, at the price of an `fsync` for the file and for each folder
    on its way. An object is a regular file. Folders made for keys stay when their objects are deleted.
    """

    reads_staged = True
    exclusive_commit = True

    def __init__(self, root: str | os.PathLike[str], *, durable: bool = False, name: str = "disk") -> None:
        if sys.platform == "win32":
            raise RuntimeError("DiskStorage needs Linux or macOS: Windows has neither flock nor openat")
        self.name = name
        self.durable = durable
        self._root: str = os.path.abspath(os.fspath(root))  # a later chdir changes nothing
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
            return _stored(key, _look(name, folder))

    def delete(self, key: str) -> None:
        with suppress(ObjectMissing), self._expecting(key, "delete a file"), self._place_of(key) as (name, folder):
            _look(name, folder)
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

    def in_staging(self) -> Sequence[str]:
        """As `SweepsStaging.in_staging`. Where Linux takes files without a name, uploads have none."""
        with self._translated("look at the staging folder"):
            try:
                with self._staging() as folder:
                    return os.listdir(folder)
            except FileNotFoundError:
                return []

    def sweep(self) -> int:
        """Removes what dead processes left in staging; returns how many files. A live upload's file is locked."""
        with self._translated("sweep the staging folder"):
            return self._sweep()

    # Before the first object

    def _draft(self) -> _Draft:
        try:
            return self._begun()
        except FileNotFoundError:  # the root is gone
            self._prepare(anew=True)
            return self._begun()

    def _begun(self) -> _Draft:
        return _NamelessDraft(self) if self._nameless else _NamedDraft(self)

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
                with _entered(folder.parent) as parent:
                    _flush(parent)

    def _sweep(self) -> int:
        try:
            with self._staging() as folder:
                return sum(_swept(name, folder) for name in os.listdir(folder))
        except FileNotFoundError:
            return 0

    def _links_nameless(self) -> bool:
        """Tried out, since file systems, sandboxes and a missing /proc each refuse it in their own way."""
        if _TMPFILE is None:
            return False
        name = secrets.token_hex(16)
        try:
            with closing(_NamelessDraft(self)) as draft, self._staging(make=True) as folder:
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

    def _publish(self, draft: _Draft, key: str) -> None:
        """`draft` is visible under `key` and released, or nothing has changed and it can be released."""
        made: list[str] = []
        try:
            with self._translated("publish a file", key, blaming=True), self._place_of(key, made) as (name, folder):
                self._link(draft, key, name, folder)
        except BaseException:
            self._unmake(made)
            raise

    def _link(self, draft: _Draft, key: str, name: str, folder: int | None) -> None:
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
        folder = os.open(self._root, _FOLDER)
        try:
            for depth, name in enumerate(names, start=1):
                if made is not None:
                    if _make_folder(name, folder):
                        made.append("/".join(names[:depth]))
                    if self.durable:  # one that was there may be another upload's that has not flushed it yet
                        _flush(folder)
                folder, left = _enter(name, folder), folder
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
            _flush(folder)
            return
        with _entered(self._root) as root:
            _flush(root)

    # Reading

    def _object(self, key: str) -> FileIO:
        with self._expecting(key, "open a file"), self._place_of(key) as (name, folder):
            return _opened(name, os.O_RDONLY | _NOFOLLOW | _NONBLOCK, folder)

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
    def __init__(self, storage: DiskStorage, key: str, draft: _Draft) -> None:
        self._storage = storage
        self._key = key
        self._draft: _Draft | None = draft
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
            self._size += _copied(original.fileno(), file)
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
                _flush(draft.file)
        except OSError as error:
            raise self._storage._failed("write a file", self._key, error) from error
        self._draft = None
        return _Staged(self._storage, self._key, draft, self._size)

    def discard(self) -> None:
        draft, self._draft = self._draft, None
        if draft is not None:
            with self._storage._translated("discard a file", self._key):
                draft.release()

    def _writable(self) -> _Draft:
        if self._draft is None:
            raise RuntimeError("the sink was staged or discarded")
        if self._broken:
            text = "the storage could not write a file: an earlier write failed"
            raise StorageFailed(text, storage=self._storage.name, key=self._key)
        return self._draft


class _Staged:
    def __init__(self, storage: DiskStorage, key: str, draft: _Draft, size: int) -> None:
        self._storage = storage
        self._draft: _Draft | None = draft
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

    def _held(self) -> _Draft:
        if self._draft is None:
            raise RuntimeError("the staged object was committed or discarded")
        return self._draft


class _Draft(ABC):
    """A file that is not visible yet. An abandoned one is closed with its last reference."""

    file: int = -1  # its descriptor, while it is open

    @abstractmethod
    def reopened(self) -> FileIO:
        """Its bytes once more, with a position of their own."""

    @abstractmethod
    def link(self, name: str, folder: int | None) -> None: ...

    @abstractmethod
    def release(self) -> None:
        """Closes it and leaves no other name than what it was linked to. Idempotent."""

    def close(self) -> None:
        file, self.file = self.file, -1
        if file >= 0:
            os.close(file)

    def __del__(self) -> None:
        self.close()


class _NamelessDraft(_Draft):
    """The kernel frees it with its last descriptor, so there is nothing to sweep."""

    def __init__(self, storage: DiskStorage) -> None:
        self.file = _made(storage._root, _TMPFILE or 0)

    def reopened(self) -> FileIO:
        return _opened(f"{_OWN_DESCRIPTORS}/{self.file}", os.O_RDONLY)

    def link(self, name: str, folder: int | None) -> None:
        # With a descriptor Python calls linkat, which follows the magic link; without one it calls link, and that would
        # be a link to another file system. Which descriptor is all the same, since the path is absolute.
        source = f"{_OWN_DESCRIPTORS}/{self.file}"
        os.link(source, name, src_dir_fd=self.file, dst_dir_fd=folder, follow_symlinks=True)

    def release(self) -> None:
        self.close()


class _NamedDraft(_Draft):
    """Named at random in `.staging/` and locked."""

    def __init__(self, storage: DiskStorage) -> None:
        self._storage = storage
        with storage._staging(make=True) as folder:
            while not self._created(folder):
                pass  # only while a sweep comes across each new name: the next one is new again

    def _created(self, folder: int) -> bool:
        """Makes and locks the file. False where a sweep was there between the two and took it."""
        self._name = secrets.token_hex(16)
        self.file = _made(self._name, os.O_CREAT | os.O_EXCL | _NOFOLLOW, folder)
        try:
            with suppress(BlockingIOError, FileNotFoundError):
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                named = os.stat(self._name, dir_fd=folder, follow_symlinks=False)
                return os.path.samestat(named, os.fstat(self.file))
        except BaseException:
            self.release()
            raise
        self.release()
        return False

    def reopened(self) -> FileIO:
        with self._storage._staging() as folder:
            return _opened(self._name, os.O_RDONLY | _NOFOLLOW, folder)

    def link(self, name: str, folder: int | None) -> None:
        with self._storage._staging() as staging:
            os.link(self._name, name, src_dir_fd=staging, dst_dir_fd=folder, follow_symlinks=False)

    def release(self) -> None:
        try:
            # By its path: it has to work when descriptors have run out, and nothing else has this random name.
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self._storage._root, STAGING, self._name))
        finally:
            self.close()


def _made(name: str, flags: int, folder: int | None = None) -> int:
    return os.open(name, os.O_RDWR | flags, 0o600, dir_fd=folder)


def _opened(name: str, flags: int, folder: int | None = None) -> FileIO:
    """A regular file that is there already; what is none is not there."""
    file = os.open(name, flags, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise FileNotFoundError(errno.ENOENT, "a folder or a device")
        return FileIO(file, "r+" if flags & os.O_RDWR else "r")
    except BaseException:
        os.close(file)
        raise


def _copied(source: int, target: int) -> int:
    """Copies all that is in a file; returns how many bytes. The kernel does it where it can, else this process."""
    size, at = os.fstat(source).st_size, 0
    copy: Callable[[int, int, int], int] | None = getattr(os, "copy_file_range", None)  # Linux only
    try:
        while copy is not None and at < size and (count := copy(source, target, _COPY_SIZE)):
            at += count
    except OSError as error:
        if error.errno not in _CANNOT_COPY:
            raise
    while block := memoryview(os.read(source, BLOCK_SIZE)):  # from where the kernel has left both
        at += len(block)
        while block:
            block = block[os.write(target, block) :]
    if at != size:
        raise OSError(errno.EIO, "somebody has cut the file")
    return at


def _stored(key: str, found: os.stat_result) -> StoredObject:
    return StoredObject(key=key, size=found.st_size, modified=datetime.fromtimestamp(found.st_mtime, UTC))


def _look(name: str, folder: int | None) -> os.stat_result:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "a link")
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(errno.ENOENT, "a folder or a device")
    return found


def _make_folder(name: str, folder: int) -> bool:
    """Whether it was made, and not there before."""
    try:
        os.mkdir(name, 0o700 if name == STAGING else 0o777, dir_fd=folder)
    except FileExistsError:
        return False
    return True


def _enter(name: str, folder: int) -> int:
    try:
        return os.open(name, _FOLDER | _NOFOLLOW, dir_fd=folder)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):  # Linux says ENOTDIR here too
            raise OSError(errno.ELOOP, "a link") from None
        raise


@contextmanager
def _entered(path: str | Path) -> Generator[int]:
    folder = os.open(path, _FOLDER)
    try:
        yield folder
    finally:
        os.close(folder)


def _swept(name: str, folder: int) -> bool:
    try:
        file = _opened(name, os.O_RDWR | _NOFOLLOW | _NONBLOCK, folder)
    except OSError as error:
        if error.errno in _NOT_OURS:
            return False
        raise
    with file, suppress(BlockingIOError, FileNotFoundError):  # a live upload holds it; it was committed just now
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=folder)
        return True
    return False


def _flush(descriptor: int) -> None:
    """Down to the disk: on macOS `fsync` alone stops at the drive's cache."""
    full: int | None = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):  # a file system that has no such thing
            fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)
