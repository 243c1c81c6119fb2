"""The event loop of a process: it is there once, in a fork anew, and it ends with the process and in silence."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import weakref
from itertools import pairwise

import pytest
from tests.storage.processes import in_a_fork

from uploadkit.storage import event_loop

SOON = 10
"""Seconds after which a test has failed."""


async def number() -> int:
    return 7


def test_many_threads_share_one_loop() -> None:
    """Which is not the one of any caller."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def look() -> None:
        loops.append(asyncio.get_running_loop())

    async def application() -> None:
        loops.append(asyncio.get_running_loop())
        event_loop.wait_for(look())

    threads = [threading.Thread(target=lambda: event_loop.wait_for(look())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(loops)) == 1
    asyncio.run(application())
    assert len(set(loops)) == 2
    assert [thread.name for thread in threading.enumerate()].count(event_loop.THREAD_NAME) == 1


def test_a_fork_has_a_loop_of_its_own() -> None:
    """Also where its parent's is at work, and another thread had the lock in its hand."""
    began, let_go = threading.Event(), threading.Event()

    async def wait() -> int:
        began.set()
        while not let_go.is_set():  # noqa: ASYNC110  # it is set in another thread
            await asyncio.sleep(0.001)
        return 1

    future = event_loop.begin(wait())
    assert began.wait(SOON)
    with event_loop._lock:
        assert in_a_fork(lambda: str(event_loop.wait_for(number()))) == "7"
    let_go.set()
    assert future.result(SOON) == 1
    assert event_loop.wait_for(number()) == 7


def calls_of(thread: int) -> list[str]:
    """The names of the functions that it is in."""
    return [frame.name for frame in traceback.extract_stack(sys._current_frames()[thread])]


def test_what_is_interrupted_is_cancelled() -> None:
    """Ctrl-C in a thread that waits ends the call too."""
    began, cancelled = threading.Event(), threading.Event()

    async def wait() -> None:
        began.set()
        try:
            await asyncio.sleep(SOON)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def interrupt() -> None:
        main = threading.main_thread().ident or 0
        began.wait(SOON)
        while ("wait_for", "result") not in pairwise(calls_of(main)):
            pass
        signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs behind it
    try:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            event_loop.wait_for(wait())
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert cancelled.wait(SOON)


def test_a_call_that_failed_keeps_nothing() -> None:
    """What it was given goes with its error, and not when Python next looks for cycles: it may be a part of a file."""

    class Part:
        pass

    async def fail(part: Part) -> None:
        raise OSError

    gc.collect()
    gc.disable()
    try:
        part = Part()
        seen = weakref.ref(part)
        with pytest.raises(OSError):  # noqa: PT011
            event_loop.wait_for(fail(part))
        del part
        deadline = time.monotonic() + SOON
        while seen() is not None and time.monotonic() < deadline:
            event_loop.wait_for(number())  # the loop lets go of it a little later
        assert seen() is None
    finally:
        gc.enable()


# The end of a process


def end_of(code: str) -> str:
    """What a process says that ends after `code`, on both of its streams."""
    program = f"""
import asyncio
from uploadkit.storage import event_loop
event_loop.EXIT_SECONDS = 0.3
{textwrap.dedent(code)}
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SOON * 3,
        text=True,
        check=False,
    )
    return done.stdout


def test_what_is_to_be_done_at_the_end_is_done() -> None:
    """The last one first, while the loop runs; what fails or was taken back is in nobody's way."""
    said = end_of("""
        async def say(word):
            await asyncio.sleep(0)
            print(word, flush=True)
        first, second = (lambda: event_loop.wait_for(say("first"))), (lambda: event_loop.wait_for(say("second")))
        third = lambda: event_loop.wait_for(say("third"))
        for end in (first, lambda: 1 / 0, second, third):
            event_loop.at_exit(end)
        event_loop.not_at_exit(third)
        print("end", flush=True)
    """)
    assert said.split() == ["end", "second", "first"]


def test_a_process_ends_in_time_and_in_silence() -> None:
    """Though nothing is ever answered: what is under way is cancelled, and what needs no answer is still done."""
    said = end_of("""
        async def wait():
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)
                print("cancelled", flush=True)
        async def close():
            await asyncio.sleep(0)
            print("closed", flush=True)
        event_loop.at_exit(lambda: event_loop.wait_for(close()))
        event_loop.at_exit(lambda: event_loop.wait_for(wait()))
        event_loop.begin(wait())
        event_loop.wait_for(asyncio.sleep(0))
    """)
    assert sorted(said.split()) == ["cancelled", "cancelled", "closed"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_nothing_that_is_raised_in_the_loop_ends_it(error: BaseException) -> None:
    """Who waits for it is told; others are answered as before."""

    async def leave() -> None:
        raise error

    with pytest.raises(type(error)):
        event_loop.wait_for(leave())
    assert event_loop.begin(number()).result(SOON) == 7


def test_the_loop_does_not_wait_for_itself() -> None:
    """It would, without end."""

    async def block() -> int:
        return event_loop.wait_for(number())

    with pytest.raises(RuntimeError, match="await its async twin"):
        event_loop.begin(block()).result(SOON)
