"""Bodies that others have met: busboy's test suite, and requests that browsers sent, from 2010 on.

The data says what we make of each, and where busboy made something else of it, what and why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from uploadkit import errors
from uploadkit.policy.limits import Limits

from .outcomes import Outcome, Part, in_pieces, outcome, parser_of, parts_of

DATA = json.loads(Path(__file__).with_name("data").joinpath("recorded_clients.json").read_text(encoding="utf-8"))
CASES: dict[str, dict[str, Any]] = {case["name"]: case for case in DATA["cases"]}


def seen(case: dict[str, Any], size: int | None = None) -> Outcome:
    """What we make of a case's body, whole or in chunks of `size` bytes."""
    body = case["body"].encode("latin-1")
    limits = Limits(**case["limits"])
    return outcome(lambda: parser_of(case["content_type"], limits), [body] if size is None else in_pieces(body, size))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_recorded_body_has_its_outcome(case: dict[str, Any]) -> None:
    """What came out on the day it was recorded comes out today, in chunks of any size."""
    whole = seen(case)
    for size in (1, 2, 7, 64):
        assert seen(case, size) == whole
    expected = [
        Part(part["name"], part["data"].encode("latin-1"), part["filename"], part["content_type"])
        for part in case["parts"]
    ]
    assert [part for part in parts_of(whole) if part.ended] == expected
    assert (whole.failure and whole.failure.kind) == (case["error"] and getattr(errors, case["error"]))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_we_make_the_parts_that_busboy_makes_unless_it_is_said_why(case: dict[str, Any]) -> None:
    """A difference from what Express users know has a reason, and a reason stands beside a difference."""
    differs = case["differs"]
    if differs is None:
        return
    ours = [{key: part[key] for key in ("name", "filename", "data")} for part in case["parts"]]
    assert differs["reason"]
    assert (ours, case["error"] is not None) != (differs["parts"], differs["error"])


def test_no_case_was_lost() -> None:
    """A data file that is empty would pass."""
    assert len(CASES) == len(DATA["cases"]) == 55
