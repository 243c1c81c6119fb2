"""Tells what a block of code has left behind: nothing that it began may outlive it.

    with assert_no_leaks(storage):
        client.post("/profile", ...)

    async with assert_no_leaks(storage):
        await areceive(...)

What was there before is left out. What the garbage collector alone would close is left behind: it may come late.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from types import TracebackType
from typing import TypeAlias

from ..content import sandbox
from ..storage import event_loop
from ..storage.contract import Storage, SweepsStaging
from ..storage.memory import MemoryStorage
from ..storage.threads import THREAD_NAME
from .storage_faults import FailingStorage

Watched: TypeAlias = Storage | Callable[[], Iterable[str]]
"""A storage that `leftovers` knows, or a function that names what is held now: a cache's entries, a pool's loans."""


class assert_no_leaks:
    """Raises `AssertionError` at the end of its block, and names what is left after `seconds` of waiting for it to go:

    - open descriptors of this process, by what they are open on (where there is a /proc), but for the channels to the
      child processes that uploadkit keeps for its next picture;
    - temporary files: within the block `tempfile` makes them in a folder that nobody else uses, which is removed;
    - what a watched storage holds that is neither visible nor discarded;
    - threads, but for the workers that uploadkit, asyncio and AnyIO keep for their next call;
    - with `async with`, tasks of the running event loop. That form waits without blocking it.

    Where the block raises, its exception goes on and nothing is compared. One block at a time; it can be used again.
    """

    def __init__(self, *watched: Watched, seconds: float = 5.0) -> None:
        self._watched = watched
        self._seconds = seconds
        self._sees_tasks = False

    def __enter__(self) -> None:
        self._tempdir_before, self._tempdir = tempfile.tempdir, tempfile.mkdtemp(prefix="leaks-")
        tempfile.tempdir = self._tempdir
        try:
            self._before = self._seen()
        except BaseException:
            self._end()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            for pause in self._pauses() if kind is None else ():
                time.sleep(pause)
        finally:
            self._end()

    async def __aenter__(self) -> None:
        self._sees_tasks = True
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            for pause in self._pauses() if kind is None else ():
                await asyncio.sleep(pause)
        finally:
            self._end()

    def _end(self) -> None:
        tempfile.tempdir = self._tempdir_before
        shutil.rmtree(self._tempdir, ignore_errors=True)
        self._sees_tasks = False

    def _pauses(self) -> Iterator[float]:
        """How long to wait before the next look. Ends when nothing is left; raises when something stays."""
        end = time.monotonic() + self._seconds
        while left := self._seen() - self._before:
            if time.monotonic() >= end:
                lines = sorted(f"- {kind} {_shown(thing)}" for kind, thing in left.elements())
                raise AssertionError("\n".join(["left behind:", *lines]))
            yield 0.01

    def _seen(self) -> Counter[tuple[str, Hashable]]:
        """What is there now, with the word for it."""
        seen: Counter[tuple[str, Hashable]] = Counter()
        seen.update(("descriptor", target) for target in _descriptors())
        seen.update(("temporary file", name) for name in os.listdir(self._tempdir))
        for watched in self._watched:
            if callable(watched):
                seen.update(("something named", name) for name in watched())
            else:
                seen.update((f"in storage {watched.name!r}", name) for name in leftovers(watched))
        seen.update(("thread", thread) for thread in threading.enumerate() if not thread.name.startswith(_KEPT))
        if self._sees_tasks:
            seen.update(("task", task) for task in asyncio.all_tasks())
        return seen


_KEPT = (f"{THREAD_NAME}_", event_loop.THREAD_NAME, "asyncio_", "AnyIO worker thread")
"""How the names of threads begin that wait for their next call."""


def leftovers(storage: Storage) -> list[str]:
    """What a `MemoryStorage`, or a storage that `SweepsStaging`, holds that is neither visible nor discarded.

    A file on disk that has no name yet is seen by its descriptor alone. Fits `check_storage(..., leftovers=leftovers)`.
    Raises `TypeError` for a storage that cannot tell.
    """
    if isinstance(storage, FailingStorage):
        return leftovers(storage.inner)
    if isinstance(storage, MemoryStorage):
        return storage.unfinished
    if isinstance(storage, SweepsStaging):
        return [*storage.in_staging()]
    raise TypeError(
        f"what a storage of type {type(storage).__name__} has left is not known; give a function that names it"
    )


def _descriptors() -> Iterator[str]:
    folder = "/proc/self/fd"
    kept = {str(number) for number in sandbox.descriptors()}
    for number in os.listdir(folder) if os.path.isdir(folder) else ():
        if number in kept:
            continue
        try:
            yield os.readlink(f"{folder}/{number}")
        except FileNotFoundError:  # it was that of the folder itself
            continue


def _shown(thing: Hashable) -> str:
    if isinstance(thing, threading.Thread):
        return repr(thing.name)
    if isinstance(thing, asyncio.Task):
        return f"{thing.get_name()!r} of {thing.get_coro()!r}"
    return str(thing)
