"""The filesystem objects of a process, which are its connections: made when one is needed, ended when it is broken."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from .ways import SFTP, Way, make_folder

_Make: TypeAlias = Callable[[], tuple[Any, str]]


@dataclass(eq=False, slots=True)
class Connection:
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
            make_folder(self.fs, path.rpartition("/")[0])
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


class Pools:
    """The connections of each process: at most `most`, and the least used is taken first."""

    def __init__(self, make: _Make, way: Way, most: int) -> None:
        self._make = make
        self._way = way
        self._most = most
        self._pools: dict[int, tuple[threading.Lock, list[Connection]]] = {}  # by process: a fork uses none of these

    def take(self) -> Connection:
        """Whoever takes one gives it back."""
        lock, pool = self._mine()
        with lock:
            least = min((each for each in pool if not each.broken), key=lambda each: each.users, default=None)
            if least is None or (least.users and len(pool) < self._most):
                fs, root = self._make()
                self._way.begin(fs)
                least = Connection(fs, root, nullcontext() if self._way.shared else threading.Lock())
                pool.append(least)
            least.users += 1
            return least

    def give_back(self, connection: Connection) -> None:
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

    def _end_unused(self, pool: list[Connection]) -> None:
        for each in [each for each in pool if each.broken and not each.users]:
            pool.remove(each)
            with suppress(Exception):  # it is broken
                self._way.end(each.fs)

    def _mine(self) -> tuple[threading.Lock, list[Connection]]:
        return self._pools.setdefault(os.getpid(), (threading.Lock(), []))


def class_of(url: str) -> Any:
    """The class of the filesystem that a URL is of."""
    fsspec = _imported()
    return fsspec.get_filesystem_class(fsspec.core.split_protocol(url.partition("::")[0])[0] or "file")


def filesystem_of(url: str, options: dict[str, Any]) -> object:
    """Two storages over one filesystem have equal ones of it."""
    if "::" in url:
        return object()  # one inside another: only itself is known to be the same
    kind = class_of(url)
    return kind, kind._get_kwargs_from_urls(url), options


def maker(url: str, options: dict[str, Any], way: Way) -> _Make:
    """Makes a new filesystem of a URL at each call, and says where its root is."""

    def make() -> tuple[Any, str]:
        with _ended_if_refused(options) if way is SFTP else nullcontext(options) as own:
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


def giver(fs: Any, root: str) -> _Make:
    """Gives the same filesystem at each call."""
    return lambda: (fs, str(fs._strip_protocol(root)).rstrip("/"))


def _imported() -> Any:
    try:
        import fsspec
    except ModuleNotFoundError as missing:
        text = "FsspecStorage needs fsspec: pip install 'pyuploadkit[fsspec]'"
        raise ModuleNotFoundError(text, name=missing.name) from missing
    return fsspec
