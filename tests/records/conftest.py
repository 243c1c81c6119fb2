"""Ledgers in both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres import PostgresServer
from tests.records.ledgers import Clock, Place

from uploadkit.records.ledger import Ledger

KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))]


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty database, where nothing is left behind."""
    if request.param == "sqlite":
        with Place(url=f"sqlite:///{tmp_path}/uploads.db").closed() as place:
            yield place
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    database = server.create()
    try:
        with Place(url=server.url(database), server=server, database=database).closed() as place:
            yield place
    finally:
        server.drop(database)


@pytest.fixture
def clock() -> Clock:
    """The time that the ledger is told."""
    return Clock()


@pytest.fixture
def ledger(place: Place, clock: Clock) -> Ledger:
    """One that is empty, and has its tables."""
    ledger = place.ledger(now=clock)
    ledger.migrate()
    return ledger
