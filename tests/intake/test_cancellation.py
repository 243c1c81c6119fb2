"""Cancelling the async driver, at every place where it waits.

A call that runs in a thread is waited for, `CancelledError` comes out, and nothing of the form is left: no object, no
sink, no task. `CancelledAt` finds the places by itself, so that one that is added is tested.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator, Iterable, Sequence
from functools import partial
from itertools import count
from typing import Any, BinaryIO, Generic, TypeVar

import pytest
from tests.intake.called import CalledStorage, Hold, TakingTicks, turns
from tests.intake.receiving import cut, left_in

from uploadkit.errors import LimitExceeded, StorageFailed
from uploadkit.intake.asynchronous import akept_if_handled, areceive, areceive_form
from uploadkit.intake.capacity import BUFFER_SIZE
from uploadkit.intake.spec import Spec
from uploadkit.policy.filters import IncomingFile
from uploadkit.policy.limits import Limits
from uploadkit.storage.contract import Buffer
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FailingStorage, FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission

T = TypeVar("T")

FORM = (
    FormBuilder(boundary="b")
    .file("small", b"one", filename="1.txt")
    .text("t", "x")
    .file("large", b"x" * (BUFFER_SIZE + 100), filename="2.bin")
    .file("empty", b"", filename="3.txt")
)
CHUNKS = cut(FORM.body, [100, 500_000, BUFFER_SIZE])


class CancelledAt(Generic[T]):
    """Awaits a coroutine, and cancels its task at these of the places where it waits. `reached` counts them."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], places: Iterable[int]) -> None:
        self.reached = 0
        self._coroutine = coroutine
        self._places = frozenset(places)

    def __await__(self) -> Generator[Any, Any, T]:
        step = partial(self._coroutine.send, None)
        while True:
            try:
                waited_for = step()
            except StopIteration as done:
                result: T = done.value
                return result
            if self.reached in self._places:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            self.reached += 1
            try:
                answer = yield waited_for
            except BaseException as error:
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, answer)


class Check:
    """A stream check and a staged check."""

    def begin(self, file: IncomingFile) -> Check:
        """One object for all."""
        return self

    def feed(self, data: Buffer) -> None:
        """Lets it pass."""

    def end(self) -> None:
        """Lets it end."""

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        """Reads it."""
        staged.read()


class Judge:
    """A gate: one of its questions is asked in a thread, the other awaited."""

    def text(self, name: str, value: str) -> None:
        """Lets it pass."""

    async def end(self) -> None:
        """Takes its time."""
        await turns(2)


def plain_filter(file: IncomingFile) -> bool:
    """Asked in a thread."""
    return True


async def async_filter(file: IncomingFile) -> bool:
    """Takes its time."""
    await turns(2)
    return True


def key_of(file: IncomingFile) -> str:
    """Asked in a thread."""
    return file.filename


async def slowly(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Chunks that have to be waited for."""
    for chunk in chunks:
        await turns(2)
        yield chunk
    await turns(2)


RULES: dict[str, dict[str, Any]] = {
    "no rules": {},
    "plain callables and checks": {"filter": plain_filter, "filename": key_of, "check": Check()},
    "async filter": {"filter": async_filter},
}


async def cancelled_at(places: Sequence[int], rules: dict[str, Any]) -> bool:
    """Receives the form, cancelled at these places. False where it ended before it came to the first of them."""
    ticks = TakingTicks()
    storage = CalledStorage(ticks)
    spec = Uploader(storage).any(**rules)
    receiving = CancelledAt(areceive_form(spec, FORM.content_type, slowly(CHUNKS), gate=Judge()), places)
    try:
        received = await receiving
    except asyncio.CancelledError:
        assert receiving.reached > places[0]
        assert ticks.running == 0, "the call was not waited for"
        assert left_in(storage.inner) == []
        calls = ticks.calls.copy()
        await turns()
        assert ticks.calls == calls, "something went on"
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return True
    assert receiving.reached <= places[0]
    assert len(received.submission.files) == 3
    return False


@pytest.mark.parametrize("rules", RULES)
def test_cancelled_at_any_place_nothing_is_left(rules: str) -> None:
    """At the first place where it waits, the second, ... until it has waited often enough to succeed."""

    async def main() -> int:
        for place in count():
            if not await cancelled_at([place], RULES[rules]):
                return place
        raise AssertionError

    assert asyncio.run(main()) > 20


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("further", [(1,), (2,), (1, 2, 3, 4, 5, 6, 7, 8)])
def test_cancelled_again_while_it_withdraws_nothing_is_left(rules: str, further: tuple[int, ...]) -> None:
    """A second cancellation, and any more, change nothing."""

    async def main() -> None:
        for place in count():
            if not await cancelled_at([place, *(place + more for more in further)], RULES[rules]):
                return

    asyncio.run(main())


def test_cancelled_while_it_withdraws_for_another_reason_nothing_is_left() -> None:
    """The form is too large, and its withdrawal is cancelled at any place: the cancellation comes out, and says why
    there was something to withdraw."""

    async def attempt(place: int) -> bool:
        ticks = TakingTicks()
        storage = CalledStorage(ticks)
        spec = Uploader(storage, limits=Limits(files=2)).any()
        receiving = CancelledAt(areceive(spec, FORM.content_type, slowly(CHUNKS)), [place])
        with pytest.raises((asyncio.CancelledError, LimitExceeded)) as caught:
            await receiving
        assert ticks.running == 0
        assert left_in(storage.inner) == []
        if isinstance(caught.value, LimitExceeded):
            assert receiving.reached <= place
            return False
        reasons.append(caught.value.__cause__)
        return True

    async def main() -> None:
        for place in count():
            if not await attempt(place):
                return

    reasons: list[BaseException | None] = []
    asyncio.run(main())
    assert reasons[0] is None
    assert isinstance(reasons[-1], LimitExceeded)


def test_cancelled_while_a_discard_fails_the_others_are_discarded() -> None:
    """The failure is noted on what was the reason, and the cancellation comes out of it."""

    async def main() -> None:
        hold = Hold("discard")
        storage = CalledStorage(hold, FailingStorage(MemoryStorage(), after=0, on="discard"))
        spec = Uploader(storage, limits=Limits(files=2)).any()
        task = asyncio.create_task(areceive(spec, FORM.content_type, slowly(CHUNKS)))
        await hold.reached.wait()
        task.cancel()
        await turns()
        hold.let_go()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert len(left_in(storage.inner)) == 1
        reason = caught.value.__cause__
        assert isinstance(reason, LimitExceeded)
        assert len(reason.__notes__) == 1

    asyncio.run(main())


@pytest.mark.parametrize("call", ["open", "write", "stage", "commit"])
def test_cancelled_while_a_call_fails_both_are_told(call: str) -> None:
    """The cancellation comes out; its cause is the storage's error, whose own cause is still there."""

    async def main() -> None:
        hold = Hold(call)

        def failing(made: str) -> None:
            hold(made)
            if made == call:
                raise StorageFailed("no", storage="s") from OSError("the disk")

        storage = CalledStorage(failing)
        task = asyncio.create_task(areceive(Uploader(storage).any(), FORM.content_type, slowly(CHUNKS)))
        await hold.reached.wait()
        task.cancel()
        await turns()
        hold.let_go()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert isinstance(caught.value.__cause__, StorageFailed)
        assert str(caught.value.__cause__.__cause__) == "the disk"
        assert left_in(storage.inner) == []

    asyncio.run(main())


HELD = [
    *(("open", 1), ("open", 2), ("open", 3)),
    *(("write", 1), ("write", 2)),
    *(("stage", 1), ("stage", 2), ("stage", 3)),
    *(("commit", 1), ("commit", 2), ("commit", 3)),
]


@pytest.mark.parametrize(("call", "number"), HELD)
@pytest.mark.parametrize("times", [1, 3])
def test_a_call_that_runs_is_waited_for(call: str, number: int, times: int) -> None:
    """However often its task is cancelled meanwhile: what it works on is not discarded beneath it."""

    async def main() -> None:
        hold = Hold(call, number)
        storage = CalledStorage(hold)
        task = asyncio.create_task(areceive(Uploader(storage).any(), FORM.content_type, slowly(CHUNKS)))
        await hold.reached.wait()
        for _ in range(times):
            task.cancel()
            await turns()
        assert not task.done()
        assert isinstance(storage.inner, MemoryStorage)
        assert left_in(storage.inner) != [] or (call, number) == ("open", 1)
        hold.let_go()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert left_in(storage.inner) == []

    asyncio.run(main())


@pytest.mark.parametrize("call", ["discard", "delete"])
def test_a_withdrawal_that_runs_is_waited_for_and_finished(call: str) -> None:
    """Cancelled during the first discard or delete of a form that could not be published."""

    async def main() -> None:
        hold = Hold(call)
        storage = CalledStorage(hold, FailingStorage(MemoryStorage(), after=1, on="commit"))
        task = asyncio.create_task(areceive(Uploader(storage).any(), FORM.content_type, slowly(CHUNKS)))
        await hold.reached.wait()
        task.cancel()
        await turns()
        assert not task.done()
        hold.let_go()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left_in(storage.inner) == []

    asyncio.run(main())


def test_when_all_is_published_a_cancellation_takes_it_back() -> None:
    """Nobody was given the files. What could not be removed is noted."""

    async def main(failing: bool) -> None:
        hold = Hold("commit", 3)
        inner = FailingStorage(MemoryStorage(), after=0 if failing else 10, on="delete")
        storage = CalledStorage(hold, inner)
        task = asyncio.create_task(areceive(Uploader(storage).any(), FORM.content_type, slowly(CHUNKS)))
        await hold.reached.wait()
        task.cancel()
        hold.let_go()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert len(left_in(inner)) == len(getattr(caught.value, "__notes__", ())) == failing

    asyncio.run(main(failing=False))
    asyncio.run(main(failing=True))


def test_a_filter_in_a_thread_is_waited_for() -> None:
    """It may look at what the request will take away."""

    async def main() -> None:
        hold = Hold("filter")

        def held(file: IncomingFile) -> bool:
            hold("filter")
            return True

        storage = MemoryStorage()
        task = asyncio.create_task(areceive(Uploader(storage, filter=held).any(), FORM.content_type, slowly(CHUNKS)))
        await hold.reached.wait()
        task.cancel()
        await turns()
        assert not task.done()
        hold.let_go()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left_in(storage) == []

    asyncio.run(main())


def test_a_deadline_ends_the_upload_and_leaves_nothing() -> None:
    """`asyncio.timeout` around it: the body stops coming, and the deadline passes in the middle of a file."""

    async def main() -> None:
        storage = CalledStorage(TakingTicks())

        async def receive_in_time() -> None:
            async with asyncio.timeout(None) as deadline:
                await areceive(Uploader(storage).any(), FORM.content_type, stalling(deadline))

        with pytest.raises(TimeoutError):
            await receive_in_time()
        assert left_in(storage.inner) == []
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    async def stalling(deadline: asyncio.Timeout) -> AsyncIterator[bytes]:
        for chunk in CHUNKS[:3]:
            yield chunk
        deadline.reschedule(asyncio.get_running_loop().time())
        await asyncio.Event().wait()

    asyncio.run(main())


def test_a_deadline_that_passes_while_the_last_file_is_published_leaves_nothing() -> None:
    """The deadline has passed, so the files are not given to anybody."""

    async def main() -> None:
        hold = Hold("commit", 3)
        storage = CalledStorage(hold)

        async def expire(deadline: asyncio.Timeout) -> None:
            await hold.reached.wait()
            deadline.reschedule(asyncio.get_running_loop().time())
            await turns()
            hold.let_go()

        async def receive_in_time() -> None:
            async with asyncio.timeout(None) as deadline, asyncio.TaskGroup() as group:
                group.create_task(expire(deadline))
                await areceive(Uploader(storage).any(), FORM.content_type, slowly(CHUNKS))

        with pytest.raises(TimeoutError):
            await receive_in_time()
        assert left_in(storage.inner) == []

    asyncio.run(main())


def test_the_files_of_a_cancelled_handler_are_removed() -> None:
    """And the removal is finished when it is cancelled again."""

    async def handled(spec: Spec[Submission], submission: Submission, begun: asyncio.Event) -> None:
        async with akept_if_handled(spec, submission):
            begun.set()
            await asyncio.Event().wait()

    async def main(times: int) -> None:
        hold = Hold("delete")
        storage = CalledStorage(hold)
        spec = Uploader(storage).any()
        submission = await areceive(spec, FORM.content_type, slowly(CHUNKS))
        begun = asyncio.Event()
        task = asyncio.create_task(handled(spec, submission, begun))
        await begun.wait()
        task.cancel()
        await hold.reached.wait()
        for _ in range(times):
            task.cancel()
            await turns()
        assert not task.done()
        hold.let_go()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left_in(storage.inner) == []

    asyncio.run(main(0))
    asyncio.run(main(2))


def test_a_task_that_is_cancelled_before_it_begins_touches_nothing() -> None:
    """Not even the body."""

    async def main() -> None:
        storage = MemoryStorage()
        task = asyncio.create_task(areceive(Uploader(storage).any(), FORM.content_type, slowly([])))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left_in(storage) == []

    asyncio.run(main())
