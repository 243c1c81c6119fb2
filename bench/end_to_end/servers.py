"""How an application is served: one worker process, one event loop or a few threads, nothing logged.

All ASGI servers run Python's own event loop; uvicorn has httptools read HTTP. A server is ended by the group that it
leads.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from . import node

BENCH = Path(__file__).parents[1]
PROJECT = BENCH.parent

READY_SECONDS = 30
STOP_SECONDS = 10


class NotServedError(Exception):
    """The server does not begin to listen."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`command` makes of an application, named from `bench` on, and a port what starts its server.

    `versions` has all that it needs, None for what is not installed.
    """

    name: str
    command: Callable[[str, int], list[str]]
    versions: Callable[[], dict[str, str | None]]


def _python(*words: str) -> list[str]:
    return [sys.executable, "-m", *words]


def _installed(*distributions: str) -> Callable[[], dict[str, str | None]]:
    return lambda: {name: version(name) for name in distributions}


UVICORN = Kind(
    name="uvicorn",
    command=lambda app, port: [
        *_python("uvicorn", f"bench.{app}", "--host", "127.0.0.1", "--port", str(port), "--loop", "asyncio"),
        *("--http", "httptools", "--lifespan", "off", "--no-access-log", "--log-level", "warning"),
    ],
    versions=_installed("uvicorn", "httptools"),
)
GRANIAN = Kind(
    name="granian",
    command=lambda app, port: [
        *_python("granian", f"bench.{app}", "--host", "127.0.0.1", "--port", str(port), "--loop", "asyncio"),
        *("--interface", "asginl", "--no-ws", "--no-access-log", "--log-level", "warning"),
    ],
    versions=_installed("granian"),
)
GUNICORN = Kind(
    name="gunicorn",
    command=lambda app, port: [
        *_python("gunicorn", f"bench.{app}", "--bind", f"127.0.0.1:{port}", "--no-control-socket"),
        *("--worker-class", "gthread", "--threads", "16", "--timeout", "120", "--log-level", "warning"),
    ],
    versions=_installed("gunicorn"),
)
AIOHTTP = Kind(
    name="aiohttp",
    command=lambda app, port: _python(f"bench.{app}", str(port)),
    versions=_installed("aiohttp"),
)
NODE = Kind(
    name="node",
    command=lambda app, port: ["env", f"NODE_PATH={node.modules()}", "node", str(BENCH / app), str(port)],
    versions=node.versions,
)


def version(distribution: str) -> str | None:
    """None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


@contextmanager
def serving(command: Callable[[int], Sequence[str]], environment: Mapping[str, str], folder: Path) -> Iterator[Server]:
    """A server that listens, with `folder` for its temporary files and its log.

    Raises `NotServedError`, and `node.NotInstalledError` where it had to be fetched.
    """
    port = _free_port()
    (folder / "tmp").mkdir(exist_ok=True)
    told = {
        "PYTHONPATH": os.pathsep.join(path for path in (str(PROJECT), os.environ.get("PYTHONPATH")) if path),
        "TMPDIR": str(folder / "tmp"),  # in the file system of the destination: who can rename a file, may
    }
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(port),
            cwd=folder,
            env={**os.environ, **told, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        server = Server(process=process, port=port, log=log)
        server.wait_until_it_answers()
        yield server
    finally:
        stop(process)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until_it_answers(self) -> None:
        """Raises `NotServedError` where it ends, or takes too long."""
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                ask(self.port)
            except OSError:
                time.sleep(0.02)
                continue
            return
        raise NotServedError(self.last_words() or "it does not listen")

    def last_words(self) -> str:
        """The last line of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


def ask(port: int) -> None:
    """One request of the other route, on a connection of its own. Raises `OSError` where it is not answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
    try:
        connection.request("GET", "/other")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise OSError(f"the other route is answered with {answer.status}")
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that leads its group, and what it has left behind."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)
