"""The examples of processing: where they are, a worker of them in a process of its own, and what is sent to them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from tests.adapters.servers import PROJECT

EXAMPLES = PROJECT / "examples" / "processing"

SETTLED_SECONDS = 60
"""Processes begin, and others may be at work on the machine; a job takes a tenth of a second."""

OTHERS = {name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "DATABASE_URL")}


@contextmanager
def worker(
    folder: Path, *, app: str = "media:pipeline", options: Sequence[str] = (), **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """`uploadkit worker` beside a server."""
    paths = os.pathsep.join([str(EXAMPLES), *filter(None, sys.path)])
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "uploadkit", "worker", "--app", app, *options],
            cwd=folder,
            env=OTHERS | {"PYTHONPATH": paths} | environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


def picture(colour: str = "red") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (400, 300), colour).save(data, "PNG")
    return data.getvalue()
