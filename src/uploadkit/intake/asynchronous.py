"""The asyncio driver: carries out a plan's steps without blocking the event loop.

Small writes are gathered and go to a worker thread together; where a storage does not block, a file of at most
`INLINE_SIZE` bytes is stored without one. A step that was begun is waited for, also when the task is cancelled: its
answer reaches the plan, and the cancellation is thrown in at the next step.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from ..storage.threads import finish_in_thread, in_thread
from ..uploads import Submission
from .blocking import perform
from .plan import Gate, Steps, plan
from .spec import Spec
from .steps import END, Ask, Delete, Discard, Examine, Open, Read, Stage, Step, Write

T = TypeVar("T")

GATHERED_SIZE = 1 << 20
"""So many bytes of an upload are held before they are written: a hop to a thread costs as much as copying 100 KiB."""

SMALLEST_WRITE = 1 << 10
"""So many bytes a gathered write counts for at least: of many tiny ones the objects are what takes memory and time."""

INLINE_SIZE = 256 << 10
"""So many bytes may be written and hashed in the event loop itself, where the storage does not block: under 1 ms."""


async def areceive(
    spec: Spec[T],
    content_type: str | None,
    chunks: AsyncIterable[bytes],
    *,
    content_length: int | None = None,
) -> T:
    """The async twin of `receive`: the same results and errors from an async iterable of bytes."""
    submission = await areceive_submission(spec, content_type, chunks, content_length=content_length)
    async with akept_if_handled(spec, submission):
        return spec.give(submission)


async def areceive_submission(
    spec: Spec[object],
    content_type: str | None,
    chunks: AsyncIterable[bytes],
    *,
    content_length: int | None = None,
    gate: Gate | None = None,
) -> Submission:
    """The async twin of `receive_submission`."""
    steps = plan(spec, content_type, content_length=content_length, gate=gate)
    return await _Driver(steps, aiter(chunks)).drive()


@asynccontextmanager
async def akept_if_handled(spec: Spec[object], submission: Submission) -> AsyncIterator[None]:
    """The async twin of `kept_if_handled`."""
    try:
        yield
    except BaseException as error:
        if not spec.keeps_on_error:
            try:
                await submission.adiscard()
            except Exception as also:
                error.add_note(f"and the files of the request could not be removed: {also!r}")
        raise


_WITHDRAWING = (Discard, Delete)
"""The steps that no cancellation takes the place of: whatever the reason was, the plan goes through all of them."""


class _Driver:
    def __init__(self, steps: Steps[Submission], chunks: AsyncIterator[bytes]) -> None:
        self._steps = steps
        self._chunks = chunks
        self._writes: list[Write] = []  # gathered, all of one landing
        self._gathered = 0
        self._cancelled: asyncio.CancelledError | None = None  # came while a step was finished all the same

    async def drive(self) -> Submission:
        try:
            submission = await self._carry_out()
        except BaseException as error:
            if self._cancelled is None or error is self._cancelled:
                raise
            raise self._cancelled from error
        if self._cancelled is not None:
            try:
                await submission.adiscard()
            except Exception as also:
                self._cancelled.add_note(f"and the files of the request could not be removed: {also!r}")
            raise self._cancelled
        return submission

    async def _carry_out(self) -> Submission:
        try:
            step = next(self._steps)
            while True:
                try:
                    if self._cancelled is not None and not isinstance(step, _WITHDRAWING):
                        raise self._cancelled
                    answer = await self._answer(step)
                except BaseException as error:
                    step = self._steps.throw(error)
                else:
                    step = self._steps.send(answer)
        except StopIteration as done:
            submission: Submission = done.value
            return submission

    async def _answer(self, step: Step) -> Any:
        if isinstance(step, Read):
            return await anext(self._chunks, END)
        if isinstance(step, Write):
            return await self._gather(step)
        if isinstance(step, Ask):
            return await _ask(step)
        todo: list[Step] = [step]
        if isinstance(step, Stage):
            todo = [*self._writes, step]
            blocks = step.landing.may_block or self._gathered > INLINE_SIZE
            self._writes.clear()
            self._gathered = 0
        elif isinstance(step, Open):
            blocks = step.rule.storage.may_block or bool(step.rule.stream_checks)
        else:
            blocks = isinstance(step, Examine | Delete) or step.landing.may_block
        return await self._in_thread(todo) if blocks else _perform_all(todo)

    async def _gather(self, write: Write) -> None:
        self._writes.append(write)
        self._gathered += max(len(write.data), SMALLEST_WRITE)
        if self._gathered >= GATHERED_SIZE:
            todo: list[Step] = [*self._writes]
            self._writes.clear()
            self._gathered = 0
            await self._in_thread(todo)

    async def _in_thread(self, todo: list[Step]) -> Any:
        try:
            answer, cancelled = await finish_in_thread(_perform_all, todo)
        except asyncio.CancelledError as error:
            failure = error.__cause__
            if failure is None:
                raise
            self._cancelled = error
        else:
            self._cancelled = cancelled or self._cancelled
            return answer
        raise failure


async def _ask(step: Ask) -> object:
    """Calls the user: a coroutine function here, anything else in a thread, since it may block."""
    if inspect.iscoroutinefunction(step.call):
        return await step.call(*step.args)
    answer = await in_thread(step.call, *step.args)
    return await answer if inspect.isawaitable(answer) else answer


def _perform_all(todo: list[Step]) -> object:
    """The answer of the last one."""
    answer: object = None
    for step in todo:
        answer = perform(step)
    return answer
