"""Direct uploads of a pipeline: there is a record before the client is told where to send, and it says what became of
it, whoever has ended it and however."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.resumable.bucket import Place, Seen
from tests.resumable.conftest import Finish

from uploadkit.errors import (
    CheckFailed,
    ChecksumMismatch,
    FileRefused,
    LedgerFailed,
    LimitExceeded,
    ObjectExists,
    ObjectMissing,
    QuotaExceeded,
    RecordMissing,
    StorageFailed,
    TruncatedForm,
    UploadError,
    UploadGone,
    UploadLocked,
)
from uploadkit.intake.blocking import receive
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.filters import IncomingFile
from uploadkit.processing.upkeep import sweep
from uploadkit.records.lifecycle import State
from uploadkit.records.record import Quota
from uploadkit.resumable.direct import MIN_PART_SIZE, DirectUploads
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder, sample
from uploadkit.uploader import Uploader
from uploadkit.uploads import UploadedFile

PNG = sample("image/png")
JPEG = sample("image/jpeg")
DAY = 86400


# What is meant


def test_there_is_a_record_before_the_client_is_told_where_to_send(place: Place) -> None:
    """It says whose it is, and what the client has said; nothing of it is known yet."""
    form = place.direct(size=len(PNG)).begin("../Ich.PNG", "image/x-png", len(PNG))
    record = place.record(form.token)
    assert (form.id, record.state, record.owner) == (form.token, State.RECEIVING, "ann")
    assert (record.filename, record.client_filename, record.field) == ("Ich.PNG", "../Ich.PNG", "photo")
    assert (record.size, record.key, record.batch is not None) == (None, None, True)
    assert place.ledger.usage("ann").bytes == len(PNG)


def test_what_was_judged_is_accepted_and_worked_on(place: Place, finish: Finish) -> None:
    """The record is as that of a form; nothing is left beside the file."""
    direct = place.direct()
    token = place.send(direct, PNG)
    file = finish(direct, token)
    record = place.record(token)
    assert (record.state, record.content_type, record.size) == (State.COMPLETED, "image/png", len(PNG))
    assert record.sha256 == hashlib.sha256(PNG).hexdigest()
    assert (record.storage, record.key, file.id, file.read()) == ("bucket", file.key, token, PNG)
    assert (place.done, place.left()) == ([token], {})


def test_parts_are_completed_and_accepted(place: Place, finish: Finish) -> None:
    direct = place.direct()
    data = PNG + bytes(MIN_PART_SIZE)
    begun = direct.begin_parts("me.png", None, len(data))
    for number in (1, 2):
        part = data[(number - 1) * MIN_PART_SIZE : number * MIN_PART_SIZE]
        place.bucket.put(direct.sign_part(begun.token, number), part)
    assert [part.number for part in direct.list_parts(begun.token)] == [1, 2]
    direct.complete(begun.token)
    direct.complete(begun.token)
    finish(direct, begun.token)
    assert (place.record(begun.id).state, place.left()) == (State.COMPLETED, {})


def test_another_object_goes_on_with_it(place: Place) -> None:
    """In another process, perhaps: all that is to be known is in the ledger."""
    token = place.send(place.direct(), PNG)
    assert place.direct().finish(token).id == token


def test_a_pipeline_of_its_own_knows_of_all(place: Place) -> None:
    """The application says whose an upload is, and asks for that itself."""
    direct = place.direct(owner=None)
    token = place.send(direct, PNG)
    place.pipeline.describe(token, owner="bob")
    direct.finish(token)
    assert place.record(token).owner == "bob"


# What is refused


def refused(call: Callable[[], object], kind: type[UploadError]) -> UploadError:
    with pytest.raises(kind) as raised:
        call()
    return raised.value


@pytest.mark.parametrize(
    ("data", "rules", "kind"),
    [
        (b"<html>no picture", {"accept": IMAGES}, FileRefused),
        (PNG + b"virus", {"accept": IMAGES, "check": Seen()}, FileRefused),
        (PNG, {"accept": IMAGES, "filter": lambda file: False}, FileRefused),
    ],
    ids=["type", "check", "filter"],
)
def test_what_is_refused_is_refused_as_in_a_form(
    place: Place, finish: Finish, data: bytes, rules: dict[str, Any], kind: type[UploadError]
) -> None:
    """By the same error, and in the record; nothing is left of it, and it is not taken again."""
    direct = place.direct(**rules)
    token = place.send(direct, data)
    error = refused(lambda: finish(direct, token), kind)
    form = FormBuilder().file("photo", data, filename="me.png")
    spec = Uploader(MemoryStorage()).single("photo", **rules)
    in_form = refused(lambda: receive(spec, form.content_type, [form.body]), kind)
    assert (error.code, error.status, str(error)) == (in_form.code, in_form.status, str(in_form))
    record = place.record(token)
    assert (record.state, record.reason, record.key) == (State.REJECTED, str(error), None)
    assert (place.bucket.objects, place.left(), place.done) == ({}, {}, [])
    assert str(error) in str(refused(lambda: finish(direct, token), UploadGone))


def test_what_can_be_known_beforehand_has_no_record(place: Place) -> None:
    direct = place.direct(accept=IMAGES, max_size=10)
    refused(lambda: direct.begin("me.exe"), FileRefused)
    refused(lambda: direct.begin("me.png", None, 11), LimitExceeded)
    assert (place.ledger.find(), place.left()) == ([], {})


def test_a_quota_is_asked_before_the_client_is_told_where_to_send(place: Place) -> None:
    """Of what is said, as long as it is not known."""
    quota = Quota(bytes=100)
    first = place.direct(quota=quota, size=60).begin("me.png", None, 60)
    refused(lambda: place.direct(quota=quota, size=60).begin_parts("me.png", None, 60), QuotaExceeded)
    assert [record.id for record in place.ledger.find()] == [first.id]
    place.direct().abort(first.token)
    place.direct(quota=quota, size=60).begin("me.png", None, 60)


def test_what_has_become_too_much_is_not_accepted(place: Place, finish: Finish) -> None:
    """Where its size was not said. The file goes, and the record says so."""
    direct = place.direct(quota=Quota(bytes=len(PNG) - 1))
    form = direct.begin("me.png")
    place.bucket.post(form.url, form.fields, PNG)
    refused(lambda: finish(direct, form.token), QuotaExceeded)
    assert (place.record(form.id).state, place.bucket.objects, place.left()) == (State.REJECTED, {}, {})


@pytest.mark.parametrize("more", [-1, 1])
def test_parts_that_are_more_or_less_than_was_said_are_refused(place: Place, more: int) -> None:
    direct = place.direct()
    begun = direct.begin_parts("me.png", None, len(PNG))
    place.bucket.put(direct.sign_part(begun.token, 1), (PNG + b"x")[: len(PNG) + more])
    refused(lambda: direct.complete(begun.token), LimitExceeded if more > 0 else TruncatedForm)
    assert (place.record(begun.id).state, place.left()) == (State.REJECTED, {})


def test_bytes_that_are_not_those_that_were_said_are_refused(place: Place, finish: Finish) -> None:
    direct = place.direct()
    good = place.send(direct, PNG, sha256=hashlib.sha256(PNG).hexdigest().upper())
    bad = place.send(direct, PNG, sha256="0" * 64)
    assert finish(direct, good).sha256 == hashlib.sha256(PNG).hexdigest()
    refused(lambda: finish(direct, bad), ChecksumMismatch)
    assert (place.record(bad).state, place.left()) == (State.REJECTED, {})


# Whose it is


def test_another_owner_knows_of_none(place: Place, finish: Finish) -> None:
    """Neither can he go on with it, nor end it; and he is told what is told of one that there is not."""
    direct = place.direct()
    begun = direct.begin_parts("me.png")
    place.bucket.put(direct.sign_part(begun.token, 1), PNG)
    bobs = place.direct(owner="bob")
    calls: list[Callable[[str], object]] = [
        bobs.list_parts,
        bobs.complete,
        bobs.abort,
        lambda token: bobs.sign_part(token, 2),
        lambda token: finish(bobs, token),
    ]
    for call in calls:
        told = {str(refused(lambda: call(token), RecordMissing)) for token in (begun.token, "0" * 32, "")}  # noqa: B023
        assert len(told) == 1
    direct.complete(begun.token)
    finish(direct, begun.token)
    assert place.record(begun.id).owner == "ann"


def test_an_upload_that_came_otherwise_is_none_of_these(place: Place) -> None:
    """A form's, or that of another field."""
    form = FormBuilder().file("photo", PNG, filename="me.png")
    spec = Uploader(place.bucket, pipeline=place.pipeline).single("photo")
    direct = place.direct(owner=None)
    with pytest.raises(UploadError):
        direct.sign_part(receive(spec, form.content_type, [form.body]).id, 1)
    form_token = place.send(direct, PNG)
    refused(lambda: direct.sign_part(form_token, 1), RecordMissing)


# Once


def test_an_upload_is_finished_once(place: Place, finish: Finish) -> None:
    """Also where the client has sent its form again."""
    direct = place.direct()
    form = direct.begin("me.png")
    place.bucket.post(form.url, form.fields, PNG)
    file = finish(direct, form.token)
    for again in (None, JPEG):
        if again is not None:
            place.bucket.post(form.url, form.fields, again)
        refused(lambda: finish(direct, form.token), ObjectExists)
    assert (place.bucket.objects, place.done) == ({file.key: PNG}, [form.id])


def test_nothing_that_has_arrived_is_told(place: Place, finish: Finish) -> None:
    """It may arrive yet."""
    direct = place.direct()
    form = direct.begin("me.png")
    refused(lambda: finish(direct, form.token), ObjectMissing)
    place.bucket.post(form.url, form.fields, PNG)
    finish(direct, form.token)


def test_of_two_that_finish_at_once_one_succeeds(place: Place) -> None:
    """The other one is told at once that somebody is at it."""
    seen: list[UploadError] = []

    def meanwhile(file: IncomingFile) -> bool:
        if not seen:
            seen.append(refused(lambda: direct.finish(token), UploadLocked))
        return True

    direct = place.direct(accept=IMAGES, filter=meanwhile)
    token = place.send(direct, PNG)
    file = direct.finish(token)
    assert (len(seen), place.bucket.objects, place.left(), place.done) == (1, {file.key: PNG}, {}, [token])


def test_of_two_that_are_both_at_it_one_is_let_through(place: Place) -> None:
    """As when a process stood still until its hold was over: there is one object, and one upload."""
    both, first = threading.Barrier(2), threading.Event()

    def meet(file: IncomingFile) -> bool:
        first.set()
        both.wait(10)
        return True

    direct = place.direct(accept=IMAGES, filter=meet)
    token = place.send(direct, PNG)
    ends: list[object] = []

    def end() -> None:
        try:
            ends.append(direct.finish(token))
        except UploadError as error:
            ends.append(error)

    threads = [threading.Thread(target=end) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert first.wait(10)
        place.ledger.release()
    for thread in threads:
        thread.join()
    [file] = [end for end in ends if isinstance(end, UploadedFile)]
    [error] = [end for end in ends if end is not file]
    assert isinstance(error, UploadLocked | ObjectExists)
    assert (place.bucket.objects, place.left(), place.done) == ({file.key: PNG}, {}, [token])


# What fails


@pytest.mark.parametrize("fault", [StorageFailed("no", storage="bucket"), CheckFailed("no", filter="x", reason="y")])
def test_after_a_failure_it_may_be_finished_again(place: Place, finish: Finish, fault: UploadError) -> None:
    """It says nothing of the file, which need not be sent again."""
    faults = [fault]

    def fail() -> None:
        if faults:
            raise faults.pop()

    direct = place.direct()
    token = place.send(direct, PNG)
    place.bucket.before_commit = fail
    refused(lambda: finish(direct, token), type(fault))
    assert (place.record(token).state, list(place.bucket.sent)) == (State.RECEIVING, [token])
    finish(direct, token)
    assert (place.record(token).state, place.left()) == (State.COMPLETED, {})


def test_a_ledger_that_does_not_accept_is_asked_again(
    place: Place, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is stored by then, and its record says where: it is neither judged nor stored again."""
    direct = place.direct()
    token = place.send(direct, PNG)

    def fails(*_: object, **__: object) -> None:
        raise LedgerFailed("the ledger does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(place.ledger, "accept", fails)
        patched.setattr(place.ledger, "aaccept", fails)
        refused(lambda: finish(direct, token), LedgerFailed)
    record = place.record(token)
    assert (record.state, [record.key]) == (State.RECEIVING, list(place.bucket.objects))
    assert finish(direct, token).key == record.key
    assert (place.record(token).state, place.left(), place.done) == (State.COMPLETED, {}, [token])


def test_one_that_was_deleted_meanwhile_leaves_nothing(place: Place, finish: Finish) -> None:
    direct = place.direct()
    token = place.send(direct, PNG)
    place.bucket.before_commit = lambda: place.pipeline.delete(token)
    finish(direct, token)
    assert (place.record(token).state, place.bucket.objects, place.left()) == (State.DELETED, {}, {})


def test_a_task_that_is_cancelled_may_finish_again(place: Place) -> None:
    """What has arrived stays."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        reached, go_on = asyncio.Event(), threading.Event()

        def hold(*_: object) -> bool:
            loop.call_soon_threadsafe(reached.set)
            return go_on.wait(10)

        direct = place.direct(accept=IMAGES, filter=hold)
        token = place.send(direct, PNG)
        task = asyncio.create_task(direct.afinish(token))
        await reached.wait()
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert place.record(token).state is State.RECEIVING
        await direct.afinish(token)
        return token

    token = asyncio.run(main())
    assert (place.record(token).state, place.left()) == (State.COMPLETED, {})


# What nobody finishes


def test_one_is_given_up_by_its_client(place: Place) -> None:
    """And not by one whose upload is finished."""
    direct = place.direct()
    begun = direct.begin_parts("me.png")
    place.bucket.put(direct.sign_part(begun.token, 1), PNG)
    for _ in range(2):
        direct.abort(begun.token)
    assert (place.record(begun.id).state, place.left()) == (State.DELETED, {})
    refused(lambda: direct.sign_part(begun.token, 1), UploadGone)
    token = place.send(direct, PNG)
    direct.finish(token)
    direct.abort(token)
    assert place.record(token).state is State.COMPLETED


def test_one_whose_time_is_over_is_swept(place: Place) -> None:
    """With its parts, and what has arrived. Until then no sweep takes it for dead, however long nothing is heard."""
    direct = place.direct()
    sent, begun = place.send(direct, PNG), direct.begin_parts("me.png")
    place.bucket.put(direct.sign_part(begun.token, 1), PNG)
    now = datetime.now(UTC)
    sweep(place.pipeline, older_than_seconds=0, now=lambda: now + timedelta(seconds=3000))
    assert {place.record(upload).state for upload in (sent, begun.id)} == {State.RECEIVING}
    swept = sweep(place.pipeline, older_than_seconds=DAY, now=lambda: now + timedelta(seconds=3700))
    assert {place.record(upload).state for upload in (sent, begun.id)} == {State.EXPIRED}
    assert (place.left(), place.bucket.objects, swept.failures) == ({}, {}, 0)
    refused(lambda: direct.finish(sent), UploadGone)


def test_after_its_time_nothing_is_taken_of_it(tmp_path: Path, place: Place) -> None:
    """Also where no sweep has come by yet."""
    direct = place.direct()
    direct._clock = lambda: datetime.now(UTC).timestamp() - DAY
    token = place.send(direct, PNG)
    refused(lambda: place.direct().finish(token), UploadGone)


# Mistakes


def test_a_secret_is_for_tokens_and_a_pipeline_needs_none(place: Place) -> None:
    spec = Uploader(place.bucket, pipeline=place.pipeline).single("photo")
    with pytest.raises(TypeError, match="needs none with a pipeline"):
        DirectUploads(spec, secret="nobody else knows this one")
    with pytest.raises(TypeError, match="secret="):
        DirectUploads(replace(spec, register=None))
