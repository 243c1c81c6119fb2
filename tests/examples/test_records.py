"""The example of records: what it says stands on its page; here is what it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from examples import records

from uploadkit.events.facts import Fact
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.testing import FormBuilder

PHOTO = FormBuilder().file("photo", b"\x89PNG\r\n\x1a\n" + bytes(5000), filename="sea.png")


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """In an empty folder."""
    monkeypatch.chdir(tmp_path)
    ledger = Ledger()
    yield ledger
    ledger.close()


def test_a_fact_that_is_told_twice_does_no_harm(ledger: Ledger) -> None:
    """As after a worker that died: one result, one history, and nothing is left to tell."""
    photo = records.take(ledger, PHOTO, request="1")
    assert photo is not None
    told: list[Fact] = []
    while ledger.forward(lambda fact: (told.append(fact), records.hear(ledger, fact))):  # type: ignore[func-returns-value]
        pass
    for fact in told:
        records.hear(ledger, fact)
    assert [move.after for move in ledger.history("photo-1")] == [State.RECEIVING, State.STAGED, State.COMPLETED]
    assert [result.told for result in ledger.results("photo-1")] == [{"kilobytes": 5}]
    assert (len(told), ledger.untold()) == (2, 0)
    record = ledger.get("photo-1")
    assert (record.key, record.sha256, record.size) == (photo.key, photo.digest, 5008)
