"""Who hears of facts in this process. `Events` is where subscribers and facts meet; nothing is kept.

Every subscriber hears every fact that it asked for, whatever another one raises, and `publish` returns when all have
heard it: who publishes the facts of an upload one after the other has them heard in this order. The subscribers of one
fact hear it at the same time. A fact may come twice, with the same `id`, where it is forwarded from a ledger.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, overload

from ..storage import event_loop
from ..storage.forking import in_child
from ..storage.threads import in_own_thread
from .facts import (
    FACTS,
    Fact,
    FileDeleted,
    FileFailed,
    FileProcessed,
    FileProgressed,
    FileRejected,
    FileScanned,
    FileUploaded,
)

__all__ = ["Events", "Subscribing"]

_logger = logging.getLogger("uploadkit")

F = TypeVar("F", bound=Fact)
R = TypeVar("R")


class Subscribing(Protocol[F]):
    """Subscribes what it decorates, which stays what it was: a function of one fact, or an async one."""

    def __call__(self, subscriber: Callable[[F], R], /) -> Callable[[F], R]: ...


@dataclass(frozen=True, slots=True)
class _Subscriber:
    kind: type[Fact]
    call: Callable[[Any], object]
    is_retried: bool

    @property
    def is_async(self) -> bool:
        return _is_async(self.call)


class Events:
    """Facts are published here, and heard by who has subscribed. Subscribers may come and go while facts are told."""

    def __init__(self) -> None:
        self._subscribers: tuple[_Subscriber, ...] = ()
        self._lock = threading.Lock()
        in_child(self, Events._forget_parent)

    @overload
    def on(self, /, *, retried: bool = ...) -> Subscribing[Fact]: ...
    @overload
    def on(self, kind: type[F], /, *, retried: bool = ...) -> Subscribing[F]: ...
    @overload
    def on(self, kind: Literal["file.uploaded"], /, *, retried: bool = ...) -> Subscribing[FileUploaded]: ...
    @overload
    def on(self, kind: Literal["file.rejected"], /, *, retried: bool = ...) -> Subscribing[FileRejected]: ...
    @overload
    def on(self, kind: Literal["file.scanned"], /, *, retried: bool = ...) -> Subscribing[FileScanned]: ...
    @overload
    def on(self, kind: Literal["file.progressed"], /, *, retried: bool = ...) -> Subscribing[FileProgressed]: ...
    @overload
    def on(self, kind: Literal["file.processed"], /, *, retried: bool = ...) -> Subscribing[FileProcessed]: ...
    @overload
    def on(self, kind: Literal["file.failed"], /, *, retried: bool = ...) -> Subscribing[FileFailed]: ...
    @overload
    def on(self, kind: Literal["file.deleted"], /, *, retried: bool = ...) -> Subscribing[FileDeleted]: ...
    def on(self, kind: str | type[Fact] = Fact, /, *, retried: bool = False) -> Subscribing[Any]:
        """Subscribes a function, sync or async, to facts by their name or their class; by nothing, to all.

        What it raises is logged, by the logger `uploadkit`, and the fact is over for it. With `retried` it is raised
        by `publish` as well, after everybody has heard the fact, so that who forwards it tells it again.

        Raises `ValueError` for a name that no fact has.
        """
        wanted = _kind(kind)

        def subscribe(subscriber: Callable[[Any], R]) -> Callable[[Any], R]:
            if not callable(subscriber):
                raise TypeError(f"a subscriber is called with a fact, and this cannot be called: {subscriber!r}")
            with self._lock:
                self._subscribers = (*self._subscribers, _Subscriber(wanted, subscriber, retried))
            return subscriber

        return subscribe

    def off(self, subscriber: Callable[[Any], object]) -> None:
        """Subscribes it no longer, to anything. No error where it was not."""
        with self._lock:
            self._subscribers = tuple(each for each in self._subscribers if each.call != subscriber)

    def publish(self, fact: Fact) -> None:
        """Tells a fact to all that have subscribed to it, and returns when they have heard it.

        Async subscribers run in the one event loop that this process has in a thread of its own, sync ones in this
        thread. What `retried` ones raised is an `ExceptionGroup`. Raises `RuntimeError` in a thread that runs an event
        loop, which would stand still: there it is `apublish`.
        """
        if _in_event_loop():
            raise RuntimeError("publish() blocks, and an event loop runs in this thread: await apublish()")
        subscribers = self._of(fact)
        begun = [(each, event_loop.begin(heard_by(each.call, fact))) for each in subscribers if each.is_async]
        try:
            failed = [self._tell(each, fact) for each in subscribers if not each.is_async]
            failed += [_outcome(each, fact, future.result) for each, future in begun]
        finally:
            for _, future in begun:  # of no effect on those that have ended
                future.cancel()
        _raise(failed)

    async def apublish(self, fact: Fact) -> None:
        """As `publish`. Async subscribers run in this event loop, and sync ones in worker threads."""
        subscribers = self._of(fact)
        told = (heard_by(each.call, fact) for each in subscribers)
        outcomes = await asyncio.gather(*told, return_exceptions=True)
        _raise(_failure(each, fact, outcome) for each, outcome in zip(subscribers, outcomes, strict=True))

    def _forget_parent(self) -> None:
        self._lock = threading.Lock()

    def _of(self, fact: Fact) -> list[_Subscriber]:
        return [each for each in self._subscribers if isinstance(fact, each.kind)]

    def _tell(self, subscriber: _Subscriber, fact: Fact) -> Exception | None:
        def call() -> None:
            answer = subscriber.call(fact)
            if inspect.isawaitable(answer):  # a plain function that gives a coroutine
                event_loop.wait_for(_end_of(answer))

        return _outcome(subscriber, fact, call)


async def heard_by(call: Callable[[F], object], fact: F) -> None:
    """Tells a fact to a function in the way that does not block this event loop: an async one is awaited in it, a sync
    one runs in a thread of its own, since it may wait for what is done in worker threads."""
    answer = call(fact) if _is_async(call) else await in_own_thread(call, fact)
    if inspect.isawaitable(answer):
        await answer


def _kind(kind: str | type[Fact]) -> type[Fact]:
    if isinstance(kind, type) and issubclass(kind, Fact):
        return kind
    if not isinstance(kind, str):
        raise TypeError(f"facts are asked for by their name or their class, not by {kind!r}")
    if kind not in FACTS:
        raise ValueError(f"no fact is called {kind!r}; there are {', '.join(FACTS)}")
    return FACTS[kind]


def _is_async(call: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004


async def _end_of(answer: Awaitable[object]) -> None:
    await answer


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _outcome(subscriber: _Subscriber, fact: Fact, call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except (Exception, asyncio.CancelledError) as error:  # no event loop runs here that could have cancelled us
        return _failure(subscriber, fact, error)
    return None


def _failure(subscriber: _Subscriber, fact: Fact, outcome: BaseException | None) -> Exception | None:
    """Logs what a subscriber raised, and gives it where it is to be raised."""
    if outcome is None:
        return None
    if not isinstance(outcome, Exception):  # cancelled by itself: nobody has cancelled who publishes
        outcome = RuntimeError(f"the subscriber was cancelled: {outcome!r}")
    name = getattr(subscriber.call, "__qualname__", repr(subscriber.call))
    text = "%s failed to hear %s of upload %s"
    _logger.error(text, name, fact.name, fact.upload, exc_info=outcome)
    return outcome if subscriber.is_retried else None


def _raise(failed: Iterable[Exception | None]) -> None:
    errors = [error for error in failed if error is not None]
    if errors:
        raise ExceptionGroup("subscribers failed to hear a fact", errors)
