"""Where calls that may block go when an event loop asks: worker threads of our own.

asyncio's default pool is not used, since name look-ups and the rest of the application wait in it too. A call that
was begun is waited for, also when the task is cancelled: what it works on is not discarded beneath it.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Generic, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

MAX_THREADS = 32

THREAD_NAME = "uploadkit"
"""What the names of the threads begin with. They are kept when they have nothing to do."""

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


async def in_thread(call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """What `call` returns, from a worker thread. Cancelled, it waits for the call before it raises."""
    result, cancelled = await Work(call, *args, **kwargs).finish()
    if cancelled is not None:
        raise cancelled
    return result


async def in_own_thread(call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """As `in_thread`, for a call that may itself wait for one in a worker thread, as the application's code does: were
    all of those taken by such calls, none would ever end."""
    result, cancelled = await OwnWork(call, *args, **kwargs).finish()
    if cancelled is not None:
        raise cancelled
    return result


class Work(Generic[T]):
    """A call that was begun in a worker thread. Whoever begins one waits for it with `finish`.

    No future stands for it: those of the pool and of asyncio, chained, cost as much as writing 100 KiB.
    """

    __slots__ = ("_done", "_loop", "_outcome", "_waiter")

    def __init__(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> None:
        self._loop = asyncio.get_running_loop()
        self._done = False
        self._waiter: asyncio.Future[None] | None = None
        self._outcome: T | _Raised | None = None
        self._begin(contextvars.copy_context(), partial(call, *args, **kwargs))

    def done(self) -> bool:
        """Whether `finish` returns, or raises, at once."""
        return self._done

    async def finish(self) -> tuple[T, asyncio.CancelledError | None]:
        """What the call returns, and the cancellation that came meanwhile: for a result that must not get lost.

        Where the call itself raised, a cancellation goes first, with the call's exception as its cause.
        """
        cancelled: asyncio.CancelledError | None = None
        while not self._done:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            except asyncio.CancelledError as error:
                cancelled = error
        outcome, self._outcome = self._outcome, None
        if not isinstance(outcome, _Raised):
            return cast(T, outcome), cancelled
        try:
            if cancelled is not None:
                raise cancelled from outcome.error
            raise outcome.error
        finally:
            del outcome, cancelled  # they hold exceptions, whose tracebacks hold this frame

    def _begin(self, context: contextvars.Context, call: Callable[[], T]) -> None:
        try:
            _threads().submit(self._run, context, call)
        except RuntimeError:  # the process ends, and no thread may be begun: what is under way goes on all the same
            self._run(context, call)

    def _run(self, context: contextvars.Context, call: Callable[[], T]) -> None:
        try:
            self._outcome = context.run(call)
        except BaseException as error:
            self._outcome = _Raised(error)
        with suppress(RuntimeError):  # the loop was closed: nobody waits
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._done = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class OwnWork(Work[T]):
    """In a thread that ends with the call."""

    __slots__ = ()

    def _begin(self, context: contextvars.Context, call: Callable[[], T]) -> None:
        try:
            threading.Thread(target=self._run, args=(context, call), name=f"{THREAD_NAME}-own").start()
        except RuntimeError:  # as above
            self._run(context, call)


@dataclass(frozen=True, slots=True)
class _Raised:
    """What a call raised. As a future's exception a `StopIteration` would be waited for without end, another pool's
    `CancelledError` would come out as a cancellation of this task, and as its result it would keep itself alive."""

    error: BaseException


def _threads() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix=THREAD_NAME)
        return _pool


def _forget_threads() -> None:
    """After a fork the child has none of its parent's threads, and nobody to release the lock."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
