"""Files that are not visible yet, and belong to the process that writes them."""

from __future__ import annotations

import os
import secrets
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from io import FileIO
from typing import TYPE_CHECKING

from ..keys import STAGING
from .files import NOFOLLOW, TMPFILE, made, opened

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from . import DiskStorage

_OWN_DESCRIPTORS = "/proc/self/fd"


class Draft(ABC):
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


class NamelessDraft(Draft):
    """The kernel frees it with its last descriptor, so there is nothing to sweep."""

    def __init__(self, storage: DiskStorage) -> None:
        self.file: int = made(storage._root, TMPFILE or 0)

    def reopened(self) -> FileIO:
        return opened(f"{_OWN_DESCRIPTORS}/{self.file}", os.O_RDONLY)

    def link(self, name: str, folder: int | None) -> None:
        # With a descriptor Python calls linkat, which follows the magic link; without one it calls link, and that would
        # be a link to another file system. Which descriptor is all the same, since the path is absolute.
        source = f"{_OWN_DESCRIPTORS}/{self.file}"
        os.link(source, name, src_dir_fd=self.file, dst_dir_fd=folder, follow_symlinks=True)

    def release(self) -> None:
        self.close()


class NamedDraft(Draft):
    """Named at random in `.staging/` and locked."""

    def __init__(self, storage: DiskStorage) -> None:
        self._storage = storage
        with storage._staging(make=True) as folder:
            while not self._created(folder):
                pass  # only while a sweep comes across each new name: the next one is new again

    def _created(self, folder: int) -> bool:
        """Makes and locks the file. False where a sweep was there between the two and took it."""
        self._name = secrets.token_hex(16)
        self.file: int = made(self._name, os.O_CREAT | os.O_EXCL | NOFOLLOW, folder)
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
            return opened(self._name, os.O_RDONLY | NOFOLLOW, folder)

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
