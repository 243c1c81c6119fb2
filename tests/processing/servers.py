"""Programs beside the tests, each ended by its process id."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def running(program: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python program beside this one. What it prints can be read; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next that it prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def eventually(condition: Callable[[], object], *, seconds: float = 30) -> None:
    """Returns when it holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it does not hold"
        time.sleep(0.02)
