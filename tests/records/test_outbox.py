"""What is to be told is told: at least once, in its order for each upload, whoever dies."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import text
from tests.records.ledgers import Clock, Place, add, fact
from tests.soak import scaled

from uploadkit import UploadChanged
from uploadkit.events.facts import Fact, FileDeleted, FileUploaded
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State

ROOT = Path(__file__).parents[2]


def what(told: Fact) -> tuple[str, str]:
    """Of a fact that the tests have made."""
    assert isinstance(told, FileDeleted)
    return told.upload, told.reason


def test_what_was_written_with_a_move_is_told_as_it_was(ledger: Ledger) -> None:
    """Once; what has been told is gone."""
    add(ledger, "u", owner="o")
    told: list[Fact] = []
    uploaded = FileUploaded(
        upload="u", owner="o", filename="é.png", content_type="image/png", size=2**40, storage="disk", key="k"
    )
    ledger.move("u", State.STAGED, facts=[uploaded])
    assert ledger.untold() == 1
    assert ledger.forward(told.append) == 1
    assert told == [uploaded]
    assert (ledger.forward(told.append), ledger.untold()) == (0, 0)


def test_a_move_that_is_refused_tells_nothing(ledger: Ledger) -> None:
    """Nor does one whose facts cannot be written: then it is not made either."""
    add(ledger, "u")
    with pytest.raises(UploadChanged):
        ledger.move("u", State.COMPLETED, facts=[fact("u")])
    with pytest.raises(TypeError):
        ledger.move("u", State.STAGED, facts=[fact("u"), FileDeleted(upload="u", reason=b"bytes")])  # type: ignore[arg-type]
    assert (ledger.untold(), ledger.get("u").state) == (0, State.RECEIVING)


def test_facts_of_one_upload_keep_their_order_and_others_do_not_wait(ledger: Ledger, clock: Clock) -> None:
    """A fact that cannot be told holds back what comes after it of its own upload, and nothing else; it is told again
    after a second, then two, then four."""
    ledger.tell(fact(upload, str(number)) for number in range(3) for upload in "abc")
    told: list[tuple[str, str]] = []
    tried: list[tuple[str, str]] = []
    healthy = False

    def deliver(each: Fact) -> None:
        tried.append(what(each))
        if each.upload == "b" and not healthy:
            raise OSError("nobody listens")
        told.append(what(each))

    assert ledger.forward(deliver) == 6
    assert sorted(told) == [(upload, str(number)) for upload in "ac" for number in range(3)]
    for wait in (1, 2, 4):
        clock.forward(wait - 0.001)
        assert ledger.forward(deliver) == 0
        clock.forward(0.001)
        tried.clear()
        assert ledger.forward(deliver) == 0
        assert tried == [("b", "0")], "it was its time, and nothing overtook it"
    healthy = True
    clock.forward(8)
    assert ledger.forward(deliver) == 3
    assert told[6:] == [("b", "0"), ("b", "1"), ("b", "2")]


def test_what_could_not_be_told_comes_after_what_was_not_tried(ledger: Ledger, clock: Clock) -> None:
    """It may take long again."""
    ledger.tell([fact("a"), fact("b")])
    assert ledger.forward(lambda each: 1 / 0) == 0
    ledger.tell([fact("c")])
    clock.forward(1)
    told: list[str] = []
    assert ledger.forward(lambda each: told.append(each.upload)) == 3
    assert told == ["c", "a", "b"]


def test_a_fact_that_nobody_can_read_holds_back_its_own_upload_alone(ledger: Ledger, place: Place) -> None:
    """A newer version on another machine may have written it: it stays for that one."""
    ledger.tell([fact("a", "unknown"), fact("a", "next"), fact("b")])
    with ledger._database.writing() as connection:
        connection.execute(text("""UPDATE uploadkit_outbox SET fact = '{"name": "file.new"}' WHERE id = 1"""))
    told: list[Fact] = []
    assert ledger.forward(told.append) == 1
    assert (told[0].upload, ledger.untold()) == ("b", 2)


def test_the_limit_is_one_of_facts(ledger: Ledger) -> None:
    """Those that could not be told count as well: one call ends."""
    ledger.tell(fact(upload, str(number)) for upload in "abc" for number in range(3))
    assert ledger.forward(lambda each: None, limit=4) == 4
    assert ledger.untold() == 5
    assert ledger.forward(lambda each: 1 / 0, limit=4) == 0
    assert ledger.untold() == 5


def test_a_process_that_is_interrupted_lets_go(ledger: Ledger) -> None:
    """Ctrl-C in the middle: what it had taken is told by the next one at once."""

    def deliver(each: Fact) -> None:
        raise KeyboardInterrupt

    ledger.tell([fact("a"), fact("b")])
    with pytest.raises(KeyboardInterrupt):
        ledger.forward(deliver)
    assert ledger.forward(lambda each: None) == 2


def test_what_is_taken_is_nobody_elses_for_its_time(ledger: Ledger, place: Place, clock: Clock) -> None:
    """One who is slow begins nothing that he could not end in time; a second one takes over, in order. What the slow
    one had begun is told twice, and later facts are not lost by it."""
    other = place.ledger(now=clock)
    ledger.tell([fact("a", "0"), fact("b", "0")])
    by_slow: list[tuple[str, str]] = []
    by_other: list[tuple[str, str]] = []

    def slow(each: Fact) -> None:
        by_slow.append(what(each))
        if len(by_slow) == 1:
            assert other.forward(lambda each: by_other.append(what(each)), seconds=10) == 0
            clock.forward(21)
            other.tell([fact("a", "1")])
            assert other.forward(lambda each: by_other.append(what(each)), seconds=10) == 3
            other.tell([fact("c", "0")])

    assert ledger.forward(slow, seconds=10) == 2
    assert by_slow == [("a", "0"), ("c", "0")]
    assert by_other == [("a", "0"), ("b", "0"), ("a", "1")]
    assert ledger.untold() == 0


def test_who_is_slow_lets_go_of_nothing_that_is_anothers(ledger: Ledger, place: Place, clock: Clock) -> None:
    """While the second process is at it, a third one gets nothing."""
    other = place.ledger(now=clock)
    ledger.tell([fact("a"), fact("b")])

    taken: list[list[str]] = []

    def slow(each: Fact) -> None:
        clock.forward(21)
        taken.append([mine.upload for mine in other._take(10, 10)])

    assert ledger.forward(slow, seconds=10) == 1
    assert taken == [["a", "b"]]
    assert (other.forward(lambda each: None), ledger.untold()) == (0, 1)
    clock.forward(20)
    assert other.forward(lambda each: None) == 1


def test_several_forward_at_once(place: Place) -> None:
    """Each fact is told once, since none of them dies, and each upload's in its order, while more are written."""
    writer = place.ledger()
    writer.migrate()
    told: dict[str, list[str]] = defaultdict(list)
    by: set[int] = set()
    written, together = Event(), Event()

    def forward(number: int) -> None:
        ledger = place.ledger()

        def deliver(each: Fact) -> None:
            upload, reason = what(each)
            told[upload].append(reason)
            by.add(number)
            if len(by) > 1:
                together.set()
            assert together.wait(60), "nobody is alone: one does not take all that there is"

        while not written.is_set() or ledger.untold():
            ledger.forward(deliver, limit=5)

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(forward, number) for number in range(4)]
        for number in range(8):
            writer.tell(fact(f"u{upload}", str(number)) for upload in range(8))
        written.set()
        for each in running:
            each.result(60)
    assert told == {f"u{upload}": [str(number) for number in range(8)] for upload in range(8)}


def test_a_killed_process_loses_nothing(place: Place, tmp_path: Path) -> None:
    """`kill -9` before the move, between the move and the telling, before a fact is delivered, and after."""
    lose_nothing(place, tmp_path / "told", rounds=12)


@pytest.mark.soak
def test_a_hundred_killed_processes_lose_nothing(place: Place, tmp_path: Path) -> None:
    """The same, more often."""
    lose_nothing(place, tmp_path / "told", rounds=scaled(100, at_least=12))


def lose_nothing(place: Place, told: Path, *, rounds: int) -> None:
    """Each upload whose move was made is told of, all of it and in order; what is told twice is told twice in a row."""
    place.ledger().migrate()
    command = [sys.executable, "-m", "tests.records.doomed", place.url, str(told), str(rounds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    ledger = place.ledger()
    staged = {each.id for each in ledger.find(state=State.STAGED, limit=1000)}
    assert len(staged) == sum(number % 4 != 0 for number in range(rounds)), "a quarter has died before"
    assert ledger.untold() == 0
    lines = told.read_text().split()
    for upload in staged:
        mine = [line.partition(":")[2] for line in lines if line.partition(":")[0] == upload]
        assert [line for line, _ in groupby(mine)] == ["0", "1", "2"]
    assert {line.partition(":")[0] for line in lines} == staged
    assert len(lines) > 3 * len(staged), "something was told twice, since it had died after it"


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_delivery_takes_time(ledger: Ledger, seconds: float) -> None:
    """Without any nothing would ever be delivered, and whoever forwards until nothing is left would not end."""
    with pytest.raises(ValueError, match="more than 0"):
        ledger.forward(print, seconds=seconds)
