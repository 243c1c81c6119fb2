"""How each filesystem of fsspec makes a file visible, and what else is its own. Its class tells the way."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

SILENT_SECONDS = 60
"""After so long without an answer an SFTP connection is taken to be lost: paramiko alone would wait without end."""

_Move: TypeAlias = Callable[[Any, str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What is known of a kind of filesystem.

    `copies`: it copies a file by itself. `exclusive`: the move raises `FileExistsError` where the name is taken, for
    all but one of those that race. `shared`: many threads may use one filesystem object at a time. `forks`: so may a
    child of the process.
    """

    move: _Move
    copies: bool = False
    exclusive: bool = False
    shared: bool = False
    forks: bool = False
    begin: Callable[[Any], None]
    end: Callable[[Any], None]


def leave(fs: Any) -> None:
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


_LOCAL = Way(move=_link, copies=True, exclusive=True, shared=True, forks=True, begin=leave, end=leave)
_MEMORY = Way(move=_copy_in_memory, copies=True, shared=True, forks=True, begin=leave, end=leave)
SFTP = Way(move=_rename, exclusive=True, begin=_tune, end=_hang_up)

_KNOWN = {
    "fsspec.implementations.local.LocalFileSystem": _LOCAL,
    "fsspec.implementations.memory.MemoryFileSystem": _MEMORY,
    "fsspec.implementations.sftp.SFTPFileSystem": SFTP,
}


def way_of(kind: Any) -> Way:
    """Raises `TypeError` for a filesystem that cannot move a file."""
    shared = kind.async_impl is True  # these work in a loop of their own
    own: set[str] = set()  # what is not fsspec's default
    for each in kind.__mro__:
        if known := _KNOWN.get(f"{each.__module__}.{each.__name__}"):
            return known
        if each.__module__ not in ("fsspec.spec", "fsspec.asyn"):
            own.update(vars(each))
    copies = not own.isdisjoint(("cp_file", "_cp_file"))
    if "mv" in own:
        return Way(move=_move, copies=copies, shared=shared, begin=leave, end=leave)
    if copies:
        return Way(move=_copy, copies=True, shared=shared, begin=leave, end=leave)
    raise TypeError(f"{kind.__name__} cannot move a file: no object would appear whole")


def way_of_given(fs: Any) -> Way:
    """A folder of another filesystem copies where that one does."""
    way = way_of(type(fs))
    inner = getattr(fs, "fs", None)
    return way if inner is None else replace(way, copies=way.copies and way_of_given(inner).copies)


def info_of(fs: Any, path: str) -> Mapping[str, Any] | None:
    """What is known of a file or a folder. None where there is neither."""
    try:
        found: Mapping[str, Any] = fs.info(path)
    except (FileNotFoundError, NotADirectoryError):  # or a file stands where the path has a folder
        return None
    return found


def make_folder(fs: Any, path: str) -> None:
    """With those above it, where they are missing. Raises `NotADirectoryError` where a file is in the way."""
    try:
        fs.makedirs(path, exist_ok=True)
    except Exception as error:
        if fs.isdir(path):  # another upload made it at the same time
            return
        if isinstance(error, FileExistsError):
            raise NotADirectoryError(errno.ENOTDIR, "a file is in the way") from error
        raise


def copied(fs: Any, source: str, target: str) -> None:
    """A copy inside the filesystem. There may be none afterwards, where the source is gone."""
    try:
        fs.cp_file(source, target)
    except FileNotFoundError:
        if info_of(fs, source) is None:
            return  # it was deleted just now, and is missed by whoever looks at the copy
        make_folder(fs, target.rpartition("/")[0])  # somebody has cleared staging away
        fs.cp_file(source, target)
