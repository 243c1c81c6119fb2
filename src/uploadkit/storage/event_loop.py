"""An event loop for storages whose engine is async: one daemon thread in each process, which blocking callers share.

It begins with the first call and, after a fork, again in the child. At the end of the process what was handed to
`at_exit` runs first, then it stops. A caller is never in this loop: the application's own loop is another one.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import selectors
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

THREAD_NAME = "uploadkit-loop"

EXIT_SECONDS = 10
"""So long the end of the process is put off, at most, by what is to be done then."""

LAST_SECONDS = 0.2
"""So long each call may still take when that time is over: enough for one that waits for nobody, as to close is."""


class _LoopThread:
    """`endings` are called when the process ends, the last one first."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.endings: list[Callable[[], object]] = []
        self.until: float | None = None  # when the process ends all the same
        self._selector = selectors.DefaultSelector()
        self.loop = asyncio.SelectorEventLoop(self._selector)
        self.loop.set_default_executor(_Executor(thread_name_prefix="asyncio"))
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()
        atexit.register(self._end)

    def seconds_to_wait(self) -> float | None:
        """How long a caller may wait for it, None without end. Raises `RuntimeError` in this thread."""
        if self._thread is threading.current_thread():
            raise RuntimeError("a call that blocks, in the event loop that is to answer it: await its async twin")
        return None if self.until is None else max(LAST_SECONDS, self.until - time.monotonic())

    def _run(self) -> None:
        """asyncio ends a loop in which `SystemExit` or `KeyboardInterrupt` is raised. Here it is told to who waits for
        the task, and all the others go on."""
        while True:
            try:
                return self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                continue

    def leave_to_parent(self) -> None:
        """In a fork's child: what it has a copy of may be thrown away, and nothing of it reaches the parent's own.

        Its descriptors are the parent's connections, and its selector is the one in which the parent waits for them.
        """
        self.loop.set_exception_handler(lambda *_: None)  # of what is thrown away without being closed
        shared = [key.fd for key in (self._selector.get_map() or {}).values()]  # none where the parent ends
        if hasattr(self._selector, "fileno"):
            shared.append(self._selector.fileno())
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in shared:
            os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)

    def _end(self) -> None:
        if os.getpid() != self.process:  # a fork's copy, without the thread
            return
        self.until = time.monotonic() + EXIT_SECONDS
        for end in self.endings[::-1]:
            with suppress(Exception):  # the process ends all the same
                end()
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(_cancel_others(), self.loop).result(timeout=1)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=1)
        if not self._thread.is_alive():
            self.loop.close()


class _Executor(ThreadPoolExecutor):
    """Works in the thread that asks where the process ends and no thread may be begun: a name is looked up all the
    same."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError:
            future: Future[T] = Future()
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)
            return future


_lock = threading.Lock()
_current: _LoopThread | None = None


def begin(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Runs a coroutine in the loop; the future is for any other thread."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop_thread().loop)


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, from the loop. Where this thread is interrupted meanwhile, it is cancelled.

    At the end of the process it may be `TimeoutError`. Raises `RuntimeError` in the loop itself, which would wait for
    itself without end: there it is the async twin.
    """
    thread = _loop_thread()
    try:
        seconds = thread.seconds_to_wait()
    except RuntimeError:
        coroutine.close()
        raise
    future = asyncio.run_coroutine_threadsafe(coroutine, thread.loop)
    try:
        return future.result(seconds)
    finally:
        future.cancel()  # of no effect where it has ended
        del future  # its error has this frame: they would keep each other, and all that the call was given


def wait_for_thread(thread: threading.Thread) -> None:
    """Until a thread ends that itself waits for the loop: as long as `wait_for` does, and not in the loop either."""
    thread.join(_loop_thread().seconds_to_wait())


def there(coroutine: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
    """Runs it in the loop, and is awaited in any other."""
    return asyncio.wrap_future(begin(coroutine))


async def awaited(coroutine: Coroutine[Any, Any, T], *, hurry: Callable[[], object] = lambda: None) -> T:
    """What a coroutine returns, from the loop, for a task of another one. Cancelled, that waits for its end first, to
    which `hurry` may help; what the coroutine raises goes before the cancellation."""
    future, cancelled = there(coroutine), None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as error:
            cancelled = error
            hurry()
    answer = future.result()
    if cancelled is not None:
        raise cancelled
    return answer


def at_exit(end: Callable[[], object]) -> None:
    """Has `end` called when this process ends, in the main thread and while the loop still runs."""
    _loop_thread().endings.append(end)


def not_at_exit(end: Callable[[], object]) -> None:
    """Takes it back."""
    with suppress(ValueError):
        _loop_thread().endings.remove(end)


async def _cancel_others() -> None:
    """As `asyncio.run` does at its end. What was not awaited would complain of it when it is destroyed."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _loop_thread() -> _LoopThread:
    global _current
    with _lock:
        if _current is None:
            _current = _LoopThread()
        return _current


def _forget() -> None:
    """After a fork the child has none of its parent's threads, and nobody to release the lock."""
    global _current, _lock
    if _current is not None:
        _current.leave_to_parent()
    _current, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
