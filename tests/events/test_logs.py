"""Facts in the log: one record each, with all that a fact says, for whoever writes it down."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from tests.events.told import FACTS_TOLD, UPLOADED

from uploadkit.events.bus import Events
from uploadkit.events.facts import Fact, FileDeleted, FileScanned, as_json
from uploadkit.events.logs import log


@pytest.mark.parametrize("fact", FACTS_TOLD, ids=lambda fact: fact.name)
def test_a_fact_is_one_record_with_all_that_it_says(fact: Fact, caplog: pytest.LogCaptureFixture) -> None:
    events = Events()
    events.on(retried=True)(log)
    with caplog.at_level(logging.DEBUG, "uploadkit.events"):
        events.publish(fact)
    [record] = caplog.records
    told: Any = record
    assert (told.event, told.upload, told.owner, told.batch) == (fact.name, "u1", fact.owner, fact.batch)
    assert json.loads(json.dumps(told.fact)) == as_json(fact)
    assert record.getMessage() == f"{fact.name} u1"


def test_how_loud_a_fact_is(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "uploadkit.events"):
        for fact in (*FACTS_TOLD, FileScanned(upload="u1", outcome="clean")):
            log(fact)
    assert [record.levelname for record in caplog.records] == [
        "INFO",
        "WARNING",
        "WARNING",
        "DEBUG",
        "INFO",
        "WARNING",
        "INFO",
        "INFO",
    ]


def test_what_a_sender_chose_is_not_in_the_message(caplog: pytest.LogCaptureFixture) -> None:
    """A file name, for one, may be written to look like the next line of the log."""
    with caplog.at_level(logging.DEBUG, "uploadkit.events"):
        log(UPLOADED)
        log(FileDeleted(upload="u1\nERROR forged", reason="x\ny"))
    first, second = (record.getMessage() for record in caplog.records)
    assert "photo.jpg" not in first
    assert "\n" not in second
