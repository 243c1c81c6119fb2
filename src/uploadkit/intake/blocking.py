"""The blocking driver: carries out a plan's steps one after the other, in the thread that calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, TypeVar

from ..multipart.events import FormParser
from ..uploads import Register, Submission, remove_stored
from .landing import Landing
from .plan import Gate, OnProgress, OnRefused, plan
from .spec import Received, Spec
from .steps import (
    END,
    READ,
    Accept,
    Ask,
    Begin,
    Commit,
    Delete,
    Discard,
    Do,
    Examine,
    Keep,
    Move,
    Open,
    Read,
    Refuse,
    Stage,
    Step,
    Steps,
    Wait,
    Write,
)

T = TypeVar("T")


def receive(
    spec: Spec[T],
    content_type: str | None,
    chunks: Iterable[bytes],
    *,
    content_length: int | None = None,
    on_progress: OnProgress | None = None,
) -> T:
    """Receives a form from an iterable of bytes and returns what the spec promises; all its files are stored.

    `content_length` is the request's, in bytes, where it has one: a longer body than allowed is then refused before
    it is read, and a shorter one than promised is `TruncatedForm`. `on_progress(received, expected)` is called after
    each chunk with the bytes so far and the `content_length`. Raises `SenderError`s, `ServiceError`s, and what
    `chunks` and the user's callables raise; whatever is raised, nothing of the form is left in a storage. How long
    `chunks` may take is for them to say. Where the spec has a pipeline, that has accepted the files.
    """
    received = receive_form(spec, content_type, chunks, content_length=content_length, on_progress=on_progress)
    accept(received.submission)
    return received.given


def receive_form(
    spec: Spec[T],
    content_type: str | None,
    chunks: Iterable[bytes],
    *,
    content_length: int | None = None,
    gate: Gate | None = None,
    on_progress: OnProgress | None = None,
    on_refused: OnRefused | None = None,
) -> Received[T]:
    """`receive` for adapters: with the whole submission beside it, judged by a `gate` on its way.

    With `on_refused` what breaks a rule of its field is left out, and the form goes on.
    """
    spec.check_blocking()
    place = spec.capacity.admit()
    try:
        steps = plan(
            spec,
            content_type,
            content_length=content_length,
            gate=gate,
            on_progress=on_progress,
            on_refused=on_refused,
            hold_text=place.hold_text,
        )
        return drive(steps, iter(chunks))
    finally:
        place.release()


class Pushed(Generic[T]):
    """The blocking driver of a form whose parser somebody else feeds: chunks are handed in, and not fetched.

    Begun, it holds a place of the spec's capacity until it has ended: by `end`, by `abandon`, or by an error of `feed`.
    Whatever is raised, nothing of the form is left in a storage. Ended, it takes nothing more: `feed` and `end` are a
    `RuntimeError`, and there is nothing to abandon. Used by one thread at a time.
    """

    def __init__(self, spec: Spec[T], parser: FormParser) -> None:
        spec.check_blocking()
        self._place = spec.capacity.admit()
        self._steps = plan(spec, None, hold_text=self._place.hold_text, parser=parser)
        self._received: Received[T] | None = None
        self.ended: bool = False
        self._go(partial(next, self._steps))

    def feed(self, chunk: bytes) -> None:
        """Carries out what the events of `chunk` ask for. Raises what `receive` raises."""
        self._go(partial(self._steps.send, chunk))

    def end(self) -> Received[T]:
        """The body has ended: publishes the files."""
        self._go(partial(self._steps.send, END))
        if self._received is None:
            raise RuntimeError("a plan reads on after the end of its body")
        return self._received

    def abandon(self, reason: BaseException) -> None:
        """Removes what was staged. What could not be removed is noted on the reason."""
        if self.ended:
            return
        try:
            self._go(partial(self._steps.throw, reason))
        except BaseException as error:
            if error is not reason:
                raise

    def _go(self, move: Callable[[], Step]) -> None:
        """Carries steps out up to the next chunk that is wanted, or the end."""
        if self.ended:
            raise RuntimeError("the form has ended: nothing more is taken")
        step: Step | None = None
        try:
            step = move()
            while step is not READ:
                try:
                    answer = _answer(step, iter(()))
                except BaseException as error:
                    step = self._steps.throw(error)
                else:
                    step = self._steps.send(answer)
        except StopIteration as done:
            self._received = done.value
            self._end()
        except BaseException:
            self._end()
            raise
        finally:
            step = None  # as in `drive`

    def _end(self) -> None:
        self.ended = True
        self._place.release()


@contextmanager
def kept_if_handled(spec: Spec[object], submission: Submission) -> Iterator[None]:
    """Around a handler: where it raises, the files of its request are removed, unless the spec keeps them.

    What is kept is accepted by the register, when the handler has returned or raised. Where that cannot be done, the
    files are removed, and its error is raised, or noted on the handler's.
    """
    try:
        yield
    except BaseException as error:
        if not spec.keeps_on_error:
            take_back(submission, error)
        else:
            try:
                accept(submission)
            except Exception as also:
                error.add_note(NOT_ACCEPTED.format(also))
        raise
    accept(submission)


NOT_ACCEPTED = "and the files of the request were not accepted, and are removed: {!r}"


def accept(submission: Submission) -> None:
    """Has the register of its files accept them, where they have one. Where that raises, they are removed."""
    register = register_of(submission)
    if register is None:
        return
    try:
        register.accept(submission.files)
    except BaseException as error:
        take_back(submission, error)
        raise


def take_back(submission: Submission, error: BaseException) -> None:
    """Removes the files of a request that came to nothing, and tells their register why. What cannot be done is noted
    on the error."""
    try:
        remove_stored(submission.files)
    except Exception as also:
        error.add_note(f"and the files of the request could not be removed: {also!r}")
    finally:
        register = register_of(submission)
        if register is not None:
            try:
                register.refuse(tuple(file.id for file in submission.files), error)
            except Exception as also:
                error.add_note(f"and their register could not be told: {also!r}")


def register_of(submission: Submission) -> Register | None:
    """What remembers the files of a form: one for all of them, since they came under one spec."""
    return submission.files[0].register if submission.files else None


def perform(step: Step) -> Any:
    """Does what a step says with a storage, and returns its answer."""
    if isinstance(step, Write):
        step.landing.write(step.data)
    elif isinstance(step, Do):
        return step.call(*step.args)
    elif isinstance(step, Accept):
        step.accept()
    elif isinstance(step, Wait):
        step.event.wait(step.seconds)
    elif isinstance(step, Keep):
        step.landing.keep()
    elif isinstance(step, Open):
        return Landing(step.rule, step.key, step.file, digest=step.digest, max_size=step.max_size)
    elif isinstance(step, Stage):
        step.landing.stage()
    elif isinstance(step, Examine):
        step.landing.examine(step.check, step.file)
    elif isinstance(step, Move):
        step.landing.move()
    elif isinstance(step, Commit):
        return step.landing.commit()
    elif isinstance(step, Discard):
        step.landing.discard()
    elif isinstance(step, Delete):
        step.storage.delete(step.key)
    elif isinstance(step, Begin):
        step.register.begin(step.file, storage=step.storage, key=step.key, batch=step.batch)
    elif isinstance(step, Refuse):
        step.register.refuse(step.uploads, step.error)
    return None


def ask(step: Ask) -> object:
    """Calls the user. Raises `TypeError` for what is async after all."""
    answer = step.call(*step.args)
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(f"{step.call!r} is async; a blocking driver cannot await it")
    return answer


def drive(steps: Steps[T], chunks: Iterator[bytes]) -> T:
    """Carries out all steps, and returns what they came to."""
    step: Step | None = None
    try:
        step = next(steps)
        while True:
            try:
                answer = _answer(step, chunks)
            except BaseException as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        step = None  # a refusal has the error, whose traceback has this frame


def _answer(step: Step, chunks: Iterator[bytes]) -> Any:
    if isinstance(step, Read):
        return next(chunks, END)
    if isinstance(step, Ask):
        return ask(step)
    return perform(step)
