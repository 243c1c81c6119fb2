"""The application's handler, and what becomes of an upload where that is broken off, raises, or asks the pipeline."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.intake.test_cancellation import CancelledAt
from tests.processing.servers import eventually
from tests.resumable.talking import DRIVERS, OFFSET_TYPE, Place, arriving, place_in

from uploadkit.errors import FileRefused, LedgerFailed
from uploadkit.events.facts import FileProgressed
from uploadkit.records.ledger import Ledger, Said
from uploadkit.records.lifecycle import State
from uploadkit.resumable.protocol import Answer
from uploadkit.storage.threads import MAX_THREADS
from uploadkit.uploads import FieldValues, UploadedFile

DATA = os.urandom(20000)


def created_by(place: Place, data: bytes = b"hello") -> Coroutine[Any, Any, Answer]:
    """One request that brings all of an upload."""
    request, body = place.talk.request("POST", "/files/", data, upload_length=len(data), content_type=OFFSET_TYPE)
    return place.talk.server.arespond(request, arriving(body))


def cancelled_at(place: Place, number: int, send: Callable[[], object]) -> int:
    """Sends a request that is cancelled at its await of this number. How many it reached."""
    cancelled: list[CancelledAt[Answer]] = []

    def around(answering: Coroutine[Any, Any, Answer]) -> Awaitable[Answer]:
        cancelled.append(CancelledAt(answering, [number]))
        return cancelled[0]

    place.talk.around = around
    try:
        send()
    except asyncio.CancelledError:
        pass
    finally:
        place.talk.around = None
    return cancelled[0].reached


# Those that ask the pipeline


@pytest.mark.parametrize("ask", ["run", "status"])
def test_they_may_ask_the_pipeline_however_many_there_are(tmp_path: Path, ask: str) -> None:
    """What they wait for is done in threads that none of them has."""
    many, all_ask = 2 * MAX_THREADS, threading.Barrier(2 * MAX_THREADS)

    def handler(file: UploadedFile) -> None:
        all_ask.wait(20)
        if ask == "run":
            place.pipeline.run(file)
        else:
            place.pipeline.status(file.id)

    async def main() -> None:
        answers = await asyncio.wait_for(asyncio.gather(*(created_by(place) for _ in range(many))), 60)
        assert [answer.status for answer in answers] == many * [201]

    with place_in(tmp_path, handler=handler) as place:
        asyncio.run(main())
        assert {record.state for record in place.records()} == {State.COMPLETED}


def test_subscribers_may_ask_the_pipeline_however_many_there_are(tmp_path: Path) -> None:
    """As handlers may."""
    many, all_ask = 2 * MAX_THREADS, threading.Barrier(2 * MAX_THREADS)

    async def main(place: Place, upload: str) -> None:
        told = (
            place.pipeline.events.apublish(FileProgressed(upload=upload, processor="p", percent=1)) for _ in range(many)
        )
        await asyncio.wait_for(asyncio.gather(*told), 60)

    with place_in(tmp_path) as place:
        heard = []

        @place.pipeline.on("file.progressed")
        def hear(fact: FileProgressed) -> None:
            all_ask.wait(20)
            heard.append(place.pipeline.status(fact.upload).state)

        location = place.talk.upload(b"hello")
        asyncio.run(main(place, place.record(location).id))
        assert heard == many * [State.COMPLETED]


@pytest.mark.parametrize("driver", DRIVERS)
def test_one_that_raises_after_it_has_had_its_file_processed_leaves_nothing(tmp_path: Path, driver: str) -> None:
    """The upload is deleted, and those who have heard of it are told so."""

    def handler(file: UploadedFile) -> None:
        assert place.pipeline.run(file).state is State.COMPLETED
        raise FileRefused("the application says no", field="file", filter="the application's")

    with place_in(tmp_path, driver=driver, handler=handler) as place:
        facts: list[str] = []
        place.pipeline.on()(lambda fact: facts.append(fact.name))
        location = place.talk.created(5)
        assert place.talk.patch(location, 0, b"hello").status == 422
        place.expect_gone(location, State.DELETED)
        place.expect_nothing()
        eventually(lambda: facts == ["file.uploaded", "file.processed", "file.deleted"])


def test_one_that_is_cancelled_when_its_file_is_processed_leaves_nothing(tmp_path: Path) -> None:
    """It is not called again for what the pipeline has accepted, so that counts as refused."""
    begun = 0

    async def handler(file: UploadedFile) -> None:
        nonlocal begun
        begun += 1
        await place.pipeline.arun(file)
        raise asyncio.CancelledError

    with place_in(tmp_path, driver="async", handler=handler) as place:
        location = place.talk.created(5)
        with pytest.raises(asyncio.CancelledError):
            place.talk.patch(location, 0, b"hello")
        place.expect_gone(location, State.DELETED)
        place.expect_nothing()
        assert begun == 1


# Those that are broken off


def test_a_plain_one_that_has_returned_is_not_called_again(tmp_path: Path) -> None:
    """Its request was cancelled meanwhile, and nobody could end it: what it did counts."""
    returned = threading.Event()

    def handler(file: UploadedFile) -> None:
        handled.append(file.id)
        cancel[0]()
        returned.wait(0.1)

    async def main() -> None:
        request, body = place.talk.request("PATCH", location, b"hello", upload_offset=0, content_type=OFFSET_TYPE)
        task = asyncio.create_task(place.talk.server.arespond(request, arriving(body)))
        cancel.append(partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel))
        await asyncio.wait([task])
        assert task.cancelled()

    handled: list[str] = []
    cancel: list[Callable[[], object]] = []
    with place_in(tmp_path, driver="async", handler=handler) as place:
        location = place.talk.created(5)
        asyncio.run(main())
        place.expect_whole(location, b"hello")
        assert place.talk.head(location).status == 200
        assert len(handled) == 1


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
def test_where_the_application_names_the_file_nobody_else_finds_it(tmp_path: Path, is_async: bool) -> None:
    """Cancelled at the first await, the second, and so on: the upload is accepted, or nothing of it is left and its
    name is free."""

    def plain(file: UploadedFile) -> None: ...

    async def waits(file: UploadedFile) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    named, handler = {"filename": lambda file: "a/name"}, waits if is_async else plain
    with place_in(tmp_path, driver="async", single=named, handler=handler) as place:
        for number in count():
            location = place.talk.created(len(DATA))
            place.talk.patch(location, 0, DATA[:12000])
            reached = cancelled_at(place, number, lambda at=location: place.talk.patch(at, 12000, DATA[12000:]))  # type: ignore[misc]
            state = place.record(location).state
            if state is State.COMPLETED:
                place.expect_whole(location, DATA)
            else:
                assert "a/name" not in place.left(), (number, state)
            place.talk.delete(location)
            assert place.left() == [], number
            if number >= reached:
                assert state is State.COMPLETED
                return


def test_the_name_of_a_file_is_free_when_its_handler_was_killed(tmp_path: Path) -> None:
    """As by a server that gives up a request that takes too long."""

    def handler(file: UploadedFile) -> None:
        if not handled:
            handled.append(file.id)
            raise SystemExit

    handled: list[str] = []
    with place_in(tmp_path, single={"filename": lambda file: "a/name"}, handler=handler) as place:
        location = place.talk.created(5)
        with pytest.raises(SystemExit):
            place.talk.patch(location, 0, b"hello")
        place.expect_gone(location, State.REJECTED)
        place.expect_nothing()
        place.talk.upload(b"hello")
        assert b"".join(place.storage.read("a/name")) == b"hello"


@pytest.mark.parametrize("queued", [False, True], ids=["one request", "two requests"])
def test_an_upload_of_no_bytes_is_accepted_or_nothing_is_left_of_it(tmp_path: Path, queued: bool) -> None:
    """Cancelled at the first await, the second, and so on: its client was not told where it is."""
    with place_in(tmp_path, driver="async") as place:
        for number in count():
            body = None if queued else b""
            reached = cancelled_at(place, number, lambda body=body: place.talk.create(0, body))  # type: ignore[misc]
            states = {record.state for record in place.records()}
            assert states <= {State.COMPLETED, State.REJECTED}, (number, states)
            if State.COMPLETED in states:
                [record] = place.records()
                place.expect_whole(f"/files/{record.id}", b"")
            else:
                place.expect_nothing()
            for record in place.records():
                place.pipeline.delete(record.id)
                place.ledger.forget(record.id)
            if number >= reached:
                return


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_upload_of_no_bytes_that_cannot_be_accepted_leaves_nothing(
    tmp_path: Path, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that has some."""

    def no(*args: Any, **options: Any) -> None:
        raise LedgerFailed("no", retryable=True)

    with place_in(tmp_path, driver=driver) as place:
        monkeypatch.setattr(Ledger, "accept", no)
        for data in (b"", b"hello"):
            assert place.talk.create(len(data), data).status == 503
        assert place.talk.create(0).status == 503
        place.expect_nothing()


def test_what_is_accepted_when_the_loop_ends_is_processed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`asyncio.run` cancels every task at its end, also the one in which it is accepted."""
    begun, go_on, accept = threading.Event(), threading.Event(), Ledger.accept

    def slowly(self: Ledger, *args: Any, **options: Any) -> Any:
        begun.set()
        go_on.wait(10)
        return accept(self, *args, **options)

    async def main() -> None:
        request, body = place.talk.request("PATCH", location, b"hello", upload_offset=0, content_type=OFFSET_TYPE)
        tasks.append(asyncio.create_task(place.talk.server.arespond(request, arriving(body))))
        await asyncio.to_thread(begun.wait, 10)
        asyncio.get_running_loop().call_later(0.05, go_on.set)

    tasks: list[asyncio.Task[Answer]] = []
    with place_in(tmp_path) as place:
        facts: list[str] = []
        place.pipeline.on()(lambda fact: facts.append(fact.name))
        location = place.talk.created(5)
        monkeypatch.setattr(Ledger, "accept", slowly)
        asyncio.run(main())
        place.expect_whole(location, b"hello")
        eventually(lambda: facts == ["file.uploaded", "file.processed"])


# Whatever else the application says


def test_what_it_says_of_an_upload_is_asked_in_threads(tmp_path: Path) -> None:
    """It may block."""
    asked: list[threading.Thread] = []

    def words(fields: FieldValues) -> Said:
        asked.append(threading.current_thread())
        return Said()

    with place_in(tmp_path, driver="async", words=words) as place:
        place.talk.upload(b"hello")
    assert len(asked) == 2
    assert threading.main_thread() not in asked


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_it_raises_is_told_where_not_all_could_be_taken_back(
    tmp_path: Path, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a note stands with it."""

    class Forbidden(Exception):
        """Of the application."""

    def no(*args: Any, **options: Any) -> None:
        raise LedgerFailed("no", retryable=True)

    def handler(file: UploadedFile) -> None:
        monkeypatch.setattr(Ledger, "move", no)
        raise Forbidden

    with place_in(tmp_path, driver=driver, handler=handler) as place:
        location = place.talk.created(5)
        with pytest.raises(Forbidden) as caught:
            place.talk.patch(location, 0, b"hello")
        assert "not all could be taken back" in caught.value.__notes__[0]
        assert place.left() == []
