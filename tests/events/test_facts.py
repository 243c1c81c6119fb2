"""Facts as values: they come out of JSON as they went in, and nothing else comes out of it."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.events.told import AT, FACTS_TOLD, UPLOADED

from uploadkit.events.facts import (
    FACTS,
    Fact,
    FileDeleted,
    FileProcessed,
    UnknownFact,
    as_json,
    decode,
    encode,
    from_json,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
VALUES = {
    "str": st.text(),
    "str | None": st.none() | st.text(),
    "int": st.integers(),
    "datetime": st.datetimes(timezones=st.timezones()),
    "Mapping[str, Any]": st.dictionaries(st.text(), JSON, max_size=4),
}


def facts() -> st.SearchStrategy[Fact]:
    """Facts of every kind, with every member that they have."""
    return st.one_of(
        *(st.builds(kind, **{each.name: VALUES[str(each.type)] for each in fields(kind)}) for kind in FACTS.values())
    )


@given(facts())
def test_a_fact_comes_out_of_json_as_it_went_in(fact: Fact) -> None:
    """Whatever is in it, and in whatever time zone it was."""
    told = encode(fact)
    assert decode(told) == fact
    assert from_json(json.loads(told)) == fact
    assert fact.at.tzinfo is UTC


@pytest.mark.parametrize("fact", FACTS_TOLD, ids=lambda fact: fact.name)
def test_every_kind_of_fact_goes_through_json(fact: Fact) -> None:
    """Once each, and the list has them all."""
    assert decode(encode(fact)) == fact
    assert {type(each) for each in FACTS_TOLD} == set(FACTS.values())


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_what_is_no_fact_is_a_value_error(told: bytes) -> None:
    """Bytes of any kind, and JSON of any kind."""
    with pytest.raises(ValueError, match=r"^this (is|version knows) no "):
        decode(told)


@given(st.sampled_from(FACTS_TOLD), st.data())
def test_a_fact_with_a_member_of_another_kind_is_a_value_error_or_a_fact(fact: Fact, data: st.DataObject) -> None:
    """One member is replaced by any JSON: what comes out, if anything, is of the types that it says."""
    told = as_json(fact)
    told[data.draw(st.sampled_from(sorted(told)))] = data.draw(JSON)
    try:
        found = from_json(told)
    except ValueError:
        return
    assert from_json(json.loads(encode(found))) == found
    for each in fields(found):
        value = getattr(found, each.name)
        assert type(value) in (str, int, dict, datetime, type(None))


@pytest.mark.parametrize("member", [name for name in as_json(UPLOADED) if name not in ("owner", "batch", "sha256")])
def test_a_fact_without_a_member_is_none(member: str) -> None:
    """Neither is one made up: an id of its own would make a fact that comes twice look like two."""
    told = as_json(UPLOADED)
    del told[member]
    with pytest.raises(ValueError, match="no f"):
        from_json(told)


@pytest.mark.parametrize(
    "told",
    [
        b"[" * 100_000,
        b'{"name": "file.deleted", "results": NaN}',
        b'{"name": "file.deleted", "upload": "u", "id": "i", "at": "0001-01-01T00:00:00+23:59"}',
        b'{"name": "file.deleted", "upload": "u", "id": "i", "at": "2026-01-01T00:00:00"}',
        b'{"name": "file.deleted", "upload": "u", "id": "i", "at": 5}',
        b'{"name": ["file.deleted"], "upload": "u"}',
        b"9" * 10_000,
        b"\xff\xfe\x00",
    ],
    ids=["deep", "nan", "before the first year", "no zone", "number", "list", "long number", "no text"],
)
def test_a_hostile_message_is_a_value_error(told: bytes) -> None:
    with pytest.raises(ValueError, match=r"^this (is|version knows) no "):
        decode(told)


def test_members_of_a_newer_version_are_left_out() -> None:
    told = as_json(UPLOADED) | {"colour": "red"}
    assert from_json(told) == UPLOADED


def test_a_fact_of_a_newer_version_is_told_apart_from_what_is_none() -> None:
    with pytest.raises(UnknownFact) as raised:
        from_json(as_json(UPLOADED) | {"name": "file.watermarked"})
    assert raised.value.name == "file.watermarked"


def test_a_moment_is_kept_in_utc() -> None:
    """So that equal moments are equal, also in the hour that a zone has twice."""
    there = AT.astimezone(timezone(timedelta(hours=-5)))
    told = as_json(FileDeleted(upload="u1", at=there))
    assert told["at"] == "2026-11-26T09:30:00.250000+00:00"


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="a moment has a time zone"):
        FileDeleted(upload="u1", at=datetime(2026, 11, 26))


def test_a_fact_is_frozen_and_can_be_in_a_set() -> None:
    """Also one with results, which are a dict."""
    fact: Any = FileProcessed(upload="u1", results={"variants": {}})
    with pytest.raises(FrozenInstanceError):
        fact.upload = "u2"
    assert fact in {fact}


def test_every_fact_has_an_id_of_its_own() -> None:
    assert len({FileDeleted(upload="u1").id for _ in range(100)}) == 100


def test_results_that_are_no_json_are_told_when_they_are_encoded() -> None:
    with pytest.raises(TypeError):
        encode(FileProcessed(upload="u1", results={"variants": object()}))
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(FileProcessed(upload="u1", results={"seconds": float("nan")}))
