"""The words of the port, and what an attempt makes of a handler's end."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from tests.processing.jobs import job
from tests.processing.test_contract import nothing

from uploadkit.policy.media_types import EXTENSIONS
from uploadkit.processing.attempt import REASON_LENGTH, Attempt, Ended, How
from uploadkit.processing.queue import (
    CONCURRENCY,
    MAX_DEATHS,
    Backoff,
    DeadJob,
    Failed,
    GivenUp,
    Later,
    Progress,
    Running,
    queue_for,
)


@pytest.mark.parametrize(
    ("content_type", "queue"),
    [
        ("image/jpeg", "images"),
        ("image/x-something-new", "images"),
        ("application/pdf", "documents"),
        ("text/csv", "documents"),
        ("application/vnd.oasis.opendocument.text", "documents"),
        ("video/mp4", "videos"),
        ("audio/mpeg", "videos"),
        ("application/zip", "bulk"),
        ("application/octet-stream", "bulk"),
        ("nonsense", "bulk"),
    ],
)
def test_the_detected_type_chooses_the_queue(content_type: str, queue: str) -> None:
    """What belongs to none of the others goes to "bulk"."""
    assert queue_for(content_type) == queue


def test_every_type_that_is_detected_has_a_queue_that_is_worked_at() -> None:
    """By a worker that was told nothing else."""
    assert {queue_for(content_type) for content_type in EXTENSIONS} == set(CONCURRENCY)


def test_waits_grow_up_to_the_longest() -> None:
    """Also where the power is beyond a float."""
    backoff = Backoff(seconds=1, factor=2, most_seconds=10, jitter=0)
    assert [backoff.wait(attempts) for attempts in (1, 2, 3, 4, 5, 5000)] == [1, 2, 4, 8, 10, 10]


def test_chance_takes_off_a_part_of_a_wait() -> None:
    """At most as much as was declared."""
    backoff = Backoff(seconds=8, jitter=0.25)
    assert [backoff.wait(1, chance=partial(float, chance)) for chance in (0, 0.5, 1)] == [8, 7, 6]
    assert all(6 <= backoff.wait(1) <= 8 for _ in range(100))


@pytest.mark.parametrize(
    "words",
    [{"upload": ""}, {"processor": ""}, {"queue": ""}, {"queue": "a:b"}, {"attempts": 0}, {"delay_seconds": -1}],
    ids=str,
)
def test_a_job_that_cannot_be_meant_is_refused(words: dict[str, Any]) -> None:
    """When it is made."""
    with pytest.raises(ValueError, match=r"a job|the name of a queue"):
        job(**words)


@pytest.mark.parametrize("words", [{"seconds": -1}, {"factor": 0.5}, {"most_seconds": -1}, {"jitter": 1.5}], ids=str)
def test_a_backoff_that_cannot_be_meant_is_refused(words: dict[str, Any]) -> None:
    """When it is made."""
    with pytest.raises(ValueError, match="waits are not negative"):
        Backoff(**words)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_a_job_is_not_put_off_into_the_past_or_for_ever(seconds: float) -> None:
    """It is a mistake of the handler, and so a failed attempt."""
    with pytest.raises(ValueError, match="put off by some seconds"):
        Later(seconds)


async def _untold(progress: Progress) -> None:
    """Nobody looks."""


def attempt(**words: Any) -> Attempt:
    told: dict[str, Any] = {"key": "7", "attempt": 1, "deaths": 0, "tell": _untold}
    return Attempt(job(1), **told | words)


def test_a_job_that_kills_its_workers_is_not_begun_again() -> None:
    """Somebody is told why."""
    told: list[DeadJob] = []

    async def handler(running: Running) -> None:
        pytest.fail("it was begun")

    async def on_dead(dead: DeadJob) -> None:
        told.append(dead)

    reason = "6 workers have died in the middle of it"
    ended = asyncio.run(attempt(deaths=MAX_DEATHS + 1).run(handler, on_dead))
    assert ended == Ended(how=How.DEAD, reason=reason)
    assert told == [DeadJob(job=job(1), reason=reason, attempts=1, key="7")]
    assert asyncio.run(attempt(deaths=MAX_DEATHS).run(nothing, None)) == Ended(how=How.DONE)


def test_a_long_reason_is_cut() -> None:
    """The log has the whole of it."""

    async def handler(running: Running) -> None:
        raise ValueError("x" * 10_000)

    ended = asyncio.run(attempt().run(handler, None))
    assert (ended.how, len(ended.reason)) == (How.AGAIN, REASON_LENGTH)


@pytest.mark.parametrize(
    ("text", "reason"), [("bad\0byte", "bad\\0byte"), ("no x\udcff.txt", "no x\\udcff.txt")], ids=["NUL", "half"]
)
def test_a_reason_is_one_that_every_database_takes(text: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the error says: else nobody could be told, however often the job is begun again."""
    caplog.set_level("CRITICAL", "uploadkit.processing")  # half a character cannot be reported from a test

    async def handler(running: Running) -> None:
        raise Failed(text)

    assert asyncio.run(attempt().run(handler, None)).reason == reason


def test_an_error_that_says_nothing_is_a_failed_attempt() -> None:
    """Though it raises where it is asked."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise LookupError("no words")

    async def handler(running: Running) -> None:
        raise Mute

    ended = asyncio.run(attempt().run(handler, None))
    assert (ended.how, ended.reason) == (How.AGAIN, "Mute: (it cannot be said)")


def test_a_job_that_nobody_can_be_told_of_ends_all_the_same() -> None:
    """What is no passing failure would be raised each time, and the job begun without end."""

    async def handler(running: Running) -> None:
        raise GivenUp("no picture")

    async def on_dead(dead: DeadJob) -> None:
        raise ValueError("never")

    assert asyncio.run(attempt().run(handler, on_dead)) == Ended(how=How.DEAD, reason="GivenUp: no picture")


def test_a_death_may_be_put_off() -> None:
    """Where somebody else may be doing what this one could not."""

    async def handler(running: Running) -> None:
        raise GivenUp("no picture")

    async def on_dead(dead: DeadJob) -> None:
        raise Later(7)

    assert asyncio.run(attempt().run(handler, on_dead)) == Ended(how=How.BACK, seconds=7)


def test_an_attempt_that_was_cancelled_before_is_not_made() -> None:
    """What was asked first stays."""
    early = attempt()
    early.cancel(How.CANCELLED)
    early.cancel(How.BACK)
    assert asyncio.run(early.run(nothing, None)) == Ended(how=How.CANCELLED)


def test_a_handler_that_finishes_though_it_was_cancelled_has_done_the_job() -> None:
    """It had gone too far to stop."""
    began = asyncio.Event()

    async def handler(running: Running) -> None:
        began.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            assert running.is_cancelled

    async def main() -> tuple[Ended, int]:
        one = attempt()
        task = asyncio.create_task(one.run(handler, None))
        await began.wait()
        one.cancel(How.BACK)
        return await task, task.cancelling()

    assert asyncio.run(main()) == (Ended(how=How.DONE), 0)
