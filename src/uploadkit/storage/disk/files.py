"""Calls of the system as the disk storage makes them: a name at a time, below a descriptor of its folder.

No link is followed and nothing is replaced. All of them raise `OSError`; the storage says what that means.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from ..keys import PARTIAL, STAGING

if sys.platform != "win32":
    import fcntl

BLOCK_SIZE = 2**20

_COPY_SIZE = 2**26  # what the kernel copies in one call, which nothing interrupts

# By getattr what Windows lacks: this module can be imported there, and the storage says why it cannot be used.
NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)  # a pipe that somebody put in our way would wait for its other end
FOLDER: int = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
TMPFILE: int | None = getattr(os, "O_TMPFILE", None)  # Linux only

# The kernel cannot copy between these two files by itself.
_CANNOT_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}

# In staging, but gone by now or nothing that this storage made.
_NOT_OURS = {errno.ENOENT, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES, errno.EPERM}


def made(name: str, flags: int, folder: int | None = None) -> int:
    """The descriptor of a new file that nobody else may read."""
    return os.open(name, os.O_RDWR | flags, 0o600, dir_fd=folder)


def opened(name: str, flags: int, folder: int | None = None) -> FileIO:
    """A regular file that is there already; what is none is not there."""
    file = os.open(name, flags, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise FileNotFoundError(errno.ENOENT, "a folder or a device")
        return FileIO(file, "r+" if flags & os.O_RDWR else "r")
    except BaseException:
        os.close(file)
        raise


def copied(source: int, target: int) -> int:
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


def look(name: str, folder: int | None) -> os.stat_result:
    """What is known of a regular file; what is none is not there, and a link is in the way."""
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "a link")
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(errno.ENOENT, "a folder or a device")
    return found


def make_folder(name: str, folder: int) -> bool:
    """Whether it was made, and not there before."""
    try:
        os.mkdir(name, 0o700 if name == STAGING else 0o777, dir_fd=folder)
    except FileExistsError:
        return False
    return True


def enter(name: str, folder: int) -> int:
    """The descriptor of a folder in a folder; the caller closes it."""
    try:
        return os.open(name, FOLDER | NOFOLLOW, dir_fd=folder)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):  # Linux says ENOTDIR here too
            raise OSError(errno.ELOOP, "a link") from None
        raise


@contextmanager
def entered(path: str | Path) -> Generator[int]:
    """The descriptor of a folder, for the time of a block. Links are followed: the way to the root is the user's."""
    folder = os.open(path, FOLDER)
    try:
        yield folder
    finally:
        os.close(folder)


def swept(name: str, folder: int, before: float) -> bool:
    """Whether a file in staging was removed: one that nobody holds, and of those to which something is added now and
    then one that was last changed `before`, in seconds since 1970."""
    try:
        file = opened(name, os.O_RDWR | NOFOLLOW | NONBLOCK, folder)
    except OSError as error:
        if error.errno in _NOT_OURS:
            return False
        raise
    with file, suppress(BlockingIOError, FileNotFoundError):  # a live upload holds it; it was committed just now
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if name.startswith(PARTIAL) and os.fstat(file.fileno()).st_mtime >= before:
            return False
        os.unlink(name, dir_fd=folder)
        return True
    return False


def flush(descriptor: int) -> None:
    """Down to the disk: on macOS `fsync` alone stops at the drive's cache."""
    full: int | None = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):  # a file system that has no such thing
            fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)
