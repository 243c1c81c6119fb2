"""An application as a child process imports it: its functions go wrong in every way."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from uploadkit import FileRefused
from uploadkit.events.facts import FileScanned
from uploadkit.policy.filenames import random_key
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processor import JobContext, Quarantined
from uploadkit.processing.queue import GivenUp, Later
from uploadkit.processing.rules import Rule
from uploadkit.records.ledger import Claim, Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import UploadRecord
from uploadkit.storage.memory import MemoryStorage

Function = Callable[[JobContext], None]

FUNCTIONS: dict[str, Function] = {}


@dataclass(frozen=True)
class Known:
    """A processor that calls a function of the tests, by its name."""

    name: str
    digest: str = "d1"

    def process(self, job: JobContext) -> None:
        FUNCTIONS[self.name](job)


class Book(Ledger):
    """Has a record of whatever is asked for, and takes what is announced: the claims of these tests are made up."""

    def get(self, upload: str) -> UploadRecord:
        now = datetime.now(UTC)
        return UploadRecord(
            id=upload,
            state=State.PROCESSING,
            created_at=now,
            changed_at=now,
            field="file",
            filename="a.txt",
            content_type="text/plain",
            size=5,
            sha256=None,
            storage="memory",
            key="a.txt",
        )

    def intend(self, claim: Claim, told: Mapping[str, Any]) -> None:
        pass


pipeline = Pipeline(Book(), storages=[MemoryStorage()])


def known(function: Function) -> Function:
    FUNCTIONS[function.__name__] = function
    pipeline.rules.add(Rule(processor=Known(function.__name__), is_apart=True))
    return function


def mark(job: JobContext, text: object = "") -> None:
    """The upload's id is a path in the tests."""
    Path(job.record.id).write_text(str(text))


@known
def pid(job: JobContext) -> None:
    job.add({"pid": os.getpid(), "upload": job.record.id, "attempt": job.attempt})


@known
def store(job: JobContext) -> None:
    job.progress(10, "reading")
    key = job.store(b"small", content_type="image/png")
    job.facts.append(FileScanned(upload=job.record.id, outcome="clean"))
    job.progress(100)
    job.add({"key": key})


@known
def intend_and_die(job: JobContext) -> None:
    job.intend((job.storage, random_key(".png")))
    os._exit(3)


@known
def share(job: JobContext) -> None:
    job.intend((job.storage, "new"))
    job.intend((job.file.storage, job.file.key), shared=True)
    if job.attempt > 1:
        os._exit(3)


@known
def fail(job: JobContext) -> None:
    raise KeyError("a mistake in a function")


@known
def refuse(job: JobContext) -> None:
    raise FileRefused("too ugly", filter="beauty")


@known
def infected(job: JobContext) -> None:
    raise Quarantined("Eicar")


@known
def later(job: JobContext) -> None:
    raise Later(2.5)


@known
def give_up(job: JobContext) -> None:
    raise GivenUp("never \0 \ud800")


@known
def leave(job: JobContext) -> None:
    sys.exit("a function that leaves")


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@known
def mute(job: JobContext) -> None:
    raise Mute


@known
def exit_at_once(job: JobContext) -> None:
    os._exit(3)


@known
def kill_itself(job: JobContext) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@known
def crash(job: JobContext) -> None:
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)


@known
def hang(job: JobContext) -> None:
    mark(job, os.getpid())
    threading.Event().wait(600)


@known
def hang_without_letting_go(job: JobContext) -> None:
    """No other thread of Python runs meanwhile."""
    mark(job, os.getpid())
    ctypes.PyDLL(None).sleep(600)


@known
def hang_asleep_to_signals(job: JobContext) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    hang(job)


@known
def eat(job: JobContext) -> None:
    held = []
    while True:
        held.append(b"x" * 2**20)


@known
def leak(job: JobContext) -> None:
    _leaked.append(b"x" * 160 * 2**20)
    pid(job)


_leaked: list[bytes] = []


@known
def print_a_lot(job: JobContext) -> None:
    for _ in range(2000):
        sys.stdout.write("x" * 1000 + "\n")
    sys.stdout.write("the last word")


@known
def no_json(job: JobContext) -> None:
    job.add({"a": {1, 2}})


@known
def not_a_number(job: JobContext) -> None:
    job.add({"a": float("nan")})


@known
def tell_too_much(job: JobContext) -> None:
    job.add({"a": "x" * 2**20})


@known
def fork(job: JobContext) -> None:
    """A process that stays, and is no program of its own."""
    left = os.fork()
    if left == 0:
        threading.Event().wait(600)
        os._exit(0)
    job.add({"left": left, "pid": os.getpid()})


@known
def fork_and_die(job: JobContext) -> None:
    left = os.fork()
    if left == 0:
        threading.Event().wait(600)
        os._exit(0)
    mark(job, left)
    os._exit(5)


@known
def fork_and_return(job: JobContext) -> None:
    """From both sides."""
    left = os.fork()
    if left:
        job.add({"left": left})
        os.waitpid(left, 0)


@known
def begin_a_program(job: JobContext) -> None:
    left = subprocess.Popen(["sleep", "600"])
    job.add({"left": left.pid})


@known
def end_what_it_began(job: JobContext) -> None:
    """By SIGTERM: what this process does not hear is heard by those it begins."""
    program = subprocess.Popen(["sleep", "600"])
    program.terminate()
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    process.start()
    process.terminate()
    process.join()
    job.add({"ends": [program.wait(), process.exitcode]})


@known
def ignore_cancellation(job: JobContext) -> None:
    hang(job)


@known
def heed_cancellation(job: JobContext) -> None:
    mark(job, os.getpid())
    while not job.is_cancelled:
        threading.Event().wait(0.01)
    job.add({"pid": os.getpid()})


@known
def close_everything(job: JobContext) -> None:
    os.closerange(3, 256)


@known
def tell_much(job: JobContext) -> None:
    for number in range(20_001):
        job.progress(number // 200, f"{number}")


@known
def tell_afterwards(job: JobContext) -> None:
    """In a thread that goes on when it has returned."""

    def tell() -> None:
        with contextlib.suppress(OSError):
            while True:
                job.progress(13)
                threading.Event().wait(0.001)

    threading.Thread(target=tell, daemon=True).start()
    pid(job)


@known
def in_a_loop(job: JobContext) -> None:
    async def work() -> None:
        await job.aprogress(50)
        job.add({"key": await job.astore(b"a")})

    asyncio.run(work())


@known
def surroundings(job: JobContext) -> None:
    job.add(
        {
            "secret": os.environ.get("DATABASE_PASSWORD"),
            "thread": threading.current_thread() is threading.main_thread(),
            "descriptors": sorted(map(int, os.listdir("/proc/self/fd"))),
            "arguments": sys.argv[1:],
            "group": os.getpgrp() == os.getpid(),
        }
    )
