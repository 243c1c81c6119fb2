"""Whatever fails while an upload comes in: it goes on from an offset that never goes back and is whole in the end, or
nothing of it is left. Every call of the storage and of the ledger fails once; every wait is cancelled once; clients go
away anywhere.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from glob import glob
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tests.intake.called import CalledStorage
from tests.intake.test_cancellation import CancelledAt
from tests.resumable.faulty import CalledKeeper, Calls, Persistent, expect_all_or_nothing, failing, told_of
from tests.resumable.talking import DRIVERS, Place, Told, arriving, checksum, id_of, partials, place_in

from uploadkit.errors import CheckFailed, ClientDisconnected, FileRefused, LedgerFailed, StorageFailed
from uploadkit.policy.filters import IncomingFile
from uploadkit.records.lifecycle import State
from uploadkit.records.record import Quota
from uploadkit.resumable.holding import take
from uploadkit.resumable.protocol import Answer
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.threads import MAX_THREADS

DATA = os.urandom(20000)

Run = Callable[[Place], Persistent]


def in_three(place: Place) -> Persistent:
    """In three requests: the first bytes are judged by the second."""
    client = Persistent(place, DATA, (5000, 12000))
    client.run()
    return client


def at_once(place: Place) -> Persistent:
    """All of it with the request that begins it."""
    client = Persistent(place, DATA)
    created = client._tried(lambda: place.talk.create(len(DATA), DATA), 201)
    if created is not None:
        client.location, client.offset = created.location, created.offset
    return client


def verified(place: Place) -> Persistent:
    """With the checksum of each request."""
    client = Persistent(place, DATA, (5000, 12000), patch_headers=lambda data: {"upload_checksum": checksum(data)})
    client.run()
    return client


def told_last(place: Place) -> Persistent:
    """Its length comes last."""
    client = Persistent(place, DATA, (5000, 12000), headers={"upload_length": None, "upload_defer_length": 1})
    client.data = DATA
    client.patch_headers = lambda data: {"upload_length": len(DATA)} if data.endswith(DATA[-10:]) else {}
    client.run()
    return client


RUNS: dict[str, Run] = {"in three": in_three, "at once": at_once, "verified": verified, "told last": told_last}

# In every run; the others in the long ones.
OFTEN = [("blocking", "in three"), ("async", "in three")]

EACH = [
    pytest.param(driver, run, id=f"{driver}, {run}", marks=[] if (driver, run) in OFTEN else pytest.mark.soak)
    for driver in DRIVERS
    for run in RUNS
]

ERRORS: dict[str, Callable[[], BaseException]] = {
    "StorageFailed": lambda: StorageFailed("no", storage="disk"),
    "LedgerFailed": lambda: LedgerFailed("no", retryable=True),
    "OSError": lambda: OSError(5, "of a test"),
    "KeyboardInterrupt": KeyboardInterrupt,
}


def called_in(folder: Path) -> CalledKeeper:
    """A disk storage that tells of its calls to nobody yet."""
    return CalledKeeper(lambda name: None, DiskStorage(folder / "disk"))


# Storages and ledgers


@pytest.mark.parametrize(
    "error",
    ["StorageFailed", *(pytest.param(name, marks=pytest.mark.soak) for name in ("OSError", "KeyboardInterrupt"))],
)
@pytest.mark.parametrize(("driver", "run"), EACH)
def test_whichever_call_of_the_storage_fails(tmp_path: Path, driver: str, run: str, error: str) -> None:
    """The first, the second, and so on: the client goes on from where it was, and the upload is whole."""
    storage = called_in(tmp_path)
    with place_in(tmp_path, driver=driver, storage=storage) as place:
        for number in count():
            storage.called = calls = failing(number, ERRORS[error])
            with named(calls):
                client = RUNS[run](place)
                storage.called = Calls()
                expect_and_clear(place, client, tmp_path)
            if number >= len(calls.made):
                assert client.failures == []
                assert client.offset == len(DATA)
                return


@pytest.mark.parametrize("driver", DRIVERS)
def test_nothing_is_kept_of_what_came_behind_bytes_that_could_not_be_written(tmp_path: Path, driver: str) -> None:
    """The async driver has the next ones in memory by then, and the storage would take them."""
    data, more_has_come = os.urandom(4 << 20), threading.Event()
    storage, appended = called_in(tmp_path), Calls()

    def fail_once(name: str) -> None:
        if name == "append":
            appended(name)
            if len(appended.made) == 3:
                assert driver == "blocking" or more_has_come.wait(10)
                raise StorageFailed("no", storage="disk")

    def body() -> Iterator[bytes]:
        for at in range(0, len(data), 1 << 16):
            if at == 5 << 19:
                more_has_come.set()
            yield data[at : at + (1 << 16)]

    with place_in(tmp_path, driver=driver, storage=storage) as place:
        location = place.talk.created(len(data))
        storage.called = fail_once
        assert place.talk.patch(location, 0, body(), content_length=len(data)).status == 503
        assert len(appended.made) == 3
        offset = place.talk.head(location).offset
        assert 0 < offset < 5 << 19
        place.talk.patch(location, offset, data[offset:])
        place.expect_whole(location, data)


@pytest.mark.parametrize(
    "afterwards", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["before", "afterwards"]
)
@pytest.mark.parametrize(("driver", "run"), EACH)
def test_whichever_call_of_the_ledger_fails(tmp_path: Path, driver: str, run: str, afterwards: bool) -> None:
    """Before anything of it is done, or when all of it is and only its answer is missing."""
    with place_in(tmp_path, driver=driver) as place:
        for number in count():
            calls = failing(number, ERRORS["LedgerFailed"])
            with named(calls):
                with told_of(place.ledger, calls, afterwards=afterwards):
                    client = RUNS[run](place)
                expect_and_clear(place, client, tmp_path)
            if number >= len(calls.made):
                assert client.failures == []
                assert client.offset == len(DATA)
                return


@pytest.mark.parametrize("fails", ["storage", "ledger", pytest.param("ledger afterwards", marks=pytest.mark.soak)])
@pytest.mark.parametrize("driver", [DRIVERS[0], pytest.param(DRIVERS[1], marks=pytest.mark.soak)])
def test_whichever_call_fails_where_bytes_wait_in_another_storage(tmp_path: Path, driver: str, fails: str) -> None:
    """Of either of them, or of the ledger: they are copied from one to the other when all have come, and the next
    request goes on from there."""
    storage = CalledStorage(lambda name: None, DiskStorage(tmp_path / "disk" / "a", name="a"))
    storage.reads_staged = False
    staging = CalledKeeper(lambda name: None, DiskStorage(tmp_path / "disk" / "b", name="b"))
    with place_in(tmp_path, driver=driver, storage=storage, staging=staging) as place:
        for number in count():
            calls = failing(number, ERRORS["StorageFailed" if fails == "storage" else "LedgerFailed"])
            with named(calls):
                if fails == "storage":
                    storage.called = staging.called = calls
                    client = in_three(place)
                    storage.called = staging.called = Calls()
                else:
                    with told_of(place.ledger, calls, afterwards="afterwards" in fails):
                        client = in_three(place)
                assert client.location is not None, "what has come is lost"
                expect_and_clear(place, client, tmp_path)
            if number >= len(calls.made):
                assert client.failures == []
                assert fails != "storage" or "commit" in calls.made
                return


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_process_may_die_between_a_copy_and_its_record(tmp_path: Path, driver: str) -> None:
    """What it has left under the upload's key is no other upload's: the next request puts the whole file there."""
    storage, staging = DiskStorage(tmp_path / "disk", name="a"), DiskStorage(tmp_path / "waiting", name="b")
    with place_in(tmp_path, driver=driver, storage=storage, staging=staging) as place:
        location = place.talk.created(len(DATA))
        with told_of(place.ledger, calls_after_copying(storage)), pytest.raises(KeyboardInterrupt):
            place.talk.patch(location, 0, DATA)
        place.end_leases()
        key = place.record(location).key
        assert key is not None
        assert (tmp_path / "disk" / key).read_bytes() == DATA
        (tmp_path / "disk" / key).write_bytes(DATA[:100])  # as a storage might that makes visible what is not whole
        assert place.talk.head(location).offset == len(DATA)
        place.expect_whole(location, DATA)


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_was_copied_is_enough_where_it_waited_nothing_is_left(tmp_path: Path, driver: str) -> None:
    """As where the next request comes to a machine with another disk: what is accepted is not removed again."""
    storage, staging = DiskStorage(tmp_path / "disk", name="a"), DiskStorage(tmp_path / "waiting", name="b")
    with place_in(tmp_path, driver=driver, storage=storage, staging=staging) as place:
        location = place.talk.created(len(DATA))
        with told_of(place.ledger, calls_after_copying(storage)), pytest.raises(KeyboardInterrupt):
            place.talk.patch(location, 0, DATA)
        place.end_leases()
        [waiting] = (tmp_path / "waiting" / ".staging").glob("partial-*")
        waiting.unlink()
        assert place.talk.head(location).offset == len(DATA)
        place.expect_whole(location, DATA)


def calls_after_copying(storage: DiskStorage) -> Callable[[str], None]:
    """The ledger is asked no more from when something is visible in the storage."""

    def call(name: str) -> None:
        if next(iter(storage.list()), None) is not None:
            raise KeyboardInterrupt

    return call


@pytest.mark.parametrize(
    "fails",
    [
        "ledger",
        pytest.param("storage", marks=pytest.mark.soak),
        pytest.param("ledger afterwards", marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("driver", [DRIVERS[0], pytest.param(DRIVERS[1], marks=pytest.mark.soak)])
def test_whichever_call_fails_where_the_application_names_the_file(tmp_path: Path, driver: str, fails: str) -> None:
    """Nothing of the library knows then what lies under the name, and the name is free again where it came to
    nothing."""
    storage = called_in(tmp_path)
    with place_in(tmp_path, driver=driver, storage=storage, single={"filename": lambda file: "a/name"}) as place:
        for number in count():
            calls = failing(number, ERRORS["StorageFailed" if fails == "storage" else "LedgerFailed"])
            with named(calls):
                if fails == "storage":
                    storage.called = calls
                    client = in_three(place)
                    storage.called = Calls()
                else:
                    with told_of(place.ledger, calls, afterwards="afterwards" in fails):
                        client = in_three(place)
                expect_and_clear(place, client, tmp_path)
            if number >= len(calls.made):
                assert client.failures == []
                return


@pytest.mark.parametrize(
    "fails", ["storage", *(pytest.param(f"ledger{w}", marks=pytest.mark.soak) for w in ("", " afterwards"))]
)
@pytest.mark.parametrize("driver", [DRIVERS[0], pytest.param(DRIVERS[1], marks=pytest.mark.soak)])
def test_whichever_call_fails_while_pieces_are_put_together(tmp_path: Path, driver: str, fails: str) -> None:
    """They are put together by the next request: never are they lost, and never is a part of them an upload."""
    storage = called_in(tmp_path)
    with place_in(tmp_path, driver=driver, storage=storage) as place:
        for number in count():
            calls = failing(number, ERRORS["StorageFailed" if fails == "storage" else "LedgerFailed"])
            pieces = [place.talk.upload(data, upload_concat="partial") for data in (DATA[:12000], DATA[12000:])]
            client = Persistent(place, DATA)
            with named(calls):
                if fails == "storage":
                    storage.called = calls
                    put_together(place, client, pieces)
                    storage.called = Calls()
                else:
                    with told_of(place.ledger, calls, afterwards="afterwards" in fails):
                        put_together(place, client, pieces)
                expect_and_clear(place, client, tmp_path)
            if number >= len(calls.made):
                assert client.failures == []
                assert client.location is not None
                return


def put_together(place: Place, client: Persistent, pieces: list[str]) -> None:
    """Until it is done. They are used up then, also where the answer got lost."""
    for _ in range(4):
        created = client._tried(lambda: place.talk.put_together(*pieces), 201)
        if created is not None:
            client.location, client.offset = created.location, len(client.data)
            return
        last = client.failures[-1]
        if isinstance(last, Told) and last.status == 410:
            assert State.COMPLETED in {record.state for record in place.records()}, "the pieces are lost"
            return
    raise AssertionError(client.failures)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("fails", ["accept", "answer", "check", "delete"])
def test_pieces_stay_until_what_they_are_put_together_to_is_accepted(tmp_path: Path, driver: str, fails: str) -> None:
    """The ledger or a scanner does not answer: nothing that was put together stays, also where the ledger has accepted
    it and could not say so, and the same request puts them together again. Where a piece cannot be used up it expires
    like any other one."""
    check = FailingOnce(CheckFailed("no", filter="scan", reason="no answer") if fails == "check" else None)
    with place_in(tmp_path, driver=driver, owner="ann", quota=Quota(bytes=len(DATA)), single={"check": check}) as place:
        pieces = [place.talk.upload(data, upload_concat="partial") for data in (DATA[:12000], DATA[12000:])]
        calls = FailingOnce(None if fails == "check" else LedgerFailed("no", retryable=True))
        with pytest.MonkeyPatch.context() as patched:
            if fails != "check":
                asked, name = (place.pipeline, "delete") if fails == "delete" else (place.ledger, "accept")
                failing_once = calls.behind if fails == "answer" else calls.before
                patched.setattr(asked, name, failing_once(getattr(asked, name)))
            answer = place.talk.put_together(*pieces)
            assert answer.status == (201 if fails == "delete" else 503)
            if answer.status == 503:
                assert place.ledger.usage("ann").bytes == len(DATA)
                for piece, size in zip(pieces, (12000, 8000), strict=True):
                    place.expect_partial(piece, size)
                assert pieces_in(place) == set(pieces)
                answer = place.talk.put_together(*pieces)
        assert (check.error, calls.error) == (None, None)
        assert answer.status == 201
        place.expect_whole(answer.location, DATA)
        left = {piece for piece in pieces if place.record(piece).state is State.RECEIVING}
        assert pieces_in(place) == left
        assert len(left) == (1 if fails == "delete" else 0)
        if not left:
            assert place.ledger.usage("ann").bytes == len(DATA)


@pytest.mark.parametrize("driver", DRIVERS)
def test_where_nobody_was_told_of_an_upload_nothing_is_left_of_it(tmp_path: Path, driver: str) -> None:
    """All of it came with the request that began it, and the ledger has accepted it and could not say so."""
    with place_in(tmp_path, driver=driver) as place:
        answer = FailingOnce(LedgerFailed("no", retryable=True))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(place.ledger, "accept", answer.behind(place.ledger.accept))
            assert place.talk.create(len(DATA), DATA).status == 503
        place.expect_nothing()
        assert {record.state for record in place.records()} == {State.REJECTED}


def pieces_in(place: Place) -> set[str]:
    """Where the uploads are of which something waits."""
    return {"/files/" + name.rpartition("partial-")[2] for name in partials(place.left())}


class FailingOnce:
    """Raises an error once: as a check of what is staged, or before or behind something else that is called."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def examine(self, file: IncomingFile, opened: BinaryIO) -> None:
        """See `StagedCheck`."""
        self._fail()

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A call that raises the first time, and then does what it did."""

        def called(*args: Any, **options: Any) -> Any:
            self._fail()
            return call(*args, **options)

        return called

    def behind(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A call of which the first answer is lost."""

        def called(*args: Any, **options: Any) -> Any:
            answer = call(*args, **options)
            self._fail()
            return answer

        return called

    def _fail(self) -> None:
        error, self.error = self.error, None
        if error is not None:
            raise error


def test_a_verdict_uses_pieces_up(tmp_path: Path) -> None:
    """They are no file that is taken: nothing is left of them, and nothing counts."""
    single = {"check": FailingOnce(FileRefused("it is infected", field="file", filter="scan"))}
    with place_in(tmp_path, owner="ann", quota=Quota(bytes=len(DATA)), single=single) as place:
        pieces = [place.talk.upload(data, upload_concat="partial") for data in (DATA[:12000], DATA[12000:])]
        assert place.talk.put_together(*pieces).code == "file_refused"
        for piece in pieces:
            place.expect_gone(piece, State.DELETED)
        place.expect_nothing()
        assert place.ledger.usage("ann").bytes == 0


# Cancellation


@pytest.mark.parametrize("run", ["in three", pytest.param("at once", marks=pytest.mark.soak)])
@pytest.mark.parametrize("nth", [0, 1, pytest.param(2, marks=pytest.mark.soak)], ids=["create", "first", "last"])
def test_a_request_may_be_cancelled_wherever_it_waits(tmp_path: Path, run: str, nth: int) -> None:
    """At the first await of the `nth` request, the second, and so on: its client comes back and goes on."""
    with place_in(tmp_path, driver="async") as place:
        for number in count():
            requests = count()
            cancelled: list[CancelledAt[Answer]] = []

            def around(
                answering: Coroutine[Any, Any, Answer],
                number: int = number,
                requests: count[int] = requests,
                cancelled: list[CancelledAt[Answer]] = cancelled,
            ) -> Awaitable[Answer]:
                if next(requests) != nth:
                    return answering
                cancelled.append(CancelledAt(answering, [number]))
                return cancelled[0]

            place.talk.around = around
            client = RUNS[run](place)
            place.talk.around = None
            assert {type(failure) for failure in client.failures} <= {asyncio.CancelledError, Told}, client.failures
            expect_and_clear(place, client, tmp_path)
            if not cancelled or number >= cancelled[0].reached:
                assert client.failures == []
                return


def test_who_waits_for_an_upload_keeps_nobody_waiting(tmp_path: Path) -> None:
    """However many there are: they take none of the threads in which the others work, and he who has it lets go."""

    async def main(place: Place) -> None:
        def head(location: str) -> asyncio.Task[Answer]:
            request, _ = place.talk.request("HEAD", location)
            return asyncio.create_task(place.talk.server.arespond(request, arriving(())))

        wanted, other = place.talk.created(5), place.talk.created(5)
        mine = take(place.ledger, id_of(wanted), wait_seconds=0, on_wanted=lambda: None)
        waiting = [head(wanted) for _ in range(2 * MAX_THREADS)]
        await asyncio.sleep(0.1)
        assert (await asyncio.wait_for(head(other), 5)).status == 200
        assert not any(each.done() for each in waiting)
        await asyncio.to_thread(mine.release)
        assert {each.status for each in await asyncio.gather(*waiting)} == {200}

    with place_in(tmp_path, wait_seconds=60) as place:
        asyncio.run(main(place))


def test_pieces_may_be_put_together_after_a_cancellation_wherever_it_waits(tmp_path: Path) -> None:
    """At the first await, the second, and so on: they are one upload, or they are there for the same request again."""
    with place_in(tmp_path, driver="async") as place:
        for number in count():
            pieces = [place.talk.upload(data, upload_concat="partial") for data in (DATA[:12000], DATA[12000:])]
            client = Persistent(place, DATA)
            cancelled: list[CancelledAt[Answer]] = []

            def around(
                answering: Coroutine[Any, Any, Answer],
                number: int = number,
                cancelled: list[CancelledAt[Answer]] = cancelled,
            ) -> Awaitable[Answer]:
                cancelled.append(CancelledAt(answering, [number]))
                return cancelled[0]

            place.talk.around = around
            created = client._tried(lambda pieces=pieces: place.talk.put_together(*pieces), 201)  # type: ignore[misc]
            place.talk.around = None
            is_done = any(record.state is State.COMPLETED for record in place.records())
            if created is None and not is_done:
                for piece, size in zip(pieces, (12000, 8000), strict=True):
                    place.expect_partial(piece, size)
                assert pieces_in(place) == set(pieces)
                put_together(place, client, pieces)
            elif created is not None:
                client.location, client.offset = created.location, len(DATA)
            for piece in pieces:
                place.expect_gone(piece, State.DELETED)
            expect_and_clear(place, client, tmp_path)
            if number >= cancelled[0].reached:
                assert client.failures == []
                return


def test_many_that_are_finished_at_once_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a queue an upload is processed while it is accepted, which needs threads of its own."""
    count, all_accept = 2 * MAX_THREADS, threading.Barrier(MAX_THREADS)

    async def main(place: Place) -> None:
        async def upload() -> int:
            request, body = place.talk.request(
                "POST", "/files/", b"hello", upload_length=5, content_type="application/offset+octet-stream"
            )
            return (await place.talk.server.arespond(request, arriving(body))).status

        answers = asyncio.gather(*(upload() for _ in range(count)))
        assert await asyncio.wait_for(answers, 60) == count * [201]

    def together(*args: Any, **options: Any) -> None:
        all_accept.wait(10)
        raise RuntimeError("all threads wait, and none is left for what they wait for")

    with place_in(tmp_path) as place:
        monkeypatch.setattr(place.pipeline, "accept", together)
        asyncio.run(main(place))


# Clients that go away


class Gone:
    """The body of a client that is gone after so many bytes, as a server tells of it."""

    def __init__(self, data: bytes, after: int, error: BaseException) -> None:
        self._chunks = [data[at : min(at + 1500, after)] for at in range(0, after, 1500)]
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks
        raise self._error


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_client_may_go_away_after_any_byte(tmp_path: Path, driver: str) -> None:
    """What has come is kept, all of it: the next request begins there."""
    chance = random.Random(9)
    with place_in(tmp_path, driver=driver) as place:
        for after in [0, 1, 8191, 8192, 8193, 19999, 20000, *(chance.randrange(20000) for _ in range(2))]:
            location, offset = place.talk.created(len(DATA)), 0
            for end in sorted([chance.randrange(after + 1), after]):
                with pytest.raises(ClientDisconnected):
                    place.talk.patch(location, offset, Gone(DATA[offset:], end - offset, ClientDisconnected()))
                offset = place.talk.head(location).offset
                assert offset == end
            place.talk.patch(location, offset, DATA[offset:])
            place.expect_whole(location, DATA)
            place.talk.delete(location)


@pytest.mark.parametrize("driver", DRIVERS)
def test_clients_that_go_away_again_and_again_come_to_an_end(tmp_path: Path, driver: str) -> None:
    """Whatever they had sent, with checksums too: of those bodies nothing is kept but whole."""
    chance = random.Random(10)
    with place_in(tmp_path, driver=driver) as place:
        for _ in range(4):
            is_verified = chance.random() < 0.3

            def body(data: bytes) -> Any:
                if chance.random() < 0.5:
                    return data
                error = chance.choice([ClientDisconnected(), ConnectionResetError(), TimeoutError()])
                return Gone(data, chance.randrange(len(data) + 1), error)

            cuts = tuple(sorted(chance.randrange(len(DATA)) for _ in range(4)))
            client = Persistent(place, DATA, cuts, body=body)
            if is_verified:
                client.patch_headers = lambda data: {"upload_checksum": checksum(data)}
            assert client.run() is not None
            expect_and_clear(place, client, tmp_path)


@contextmanager
def named(calls: Calls) -> Iterator[None]:
    """Says of what fails inside which call it was."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"call {calls.number} of {calls.made}") from error


def expect_and_clear(place: Place, client: Persistent, folder: Path) -> None:
    """The upload of a client is whole or gone; and it makes room for the next one."""
    assert [
        target for target in map(os.path.realpath, glob("/proc/self/fd/*")) if target.startswith(f"{folder}/disk/")
    ] == []
    if client.location is None:
        of_lost_answers = [record.id for record in place.records() if record.state is State.COMPLETED]
        assert len(of_lost_answers) <= len(client.failures)
        for upload in of_lost_answers:
            place.expect_whole(f"/files/{upload}", DATA)
            place.pipeline.delete(upload)
    expect_all_or_nothing(place, client)
    if client.location is not None:
        place.pipeline.delete(client.location.rpartition("/")[2])
    assert place.left() == []
    for record in place.records():
        place.ledger.forget(record.id)
