"""What a register is told while forms are received, by both drivers, on every way out.

Every upload that was begun is accepted or refused, once, and what was not accepted has left nothing in the storage.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.intake.called import CalledStorage, Hold, TakingTicks, turns
from tests.intake.receiving import DRIVES, Body, Drive, arriving, cut, left_in, numbered
from tests.intake.registers import FakeRegister
from tests.intake.test_cancellation import CancelledAt, slowly

from uploadkit.errors import FileRefused, LedgerFailed, LimitExceeded, StorageFailed, TruncatedForm
from uploadkit.intake.asynchronous import akept_if_handled, areceive, areceive_form
from uploadkit.intake.blocking import kept_if_handled, receive, receive_form
from uploadkit.intake.capacity import BUFFER_SIZE
from uploadkit.intake.spec import Spec
from uploadkit.policy.fields import File
from uploadkit.policy.filters import IncomingFile
from uploadkit.policy.limits import Limits
from uploadkit.promotion import promote
from uploadkit.storage.contract import Storage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder, swap_storage
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission

FORM = (
    FormBuilder(boundary="b")
    .file("a", b"one", filename="1.txt")
    .text("t", "x")
    .file("b", b"x" * (BUFFER_SIZE + 100), filename="2.bin")
    .file("c", b"", filename="3.txt")
)
CHUNKS = cut(FORM.body, [100, 500_000, BUFFER_SIZE])

SMALL = FormBuilder().file("a", b"one", filename="1.txt").file("b", b"two", filename="2.txt")

OF_A_FILE = ["begin", "open", "write", "stage"]


def registered(
    called: Callable[[str], None] | None = None, *, inner: Storage | None = None, **rules: Any
) -> tuple[FakeRegister, CalledStorage, Uploader]:
    """A register and a storage that note their calls in one list, in `register.calls`."""
    register = FakeRegister(called)
    storage = CalledStorage(register.note, inner)
    return register, storage, Uploader(storage, pipeline=register, **rules)


def fails_at(number: int, *, error: Callable[[], BaseException] = lambda: LedgerFailed("no")) -> Callable[[str], None]:
    """Fails the call of this number, from 0, whoever is called."""
    numbers = count()

    def called(call: str) -> None:
        if next(numbers) == number:
            raise error()

    return called


class Handler:
    """A handler under one of the drivers: what it raises, or does to its files."""

    def __init__(self, handle: Callable[[Submission], object] = lambda _: None) -> None:
        self.handle = handle

    def blocking(self, spec: Spec[Submission], form: FormBuilder, chunks: Iterable[bytes]) -> None:
        """As a sync adapter does it."""
        submission = receive_form(spec, form.content_type, chunks).submission
        with kept_if_handled(spec, submission):
            self.handle(submission)

    async def aasync(self, spec: Spec[Submission], form: FormBuilder, chunks: Iterable[bytes]) -> None:
        """As an async adapter does it."""
        submission = (await areceive_form(spec, form.content_type, arriving(chunks))).submission
        async with akept_if_handled(spec, submission):
            self.handle(submission)

    def asynchronous(self, spec: Spec[Submission], form: FormBuilder, chunks: Iterable[bytes]) -> None:
        """The same, in an event loop of its own."""

        async def main() -> None:
            try:
                await self.aasync(spec, form, chunks)
            finally:
                assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(main())


Handle = Callable[[Spec[Submission], Callable[[Submission], object]], None]


@pytest.fixture(params=["blocking", "asynchronous"])
def handle(request: pytest.FixtureRequest) -> Handle:
    """Receives `SMALL` for a handler, by either driver."""

    def handled(spec: Spec[Submission], handler: Callable[[Submission], object]) -> None:
        getattr(Handler(handler), request.param)(spec, SMALL, [SMALL.body])

    return handled


def expect_nothing_left(register: FakeRegister, storage: CalledStorage) -> None:
    assert left_in(storage.inner) == []
    assert set(register.ends()) <= {"refused"}


# The good way


def test_each_file_is_begun_before_its_first_byte_and_all_are_accepted_at_once(drive: Drive) -> None:
    """The register is told where it will lie; the files of one request have one batch, of two requests two."""
    register, _, upload = registered()
    spec = numbered(upload.any())
    submission = drive(spec, SMALL.content_type, [SMALL.body])
    assert register.calls == [*OF_A_FILE, *OF_A_FILE, "commit", "commit", "accept"]
    assert register.keys == [file.key for file in submission.files] == ["1.txt", "4.txt"]
    assert register.batches == ["2", "2"]
    assert [*register.states.items()] == [(file.id, "accepted") for file in submission.files]
    assert [file.register for file in submission.files] == [register, register]
    drive(spec, SMALL.content_type, [SMALL.body])
    assert register.batches[2] == register.batches[3] != "2"


def test_a_key_that_the_user_has_chosen_is_not_told(drive: Drive) -> None:
    """Something else may lie there: whoever sweeps must not remove it."""
    register, _, upload = registered(filename=lambda file: file.filename)
    drive(upload.any(), SMALL.content_type, [SMALL.body])
    assert register.keys == [None, None]


def test_a_form_without_files_is_no_business_of_a_register(drive: Drive) -> None:
    """Nor are its text values, and no batch is made for them."""
    register, _, upload = registered()
    form = FormBuilder().text("t", "x")
    spec = replace(upload.any(), new_key=lambda _: pytest.fail("a key was made"))
    drive(spec, form.content_type, [form.body])
    assert register.calls == []


def test_a_refused_first_file_is_never_begun(drive: Drive) -> None:
    """It is refused by its first bytes; nobody remembers it."""
    register, _, upload = registered(filter=lambda file: False)
    with pytest.raises(FileRefused):
        drive(upload.any(), SMALL.content_type, [SMALL.body])
    assert register.calls == []


def test_accept_comes_after_the_handler(handle: Handle) -> None:
    """Which is given files that are stored."""
    register, _, upload = registered()
    handle(upload.any(), lambda submission: register.note("handler"))
    assert register.calls[-4:] == ["commit", "commit", "handler", "accept"]
    assert register.ends() == ["accepted", "accepted"]


def test_through_staging_it_is_told_of_the_storage_in_which_the_file_comes_to_lie(drive: Drive) -> None:
    """Both are known to it before."""

    class Reads:
        def examine(self, file: IncomingFile, staged: Any) -> None:
            staged.read()

    class Bare(MemoryStorage):
        reads_staged = False

    register, storage, staging = FakeRegister(), Bare("s"), MemoryStorage("staging")
    drive(Uploader(storage, staging=staging, pipeline=register).any(check=Reads()), SMALL.content_type, [SMALL.body])
    assert register.known == [storage, staging]
    assert register.storages == [storage, storage]
    assert left_in(staging) == []


# Every way out


@pytest.mark.parametrize("form", [SMALL, FORM], ids=["small", "large"])
def test_whichever_call_fails_nothing_is_left_and_all_that_were_begun_are_refused(
    drive: Drive, form: FormBuilder
) -> None:
    """The first call, the second, ... of the storage and of the register; its own error is what is raised."""
    for number in count():
        register, storage, upload = registered(fails_at(number))
        try:
            drive(upload.any(), form.content_type, [form.body])
        except LedgerFailed as error:
            expect_refused(register, storage, error, register.calls[number])
        else:
            assert number == len(register.calls)
            assert set(register.ends()) == {"accepted"}
            return


def expect_refused(register: FakeRegister, storage: CalledStorage, error: BaseException, failed: str) -> None:
    """All that were begun are refused at once, and last."""
    expect_nothing_left(register, storage)
    assert not hasattr(error, "__notes__")
    if register.states:
        assert register.refused == [(tuple(register.states), error)]
        assert register.calls[-1] == "refuse"
        assert register.calls.count("refuse") == 1
    else:
        assert register.calls == [failed] * bool(failed)
        assert failed in ("", "begin")


def test_a_second_failure_on_the_way_out_stops_none_of_it(drive: Drive) -> None:
    """Whatever fails first, and whatever fails then: the first error is raised, the second is noted on it."""
    for first in range(100):
        for further in count(1):
            one, two = fails_at(first), fails_at(first + further, error=lambda: StorageFailed("also", storage="s"))

            def both(call: str, one: Any = one, two: Any = two) -> None:
                try:
                    one(call)
                finally:
                    two(call)

            register, storage, upload = registered(both)
            try:
                drive(upload.any(), SMALL.content_type, [SMALL.body])
            except LedgerFailed as error:
                assert set(register.ends()) <= {"refused"}
                assert register.calls.count("refuse") <= 1
                if len(register.calls) <= first + further:  # there was no such call
                    assert left_in(storage.inner) == []
                    break
                [note] = error.__notes__
                assert "also" in note
                told = register.calls[first + further] == "refuse"
                assert ("register could not be told" in note) == told
                assert len(left_in(storage.inner)) == (0 if told else 1)
            else:
                assert first == len(register.calls)
                return


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_at_any_call_leaves_nothing(drive: Drive, kind: type[BaseException]) -> None:
    """What is no `Exception` too."""
    for number in count():
        register, storage, upload = registered(fails_at(number, error=kind))
        try:
            drive(upload.any(), SMALL.content_type, [SMALL.body])
        except kind:
            expect_nothing_left(register, storage)
        else:
            return


@pytest.mark.parametrize("place", range(1, len(CHUNKS)))
def test_a_body_that_is_cut_refuses_what_was_begun(drive: Drive, place: int) -> None:
    """Wherever that is, and the register is told why."""
    register, storage, upload = registered()
    with pytest.raises(TruncatedForm) as caught:
        drive(upload.any(), FORM.content_type, CHUNKS[:place])
    expect_refused(register, storage, caught.value, "")


@pytest.mark.parametrize(
    ("limits", "rules"),
    [
        (Limits(files=1), {}),
        (Limits(file_size=1000), {}),
        (Limits(files_size=1000), {}),
        (Limits(), {"max_size": 1000}),
        (Limits(), {"min_size": 1}),
        (Limits(), {"filter": lambda file: file.field != "b"}),
    ],
)
def test_what_is_refused_after_a_file_was_begun_refuses_all(drive: Drive, limits: Limits, rules: Any) -> None:
    """Whatever the rule was."""
    register, storage, upload = registered(limits=limits, **rules)
    with pytest.raises((LimitExceeded, FileRefused)) as caught:
        drive(upload.any(), FORM.content_type, CHUNKS)
    expect_refused(register, storage, caught.value, "")
    assert register.states


def test_where_what_is_given_cannot_be_made_all_are_refused(drive: Drive) -> None:
    """A validator of a model raises, for example."""

    def give(submission: Submission) -> Submission:
        raise ValueError("no")

    register, storage, upload = registered()
    with pytest.raises(ValueError, match="no") as caught:
        drive(replace(upload.any(), give=give), SMALL.content_type, [SMALL.body])
    expect_refused(register, storage, caught.value, "")


# One file is given up, and the form goes on


class RefusesAtOnce:
    """A check of the passing bytes that refuses a file when it is opened."""

    def begin(self, file: IncomingFile) -> Any:
        if file.field == "b":
            raise FileRefused("not this one", field=file.field)
        return self

    def feed(self, data: object) -> None: ...
    def end(self) -> None: ...


class RefusesAtTheEnd:
    """A check of the staged file."""

    def examine(self, file: IncomingFile, staged: Any) -> None:
        if file.field == "b":
            raise FileRefused("not this one", field=file.field)


@pytest.mark.parametrize("rules", [{"max_size": 8999}, {"check": RefusesAtTheEnd()}, {"check": RefusesAtOnce()}])
def test_a_file_that_is_left_out_is_refused_alone(rules: Any) -> None:
    """Its bytes are gone before that; the others are accepted."""
    form = (
        FormBuilder()
        .file("a", b"one", filename="1")
        .file("b", bytes(9000), filename="2")
        .file("c", b"two", filename="3")
    )
    register, storage, upload = registered(**rules)
    told: list[BaseException] = []
    received = receive_form(
        upload.any(), form.content_type, [form.body], on_refused=lambda error, nth: told.append(error)
    )
    ids = [*register.states]
    assert register.ends() == ["begun", "refused", "begun"]
    assert register.refused == [((ids[1],), told[0])]
    begun = [at for at, call in enumerate(register.calls) if call == "begin"]
    of_the_second = register.calls[begun[1] + 1 : begun[2]]
    assert of_the_second in (
        ["refuse"],  # it could not be opened
        ["open", "discard", "refuse"],
        ["open", "write", "stage", "open staged", "discard", "refuse"],
    )
    with kept_if_handled(upload.any(), received.submission):
        pass
    assert register.ends() == ["accepted", "refused", "accepted"]
    assert len(left_in(storage.inner)) == 2


# Handlers


class Raised(Exception):
    """What a handler raises."""


def raising(_: Submission) -> None:
    raise Raised


def test_where_the_handler_raises_the_bytes_go_first_and_then_it_is_refused(handle: Handle) -> None:
    """It is no deletion: nobody has had these uploads."""
    register, storage, upload = registered()
    with pytest.raises(Raised) as caught:
        handle(upload.any(), raising)
    expect_nothing_left(register, storage)
    assert register.calls[-3:] == ["delete", "delete", "refuse"]
    assert register.refused == [(tuple(register.states), caught.value)]


@pytest.mark.parametrize("after", range(3))
def test_what_cannot_be_removed_is_noted_and_refused_all_the_same(handle: Handle, after: int) -> None:
    """The first delete, the second, or the refusal fails: the handler's error is raised."""
    register, storage, upload = registered(fails_at(10 + after))
    with pytest.raises(Raised) as caught:
        handle(upload.any(), raising)
    assert register.calls[-3:] == ["delete", "delete", "refuse"]
    assert register.ends() == ["refused", "refused"]
    assert len(left_in(storage.inner)) == (1 if after < 2 else 0)
    [note] = caught.value.__notes__
    assert note.startswith("and the files of the request could" if after < 2 else "and their register could not")


def test_where_files_are_kept_they_are_accepted_though_the_handler_raises(handle: Handle) -> None:
    """They stay, so there is somebody who knows of them."""
    register, storage, upload = registered(on_error="keep")
    with pytest.raises(Raised) as caught:
        handle(upload.any(), raising)
    assert register.ends() == ["accepted", "accepted"]
    assert len(left_in(storage.inner)) == 2
    assert not hasattr(caught.value, "__notes__")


def test_what_is_to_be_kept_and_is_not_accepted_goes(handle: Handle) -> None:
    """Nothing lies anywhere of which nobody knows; the handler's error is raised, and says so."""
    register, storage, upload = registered(fails_at(10), on_error="keep")
    with pytest.raises(Raised) as caught:
        handle(upload.any(), raising)
    expect_nothing_left(register, storage)
    assert register.calls[-4:] == ["accept", "delete", "delete", "refuse"]
    assert caught.value.__notes__ == [
        "and the files of the request were not accepted, and are removed: LedgerFailed('no')"
    ]


@pytest.mark.parametrize("on_error", ["discard", "keep"])
def test_where_they_are_not_accepted_the_files_are_removed(
    handle: Handle, on_error: Literal["discard", "keep"]
) -> None:
    """And the request has failed: its error is that of the register."""
    register, storage, upload = registered(fails_at(10), on_error=on_error)
    with pytest.raises(LedgerFailed) as caught:
        handle(upload.any(), lambda _: None)
    assert caught.value.status == 503
    expect_refused(register, storage, caught.value, "accept")
    assert register.calls[-4:] == ["accept", "delete", "delete", "refuse"]


def test_what_a_handler_takes_back_is_deleted_and_passed_over(handle: Handle) -> None:
    """By the register, which knows what else was made of it."""
    register, storage, upload = registered()
    handle(upload.any(), lambda submission: submission.files[0].discard())
    assert register.ends() == ["deleted", "accepted"]
    assert len(left_in(storage.inner)) == 1


def test_what_a_handler_has_deleted_before_it_raises_stays_deleted(handle: Handle) -> None:
    """The other is refused."""

    def deletes(submission: Submission) -> None:
        submission.files[1].delete()
        raise Raised

    register, storage, upload = registered()
    with pytest.raises(Raised):
        handle(upload.any(), deletes)
    assert register.ends() == ["refused", "deleted"]
    assert left_in(storage.inner) == []


# Cancellation


def test_cancelled_at_any_place_nothing_is_left_and_all_are_refused() -> None:
    """Receiving, withdrawing, accepting: at the first place where it waits, the second, ... and again after that."""

    class Ticks(FakeRegister):
        async def aaccept(self, files: Any) -> None:
            self._accept(files)
            await turns(5)
            self._accepted(files)

    async def attempt(places: list[int]) -> bool:
        ticks = TakingTicks()
        register = Ticks(ticks)
        storage = CalledStorage(register.note)
        spec = Uploader(storage, pipeline=register).any()
        receiving = CancelledAt(areceive(spec, FORM.content_type, slowly(CHUNKS)), places)
        try:
            await receiving
        except asyncio.CancelledError:
            assert ticks.running == 0, "a call was not waited for"
            assert left_in(storage.inner) == []
            assert set(register.ends()) <= {"refused", "deleted"}
            assert asyncio.all_tasks() == {asyncio.current_task()}
            seen.update(register.ends())
            return True
        assert receiving.reached <= places[0]
        assert set(register.ends()) == {"accepted"}
        return False

    async def main(*further: int) -> int:
        for place in count():
            if not await attempt([place, *(place + more for more in further)]):
                return place
        raise AssertionError

    seen: set[str] = set()
    assert asyncio.run(main()) > 20
    assert seen == {"refused", "deleted"}, "the last places are those after everything was accepted"
    asyncio.run(main(1))
    asyncio.run(main(1, 2, 3, 4, 5, 6, 7, 8))


class HeldAccept(FakeRegister):
    """Its `aaccept` waits until it is let go, and may fail then."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.reached, self.let_go, self.error = asyncio.Event(), asyncio.Event(), error

    async def aaccept(self, files: Any) -> None:
        self._accept(files)
        self.note("accept")
        self.reached.set()
        await self.let_go.wait()
        if self.error is not None:
            raise self.error
        self._accepted(files)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fails", [False, True])
def test_accepting_is_not_broken_off(times: int, fails: bool) -> None:
    """The handler has returned. Cancelled now, its files stay, since they were accepted; where that fails they go. The
    cancellation is raised when that is known."""

    async def main() -> None:
        error = LedgerFailed("no") if fails else None
        register, storage = HeldAccept(error), MemoryStorage()
        spec = Uploader(storage, pipeline=register).any()
        task = asyncio.create_task(Handler().aasync(spec, SMALL, [SMALL.body]))
        await register.reached.wait()
        for _ in range(times):
            task.cancel()
            await turns()
        assert not task.done()
        register.let_go.set()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert set(register.ends()) == {"refused" if fails else "accepted"}
        assert len(left_in(storage)) == (0 if fails else 2)
        assert caught.value.__cause__ is error
        if fails:
            assert register.refused[0][1] is error

    asyncio.run(main())


def test_a_loop_that_ends_in_the_middle_of_accepting_leaves_nothing() -> None:
    """Its end cancels every task, that of the register too: then nothing was accepted."""

    async def main() -> None:
        register, storage = HeldAccept(), MemoryStorage()
        spec = Uploader(storage, pipeline=register).any()
        task = asyncio.create_task(Handler().aasync(spec, SMALL, [SMALL.body]))
        await register.reached.wait()
        for each in asyncio.all_tasks() - {asyncio.current_task()}:
            each.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert set(register.ends()) == {"refused"}
        assert left_in(storage) == []

    asyncio.run(main())


def test_a_cancelled_handler_has_its_files_refused() -> None:
    """And the refusal is waited for, however often it is cancelled."""

    async def main(times: int) -> None:
        hold = Hold("refuse")
        register, storage, upload = registered(hold)
        begun = asyncio.Event()

        async def handled() -> None:
            received = await areceive_form(upload.any(), SMALL.content_type, arriving([SMALL.body]))
            async with akept_if_handled(upload.any(), received.submission):
                begun.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(handled())
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
        expect_nothing_left(register, storage)

    asyncio.run(main(0))
    asyncio.run(main(2))


@pytest.mark.parametrize("call", ["begin", "refuse", "accept"])
def test_the_event_loop_turns_while_a_register_blocks(call: str) -> None:
    """Each call is made in a thread, but for `aaccept`, which is the register's own."""

    async def main() -> None:
        ticks = TakingTicks()  # a call in the loop would wait for ever

        def called(made: str) -> None:
            if made == call != "accept":
                ticks(made)

        register, _, upload = registered(called, limits=Limits(files=1 if call == "refuse" else 2))
        try:
            await areceive(upload.any(), SMALL.content_type, arriving([SMALL.body]))
        except LimitExceeded:
            assert call == "refuse"
        assert call in register.calls

    asyncio.run(main())


# Chance


@dataclass
class Way:
    """How a request goes."""

    sizes: list[int]
    cuts: list[int]
    most: int
    fault: int
    keep: bool
    deleted: int | None
    raises: bool
    driver: str


ways = st.builds(
    Way,
    sizes=st.lists(st.sampled_from([0, 1, 5, 20, 9000]), max_size=4),
    cuts=st.lists(st.integers(0, 20_000), max_size=4),
    most=st.integers(1, 4),
    fault=st.integers(0, 40),
    keep=st.booleans(),
    deleted=st.none() | st.integers(0, 3),
    raises=st.booleans(),
    driver=st.sampled_from(["blocking", "asynchronous"]),
)


@given(way=ways)
def test_whatever_happens_what_is_stored_is_what_was_accepted(way: Way) -> None:
    """Any files, any cuts, any one call that fails, any handler: each upload that was begun has one end, and the
    storage holds the accepted ones, and what its own failed call could not remove."""
    form = FormBuilder(boundary="b")
    for number, size in enumerate(way.sizes):
        form.file(f"f{number}", b"x" * size, filename=f"{number}.bin")
    on_error: Literal["keep", "discard"] = "keep" if way.keep else "discard"
    limits = Limits(files=way.most, file_size=8999)
    register, storage, upload = registered(fails_at(way.fault), limits=limits, on_error=on_error)
    failed = False

    def handler(submission: Submission) -> None:
        if way.deleted is not None:
            for file in submission.files[: way.deleted]:
                file.delete()
        if way.raises:
            raise Raised

    try:
        getattr(Handler(handler), way.driver)(upload.any(), form, cut(form.body, way.cuts))
    except (Raised, LimitExceeded, LedgerFailed):
        failed = True
    assert set(register.ends()) <= {"accepted", "refused", "deleted"}
    assert failed or "refused" not in register.ends()
    lost = way.fault < len(register.calls) and register.calls[way.fault] in ("delete", "discard")
    assert len(left_in(storage.inner)) in {register.ends().count("accepted"), register.ends().count("accepted") + lost}
    told = [upload for uploads, _ in register.refused for upload in uploads]
    assert len(told) == len(set(told))


# What a file of a register is


def test_to_delete_a_file_is_to_delete_its_upload(drive: Drive) -> None:
    """By every way that a file and a form have, sync and async."""
    register, _, upload = registered()
    for remove in ("delete", "discard", "adelete", "adiscard"):
        file = drive(upload.any(), SMALL.content_type, [SMALL.body]).files[0]
        removed = getattr(file, remove)()
        if removed is not None:
            asyncio.run(removed)
    drive(upload.any(), SMALL.content_type, [SMALL.body]).discard()
    asyncio.run(drive(upload.any(), SMALL.content_type, [SMALL.body]).adiscard())
    assert register.calls.count("register delete") == 8
    assert register.ends() == ["deleted", "accepted"] * 4 + ["deleted"] * 4


def test_to_promote_a_file_deletes_no_upload(drive: Drive) -> None:
    """Only the object that it was copied from."""
    register, storage, upload = registered()
    submission = drive(upload.any(), SMALL.content_type, [SMALL.body])
    moved = promote(submission.files[0], to=MemoryStorage("elsewhere"))
    assert moved.read() == b"one"
    assert register.ends() == ["accepted", "accepted"]
    assert len(left_in(storage.inner)) == 1


def test_a_file_is_the_same_with_and_without_its_register() -> None:
    """It is compared, and shown, by what was uploaded."""
    _, _, upload = registered()
    file = receive(
        upload.single("a"), FORM.content_type, [FormBuilder(boundary="b").file("a", b"1", filename="1").body]
    )
    assert replace(file, register=None) == file
    assert "register" not in repr(file)


# Specs


def test_every_storage_of_a_spec_is_known_before_a_request_comes() -> None:
    """That of the uploader, and those of fields."""
    register, one, two = FakeRegister(), MemoryStorage("one"), MemoryStorage("two")
    upload = Uploader(one, pipeline=register)
    assert register.known == [one]
    upload.fields(File("a"), File("b", storage=two))
    assert set(register.known) == {one, two}
    with pytest.raises(ValueError, match="another storage"):
        upload.single("a", storage=MemoryStorage("two"))


@pytest.mark.parametrize("wrong", [object(), FakeRegister, "pipeline", MemoryStorage()])
def test_what_is_no_pipeline_is_refused(wrong: Any) -> None:
    """When the uploader is made."""
    with pytest.raises(TypeError, match=r"^pipeline is Pipeline\(\.\.\.\)"):
        Uploader(MemoryStorage(), pipeline=wrong)


def test_an_uploader_without_a_pipeline_makes_specs_without_a_register() -> None:
    """Which is the default."""
    assert Uploader(MemoryStorage()).any().register is None


def test_a_swapped_storage_is_known_for_as_long_as_it_is_there(drive: Drive) -> None:
    """One by the same name may come in the next test."""
    register, own = FakeRegister(), MemoryStorage("own")
    upload = Uploader(own, pipeline=register)
    spec = upload.any()
    for _ in range(2):
        with swap_storage(upload, MemoryStorage("test")) as storage:
            drive(spec, SMALL.content_type, [SMALL.body])
            drive(upload.any(), SMALL.content_type, [SMALL.body])
            assert len(left_in(storage)) == 4
            assert register.known == [own, storage]
        assert register.known == [own]
    with pytest.raises(ValueError, match="another storage"), swap_storage(upload, MemoryStorage("own")):
        pass
    drive(spec, SMALL.content_type, [SMALL.body])
    assert len(left_in(own)) == 2


# Memory


@pytest.mark.parametrize("driver", DRIVES)
@pytest.mark.parametrize("number", [1, 3, 8, 10])
def test_what_a_refused_form_held_does_not_wait_for_the_collector(driver: str, number: int) -> None:
    """The step that tells why has the error, and that its frames: nobody keeps it."""

    class Forgetful(FakeRegister):
        def refuse(self, uploads: Any, error: BaseException) -> None:
            super().refuse(uploads, error)
            self.refused.clear()

    def refused(body: Iterable[bytes]) -> None:
        with pytest.raises(LedgerFailed):
            receive(spec, SMALL.content_type, body)

    def is_refused_in_a_loop(body: Iterable[bytes]) -> None:
        async def main() -> None:
            with pytest.raises(LedgerFailed):
                await areceive(spec, SMALL.content_type, arriving(body))
            await turns()  # asyncio closes the generator that was left: cancelled at its end, it would keep the error

        asyncio.run(main())

    register = Forgetful(fails_at(number))
    spec = Uploader(CalledStorage(register.note), pipeline=register).any()
    body = Body([SMALL.body])
    gone = threading.Event()
    weakref.finalize(body, gone.set)
    gc.disable()
    try:
        refused(body) if driver == "blocking" else is_refused_in_a_loop(body)
        del body
        assert register.ends()
        assert gone.wait(10)  # the worker may still be on its way back to its queue
    finally:
        gc.enable()
