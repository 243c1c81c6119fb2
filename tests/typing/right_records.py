"""What type checkers say of a ledger: the twins take and give what their calls do."""

from __future__ import annotations

from typing import assert_type

from uploadkit.events.facts import Fact
from uploadkit.records.ledger import Claim, Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import Accepted, Leftover, Move, Result, UploadRecord, WorkerRecord

ledger = Ledger()


def blocking() -> None:
    assert_type(ledger.move("id", State.STAGED, since=[State.RECEIVING], size=3, tags={"a": "b"}), UploadRecord)
    assert_type(ledger.find(state=State.STAGED, limit=10), list[UploadRecord])
    assert_type(ledger.claim("id", "scan", "1", seconds=60), Claim | None)
    assert_type(ledger.claim("id", "scan", "1", seconds=60, steal=True), Claim | None)
    assert_type(ledger.count(), dict[State, int])
    assert_type(ledger.known_keys("media", ["a"]), set[str])


async def awaited(fact: Fact, file: Accepted, worker: WorkerRecord) -> None:
    added = await ledger.aadd("id", field="photo", filename="me.png", content_type="image/png", owner="ada")
    assert_type(added, UploadRecord)
    assert_type(await ledger.amove("id", State.STAGED, facts=[fact], size=3), UploadRecord)
    assert_type(await ledger.aget("id"), UploadRecord)
    assert_type(await ledger.ahistory("id"), list[Move])
    assert_type(await ledger.aresults("id"), list[Result])
    assert_type(await ledger.aforward(print, limit=3), int)
    assert_type(await ledger.aaccept([file]), list[UploadRecord])
    assert_type(await ledger.aleftovers(), list[Leftover])
    assert_type(await ledger.abeat(worker), WorkerRecord)
    assert_type(await ledger.aworkers(), list[WorkerRecord])
