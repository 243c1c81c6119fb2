"""How many uploads at once, in which order, and how much memory: the same line for threads and for event loops."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from tests.intake.called import CalledStorage, Hold, turns
from tests.intake.receiving import Drive, arriving, in_chunks, left_in

from uploadkit.errors import Overloaded
from uploadkit.intake.asynchronous import areceive
from uploadkit.intake.capacity import BUFFER_SIZE, DEFAULT_CAPACITY, Capacity
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader

SMALL = FormBuilder(boundary="b").file("f", b"1", filename="1.bin")
MIB = 1 << 20


def file_of(size: int) -> FormBuilder:
    """A form with one file."""
    return FormBuilder(boundary="b").file("f", os.urandom(size), filename="x.bin")


def full(uploads: int = 1, **rules: Any) -> Capacity:
    """A capacity whose places are all taken."""
    capacity = Capacity(uploads=uploads, **rules)
    for _ in range(uploads):
        capacity.admit()
    return capacity


def test_who_finds_the_line_full_is_overloaded(drive: Drive) -> None:
    """503 with the seconds after which another attempt makes sense; nothing of the body is read."""
    storage = MemoryStorage()
    spec = Uploader(storage, capacity=full(waiting=0, wait_seconds=2.5)).any()
    body = iter([SMALL.body])
    with pytest.raises(Overloaded) as caught:
        drive(spec, SMALL.content_type, body)
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (503, "overloaded", 3)
    assert caught.value.problem()["retry_after"] == 3
    assert list(body) == [SMALL.body]
    assert left_in(storage) == []


def test_who_waits_too_long_is_overloaded(drive: Drive) -> None:
    """And leaves the line: the next one is not behind a ghost."""
    capacity = full(wait_seconds=0.01, waiting=1)
    spec = Uploader(MemoryStorage(), capacity=capacity).any()
    for _ in range(3):
        with pytest.raises(Overloaded):
            drive(spec, SMALL.content_type, [SMALL.body])
    assert capacity.in_flight == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_place_is_given_back(drive: Drive, fails: bool) -> None:
    """Whatever has become of the upload."""
    capacity = Capacity(uploads=1, waiting=0)
    spec = Uploader(MemoryStorage(), capacity=capacity, limits=Limits(files=0 if fails else 1)).any()
    for _ in range(3):
        if fails:
            with pytest.raises(Exception, match="more than 0 files"):
                drive(spec, SMALL.content_type, [SMALL.body])
        else:
            drive(spec, SMALL.content_type, [SMALL.body])
    assert (capacity.in_flight, capacity.held) == (0, 0)


def test_places_are_given_in_the_order_of_the_line() -> None:
    """Tasks and threads wait in the same one."""

    async def main() -> None:
        capacity = Capacity(uploads=1, waiting=20)
        first = await capacity.aadmit()
        order: list[int] = []

        async def wait_in_loop(number: int) -> None:
            place = await capacity.aadmit()
            order.append(number)
            place.release()

        def wait_in_thread(number: int) -> None:
            place = capacity.admit()
            order.append(number)
            place.release()

        with ThreadPoolExecutor(10) as threads:
            waiting: list[asyncio.Future[None]] = []
            for number in range(20):
                if number % 2:
                    waiting.append(asyncio.ensure_future(wait_in_loop(number)))
                else:
                    waiting.append(asyncio.get_running_loop().run_in_executor(threads, wait_in_thread, number))
                async with asyncio.timeout(10):
                    while len(capacity._line().waiters) <= number:
                        await turns(1)
            with pytest.raises(Overloaded):
                await capacity.aadmit()
            first.release()
            await asyncio.gather(*waiting)
        assert order == sorted(order)
        assert len(order) == 20
        assert capacity.in_flight == 0

    asyncio.run(main())


def test_who_is_cancelled_while_it_waits_takes_no_place() -> None:
    """Before a place was given, and in the same moment."""

    async def main(given: bool) -> None:
        capacity = Capacity(uploads=1)
        place = await capacity.aadmit()
        waiting = asyncio.ensure_future(capacity.aadmit())
        await turns()
        if given:
            place.release()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        if not given:
            place.release()
        assert capacity.in_flight == 0
        (await capacity.aadmit()).release()

    asyncio.run(main(given=False))
    asyncio.run(main(given=True))


def test_no_more_are_received_at_once_than_there_are_places() -> None:
    """Of forty uploads; all of them end well."""

    async def main() -> None:
        capacity = Capacity(uploads=3)
        most = 0

        def called(call: str) -> None:
            nonlocal most
            most = max(most, capacity.in_flight)

        spec = Uploader(CalledStorage(called), capacity=capacity).any()
        await asyncio.gather(
            *(areceive(spec, SMALL.content_type, arriving([SMALL.body])) for _ in range(40)),
        )
        assert most == 3
        assert capacity.in_flight == 0

    asyncio.run(main())


@pytest.mark.parametrize("memory", [0, BUFFER_SIZE, 2 * BUFFER_SIZE, None], ids=["none", "one", "two", "any"])
def test_an_upload_goes_on_with_the_memory_that_there_is(memory: int | None) -> None:
    """Without a buffer, with one, with both: the same bytes, and never more is held than was allowed."""

    async def main() -> None:
        capacity = Capacity(memory=memory)
        held: list[int] = []
        storage = MemoryStorage()
        spec = Uploader(CalledStorage(lambda call: held.append(capacity.held), storage), capacity=capacity).any()
        form = file_of(5 * MIB + 17)
        chunks = in_chunks(form.body, 100_000)
        submission = await areceive(spec, form.content_type, arriving(chunks))
        assert form.body.count(submission.files[0].read()) == 1
        assert max(held) == (2 * BUFFER_SIZE if memory is None else memory)
        assert capacity.held == 0

    asyncio.run(main())


def test_text_values_are_counted(drive: Drive) -> None:
    """A value that finds no memory is refused with 503: the sender did nothing wrong."""
    storage = MemoryStorage()
    capacity = Capacity(memory="128 KiB")
    spec = Uploader(storage, capacity=capacity).any()
    fits = FormBuilder(boundary="b").text("a", "x" * 100_000)
    drive(spec, fits.content_type, in_chunks(fits.body, 1000))
    form = FormBuilder(boundary="b").file("f", b"1", filename="1").text("a", "x" * 200_000)
    with pytest.raises(Overloaded):
        drive(spec, form.content_type, in_chunks(form.body, 1000))
    assert capacity.held == 0
    assert len(storage.objects) == 0
    assert left_in(storage) == []


def test_a_capacity_that_is_closed_lets_end_what_is_under_way() -> None:
    """It refuses what comes and what waits, and says whether all has ended in time."""

    async def main() -> None:
        hold = Hold("commit")
        capacity = Capacity(uploads=1)
        spec = Uploader(CalledStorage(hold), capacity=capacity).any()
        under_way = asyncio.ensure_future(areceive(spec, SMALL.content_type, arriving([SMALL.body])))
        await hold.reached.wait()
        waits = asyncio.ensure_future(areceive(spec, SMALL.content_type, arriving([SMALL.body])))
        await turns()
        assert not await capacity.aclose(0)
        with pytest.raises(Overloaded):
            await waits
        closing = asyncio.ensure_future(capacity.aclose(10))
        await turns()
        with pytest.raises(Overloaded, match="about to end"):
            await areceive(spec, SMALL.content_type, arriving([SMALL.body]))
        hold.let_go()
        assert await closing
        assert capacity.close(0)
        assert (await under_way).files
        assert (await areceive(spec, SMALL.content_type, arriving([SMALL.body]))).files, "it is open again"

    asyncio.run(main())


def test_it_can_be_copied_and_sent_to_another_process() -> None:
    """As a part of a spec: as large, and with nobody in it. The shared one stays the shared one."""
    capacity = full(2, waiting=0)
    for copied in (copy.deepcopy(capacity), pickle.loads(pickle.dumps(capacity))):
        assert copied.in_flight == 0
        assert [copied.admit() is not None for _ in range(2)] == [True, True]
        with pytest.raises(Overloaded):
            copied.admit()
    assert pickle.loads(pickle.dumps(DEFAULT_CAPACITY)) is DEFAULT_CAPACITY
    assert copy.deepcopy(DEFAULT_CAPACITY) is DEFAULT_CAPACITY


def test_the_collector_may_end_an_upload_inside() -> None:
    """One that nobody awaits any more gives its place back wherever the collector comes by."""
    capacity = Capacity(uploads=2)
    place = capacity.admit()
    with capacity._line().lock:
        place.release()
    assert capacity.in_flight == 0


def test_a_capacity_that_is_idle_closes_at_once() -> None:
    """In a thread and in an event loop."""
    assert Capacity().close(0)
    assert asyncio.run(Capacity().aclose(0))


@pytest.mark.needs("linux")
def test_a_fork_begins_with_an_empty_line() -> None:
    """The uploads of its parent are not its own, and a lock that was held is not held there."""
    capacity = full(waiting=0)
    with capacity._line().lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if capacity.admit() is not None and capacity.in_flight == 1 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_an_interrupted_wait_takes_no_place() -> None:
    """Ctrl-C in a thread that waits in line."""
    capacity = full()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uploadkit.intake.capacity.wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            capacity.admit()
    assert not capacity._line().waiters
    assert capacity.in_flight == 1


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"uploads": 0}, ValueError),
        ({"uploads": 1.5}, TypeError),
        ({"waiting": -1}, ValueError),
        ({"waiting": True}, TypeError),
        ({"memory": "much"}, ValueError),
        ({"wait_seconds": -1}, ValueError),
        ({"wait_seconds": float("inf")}, ValueError),
    ],
)
def test_a_mistake_is_told_when_it_is_made(wrong: dict[str, Any], error: type[Exception]) -> None:
    """Not by the first upload."""
    with pytest.raises(error):
        Capacity(**wrong)


def test_what_is_no_capacity_is_refused() -> None:
    """By the uploader that is given it."""
    with pytest.raises(TypeError, match="capacity is Capacity"):
        Uploader(MemoryStorage(), capacity=5)  # type: ignore[arg-type]  # on purpose


def test_no_limit_is_written_out() -> None:
    """`None`, as everywhere."""
    capacity = Capacity(uploads=None, waiting=None, memory=None)
    places = [capacity.admit() for _ in range(5000)]
    assert capacity.in_flight == 5000
    for place in places:
        place.release()
    assert capacity.in_flight == 0


def test_many_threads_share_a_few_places() -> None:
    """Nobody is forgotten, and there are never too many."""
    capacity = Capacity(uploads=4, waiting=None)
    inside: list[int] = []
    lock = threading.Lock()

    def use(number: int) -> None:
        place = capacity.admit()
        with lock:
            inside.append(capacity.in_flight)
        place.release()

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(use, range(500)))
    assert max(inside) <= 4
    assert len(inside) == 500
    assert capacity.in_flight == 0


def told(drive: Callable[..., Any], form: FormBuilder, size: int, length: int | None) -> list[tuple[int, int | None]]:
    """What `on_progress` is told of a form."""
    calls: list[tuple[int, int | None]] = []
    drive(
        Uploader(MemoryStorage()).any(),
        form.content_type,
        in_chunks(form.body, size),
        content_length=length,
        on_progress=lambda received, expected: calls.append((received, expected)),
    )
    return calls


def test_progress_is_told_of_every_chunk(drive: Drive) -> None:
    """The bytes so far and the length, where it is known; ever more, up to all of them."""
    form = file_of(1000)
    size = len(form.body)
    calls = told(drive, form, 100, size)
    assert [received for received, _ in calls] == [*range(100, size, 100), size]
    assert {expected for _, expected in calls} == {size}
    assert all(a < b for (a, _), (b, _) in pairwise(calls))
    assert told(drive, form, 400, None)[-1] == (size, None)


def test_an_error_of_who_watches_ends_the_upload(drive: Drive) -> None:
    """As an error of every other callable of the user does: nothing is left."""
    storage = MemoryStorage()

    def fails(received: int, expected: int | None) -> None:
        raise LookupError("the bar is gone")

    with pytest.raises(LookupError):
        drive(Uploader(storage).any(), SMALL.content_type, [SMALL.body], on_progress=fails)
    assert left_in(storage) == []
