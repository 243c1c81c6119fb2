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
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from ..errors import KeyRefused, ObjectExists, ObjectMissing, StorageError, StorageFailed
from .contract import Buffer, ObjectInfo, StoredObject
from .keys import STAGING, check_key

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

BLOCK_SIZE = 2**20

STALE_SECONDS = 24 * 60 * 60

SILENT_SECONDS = 60
"""After so long without an answer an SFTP connection is taken to be lost: paramiko alone would wait without end."""

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
    replaces what is there: names at random, as the library makes them, never meet. Staged objects can be read.

    Nothing is touched before a process's first `open`, which makes the staging folder and sweeps it. A sweep takes what
    is older than `stale_seconds` and not this storage's own: choose more than your longest upload can last. Links that
    stand below the root are followed.
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
            self._way = _way_of(_class_of(url_or_filesystem))
            make = _maker(url_or_filesystem, dict(options or {}), self._way)
            self._pools = _Pools(make, self._way, 1 if self._way.shared else connections)
        else:
            if root is None or options is not None:
                raise TypeError("a filesystem has its options, and needs a root: FsspecStorage(filesystem, '/uploads')")
            self._way = replace(_way_of(type(url_or_filesystem)), end=_leave)  # it is not ours to end
            self._given_to = None if self._way.forks else os.getpid()
            self._pools = _Pools(_giver(url_or_filesystem, root), self._way, 1)
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
        if start < 0 or (end is not None and end < 0):
            raise ValueError(f"a range has no negative ends: {start}, {end}")
        size = self.stat(key).size
        return self._blocks(key, key, start, size if end is None else min(end, size))

    def stat(self, key: str) -> StoredObject:
        check_key(key, storage=self.name)
        size = self._size(key, key)
        if size is None:
            raise ObjectMissing("there is no such object", storage=self.name, key=key)
        return StoredObject(key=key, size=size)

    def delete(self, key: str) -> None:
        check_key(key, storage=self.name)
        if self._size(key, key) is not None:
            self._remove(key, key, "delete a file")

    def sweep(self) -> int:
        """Removes what was begun in staging more than `stale_seconds` ago and is not this storage's own; returns how
        many files. An upload of another process that takes longer than that is lost: its commit fails."""
        with self._using("sweep the staging folder") as (fs, root):
            try:
                found = [str(name).rpartition("/")[2] for name in fs.ls(f"{root}/{STAGING}", detail=False)]
            except FileNotFoundError:
                return 0
        before = time.time() - self.stale_seconds
        return sum(
            self._remove(f"{STAGING}/{name}", None, "sweep a file") for name in found if self._dead(name, before)
        )

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
                _make_folder(fs, f"{root}/{STAGING}")
            self.sweep()
            self._prepared_by = process

    # What the filesystem is asked. A path is below the root: a key, or a name in staging.

    def _size(self, path: str, key: str | None) -> int | None:
        """The bytes of a file. None where there is none."""
        with self._using("look at a file", key) as (fs, root):
            try:
                found = fs.info(f"{root}/{path}")
            except (FileNotFoundError, NotADirectoryError):  # or a file stands where the key has a folder
                return None
        return int(found["size"]) if found["type"] == "file" else None

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
                    _make_folder(fs, f"{root}/{folder}")
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

    def _taken(self, key: str | None) -> _Connection:
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
    def _translated(self, connection: _Connection, doing: str, key: str | None) -> Generator[None]:
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
        self._name = f"{int(time.time()):08x}-{secrets.token_hex(16)}"
        self._size = 0
        self._broken = True
        self._file: Any = None
        self._connection: _Connection | None = storage._taken(key)
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
    def _working(self, doing: str) -> Generator[_Connection]:
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


# How each filesystem makes a file visible, and what else is its own


_Move: TypeAlias = Callable[[Any, str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """What is known of a kind of filesystem.

    `exclusive`: the move raises `FileExistsError` where the name is taken, for all but one of those that race.
    `shared`: many threads may use one filesystem object at a time. `forks`: so may a child of the process.
    """

    move: _Move
    exclusive: bool = False
    shared: bool = False
    forks: bool = False
    begin: Callable[[Any], None]
    end: Callable[[Any], None]


def _leave(fs: Any) -> None:
    """Nothing is to be done."""


def _link(fs: Any, source: str, target: str) -> None:
    """`LocalFileSystem.mv` replaces; a link is refused where the name is taken."""
    fs.link(source, target)
    with suppress(OSError):  # the object is there: a sweep removes its other name
        fs.rm_file(source)


def _rename(fs: Any, source: str, target: str) -> None:
    """SFTP's own rename is refused where the name is taken; `SFTPFileSystem.mv`, an extension of OpenSSH, replaces."""
    try:
        fs.ftp.rename(source, target)
    except (FileNotFoundError, TimeoutError):
        raise
    except OSError as error:
        with suppress(FileNotFoundError):  # SFTP has one number for every failure: look
            fs.ftp.lstat(target)
            raise FileExistsError(errno.EEXIST, "the name is taken") from error
        raise


def _move(fs: Any, source: str, target: str) -> None:
    """What a filesystem has of its own: a rename, mostly. Into a folder it may move as `mv` of a shell does."""
    if fs.isdir(target):
        raise IsADirectoryError(errno.EISDIR, "the name is that of a folder")
    fs.mv(source, target)


def _copy(fs: Any, source: str, target: str) -> None:
    """A bucket shows a copy when it is whole. Not fsspec's own `mv`, which takes a `*` in a name for a pattern."""
    fs.cp_file(source, target)
    with suppress(Exception):  # the object is there: a sweep removes what it was copied from
        fs.rm_file(source)


def _copy_in_memory(fs: Any, source: str, target: str) -> None:
    """`MemoryFileSystem.cp_file` puts a file below a file, and the upper one is a folder from then on."""
    try:
        fs.pipe_file(target, fs.cat_file(source))
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "a file is in the way") from error
    with suppress(FileNotFoundError):
        fs.rm_file(source)


def _tune(fs: Any) -> None:
    """Without the first a lost connection is waited for without end; without the second each 32 KiB wait for 40 ms."""
    fs.ftp.get_channel().settimeout(SILENT_SECONDS)
    with suppress(AttributeError):  # a ProxyCommand is no socket
        fs.client.get_transport().sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _hang_up(fs: Any) -> None:
    fs.client.close()


_LOCAL = _Way(move=_link, exclusive=True, shared=True, forks=True, begin=_leave, end=_leave)
_MEMORY = _Way(move=_copy_in_memory, shared=True, forks=True, begin=_leave, end=_leave)
_SFTP = _Way(move=_rename, exclusive=True, begin=_tune, end=_hang_up)

_KNOWN = {
    "fsspec.implementations.local.LocalFileSystem": _LOCAL,
    "fsspec.implementations.memory.MemoryFileSystem": _MEMORY,
    "fsspec.implementations.sftp.SFTPFileSystem": _SFTP,
}


def _way_of(kind: Any) -> _Way:
    """Raises `TypeError` for a filesystem that cannot move a file."""
    shared = kind.async_impl is True  # these work in a loop of their own
    own: set[str] = set()  # what is not fsspec's default
    for each in kind.__mro__:
        if known := _KNOWN.get(f"{each.__module__}.{each.__name__}"):
            return known
        if each.__module__ not in ("fsspec.spec", "fsspec.asyn"):
            own.update(vars(each))
    if "mv" in own:
        return _Way(move=_move, shared=shared, begin=_leave, end=_leave)
    if {"cp_file", "_cp_file"} & own:
        return _Way(move=_copy, shared=shared, begin=_leave, end=_leave)
    raise TypeError(f"{kind.__name__} cannot move a file: no object would appear whole")


# The filesystem objects of a process


_Make: TypeAlias = Callable[[], tuple[Any, str]]


@dataclass(eq=False, slots=True)
class _Connection:
    """A filesystem object. Whoever calls it holds its lock. A broken one is not taken again."""

    fs: Any
    root: str
    lock: AbstractContextManager[Any]
    users: int = 0
    broken: bool = False

    def opened(self, path: str) -> Any:
        """A file for writing."""
        path = f"{self.root}/{path}"
        try:
            return self.fs.open(path, "wb")
        except FileNotFoundError:  # somebody has cleared the folder away
            _make_folder(self.fs, path.rpartition("/")[0])
            return self.fs.open(path, "wb")

    def is_dead(self) -> bool:
        """Whether it does not even find its root."""
        try:
            with self.lock:
                self.fs.info(self.root or self.fs.root_marker)
        except (FileNotFoundError, PermissionError):
            return False
        except Exception:
            return True
        return False


class _Pools:
    """The connections of each process: at most `most`, and the least used is taken first."""

    def __init__(self, make: _Make, way: _Way, most: int) -> None:
        self._make = make
        self._way = way
        self._most = most
        self._pools: dict[int, tuple[threading.Lock, list[_Connection]]] = {}  # by process: a fork uses none of these

    def take(self) -> _Connection:
        """Whoever takes one gives it back."""
        lock, pool = self._mine()
        with lock:
            least = min((each for each in pool if not each.broken), key=lambda each: each.users, default=None)
            if least is None or (least.users and len(pool) < self._most):
                fs, root = self._make()
                self._way.begin(fs)
                least = _Connection(fs, root, nullcontext() if self._way.shared else threading.Lock())
                pool.append(least)
            least.users += 1
            return least

    def give_back(self, connection: _Connection) -> None:
        lock, pool = self._mine()
        with lock:
            connection.users -= 1
            self._end_unused(pool)

    def close(self) -> None:
        lock, pool = self._mine()
        with lock:
            for each in pool:
                each.broken = True
            self._end_unused(pool)

    def _end_unused(self, pool: list[_Connection]) -> None:
        for each in [each for each in pool if each.broken and not each.users]:
            pool.remove(each)
            with suppress(Exception):  # it is broken
                self._way.end(each.fs)

    def _mine(self) -> tuple[threading.Lock, list[_Connection]]:
        return self._pools.setdefault(os.getpid(), (threading.Lock(), []))


def _class_of(url: str) -> Any:
    fsspec = _imported()
    return fsspec.get_filesystem_class(fsspec.core.split_protocol(url.partition("::")[0])[0] or "file")


def _maker(url: str, options: dict[str, Any], way: _Way) -> _Make:
    def make() -> tuple[Any, str]:
        with _ended_if_refused(options) if way is _SFTP else nullcontext(options) as own:
            fs, root = _imported().core.url_to_fs(url, **own, skip_instance_cache=True)
        return fs, str(root).rstrip("/")

    return make


@contextmanager
def _ended_if_refused(options: dict[str, Any]) -> Generator[dict[str, Any]]:
    """paramiko does not end a connection on which it was not let in."""
    import paramiko

    begun: list[Any] = []

    def begin(*args: Any, **words: Any) -> Any:
        begun.append(options.get("transport_factory", paramiko.Transport)(*args, **words))
        return begun[-1]

    try:
        yield options | {"transport_factory": begin}
    except BaseException:
        for transport in begun:
            transport.close()
        raise


def _giver(fs: Any, root: str) -> _Make:
    return lambda: (fs, str(fs._strip_protocol(root)).rstrip("/"))


def _imported() -> Any:
    try:
        import fsspec
    except ModuleNotFoundError as missing:
        text = "FsspecStorage needs fsspec: pip install 'pyuploadkit[fsspec]'"
        raise ModuleNotFoundError(text, name=missing.name) from missing
    return fsspec


def _make_folder(fs: Any, path: str) -> None:
    try:
        fs.makedirs(path, exist_ok=True)
    except Exception as error:
        if fs.isdir(path):  # another upload made it at the same time
            return
        if isinstance(error, FileExistsError):
            raise NotADirectoryError(errno.ENOTDIR, "a file is in the way") from error
        raise


def _is_passing(error: Exception) -> bool:
    """Whether it is the connection's, and another one may do better."""
    if isinstance(error, OSError):
        return isinstance(error, (ConnectionError, TimeoutError)) or error.errno in _PASSING
    return not isinstance(error, _MISTAKES)


def _says_nothing(error: Exception) -> bool:
    """paramiko has no number for "Socket is closed", and none for "Failure"."""
    return type(error) is OSError and error.errno is None
