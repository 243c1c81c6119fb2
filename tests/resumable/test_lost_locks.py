"""Who is busy with an upload keeps it as long as that takes; and who has lost it changes nothing of it any more."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tests.resumable.talking import DRIVERS, Place, Talk, Told, id_of, place_in
from tests.storage.s3.moto import moto_server
from tests.storage.s3.server import BUCKET

from uploadkit.errors import LedgerFailed, UploadLocked
from uploadkit.intake.steps import Steps
from uploadkit.policy.filters import IncomingFile
from uploadkit.records.lifecycle import State
from uploadkit.records.resumable import Resumable
from uploadkit.resumable import holding, uploads
from uploadkit.resumable.holding import Held, take, taking
from uploadkit.resumable.work import Work
from uploadkit.storage.s3 import S3Storage

LEASE = 1.0

DATA = os.urandom(20_000)

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(9000)

Begin = Callable[..., Place]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease does not take so long."""
    monkeypatch.setattr(uploads, "taking", partial(taking, lease_seconds=LEASE))


@pytest.fixture(params=DRIVERS)
def begin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Begin]:
    """Makes the place of a test."""
    with ExitStack() as ending:

        def begun(**options: Any) -> Place:
            return ending.enter_context(place_in(tmp_path, driver=request.param, **options))

        yield begun


def until(is_so: Callable[[], object], seconds: float = 20) -> None:
    """Waits for it."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


class Asking:
    """A request in a thread of its own."""

    def __init__(self, ask: Callable[[], Told]) -> None:
        self._answers: list[Told] = []
        self._thread = threading.Thread(target=lambda: self._answers.append(ask()))
        self._thread.start()

    def end(self) -> Told:
        self._thread.join(30)
        return self._answers[0]


class Busy:
    """A check, or a handler, that takes its time."""

    def __init__(self) -> None:
        self.begun, self.goes_on, self.times = threading.Event(), threading.Event(), 0

    def __call__(self, file: object) -> None:
        self.times += 1
        self.begun.set()
        assert self.goes_on.wait(30)

    def examine(self, file: IncomingFile, opened: BinaryIO) -> None:
        self(file)


class Deaf:
    """A PATCH whose client is dead for now: nothing interrupts its wait for it. Then `last` comes."""

    def __init__(self, talk: Talk, location: str, *, sent: bytes, last: bytes) -> None:
        self.waits, self.goes_on = threading.Event(), threading.Event()
        self._asking = Asking(lambda: talk.patch(location, 0, self._body(sent, last)))
        assert self.waits.wait(10)

    def _body(self, sent: bytes, last: bytes) -> Iterator[bytes]:
        if sent:
            yield sent
        self.waits.set()
        assert self.goes_on.wait(30)
        yield last

    def end(self) -> Told:
        self.goes_on.set()
        return self._asking.end()


def steal(place: Place, upload: str) -> None:
    """Another process has it from now on, and who had it knows that it is lost."""
    place.end_leases()
    assert place.ledger.resumables.hold(upload, seconds=600) is not None
    until(lambda: not holding._held_here(upload))


def known(place: Place, location: str) -> Resumable:
    row = place.ledger.resumables.get(id_of(location))
    assert row is not None
    return row


@pytest.mark.parametrize("what", ["check", "handler"])
@pytest.mark.parametrize("is_of_pieces", [False, True], ids=["of a body", "of pieces"])
def test_who_is_busy_with_all_of_an_upload_keeps_it(begin: Begin, what: str, is_of_pieces: bool) -> None:
    """However long that takes, and whoever asks meanwhile: it is judged once, and the handler is called once."""
    busy = Busy()
    options: dict[str, Any] = {"single": {"check": busy}} if what == "check" else {"handler": busy}
    place = begin(wait_seconds=0.2, **options)
    if is_of_pieces:
        one, two = (place.talk.upload(half, upload_concat="partial") for half in (DATA[:9000], DATA[9000:]))
        asking = Asking(lambda: place.again().put_together(one, two))
    else:
        location = place.talk.created(len(DATA))
        asking = Asking(lambda: place.again().patch(location, 0, DATA))
    assert busy.begun.wait(20)
    if is_of_pieces:
        [location] = [f"/files/{each.id}" for each in place.records() if f"/files/{each.id}" not in (one, two)]
    end = time.monotonic() + 2.5 * LEASE
    while time.monotonic() < end:
        other = place.again()
        assert other.head(location).status == other.patch(location, len(DATA)).status == 423
    busy.goes_on.set()
    assert asking.end().status == (201 if is_of_pieces else 204)
    assert busy.times == 1
    place.expect_whole(location, DATA)


def test_who_has_lost_an_upload_does_not_refuse_it(tmp_path: Path) -> None:
    """By bytes that nobody counts any more. What another one has added stays."""
    with place_in(tmp_path, single={"accept": ["image/png"]}, wait_seconds=20) as place:
        location = place.talk.created(len(PNG) + 10)
        deaf = Deaf(place.again(), location, sent=b"", last=b"%PDF-1.4 " + bytes(9000))
        assert place.again().patch(location, 0, PNG).status == 204
        assert deaf.end().status == 423
        place.expect_partial(location, len(PNG))
        place.talk.patch(location, len(PNG), bytes(10))
        place.expect_whole(location, PNG + bytes(10))


def test_who_has_lost_an_upload_in_a_bucket_takes_no_bytes_away(tmp_path: Path) -> None:
    """What another one was told is there stays, although less of it lay beside the parts before."""
    data = os.urandom(20 * 2**20)
    with moto_server(tmp_path / "moto") as server:
        storage = S3Storage(f"s3://{BUCKET}/x", options=server.options(), exclusive=True)
        with place_in(tmp_path, storage=storage, wait_seconds=20) as place:
            location = place.talk.created(len(data))
            deaf = Deaf(place.again(), location, sent=data[: 6 * 2**20], last=data[6 * 2**20 : 7 * 2**20])
            offset = place.again().head(location).offset
            answer = place.again().patch(location, offset, data[offset : offset + 3 * 2**20])
            assert (answer.status, answer.offset) == (204, offset + 3 * 2**20)
            assert deaf.end().status == 423
            assert place.again().head(location).offset == answer.offset
        storage.close()


@pytest.mark.parametrize("fails", [False, True])
def test_who_has_lost_an_upload_in_its_handler_neither_takes_it_nor_takes_it_back(begin: Begin, fails: bool) -> None:
    """That is for who has it by now, who finds all of it there."""
    lost: list[str] = []

    def handler(file: Any) -> None:
        if not lost:
            lost.append(file.id)
            steal(place, file.id)
            if fails:
                raise ValueError

    place = begin(handler=handler)
    location = place.talk.created(len(DATA))
    assert place.talk.patch(location, 0, DATA).status == 423
    assert place.record(location).state is State.RECEIVING
    place.end_leases()
    assert place.again().head(location).status == 200
    place.expect_whole(location, DATA)


@pytest.mark.parametrize("asks", ["DELETE", "PATCH", "last PATCH", "PATCH with a length"])
def test_who_has_lost_an_upload_at_once_changes_nothing(
    begin: Begin, asks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was asked for."""

    def take_and_lose(ledger: Any, upload: str, **options: Any) -> Steps[Held]:
        held = yield from taking(ledger, upload, **options, lease_seconds=LEASE)
        steal(place, upload)
        return held

    place = begin()
    location = place.talk.created(None if asks == "PATCH with a length" else len(DATA))
    place.talk.patch(location, 0, DATA[:9000])
    with monkeypatch.context() as patch:
        patch.setattr(uploads, "taking", take_and_lose)
        talk = place.again()
        if asks == "DELETE":
            answer = talk.delete(location)
        elif asks == "PATCH with a length":
            answer = talk.patch(location, 9000, b"", upload_length=len(DATA))
        else:
            answer = talk.patch(location, 9000, DATA[9000:] if asks == "last PATCH" else DATA[9000:9001])
        assert answer.status == 423
    place.end_leases()
    place.expect_partial(location, 9000)
    place.talk.patch(location, 9000, DATA[9000:], upload_length=len(DATA))
    place.expect_whole(location, DATA)


def test_nothing_is_done_to_what_has_come_without_the_lock(begin: Begin) -> None:
    """Nothing that changes it is forgotten."""
    place = begin()
    location = place.talk.created(len(DATA))
    place.talk.patch(location, 0, DATA[:9000])
    upload = id_of(location)
    held = take(place.ledger, upload, wait_seconds=0, on_wanted=lambda: None, lease_seconds=LEASE)
    row = known(place, location)
    arrived = place.storage.partial(upload, row.kept)  # type: ignore[attr-defined]
    work = Work(place.record(location), row, held, arrived, lambda: row.expires_at)
    steal(place, upload)
    changes: list[Callable[[], object]] = [
        lambda: work.partial.append(b"x"),
        lambda: work.partial.extend(arrived),
        lambda: work.partial.commit("k", None),  # type: ignore[arg-type]
        work.partial.keep,
        work.partial.complete,
        work.partial.discard,
    ]
    for change in changes:
        with pytest.raises(UploadLocked):
            change()
    work.release()
    place.end_leases()
    place.expect_partial(location, 9000)


def test_an_upload_to_which_bytes_come_is_not_over(begin: Begin) -> None:
    """Although one request takes longer than the time that an upload has. Should its process die, what has come has
    that time still."""
    place, ends = begin(expires_seconds=1, wait_seconds=20), threading.Event()

    def body() -> Iterator[bytes]:
        yield DATA[:9000]
        while not ends.wait(0.01):
            yield bytes(20_000)

    location = place.talk.created(60 * 2**20)
    first = known(place, location).expires_at
    asking = Asking(lambda: place.again().patch(location, 0, body()))
    try:
        until(lambda: datetime.now(UTC) > first and known(place, location).expires_at > datetime.now(UTC))
        answer = place.again().head(location)
        assert (answer.status, answer.offset > 9000) == (200, True)
    finally:
        ends.set()
    assert asking.end().code == "upload_locked"


def test_an_upload_whose_time_ends_while_it_is_judged_is_finished(begin: Begin) -> None:
    """Who comes back meanwhile is told to wait, and not that it is over."""
    busy = Busy()
    place = begin(single={"check": busy})
    location = place.talk.created(len(DATA))
    asking = Asking(lambda: place.again().patch(location, 0, DATA))
    assert busy.begun.wait(20)
    hold = holding._held_here(id_of(location))[0].hold
    place.ledger.resumables.change(hold, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert place.again().head(location).status == 423
    busy.goes_on.set()
    assert asking.end().status == 204
    place.expect_whole(location, DATA)


@pytest.mark.parametrize("first", [0, 6000])
def test_a_length_that_was_said_is_known_though_the_ledger_hears_of_no_end(
    begin: Begin, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client was answered that all is well, and says it once."""

    def fail(*args: object, **options: object) -> None:
        raise LedgerFailed("it does not answer", retryable=True)

    place = begin()
    location = place.talk.created()
    with monkeypatch.context() as patch:
        patch.setattr(place.ledger.resumables, "let_go", fail)
        assert place.talk.patch(location, 0, DATA[:first], upload_length=len(DATA)).status == 204
    place.end_leases()
    assert place.talk.head(location).headers["upload-length"] == str(len(DATA))
    place.talk.patch(location, first, DATA[first:])
    place.expect_whole(location, DATA)
