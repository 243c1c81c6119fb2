"""OpenSSH's own SFTP server on a port of 127.0.0.1, as this user, with a key that nobody else has.

A listener of the test's own takes each connection and hands it to an `sshd -i`, which serves that one alone: no port
is guessed, nothing is waited for, and what is killed is what was started here.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CONFIG = """
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
Subsystem sftp internal-sftp
PasswordAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
"""

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class SftpServer:
    """Serves all that this user can read. Its keys lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("key", "host_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "sshd_config").write_text(CONFIG.format(folder=folder))
        self._serving: list[subprocess.Popen[bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._listen, args=(self._listener,))
        self._thread.start()
        self.port: int = self._listener.getsockname()[1]

    @property
    def options(self) -> dict[str, Any]:
        """What paramiko needs to connect, and no key of whoever runs the tests."""
        return {
            "port": self.port,
            "username": getpass.getuser(),
            "key_filename": str(self._folder / "key"),
            "look_for_keys": False,
            "allow_agent": False,
            "timeout": 10,
        }

    def url(self, root: Path) -> str:
        """Of a folder of this machine."""
        return f"sftp://127.0.0.1{root}"

    def connections(self) -> int:
        """How many are served now."""
        return sum(each.poll() is None for each in self._serving)

    def kill(self) -> None:
        """Every connection ends at once, and a new one is refused."""
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
        self._listener.close()
        self._thread.join()
        for each in self._serving:
            if each.poll() is None:
                os.killpg(each.pid, signal.SIGKILL)  # the group that it leads: not as root, it serves in a child
                each.wait()
        self._serving.clear()

    def stop_answering(self) -> None:
        """Every connection stays, and nothing comes from it any more; a new one is served."""
        for each in self._serving:
            os.killpg(each.pid, signal.SIGSTOP)

    def restart(self) -> None:
        """On the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._listen, args=(self._listener,))
        self._thread.start()

    def _listen(self, listener: socket.socket) -> None:
        command = [str(SSHD), "-i", "-e", "-f", str(self._folder / "sshd_config")]
        with suppress(OSError):  # it was shut down
            while True:
                connection, _ = listener.accept()
                wire = connection.fileno()
                with connection, open(self._folder / "log", "ab") as log:
                    self._serving.append(
                        subprocess.Popen(command, stdin=wire, stdout=wire, stderr=log, start_new_session=True)
                    )


def runs() -> bool:
    """Whether there is an sshd that this user can start: as root it wants a folder of its own."""
    if SSHD is None or shutil.which("ssh-keygen") is None:
        return False
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return True


@contextmanager
def sftp_server(folder: Path) -> Iterator[SftpServer]:
    """One that is ended."""
    folder.mkdir()
    server = SftpServer(folder)
    try:
        yield server
    finally:
        with suppress(OSError):
            server.kill()
