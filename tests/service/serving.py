"""`uploadkit serve` in a folder of its own: a tree of processes, of which nothing is left when a test has ended."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tests.processing.servers import ROOT, eventually

from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.service.settings import settings_of
from uploadkit.testing import FormBuilder

SECONDS = 60


class Served:
    """One, which may be begun again in the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._processes: list[subprocess.Popen[str]] = []
        self._seen: set[int] = set()

    def start(self, *words: object, wait: bool = True, **variables: str) -> subprocess.Popen[str]:
        """Returns when it serves."""
        ours = {name for setting in settings_of() for name in setting.variables}
        env = {name: value for name, value in os.environ.items() if name not in ours} | variables
        command = [sys.executable, "-m", "uploadkit", "serve", "--port", "0", "--data", self.data]
        self._said().unlink(missing_ok=True)
        with self._said().open("w") as said, (self.folder / "log").open("a") as log:
            path = f"{self.folder}{os.pathsep}{ROOT}"
            process = subprocess.Popen(
                [*map(str, command), *map(str, words)],
                cwd=self.folder,
                env={"PYTHONPATH": path} | env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=log,
                text=True,
            )
        self._processes.append(process)
        if wait:
            eventually(lambda: process.poll() is not None or "  runs " in self.said, seconds=SECONDS)
            assert process.poll() is None, self.log
        return process

    @property
    def said(self) -> str:
        """On its standard output."""
        return self._said().read_text()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def logs(self, text: str) -> None:
        """Returns when it has written this. What it has written instead is the reason where it does not."""
        try:
            eventually(lambda: text in self.log, seconds=SECONDS)
        except AssertionError:
            ended = [process.poll() for process in self._processes]
            raise AssertionError(f"{text!r} is not in the log, and {ended} says who has ended:\n{self.log}") from None

    @property
    def url(self) -> str:
        [url] = re.findall(r"serves at (http://\S+)/", self.said)
        return str(url)

    def processes(self, part: str = "") -> list[int]:
        """Those of the running tree whose command has this in it, the parent included."""
        found = list(_descendants(self._processes[-1].pid))
        self._seen.update(found)
        return [pid for pid in found if part in _command(pid)]

    def left(self) -> list[str]:
        """Those of all that `processes` has told of which still live."""
        return [_command(pid) for pid in self._seen if _lives(pid)]

    def kill_all(self) -> None:
        """All of them, as when the power fails."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._processes[-1].wait(SECONDS)

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                self.processes()
                process.kill()
                process.wait()
        for pid in self._seen:
            if _lives(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def upload(self, *files: tuple[str, bytes]) -> dict[str, Any]:
        """The answer to a form with these."""
        form = FormBuilder()
        for name, data in files:
            form.file("file", data, filename=name)
        request = urllib.request.Request(
            f"{self.url}/uploads", data=form.body, headers={"Content-Type": form.content_type}
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self.url + path, timeout=SECONDS) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def answers(self) -> bool:
        """Whether a new connection is served."""
        try:
            return self.get("/healthz") == {"status": "ok"}
        except (OSError, urllib.error.URLError):
            return False

    def completed(self, upload: str) -> bool:
        return bool(self.get(f"/uploads/{upload}")["status"] == "completed")

    def states(self) -> list[State]:
        """Of all uploads, as the ledger has them."""
        with closing(Ledger(f"sqlite:///{self.data / 'ledger.db'}")) as ledger:
            return [record.state for record in ledger.find(limit=1000)]

    def staged(self) -> Sequence[Path]:
        """What lies in staging, half or whole."""
        return [path for path in (self.data / "staging").rglob("*") if path.is_file()]

    def _said(self) -> Path:
        return self.folder / "said"


class SlowUpload:
    """A form whose second half is sent when the test says so."""

    def __init__(self, url: str, *, name: str = "slow.txt", size: int = 100_000) -> None:
        form = FormBuilder().file("file", b"x" * size, filename=name)
        host, _, port = url.removeprefix("http://").partition(":")
        self._rest = form.body[size // 2 :]
        self._socket = socket.create_connection((host, int(port)), timeout=SECONDS)
        head = (
            f"POST /uploads HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(form.body)}\r\n"
            f"Content-Type: {form.content_type}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + form.body[: size // 2])

    def finish(self) -> None:
        """Sends the rest."""
        self._socket.sendall(self._rest)

    def answer(self) -> tuple[int, dict[str, Any]]:
        """Its status, and its JSON. The connection is closed after it."""
        data = b""
        while chunk := self._socket.recv(65536):
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)

    def close(self) -> None:
        self._socket.close()


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _descendants(int(child))


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def _lives(pid: int) -> bool:
    """A zombie does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_until_gone(served: Served) -> None:
    """Bounded."""
    until = time.monotonic() + SECONDS
    while left := served.left():
        assert time.monotonic() < until, left
        time.sleep(0.02)
