"""What a ledger tells of itself, to whoever looks after it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from tests.records.ledgers import Clock, Place, fact

from uploadkit.events.facts import FileDeleted
from uploadkit.records.ledger import Ledger
from uploadkit.records.schema import VERSION


def test_its_version_is_told_without_making_anything(place: Place) -> None:
    """None where there are no tables."""
    ledger = place.ledger()
    assert ledger.version() is None
    if place.is_sqlite:
        assert not os.path.exists(place.url.removeprefix("sqlite:///"))
    ledger.migrate()
    assert ledger.version() == VERSION
    assert place.ledger().version() == VERSION


def test_the_clock_of_its_server_is_told(place: Place, ledger: Ledger) -> None:
    """A file has none."""
    told = ledger.server_time()
    if place.is_sqlite:
        assert told is None
    else:
        assert told is not None
        assert abs(told - datetime.now(UTC)) < timedelta(seconds=5)


def test_how_long_something_waits_to_be_told(ledger: Ledger, clock: Clock) -> None:
    """It is the first that counts."""
    assert ledger.untold_since() is None
    ledger.tell([FileDeleted(upload="a", at=clock.now), fact("b")])
    assert ledger.untold_since() == clock.now
