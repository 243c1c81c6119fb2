"""Every sample of `adversaries` as a request: no bad one comes in, no good one is refused, and nothing is left.

One is received by the blocking driver, the next by the async one, which asks the same plan for its verdict; both into a
folder. `soak` has each by the other driver, and into memory. What a verdict costs is counted beside, with bounds for a
machine that has other things to do; `python -m bench.adversaries` has the figures of one that has not.
"""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache
from pathlib import Path

import pytest
from tests.content.adversaries import BAD, GOOD, fields
from tests.intake.receiving import DRIVES, in_chunks, left_in

from uploadkit import DiskStorage, FileRefused, MemoryStorage, UploadedFile, Uploader
from uploadkit.content.sandbox import Sandbox
from uploadkit.testing import FormBuilder, assert_no_leaks

SAMPLES = BAD | GOOD

MEMORY = 16 * 2**20
"""Bytes of this process, beside the body of the request."""

PROCESSOR_SECONDS, SECONDS = 2.0, 15.0
"""Of this process and its children, and on the clock. Promised is half a second of both, where nothing else runs."""

BY_TYPE = ("accept", "image_format", "image_extension")


WAYS = ("blocking", "async")


def named(*names: str) -> list[object]:
    """With a driver and whether it goes into memory. Those that a virus is looked for in need a daemon."""
    params: list[object] = []
    for number, name in enumerate(names):
        scanned = [pytest.mark.needs("clamd")] if SAMPLES[name].field == "scanned" else []
        params.append(pytest.param(name, WAYS[number % 2], False, marks=scanned))
        params.append(pytest.param(name, WAYS[1 - number % 2], True, marks=[*scanned, pytest.mark.soak]))
    return params


class Door:
    """Receives a sample as somebody's application would. One child looks at all pictures, and stays warm."""

    def __init__(self, sandbox: Sandbox, clamd: str | None) -> None:
        self._sandbox = sandbox
        self._rules = {rule.name: rule for rule in fields(sandbox, clamd)}

    def receive(self, name: str, way: str, storage: DiskStorage | MemoryStorage) -> UploadedFile:
        """Raises what receiving raises."""
        sample = SAMPLES[name]
        form = FormBuilder().file(sample.field, data_of(name), filename=sample.filename, content_type=sample.declared)
        spec, content_type, chunks = (
            Uploader(storage).fields(self._rules[sample.field]),
            form.content_type,
            in_chunks(form.body),
        )
        in_memory = isinstance(storage, MemoryStorage)  # what it holds is all of the file
        with self._in_little_time(), nullcontext() if in_memory else self._in_little_memory():
            [file] = DRIVES[way](spec, content_type, chunks).files
        return file

    @property
    def kept(self) -> set[str]:
        """The processes that wait for the next file."""
        return {str(pid) for pid in self._sandbox.pids}

    @contextmanager
    def _in_little_memory(self) -> Iterator[None]:
        tracemalloc.start()
        try:
            yield
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak <= MEMORY

    @contextmanager
    def _in_little_time(self) -> Iterator[None]:
        began, before = time.monotonic(), self._processor_seconds()
        try:
            yield
        finally:
            assert self._processor_seconds() - before <= PROCESSOR_SECONDS
            assert time.monotonic() - began <= SECONDS

    def _processor_seconds(self) -> float:
        """Of this process, of children that have ended, and of those that are kept."""
        ticks = 0
        for pid in self.kept if os.path.isdir("/proc") else ():
            spent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(spent[11]) + int(spent[12])
        return sum(os.times()[:4]) + ticks / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    pool = Sandbox(processes=1)
    yield pool
    pool.close()


@pytest.fixture
def door(request: pytest.FixtureRequest, sandbox: Sandbox) -> Door:
    scanned = any(mark.args == ("clamd",) for mark in request.node.iter_markers("needs"))
    return Door(sandbox, request.getfixturevalue("clamd").unix if scanned else None)


@pytest.fixture
def storage(in_memory: bool, tmp_path: Path) -> DiskStorage | MemoryStorage:
    return MemoryStorage() if in_memory else DiskStorage(tmp_path / "uploads")


@lru_cache(maxsize=1)
def data_of(name: str) -> bytes:
    """Made once for a test."""
    return SAMPLES[name].make()


def children() -> set[str]:
    """The processes that this one has begun."""
    begun: set[str] = set()
    tasks = Path("/proc/self/task")
    for thread in tasks.iterdir() if tasks.is_dir() else ():
        with suppress(FileNotFoundError):  # the thread has ended meanwhile
            begun.update((thread / "children").read_text().split())
    return begun


@pytest.mark.parametrize(("name", "way", "in_memory"), named(*BAD))
def test_a_bad_file_is_refused_and_leaves_nothing(
    name: str, way: str, storage: DiskStorage | MemoryStorage, door: Door
) -> None:
    """By the filter that says why; of a type that was wrong with another status than of what is wrong with the file."""
    sample, before = SAMPLES[name], children()
    with assert_no_leaks(storage), pytest.raises(FileRefused) as refused:
        door.receive(name, way, storage)
    assert refused.value.filter in sample.refused_by
    assert refused.value.status == (415 if refused.value.filter in BY_TYPE else 422)
    assert refused.value.field == sample.field
    assert left_in(storage) == []
    assert children() - before <= door.kept


@pytest.mark.parametrize(("name", "way", "in_memory"), named(*GOOD))
def test_a_good_file_comes_in(name: str, way: str, storage: DiskStorage | MemoryStorage, door: Door) -> None:
    """As it was sent."""
    before = children()
    with assert_no_leaks(storage):
        stored = door.receive(name, way, storage)
    assert stored.read() == data_of(name)
    assert stored.content_type != "application/octet-stream" or not stored.size
    assert len(left_in(storage)) == 1
    assert children() - before <= door.kept
