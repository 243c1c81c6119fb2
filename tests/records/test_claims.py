"""What is done to uploads, and what it makes: claims that are taken over, what they leave, and whose an object is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.records.ledgers import Clock, add, fact

from uploadkit import UploadChanged
from uploadkit.events.facts import Fact
from uploadkit.records.ledger import Claim, Ledger
from uploadkit.records.lifecycle import GONE, State
from uploadkit.records.record import Leftover
from uploadkit.records.schema import objects


def claimed(ledger: Ledger, upload: str = "u", processor: str = "variants", digest: str = "1", **more: Any) -> Claim:
    """A claim that somebody gets."""
    claim = ledger.claim(upload, processor, digest, **{"seconds": 60} | more)
    assert claim is not None
    return claim


def made(*keys: str, storage: str = "media") -> dict[str, Any]:
    """What is told of objects."""
    return {"objects": [[storage, key] for key in keys]}


def rows(ledger: Ledger) -> int:
    """How many objects the ledger has written down."""
    with ledger._database.reading() as connection:
        return connection.execute(select(func.count()).select_from(objects)).scalar_one()


# Stealing


def test_a_claim_of_who_is_dead_is_taken_over_before_its_time(ledger: Ledger) -> None:
    """Whoever had it finishes nothing any more."""
    add(ledger, "u")
    first = claimed(ledger)
    assert ledger.claim("u", "variants", "1", seconds=60) is None
    second = claimed(ledger, steal=True)
    assert (second.attempts, second.left) == (2, None)
    calls: list[Callable[[], object]] = [
        lambda: ledger.finish(first, {}),
        lambda: ledger.intend(first, {}),
        lambda: ledger.extend(first, seconds=1),
    ]
    for call in calls:
        with pytest.raises(UploadChanged):
            call()
    ledger.finish(second, {})


def test_what_the_dead_had_taken_is_free_at_once(ledger: Ledger) -> None:
    """Their claims, and the facts that they were about to tell; what is done stays done."""
    add(ledger, "u")
    ledger.finish(claimed(ledger, processor="scan"), {})
    ledger.tell([fact("u")])
    first, told = claimed(ledger), list[Fact]()
    ledger._take(1, seconds=60)
    assert (ledger.claim("u", "variants", "1", seconds=60), ledger.forward(told.append)) == (None, 0)
    ledger.release()
    assert ledger.forward(told.append) == 1
    assert claimed(ledger).attempts == 2
    assert ledger.claim("u", "scan", "1", seconds=60) is None
    with pytest.raises(UploadChanged):
        ledger.finish(first, {})


def test_what_is_done_is_not_stolen(ledger: Ledger) -> None:
    """It stays done."""
    add(ledger, "u")
    ledger.finish(claimed(ledger, steal=True), {"a": 1})
    assert ledger.claim("u", "variants", "1", seconds=60, steal=True) is None
    assert [each.told for each in ledger.results("u")] == [{"a": 1}]


# What is intended


@pytest.mark.parametrize("way", ["over", "stolen", "given back"])
def test_the_next_claimant_learns_what_was_intended(ledger: Ledger, clock: Clock, way: str) -> None:
    """The last word of whoever had it before, however it became free; and again, where he makes nothing of it."""
    add(ledger, "u")
    first = claimed(ledger)
    assert first.left is None
    ledger.intend(first, made("a"))
    ledger.intend(first, {"note": "☃"} | made("a", "b"))
    for attempt in (2, 3):
        if way == "over":
            clock.forward(60)
        elif way == "given back":
            ledger.give_back(first)
        first = claimed(ledger, steal=way == "stolen")
        assert (first.attempts, first.left) == (attempt, {"note": "☃", "objects": [["media", "a"], ["media", "b"]]})
    ledger.intend(first, made("c"))
    ledger.finish(first, made("d"))
    assert [each.told for each in ledger.results("u")] == [made("d")], "what was intended is no result"


@pytest.mark.parametrize("over", [*sorted(GONE), None])
def test_nothing_is_intended_for_an_upload_that_is_over(ledger: Ledger, over: State | None) -> None:
    """Whoever is about to make something is told before he makes it."""
    add(ledger, "u")
    claim = claimed(ledger)
    if over is None:
        ledger.forget("u")
    else:
        ledger.move("u", over)
    with pytest.raises(UploadChanged) as caught:
        ledger.intend(claim, made("a"))
    assert caught.value.state == over
    assert ledger.known_keys("media", ["a"]) == set()


@pytest.mark.parametrize("objects", [3, [3], "ab", [["media"]], [["media", "a", "b"]], [["media", 3]], [[None, "a"]]])
def test_objects_are_pairs(ledger: Ledger, objects: object) -> None:
    """Of the name of a storage and a key: anything else is a mistake, and changes nothing."""
    add(ledger, "u")
    claim = claimed(ledger)
    ledger.intend(claim, made("a"))
    for call in (ledger.intend, ledger.finish):
        with pytest.raises(ValueError, match="objects are pairs"):
            call(claim, {"objects": objects})
    with pytest.raises(ValueError, match="longer than 1024"):
        ledger.finish(claim, made("k" * 1025))
    assert (ledger.results("u"), ledger.known_keys("media", "a")) == ([], {"a"})
    ledger.finish(claim, made("k" * 1024, storage="🦀" * 255))


# What is left


def test_what_nobody_is_at_is_left(ledger: Ledger, clock: Clock) -> None:
    """Those whose time is over, and those that were given back; the oldest first. Not what is done, or being done."""
    begun = clock()
    add(ledger, "u", "v")
    ledger.intend(claimed(ledger, digest="over"), made("a"))
    clock.forward(10)
    ledger.give_back(claimed(ledger, "v", digest="given back"))
    ledger.finish(claimed(ledger, digest="done"), made("b"))
    clock.forward(50)
    claimed(ledger, digest="at it")
    assert left(ledger) == ["given back", "over"]
    assert left(ledger, limit=1) == ["given back"]
    assert left(ledger, clock.now.replace(minute=0, second=59)) == ["given back"]
    assert left(ledger, begun) == []
    assert left(ledger, datetime.max.replace(tzinfo=begun.tzinfo)) == ["given back", "over"], "who is at it is alive"
    assert ledger.leftovers()[1] == Leftover(
        upload="u", processor="variants", digest="over", attempts=1, told=made("a"), claimed_until=clock()
    )
    assert ledger.leftovers()[0].told is None


def left(ledger: Ledger, older: datetime | None = None, limit: int = 100) -> list[str]:
    return [each.digest for each in ledger.leftovers(older, limit)]


@pytest.mark.parametrize("over", [None, *sorted(GONE)])
def test_who_clears_what_is_left_claims_it_and_drops_it(ledger: Ledger, clock: Clock, over: State | None) -> None:
    """Also of an upload that is over. Who was slow can neither finish what is removed, nor drop another's claim."""
    add(ledger, "u")
    slow = claimed(ledger)
    ledger.intend(slow, made("a"))
    if over is not None:
        ledger.move("u", over)
    clock.forward(60)
    [leftover] = ledger.leftovers()
    mine = claimed(ledger, leftover.upload, leftover.processor, leftover.digest)
    assert mine.left == leftover.told == made("a")
    ledger.drop(slow)
    assert ledger.known_keys("media", ["a"]) == {"a"}
    with pytest.raises(UploadChanged):
        ledger.finish(slow, made("a"))
    ledger.drop(mine)
    ledger.drop(mine)
    assert (ledger.leftovers(), ledger.known_keys("media", ["a"]), rows(ledger)) == ([], set(), 0)
    assert claimed(ledger).attempts == 1


def test_what_is_done_is_not_dropped(ledger: Ledger) -> None:
    """The claim is over then."""
    add(ledger, "u")
    claim = claimed(ledger)
    ledger.finish(claim, {})
    ledger.drop(claim)
    assert len(ledger.results("u")) == 1


# Whose an object is


def test_a_key_is_known_while_it_belongs_to_an_upload(ledger: Ledger) -> None:
    """From before the object is made until after it is gone: in a record, in a claim, in a result."""
    keys = ["record", "intended", "replaced", "result", "nobody's"]
    assert ledger.known_keys("media", keys) == set()
    add(ledger, "u", storage="media", key="record")
    claim = claimed(ledger)
    ledger.intend(claim, made("replaced"))
    ledger.intend(claim, made("intended", "result"))
    assert ledger.known_keys("media", keys) == {"record", "intended", "result"}
    assert ledger.known_keys("media", ["result"]) == {"result"}
    assert ledger.known_keys("elsewhere", keys) == set()
    ledger.give_back(claim)
    assert ledger.known_keys("media", keys) == {"record", "intended", "result"}
    ledger.finish(claimed(ledger), made("result", "result"), facts=[fact("u")])
    assert ledger.known_keys("media", keys) == {"record", "result"}
    ledger.move("u", State.DELETED)
    assert ledger.known_keys("media", keys) == {"record", "result"}, "its bytes may be there still"
    [result] = ledger.results("u")
    ledger.undo(result)
    ledger.change(ledger.get("u"), key=None)
    assert (ledger.known_keys("media", keys), rows(ledger)) == (set(), 0)


def test_what_is_forgotten_has_no_keys(ledger: Ledger) -> None:
    """Neither of results, nor of claims, nor its own."""
    add(ledger, "u", "v", storage="media", key="record")
    for upload in ("u", "v"):
        ledger.finish(claimed(ledger, upload), made(f"result of {upload}"))
        ledger.intend(claimed(ledger, upload, digest="2"), made(f"intended for {upload}"))
    ledger.forget("u")
    keys = [f"{what} {upload}" for what in ("result of", "intended for") for upload in "uv"]
    assert ledger.known_keys("media", [*keys, "record"]) == {"result of v", "intended for v", "record"}
    assert rows(ledger) == 2


def test_any_number_of_keys_is_asked_for(ledger: Ledger) -> None:
    """Also such as no upload has, which somebody else may have put into the storage."""
    add(ledger, "u", storage="media", key="0777")
    ledger.finish(claimed(ledger), made(*(f"{number:04}" for number in range(1000, 5000, 2))))
    odd = {"k" * 1025, "a\0b", "caf\udce9", ""}
    known = ledger.known_keys("media", odd | {f"{number:04}" for number in range(5000)})
    assert known == {"0777"} | {f"{number:04}" for number in range(1000, 5000, 2)}
    assert ledger.known_keys("media", []) == ledger.known_keys("media", odd) == set()


def test_whether_somebody_is_at_it(ledger: Ledger, clock: Clock) -> None:
    """Not when the claim is over, was given back, or it is done."""
    add(ledger, "u")
    assert not ledger.is_claimed("u")
    for end in (ledger.give_back, lambda _: clock.forward(60), lambda claim: ledger.finish(claim, {})):
        claim = ledger.claim("u", "copies", "d", seconds=60)
        assert claim is not None
        assert (ledger.is_claimed("u"), ledger.is_claimed("v")) == (True, False)
        end(claim)
        assert not ledger.is_claimed("u")
