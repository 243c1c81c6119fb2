"""Uploads that come in several requests: what is known of them, and that one at a time may add to them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from tests.records.ledgers import Clock, Place, add
from tests.records.test_races import RACERS, at_once, in_processes, several

from uploadkit import RecordExists, RecordMissing, UploadChanged
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import GONE, State
from uploadkit.records.resumable import Hold, Resumable

LEASE = 15


def begin(ledger: Ledger, clock: Clock, *uploads: str, seconds: float = 3600, **more: Any) -> list[Resumable]:
    """Records, and what is known of each beside."""
    add(ledger, *uploads)
    known: dict[str, Any] = {"length": 2**40, "storage": "disk", "kept": "é", "told": {"a": [1, None]}} | more
    expires_at = clock() + timedelta(seconds=seconds)
    return [ledger.resumables.add(upload, **known, expires_at=expires_at) for upload in uploads]


def held(ledger: Ledger, upload: str = "u", *, seconds: float = LEASE) -> Hold:
    """A hold that nobody else has."""
    hold = ledger.resumables.hold(upload, seconds=seconds)
    assert hold is not None
    return hold


def extend(ledger: Ledger, hold: Hold, seconds: float = LEASE) -> bool:
    """Whether somebody else wants it. Raises `KeyError` where it is another's by now, or the upload is gone."""
    return ledger.resumables.extend_all([hold], seconds=seconds)[hold.token]


def rows(ledger: Ledger) -> int:
    """How many there are."""
    with ledger._database.reading() as connection:
        return int(connection.execute(text("SELECT count(*) FROM uploadkit_resumables")).scalar_one())


def test_what_is_known_of_it_is_given_back(ledger: Ledger, clock: Clock, place: Place) -> None:
    """To other processes too; without a length as well."""
    known, other = begin(ledger, clock, "u")[0], begin(ledger, clock, "v", length=None, told={})[0]
    assert known == Resumable(
        upload="u",
        length=2**40,
        storage="disk",
        kept="é",
        told={"a": [1, None]},
        expires_at=clock() + timedelta(hours=1),
    )
    assert [place.ledger().resumables.get(upload) for upload in "uv"] == [known, other]
    assert (other.length, other.told) == (None, {})


def test_it_is_of_an_upload_that_has_a_record(ledger: Ledger, clock: Clock) -> None:
    """And of that once."""
    known = begin(ledger, clock, "u")[0]
    values: dict[str, Any] = {"length": 1, "storage": "s", "kept": "", "told": {}, "expires_at": clock()}
    with pytest.raises(RecordExists) as exists:
        ledger.resumables.add("u", **values)
    assert exists.value.upload == "u"
    for upload in ("x", "x" * 65, "\0"):
        with pytest.raises(RecordMissing):
            ledger.resumables.add(upload, **values)
    assert ledger.resumables.get("u") == known
    assert rows(ledger) == 1


@pytest.mark.parametrize("upload", ["x", "", "x" * 65, "\0", "\ud800"])
def test_of_one_that_is_not_there_nothing_is_known(ledger: Ledger, upload: str) -> None:
    """Nor is it held."""
    assert ledger.resumables.get(upload) is None
    with pytest.raises(RecordMissing):
        ledger.resumables.hold(upload, seconds=LEASE)


def test_it_is_forgotten_with_its_record(ledger: Ledger, clock: Clock) -> None:
    """Or before: then its record stays."""
    begin(ledger, clock, "u", "v")
    ledger.forget("u")
    ledger.resumables.forget("v")
    ledger.resumables.forget("v")
    assert rows(ledger) == 0
    assert [each.id for each in ledger.find()] == ["v"]


def test_who_holds_it_is_alone_until_he_lets_go(ledger: Ledger, clock: Clock, place: Place) -> None:
    """He learns that it is wanted when somebody has asked, and not before. The next one starts unwanted."""
    begin(ledger, clock, "u")
    other = place.ledger(now=clock)
    hold = held(ledger)
    assert hold.until == clock() + timedelta(seconds=LEASE)
    assert extend(ledger, hold) is False
    assert [other.resumables.hold("u", seconds=LEASE) for _ in range(3)] == [None] * 3
    assert extend(ledger, hold) is True
    ledger.resumables.let_go(hold)
    theirs = held(other)
    assert theirs.token != hold.token
    assert extend(other, theirs) is False


def test_a_hold_that_is_over_may_be_taken(ledger: Ledger, clock: Clock, place: Place) -> None:
    """To the microsecond. Who had it is told so, whatever he does, and changes nothing."""
    known = begin(ledger, clock, "u")[0]
    other = place.ledger(now=clock)
    hold = held(ledger)
    clock.forward(LEASE - 0.001)
    assert other.resumables.hold("u", seconds=LEASE) is None
    clock.forward(0.001)
    theirs = held(other)
    with pytest.raises(UploadChanged) as lost:
        ledger.resumables.change(hold, kept="mine")
    assert (lost.value.upload, lost.value.state) == ("u", None)
    assert ledger.resumables.extend_all([hold], seconds=LEASE) == {}
    ledger.resumables.let_go(hold, kept="mine")
    assert ledger.resumables.get("u") == known
    assert extend(other, theirs) is False
    assert ledger.resumables.hold("u", seconds=LEASE) is None


def test_a_hold_is_kept_as_long_as_it_is_extended(ledger: Ledger, clock: Clock, place: Place) -> None:
    """Also one that was over, where nobody else has taken it meanwhile."""
    begin(ledger, clock, "u")
    other = place.ledger(now=clock)
    hold = held(ledger)
    for seconds in (LEASE - 1, LEASE - 1, LEASE + 1):
        clock.forward(seconds)
        extend(ledger, hold)
        assert other.resumables.hold("u", seconds=LEASE) is None


def test_many_are_extended_at_once(ledger: Ledger, clock: Clock) -> None:
    """Each is told of by its token; what is another's by now, or gone, is not among them, and is not extended."""
    uploads = [f"u{number}" for number in range(5)]
    begin(ledger, clock, *uploads)
    holds = [held(ledger, upload) for upload in uploads]
    lost, gone, wanted = holds[0], holds[1], holds[2]
    ledger.resumables.let_go(lost)
    theirs = held(ledger, lost.upload, seconds=LEASE - 1)
    ledger.resumables.forget(gone.upload)
    assert ledger.resumables.hold(wanted.upload, seconds=LEASE) is None
    expected = {hold.token: hold is wanted for hold in holds[2:]}
    assert ledger.resumables.wanted(holds) == expected
    clock.forward(1)
    assert ledger.resumables.extend_all(holds, seconds=LEASE) == expected
    assert ledger.resumables.extend_all([], seconds=LEASE) == ledger.resumables.wanted([]) == {}
    clock.forward(LEASE - 1)
    assert [ledger.resumables.hold(hold.upload, seconds=LEASE) for hold in holds[2:]] == [None] * 3
    assert held(ledger, lost.upload).token != theirs.token


def test_those_that_go_on_are_given_more_time_when_they_are_extended(ledger: Ledger, clock: Clock) -> None:
    """Each its own; none that is another's by now, and none of which nothing is said."""
    begin(ledger, clock, "u", "v", "lost", "rests")
    before, later = clock() + timedelta(hours=1), clock() + timedelta(days=1)
    holds = {upload: held(ledger, upload) for upload in ("u", "v", "lost", "rests")}
    ledger.resumables.let_go(holds["lost"])
    expires = {holds["u"].token: later, holds["v"].token: later + timedelta(seconds=1), holds["lost"].token: later}
    ledger.resumables.extend_all(holds.values(), seconds=LEASE, expires=expires)
    found = {each.upload: each.expires_at for each in ledger.resumables.expired(later + timedelta(days=1))}
    assert found == {"u": later, "v": later + timedelta(seconds=1), "lost": before, "rests": before}


def test_who_is_not_asked_hears_nothing(ledger: Ledger, clock: Clock, place: Place) -> None:
    """Nor does the next one. What is free is had without asking."""
    begin(ledger, clock, "u")
    other = place.ledger(now=clock)
    hold = held(ledger)
    assert other.resumables.hold("u", seconds=LEASE, asks=False) is None
    assert extend(ledger, hold) is False
    ledger.resumables.let_go(hold)
    theirs = other.resumables.hold("u", seconds=LEASE, asks=False)
    assert theirs is not None
    assert ledger.resumables.hold("u", seconds=LEASE, asks=False) is None
    with pytest.raises(RecordMissing):
        ledger.resumables.hold("x", seconds=LEASE, asks=False)


def test_more_are_extended_than_one_statement_takes(ledger: Ledger, clock: Clock) -> None:
    """In one transaction all the same."""
    begin(ledger, clock, "u")
    hold = held(ledger)
    many = [*(Hold(upload=f"x{number}", token=f"{number}", until=hold.until) for number in range(2500)), hold]
    expires = {each.token: clock() for each in many}
    assert ledger.resumables.wanted(many) == {hold.token: False}
    assert ledger.resumables.extend_all(many, seconds=LEASE, expires=expires) == {hold.token: False}
    found = ledger.resumables.get("u")
    assert found is not None
    assert found.expires_at == clock()


def test_what_is_known_changes_under_a_hold(ledger: Ledger, clock: Clock) -> None:
    """In the middle, or with its end; what is not named stays."""
    known = begin(ledger, clock, "u", length=None)[0]
    hold = held(ledger)
    assert ledger.resumables.change(hold) == known
    changed = ledger.resumables.change(hold, length=5, told={"b": 2})
    assert changed == ledger.resumables.get("u")
    assert (changed.length, changed.told, changed.kept) == (5, {"b": 2}, "é")
    later = clock() + timedelta(days=1)
    ledger.resumables.let_go(hold, kept="k", expires_at=later)
    found = ledger.resumables.get("u")
    assert found is not None
    assert (found.length, found.kept, found.expires_at) == (5, "k", later)
    with pytest.raises(TypeError, match="does not change: storage"):
        ledger.resumables.change(hold, storage="x")  # type: ignore[call-arg]


def test_those_are_expired_whose_time_is_over(ledger: Ledger, clock: Clock) -> None:
    """The longest first, and none that somebody is at."""
    for upload, seconds in (("late", 30), ("early", 10), ("held", 20), ("not", 31)):
        begin(ledger, clock, upload, seconds=seconds)
    hold = held(ledger, "held", seconds=60)
    clock.forward(30)
    at = clock()
    assert [each.upload for each in ledger.resumables.expired(at)] == ["early", "late"]
    [early] = ledger.resumables.expired(at, limit=1)
    assert early.upload == "early"
    ledger.resumables.let_go(hold)
    begin(ledger, clock, "at the same time", seconds=0)
    found = ledger.resumables.expired(at)
    assert [each.upload for each in found] == ["early", "held", "at the same time", "late"]
    for number, each in enumerate(found):
        assert ledger.resumables.expired(at, after=each) == found[number + 1 :]


def test_records_are_found_by_whether_they_are_resumable(ledger: Ledger, clock: Clock) -> None:
    """In whichever state."""
    begin(ledger, clock, "u", "v")
    add(ledger, "w")
    ledger.move("v", State.DELETED)
    assert {each.id for each in ledger.find(resumable=True)} == {"u", "v"}
    assert {each.id for each in ledger.find(resumable=False)} == {"w"}
    assert {each.id for each in ledger.find(state=GONE, resumable=True)} == {"v"}


def test_all_are_let_go_where_all_are_known_to_be_dead(ledger: Ledger, clock: Clock) -> None:
    """At a start after `kill -9`: nobody waits for the end of a hold, and nothing else is changed."""
    known = begin(ledger, clock, "u")[0]
    hold = held(ledger)
    assert ledger.resumables.hold("u", seconds=LEASE) is None
    ledger.release()
    assert ledger.resumables.extend_all([hold], seconds=LEASE) == {}
    assert extend(ledger, held(ledger)) is False
    assert ledger.resumables.get("u") == known


def test_a_hold_that_was_taken_since_is_not_let_go(ledger: Ledger, clock: Clock) -> None:
    """Who begins may have been slower than the first requests; one that was extended since is alive as well."""
    begin(ledger, clock, "dead", "alive", "new")
    held(ledger, "dead")
    alive = held(ledger, "alive")
    clock.forward(1)
    began = clock()
    extend(ledger, alive)
    new = held(ledger, "new")
    ledger.release(began)
    assert [extend(ledger, each) for each in (alive, new)] == [False, False]
    held(ledger, "dead")


@pytest.mark.parametrize("own", [True, False], ids=["a ledger each", "one ledger"])
def test_one_of_twenty_threads_holds_it(ledger: Ledger, clock: Clock, place: Place, own: bool) -> None:
    """Also where one had it whose time is over."""
    begin(ledger, clock, "u")
    held(ledger, seconds=0)
    ledgers = [place.ledger(now=clock) for _ in range(RACERS)] if own else [place.ledger(now=clock)] * RACERS
    holds = at_once(lambda number: ledgers[number].resumables.hold("u", seconds=LEASE))
    [hold] = [hold for hold in holds if hold is not None]
    assert extend(ledger, hold) is True


@several
def test_one_of_several_processes_holds_it(ledger: Ledger, clock: Clock, place: Place, racers: int) -> None:
    """Forked from one that has used its ledger."""
    begin(ledger, clock, "u")
    assert sorted(in_processes(place, "hold", racers)) == sorted(["won"] + ["none"] * (racers - 1))


def test_nobody_adds_while_another_does(ledger: Ledger, clock: Clock, place: Place) -> None:
    """Threads take it in turn, each with a ledger of its own: what one reads under its hold nobody changes before it
    has written."""
    begin(ledger, clock, "u", length=0)

    def count(number: int) -> None:
        mine = place.ledger(now=clock)
        for _ in range(5):
            while (hold := mine.resumables.hold("u", seconds=LEASE)) is None:
                pass
            known = mine.resumables.get("u")
            assert known is not None
            assert known.length is not None
            mine.resumables.let_go(hold, length=known.length + 1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    found = ledger.resumables.get("u")
    assert found is not None
    assert found.length == 20


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hold", "extend", "change", "let_go", "forward"]), st.integers(0, 2), st.integers(1, 20)
    ),
    max_size=20,
)


@settings(max_examples=50, deadline=None)
@given(steps=STEPS)
def test_at_each_moment_one_has_it_at_most(steps: list[tuple[str, int, int]]) -> None:
    """Three do what they like, and time goes on: nobody gets it while another one's time is not over, and who has lost
    it changes nothing. In SQLite, since the statements are the same."""
    clock = Clock()
    with TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{Path(folder)}/uploads.db", now=clock)
        begin(ledger, clock, "u", kept="")
        model = _Model(clock)
        for what, who, seconds in steps:
            if what == "forward":
                clock.forward(seconds)
            else:
                _CALLS[what](ledger, model, who, seconds)
            known = ledger.resumables.get("u")
            assert known is not None
            assert known.kept == model.kept
        ledger.close()


class _Model:
    """Who has it by what is promised, and until when."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.holds: dict[int, Hold] = {}
        self.owner: int | None = None
        self.until = clock()
        self.kept = ""

    def keep(self, who: int, seconds: int) -> None:
        self.owner, self.until = who, self.clock() + timedelta(seconds=seconds)


def _hold(ledger: Ledger, model: _Model, who: int, seconds: int) -> None:
    hold = ledger.resumables.hold("u", seconds=seconds)
    assert (hold is not None) == (model.owner is None or model.until <= model.clock())
    if hold is not None:
        model.holds[who] = hold
        model.keep(who, seconds)


def _extend(ledger: Ledger, model: _Model, who: int, seconds: int) -> None:
    if who not in model.holds:
        return
    try:
        extend(ledger, model.holds[who], seconds)
    except KeyError:
        assert model.owner != who
    else:
        assert model.owner == who
        model.keep(who, seconds)


def _change(ledger: Ledger, model: _Model, who: int, seconds: int) -> None:
    if who not in model.holds:
        return
    kept = f"{model.kept}{who}"[-50:]
    try:
        ledger.resumables.change(model.holds[who], kept=kept)
    except UploadChanged:
        assert model.owner != who
    else:
        assert model.owner == who
        model.kept = kept


def _let_go(ledger: Ledger, model: _Model, who: int, seconds: int) -> None:
    if who not in model.holds:
        return
    ledger.resumables.let_go(model.holds[who], kept=f"{model.kept}-")
    if model.owner == who:
        model.owner, model.kept = None, f"{model.kept}-"


_CALLS: dict[str, Callable[[Ledger, _Model, int, int], None]] = {
    "hold": _hold,
    "extend": _extend,
    "change": _change,
    "let_go": _let_go,
}
