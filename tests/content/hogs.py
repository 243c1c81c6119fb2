"""What a decoder may do to the process that it runs in. Called in the children of a `Sandbox`."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def pid(files: Sequence[int]) -> int:
    return os.getpid()


def loop(files: Sequence[int]) -> None:
    while True:
        pass


def sleep(files: Sequence[int]) -> None:
    time.sleep(60)


def nap(files: Sequence[int]) -> None:
    time.sleep(0.3)


def eat(files: Sequence[int]) -> None:
    eaten = []
    while True:
        eaten.append(bytearray(2**24))


def allocate(files: Sequence[int], size: int) -> int:
    return len(bytearray(size))


def crash(files: Sequence[int]) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(files: Sequence[int]) -> None:
    os._exit(0)


def killed(files: Sequence[int]) -> None:
    """As by the kernel for want of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def killed_once(files: Sequence[int], mark: str) -> str:
    path = Path(mark)
    if path.exists():
        return "done"
    path.touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def wrong(files: Sequence[int]) -> None:
    raise KeyError("a mistake in a function")


def babble(files: Sequence[int]) -> str:
    return "x" * 2**21


def no_json(files: Sequence[int]) -> None:
    """A child that was taken over may write anything."""
    number = next(int(name) for name in os.listdir("/proc/self/fd") if _is_socket(int(name)))
    with socket.socket(fileno=os.dup(number)) as channel:
        channel.sendall((5).to_bytes(4, "big") + b"{}{}{")


def beginnings(files: Sequence[int], size: int) -> list[str]:
    return [os.pread(number, size, 0).decode() for number in files]


def write(files: Sequence[int], size: int) -> str:
    try:
        return str(os.write(files[0], bytes(size)))
    except OSError as error:
        return type(error).__name__


def surroundings(files: Sequence[int]) -> dict[str, object]:
    return {
        "variables": sorted(os.environ),
        "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd")),
        "nice": os.nice(0),
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "modules": sorted(name for name in sys.modules if name.startswith("uploadkit.")),
    }


def _is_socket(number: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    except OSError:
        return False
