"""assert_no_leaks names each kind of thing that is left behind, waits for what is on its way, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.storage.kinds import NamedDiskStorage, put, staged

from uploadkit.storage.contract import ObjectInfo, Sink, Staged, Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.storage.threads import in_thread
from uploadkit.testing import FailingStorage, assert_no_leaks, leftovers

SOON = 0.02
"""Seconds to wait for what will not go."""


@contextmanager
def found(text: str) -> Iterator[ExitStack]:
    """The block leaves exactly that behind; what is put on the stack is cleared away afterwards."""
    with ExitStack() as stack:
        with pytest.raises(AssertionError) as caught:
            yield stack
        left = str(caught.value).splitlines()
        assert left[0] == "left behind:"
        assert [line for line in left[1:] if text in line] == left[1:], left


def test_a_block_that_leaves_nothing_passes(tmp_path: Path) -> None:
    """Files that were closed, temporary files that were removed, objects that were committed or discarded."""
    memory, disk = MemoryStorage(), DiskStorage(tmp_path)
    with assert_no_leaks(memory, disk):
        for storage in (memory, disk):
            put(storage, "kept")
            staged(storage, "discarded").discard()
        with tempfile.NamedTemporaryFile():
            pass
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()


@pytest.mark.needs("linux")
def test_it_names_a_descriptor_by_what_it_is_open_on(tmp_path: Path) -> None:
    """A file, and a socket."""
    path = tmp_path / "open"
    with found(f"- descriptor {path}") as stack, assert_no_leaks(seconds=SOON):
        stack.enter_context(path.open("w"))
    with found("- descriptor socket:[") as stack, assert_no_leaks(seconds=SOON):
        stack.enter_context(socket.socket())


@pytest.mark.needs("linux")
def test_one_more_of_what_is_open_already_is_seen(tmp_path: Path) -> None:
    """Descriptors are counted: the same file may be open twice before, and three times afterwards."""
    path = tmp_path / "open"
    with path.open("w"), path.open(), found(str(path)) as stack, assert_no_leaks(seconds=SOON):
        stack.enter_context(path.open())


def test_it_names_a_temporary_file_and_removes_it() -> None:
    """And it is not confused by those of other processes: within the block they are made in a folder of its own."""
    before = tempfile.gettempdir()
    with found("- temporary file left") as stack, assert_no_leaks(seconds=SOON):
        Path(before, f"of-another-process-{os.getpid()}").touch()
        stack.callback(Path(before, f"of-another-process-{os.getpid()}").unlink)
        descriptor, name = tempfile.mkstemp(prefix="left")
        os.close(descriptor)
    assert not os.path.exists(name)
    assert tempfile.gettempdir() == before


@pytest.mark.parametrize("make", [lambda _: MemoryStorage(), NamedDiskStorage], ids=["memory", "disk"])
@pytest.mark.parametrize("begin", [lambda to: to.open("key", ObjectInfo()), lambda to: staged(to, "key")])
def test_it_names_what_a_storage_holds(
    make: Callable[[Path], Storage], begin: Callable[[Storage], Sink | Staged], tmp_path: Path
) -> None:
    """A sink and a staged object, also through a storage around it."""
    storage = make(tmp_path)
    put(storage, "before")
    around = FailingStorage(storage, after=9, on="read")
    with pytest.raises(AssertionError, match=f"- in storage '{storage.name}' "), assert_no_leaks(around, seconds=SOON):
        begun = begin(around)
    assert len(leftovers(storage)) == 1
    begun.discard()
    assert leftovers(storage) == []


@pytest.mark.needs("linux")
def test_a_file_without_a_name_is_a_descriptor(tmp_path: Path) -> None:
    """What DiskStorage has staged where the file system can do that."""
    storage = DiskStorage(tmp_path)
    with found(f"- descriptor {tmp_path}/") as stack, assert_no_leaks(storage, seconds=SOON):
        stack.callback(staged(storage, "key").discard)


def test_a_storage_of_somebody_else_is_watched_by_a_function() -> None:
    """Which names what it holds; a storage that is not known is a mistake, and not something that leaks nothing."""
    held = ["before"]
    with found("- something named upload-7"), assert_no_leaks(lambda: held, seconds=SOON):
        held.append("upload-7")

    class Other:
        name = "other"

    with pytest.raises(TypeError, match="a storage of type Other has left"), assert_no_leaks(Other()):  # type: ignore[arg-type]
        pass


def test_it_names_a_thread() -> None:
    """By its name."""
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait, name="forgotten")
    with found("- thread 'forgotten'") as stack, assert_no_leaks(seconds=SOON):
        stack.callback(thread.join)
        stack.callback(go_on.set)
        thread.start()


def test_what_is_on_its_way_is_waited_for() -> None:
    """A thread that ends a little later is none that was left."""
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait)
    waker = threading.Timer(0.05, go_on.set)
    with assert_no_leaks():
        thread.start()
        waker.start()
    assert not thread.is_alive()


def test_it_names_a_task() -> None:
    """In an event loop, which goes on while it waits: a task that ends a little later is waited for."""

    async def main() -> None:
        async with assert_no_leaks():
            ended = asyncio.create_task(asyncio.sleep(0.02))
        assert ended.done()
        with pytest.raises(AssertionError, match="- task 'forgotten' of <coroutine object sleep"):
            async with assert_no_leaks(seconds=SOON):
                forgotten = asyncio.create_task(asyncio.sleep(1000), name="forgotten")
        forgotten.cancel()

    asyncio.run(main())


def test_worker_threads_that_are_kept_are_no_leak() -> None:
    """Neither ours nor those of asyncio: they wait for their next call."""

    async def main() -> None:
        async with assert_no_leaks(seconds=SOON):
            await in_thread(int)
            await asyncio.to_thread(int)

    asyncio.run(main())


def test_an_async_block_is_held_to_the_same(tmp_path: Path) -> None:
    """And to everything else that a plain one is."""

    async def main(storage: Storage) -> None:
        async with assert_no_leaks(storage, seconds=SOON):
            staged(storage, "key")

    storage = MemoryStorage()
    with pytest.raises(AssertionError, match="- in storage 'memory' key"):
        asyncio.run(main(storage))


def test_an_exception_of_the_block_goes_first() -> None:
    """What it has left is the lesser news; `tempfile` is as it was."""
    before = tempfile.gettempdir()
    storage = MemoryStorage()

    def fail() -> None:
        staged(storage, "key")
        raise ValueError("the reason")

    async def main() -> None:
        async with assert_no_leaks(storage):
            fail()

    with pytest.raises(ValueError, match="the reason"), assert_no_leaks(storage):
        fail()
    with pytest.raises(ValueError, match="the reason"):
        asyncio.run(main())
    assert tempfile.gettempdir() == before
