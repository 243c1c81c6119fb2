"""What every queue promises, each over a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.processing.conftest import MakeQueue
from tests.processing.jobs import job
from tests.punctual import punctual

from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.queue import (
    KEPT_COMPLETED,
    KEPT_FAILED,
    Backoff,
    Counts,
    DeadJob,
    GivenUp,
    Later,
    OnDead,
    Priority,
    Progress,
    Queue,
    Running,
)

NO_WAIT = Backoff(seconds=0)
STARTED_WITHIN = 3.0
"""Seconds, on a machine that is busy. What a queue finds out by itself, of a job that nobody does, takes longer."""


async def nothing(running: Running) -> None:
    """Does the job at once."""


async def broken(running: Running) -> None:
    raise OSError(f"disk {running.job.upload} is full")


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 30))


@asynccontextmanager
async def working(
    queue: Queue,
    handler: Callable[[Running], Awaitable[None]],
    *,
    at_once: int = 5,
    grace_seconds: float = 20,
    on_dead: OnDead | None = None,
) -> AsyncIterator[None]:
    """A worker for images, while the block runs."""
    until = asyncio.Event()
    work = queue.work(
        handler, concurrency={"images": at_once}, until=until, grace_seconds=grace_seconds, on_dead=on_dead
    )
    task = asyncio.create_task(work)
    await asyncio.sleep(0)  # an inline queue now has its handler
    try:
        yield
    finally:
        until.set()
        await task


async def counted(queue: Queue) -> Counts:
    return (await queue.counts(["images"]))["images"]


async def delayed(queue: Queue) -> bool:
    """Whether a job waits for its time."""
    return (await counted(queue)).delayed > 0


async def settled(queue: Queue) -> Counts:
    """When nothing waits and nothing is being done."""

    async def has_settled() -> bool:
        counts = await counted(queue)
        return not (counts.waiting or counts.delayed or counts.active)

    await holding(has_settled)
    return await counted(queue)


async def holding(condition: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it holds. What is waited for happens in another process or loop."""
    while not await condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def worked_off(queue: Queue, handler: Callable[[Running], Awaitable[None]], **words: Any) -> Counts:
    async with working(queue, handler, **words):
        return await settled(queue)


class TestEveryQueue:
    """The contract."""

    def test_it_is_a_queue(self, queue: Queue) -> None:
        """As the protocol has it."""
        assert isinstance(queue, Queue)

    def test_a_handler_is_given_the_job_as_it_was_added(self, queue: Queue) -> None:
        """Every field of it, from blocking code and from async code."""
        seen = []
        first = job("é 1:2", priority=Priority.HIGH, attempts=7, backoff=Backoff(seconds=2, jitter=0.25))
        queue.add(first)

        async def handler(running: Running) -> None:
            seen.append((running.job, running.attempt, running.deaths, running.is_cancelled))

        async def main() -> None:
            await queue.aadd(job(2))
            assert await counted(queue) == Counts(waiting=2)
            assert await worked_off(queue, handler, at_once=1) == Counts(completed=2)

        run(main())
        assert seen == [(first, 1, 0, False), (job(2), 1, 0, False)]

    def test_the_same_job_is_added_once_while_it_waits(self, queue: Queue) -> None:
        """Also in one call. When it has ended it may be added again, though it is kept."""
        seen = []

        async def handler(running: Running) -> None:
            seen.append(running.job.upload)

        async def main() -> None:
            await queue.aadd(job(1), job(2), job(1))
            await queue.aadd(job(1))
            assert await counted(queue) == Counts(waiting=2)
            await worked_off(queue, handler, at_once=1)
            await queue.aadd(job(1))
            await worked_off(queue, handler)

        run(main())
        assert seen == ["1", "2", "1"]

    def test_the_most_urgent_comes_first(self, queue: Queue) -> None:
        """Exactly, and in the order of arrival where two are as urgent."""
        jobs = [job(number, priority=list(Priority)[number % 4]) for number in range(12)]
        seen = []

        async def handler(running: Running) -> None:
            seen.append(running.job)

        async def main() -> None:
            for one in jobs:
                await queue.aadd(one)
            await worked_off(queue, handler, at_once=1)

        run(main())
        assert seen == sorted(jobs, key=lambda job: job.priority)

    def test_what_was_begun_comes_before_what_is_as_urgent(self, queue: Queue) -> None:
        """But not before what is more urgent."""
        jobs = [job(number, priority=list(Priority)[number % 4], is_begun=number >= 4) for number in range(8)]
        seen = []

        async def handler(running: Running) -> None:
            seen.append(running.job)

        async def main() -> None:
            for one in jobs:
                await queue.aadd(one)
            await worked_off(queue, handler, at_once=1)

        run(main())
        assert seen == sorted(jobs, key=lambda job: (job.priority, not job.is_begun))

    def test_no_more_are_done_at_a_time_than_was_said(self, queue: Queue) -> None:
        """The jobs themselves count."""
        now, most = 0, 0

        async def handler(running: Running) -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.02)
            now -= 1

        async def main() -> None:
            await queue.aadd(*map(job, range(15)))
            assert (await worked_off(queue, handler, at_once=3)).completed == KEPT_COMPLETED

        run(main())
        assert most == 3

    def test_a_job_that_fails_is_tried_again_after_its_backoff(self, queue: Queue) -> None:
        """The gaps are as declared; then it is dead, with the last reason."""
        began = []

        async def handler(running: Running) -> None:
            began.append((running.attempt, time.monotonic()))
            await broken(running)

        async def fail() -> float:
            began.clear()
            await queue.aadd(job(1, backoff=Backoff(seconds=0.15, factor=3, jitter=0)))
            await worked_off(queue, handler)
            (dead, *_) = await queue.dead("images")
            assert (dead.job.id, dead.reason, dead.attempts) == (job(1).id, "OSError: disk 1 is full", 3)
            assert [attempt for attempt, _ in began] == [1, 2, 3]
            first, second, third = (at for _, at in began)
            late = second - first - 0.15, third - second - 0.45
            return max(late) if min(late) >= 0 else min(late)

        run(punctual(fail, 0.3))

    def test_a_job_that_is_given_up_is_not_tried_again(self, queue: Queue) -> None:
        """Whatever attempts it has left."""
        seen = []

        async def handler(running: Running) -> None:
            seen.append(running.attempt)
            raise GivenUp("no picture")

        async def main() -> None:
            await queue.aadd(job(1, attempts=5))
            await worked_off(queue, handler)
            (dead,) = await queue.dead("images")
            assert (dead.reason, dead.attempts) == ("GivenUp: no picture", 1)

        run(main())
        assert seen == [1]

    def test_the_last_that_ended_are_kept(self, queue: Queue) -> None:
        """Ten that are done, five that have failed; the newest of these first."""

        async def handler(running: Running) -> None:
            if running.job.upload.startswith("bad"):
                await broken(running)

        async def main() -> None:
            bad = [job(f"bad{number}", attempts=1) for number in range(KEPT_FAILED + 2)]
            await queue.aadd(*map(job, range(KEPT_COMPLETED + 2)), *bad)
            assert await worked_off(queue, handler, at_once=1) == Counts(completed=10, failed=5)
            assert [dead.job for dead in await queue.dead("images")] == bad[:1:-1]
            assert [dead.job for dead in await queue.dead("images", limit=2)] == bad[:-3:-1]
            assert await queue.dead("videos") == []

        run(main())

    def test_a_dead_job_is_redriven_with_all_its_attempts(self, queue: Queue) -> None:
        """And is listed no longer."""
        attempts = []

        async def handler(running: Running) -> None:
            attempts.append(running.attempt)
            if len(attempts) <= 2:
                await broken(running)

        async def main() -> None:
            await queue.aadd(job(1, attempts=2, backoff=NO_WAIT))
            await worked_off(queue, handler)
            (dead,) = await queue.dead("images")
            async with working(queue, handler):
                await queue.redrive(dead)
                assert await settled(queue) == Counts(completed=1)
            assert await queue.dead("images") == []

        run(main())
        assert attempts == [1, 2, 1]

    def test_a_delayed_job_is_not_begun_before_its_time(self, queue: Queue) -> None:
        """Nor long after it, however idle the worker was. Others pass it."""
        began: dict[str, float] = {}

        async def handler(running: Running) -> None:
            began[running.job.upload] = time.monotonic()

        async def delay() -> float:
            added = time.monotonic()
            await queue.aadd(job("late", delay_seconds=0.4, priority=Priority.URGENT), job("now"))
            counts = await counted(queue)
            assert (counts.waiting, counts.delayed) == (1, 1)
            await worked_off(queue, handler)
            late = began["late"] - added - 0.4
            return late if began["now"] < began["late"] else max(0.5, late)  # it was to be begun when both might be

        run(punctual(delay, 0.5))

    def test_an_idle_worker_begins_a_delayed_job_in_its_time(self, queue: Queue) -> None:
        """Also where it waits for one that is delayed much longer."""
        began: dict[str, float] = {}

        async def handler(running: Running) -> None:
            began[running.job.upload] = time.monotonic()

        async def has_begun() -> bool:
            return bool(began)

        async def both_have_begun() -> bool:
            return "late" in began

        async def delay() -> float:
            began.pop("late", None)
            added = time.monotonic()
            await queue.aadd(job("late", delay_seconds=0.3))
            await holding(both_have_begun)
            return began["late"] - added - 0.3

        async def main() -> None:
            if not isinstance(queue, InlineQueue):  # where whoever adds it waits for it
                await queue.aadd(job("much later", delay_seconds=600))
            async with working(queue, handler):
                await queue.aadd(job("first"))
                await holding(has_begun)
                await punctual(delay, 1.5)

        run(main())

    def test_a_handler_is_told_how_long_its_job_has_waited(self, queue: Queue) -> None:
        """Since its delay was over, and at its first attempt alone: what came before the others was no waiting."""
        seen: dict[str, list[float | None]] = {}

        async def handler(running: Running) -> None:
            seen.setdefault(running.job.upload, []).append(running.waited_seconds)
            if running.job.upload == "broken":
                await broken(running)
            if running.job.upload == "early" and len(seen["early"]) == 1:
                raise Later(0)

        async def main() -> None:
            added = time.time()
            jobs = job("early"), job("late", delay_seconds=0.4), job("broken", attempts=2, backoff=NO_WAIT)
            await queue.aadd(*jobs)
            await asyncio.sleep(0.2)
            await worked_off(queue, handler)
            passed = time.time() - added
            (early, again), (late,), (first, second) = seen["early"], seen["late"], seen["broken"]
            assert early is not None
            assert late is not None
            assert first is not None
            assert 0.19 <= early < passed  # clocks that are read in milliseconds
            assert 0.19 <= first < passed
            assert 0 <= late <= passed - 0.39
            assert (again, second) == (None, None)

        run(main())

    def test_a_job_that_is_put_off_is_begun_again_in_its_time(self, queue: Queue) -> None:
        """That was no attempt, and it counts as delayed. Meanwhile others have its place."""
        began: list[tuple[str, int, float]] = []
        meanwhile: list[int] = []

        async def handler(running: Running) -> None:
            began.append((running.job.upload, running.attempt, time.monotonic()))
            if running.job.upload == "1" and len(began) == 1:
                raise Later(0.4)
            if running.job.upload == "2":
                meanwhile.append((await counted(queue)).delayed)

        async def put_off() -> float:
            began.clear()
            await queue.aadd(job(1, attempts=1), job(2))
            async with working(queue, handler, at_once=1):
                await settled(queue)
            (first, *_, put_off_at), (second, *_), (again, attempt, begun_at) = began
            assert (first, second, again, attempt) == ("1", "2", "1", 1)
            late = begun_at - put_off_at - 0.4
            return late if meanwhile.pop() == 1 else max(0.6, late)

        run(punctual(put_off, 0.6))

    def test_a_job_that_is_put_off_by_nothing_is_begun_again_at_once(self, queue: Queue) -> None:
        """As often as its handler says, by a worker that has nothing else."""
        attempts = []

        async def handler(running: Running) -> None:
            attempts.append(running.attempt)
            if len(attempts) < 3:
                raise Later(0)

        async def main() -> None:
            await queue.aadd(job(1))
            assert await worked_off(queue, handler) == Counts(completed=1)

        run(main())
        assert attempts == [1, 1, 1]

    def test_a_job_that_is_put_off_is_taken_back(self, queue: Queue) -> None:
        """It is not begun again, and the same work may be added."""
        seen = []

        async def handler(running: Running) -> None:
            seen.append((running.attempt, running.is_cancelled))
            if len(seen) == 1:
                raise Later(60)

        async def main() -> None:
            await queue.aadd(job(1))
            async with working(queue, handler):
                await holding(lambda: delayed(queue))
                await queue.aadd(job(1))  # waits still, and so is not doubled
                assert (await counted(queue)).delayed == 1
                assert await queue.cancel(job(1))
                assert await counted(queue) == Counts()
                assert not await queue.cancel(job(1))
                await queue.aadd(job(1))
                assert await settled(queue) == Counts(completed=1)

        run(main())
        assert seen == [(1, False), (1, False)]

    def test_a_job_that_is_put_off_while_it_is_taken_back_is_gone(self, queue: Queue) -> None:
        """What was asked first stays."""
        began = asyncio.Event()

        async def handler(running: Running) -> None:
            began.set()
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                raise Later(60) from None

        async def main() -> None:
            await queue.aadd(job(1))
            async with working(queue, handler):
                await began.wait()
                assert await queue.cancel(job(1))
                assert await settled(queue) == Counts()

        run(main())

    def test_a_job_that_waits_is_taken_back(self, queue: Queue) -> None:
        """One with a delay too. There is then none to take back, and it may be added again."""

        async def main() -> None:
            await queue.aadd(job(1), job(2, delay_seconds=60))
            assert [await queue.cancel(job(number)) for number in (1, 2, 1, 3)] == [True, True, False, False]
            assert await counted(queue) == Counts()
            await queue.aadd(job(1))
            assert await worked_off(queue, nothing) == Counts(completed=1)

        run(main())

    @pytest.mark.parametrize("raised", [None, ValueError("a mess")], ids=["cancelled", "another error"])
    def test_a_job_that_is_being_done_is_asked_to_end(self, queue: Queue, raised: Exception | None) -> None:
        """Its handler is cancelled; nothing is tried again or kept."""
        seen: list[object] = []
        began = asyncio.Event()

        async def handler(running: Running) -> None:
            began.set()
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                seen.append((running.attempt, running.is_cancelled))
                if raised is not None:
                    raise raised from None
                raise

        async def main() -> None:
            await queue.aadd(job(1))
            async with working(queue, handler):
                await began.wait()
                assert (await counted(queue)).active == 1
                assert await queue.cancel(job(1))
                assert await settled(queue) == Counts()
            assert not await queue.cancel(job(1))

        run(main())
        assert seen == [(1, True)]

    def test_a_cancellation_that_nobody_asked_for_is_a_failed_attempt(self, queue: Queue) -> None:
        """As of a task that the handler had begun and that somebody else cancelled."""

        async def handler(running: Running) -> None:
            if running.attempt == 1:
                raise asyncio.CancelledError

        async def main() -> None:
            await queue.aadd(job(1, backoff=NO_WAIT))
            assert await worked_off(queue, handler) == Counts(completed=1)

        run(main())

    def test_progress_is_told(self, queue: Queue) -> None:
        """While the job waits or is being done."""
        seen = []

        async def handler(running: Running) -> None:
            await running.progress(40, "reading")
            seen.append(await queue.progress(job(1)))
            await running.progress(80)
            seen.append(await queue.progress(job(1)))
            with pytest.raises(ValueError, match="from 0 to 100"):
                await running.progress(101)

        async def main() -> None:
            await queue.aadd(job(1))
            assert await queue.progress(job(1)) == Progress(percent=0)
            assert await worked_off(queue, handler) == Counts(completed=1)
            assert await queue.progress(job(1)) is None

        run(main())
        assert seen == [Progress(percent=40, note="reading"), Progress(percent=80)]

    def test_somebody_is_told_of_a_job_that_has_failed_for_good(self, queue: Queue) -> None:
        """Once for each, and before the job is put aside."""
        told: list[tuple[DeadJob, Counts]] = []

        async def on_dead(dead: DeadJob) -> None:
            told.append((dead, await counted(queue)))

        async def main() -> None:
            await queue.aadd(job(1, attempts=2, backoff=NO_WAIT))
            await worked_off(queue, broken, on_dead=on_dead)
            assert [dead for dead, _ in told] == await queue.dead("images")

        run(main())
        assert [counts.failed for _, counts in told] == [0]

    def test_a_death_that_nobody_could_be_told_of_is_told_again(self, queue: Queue) -> None:
        """The job is begun once more, until somebody knows. That is no attempt."""
        told: list[int] = []

        async def on_dead(dead: DeadJob) -> None:
            told.append(dead.attempts)
            if len(told) < 3:
                raise OSError("the ledger is down")

        async def main() -> None:
            await queue.aadd(job(1, attempts=1, backoff=Backoff(seconds=0.01)))
            assert await worked_off(queue, broken, on_dead=on_dead) == Counts(failed=1)

        run(main())
        assert told == [1, 1, 1]

    def test_a_worker_that_ends_lets_its_jobs_be_done(self, queue: Queue) -> None:
        """Within the time of grace. What waits is not begun."""
        began = asyncio.Event()
        done = []

        async def handler(running: Running) -> None:
            began.set()
            await asyncio.sleep(0.2)
            done.append(running.job.upload)

        async def main() -> None:
            await queue.aadd(job(1), job(2))
            async with working(queue, handler, at_once=1):
                await began.wait()
            assert await counted(queue) == Counts(waiting=1, completed=1)

        run(main())
        assert done == ["1"]

    def test_what_is_not_done_in_time_is_begun_elsewhere_at_once(self, make_queue: MakeQueue) -> None:
        """Not when its lock has run out; and it was no attempt."""
        began = asyncio.Event()
        seen: list[object] = []

        async def slow(running: Running) -> None:
            began.set()
            try:
                await asyncio.sleep(30)
            finally:
                seen.append(running.is_cancelled)

        async def other(running: Running) -> None:
            seen.append((running.attempt, running.deaths, running.is_cancelled))

        async def main() -> None:
            here, there = make_queue(), make_queue()
            await here.aadd(job(1, attempts=1))
            async with working(here, slow, grace_seconds=0.05):
                await began.wait()
            ended = time.monotonic()
            assert await worked_off(there, other) == Counts(completed=1)
            assert time.monotonic() - ended < STARTED_WITHIN

        run(main())
        assert seen == [True, (1, 0, False)]

    def test_a_worker_that_is_cancelled_hands_back_what_it_does(self, queue: Queue) -> None:
        """Without grace, and stays cancelled."""
        began = asyncio.Event()

        async def slow(running: Running) -> None:
            began.set()
            await asyncio.sleep(30)

        async def main() -> None:
            await queue.aadd(job(1))
            task = asyncio.create_task(queue.work(slow, concurrency={"images": 1}, until=asyncio.Event()))
            await began.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            counts = await counted(queue)
            assert (counts.waiting + counts.delayed, counts.active) == (1, 0)
            assert await worked_off(queue, nothing) == Counts(completed=1)

        run(main())

    def test_a_worker_that_is_cancelled_while_it_ends_waits_no_longer(self, queue: Queue) -> None:
        """As by a second signal: however long its jobs might have taken."""
        began = asyncio.Event()

        async def slow(running: Running) -> None:
            began.set()
            await asyncio.sleep(600)

        async def main() -> None:
            await queue.aadd(job(1))
            until = asyncio.Event()
            task = asyncio.create_task(queue.work(slow, concurrency={"images": 1}, until=until, grace_seconds=600))
            await began.wait()
            until.set()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 60)
            counts = await counted(queue)
            assert (counts.waiting + counts.delayed, counts.active) == (1, 0)

        run(main())

    def test_only_the_queues_that_were_named_are_worked_at(self, queue: Queue) -> None:
        """Others wait."""

        async def main() -> None:
            await queue.aadd(job(1), job(1, queue="videos"))
            await worked_off(queue, nothing)
            assert await queue.counts(["images", "videos"]) == {
                "images": Counts(completed=1),
                "videos": Counts(waiting=1),
            }

        run(main())

    def test_a_handler_may_add_jobs(self, queue: Queue) -> None:
        """Of its own queue too."""
        seen = []

        async def handler(running: Running) -> None:
            seen.append(running.job.upload)
            if running.job.upload == "1":
                await queue.aadd(job(2))

        async def main() -> None:
            await queue.aadd(job(1))
            async with working(queue, handler, at_once=1):
                while (await settled(queue)).completed < 2:
                    pass

        run(main())
        assert seen == ["1", "2"]
