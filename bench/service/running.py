"""Starts what is measured: the service, with a Valkey server of the bench's own and workers; and a plain application.

Each process leads a group of its own, and is ended with it.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from uploadkit.processing.valkey import ValkeyServer
from uploadkit.storage import event_loop

from ..end_to_end.servers import PROJECT, NotServedError, stop

READY_SECONDS = 60

SETTINGS = {"UPLOADKIT_RATE": "1000000/second", "UPLOADKIT_UPLOADS_AT_ONCE": "1000", "UPLOADKIT_LOG_LEVEL": "warning"}
"""All clients of the bench have one address, and would be refused for asking too often."""

SERVER = ("--loop", "uvloop", "--http", "httptools", "--host", "127.0.0.1", "--port", "0", "--no-access-log")


@dataclass(frozen=True, kw_only=True)
class Running:
    """`web` is the process that is asked, `workers` those that do jobs. `folder` is where files lie."""

    port: int
    web: int
    workers: tuple[int, ...]
    folder: Path

    def get(self, path: str) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@contextmanager
def service(folder: Path, *, workers: int = 0) -> Iterator[Running]:
    """The service in a folder of its own below this one: one web process, and so many that do jobs."""
    with ExitStack() as stack:
        own = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        valkey = ValkeyServer(own / "queue")
        stack.callback(valkey.end)
        event_loop.wait_for(valkey.ensure())
        told = {"UPLOADKIT_DATA": str(own), "UPLOADKIT_REDIS_URL": valkey.url(), **SETTINGS}
        web = ["uvicorn", "--factory", "uploadkit.service.app:create_app", *SERVER]
        serving = stack.enter_context(process(web, own / "web.log", told))
        port = listening_port(serving, own / "web.log")
        web_alone = Running(port=port, web=serving.pid, workers=(), folder=own)
        if web_alone.get("/readyz")[0] != 200:  # a worker begins where there is a ledger: this makes it
            raise NotServedError((own / "web.log").read_text(encoding="utf-8", errors="replace")[-2000:])
        doing = [
            stack.enter_context(process(["uploadkit", "worker", "--log-level", "warning"], log, told))
            for log in (own / f"worker{number}.log" for number in range(workers))
        ]
        yield replace(web_alone, workers=tuple(each.pid for each in doing))


@contextmanager
def plain(folder: Path, *, durable: bool) -> Iterator[Running]:
    """The application that only stores."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        told = {"BENCH_FOLDER": own, "BENCH_DURABLE": str(int(durable))}
        log = Path(own, "web.log")
        with process(["uvicorn", "bench.service.plain:app", *SERVER], log, told) as serving:
            yield Running(port=listening_port(serving, log), web=serving.pid, workers=(), folder=Path(own))


@contextmanager
def process(module: list[str], log: Path, told: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A Python that runs a module, with these words added to its environment, until the block ends."""
    with log.open("wb") as output:
        begun = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **told},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield begun
    finally:
        stop(begun)


def listening_port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The one that was free, as it says in its log when it listens. Raises `NotServedError`."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", log.read_text(encoding="utf-8")):
            return int(found[1])
        time.sleep(0.05)
    raise NotServedError(log.read_text(encoding="utf-8", errors="replace")[-2000:])
