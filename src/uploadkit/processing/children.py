"""Child processes in which the functions of users run: one that hangs, eats memory or crashes ends alone.

A child is a fresh interpreter that was started with `exec` and has imported the application; it is kept warm, makes one
attempt at a time, and is replaced after many of them, or when one ended badly. Nothing that a function left running
outlives its child, and no child outlives the worker, in whatever way that ends: the channel to it closes then. The
parent's event loop never waits for one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from .. import errors
from ..content.sandbox import LENGTH, MESSAGE_SIZE, interpreter
from ..errors import UploadError
from ..events.facts import Fact, from_json
from ..policy.limits import size_text
from ..storage.threads import Work
from .processor import Quarantined
from .queue import Failed, GivenUp, Later

if TYPE_CHECKING:
    from ..records.ledger import Claim  # it would need SQLAlchemy

__all__ = ["Announce", "Children", "FunctionFailed", "Outcome", "Reason", "Tell"]

Reason: TypeAlias = Literal["raised", "time", "memory", "exit", "signal", "start"]

Tell: TypeAlias = Callable[[int, str | None], Awaitable[object]]
"""Is told how far an attempt has come, from 0 to 100, and in words. What is too fast for it is left out."""

Announce: TypeAlias = Callable[[Sequence[tuple[str, str]], Sequence[tuple[str, str]]], object]
"""Is told of all objects that an attempt has made, or is about to make, before it does: by the names of their storages
and their keys. First those that are its own, then those that it shares with other attempts."""

CALLS: Final = 200
"""After so many a child is replaced: what functions leak stays small."""

START_SECONDS: Final = 60.0
"""So long an application may take to be imported."""

CANCEL_SECONDS: Final = 3.0
"""So long a function that was cancelled may go on, to end by itself. Less than a queue waits for its handler."""

END_SECONDS: Final = 3.0
"""So long a child that is not needed any more may take to end by itself."""

LOOK_SECONDS: Final = 0.5
"""So often is asked whether an attempt has become vain."""

LAST_WORDS_SECONDS: Final = 1.0
"""So long is read what a child had said that is dead, where something else holds its channel open."""

_TELL_SECONDS = 5.0  # so long an attempt that has ended waits for its last progress to be told

_log = logging.getLogger("uploadkit.processing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a processor has told in a child: its results, the objects it has made, those that it shares with other
    attempts, both by their storages' names and their keys, and facts."""

    results: Mapping[str, Any]
    objects: Sequence[tuple[str, str]]
    shared: Sequence[tuple[str, str]]
    facts: Sequence[Fact]


class FunctionFailed(Failed):
    """An attempt failed, in words for those who look at the upload.

    `reason` is "raised" (by the function; its traceback is in the notes), "time" and "memory" (more than it may have),
    "exit" and "signal" (its process ended in the middle of it), or "start": there was no process to run it in.
    """

    def __init__(self, text: str, reason: Reason) -> None:
        super().__init__(text)
        self.reason: Reason = reason


class Children:
    """At most so many `processes` that have imported `app`, "module:attribute". They are started when they are needed,
    and each makes `calls` attempts. A function that was cancelled may go on for `cancel_seconds`. `log_level` is for
    the log of a child, which goes to the worker's standard error as all that it prints.

    All of it is used in one event loop. Raises `RuntimeError` where there are no such processes: on Windows.
    """

    def __init__(
        self,
        app: str,
        *,
        processes: int = 11,  # all that a worker does at a time, where it was told nothing
        calls: int = CALLS,
        start_seconds: float = START_SECONDS,
        cancel_seconds: float = CANCEL_SECONDS,
        log_level: str | None = None,
    ) -> None:
        if not hasattr(os, "killpg"):
            raise RuntimeError("functions of users run in child processes, which need Linux or macOS")
        if min(processes, calls) < 1:
            raise ValueError("there is at least one process, for at least one call")
        self._settings = {"app": app, "log_level": log_level}
        self._calls = calls
        self._start_seconds = start_seconds
        self._cancel_seconds = cancel_seconds
        self._slots = asyncio.Semaphore(processes)
        self._children: set[_Child] = set()
        self._idle: list[_Child] = []
        self._is_closed = False

    async def __aenter__(self) -> Children:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that there are."""
        return [child.pid for child in self._children]

    async def call(
        self,
        claim: Claim,
        *,
        attempt: int,
        seconds: float | None,
        memory: int | None,
        tell: Tell | None = None,
        announce: Announce | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Outcome:
        """Makes an attempt at what is claimed. `seconds` and `memory`, in bytes beyond what the application has after
        it was imported, are what it may take; None is no limit. The function is told where `is_cancelled` says so.

        Raises what the function has raised where that is of uploadkit (`UploadError`, `Quarantined`, `Later`,
        `GivenUp`), and `FunctionFailed` in every other case. Cancelled, it asks the function to end, and kills its
        process where it does not: when this call has ended, so has the attempt.
        """
        attempted = _Attempt(
            request={"claim": asdict(claim), "attempt": attempt, "memory": memory},
            seconds=seconds,
            memory=memory,
            cancel_seconds=lambda: self._cancel_seconds,
            progress=None if tell is None else _Progress(tell),
            announce=announce,
            is_cancelled=is_cancelled,
        )
        async with self._slots:
            child = await self._take()
            try:
                answer = await child.ask(attempted)
            finally:
                await self._give_back(child)
        return _outcome(answer, memory)

    def hurry(self) -> None:
        """From now a function that is cancelled has no time to end by itself."""
        self._cancel_seconds = 0

    async def aclose(self) -> None:
        """Ends the children; those that wait have a moment to do so by themselves. Idempotent."""
        self._is_closed = True
        ending = list(self._children)
        for child in ending:
            child.let_go() if child in self._idle else child.kill()
        self._idle.clear()
        try:
            if ending:
                await asyncio.wait([child.ended for child in ending], timeout=END_SECONDS)
        finally:
            for child in ending:
                child.kill()
            await asyncio.gather(*(self._remove(child) for child in ending))

    async def _take(self) -> _Child:
        if self._is_closed:
            raise RuntimeError("the children were ended, and take no further calls")
        while self._idle:
            child = self._idle.pop()
            if child.lives:
                return child
            await self._remove(child)
        child = await _Child.start(self._settings)
        self._children.add(child)
        try:
            await child.prepare(self._start_seconds)
        except BaseException:
            await self._remove(child)
            raise
        return child

    async def _give_back(self, child: _Child) -> None:
        if child.is_usable and child.calls < self._calls and not self._is_closed:
            self._idle.append(child)
        else:
            await self._remove(child)

    async def _remove(self, child: _Child) -> None:
        child.kill()
        self._children.discard(child)
        await child.close()


class _Child:
    """One process and the channel to it. Makes one attempt at a time."""

    def __init__(self, process: subprocess.Popen[bytes], ours: socket.socket) -> None:
        self.pid: Final = process.pid
        self.is_usable = False
        self.calls = 0
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._process = process
        self._lock = threading.Lock()
        self._is_gone = False
        self._socket: socket.socket | None = ours
        threading.Thread(target=self._watch, name="uploadkit-child", daemon=True).start()

    @classmethod
    async def start(cls, settings: Mapping[str, Any]) -> _Child:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process, cancelled = await Work(_started, theirs, settings).finish()
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise FunctionFailed(f"there was no process to run it in: {error.strerror}", "start") from error
            raise
        child = cls(process, ours)
        if cancelled is not None:
            child.kill()
            await child.close()
            raise cancelled
        return child

    @property
    def lives(self) -> bool:
        return not self.ended.done()

    async def prepare(self, seconds: float) -> None:
        """Waits until the application was imported."""
        if self._socket is None:
            raise RuntimeError("a child is prepared once")
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._socket)
        self._socket = None
        try:
            async with asyncio.timeout(seconds):
                told = await self._answer(None)
        except TimeoutError:
            raise FunctionFailed(f"the application was not imported after {seconds:g} s", "start") from None
        if told is None:
            raise FunctionFailed(f"the process of the application {(await self._end())[0]}", "start")
        if "failed" in told:
            try:
                _outcome(told["failed"], None)
            except Exception as error:
                raise FunctionFailed(f"the application was not imported: {error}", "start") from error

    async def ask(self, attempt: _Attempt) -> dict[str, Any]:
        """The child's answer. Where there is none the child is not usable any more; where this was cancelled, it is if
        the attempt has ended in time."""
        self.is_usable = False
        self.calls += 1
        answering = asyncio.create_task(self._answer(attempt))
        looking = asyncio.create_task(self._look(attempt))
        try:
            self._send({"call": self.calls, **attempt.request})
            try:
                async with asyncio.timeout(attempt.seconds):
                    answer = await asyncio.shield(answering)
            except TimeoutError:
                raise FunctionFailed(f"took longer than {attempt.seconds:g} s", "time") from None
            except asyncio.CancelledError:
                self._send({"cancel": self.calls})
                await asyncio.wait({answering}, timeout=attempt.cancel_seconds())
                late = answering.result() if answering.done() else None
                self.is_usable = late is not None and attempt.was_harmless(late)
                raise
            if answer is None:
                raise FunctionFailed(*await self._end())
            self.is_usable = attempt.was_harmless(answer)
            await attempt.told()
            return answer
        finally:
            answering.cancel()
            looking.cancel()
            attempt.end()

    def let_go(self) -> None:
        """It ends by itself, if it waits for a call."""
        self._writer.close()

    def kill(self) -> None:
        """With all that was begun in it. Idempotent."""
        with self._lock:
            if not self._is_gone:
                with suppress(ProcessLookupError, PermissionError):  # macOS: PermissionError for a zombie
                    os.killpg(self.pid, signal.SIGKILL)

    async def close(self) -> None:
        """After `kill`."""
        if self._socket is not None:
            self._socket.close()
        else:
            self._writer.transport.abort()
        await asyncio.shield(self.ended)

    def _watch(self) -> None:
        """In a thread. The process is waited for in two steps: so long as its number cannot become another one's, what
        it has left running is ended."""
        if hasattr(os, "waitid"):
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:  # macOS, before Python 3.13
            self._process.wait()
        self.kill()
        with self._lock:
            code = self._process.wait()
            self._is_gone = True
        with suppress(RuntimeError):  # the loop was closed: nobody waits
            self.ended.get_loop().call_soon_threadsafe(self._set_ended, code)

    def _set_ended(self, code: int) -> None:
        if not self.ended.done():
            self.ended.set_result(code)

    def _send(self, message: Mapping[str, Any]) -> None:
        data = json.dumps(message).encode()
        self._writer.write(LENGTH.pack(len(data)) + data)

    async def _look(self, attempt: _Attempt) -> None:
        if attempt.is_cancelled is not None:
            while not attempt.is_cancelled():  # noqa: ASYNC110  it is somebody else's word, and no event
                await asyncio.sleep(LOOK_SECONDS)
            self._send({"cancel": self.calls})

    async def _answer(self, attempt: _Attempt | None) -> dict[str, Any] | None:
        """None where there is none: the child has ended, or what comes from it cannot be read. What a function has
        started may hold the channel open beyond its end."""
        reading = asyncio.create_task(self._read(attempt))
        try:
            either: set[asyncio.Future[Any]] = {reading, self.ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({reading}, timeout=LAST_WORDS_SECONDS)  # what a child had said before it died counts
            return reading.result() if reading.done() else None
        finally:
            reading.cancel()

    async def _read(self, attempt: _Attempt | None) -> dict[str, Any] | None:
        try:
            while True:
                [size] = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
                if size > MESSAGE_SIZE:
                    return None
                message = json.loads(await self._reader.readexactly(size))
                match message:
                    case {"progress": [call, int(percent), str() | None as note]}:
                        if attempt is not None and call == self.calls:  # not of a thread that an earlier one has left
                            attempt.put(percent, note)
                    case {"made": [call, list(objects), list(shared)]}:
                        if attempt is not None and call == self.calls:
                            attempt.made(objects, shared)
                    case dict():
                        return message
                    case _:
                        return None
        except (EOFError, ConnectionError, ValueError, RecursionError):
            return None

    async def _end(self) -> tuple[str, Reason]:
        """How it ended that closed its channel: it is dead, or at once will be."""
        await asyncio.wait({self.ended}, timeout=1)
        if not self.ended.done():
            return "closed the channel to its worker", "exit"
        code = self.ended.result()
        if code >= 0:
            return f"ended with exit status {code}", "exit"
        return f"was killed by signal {-code}", "signal"


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """What is asked of a child, and who hears of it meanwhile."""

    request: Mapping[str, Any]
    seconds: float | None
    memory: int | None
    cancel_seconds: Callable[[], float]
    progress: _Progress | None
    announce: Announce | None
    is_cancelled: Callable[[], bool] | None

    def put(self, percent: int, note: str | None) -> None:
        if self.progress is not None and 0 <= percent <= 100:
            self.progress.put(percent, note)

    def made(self, objects: list[Any], shared: list[Any]) -> None:
        if self.announce is not None:
            self.announce(_places(objects), _places(shared))

    async def told(self) -> None:
        if self.progress is not None:
            await self.progress.finish()

    def end(self) -> None:
        if self.progress is not None:
            self.progress.cancel()

    def was_harmless(self, answer: Mapping[str, Any]) -> bool:
        """Whether its process may go on. What an attempt has left counts as the next one's: half of what that may have
        is too much."""
        grown = answer.get("grown")
        return isinstance(grown, int) and "ended" not in answer and (self.memory is None or grown <= self.memory // 2)


class _Progress:
    """Tells the last that there is to tell: what has come before it, and was not told yet, is left out."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._next: tuple[int, str | None] | None = None
        self._task: asyncio.Task[None] | None = None

    def put(self, percent: int, note: str | None) -> None:
        self._next = percent, note
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def finish(self) -> None:
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_TELL_SECONDS)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while (told := self._next) is not None:
            self._next = None
            try:
                await self._tell(*told)
            except Exception as error:  # the work goes on
                _log.warning("how far a job has come could not be told: %s: %s", type(error).__name__, error)


def _started(theirs: socket.socket, settings: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    words = interpreter("uploadkit.processing.child", {"channel": theirs.fileno(), **settings})
    return subprocess.Popen(  # noqa: S603  of words of our own
        words,
        stdin=subprocess.DEVNULL,
        stdout=2 if _is_open(2) else subprocess.DEVNULL,  # what a worker prints is its own
        pass_fds=(theirs.fileno(),),
        # Each further one of glibc's arenas takes 64 MiB of the address space, which is what `memory` limits.
        env={"MALLOC_ARENA_MAX": "2"} | os.environ,
        process_group=0,  # what ends the worker, or asks it to, is not meant for its children
    )


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _places(made: list[Any]) -> list[tuple[str, str]]:
    return [(str(storage), str(key)) for storage, key in made]


def _outcome(answer: Mapping[str, Any], memory: int | None) -> Outcome:
    match answer:
        case {
            "done": {"results": dict(results), "objects": list(objects), "shared": list(shared), "facts": list(facts)}
        }:
            return Outcome(
                results=results,
                objects=_places(objects),
                shared=_places(shared),
                facts=[from_json(fact) for fact in facts],
            )
        case {"ended": "memory"}:
            limit = "there is" if memory is None else size_text(memory)
            raise FunctionFailed(f"used more than {limit}", "memory")
        case {"quarantined": {"signature": str() | None as signature, "facts": dict(facts)}}:
            found = Quarantined(signature)
            vars(found).update(facts)
            raise found
        case {"later": float() | int() as seconds}:
            raise Later(seconds)
        case {"given_up": str(text)}:
            raise GivenUp(text)
        case {"error": {"type": str(kind), "text": str(text), "facts": dict(facts)}}:
            raise _upload_error(kind, text, facts)
        case {"raised": {"type": kind, "text": text, "trace": str(trace)}}:
            error = FunctionFailed(f"{kind}: {text}" if text else f"{kind}", "raised")
            error.add_note(trace)
            raise error
    raise FunctionFailed("its process has answered what cannot be read", "exit")


def _upload_error(kind: str, text: str, facts: Mapping[str, Any]) -> UploadError:
    """As it was raised, as far as its facts are JSON. Of an application's own class it is the nearest of ours."""
    found = getattr(errors, kind, None)
    if not (isinstance(found, type) and issubclass(found, UploadError)):
        found = UploadError
    error = found.__new__(found, text)
    vars(error).update(facts)
    return error
