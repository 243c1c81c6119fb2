"""A real clamd with a signature database of our own, over TCP and a unix socket of 127.0.0.1.

Both sockets listen before it starts, and are handed over as systemd would: no port is guessed, and who connects early
waits for it. Nothing is downloaded. It is ended by the id of its own process.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.adapters.servers import eventually

CLAMD = shutil.which("clamd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

READY_SECONDS = 20
"""Its database has one line; it needs a tenth of a second."""

STREAM_SIZE = 2 * 2**20
"""StreamMaxLength: what is longer it does not take."""

SCAN_SIZE = 2**20
"""MaxFileSize: what is longer it does not look into."""

CONFIG = f"""
Foreground yes
DatabaseDirectory {{folder}}/database
LocalSocket {{door}}
TCPSocket 3310
TCPAddr 127.0.0.1
TemporaryDirectory {{folder}}/temporary
StreamMaxLength {STREAM_SIZE}
MaxFileSize {SCAN_SIZE}
MaxScanSize 10M
AlertExceedsMax {{alert}}
"""

# Puts both sockets where sd_listen_fds(3) looks for them, and becomes clamd.
_HAND_OVER = """
import fcntl, os, sys
high = [fcntl.fcntl(int(number), fcntl.F_DUPFD_CLOEXEC, 10) for number in sys.argv[1:3]]
for at, number in enumerate(high, 3):
    os.dup2(number, at)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"}
os.execv(sys.argv[3], ["clamd", f"--config-file={sys.argv[4]}"])
"""


def eicar() -> bytes:
    """The test file of EICAR, which every scanner takes for a virus: in no source, since those are scanned too."""
    first, last = r"X5O!P%@AP[4\PZX54(P^)7CC)7}", "!$H+H*"
    return (first + "$" + "-".join(["EICAR", "STANDARD", "ANTIVIRUS", "TEST", "FILE"]) + last).encode()


class Clamd:
    """One that runs. `tcp` and `unix` are its addresses, as `ClamAV` takes them."""

    def __init__(self, folder: Path, door: Path, *, alert: bool) -> None:
        self._folder = folder
        self._door = door
        for name in ("database", "temporary"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "clamd.conf").write_text(CONFIG.format(folder=folder, door=door, alert="yes" if alert else "no"))
        signature = f"Uploadkit.Test.Eicar:0:*:{eicar().hex()}\n"
        (folder / "database" / "own.ndb").write_text(signature)
        self.unix = f"unix://{door}"
        self.tcp = ""
        self._start()

    @property
    def addresses(self) -> dict[str, str]:
        """By the kind of socket."""
        return {"tcp": self.tcp, "unix": self.unix}

    def descriptors(self) -> int:
        """How many it holds open: one more for every connection."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def settle(self, descriptors: int) -> None:
        """Waits until it holds no more open than it did."""
        eventually(lambda: self.descriptors() <= descriptors)
        assert self.descriptors() <= descriptors

    def pause(self) -> None:
        """It stays, and does nothing any more."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """After `pause`."""
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """`kill -9`. Idempotent."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def restart(self) -> None:
        """After `kill`: on another port."""
        self._start()

    def _start(self) -> None:
        path = self._door
        path.unlink(missing_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
            unix.bind(str(path))
            unix.listen(64)
            numbers = (tcp.fileno(), unix.fileno())
            command = [sys.executable, "-c", _HAND_OVER, *map(str, numbers), f"{CLAMD}", f"{self._folder}/clamd.conf"]
            with open(self._folder / "log", "wb") as log:
                self.process = subprocess.Popen(
                    command, pass_fds=numbers, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            self.tcp = f"tcp://127.0.0.1:{tcp.getsockname()[1]}"
        self._wait(path)

    def _wait(self, path: Path) -> None:
        """Its first answer comes when its database is loaded."""
        end = time.monotonic() + READY_SECONDS
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(READY_SECONDS)
            try:
                wire.connect(str(path))
                wire.sendall(b"zPING\0")
                assert wire.recv(16) == b"PONG\0"
            except (OSError, AssertionError) as error:
                self.kill()
                took = READY_SECONDS - (end - time.monotonic())
                log = (self._folder / "log").read_text()
                raise AssertionError(f"clamd does not answer after {took:.1f} s: {log}") from error


@contextmanager
def running(folder: Path, *, alert: bool = True) -> Iterator[Clamd]:
    """One that is ended. With `alert` it says where it stopped looking."""
    with TemporaryDirectory(dir="/tmp") as short:  # the path of a socket has 107 bytes at most
        clamd = Clamd(folder, Path(short, "clamd.sock"), alert=alert)
        try:
            yield clamd
        finally:
            clamd.kill()
