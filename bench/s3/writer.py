"""Who sends to S3 from memory: a process of its own that runs one module of `memory`.

Started with the module's name and a load, it says "ready" when its first, small objects are there. Then it sends the
load for every line of its input, and answers with one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from ..end_to_end.forms import Load
from ..end_to_end.sender import Sent
from ..end_to_end.servers import PROJECT


class Writer:
    """The process, from the caller's side."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self) -> Sent:
        """Sends the whole load and waits for the end of it. Raises `RuntimeError` where the process has ended."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return Sent(**json.loads(self.line()))

    def line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process that sends from memory has ended")
        return line


@contextmanager
def writing(module: str, load: Load, first: Load, environment: Mapping[str, str], log: Path) -> Iterator[Writer]:
    """One that has sent `first` and is ready for `load`."""
    command = [sys.executable, "-m", __name__, module, json.dumps(asdict(load)), json.dumps(asdict(first))]
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=PROJECT,
            env={**os.environ, **environment},
        ) as process,
    ):
        writer = Writer(process)
        try:
            writer.line()
            yield writer
        finally:
            process.kill()


def main() -> None:
    """The process itself."""
    load, first = (Load(**json.loads(word)) for word in sys.argv[2:])
    send = import_module(sys.argv[1]).send
    with ThreadPoolExecutor(max(load.connections, first.connections)) as threads:

        def send_all(load: Load) -> None:
            list(threads.map(lambda number: send(load, number), range(load.requests)))

        send_all(first)
        print("ready", flush=True)
        for _ in sys.stdin:
            start, failure = time.perf_counter(), None
            try:
                send_all(load)
            except Exception as error:  # whatever a client raises, it has failed
                failure = repr(error)
            sent = Sent(seconds=time.perf_counter() - start, failure=failure, answers=[])
            print(json.dumps(asdict(sent)), flush=True)


if __name__ == "__main__":
    main()
