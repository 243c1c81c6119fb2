"""The asyncio driver: carries out a plan's steps without blocking the event loop.

A file's bytes are copied into a buffer, and a full one goes to a worker thread while a second one is filled: one write
is under way at a time, and waiting for it is what slows the client down. Where a storage does not block, a file that
one buffer holds is stored without a thread. A step that was begun is waited for, also when the task is cancelled: its
answer reaches the plan, and the cancellation is thrown in at the next step.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections.abc import AsyncIterable, Callable, Coroutine
from dataclasses import replace
from typing import Any, Generic, Self, TypeVar
from weakref import WeakKeyDictionary

from ..policy.pace import Pace
from ..storage.threads import OwnWork, Work, in_thread
from ..uploads import Submission
from .blocking import NOT_ACCEPTED, perform, register_of, take_back
from .capacity import BUFFER_SIZE, Place
from .plan import Gate, OnProgress, plan
from .spec import Received, Spec
from .steps import (
    END,
    READ,
    Accept,
    Ask,
    Commit,
    Delete,
    Discard,
    Do,
    End,
    Keep,
    Open,
    Refuse,
    Stage,
    Step,
    Steps,
    Takes,
    Wait,
    Write,
)

T = TypeVar("T")
Answer = TypeVar("Answer")


_FEW_SIZE = 1 << 16
"""Up to so many bytes a file's chunks are held as they came: a small file needs no buffer."""

_LOOK_SECONDS = 0.02
"""How often who waits for another thread looks whether it has done what it is waited for."""

_SMALLEST_WRITE = 1 << 10
"""So many bytes a held chunk counts for at least: of many tiny ones the objects are what takes memory and time."""


async def areceive(
    spec: Spec[T],
    content_type: str | None,
    chunks: AsyncIterable[bytes],
    *,
    content_length: int | None = None,
    on_progress: OnProgress | None = None,
) -> T:
    """The async twin of `receive`: the same results and errors from an async iterable of bytes.

    Where the iterable is slower than the limits allow (`idle_seconds`, `min_rate`) it is `UploadTooSlow`.
    """
    received = await areceive_form(spec, content_type, chunks, content_length=content_length, on_progress=on_progress)
    if spec.register is not None:  # cancelled, nobody is given the files
        async with akept_if_handled(replace(spec, keeps_on_error=False), received.submission) as kept:
            await kept.accept()
    return received.given


async def areceive_form(
    spec: Spec[T],
    content_type: str | None,
    chunks: AsyncIterable[bytes],
    *,
    content_length: int | None = None,
    gate: Gate | None = None,
    on_progress: OnProgress | None = None,
) -> Received[T]:
    """The async twin of `receive_form`."""
    place = await spec.capacity.aadmit()
    try:
        steps = plan(
            spec,
            content_type,
            content_length=content_length,
            gate=gate,
            on_progress=on_progress,
            hold_text=place.hold_text,
        )
        return await adrive(steps, Paced(chunks, Pace(spec.limits)), place, undo=_take_back)
    finally:
        place.release()


async def adrive(
    steps: Steps[T], body: Paced, place: Place, *, undo: Callable[[T, BaseException], None] | None = None
) -> T:
    """The async twin of `drive`. `undo` takes back what the steps came to, in a thread, where they were cancelled when
    they had come to it."""
    return await _Driver(steps, body, place, undo).drive()


async def acarry_out(steps: Steps[T], *, undo: Callable[[T, BaseException], None] | None = None) -> T:
    """As `adrive`, for steps that have no body."""
    nothing = _NoBody()
    return await _Driver(steps, nothing, nothing, undo).drive()


def _take_back(received: Received[Any], error: BaseException) -> None:
    take_back(received.submission, error)


class akept_if_handled:
    """The async twin of `kept_if_handled`.

    To accept is not broken off: where the request is cancelled meanwhile, the register is waited for. Then the files
    stay if the handler had returned, and are deleted if it had not.
    """

    __slots__ = ("_accepted", "_failure", "_spec", "_submission")

    def __init__(self, spec: Spec[object], submission: Submission) -> None:
        self._spec = spec
        self._submission = submission
        self._accepted = False
        self._failure: BaseException | None = None  # why they were not accepted: they are gone

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if error is None:
                await self.accept()
            elif self._spec.keeps_on_error:
                await self._accept_after(error)
            elif self._accepted:
                await self._delete_after(error)
            elif self._failure is None:
                await in_thread(take_back, self._submission, error)
        finally:
            self._failure = None  # whose frames hold this

    async def accept(self) -> None:
        """Accepts the files now, for a handler that sends its answer itself. Once, or raises the same error again."""
        if self._failure is not None:
            raise self._failure
        register = register_of(self._submission)
        if register is None or self._accepted:
            return
        failure, cancelled = await finished(register.aaccept(self._submission.files))
        try:
            if failure is not None:
                self._failure = failure
                await in_thread(take_back, self._submission, failure)
            else:
                self._accepted = True
            if cancelled is not None:
                raise cancelled from failure
            if failure is not None:
                raise failure
        finally:
            del failure, cancelled  # they are exceptions, whose tracebacks hold this frame

    async def _accept_after(self, error: BaseException) -> None:
        try:
            await self.accept()
        except Exception as also:
            if also is not error:
                error.add_note(NOT_ACCEPTED.format(also))

    async def _delete_after(self, error: BaseException) -> None:
        try:
            await self._submission.adiscard()
        except Exception as also:
            error.add_note(f"and the files of the request could not be removed: {also!r}")


async def finished(
    coroutine: Coroutine[Any, Any, None],
) -> tuple[BaseException | None, asyncio.CancelledError | None]:
    """Waits for the end of a coroutine: what it raised, and the cancellation that came meanwhile."""
    task = asyncio.create_task(coroutine)
    cancelled: asyncio.CancelledError | None = None
    try:
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
        if task.cancelled():  # by who ends the whole loop
            return asyncio.CancelledError(), cancelled
        return task.exception(), cancelled
    finally:
        del task, cancelled


class Paced:
    """A body whose client is waited for no longer than its pace allows."""

    def __init__(self, chunks: AsyncIterable[bytes], pace: Pace) -> None:
        self._next = aiter(chunks).__anext__
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._patrol = _patrol_of(self._loop)
        self._task: asyncio.Task[Any] | None = None  # that waits now
        self._expired = False
        self._interruption: BaseException | None = None
        self.until: float = 0.0  # when the wait has taken too long

    async def read(self) -> bytes | End:
        """The next chunk, `END` where there is none. Raises `UploadTooSlow`, and what it was interrupted by."""
        if self._interruption is not None:
            raise self._interruption
        patience, begun = self._pace.patience, self._loop.time()
        task = self._task = asyncio.current_task(self._loop)
        cancelling = task.cancelling() if task is not None else 0
        if patience is not None:
            self.until = begun + patience
            self._patrol.begin(self, self._loop)
        try:
            chunk = await self._next()
        except StopAsyncIteration:
            return END
        except asyncio.CancelledError:
            if not self._expired or task is None or task.cancelling() > cancelling + 1:  # somebody else wants its end
                raise
            raise self._why(self._loop.time() - begun) from None
        finally:
            self._task = None
            self._patrol.end(self)
            if self._expired and task is not None:
                task.uncancel()
        self._pace.count(self._loop.time() - begun, len(chunk))
        return chunk

    def expire(self, until: float) -> None:
        """The wait that might last until then has taken too long, if it still lasts. May be told so more than once."""
        if self._task is not None and self.until == until and not self._expired:
            self._end_wait(self._task)

    def interrupt(self, error: BaseException) -> None:
        """Nothing more is read: who waits, and who would, is told this error. In the event loop."""
        self._interruption = error
        if self._task is not None and not self._expired:
            self._end_wait(self._task)

    def _why(self, waited: float) -> BaseException:
        return self._interruption or self._pace.give_up(waited)

    def _end_wait(self, task: asyncio.Task[Any]) -> None:
        self._expired = True
        task.cancel()


class _NoBody:
    """Nothing to read, and no memory to hold what is written."""

    async def read(self) -> End:
        return END

    def buffer(self) -> None:
        return None


class _Patrol:
    """Looks after all waits of an event loop by one timer: it is set for the first that may take too long. A timer for
    each wait would be set and cancelled thousands of times for one that rings."""

    def __init__(self) -> None:
        self.waits: set[Paced] = set()
        self._when = math.inf  # the next look

    def begin(self, wait: Paced, loop: asyncio.AbstractEventLoop) -> None:
        self.waits.add(wait)
        self._look_at(wait.until, loop)

    def end(self, wait: Paced) -> None:
        self.waits.discard(wait)

    def _look_at(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        if when < self._when:
            self._when = when
            loop.call_at(when, self._look, when, loop)

    def _look(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        if when != self._when:  # an earlier look was wanted after this one
            return
        self._when, now = math.inf, loop.time()  # which may be a little early: then it looks again
        for wait in self.waits:
            if wait.until <= now:
                # In the next turn: what has come while the loop was held up is taken in this one.
                loop.call_soon(wait.expire, wait.until)
            else:
                self._look_at(wait.until, loop)


_patrols: WeakKeyDictionary[asyncio.AbstractEventLoop, _Patrol] = WeakKeyDictionary()


def _patrol_of(loop: asyncio.AbstractEventLoop) -> _Patrol:
    patrol = _patrols.get(loop)
    if patrol is None:
        patrol = _patrols[loop] = _Patrol()
    return patrol


_LATER = object()
"""Instead of an answer: the step has to wait for somebody, or may block."""

_OF_A_LANDING = (Stage, Commit, Discard)

_WITHDRAWING = (Discard, Delete, Refuse)
"""The steps in which a file is given up. No cancellation takes their place: whatever the reason was, the plan goes
through all of them."""


class _Driver(Generic[T]):
    def __init__(
        self,
        steps: Steps[T],
        body: Paced | _NoBody,
        place: Place | _NoBody,
        undo: Callable[[T, BaseException], None] | None,
    ) -> None:
        self._steps = steps
        self._undo = undo
        self._body = body
        self._place = place
        self._few: list[Write] = []  # the first writes of a file, while they are too small for a buffer
        self._few_size = 0
        self._buffer: memoryview | None = None  # is being filled
        self._filled = 0
        self._spare: memoryview | None = None  # is being written, or free
        self._writing: Work[None] | None = None
        self._reason: BaseException | None = None  # why files are withdrawn
        self._cancelled: asyncio.CancelledError | None = None  # came while a step was finished all the same

    async def drive(self) -> T:
        try:
            result = await self._carry_out()
        except BaseException as error:
            if self._cancelled is None or error is self._cancelled:
                raise
            raise self._cancelled from error
        else:
            if self._cancelled is None:
                return result
            if self._undo is not None:
                await in_thread(self._undo, result, self._cancelled)
            raise self._cancelled
        finally:
            self._reason = self._cancelled = None  # whose frames hold this driver, and with it the request

    async def _carry_out(self) -> T:
        steps = self._steps
        step: Step | None = None
        try:
            step = next(steps)
            while True:
                try:
                    if self._cancelled is not None and not _settles(step):
                        raise self._cancelled
                    answer = await self._body.read() if step is READ else self._at_once(step)
                    if answer is _LATER:
                        answer = await self._in_time(step)
                except BaseException as error:
                    self._reason = self._reason or error
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            step = None  # a refusal has the error, whose traceback has this frame

    def _at_once(self, step: Step) -> Any:
        """Carries out a step in the event loop, where that is a matter of microseconds, else it is `_LATER`."""
        if isinstance(step, Write):
            return self._hold(step)
        if isinstance(step, Do | Accept | Wait | Keep):
            return _LATER
        if isinstance(step, Open):
            blocks = step.rule.lands_in.may_block or bool(step.rule.stream_checks)
        else:
            blocks = not isinstance(step, _OF_A_LANDING) or step.landing.may_block
        if blocks:
            return _LATER
        if isinstance(step, Stage):
            return _perform_all(self._ended(step))
        if isinstance(step, Discard):
            self._empty()
        return perform(step)

    async def _in_time(self, step: Step) -> Any:
        if isinstance(step, Write):
            return await self._write(step)
        if isinstance(step, Ask):
            return await self._asked(step)
        if isinstance(step, Wait):
            return await _waited(step)
        if isinstance(step, Accept):
            return await self._accepted(step)
        if isinstance(step, Stage | Keep):
            await self._written()
            return await self._finish(Work(_perform_all, self._ended(step)))
        if isinstance(step, _WITHDRAWING):
            urgent = await self._end_writing()
            answer = await self._finish(Work(perform, step))
            if urgent is not None:
                raise urgent
            return answer
        return await self._finish(Work(perform, step))

    def _hold(self, write: Write) -> Any:
        size = self._few_size + max(len(write.data), _SMALLEST_WRITE)
        if size > _FEW_SIZE:
            return _LATER
        self._few_size = size
        self._few.append(write)
        return None

    async def _write(self, write: Write) -> None:
        """The file is no small one, or is one no more."""
        if self._writing is not None and self._writing.done():
            await self._written()  # a disk that is full is told at once, and not when the next buffer is
        few, self._few, self._few_size = self._few, [], _FEW_SIZE
        for each in few:
            await self._fill(each)
        await self._fill(write)

    async def _fill(self, write: Write) -> None:
        """Copies the bytes into a buffer. A chunk is let go at once: the server's next one takes its memory."""
        landing, data = write.landing, memoryview(write.data)
        while data:
            buffer = self._buffer = self._buffer or self._place.buffer()
            if buffer is None:
                landing.may_block = True
                await self._finish(Work(landing.write, data))
                return
            taken = data[: BUFFER_SIZE - self._filled]
            buffer[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            data = data[len(taken) :]
            if self._filled == BUFFER_SIZE:
                await self._hand_over(landing, buffer)

    async def _hand_over(self, landing: Takes, full: memoryview) -> None:
        """The buffer goes to a thread when the one before it has come back."""
        await self._written()
        landing.may_block = True  # it is large: to stage or to discard it takes its time too
        self._writing = Work(landing.write, full)
        self._buffer = self._spare or self._place.buffer()
        self._spare, self._filled = full, 0
        if self._buffer is None:  # there is memory for one alone
            await self._written()
            self._buffer, self._spare = full, None

    def _ended(self, stage: Stage | Keep) -> list[Step]:
        """The file is complete, or what has come of it: what of its bytes is still here, and the end."""
        todo: list[Step] = [*self._few]
        if self._filled and self._buffer is not None:
            todo.append(Write(stage.landing, self._buffer[: self._filled]))
        self._empty()
        return [*todo, stage]

    async def _written(self) -> None:
        """Waits for the write that is under way, and raises what it raised."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            await self._finish(writing)
        except BaseException:
            self._empty()  # what is kept of a file is how it begins: nothing from behind a gap
            raise

    async def _end_writing(self) -> BaseException | None:
        """Before a file is given up: its bytes are of no use any more, and what its write raises is only noted.

        Returns what is no `Exception`: that is raised when the file is gone.
        """
        self._empty()
        try:
            await self._written()
        except BaseException as also:
            if not isinstance(also, Exception):
                return also
            if self._reason is not None and also is not self._reason:
                self._reason.add_note(f"and a write failed: {also!r}")
        return None

    def _empty(self) -> None:
        self._few, self._few_size, self._filled = [], 0, 0

    async def _accepted(self, step: Accept) -> None:
        failure, cancelled = await finished(step.aaccept())
        self._cancelled = cancelled or self._cancelled
        if failure is not None:
            raise failure

    async def _asked(self, step: Ask) -> object:
        """Calls the user: a coroutine function here, anything else in a thread, since it may block; in one of its own,
        since it may wait for what is done in the others."""
        if inspect.iscoroutinefunction(step.call):
            return await step.call(*step.args)
        answer = await self._finish(OwnWork(step.call, *step.args))
        if not inspect.isawaitable(answer):
            return answer
        if self._cancelled is not None:
            if inspect.iscoroutine(answer):
                answer.close()  # it is never begun
            raise self._cancelled
        return await answer

    async def _finish(self, work: Work[Answer]) -> Answer:
        try:
            answer, cancelled = await work.finish()
        except asyncio.CancelledError as error:
            failure = error.__cause__
            if failure is None:
                raise
            self._cancelled = error
        else:
            self._cancelled = cancelled or self._cancelled
            return answer
        raise failure


def _settles(step: Step | None) -> bool:
    return isinstance(step, (*_WITHDRAWING, Accept, Keep)) or (isinstance(step, Do) and step.settles)


async def _waited(step: Wait) -> None:
    end = time.monotonic() + step.seconds
    while not step.event.is_set() and time.monotonic() < end:  # noqa: ASYNC110  # any thread sets it
        await asyncio.sleep(_LOOK_SECONDS)


def _perform_all(steps: list[Step]) -> None:
    for step in steps:
        perform(step)
