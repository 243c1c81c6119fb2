"""Other processes that use a storage: one that does what it is told until it is killed or has ended, and a fork."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType

from uploadkit.storage.disk import DiskStorage

_BEGINNING = """
import os, signal, sys
from tests.storage.kinds import DISKS
from uploadkit.errors import StorageFailed
from uploadkit.storage.contract import ObjectInfo
disk = DISKS[sys.argv[1]](sys.argv[2])
def say(word): print(word, flush=True)
def wait(): sys.stdin.readline()
"""


class Child:
    """A process that runs `script`, which finds a `disk` over `root`, and `say` and `wait` to talk with the test."""

    def __init__(self, script: str, kind: str, root: Path) -> None:
        here = Path(__file__).parents[2]
        source = Path(sys.modules[DiskStorage.__module__].__file__ or "").parents[3]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BEGINNING + script, kind, str(root)],
            env=os.environ | {"PYTHONPATH": f"{here}{os.pathsep}{source}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """What it says next; empty when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def go_on(self) -> None:
        """Ends its `wait`."""
        self.say("")

    def say(self, line: str) -> None:
        """What it reads next."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def killed(self) -> None:
        """It is gone at once, by SIGKILL."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is not None:
            self.process.kill()
        self.process.communicate()


def in_a_fork(work: Callable[[], str]) -> str:
    """What `work` returns in a fork of this process, which is killed if it hangs."""
    answer, say = os.pipe()
    process = os.fork()
    if process == 0:
        signal.alarm(5)
        try:
            os.write(say, work().encode())
        except BaseException as error:
            os.write(say, repr(error).encode())
        finally:
            os._exit(0)
    os.close(say)
    with open(answer, "rb") as file:
        text = file.read().decode()
    os.waitpid(process, 0)
    return text


@contextmanager
def held_elsewhere(lock: AbstractContextManager[object]) -> Iterator[None]:
    """Another thread has it meanwhile, which a fork has not."""
    taken, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            let_go.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        yield
    finally:
        let_go.set()
        thread.join()
