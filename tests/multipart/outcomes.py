"""How the tests see a parser: its events with adjacent data joined, and the error if there was one.

Holds no expectation. Two chunkings of a body give equal outcomes, or the parser is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from uploadkit.errors import LimitExceeded, SenderError
from uploadkit.multipart.events import FORM_END, PART_END, Event, FormParser, PartBegin
from uploadkit.multipart.parser import MultipartParser
from uploadkit.multipart.urlencoded import UrlencodedParser
from uploadkit.policy.limits import Limits

MULTIPART_B = "multipart/form-data; boundary=b"
URLENCODED = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Failure:
    """What an error says, without `seen`: that may be less than what was sent."""

    kind: type[SenderError]
    text: str
    limit: str | None = None
    allowed: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that came out of a parser."""

    events: tuple[Event, ...]
    failure: Failure | None = None

    def without_headers(self) -> Outcome:
        """The same with no part's raw headers, which only some tests are about."""
        events = tuple(replace(event, headers=()) if isinstance(event, PartBegin) else event for event in self.events)
        return replace(self, events=events)


@dataclass(frozen=True, slots=True)
class Part:
    """One part as it should come out; `ended` is false where an error or the body's end cut it short."""

    name: str
    data: bytes = b""
    filename: str | None = None
    content_type: str | None = None
    charset: str = "utf-8"
    ended: bool = True

    def events(self) -> Iterator[Event]:
        """The events that make this part, its raw headers left out."""
        yield PartBegin(
            name=self.name, filename=self.filename, content_type=self.content_type, charset=self.charset, headers=()
        )
        if self.data:
            yield self.data
        if self.ended:
            yield PART_END


def parser_of(content_type: str | None, limits: Limits | None = None) -> FormParser:
    """The parser that a request with this Content-Type gets."""
    kind = UrlencodedParser if (content_type or "").startswith(URLENCODED) else MultipartParser
    return kind(content_type) if limits is None else kind(content_type, limits)


def outcome(make: Callable[[], FormParser], chunks: Iterable[bytes]) -> Outcome:
    """What comes out when a fresh parser is fed these chunks and then closed."""
    events: list[Event] = []
    try:
        parser = make()
        for chunk in chunks:
            for event in parser.feed(chunk):
                _join(events, event)
        for event in parser.close():
            _join(events, event)
    except SenderError as error:
        return Outcome(tuple(events), failure_of(error))
    return Outcome(tuple(events))


def drain(parser: FormParser, *chunks: bytes) -> None:
    """Feeds a parser, keeps nothing, and closes it."""
    for chunk in chunks:
        for _ in parser.feed(chunk):
            pass
    for _ in parser.close():
        pass


def failure_of(error: SenderError) -> Failure:
    """What is compared of an error."""
    if isinstance(error, LimitExceeded):
        assert error.seen > error.allowed
        return Failure(type(error), str(error), error.limit, error.allowed)
    return Failure(type(error), str(error))


def parts_of(seen: Outcome) -> list[Part]:
    """The parts that came out, the last one perhaps not ended."""
    parts: list[Part] = []
    for event in seen.events:
        if isinstance(event, PartBegin):
            parts.append(Part(event.name, b"", event.filename, event.content_type, event.charset, ended=False))
        elif isinstance(event, bytes):
            parts[-1] = replace(parts[-1], data=parts[-1].data + event)
        elif event == PART_END:
            parts[-1] = replace(parts[-1], ended=True)
        else:
            assert event == FORM_END
    return parts


def in_pieces(body: bytes, size: int) -> list[bytes]:
    """A body in chunks of `size` bytes."""
    return [body[at : at + size] for at in range(0, len(body), size)]


def cut_at(body: bytes, places: Iterable[int]) -> list[bytes]:
    """A body cut at some places; the same place twice gives an empty chunk."""
    edges = [0, *sorted(min(place, len(body)) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def chunkings(body: bytes) -> Iterator[list[bytes]]:
    """The body one byte at a time, with empty chunks between, and cut once at every position."""
    yield in_pieces(body, 1)
    yield [piece for byte in in_pieces(body, 1) for piece in (byte, b"")]
    for at in range(1, len(body)):
        yield [body[:at], body[at:]]


def _join(events: list[Event], event: Event) -> None:
    if isinstance(event, bytes):
        assert event, "data is never empty"
        if events and isinstance(events[-1], bytes):
            events[-1] += event
            return
    events.append(event)
