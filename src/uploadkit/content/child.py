"""The other end of a `sandbox`: what runs in the child process. It limits itself, then answers one call after another.

Nothing of the application is imported here. It ends when its channel closes.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import socket
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from .sandbox import LENGTH

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

NICE: Final = 10

MOST_FILES: Final = 64
"""Descriptors that come with a call."""


def serve(settings: Mapping[str, Any]) -> None:
    """Answers the calls that come through the channel, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent ends it
    os.nice(NICE)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, settings["output_size"])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error of the write instead
    with socket.socket(fileno=settings["channel"]) as channel:
        while True:
            asked, files = _received(channel)
            if asked is None:
                return
            try:
                answer = _answered(asked, files, settings)
            finally:
                for number in files:
                    os.close(number)
            message = json.dumps(answer).encode()
            channel.sendall(LENGTH.pack(len(message)) + message)


def opened(number: int) -> BinaryIO:
    """The file of a descriptor that came with a call, from its first byte. It stays open when this is closed, and the
    place at which the parent reads it, which is one with the descriptor's, stays where it is.
    """
    return io.BufferedReader(Placed(partial(_pread, number), os.fstat(number).st_size), 2**16)


class Placed(io.RawIOBase):
    """`size` bytes, read at a place that nobody else moves. `read` returns what stands at a place, up to so many."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        data = self._read(self._place, min(len(target), max(self._size - self._place, 0)))
        target[: len(data)] = data
        self._place += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        if place < 0:
            raise ValueError(f"{place} is before the first byte")
        self._place = place
        return place


def _pread(number: int, place: int, size: int) -> bytes:
    return os.pread(number, size, place)


def _answered(asked: Mapping[str, Any], files: list[int], settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        function = _function(asked["function"])
        # After the import: the package's own size is not the file's fault.
        _limit_call(settings)
        return {"result": function(files, **asked["arguments"])}
    except MemoryError:
        return {"ended": "memory"}
    except Exception:
        return {"failed": traceback.format_exc()}


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    called: Callable[..., Any] = getattr(import_module(module), function)
    return called


def _limit_call(settings: Mapping[str, Any]) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + settings["cpu_seconds"])
    if "address_space" not in _before:
        _before["address_space"] = address_space()
    limit(resource.RLIMIT_AS, _before["address_space"] + settings["memory"])


_before: dict[str, int] = {}
"""What the process had before its first call: what later ones have left counts for the next."""


def limit(which: int, value: int) -> None:
    """The soft limit, which may be raised for the next call."""
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    with suppress(ValueError, OSError):  # macOS has no RLIMIT_AS that it would keep
        resource.setrlimit(which, (value, hard))


def address_space() -> int:
    """The size of this process's address space, in bytes; 256 MiB where there is no /proc to ask."""
    try:
        with open("/proc/self/statm", encoding="ascii") as told:
            return int(told.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 2**28


def _received(channel: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """A request and its files; None where the channel was closed."""
    head, files, _, _ = socket.recv_fds(channel, LENGTH.size, MOST_FILES)
    for number in files:
        os.set_inheritable(number, False)
    head += _exactly(channel, LENGTH.size - len(head)) if head else b""
    if not head:
        return None, files
    [size] = LENGTH.unpack(head)
    asked: dict[str, Any] = json.loads(_exactly(channel, size))
    return asked, files


def _exactly(channel: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        data = channel.recv(size - len(received))
        if not data:
            raise SystemExit  # the parent is gone
        received += data
    return received
