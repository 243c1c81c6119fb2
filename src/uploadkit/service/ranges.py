"""What of a file a request gets, by its conditions and its range (RFC 9110, 13 and 14). No I/O.

A file has a strong ETag, and its bytes do not change without it: so a date is a strong validator as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Literal

from starlette.datastructures import Headers

__all__ = ["LONGEST", "Given", "Held", "given", "has_it"]

LONGEST = 256
"""So many characters of a Range are read. One range has 45 at most, where a file has at most an exabyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is known of a file before any of its bytes is read: its `size` in bytes, its `etag` with the quotes, and
    when it was made."""

    size: int
    etag: str
    modified: datetime

    @property
    def last_modified(self) -> str:
        """As a header has it, which knows no fractions of a second."""
        return format_datetime(self.modified.astimezone(UTC), usegmt=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is answered: `status`, and with 200 and 206 the bytes from `start` up to and without `end`."""

    status: Literal[200, 206, 304, 412, 416]
    start: int = 0
    end: int = 0


def given(method: str, headers: Headers, held: Held) -> Given:
    """What a GET or a HEAD with these headers gets.

    The conditions are asked in the order of RFC 9110, 13.2.2. One range is given; of several the whole file is, as the
    RFC allows: hardly anybody asks for them, and many overlapping ones have brought servers down. So is where the
    Range means nothing, and where the file is empty, of which no part can be named. HEAD knows no ranges (14.2).
    """
    if not _is_meant(headers, held):
        return Given(status=412)
    if _is_known(headers, held):
        return Given(status=304)
    whole = Given(status=200, end=held.size)
    if method != "GET" or held.size == 0 or not _is_same(headers, held):
        return whole
    asked = _range(headers)
    if asked is None:
        return whole
    start, end = asked.of(held.size)
    return Given(status=206, start=start, end=end) if start < end else Given(status=416)


def has_it(headers: Headers, etag: str) -> bool | None:
    """If-None-Match: whether the client has what has this ETag. None where it does not ask."""
    tags = headers.getlist("if-none-match")
    return _any(tags) or etag in {tag.removeprefix("W/") for tag in _tags(tags)} if tags else None


def _is_meant(headers: Headers, held: Held) -> bool:
    """If-Match, or else If-Unmodified-Since: whether this is the file that the request is for."""
    if tags := headers.getlist("if-match"):
        return _any(tags) or held.etag in _tags(tags)
    date = _date(headers, "if-unmodified-since")
    return date is None or _seconds(held.modified) <= date


def _is_known(headers: Headers, held: Held) -> bool:
    """If-None-Match, or else If-Modified-Since: whether the client has the file already."""
    if (known := has_it(headers, held.etag)) is not None:
        return known
    date = _date(headers, "if-modified-since")
    return date is not None and _seconds(held.modified) <= date


def _is_same(headers: Headers, held: Held) -> bool:
    """If-Range: whether what the client has a part of is this file. It compares exactly."""
    if "if-range" not in headers:
        return True
    if headers.getlist("if-range") == [held.etag]:
        return True
    return _date(headers, "if-range") == _seconds(held.modified)


# The values of headers. One that cannot be read counts as if it were not there, where the RFC does not say otherwise.

_entity_tags = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def _tags(values: list[str]) -> list[str]:
    return [tag for value in values for tag in _entity_tags.findall(value)]


def _any(values: list[str]) -> bool:
    return [value.strip() for value in values] == ["*"]


def _date(headers: Headers, name: str) -> float | None:
    """In seconds since 1970. None where there is none, or no single one."""
    values = headers.getlist(name)
    if len(values) != 1 or not _may_be_date(values[0]):
        return None
    try:
        date = parsedate_to_datetime(values[0])
    except ValueError:  # the 30th of February
        return None
    return _seconds(date if date.tzinfo is not None else date.replace(tzinfo=UTC))


_months = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_time = r"\d\d:\d\d:\d\d"
_year = r"[1-9]\d{3}"
_may_be_date = re.compile(
    rf"[A-Z][a-z]{{2}}, \d\d (?:{_months}) {_year} {_time} GMT"  # RFC 9110, 5.6.7: IMF-fixdate
    rf"|[A-Z][a-z]{{5,8}}, \d\d-(?:{_months})-\d\d {_time} GMT"  # that of RFC 850
    rf"|[A-Z][a-z]{{2}} (?:{_months}) [ \d]\d {_time} {_year}",  # that of asctime
    re.ASCII,
).fullmatch


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


@dataclass(frozen=True, slots=True)
class _Range:
    """`first` None: the `last` so many bytes. `last` None: to the end."""

    first: int | None
    last: int | None

    def of(self, size: int) -> tuple[int, int]:
        """Start and end within a file. They are the same where it has none of these bytes."""
        if self.first is None:
            return max(0, size - (self.last or 0)), size
        end = size if self.last is None else min(size, self.last + 1)
        return min(self.first, end), end


def _range(headers: Headers) -> _Range | None:
    """The one range that is asked for. None where none is, or several are."""
    values = headers.getlist("range")
    if len(values) != 1 or len(values[0]) > LONGEST:
        return None
    unit, _, listed = values[0].partition("=")
    specs = [spec for spec in (spec.strip(" \t") for spec in listed.split(",")) if spec]  # a list may have gaps (5.6.1)
    if unit.lower() != "bytes" or len(specs) != 1 or not (found := _spec(specs[0])):
        return None
    first, last = (int(number) if number else None for number in found.groups())
    if first is None and last is None:
        return None
    if first is not None and last is not None and last < first:
        return None
    return _Range(first, last)


_spec = re.compile(r"([0-9]*)-([0-9]*)").fullmatch
