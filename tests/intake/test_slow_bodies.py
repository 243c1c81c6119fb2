"""Bodies that come slowly, in the event loop: who is waited for how long, and that nothing is left of the waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.intake.called import CalledStorage, Hold, turns
from tests.intake.receiving import left_in

from uploadkit.errors import UploadTooSlow
from uploadkit.intake.asynchronous import Paced, areceive
from uploadkit.intake.spec import Spec
from uploadkit.policy.limits import Limits
from uploadkit.policy.pace import Pace
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission

FORM = FormBuilder(boundary="b").file("f", bytes(20_000), filename="x.bin")


def spec_of(storage: CalledStorage | MemoryStorage, idle_seconds: float | None = 0.02) -> Spec[Submission]:
    """Any form, from a client that may be silent for so long."""
    return Uploader(storage, limits=Limits(idle_seconds=idle_seconds)).any()


async def stalls(after: int) -> AsyncIterator[bytes]:
    """So many bytes of the form, and then nothing."""
    if after:
        yield FORM.body[:after]
    await asyncio.Event().wait()


@pytest.mark.parametrize("after", [0, 50, 15_000, len(FORM.body)])
def test_a_body_that_stalls_is_given_up(after: int) -> None:
    """Wherever it stalls; the file that is open in the storage then is discarded."""
    storage = MemoryStorage()
    with pytest.raises(UploadTooSlow) as caught:
        asyncio.run(areceive(spec_of(storage), FORM.content_type, stalls(after)))
    assert caught.value.limit == "idle_seconds"
    assert left_in(storage) == []


def test_each_wait_has_the_time_anew() -> None:
    """Ten waits that together are longer than one may be."""

    async def drips() -> AsyncIterator[bytes]:
        for at in range(0, len(FORM.body), 2000):
            await asyncio.sleep(0.01)
            yield FORM.body[at : at + 2000]

    submission = asyncio.run(areceive(spec_of(MemoryStorage(), 0.1), FORM.content_type, drips()))
    assert submission.files[0].size == 20_000


def test_a_storage_that_is_slow_takes_no_time_from_the_client() -> None:
    """While it writes nobody waits for the client."""

    async def main() -> None:
        hold = Hold("stage")
        task = asyncio.ensure_future(areceive(spec_of(CalledStorage(hold)), FORM.content_type, whole()))
        await hold.reached.wait()
        await asyncio.sleep(0.06)
        hold.let_go()
        assert (await task).files

    asyncio.run(main())


async def whole() -> AsyncIterator[bytes]:
    yield FORM.body


def test_a_time_out_of_the_body_itself_is_its_own() -> None:
    """It is no client that is too slow."""

    async def fails() -> AsyncIterator[bytes]:
        yield FORM.body[:100]
        raise TimeoutError("of the body")

    with pytest.raises(TimeoutError, match="of the body"):
        asyncio.run(areceive(spec_of(MemoryStorage()), FORM.content_type, fails()))


@pytest.mark.parametrize("also_too_slow", [False, True])
def test_a_task_that_is_cancelled_while_it_waits_is_cancelled(also_too_slow: bool) -> None:
    """Also in the moment in which the client is given up: the task was asked to end, and does."""

    async def main() -> None:
        storage = MemoryStorage()
        task = asyncio.ensure_future(areceive(spec_of(storage, 0.02), FORM.content_type, stalls(100)))
        await turns()
        if also_too_slow:
            loop = asyncio.get_running_loop()
            loop.call_later(0.02, task.cancel)
            await asyncio.wait([task])
        else:
            task.cancel()
        with pytest.raises((asyncio.CancelledError, UploadTooSlow)) as caught:
            await task
        assert also_too_slow or caught.type is asyncio.CancelledError
        assert left_in(storage) == []

    asyncio.run(main())


def test_a_time_out_of_the_caller_is_the_callers() -> None:
    """`asyncio.timeout` around it works as around everything else."""

    async def main() -> None:
        storage = MemoryStorage()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await areceive(spec_of(storage, 10), FORM.content_type, stalls(100))
        assert left_in(storage) == []

    asyncio.run(main())


def test_many_waits_have_one_timer() -> None:
    """And when the last has ended none is looked after."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        waiting = [
            asyncio.ensure_future(areceive(spec_of(MemoryStorage(), 10), FORM.content_type, stalls(100)))
            for _ in range(50)
        ]
        for _ in range(50):
            assert (await areceive(spec_of(MemoryStorage(), 10), FORM.content_type, whole())).files
        assert len(loop._scheduled) == 1
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

    asyncio.run(main())


def test_waits_of_different_length_end_each_in_its_time() -> None:
    """A short one that begins after a long one is not forgotten."""

    async def main() -> None:
        long = asyncio.ensure_future(areceive(spec_of(MemoryStorage(), 5), FORM.content_type, stalls(100)))
        await turns()
        short = [
            asyncio.ensure_future(areceive(spec_of(MemoryStorage(), seconds), FORM.content_type, stalls(100)))
            for seconds in (0.03, 0.01, 0.02)
        ]
        async with asyncio.timeout(4):
            await asyncio.wait(short)
        assert [type(task.exception()) for task in short] == [UploadTooSlow] * 3
        assert not long.done()
        long.cancel()
        await asyncio.wait([long])

    asyncio.run(main())


class EarlyLoop(asyncio.SelectorEventLoop):
    """Its timers ring a little early, as those of uvloop do, which counts in milliseconds."""

    def call_at(  # type: ignore[override]  # its types tie the arguments to the callback
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Two milliseconds before its time."""
        return super().call_at(when - 0.002, callback, *args, context=context)


def test_a_timer_that_rings_early_rings_again() -> None:
    """It finds nobody who has waited too long yet, and is not the last one for it."""

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(UploadTooSlow):
                await areceive(spec_of(MemoryStorage()), FORM.content_type, stalls(100))

    with asyncio.Runner(loop_factory=EarlyLoop) as runner:
        runner.run(asyncio.wait_for(main(), 5))


def test_a_wait_that_two_looks_find_too_long_is_ended_once() -> None:
    """Two timers may ring in one turn of the loop. A second cancellation would be taken for somebody else's."""

    async def main() -> None:
        body = Paced(stalls(0), Pace(Limits(idle_seconds=5)))
        task = asyncio.ensure_future(body.read())
        await turns()
        for _ in range(2):
            body.expire(body.until)
        with pytest.raises(UploadTooSlow):
            await task
        assert task.cancelling() == 0

    asyncio.run(main())
