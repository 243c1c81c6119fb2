"""A service as it is run: web processes under uvicorn, and workers, each in a process of its own beside the tests.

Each chooses its port itself; every wait is bounded; each is ended by its own process id. What they say is in a file.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from uploadkit.testing import FormBuilder

ROOT = Path(__file__).parents[2]

READY_SECONDS = 60
"""A process begins in two, or in thirty where others work as well."""


@dataclass(eq=False, kw_only=True)
class Program:
    """A process that runs. `log` is the file of what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    def says(self, pattern: str) -> re.Match[str]:
        """What it says that fits, when it has said so."""
        until = time.monotonic() + READY_SECONDS
        while not (found := re.search(pattern, self.log.read_text())):
            assert time.monotonic() < until, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.01)
        return found

    def stop(self) -> float:
        """By SIGTERM. How many seconds that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(READY_SECONDS)
        return time.monotonic() - began


@dataclass(eq=False, kw_only=True)
class Web(Program):
    """A web process. `port` is where it listens."""

    port: int = 0

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=READY_SECONDS)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body=body, headers=names)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def post(self, *files: tuple[str, bytes], **headers: str) -> tuple[int, Any]:
        """Files that are uploaded in one request."""
        form = FormBuilder()
        for name, content in files:
            form.file("file", content, filename=name)
        return self.ask("POST", "/uploads", form.body, Content_Type=form.content_type, **headers)

    @contextmanager
    def following(self, upload: str, *, seen: str | None = None) -> Iterator[Stream]:
        """The events of an upload."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=READY_SECONDS)
        try:
            connection.request(
                "GET", f"/uploads/{upload}/events", headers={} if seen is None else {"Last-Event-ID": seen}
            )
            with connection.getresponse() as answer:
                yield Stream(answer)
        finally:
            connection.close()

    def open_files(self) -> int:
        """How many descriptors it has."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


@dataclass(eq=False)
class Stream:
    """Events as they arrive. `id` is that of the last one."""

    answer: HTTPResponse
    id: str | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Until the stream ends."""
        while (event := self.next()) is not None:
            yield event

    def next(self) -> dict[str, Any] | None:
        """The next event, None where the stream has ended."""
        told: dict[str, Any] | None = None
        while line := self.answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                self.id = value
            elif name == "data":
                told = json.loads(value)
            elif not line.strip() and told is not None:
                return told
        return None


@contextmanager
def web(folder: Path, **settings: str) -> Iterator[Web]:
    """A web process with its data in a folder. Settings are those of the environment, without `UPLOADKIT_`."""
    command = ["-m", "uvicorn", "uploadkit.service.app:create_app", "--factory", "--port", "0", "--no-access-log"]
    with _running(folder, command, settings) as (process, log):
        program = Web(process=process, log=log)
        program.port = int(program.says(r"running on http://127\.0\.0\.1:(\d+)")[1])
        yield program


@contextmanager
def worker(folder: Path, **settings: str) -> Iterator[Program]:
    """A worker of the same service."""
    with _running(folder, ["-m", "tests.service.working"], settings) as (process, log):
        program = Program(process=process, log=log)
        program.says("worker .* begins")
        yield program


def eventually(condition: Callable[[], object], *, seconds: float = READY_SECONDS) -> None:
    """Returns when it holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it does not hold"
        time.sleep(0.01)


@contextmanager
def _running(
    folder: Path, command: list[str], settings: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    folder.mkdir(exist_ok=True)
    log = folder / f"log-{len(list(folder.glob('log-*')))}"
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    said = {f"UPLOADKIT_{name.upper()}": value for name, value in settings.items()}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=inherited | {"UPLOADKIT_DATA": str(folder / "data")} | said,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()
