"""Which bytes a request gets: by cases from the RFC, and against an oracle that counts bytes one by one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given as example_of
from hypothesis import strategies as st
from starlette.datastructures import Headers

from uploadkit.service.ranges import LONGEST, Given, Held, given

MADE = datetime(1994, 11, 6, 8, 49, 37, 500_000, tzinfo=UTC)
FILE = Held(size=10, etag='"this"', modified=MADE)

IMF = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"

WHOLE = Given(status=200, end=10)
KNOWN = Given(status=304)
OTHER = Given(status=412)
NOTHING = Given(status=416)


def part(start: int, end: int) -> Given:
    return Given(status=206, start=start, end=end)


def asked(*lines: tuple[str, str], method: str = "GET", file: Held = FILE) -> Given:
    return given(method, Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for name, value in lines]), file)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-0", part(0, 1)),
        ("bytes=0-9", part(0, 10)),
        ("bytes=2-4", part(2, 5)),
        ("bytes=2-", part(2, 10)),
        ("bytes=9-", part(9, 10)),
        ("bytes=2-99999999999999999999999999999999", part(2, 10)),
        ("bytes=-3", part(7, 10)),
        ("bytes=-10", part(0, 10)),
        ("bytes=-11", part(0, 10)),
        ("bytes=-0", NOTHING),
        ("bytes=10-", NOTHING),
        ("bytes=10-12", NOTHING),
        ("bytes=99999999999999999999999999999999-", NOTHING),
        ("BYTES=2-4", part(2, 5)),
        ("bytes= 2-4 ", part(2, 5)),
        ("bytes=,2-4,,", part(2, 5)),
        # What means nothing is as if it were not there (14.2).
        ("bytes=4-2", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=", WHOLE),
        ("bytes", WHOLE),
        ("bytes 2-4", WHOLE),
        ("bytes =2-4", WHOLE),
        ("bytes=2 - 4", WHOLE),
        ("bytes=+2-4", WHOLE),
        ("bytes=--4", WHOLE),
        ("bytes=2-4-6", WHOLE),
        ("bytes=0x2-4", WHOLE),
        ("bytes=\u00b2-4", WHOLE),  # a digit to `int`, and not to the RFC
        ("lines=2-4", WHOLE),
        ("", WHOLE),
        # Several are answered by the whole, whatever they are.
        ("bytes=0-1,3-4", WHOLE),
        ("bytes=0-5,3-9", WHOLE),
        ("bytes=20-,30-", WHOLE),
        ("bytes=" + "0-," * 10_000, WHOLE),
        ("bytes=" + "9" * 100_000 + "-", WHOLE),
    ],
)
def test_a_range_is_given_or_the_whole(value: str, expected: Given) -> None:
    assert asked(("Range", value)) == expected


def test_a_range_has_no_second_line() -> None:
    assert asked(("Range", "bytes=0-1"), ("Range", "bytes=0-1")) == WHOLE


def test_head_knows_no_ranges() -> None:
    """RFC 9110, 14.2: they are for GET."""
    assert asked(("Range", "bytes=2-4"), method="HEAD") == WHOLE
    assert asked(("Range", "bytes=10-"), method="HEAD") == WHOLE


@pytest.mark.parametrize("value", ["bytes=0-", "bytes=-1", "bytes=5-6", "bytes=-0"])
def test_an_empty_file_is_given_whole(value: str) -> None:
    """No part of it can be named; some clients send a range with everything."""
    empty = Held(size=0, etag='"this"', modified=MADE)
    assert asked(("Range", value), file=empty) == Given(status=200)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([("If-None-Match", '"this"')], KNOWN),
        ([("If-None-Match", 'W/"this"')], KNOWN),  # compared weakly
        ([("If-None-Match", '"other", "this"')], KNOWN),
        ([("If-None-Match", '"other"'), ("If-None-Match", '"this"')], KNOWN),
        ([("If-None-Match", "*")], KNOWN),
        ([("If-None-Match", '"other"')], WHOLE),
        ([("If-None-Match", "this")], WHOLE),
        ([("If-None-Match", '"a,\\"this"')], WHOLE),
        ([("If-None-Match", "")], WHOLE),
        ([("If-None-Match", '"this"'), ("Range", "bytes=0-1")], KNOWN),
        ([("If-None-Match", '"other"'), ("If-Modified-Since", AFTER)], WHOLE),  # the tag goes first
        ([("If-Modified-Since", IMF)], KNOWN),
        ([("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT")], KNOWN),
        ([("If-Modified-Since", "Sun Nov  6 08:49:37 1994")], KNOWN),
        ([("If-Modified-Since", AFTER)], KNOWN),
        ([("If-Modified-Since", BEFORE)], WHOLE),
        ([("If-Modified-Since", AFTER), ("If-Modified-Since", AFTER)], WHOLE),
        ([("If-Modified-Since", "Sun, 30 Feb 2094 08:49:37 GMT")], WHOLE),
        ([("If-Modified-Since", "Sun, 06 Nov 2094 25:49:37 GMT")], WHOLE),
        ([("If-Modified-Since", "Sun, 06 Nov 0000 08:49:37 GMT")], WHOLE),
        ([("If-Modified-Since", "Sun, 06 Nov 2094 08:49:37 +0100")], WHOLE),
        ([("If-Modified-Since", "2094-11-06T08:49:37Z")], WHOLE),
        ([("If-Modified-Since", "tomorrow")], WHOLE),
        ([("If-Match", '"this"')], WHOLE),
        ([("If-Match", '"other", "this"')], WHOLE),
        ([("If-Match", "*")], WHOLE),
        ([("If-Match", '"this"'), ("Range", "bytes=0-1")], part(0, 2)),
        ([("If-Match", 'W/"this"')], OTHER),  # compared strongly
        ([("If-Match", '"other"')], OTHER),
        ([("If-Match", "this")], OTHER),
        ([("If-Match", '"other"'), ("If-None-Match", '"this"')], OTHER),
        ([("If-Match", '"this"'), ("If-None-Match", '"this"')], KNOWN),
        ([("If-Match", '"this"'), ("If-Unmodified-Since", BEFORE)], WHOLE),  # the tag goes first
        ([("If-Unmodified-Since", IMF)], WHOLE),
        ([("If-Unmodified-Since", AFTER)], WHOLE),
        ([("If-Unmodified-Since", BEFORE)], OTHER),
        ([("If-Unmodified-Since", "tomorrow")], WHOLE),
        ([("If-Range", '"this"'), ("Range", "bytes=0-1")], part(0, 2)),
        ([("If-Range", IMF), ("Range", "bytes=0-1")], part(0, 2)),
        ([("If-Range", '"this"')], WHOLE),
        ([("If-Range", 'W/"this"'), ("Range", "bytes=0-1")], WHOLE),
        ([("If-Range", '"other"'), ("Range", "bytes=0-1")], WHOLE),
        ([("If-Range", '"other"'), ("Range", "bytes=10-")], WHOLE),
        ([("If-Range", AFTER), ("Range", "bytes=0-1")], WHOLE),  # compared exactly
        ([("If-Range", BEFORE), ("Range", "bytes=0-1")], WHOLE),
        ([("If-Range", "tomorrow"), ("Range", "bytes=0-1")], WHOLE),
        ([("If-Range", '"this"'), ("If-Range", '"this"'), ("Range", "bytes=0-1")], WHOLE),
    ],
)
def test_conditions_are_kept(lines: Sequence[tuple[str, str]], expected: Given) -> None:
    assert asked(*lines) == expected


def test_a_date_that_was_sent_is_understood() -> None:
    assert FILE.last_modified == IMF
    assert Held(size=1, etag='"x"', modified=MADE.astimezone()).last_modified == IMF


BOUND = st.integers(0, 30)
SPEC = st.one_of(
    st.tuples(BOUND, BOUND), st.tuples(BOUND, st.none()), st.tuples(st.none(), BOUND), st.just((0, 10**30))
)


@example_of(st.integers(0, 20), st.lists(SPEC, min_size=1, max_size=3), st.sampled_from([",", ", ", " ,, "]))
def test_exactly_the_bytes_that_were_asked_for_are_given(
    size: int, specs: list[tuple[int | None, int | None]], comma: str
) -> None:
    """By an oracle that asks of each byte whether the range names it."""
    file = Held(size=size, etag='"this"', modified=MADE)
    words = [
        "".join(["" if first is None else str(first), "-", "" if last is None else str(last)]) for first, last in specs
    ]
    answer = asked(("Range", "bytes=" + comma.join(words)), file=file)

    first, last = specs[0]
    is_one = len(specs) == 1 and (first is None or last is None or first <= last)
    if not is_one or size == 0:
        assert answer == Given(status=200, end=size)
        return
    if first is None:
        named = [at for at in range(size) if size - at <= (last or 0)]
    else:
        named = [at for at in range(size) if first <= at and (last is None or at <= last)]
    if named:
        assert answer.status == 206
        assert list(range(answer.start, answer.end)) == named
    else:
        assert answer == NOTHING


TAGS = st.lists(st.sampled_from(['"this"', 'W/"this"', '"other"', '"th,is"', 'W/"x"', '""']), max_size=3)
DAYS = st.one_of(st.none(), st.integers(-2, 2))


@example_of(
    st.sampled_from(["GET", "HEAD"]),
    st.none() | TAGS,
    st.none() | TAGS,
    DAYS,
    DAYS,
    st.none() | TAGS | st.integers(-1, 1),
)
def test_conditions_are_asked_in_their_order(
    method: str,
    if_match: list[str] | None,
    if_none_match: list[str] | None,
    unmodified: int | None,
    modified: int | None,
    if_range: list[str] | int | None,
) -> None:
    """RFC 9110, 13.2.2, step by step."""
    lines = [("Range", "bytes=2-4")]
    lines += [] if if_match is None else [("If-Match", ", ".join(if_match))]
    lines += [] if if_none_match is None else [("If-None-Match", ", ".join(if_none_match))]
    lines += [] if unmodified is None else [("If-Unmodified-Since", days_from_then(unmodified))]
    lines += [] if modified is None else [("If-Modified-Since", days_from_then(modified))]
    if if_range is not None:
        lines += [("If-Range", days_from_then(if_range) if isinstance(if_range, int) else ", ".join(if_range))]
    answer = asked(*lines, method=method)

    if '"this"' not in if_match if if_match is not None else unmodified is not None and unmodified < 0:
        assert answer == OTHER
    elif (
        {'"this"', 'W/"this"'} & set(if_none_match)
        if if_none_match is not None
        else modified is not None and modified >= 0
    ):
        assert answer == KNOWN
    elif method == "HEAD" or if_range not in (None, ['"this"'], 0):
        assert answer == WHOLE
    else:
        assert answer == part(2, 5)


NAMES = ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]
PIECES = [
    "bytes",
    "=",
    "-",
    ",",
    " ",
    "0",
    "9",
    '"',
    "W/",
    "this",
    "*",
    "Sun, ",
    "06 ",
    "Nov ",
    "1994 ",
    "08:49:37",
    " GMT",
]
VALUES = st.lists(st.sampled_from(PIECES) | st.text(st.characters(max_codepoint=255), max_size=4), max_size=12).map(
    "".join
)


@example_of(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6))
def test_whatever_is_sent_is_answered(lines: list[tuple[str, str]]) -> None:
    """And never by bytes that the file has not."""
    answer = asked(*lines)
    assert 0 <= answer.start <= answer.end <= FILE.size
    assert (answer.end > answer.start) == (answer.status in (200, 206))


def test_a_long_header_is_not_read() -> None:
    value = "bytes=0-" + "9" * (LONGEST - len("bytes=0-"))
    assert asked(("Range", value)) == part(0, 10)
    assert asked(("Range", value + "9")) == WHOLE


def days_from_then(days: int) -> str:
    return Held(size=1, etag='""', modified=MADE + timedelta(days=days)).last_modified
