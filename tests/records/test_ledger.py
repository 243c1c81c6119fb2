"""What a ledger remembers of uploads: in SQLite and in PostgreSQL the same."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test
from tests.records.ledgers import FILE, Clock, Place, add, fact

from uploadkit import RecordExists, RecordMissing, UploadChanged
from uploadkit.events.facts import Fact, FileUploaded
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import GONE, MOVES, SETTLED, State, states_before
from uploadkit.records.record import Accepted, Move, UploadRecord, WorkerRecord

# Records


def test_a_record_says_what_was_said(ledger: Ledger, clock: Clock) -> None:
    """All of it, and nothing is known yet of what is not stored."""
    said: dict[str, Any] = {
        "field": "photo",
        "filename": "me.png",
        "client_filename": "C:\\mé.png",
        "content_type": "image/png",
        "declared_type": "image/jpeg",
        "batch": "b",
        "owner": "o",
        "idempotency_key": "i",
        "storage": "media",
        "key": "k",
        "priority": 5,
        "tags": {"album": "☃"},
        "expires_at": datetime(2027, 1, 1, tzinfo=UTC),
    }
    record = ledger.add("u", **said)
    assert record == UploadRecord(id="u", state=State.RECEIVING, created_at=clock(), changed_at=clock(), **said)
    assert ledger.get("u") == record


def test_a_moment_is_the_same_in_every_time_zone(ledger: Ledger) -> None:
    """It is kept in UTC; one without a zone is refused."""
    there = datetime(2027, 1, 1, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    [record] = add(ledger, "u", expires_at=there)
    assert record.expires_at == there
    assert record.expires_at.tzinfo is UTC
    with pytest.raises(ValueError, match="a moment has a time zone"):
        add(ledger, "v", expires_at=datetime(2027, 1, 1))


def test_an_id_has_one_record(ledger: Ledger) -> None:
    """The first one stays as it is."""
    [record] = add(ledger, "u")
    with pytest.raises(RecordExists) as caught:
        add(ledger, "u", owner="another")
    assert caught.value.upload == "u"
    assert ledger.get("u") == record
    assert len(ledger.history("u")) == 1


@pytest.mark.parametrize("owner", ["o", None])
def test_an_idempotency_key_has_one_record_of_each_owner(ledger: Ledger, owner: str | None) -> None:
    """Also where nobody owns it; the error says which upload it was. Another owner's key is another one."""
    add(ledger, "u", owner=owner, idempotency_key="i")
    with pytest.raises(RecordExists) as caught:
        add(ledger, "v", owner=owner, idempotency_key="i")
    assert caught.value.upload == "u"
    add(ledger, "w", owner="other", idempotency_key="i")
    add(ledger, "x", "y", owner=owner)
    assert [each.id for each in ledger.find(owner="other", idempotency_key="i")] == ["w"]
    ledger.forget("u")
    add(ledger, "v", owner=owner, idempotency_key="i")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"owner": "o" * 256}, "longer than 255 characters"),
        ({"idempotency_key": "i" * 256}, "longer than 255 characters"),
        ({"batch": "b" * 65}, "longer than 64 characters"),
        ({"filename": "a\0b"}, "text with a NUL"),
    ],
)
def test_what_a_column_does_not_take_is_refused_by_both(ledger: Ledger, said: dict[str, str], reason: str) -> None:
    """The same on the developer's machine as with the database of the service."""
    with pytest.raises(ValueError, match=reason):
        add(ledger, "u", **said)
    with pytest.raises(ValueError, match="longer than 64"):
        add(ledger, "u" * 65)
    assert ledger.count() == {}


def test_the_longest_that_is_taken_is_taken(ledger: Ledger) -> None:
    """Of every character four bytes: no index of PostgreSQL is too small for it."""
    add(ledger, "🦀" * 64, owner="🦀" * 255, idempotency_key="🐙" * 255, batch="🦀" * 64, client_filename="🦀" * 5000)
    ledger.move("🦀" * 64, State.STAGED, storage="disk", key="k" * 1024)
    assert ledger.get("🦀" * 64).key == "k" * 1024


def test_what_there_is_not_is_missing(ledger: Ledger) -> None:
    """Whatever is asked of it; to forget it is no error, and nobody has moves or results of it."""
    add(ledger, "other")
    with pytest.raises(RecordMissing) as caught:
        ledger.get("u")
    assert (caught.value.upload, caught.value.status) == ("u", 404)
    with pytest.raises(RecordMissing):
        ledger.move("u", State.STAGED)
    with pytest.raises(RecordMissing):
        ledger.change(replace(ledger.get("other"), id="u"), size=1)
    with pytest.raises(RecordMissing):
        ledger.claim("u", "scan", "1", seconds=60)
    ledger.forget("u")
    assert (ledger.history("u"), ledger.results("u"), ledger.untold()) == ([], [], 0)


@pytest.mark.parametrize("text", ["none", "", "\0", "b" * 65, "\udcff"])
def test_a_text_that_can_be_no_batch_has_no_records(ledger: Ledger, text: str) -> None:
    """It may come from an address, and is no mistake of the program then."""
    add(ledger, "a", batch="b")
    assert ledger.find(batch=text) == []


# Moves


def test_every_legal_move_is_made_and_every_other_one_is_refused(ledger: Ledger, place: Place, clock: Clock) -> None:
    """All pairs of the table. What was refused has left nothing: no state, no history, no fact."""
    for before in State:
        for after in State:
            upload = f"{before}-{after}"
            add(ledger, upload)
            for state in WAYS[before]:
                ledger.move(upload, state)
            record, history = ledger.get(upload), ledger.history(upload)
            clock.forward(1)
            if after in MOVES[before]:
                moved = ledger.move(upload, after, reason="why", facts=[fact(upload)])
                assert moved == ledger.get(upload) == replace(record, state=after, changed_at=clock(), reason="why")
                assert ledger.history(upload) == [
                    *history,
                    Move(upload=upload, before=before, after=after, at=clock(), reason="why"),
                ]
                assert ledger.forward(lambda fact: None) == 1
            else:
                with pytest.raises(UploadChanged) as caught:
                    ledger.move(upload, after, reason="why", facts=[fact(upload)], size=1)
                assert (caught.value.upload, caught.value.state) == (upload, before)
                assert (ledger.get(upload), ledger.history(upload)) == (record, history)
                assert ledger.untold() == 0


WAYS = {
    State.RECEIVING: [],
    State.STAGED: [State.STAGED],
    State.PROCESSING: [State.STAGED, State.PROCESSING],
    State.COMPLETED: [State.STAGED, State.PROCESSING, State.COMPLETED],
    State.REJECTED: [State.REJECTED],
    State.FAILED: [State.FAILED],
    State.QUARANTINED: [State.STAGED, State.QUARANTINED],
    State.EXPIRED: [State.EXPIRED],
    State.DELETED: [State.DELETED],
}


def test_the_table_has_no_dead_end_but_one() -> None:
    """Everything may be deleted; what is settled or gone is so in the table's own words."""
    assert [state for state in State if not MOVES[state]] == [State.DELETED]
    assert states_before(State.DELETED) == set(State) - {State.DELETED}
    assert states_before(State.RECEIVING) == frozenset()
    assert GONE < SETTLED
    assert all(MOVES[state] <= {State.EXPIRED, State.DELETED} for state in GONE)


def test_a_move_is_made_since_the_states_that_are_named(ledger: Ledger) -> None:
    """From another one, though the table knows that way, it is refused; what no upload does is a mistake."""
    add(ledger, "u")
    with pytest.raises(UploadChanged, match="the upload is receiving, and does not become failed"):
        ledger.move("u", State.FAILED, since={State.PROCESSING})
    assert ledger.move("u", State.FAILED, since=[State.RECEIVING, State.PROCESSING]).state is State.FAILED
    with pytest.raises(ValueError, match="no upload becomes completed that is deleted or receiving"):
        ledger.move("u", State.COMPLETED, since={State.RECEIVING, State.PROCESSING, State.DELETED})


def test_a_move_says_what_has_become_known(ledger: Ledger) -> None:
    """What is not named stays; what is no such thing is a mistake, and above all the state itself."""
    add(ledger, "u", tags={"a": "b"})
    known: dict[str, Any] = {
        "size": 2**40,
        "sha256": "0" * 64,
        "storage": "disk",
        "key": "a/b",
        "content_type": "text/plain",
    }
    record = ledger.move("u", State.STAGED, **known)
    assert record == replace(ledger.get("u"), tags={"a": "b"}, filename="me.png", **known)
    for unknown in ({"sise": 3}, {"id": "v"}, {"previous": "deleted"}):
        with pytest.raises(TypeError, match=f"this does not change: {next(iter(unknown))}"):
            ledger.move("u", State.PROCESSING, **unknown)
    assert ledger.get("u") == record


def test_a_file_goes_elsewhere_once(ledger: Ledger, clock: Clock) -> None:
    """Of two who take it from where it was one wins; the other is told, and has changed nothing."""
    add(ledger, "u")
    staged = ledger.move("u", State.STAGED, storage="staging", key="k", size=3)
    clock.forward(1)
    moved = ledger.change(staged, storage="media", key="k2", facts=[fact("u", "promoted")])
    assert moved == replace(staged, storage="media", key="k2", changed_at=clock()) == ledger.get("u")
    with pytest.raises(UploadChanged, match="lies elsewhere by now"):
        ledger.change(staged, storage="other", facts=[fact("u")])
    assert ledger.change(moved, tags={"a": "b"}).tags == {"a": "b"}
    ledger.move("u", State.DELETED)
    with pytest.raises(UploadChanged, match="is deleted by now"):
        ledger.change(moved, storage="other")
    assert (ledger.get("u").storage, ledger.untold(), len(ledger.history("u"))) == ("media", 1, 3)


def test_what_is_forgotten_leaves_nothing_but_what_is_to_be_told(ledger: Ledger) -> None:
    """The record, its history and its results go; that it was deleted is still told."""
    add(ledger, "u", "v")
    claim = ledger.claim("u", "scan", "1", seconds=60)
    assert claim is not None
    ledger.finish(claim, {})
    ledger.move("u", State.DELETED, facts=[fact("u")])
    ledger.forget("u")
    assert (ledger.history("u"), ledger.results("u"), ledger.count()) == ([], [], {State.RECEIVING: 1})
    told: list[Fact] = []
    ledger.forward(told.append)
    assert [each.upload for each in told] == ["u"]


@pytest.mark.parametrize("owner", ["o", None])
def test_an_upload_does_not_take_anothers_idempotency_key(ledger: Ledger, owner: str | None) -> None:
    """Neither by its key, nor by its owner: it stays as it was, in its state, and nothing is told."""
    add(ledger, "u", owner=owner, idempotency_key="i")
    [record, keyed] = [*add(ledger, "v", owner=owner), *add(ledger, "w", owner="other", idempotency_key="i")]
    calls: list[Callable[[], object]] = [
        lambda: ledger.move("v", State.STAGED, idempotency_key="i", facts=[fact("v")]),
        lambda: ledger.change(record, idempotency_key="i", facts=[fact("v")]),
        lambda: ledger.change(keyed, owner=owner, facts=[fact("w")]),
    ]
    for call in calls:
        with pytest.raises(RecordExists) as caught:
            call()
        assert caught.value.upload == "u"
    assert (ledger.get("v"), ledger.get("w"), ledger.untold()) == (record, keyed, 0)
    assert [move.after for move in ledger.history("v")] == [State.RECEIVING]


def test_whose_an_upload_is_becomes_known_later(ledger: Ledger) -> None:
    """A handler knows it, where whoever began the record did not. Its own key is in nobody's way."""
    [record] = add(ledger, "u", idempotency_key="i")
    changed = ledger.change(record, owner="o", idempotency_key="i", priority=1)
    assert changed == replace(record, owner="o", priority=1) == ledger.get("u")
    moved = ledger.move("u", State.STAGED, owner="p", idempotency_key="j", priority=None)
    assert (moved.owner, moved.idempotency_key, moved.priority) == ("p", "j", None)
    add(ledger, "v", owner="o", idempotency_key="i")
    with pytest.raises(UploadChanged):
        ledger.change(record, owner="o", key="i")
    with pytest.raises(RecordMissing):
        ledger.move("w", State.STAGED, owner="o")


# Accepting


def accepted(upload: str, **more: Any) -> Accepted:
    """A file of which all is stored."""
    known: dict[str, Any] = {"filename": "sea.png", "content_type": "image/png", "size": 3, "sha256": "0" * 64}
    return Accepted(upload=upload, **known | {"storage": "media", "key": f"{upload}.png"} | more)


def test_what_a_request_has_sent_is_accepted_at_once(ledger: Ledger, clock: Clock) -> None:
    """Each record says what became known of its file, and a fact is written, of the owner and the batch that it has."""
    add(ledger, "b", "a", batch="1", owner="o", priority=5)
    before = ledger.get("b")
    clock.forward(1)
    moved = ledger.accept([accepted("b"), accepted("a", sha256=None, size=2**40)])
    assert moved == [ledger.get("b"), ledger.get("a")]
    known: dict[str, Any] = {"filename": "sea.png", "sha256": "0" * 64, "size": 3, "storage": "media", "key": "b.png"}
    assert moved[0] == replace(before, state=State.STAGED, changed_at=clock(), **known)
    last = ledger.history("b")[-1]
    assert last == Move(upload="b", before=State.RECEIVING, after=State.STAGED, at=clock())
    told: list[Fact] = []
    ledger.forward(told.append)
    known["content_type"] = "image/png"
    assert told[0] == FileUploaded(upload="b", owner="o", batch="1", id=told[0].id, at=told[0].at, **known)
    assert isinstance(told[1], FileUploaded)
    assert (told[1].upload, told[1].sha256, told[1].size, len(told)) == ("a", None, 2**40, 2)
    assert ledger.accept([]) == []


def test_what_was_accepted_before_or_deleted_meanwhile_is_passed_over(ledger: Ledger) -> None:
    """It stays as it is, and the others are accepted; the same file twice is one."""
    for state, way in WAYS.items():
        if state not in {State.RECEIVING, State.FAILED, State.REJECTED, State.EXPIRED}:
            add(ledger, state)
            for each in way:
                ledger.move(state, each)
    add(ledger, "failed later", "u")
    ledger.move("failed later", State.STAGED)
    ledger.move("failed later", State.FAILED, reason="why")
    before = [each for each in ledger.find() if each.id != "u"]
    moved = ledger.accept([accepted(each.id) for each in before] + [accepted("u"), accepted("u", size=4)])
    assert [each.id for each in moved] == ["u"]
    assert [each for each in ledger.find() if each.id != "u"] == before
    assert (len(before), ledger.untold(), moved[0].size) == (6, 1, 3)


@pytest.mark.parametrize("state", [State.REJECTED, State.EXPIRED, State.FAILED, None])
def test_where_one_file_is_lost_none_is_accepted(ledger: Ledger, state: State | None) -> None:
    """One that was rejected, is expired, has failed before it was stored, or was forgotten."""
    add(ledger, "a", "u", "z")
    if state is None:
        ledger.forget("u")
    else:
        ledger.move("u", state)
    before = ledger.find()
    with pytest.raises(RecordMissing if state is None else UploadChanged) as caught:
        ledger.accept([accepted("z"), accepted("a"), accepted("u")])
    assert caught.value.upload == "u"
    assert getattr(caught.value, "state", None) == state
    with pytest.raises(ValueError, match="longer than"):
        ledger.accept([accepted("a"), accepted("z", key="k" * 1025)])
    assert (ledger.find(), ledger.untold()) == (before, 0)


# Finding


def test_what_is_found_is_what_was_asked_for(ledger: Ledger, clock: Clock) -> None:
    """By each of what may be asked, and by two at once; the newest first."""
    add(ledger, "a", owner="o", batch="1")
    clock.forward(1)
    add(ledger, "b", owner="o", batch="2", expires_at=clock() + timedelta(seconds=10))
    clock.forward(1)
    add(ledger, "c", batch="2")
    ledger.move("a", State.STAGED, storage="disk", key="k")

    def found(**asked: Any) -> list[str]:
        return [each.id for each in ledger.find(**asked)]

    assert found() == ["c", "b", "a"]
    assert found(state=State.RECEIVING) == ["c", "b"]
    assert found(state={State.STAGED, State.DELETED}) == ["a"]
    assert found(state=[]) == []
    assert found(owner="o") == ["b", "a"]
    assert found(owner="o", batch="2") == ["b"]
    assert found(storage="disk", key="k") == ["a"]
    assert found(key_known=True) == found(state=State.STAGED, key_known=True) == ["a"]
    assert found(key_known=False) == ["c", "b"]
    assert found(field="photo", owner="o", key_known=False) == ["b"]
    assert found(field="cv") == []
    assert found(changed_before=clock()) == ["b"]
    assert found(expired_at=clock() + timedelta(seconds=9)) == ["b"]
    assert found(expired_at=clock()) == []
    assert found(limit=2) == ["c", "b"]
    claim = ledger.claim("c", "copies", "d", seconds=5)
    assert claim is not None
    ledger.intend(claim, {"objects": [["media", "made"]]})
    assert found(has_results=True) == []
    ledger.finish(claim, {"objects": [["media", "made"]]})
    assert (found(has_results=True), found(has_results=False)) == (["c"], ["b", "a"])
    assert ledger.storages() == {"disk", "media"}
    assert ledger.count() == {State.RECEIVING: 2, State.STAGED: 1}


def test_a_move_may_ask_that_the_time_is_over(ledger: Ledger, clock: Clock) -> None:
    """An upload that was given more time, or has no end, stays as it is."""
    for upload, expires_at in (("a", clock() + timedelta(seconds=10)), ("b", None)):
        add(ledger, upload, expires_at=expires_at)
        with pytest.raises(UploadChanged):
            ledger.move(upload, State.EXPIRED, expired_at=clock() + timedelta(seconds=9))
        assert ledger.get(upload).state is State.RECEIVING
    assert ledger.move("a", State.EXPIRED, expired_at=clock() + timedelta(seconds=10)).state is State.EXPIRED


def test_pages_hold_while_records_are_added(ledger: Ledger, clock: Clock) -> None:
    """Each of the records that there were is on one page, also where several are of the same moment."""
    for number in range(25):
        add(ledger, f"{number:02}", f"{number:02}-same")
        clock.forward(number % 2)
    seen: list[UploadRecord] = []
    while page := ledger.find(after=seen[-1] if seen else None, limit=7):
        seen += page
        clock.forward(1)
        add(ledger, *(f"new-{len(seen)}-{number}" for number in range(3)))
    assert len(seen) == len({each.id for each in seen}) == 50
    assert not [each.id for each in seen if each.id.startswith("new")]
    assert seen == sorted(seen, key=lambda each: (each.created_at, each.id), reverse=True)


# Claims


def test_a_claim_is_one_persons_until_its_time_is_over(ledger: Ledger, clock: Clock) -> None:
    """Then it is another's, who does it; whoever had it before is told at the end, and nothing of his is kept."""
    add(ledger, "u")
    first = ledger.claim("u", "scan", "1", seconds=60)
    assert first is not None
    assert ledger.claim("u", "scan", "1", seconds=60) is None
    assert ledger.claim("u", "scan", "2", seconds=60) is not None, "another digest is other work"
    clock.forward(59)
    ledger.extend(first, seconds=60)
    clock.forward(59)
    assert ledger.claim("u", "scan", "1", seconds=60) is None
    clock.forward(1)
    second = ledger.claim("u", "scan", "1", seconds=60)
    assert second is not None
    assert (first.attempts, second.attempts) == (1, 2)
    with pytest.raises(UploadChanged) as caught:
        ledger.finish(first, {"by": "first"}, facts=[fact("u")])
    assert caught.value.state is None
    with pytest.raises(UploadChanged):
        ledger.extend(first, seconds=60)
    ledger.give_back(first)
    assert ledger.claim("u", "scan", "1", seconds=60) is None, "what is somebody else's is not given back"
    ledger.finish(second, {"by": "second"}, facts=[fact("u")])
    [result] = ledger.results("u")
    assert (result.told, result.digest, result.at, ledger.untold()) == ({"by": "second"}, "1", clock(), 1)
    clock.forward(3600)
    assert ledger.claim("u", "scan", "1", seconds=60) is None, "it is done"


def test_what_is_late_and_nobody_elses_is_finished(ledger: Ledger, clock: Clock) -> None:
    """Nobody has claimed it meanwhile: it is done, once."""
    add(ledger, "u")
    claim = ledger.claim("u", "scan", "1", seconds=60)
    assert claim is not None
    clock.forward(3600)
    ledger.finish(claim, {"found": None})
    with pytest.raises(UploadChanged):
        ledger.finish(claim, {"found": None})
    assert [each.told for each in ledger.results("u")] == [{"found": None}]


def test_what_is_given_back_may_be_claimed_at_once(ledger: Ledger) -> None:
    """And what was undone, again."""
    add(ledger, "u")
    for attempt in (1, 2):
        claim = ledger.claim("u", "scan", "1", seconds=60)
        assert claim is not None
        assert claim.attempts == attempt
        ledger.give_back(claim)
    claim = ledger.claim("u", "scan", "1", seconds=60)
    assert claim is not None
    ledger.finish(claim, {})
    [result] = ledger.results("u")
    ledger.undo(result)
    ledger.undo(result)
    assert ledger.results("u") == []
    assert ledger.claim("u", "scan", "1", seconds=60) is not None


@pytest.mark.parametrize("over", [*sorted(GONE), None])
def test_nothing_is_finished_of_an_upload_that_is_over(ledger: Ledger, over: State | None) -> None:
    """Whoever takes it away and asks for its results has all of them; where its record is gone too, likewise."""
    add(ledger, "u")
    claim = ledger.claim("u", "scan", "1", seconds=60)
    assert claim is not None
    if over is None:
        ledger.forget("u")
    else:
        ledger.move("u", over)
    with pytest.raises(UploadChanged) as caught:
        ledger.finish(claim, {}, facts=[fact("u")])
    assert caught.value.state == over
    assert (ledger.results("u"), ledger.untold()) == ([], 0)


def test_what_is_no_json_is_not_kept(ledger: Ledger) -> None:
    """It is a mistake of the program, and the claim is as it was."""
    add(ledger, "u")
    claim = ledger.claim("u", "scan", "1", seconds=60)
    assert claim is not None
    with pytest.raises(TypeError, match="not JSON serializable"):
        ledger.finish(claim, {"picture": b""})
    ledger.finish(claim, {"picture": ""})


# Who works


def test_a_worker_is_known_from_its_first_beat_until_it_retires(ledger: Ledger, clock: Clock) -> None:
    """The oldest first. Each beat is written over the one before, and is of the moment at which it came."""
    began = clock()
    first = WorkerRecord(id="w", host="h", pid=2**31, queues=("images", "bulk"), began_at=began, seen_at=began)
    clock.forward(5)
    assert ledger.beat(first) == replace(first, seen_at=clock())
    second = ledger.beat(replace(first, id="v", began_at=clock(), queues=()))
    clock.forward(5)
    assert ledger.workers() == [replace(first, seen_at=second.seen_at), second]
    first = ledger.beat(replace(first, queues=("videos",)))
    assert ledger.workers() == [first, second]
    assert ledger.workers(seen_since=clock()) == [first]
    ledger.retire("w")
    ledger.retire("w")
    assert ledger.workers() == [second]


# For an event loop


def test_every_call_has_an_async_twin(ledger: Ledger) -> None:
    """But for those that are made when a program starts and ends; it takes the same, and gives the same."""
    calls = {name for name, _ in inspect.getmembers(Ledger, inspect.isfunction) if not name.startswith("_")}
    twins = {name for name in calls if inspect.iscoroutinefunction(getattr(Ledger, name))}
    assert calls - twins - {"migrate", "release", "close"} == {name[1:] for name in twins}

    async def life() -> list[State]:
        await ledger.aadd("u", **FILE)
        await ledger.amove("u", State.STAGED, facts=[fact("u")])
        told: list[Fact] = []
        assert await ledger.aforward(told.append) == 1
        assert told == [fact("u")] or told[0].upload == "u"
        with pytest.raises(RecordMissing):
            await ledger.aget("v")
        return [move.after for move in await ledger.ahistory("u")]

    assert asyncio.run(life()) == [State.RECEIVING, State.STAGED]


# Against a model


def test_any_sequence_of_calls_is_as_the_table_says(ledger: Ledger, clock: Clock) -> None:
    """Records in memory and in the ledger stay the same, with their histories."""

    class Lives(RuleBasedStateMachine):
        uploads: Bundle[str] = Bundle("uploads")

        def __init__(self) -> None:
            super().__init__()
            for each in ledger.find(limit=1000):
                ledger.forget(each.id)
            self.states: dict[str, State] = {}
            self.moves: dict[str, list[State]] = {}

        @rule(target=uploads, number=st.integers(0, 5))
        def adds(self, number: int) -> str:
            upload = f"u{number}"
            if upload in self.states:
                with pytest.raises(RecordExists):
                    add(ledger, upload)
            else:
                add(ledger, upload)
                self.states[upload] = State.RECEIVING
                self.moves[upload] = [State.RECEIVING]
            return upload

        @rule(upload=uploads, state=st.sampled_from(State))
        def moves_on(self, upload: str, state: State) -> None:
            clock.forward(1)
            if upload not in self.states:
                with pytest.raises(RecordMissing):
                    ledger.move(upload, state)
            elif state in MOVES[self.states[upload]]:
                ledger.move(upload, state)
                self.states[upload] = state
                self.moves[upload].append(state)
            else:
                with pytest.raises(UploadChanged):
                    ledger.move(upload, state)

        @rule(upload=consumes(uploads))
        def forgets(self, upload: str) -> None:
            ledger.forget(upload)
            self.states.pop(upload, None)
            self.moves.pop(upload, None)

        @invariant()
        def is_the_same(self) -> None:
            assert {each.id: each.state for each in ledger.find()} == self.states
            for upload, states in self.moves.items():
                history = ledger.history(upload)
                assert [move.after for move in history] == states
                assert [move.before for move in history] == [None, *states[:-1]]

    few = settings(max_examples=15, stateful_step_count=15, deadline=None)
    run_state_machine_as_test(Lives, settings=few)
