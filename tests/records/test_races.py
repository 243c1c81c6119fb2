"""Those who race for one record, in threads and in processes: one wins, on both databases."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar

import pytest
from tests.records.ledgers import FILE, Place, add, fact

from uploadkit import RecordExists, UploadChanged
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import Accepted

ROOT = Path(__file__).parents[2]
RACERS = 20
FEW = 4  # processes: `soak` has twenty of them
T = TypeVar("T")


def at_once(call: Callable[[int], T]) -> list[T]:
    """What each of the racers gets, who begin together."""
    barrier = Barrier(RACERS)

    def run(number: int) -> T:
        barrier.wait(60)
        return call(number)

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(run, range(RACERS)))


def in_processes(place: Place, race: str, racers: int) -> list[str]:
    """The same in so many processes, each with the ledger of the parent that they are forked from."""
    command = [sys.executable, "-m", "tests.records.racers", place.url, race, str(racers)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    outcomes: list[str] = json.loads(done.stdout)
    return outcomes


several = pytest.mark.parametrize("racers", [FEW, pytest.param(RACERS, marks=pytest.mark.soak)])


@pytest.mark.parametrize("own", [True, False], ids=["a ledger each", "one ledger"])
def test_one_of_twenty_threads_finishes_a_record(ledger: Ledger, place: Place, own: bool) -> None:
    """The others are told in which state it is by then. One move stands in its history, and one fact is told."""
    add(ledger, "u")
    ledgers = [place.ledger() for _ in range(RACERS)] if own else [place.ledger()] * RACERS

    def finish(number: int) -> str:
        try:
            ledgers[number].move("u", State.STAGED, key=str(number), facts=[fact("u", str(number))])
        except UploadChanged as error:
            return str(error.state)
        return "won"

    outcomes = at_once(finish)
    assert sorted(outcomes) == sorted(["won"] + ["staged"] * (RACERS - 1))
    told: list[object] = []
    ledger.forward(lambda each: told.append(getattr(each, "reason", None)))
    assert told == [str(outcomes.index("won"))] == [ledger.get("u").key]
    assert [move.after for move in ledger.history("u")] == [State.RECEIVING, State.STAGED]


@several
def test_one_of_several_processes_finishes_a_record(ledger: Ledger, place: Place, racers: int) -> None:
    """Forked from one that has used its ledger: each connects anew, and so does the parent go on."""
    add(ledger, "u")
    outcomes = in_processes(place, "finish", racers)
    assert sorted(outcomes) == sorted(["won"] + ["staged"] * (racers - 1))
    assert [move.after for move in ledger.history("u")] == [State.RECEIVING, State.STAGED]
    assert ledger.untold() == 1


@several
def test_one_of_several_processes_has_a_claim(ledger: Ledger, place: Place, racers: int) -> None:
    """The others get none."""
    add(ledger, "u")
    assert sorted(in_processes(place, "claim", racers)) == sorted(["won"] + ["none"] * (racers - 1))


def test_one_of_twenty_threads_has_a_claim_that_is_over(ledger: Ledger, place: Place) -> None:
    """Also where the one who had it has died."""
    add(ledger, "u")
    assert ledger.claim("u", "scan", "1", seconds=-1) is not None
    other = place.ledger()
    claims = [claim for claim in at_once(lambda number: other.claim("u", "scan", "1", seconds=3600)) if claim]
    assert [claim.attempts for claim in claims] == [2]


def test_one_of_twenty_requests_makes_the_record(ledger: Ledger, place: Place) -> None:
    """The same request comes twenty times: the others learn of which upload to tell."""
    other = place.ledger()

    def ask(number: int) -> tuple[bool, str]:
        try:
            return True, other.add(f"u{number}", **FILE, owner="o", idempotency_key="i").id
        except RecordExists as error:
            return False, error.upload

    outcomes = at_once(ask)
    assert [made for made, _ in outcomes].count(True) == 1
    assert {upload for _, upload in outcomes} == {each.id for each in ledger.find()}


def test_twenty_requests_that_accept_the_same_files_do_so_once(ledger: Ledger, place: Place) -> None:
    """In whichever order each names them: nobody waits for ever, and each file is told of once."""
    uploads = [f"u{number}" for number in range(5)]
    add(ledger, *uploads)
    known: dict[str, Any] = {"filename": "a", "content_type": "b", "size": 1, "sha256": None, "storage": "c"}
    other = place.ledger()

    def accept(number: int) -> list[str]:
        order = uploads[number % 5 :] + uploads[: number % 5]
        return [each.id for each in other.accept([Accepted(upload=each, key=str(number), **known) for each in order])]

    outcomes = at_once(accept)
    assert sorted(upload for each in outcomes for upload in each) == uploads
    assert sorted(map(len, outcomes)) == [0] * (RACERS - 1) + [5]
    assert ledger.untold() == 5


def test_one_of_twenty_gets_an_idempotency_key(ledger: Ledger, place: Place) -> None:
    """Each has a record already; the others learn of the one who has it."""
    records = add(ledger, *(f"u{number}" for number in range(RACERS)))
    other = place.ledger()

    def name(number: int) -> tuple[bool, str]:
        try:
            return True, other.change(records[number], owner="o", idempotency_key="i").id
        except RecordExists as error:
            return False, error.upload

    outcomes = at_once(name)
    assert [won for won, _ in outcomes].count(True) == 1
    assert {upload for _, upload in outcomes} == {each.id for each in ledger.find(owner="o", idempotency_key="i")}


@pytest.mark.parametrize("attempt", range(3))
def test_no_object_is_nobodys_while_claims_are_stolen(ledger: Ledger, place: Place, attempt: int) -> None:
    """Twenty steal one claim from each other, and announce what each is about to make. Whoever was told that he may
    make it has it known, handed on to the next one, or in the result."""
    add(ledger, "u")
    other = place.ledger()

    def make(number: int) -> tuple[bool, set[str]]:
        claim = other.claim("u", "variants", "1", seconds=60, steal=True)
        if claim is None:
            return False, set()
        left = {key for _, key in (claim.left or {}).get("objects", ())}
        try:
            other.intend(claim, {"objects": [["media", str(number)]]})
        except UploadChanged:
            return False, left
        return True, left

    outcomes = at_once(make)
    made = {str(number) for number, (may, _) in enumerate(outcomes) if may}
    known = other.known_keys("media", [str(number) for number in range(RACERS)])
    assert made == known.union(*(left for _, left in outcomes))
    assert len(known) <= 1


def test_twenty_begin_to_use_a_database(place: Place) -> None:
    """In SQLite the first of them makes the tables; in PostgreSQL all of them migrate at once."""
    ledgers = [place.ledger() for _ in range(RACERS)]

    def begin(number: int) -> str:
        if not place.is_sqlite:
            ledgers[number].migrate()
        return ledgers[number].add(f"u{number}", **FILE).id

    assert sorted(at_once(begin)) == sorted(f"u{number}" for number in range(RACERS))
    assert ledgers[0].count() == {State.RECEIVING: RACERS}


def test_twenty_databases_are_begun_at_once(tmp_path: Path) -> None:
    """Each has its own tables afterwards."""
    ledgers = [Ledger(f"sqlite:///{tmp_path}/{number}.db") for number in range(RACERS)]
    assert at_once(lambda number: add(ledgers[number], "u")[0].state) == [State.RECEIVING] * RACERS
    assert [ledger.count() for ledger in ledgers] == [{State.RECEIVING: 1}] * RACERS
    for ledger in ledgers:
        ledger.close()


@several
def test_several_processes_begin_to_use_a_database(place: Place, racers: int) -> None:
    """The same, in processes."""
    if not place.is_sqlite:
        place.ledger().migrate()
    assert in_processes(place, "begin", racers) == ["won"] * racers


@pytest.mark.parametrize("attempt", range(3))
def test_what_is_finished_is_seen_by_who_takes_the_upload_away(ledger: Ledger, place: Place, attempt: int) -> None:
    """Twenty processors end while the upload is deleted. Each either has a result that is seen after that, or is told
    that it has worked in vain: nothing that was made is nobody's."""
    add(ledger, "u")
    claims = [ledger.claim("u", f"p{number}", "1", seconds=3600) for number in range(RACERS)]
    other = place.ledger()

    def end(number: int) -> set[str]:
        claim = claims[number]
        assert claim is not None
        if number == RACERS // 2:
            other.move("u", State.DELETED)
            return {result.processor for result in other.results("u")}
        try:
            other.finish(claim, {})
        except UploadChanged:
            return set()
        return {claim.processor}

    outcomes = at_once(end)
    seen = outcomes.pop(RACERS // 2)
    assert seen == set().union(*outcomes)
