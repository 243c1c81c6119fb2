"""Child processes in which files of strangers are decoded: a decoder that loops, eats memory or crashes ends alone.

A child is a fresh interpreter that was started with `exec`, so that no thread, lock or descriptor of this process is
in it, whatever the server forks or preloads. It gets files as descriptors and answers with JSON, which cannot run
anything here. Children are started when they are first needed, kept warm, replaced when one was ended, and gone when
this process ends, in whatever way: the channel to it closes then.
"""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Final, Literal, NoReturn, TypeAlias

from ..errors import Overloaded, ServiceError
from ..policy.limits import parse_size

__all__ = [
    "ChildEnded",
    "Reason",
    "Sandbox",
    "default_sandbox",
]

Reason: TypeAlias = Literal["memory", "cpu", "time", "crash"]

CALLS: Final = 200
"""After so many a child is replaced: what decoders leak stays small."""

MESSAGE_SIZE: Final = 2**20
"""Bytes of the longest answer that is read. A child that was taken over may say anything."""

LENGTH: Final = struct.Struct(">I")
"""How long the JSON is that follows, in both directions."""

_PROGRAM = (
    "import json, sys; settings = json.loads(sys.argv[1]); sys.path[:] = settings['path']; "
    "from {} import serve; serve(settings)"
)

# What an interpreter and its libraries need to start. The rest is the application's, secrets among it.
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "TEMP", "SYSTEMROOT")
_KEPT_BEGINNINGS = ("PYTHON", "LC_", "LD_", "DYLD_")


class ChildEnded(Exception):
    """The child did not answer: it was ended, or ended itself, over what it was given.

    `reason` is "memory", "cpu", "time" (it was not done after the sandbox's `seconds`) or "crash".
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"the child process ended: {reason}")
        self.reason: Reason = reason


class Sandbox:
    """A small pool of child processes, for every thread of this process.

    `processes` is the most there are at once, by default as many as CPUs and at most 4. `memory` is what a call may
    take beyond the interpreter (RLIMIT_AS: Linux alone enforces it), `cpu_seconds` its processor time (RLIMIT_CPU),
    `seconds` its time on the clock, `output_size` the most it may write into one file (RLIMIT_FSIZE). A call waits
    for a free child for at most `wait_seconds`. The children run at nice 10: requests go first.
    """

    def __init__(
        self,
        *,
        processes: int | None = None,
        memory: int | str = "896 MiB",
        cpu_seconds: float = 10,
        seconds: float = 30,
        wait_seconds: float = 30,
        output_size: int | str = "64 MiB",
    ) -> None:
        if processes is None:
            processes = min(os.cpu_count() or 1, 4)
        if processes < 1:
            raise ValueError(f"a sandbox has at least one process, not {processes}")
        if min(cpu_seconds, seconds) <= 0 or wait_seconds < 0:
            raise ValueError("cpu_seconds and seconds are more than 0, wait_seconds is not negative")
        self._processes = processes
        self._seconds = seconds
        self._wait_seconds = wait_seconds
        self._limits = {
            "memory": parse_size(memory),
            "cpu_seconds": math.ceil(cpu_seconds),  # RLIMIT_CPU counts whole ones
            "output_size": parse_size(output_size),
        }
        self._children: set[_Child] = set()
        self._begin()
        weakref.finalize(self, _end_all, self._children)  # at the end of the process too
        _sandboxes.add(self)

    def call(self, function: str, arguments: Mapping[str, Any], files: Sequence[int] = ()) -> Any:
        """What `function`, named "module:function", returns in a child for the descriptors of `files` and `arguments`.

        Arguments and result are JSON. Raises `ChildEnded`, `Overloaded` where no child became free, `ServiceError`
        where none can be started, and `RuntimeError` with the child's own words where the function raised.
        """
        for last in (False, True):
            child = self._take()
            try:
                answer = child.ask({"function": function, "arguments": arguments}, files, self._seconds)
            except _EndedFromOutside:  # by the kernel for want of memory, or by somebody: this file may be innocent
                if last:
                    raise ChildEnded("crash") from None
                continue
            finally:
                self._give_back(child)
            return _result(answer)
        raise AssertionError("the second attempt returns or raises")

    def close(self) -> None:
        """Ends the children, those at work too. The sandbox takes no further calls. Idempotent."""
        with self._changed:
            self._closed = True
            self._idle.clear()
            _end_all(self._children)
            self._changed.notify_all()

    @property
    def pids(self) -> list[int]:
        """The ids of the child processes that there are."""
        return [pid for child in tuple(self._children) if (pid := child.pid) is not None]

    @property
    def descriptors(self) -> list[int]:
        """The descriptors of this process that lead to them."""
        return [number for child in tuple(self._children) if (number := child.descriptor) >= 0]

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._idle: list[_Child] = []
        self._count = 0
        self._closed = False

    def _take(self) -> _Child:
        with self._changed:
            if not self._changed.wait_for(self._may_take, self._wait_seconds):
                raise Overloaded("too many files are being looked at; try again later", retry_after=5)
            if self._closed:
                raise RuntimeError("the sandbox was closed, and takes no further calls")
            while self._idle:
                child = self._idle.pop()
                if child.lives():
                    return child
                self._remove(child)
            self._count += 1
        try:
            return _Child(self._limits, self._children)
        except BaseException as error:
            with self._changed:
                self._count -= 1
                self._changed.notify()
            if isinstance(error, OSError):
                raise ServiceError("the file could not be looked at") from error
            raise

    def _may_take(self) -> bool:
        return self._closed or bool(self._idle) or self._count < self._processes

    def _give_back(self, child: _Child) -> None:
        with self._changed:
            if child.usable and not self._closed:
                self._idle.append(child)
            else:
                self._remove(child)
            self._changed.notify()

    def _remove(self, child: _Child) -> None:
        child.end()
        self._children.discard(child)
        self._count -= 1

    def _forget(self) -> None:
        """After a fork: the children are the parent's. Held open here, their channels would not close with it."""
        for child in self._children:
            child.forget()
        self._children.clear()
        closed = self._closed
        self._begin()
        self._closed = closed


class _EndedFromOutside(Exception):
    """By a signal that is not one of a limit."""


class _Child:
    """One process and the channel to it. Used by one thread at a time."""

    def __init__(self, limits: Mapping[str, int], children: set[_Child]) -> None:
        self.usable = False
        self._calls = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._channel, self._theirs = socket.socketpair()
        children.add(self)  # from now on a fork forgets it
        try:
            self._process = self._started(limits)
        except BaseException:
            children.discard(self)
            self._channel.close()
            raise
        finally:
            self._theirs.close()

    def _started(self, limits: Mapping[str, int]) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in os.environ.items() if _kept(name)}
        return subprocess.Popen(  # noqa: S603  of words of our own
            interpreter("uploadkit.content.child", {"channel": self._theirs.fileno(), **limits}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # decoders write there what they think of a file
            pass_fds=(self._theirs.fileno(),),
            env=kept | {"MALLOC_ARENA_MAX": "1"},  # each further one of glibc's takes 64 MiB of the address space
        )

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def descriptor(self) -> int:
        return self._channel.fileno()

    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ask(self, request: Mapping[str, Any], files: Sequence[int], seconds: float) -> dict[str, Any]:
        """The child's answer. Whatever is raised, the child is not `usable` afterwards."""
        self.usable = False
        message = json.dumps(request).encode()
        until = time.monotonic() + seconds
        try:
            self._channel.settimeout(seconds)
            head = LENGTH.pack(len(message))
            sent = socket.send_fds(self._channel, [head], files) if files else 0
            self._channel.sendall(head[sent:] + message)
            [size] = LENGTH.unpack(self._receive(LENGTH.size, until))
            if size > MESSAGE_SIZE:
                raise ChildEnded("crash")
            answer = json.loads(self._receive(size, until))
        except TimeoutError:
            raise ChildEnded("time") from None
        except (ConnectionError, EOFError):
            self._explain_end()
        except ValueError:  # no JSON
            raise ChildEnded("crash") from None
        if not isinstance(answer, dict):
            raise ChildEnded("crash")
        self._calls += 1
        self.usable = answer.get("ended") is None and self._calls < CALLS
        return answer

    def kill(self) -> None:
        """It has nothing to tidy up: its files are this process's. A thread that waits for its answer sees the end."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def end(self) -> None:
        """For whoever has it to itself."""
        self.kill()
        self._channel.close()

    def forget(self) -> None:
        """In a fork of this process: it is not this one's to wait for."""
        self._channel.close()
        self._theirs.close()
        if self._process is not None:
            self._process.returncode = 0

    def _receive(self, size: int, until: float) -> bytes:
        received = bytearray()
        while len(received) < size:
            self._channel.settimeout(max(until - time.monotonic(), 1e-6))
            data = self._channel.recv(size - len(received))
            if not data:
                raise EOFError
            received += data
        return bytes(received)

    def _explain_end(self) -> NoReturn:
        """It closed its channel without an answer: it is dead, or at once will be."""
        code: int | None = None
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(1)
        if code == -signal.SIGXCPU:
            raise ChildEnded("cpu")
        if code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP):
            raise _EndedFromOutside
        raise ChildEnded("crash")


def interpreter(module: str, settings: Mapping[str, Any]) -> list[str]:
    """The words that start a fresh interpreter which finds what this one finds, and calls `serve(settings)` of a
    module. `settings` are JSON, and seen by everybody on this machine."""
    # What multiprocessing was told to take (`set_executable`): embedded, sys.executable is the server.
    from multiprocessing import spawn  # not at the top: it is seen by everybody who only imports this

    executable = os.fsdecode(spawn.get_executable() or sys.executable)
    return [executable, "-P", "-c", _PROGRAM.format(module), json.dumps({"path": sys.path, **settings}, default=str)]


@contextmanager
def descriptor_of(source: BinaryIO) -> Iterator[int]:
    """A descriptor of all bytes of `source`, which is seekable, for a child. Where it reads them is its own affair:
    `source` stays where it is if it is a file of this machine, and is read to its end otherwise.
    """
    number = _own_descriptor(source)
    if number is not None:
        yield number
        return
    with tempfile.TemporaryFile() as copy:
        source.seek(0)
        shutil.copyfileobj(source, copy, 2**18)
        copy.flush()
        yield copy.fileno()


def default_sandbox() -> Sandbox:
    """The one that checks and variants share in this process where they are given none."""
    global _default
    with _lock:
        if _default is None:
            _default = Sandbox()
        return _default


def descriptors() -> set[int]:
    """The descriptors that every sandbox of this process keeps open."""
    return {number for sandbox in tuple(_sandboxes) for number in sandbox.descriptors}


_lock = threading.Lock()
_default: Sandbox | None = None
_sandboxes: weakref.WeakSet[Sandbox] = weakref.WeakSet()


def _result(answer: dict[str, Any]) -> Any:
    if answer.get("ended") == "memory":
        raise ChildEnded("memory")
    if "failed" in answer:
        raise RuntimeError(f"in a child process: {answer['failed']}")
    return answer.get("result")


def _own_descriptor(source: BinaryIO) -> int | None:
    """That of a plain file. What only says that it has one may read other bytes from it, as a GzipFile does."""
    source = getattr(source, "file", source)  # tempfile's wrapper
    raw = source.raw if isinstance(source, io.BufferedReader | io.BufferedRandom) else source
    if not isinstance(raw, io.FileIO) or not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        return None
    if isinstance(source, io.BufferedRandom):
        source.flush()
    return raw.fileno()


def _kept(variable: str) -> bool:
    return variable in _KEPT_VARIABLES or variable.startswith(_KEPT_BEGINNINGS)


def _end_all(children: set[_Child]) -> None:
    for child in tuple(children):
        if child.usable:
            child.end()
            children.discard(child)
        else:  # a thread has it, which will see its end
            child.kill()


def _forget_all() -> None:
    global _lock
    _lock = threading.Lock()
    for sandbox in tuple(_sandboxes):
        sandbox._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
