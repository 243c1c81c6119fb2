"""`DirectUploads.afinish`, cancelled wherever it waits: the cancellation comes out, and whoever comes again is told
what he would have been told without it, or what became of the upload. `CancelledAt` finds the places by itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, BinaryIO

import pytest
from tests.intake.called import turns
from tests.intake.test_cancellation import CancelledAt
from tests.resumable.bucket import Bucket, Place
from tests.resumable.test_direct import direct_to, send

from uploadkit.errors import (
    CheckFailed,
    FileRefused,
    LedgerFailed,
    ObjectExists,
    ObjectMissing,
    QuotaExceeded,
    StorageFailed,
    UploadError,
    UploadGone,
)
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.filters import IncomingFile
from uploadkit.records.lifecycle import State
from uploadkit.records.record import Quota
from uploadkit.resumable.direct import DirectUploads
from uploadkit.testing import sample
from uploadkit.uploads import UploadedFile

PNG = sample("image/png")

FURTHER: list[tuple[int, ...]] = [(), (1, 2, 3, 4)]
"""How many places later it is cancelled again."""


async def told(direct: DirectUploads, token: str, *places: int) -> tuple[type, bool]:
    """What is told who finishes an upload and is cancelled at these places, and whether it came to the first of them.
    Then it is the cancellation, whatever else has happened, and nothing goes on."""
    finishing = CancelledAt(direct.afinish(token), places)
    ended: type
    try:
        ended = type(await finishing)
    except (UploadError, asyncio.CancelledError) as error:
        ended = type(error)
    is_cancelled = bool(places) and finishing.reached > places[0]
    assert (ended is asyncio.CancelledError) is is_cancelled
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return ended, is_cancelled


# With a pipeline


class Course:
    """What uploads go through, by the rules of `spec`; `fault` happens once to each, and has happened if `is_over`."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.token = ""  # of the one that is under way
        self.is_over = False
        self.spec: dict[str, Any] = {"accept": IMAGES}
        self.fault: Callable[[], object] | None = None
        self.told: tuple[type, type] = UploadedFile, UploadedFile  # before the fault has happened, and after it
        self.ends = State.COMPLETED

    def fail(self) -> bool:
        if not self.is_over and self.fault is not None:
            self.is_over = True
            self.fault()
        return True

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        """The fault is that of a check."""
        self.fail()

    def fails(self, error: UploadError) -> None:
        def fail() -> None:
            raise error

        self.fault, self.told = fail, (type(error), UploadedFile)

    def ends_as(self, state: State, told: type) -> None:
        self.ends, self.told = state, (told, told)


def good(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happens."""


def named(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key is the application's own, which its record does not say before it is accepted."""
    course.spec["filename"] = lambda file: f"{file.id}.png"


def refused(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    course.spec["filter"] = lambda file: False
    course.ends_as(State.REJECTED, FileRefused)


def too_much(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused when it is stored."""
    course.spec["quota"] = Quota(bytes=len(PNG) - 1)
    course.ends_as(State.REJECTED, QuotaExceeded)


def check_fails(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    course.spec["check"] = course
    course.fails(CheckFailed("no", filter="scan", reason="no answer"))


def storage_fails(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    course.place.bucket.before_commit = course.fail
    course.fails(StorageFailed("no", storage="bucket"))


def ledger_fails(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is stored by then."""
    accept = course.place.ledger.accept

    def fail_once(*args: Any, **said: Any) -> Any:
        course.fail()
        return accept(*args, **said)

    monkeypatch.setattr(course.place.ledger, "accept", fail_once)
    course.fails(LedgerFailed("the ledger does not answer"))


def deleted_by_a_check(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """By somebody else meanwhile; and then the check fails."""

    def fail() -> None:
        course.place.pipeline.delete(course.token)
        raise CheckFailed("no", filter="scan", reason="no answer")

    course.spec["check"], course.fault = course, fail
    course.ends_as(State.DELETED, UploadGone)


def deleted_by_a_filter(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    course.spec["filter"] = lambda file: course.fail()
    course.fault = lambda: course.place.pipeline.delete(course.token)
    course.ends_as(State.DELETED, UploadGone)


COURSES = [
    *(good, named, refused, too_much, check_fails, storage_fails, ledger_fails),
    *(deleted_by_a_check, deleted_by_a_filter),
]


@pytest.mark.parametrize("further", FURTHER, ids=str)
@pytest.mark.parametrize("goes", COURSES, ids=lambda goes: goes.__name__)
def test_cancelled_at_any_place_it_may_be_finished_again(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    goes: Callable[[Course, pytest.MonkeyPatch], None],
    further: tuple[int, ...],
) -> None:
    """At the first place where it waits, the second, ...: the upload is as it was, with its bytes and its lock free, or
    it has ended, and nothing is left for a sweep."""
    course = Course(place)
    goes(course, monkeypatch)
    direct = place.direct(**course.spec)

    async def attempt(number: int) -> bool:
        form = direct.begin("me.png")
        place.bucket.post(form.url, form.fields, PNG)
        course.token, course.is_over = form.token, False
        ended, is_cancelled = await told(direct, form.token, number, *(number + more for more in further))
        assert is_cancelled or ended is course.told[0]
        for _ in range(2):
            record = place.record(form.token)
            if record.state is not State.RECEIVING:
                break
            assert place.bucket.sent or record.key in place.bucket.objects, "what has arrived is gone"
            expected = course.told[course.is_over]
            assert (await told(direct, form.token))[0] is expected
        assert (place.record(form.token).state, place.left()) == (course.ends, {})
        objects = place.bucket.objects
        assert (len(objects), len(place.done)) == ((1, 1) if course.ends is State.COMPLETED else (0, 0))
        over = ObjectExists if course.ends is State.COMPLETED else UploadGone
        assert (await told(direct, form.token))[0] is over
        for key in objects:
            place.bucket.delete(key)
        place.done.clear()
        return is_cancelled

    assert asyncio.run(reached(attempt)) > 5


async def reached(attempt: Callable[[int], Awaitable[bool]]) -> int:
    """At how many places it waits."""
    for number in count():
        if not await attempt(number):
            return number
    raise AssertionError


def test_a_deadline_that_passes_while_the_ledger_fails_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a deadline: who has set it hears of nothing else."""

    async def main() -> None:
        loop, is_over = asyncio.get_running_loop(), threading.Event()

        def end() -> None:
            deadline.reschedule(loop.time())
            loop.call_later(0.01, is_over.set)

        def fail(*_: object, **__: object) -> None:
            loop.call_soon_threadsafe(end)
            is_over.wait(10)
            raise LedgerFailed("the ledger does not answer")

        direct = place.direct()
        token = place.send(direct, PNG)
        with monkeypatch.context() as patched:
            patched.setattr(place.ledger, "accept", fail)
            with pytest.raises(TimeoutError) as raised:
                async with asyncio.timeout(None) as deadline:
                    await direct.afinish(token)
        cancelled = raised.value.__cause__
        assert isinstance(cancelled, asyncio.CancelledError)
        assert isinstance(cancelled.__cause__, LedgerFailed)
        assert (await direct.afinish(token)).id == token

    asyncio.run(main())
    assert place.left() == {}


@pytest.mark.parametrize("driver", ["finish", "afinish"])
def test_where_the_application_names_it_and_the_ledger_fails_nothing_is_left(
    place: Place, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No record says where it is, so neither another call nor a sweep would find it."""

    def fail(*_: object, **__: object) -> None:
        raise LedgerFailed("the ledger does not answer")

    direct = place.direct(accept=IMAGES, filename=lambda file: "me.png")
    token = place.send(direct, PNG)
    with monkeypatch.context() as patched:
        patched.setattr(place.ledger, "accept", fail)
        with pytest.raises(LedgerFailed):
            direct.finish(token) if driver == "finish" else asyncio.run(direct.afinish(token))
    assert place.left() == {}
    assert [record.state for record in place.ledger.find()] == [State.REJECTED]
    with pytest.raises(UploadGone):
        direct.finish(token)


# Without one


@pytest.mark.parametrize("further", FURTHER, ids=str)
@pytest.mark.parametrize(("rules", "ends"), [({}, UploadedFile), ({"filter": lambda file: False}, FileRefused)])
def test_cancelled_at_any_place_it_leaves_no_upload(
    rules: dict[str, Any], ends: type, further: tuple[int, ...]
) -> None:
    """What has arrived is removed, or is as it was where nobody has looked at it: then it may be finished again."""

    async def attempt(number: int) -> bool:
        bucket = Bucket()
        direct = direct_to(bucket, accept=IMAGES, **rules)
        token = send(bucket, direct, PNG)
        ended, is_cancelled = await told(direct, token, number, *(number + more for more in further))
        if not is_cancelled:
            assert ended is ends
            return False
        assert bucket.objects == {}
        expected = ends if bucket.sent else ObjectMissing
        assert (await told(direct, token))[0] is expected
        return True

    assert asyncio.run(reached(attempt)) > 3


def test_what_could_not_be_taken_back_is_noted() -> None:
    """The cancellation comes out all the same, from a commit that it came too late for."""

    async def main() -> None:
        bucket = Bucket()
        direct = direct_to(bucket, accept=IMAGES)
        token = send(bucket, direct, PNG)
        loop = asyncio.get_running_loop()

        def fail(key: str) -> None:
            raise StorageFailed("no", storage="bucket")

        def commit() -> None:
            bucket.delete = fail  # type: ignore[method-assign]
            loop.call_soon_threadsafe(task.cancel)

        bucket.before_commit = commit
        task = asyncio.create_task(direct.afinish(token))
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
        [note] = raised.value.__notes__
        assert note.startswith("and the files of the request could not be removed: StorageFailed(")
        assert len(bucket.objects) == 1

    asyncio.run(main())
