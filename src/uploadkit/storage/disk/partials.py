"""Objects on disk whose bytes come in several goes, and to several processes.

Each is a file in staging, and what has arrived of it is what the file holds: bytes are added at its end alone, under a
lock, and what was written halfway is cut off again. In between nobody holds it, so a sweep tells by its age whether
somebody will come back. From its commit on it has two names for a moment, and is not added to any more.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from io import BufferedReader, FileIO
from typing import TYPE_CHECKING, BinaryIO

from ...errors import ObjectMissing, StorageFailed
from ..contract import HEAD_SIZE, Buffer, ObjectInfo, PartialObject, StoredObject
from ..keys import PARTIAL, STAGING, check_key
from .drafts import Draft
from .files import NOFOLLOW, NONBLOCK, copied, flush, made, opened

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from . import DiskStorage

# There is none: its name is free, or somebody else's.
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO}


class Partial(Draft):
    """A `PartialObject`. It is lost where somebody else has added to it: what it knows of it is not true then."""

    def __init__(self, storage: DiskStorage, upload: str, file: FileIO) -> None:
        self._storage = storage
        self._name = PARTIAL + upload
        self._path = os.path.join(storage._root, STAGING, self._name)
        self._size = os.fstat(file.fileno()).st_size
        self._lost = False
        self._complete = False
        self._committed = False
        self.file: int = os.dup(file.fileno())

    @classmethod
    def begin(cls, storage: DiskStorage, upload: str) -> None:
        """Makes an empty file. Raises `OSError`."""
        with storage._staging(make=True) as folder:
            os.close(made(PARTIAL + upload, os.O_CREAT | os.O_EXCL | NOFOLLOW, folder))
            if storage.durable:
                flush(folder)

    @classmethod
    def found(cls, storage: DiskStorage, upload: str) -> Partial:
        """What is there of it. Raises `ObjectMissing` and `OSError`."""
        try:
            with (
                storage._staging() as folder,
                opened(PARTIAL + upload, os.O_RDWR | NOFOLLOW | NONBLOCK, folder) as file,
            ):
                return cls(storage, upload, file)
        except OSError as error:
            if error.errno in _MISSING:
                raise ObjectMissing("there is no such upload", storage=storage.name) from error
            raise

    @property
    def size(self) -> int:
        return self._size

    def append(self, data: Buffer) -> None:
        with self._growing("write a file"):
            rest, size = memoryview(data).cast("B"), self._size
            while rest:
                written = os.pwrite(self.file, rest, size)
                rest, size = rest[written:], size + written
            self._size = size

    def keep(self) -> None:
        self._expect_open()
        with self._storage._translated("write a file"):
            # Closing a copy makes network file systems say now what they could not write.
            os.close(os.dup(self.file))
            if self._storage.durable:
                flush(self.file)
            if not os.fstat(self.file).st_nlink:
                raise self._failed("keep a file: it was removed")

    def head(self, size: int) -> bytes:
        self._expect_open()
        if self._size > HEAD_SIZE:
            raise RuntimeError(f"it has more than {HEAD_SIZE} bytes: complete it, and open it")
        with self._storage._translated("read a file"):
            return os.pread(self.file, min(size, self._size), 0)

    def extend(self, other: PartialObject) -> None:
        """By the kernel where it can: where the file system shares blocks in no time."""
        if not isinstance(other, Partial) or other._storage._root != self._storage._root:
            raise TypeError("a partial object is extended by others of its storage")
        with self._storage._translated("open a file"):
            source = other.reopened()
        with closing(source), self._growing("copy a file"):
            os.lseek(self.file, self._size, os.SEEK_SET)
            self._size += copied(source.fileno(), self.file)
        self.keep()

    def complete(self) -> None:
        self.keep()
        self._complete = True

    def open(self) -> BinaryIO:
        self._expect_complete()
        with self._storage._translated("open a file"):
            return BufferedReader(self.reopened())

    def commit(self, key: str, info: ObjectInfo) -> StoredObject:
        """As `PartialObject.commit`. Where a process was killed in the middle of it, the same once more is no error."""
        check_key(key, storage=self._storage.name)
        self._expect_complete()
        with self._storage._translated("publish a file", key), self._locked():
            self._expect_size("publish a file")
            self._storage._publish(self, key)
            self._committed = True
            with suppress(OSError):  # the object is there: what is left of it in staging is swept
                self._remove()
        return StoredObject(key=key, size=self._size)

    def discard(self) -> None:
        if not self._committed:
            with self._storage._translated("discard a file"):
                self._remove()

    # As a draft

    def reopened(self) -> FileIO:
        with self._storage._staging() as folder:
            return opened(self._name, os.O_RDONLY | NOFOLLOW, folder)

    def link(self, name: str, folder: int | None) -> None:
        try:
            with self._storage._staging() as staging:
                os.link(self._name, name, src_dir_fd=staging, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not os.path.samestat(found, os.fstat(self.file)):  # else it is what a process had linked that died
                raise

    def release(self) -> None:
        """It stays: it goes when the object is known to be there."""

    # Below

    @contextmanager
    def _growing(self, doing: str) -> Generator[None]:
        """The block may write behind `size` bytes. What it has written is cut off again where it raises."""
        self._expect_growing(doing)
        with self._storage._translated(doing), self._locked():
            self._expect_staged(doing)
            size = self._expect_size(doing)
            try:
                yield
            except BaseException:
                self._lost, self._size = True, size
                os.ftruncate(self.file, size)
                self._lost = False
                raise

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Nobody else adds to it or commits it."""
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX)
            yield
        finally:
            if self.file >= 0:
                fcntl.flock(self.file, fcntl.LOCK_UN)

    def _expect_size(self, doing: str) -> int:
        if os.fstat(self.file).st_size != self._size:
            self._lost = True
            raise self._failed(f"{doing}: somebody else has added to it")
        return self._size

    def _expect_staged(self, doing: str) -> None:
        """It has its name in staging and no other one: else what is added would be added to an object."""
        found = os.fstat(self.file)
        try:
            is_there = os.path.samestat(found, os.stat(self._path, follow_symlinks=False))
        except FileNotFoundError:
            is_there = False
        if not is_there or found.st_nlink > 1:
            self._lost = True
            raise self._failed(f"{doing}: it was committed or removed")

    def _expect_growing(self, doing: str) -> None:
        self._expect_open()
        if self._complete:
            raise RuntimeError("the upload is complete")
        if self._lost:
            raise self._failed(f"{doing}: what it has is not known any more")

    def _expect_complete(self) -> None:
        self._expect_open()
        if not self._complete:
            raise RuntimeError("the upload is not complete")

    def _expect_open(self) -> None:
        if self.file < 0:
            raise RuntimeError("the upload was closed, committed or discarded")

    def _failed(self, what: str) -> StorageFailed:
        return StorageFailed(f"the storage could not {what}", storage=self._storage.name)

    def _remove(self) -> None:
        try:
            # By its path: it has to work when descriptors have run out.
            with suppress(FileNotFoundError):
                os.unlink(self._path)
        finally:
            self.close()
