"""The worker threads: what a call comes to is never lost and never waited for in vain."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.intake.called import Hold, turns

import uploadkit
from uploadkit.storage.threads import MAX_THREADS, Work, in_thread


def test_it_gives_what_the_call_gives_from_another_thread() -> None:
    """With its arguments, and in the caller's context."""
    request: ContextVar[str] = ContextVar("request")
    request.set("this one")

    def call(*args: int, **kwargs: int) -> object:
        return args, kwargs, request.get(), threading.get_ident() == caller

    caller = threading.get_ident()
    assert asyncio.run(in_thread(call, 1, 2, three=3)) == ((1, 2), {"three": 3}, "this one", False)


@pytest.mark.parametrize(
    "error",
    [ValueError("wrong"), KeyError(1), concurrent.futures.CancelledError(), TimeoutError(), StopAsyncIteration()],
    ids=repr,
)
def test_it_raises_what_the_call_raises(error: Exception) -> None:
    """The very object. Another pool's cancellation is an error here, and not a cancellation of this task."""
    with pytest.raises(type(error)) as caught:
        asyncio.run(in_thread(raising(error)))
    assert caught.value is error


def test_a_stop_iteration_ends_the_wait() -> None:
    """A future cannot carry it: the wait for one that should would have no end."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(in_thread(raising(StopIteration())))


def test_an_error_is_not_kept_alive_by_its_own_traceback() -> None:
    """What it refers to goes when it goes, without the garbage collector: sinks and buffers of an upload."""
    gone = threading.Event()

    class Fragile(Exception):
        def __del__(self) -> None:
            gone.set()

    async def main() -> None:
        try:
            await in_thread(raise_new, Fragile)
        except Fragile:
            return

    gc.disable()
    try:
        asyncio.run(main())
        assert gone.wait(10)  # the worker may still be on its way back to its queue
    finally:
        gc.enable()


@pytest.mark.parametrize("after", range(8))
def test_a_result_is_not_lost_however_late_the_cancellation_comes(after: int) -> None:
    """Cancelled before the call returns, while its result is on its way through the loop, and after that."""

    async def waiting(hold: Hold) -> None:
        results.append((await Work(held, hold).finish())[0])
        noted.set()
        await asyncio.Event().wait()

    async def main() -> None:
        hold = Hold("call")
        task = asyncio.create_task(waiting(hold))
        await hold.reached.wait()
        hold.let_go()
        await turns(after)
        task.cancel()
        async with asyncio.timeout(10):
            await noted.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert results == ["result"]

    results: list[object] = []
    noted = asyncio.Event()
    asyncio.run(main())


def test_a_cancellation_goes_before_the_calls_own_error_which_is_its_cause() -> None:
    """Both are told."""

    def failing(hold: Hold) -> NoReturn:
        hold("call")
        raise ValueError("meanwhile")

    async def main() -> None:
        hold = Hold("call")
        task = asyncio.create_task(in_thread(failing, hold))
        await hold.reached.wait()
        task.cancel()
        await turns()
        assert not task.done()
        hold.let_go()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert str(caught.value.__cause__) == "meanwhile"

    asyncio.run(main())


def test_there_are_so_many_threads_and_no_more() -> None:
    """Calls beyond them wait for their turn, and each has it."""
    running, most, lock = 0, 0, threading.Lock()
    let_go = threading.Event()

    def call(number: int, loop: asyncio.AbstractEventLoop) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == MAX_THREADS:
                loop.call_soon_threadsafe(all_busy.set)
        assert let_go.wait(10)
        with lock:
            running -= 1
        return number

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        calls = asyncio.gather(*(in_thread(call, number, loop) for number in range(MAX_THREADS + 5)))
        await all_busy.wait()
        let_go.set()
        return await calls

    all_busy = asyncio.Event()
    assert asyncio.run(main()) == list(range(MAX_THREADS + 5))
    assert most == MAX_THREADS


def test_the_threads_serve_one_loop_after_the_other() -> None:
    """And loops in several threads at once."""
    idents: list[int] = []

    def run() -> None:
        idents.append(asyncio.run(in_thread(threading.get_ident)))

    run()
    others = [threading.Thread(target=run) for _ in range(3)]
    for other in others:
        other.start()
    for other in others:
        other.join(10)
    assert len(idents) == 4


FORKING = """
import asyncio, os
from uploadkit.storage import threads
from uploadkit.storage.threads import in_thread

def is_here() -> bool:
    return asyncio.run(in_thread(os.getpid)) == os.getpid()

before = is_here()  # the parent has threads now
with threads._lock:  # as another thread of the parent may hold it in this moment
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if is_here() else 3)
        finally:
            os._exit(4)
_, status = os.waitpid(pid, 0)
print(before, os.waitstatus_to_exitcode(status), is_here())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """Its parent's are not in it, nor is whoever holds the lock: pre-forking servers load before they fork."""
    # 3.12 warns of a fork beside threads, as it should
    assert said_by(FORKING, "-W", "ignore") == "True 0 True\n"


def test_a_pool_that_was_never_asked_for_is_not_there() -> None:
    """A blocking application starts no thread for uploads."""
    program = "import threading; import uploadkit.intake.asynchronous; print(threading.active_count())"
    assert said_by(program) == "1\n"


def said_by(program: str, *options: str) -> str:
    """What a program prints that runs in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(Path(uploadkit.__file__).parents[1])}
    command = [sys.executable, *options, "-c", program]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=20).stdout


def raising(error: BaseException) -> Callable[[], Any]:
    """A call that raises."""

    def call() -> NoReturn:
        raise error

    return call


def raise_new(kind: type[Exception]) -> NoReturn:
    """A call that raises what nobody else holds."""
    raise kind


def held(hold: Hold) -> str:
    """A call that is held."""
    hold("call")
    return "result"
