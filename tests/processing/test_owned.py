"""The uploads of one request are somebody's from before their first byte, and counted for him."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.processing.pipelines import form, keys_of

from uploadkit.errors import FieldRefused, QuotaExceeded, RecordExists
from uploadkit.intake.asynchronous import areceive
from uploadkit.intake.blocking import receive
from uploadkit.processing.owned import Owned
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import Quota, UploadRecord, Usage
from uploadkit.storage.disk import DiskStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission


class Requests:
    """Of an owner, to one pipeline."""

    def __init__(self, ledger: Ledger, staging: DiskStorage) -> None:
        self.ledger = ledger
        self.staging = staging
        self.pipeline = Pipeline(ledger)
        self.spec = Uploader(staging, pipeline=self.pipeline).any(accept=".txt")

    def owned(self, **more: object) -> Owned:
        return Owned(self.pipeline, **{"owner": "ann"} | more)  # type: ignore[arg-type]

    def send(self, owned: Owned, sent: FormBuilder) -> Submission:
        return receive(replace(self.spec, register=owned), sent.content_type, [sent.body])

    def asend(self, owned: Owned, sent: FormBuilder) -> Submission:
        async def chunks() -> AsyncIterator[bytes]:
            yield sent.body

        return asyncio.run(areceive(replace(self.spec, register=owned), sent.content_type, chunks()))

    def usage(self) -> Usage:
        return self.ledger.usage("ann")


@pytest.fixture
def requests(ledger: Ledger, staging: DiskStorage) -> Requests:
    return Requests(ledger, staging)


@pytest.fixture(params=["blocking", "async"])
def way(request: pytest.FixtureRequest) -> str:
    """By which driver a form is received."""
    return str(request.param)


def sent(requests: Requests, way: str, owned: Owned, form: FormBuilder) -> Submission:
    return requests.send(owned, form) if way == "blocking" else requests.asend(owned, form)


def test_all_files_are_the_owners_and_the_first_has_the_key(requests: Requests, way: str) -> None:
    """What is said of the request is said of each, and stands in its record when it is accepted."""
    expires = datetime.now(UTC) + timedelta(days=1)
    owned = requests.owned(idempotency_key="k", expires_at=expires)
    owned.say(priority=5, tags={"a": "b"})
    files = sent(requests, way, owned, form(b"one", b"two")).files
    records = [requests.ledger.get(file.id) for file in files]
    assert owned.uploads == [file.id for file in files]
    assert {record.batch for record in records} == {owned.batch}
    assert [record.idempotency_key for record in records] == ["k", None]
    for record in records:
        assert (record.owner, record.priority, record.tags, record.expires_at) == ("ann", 5, {"a": "b"}, expires)
        assert record.state is State.COMPLETED


def test_what_is_reserved_is_settled_at_the_end(requests: Requests, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From before the first byte all that is expected counts; then what has come."""
    seen: list[Usage] = []
    add = requests.pipeline.add

    def added(*args: object, **more: object) -> UploadRecord:
        record = add(*args, **more)  # type: ignore[arg-type]
        seen.append(requests.usage())
        return record

    monkeypatch.setattr(requests.pipeline, "add", added)
    sent(requests, way, requests.owned(expected_size=1000, quota=Quota(files=2, bytes=1000)), form(b"one", b"three"))
    assert seen == [Usage(files=1, bytes=1000), Usage(files=2, bytes=1000)]
    assert requests.usage() == Usage(files=2, bytes=8)


@pytest.mark.parametrize(("quota", "limit"), [(Quota(files=1), "files"), (Quota(bytes=999), "bytes")])
def test_what_is_too_much_leaves_nothing(requests: Requests, way: str, quota: Quota, limit: str) -> None:
    """Of no file of the request; the key may be used again."""
    owned = requests.owned(expected_size=1000, quota=quota, idempotency_key="k")
    with pytest.raises(QuotaExceeded) as refused:
        sent(requests, way, owned, form(b"one", b"two"))
    assert refused.value.limit == limit
    assert (requests.usage(), keys_of(requests.staging)) == (Usage(files=0, bytes=0), [])
    assert {record.state for record in requests.ledger.find()} <= {State.REJECTED}


def test_more_than_was_expected_is_refused_in_the_end(requests: Requests, way: str) -> None:
    """A quota holds whatever a request had said of itself."""
    owned = requests.owned(expected_size=0, quota=Quota(bytes=5))
    with pytest.raises(QuotaExceeded) as refused:
        sent(requests, way, owned, form(b"one", b"two"))
    assert (refused.value.allowed, refused.value.seen) == (5, 6)
    assert (requests.usage(), keys_of(requests.staging)) == (Usage(files=0, bytes=0), [])
    sent(requests, way, requests.owned(quota=Quota(bytes=5)), form(b"four", b"5"))
    assert requests.usage() == Usage(files=2, bytes=5)


def test_a_key_that_the_owner_has_used_is_told(requests: Requests, way: str) -> None:
    """Nothing of the second request is left. Somebody else's key is his own."""
    [first] = sent(requests, way, requests.owned(idempotency_key="k"), form(b"one")).files
    with pytest.raises(RecordExists) as refused:
        sent(requests, way, requests.owned(idempotency_key="k"), form(b"two", b"three"))
    assert refused.value.upload == first.id
    assert [record.id for record in requests.ledger.find()] == [first.id]
    sent(requests, way, requests.owned(owner="eve", idempotency_key="k"), form(b"two"))
    assert len(keys_of(requests.staging)) == 2


def test_what_a_handler_refuses_is_not_the_owners(requests: Requests, way: str) -> None:
    """Nor is what breaks a rule."""
    with pytest.raises(FieldRefused):
        sent(requests, way, _Refusing(requests.pipeline, owner="ann"), form(b"one", b"two"))
    assert (requests.usage(), keys_of(requests.staging)) == (Usage(files=0, bytes=0), [])
    assert {record.state for record in requests.ledger.find()} == {State.REJECTED}


class _Refusing(Owned):
    def accept(self, files: object) -> None:
        raise FieldRefused("not today", field="file")

    async def aaccept(self, files: object) -> None:
        raise FieldRefused("not today", field="file")


def test_an_upload_that_is_deleted_while_it_comes_leaves_nothing(
    requests: Requests, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes were stored after that. The other file is taken."""
    owned = requests.owned()
    accept = requests.ledger.accept

    def late(*args: object, **more: object) -> list[UploadRecord]:
        requests.pipeline.delete(owned.uploads[0])
        return accept(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(requests.ledger, "accept", late)
    monkeypatch.setattr(requests.ledger, "aaccept", lambda *args, **more: asyncio.to_thread(late, *args, **more))
    sent(requests, way, owned, form(b"one", b"two"))
    states = [requests.ledger.get(upload).state for upload in owned.uploads]
    assert states == [State.DELETED, State.COMPLETED]
    assert (requests.usage(), len(keys_of(requests.staging))) == (Usage(files=1, bytes=3), 1)
