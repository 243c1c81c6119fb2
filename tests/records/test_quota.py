"""How much an owner has, and may have: counted in the transaction that adds to it, on both databases."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tests.records.ledgers import Place, add
from tests.records.test_races import RACERS, at_once

from uploadkit.errors import QuotaExceeded, RecordExists, UploadChanged
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import Accepted, Quota, Usage


def accepted(upload: str, size: int) -> Accepted:
    return Accepted(
        upload=upload, filename="a", content_type="b", size=size, sha256=None, storage="c", key=f"key-of-{upload}"
    )


def taken(ledger: Ledger, upload: str, size: int, **more: Any) -> None:
    """One that is stored."""
    add(ledger, upload, owner="ann", **more)
    ledger.accept([accepted(upload, size)])


def test_what_is_reserved_counts_until_the_size_is_known(ledger: Ledger) -> None:
    """Of who has nothing it is nothing; others' does not count."""
    assert ledger.usage("ann") == Usage(files=0, bytes=0)
    add(ledger, "u", owner="ann", reserved=100)
    add(ledger, "v", owner="ann")
    add(ledger, "w", owner="eve", reserved=1)
    assert ledger.usage("ann") == Usage(files=2, bytes=100)
    ledger.accept([accepted("u", 7), accepted("v", 5)])
    assert ledger.usage("ann") == Usage(files=2, bytes=12)
    assert asyncio.run(ledger.ausage("eve")) == Usage(files=1, bytes=1)


@pytest.mark.parametrize("state", [State.REJECTED, State.EXPIRED, State.DELETED])
def test_what_is_gone_counts_no_longer(ledger: Ledger, state: State) -> None:
    """Whether it was stored or not. What has failed, or is infected, still takes room."""
    add(ledger, "u", owner="ann", reserved=100)
    ledger.move("u", state)
    taken(ledger, "v", 7)
    ledger.move("v", state)
    taken(ledger, "w", 5)
    ledger.move("w", State.FAILED)
    assert ledger.usage("ann") == Usage(files=1, bytes=5)


def test_a_record_that_is_too_much_is_not_added(ledger: Ledger) -> None:
    """The error says of what, and how much there would have been; a quota that is just reached is fine."""
    quota = Quota(files=2, bytes=100)
    taken(ledger, "u", 60)
    with pytest.raises(QuotaExceeded) as refused:
        add(ledger, "v", owner="ann", quota=quota, reserved=41)
    assert (refused.value.limit, refused.value.allowed, refused.value.seen) == ("bytes", 100, 101)
    add(ledger, "v", owner="ann", quota=quota, reserved=40)
    with pytest.raises(QuotaExceeded) as refused:
        asyncio.run(ledger.aadd("w", field="f", filename="a", content_type="b", owner="ann", quota=quota))
    assert (refused.value.limit, refused.value.allowed, refused.value.seen) == ("files", 2, 3)
    assert {record.id for record in ledger.find()} == {"u", "v"}
    assert ledger.history("w") == []


def test_nothing_may_be_had_of_a_quota_of_nothing(ledger: Ledger) -> None:
    with pytest.raises(QuotaExceeded):
        add(ledger, "u", owner="ann", quota=Quota(files=0))
    add(ledger, "v", owner="ann", quota=Quota(bytes=0))
    with pytest.raises(QuotaExceeded):
        add(ledger, "w", owner="ann", quota=Quota(bytes=0), reserved=1)


def test_a_quota_is_somebodys(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="an owner's"):
        add(ledger, "u", quota=Quota(files=1))
    with pytest.raises(ValueError, match="negative"):
        Quota(bytes=-1)


def test_a_key_that_was_used_goes_before_the_quota(ledger: Ledger) -> None:
    """Who sends a request again learns of the first, which may have been the last that fitted."""
    quota = Quota(files=1)
    add(ledger, "u", owner="ann", quota=quota, idempotency_key="k")
    with pytest.raises(RecordExists) as refused:
        add(ledger, "v", owner="ann", quota=quota, idempotency_key="k")
    assert refused.value.upload == "u"


def test_more_than_was_reserved_is_not_accepted(ledger: Ledger) -> None:
    """None of the files of a request are, and what was reserved still is: the request is refused after that."""
    quota = Quota(bytes=10)
    add(ledger, "u", owner="ann", quota=quota, reserved=10)
    add(ledger, "v", owner="ann", quota=quota, reserved=0)
    for files in ([accepted("u", 5), accepted("v", 6)], [accepted("v", 6), accepted("u", 5)]):
        with pytest.raises(QuotaExceeded) as refused:
            ledger.accept(files, quota=quota)
        assert refused.value.seen == 11
        assert {record.state for record in ledger.find()} == {State.RECEIVING}
        assert ledger.untold() == 0
    asyncio.run(ledger.aaccept([accepted("u", 5), accepted("v", 5)], quota=quota))
    assert ledger.usage("ann") == Usage(files=2, bytes=10)
    ledger.accept([accepted("u", 5)], quota=Quota(bytes=0))  # it was before
    add(ledger, "w", owner="ann")
    ledger.move("w", State.REJECTED)
    with pytest.raises(UploadChanged):
        ledger.accept([accepted("w", 1)], quota=quota)


@pytest.mark.parametrize("own", [True, False], ids=["a ledger each", "one ledger"])
@pytest.mark.parametrize(("quota", "limit"), [(Quota(files=7), "files"), (Quota(bytes=79), "bytes")])
def test_of_twenty_that_race_as_many_are_added_as_fit(
    ledger: Ledger, place: Place, own: bool, quota: Quota, limit: str
) -> None:
    """No more and no fewer; and as many again when those are gone."""
    ledgers = [place.ledger() for _ in range(RACERS)] if own else [place.ledger()] * RACERS

    def adding(turn: int) -> Callable[[int], str]:
        def call(number: int) -> str:
            try:
                add(ledgers[number], f"u{turn}-{number}", owner="ann", quota=quota, reserved=11)
            except QuotaExceeded as error:
                return error.limit
            return "added"

        return call

    for turn in range(2):
        assert Counter(at_once(adding(turn))) == {"added": 7, limit: 13}
        assert ledger.usage("ann") == Usage(files=7, bytes=77)
        for record in ledger.find(state=State.RECEIVING):
            ledger.move(record.id, State.REJECTED)


def test_of_twenty_that_race_as_many_are_accepted_as_fit(ledger: Ledger, place: Place) -> None:
    """Where nothing was reserved."""
    other, quota = place.ledger(), Quota(bytes=79)
    add(ledger, *(f"u{number}" for number in range(RACERS)), owner="ann")

    def call(number: int) -> str:
        try:
            other.accept([accepted(f"u{number}", 11)], quota=quota)
        except QuotaExceeded:
            return "refused"
        return "accepted"

    assert Counter(at_once(call)) == {"accepted": 7, "refused": 13}
    assert ledger.usage("ann") == Usage(files=RACERS, bytes=77)


def test_owners_do_not_wait_for_each_others_quota(ledger: Ledger) -> None:
    """Each has his own."""
    quota = Quota(files=1)
    for number in range(RACERS):
        add(ledger, f"u{number}", owner=f"owner-{number}", quota=quota)
    assert all(ledger.usage(f"owner-{number}").files == 1 for number in range(RACERS))
