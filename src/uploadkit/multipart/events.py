"""What a form parser says: a part begins, its bytes, it ends, the form ends. Equal events compare equal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ..errors import SenderError


@dataclass(frozen=True, slots=True, kw_only=True)
class PartBegin:
    """A part's head has been read. Instances are immutable and may be shared between forms.

    `filename` is None for a text value and "" where a file input was left empty; it is as the client sent it, and
    so is `content_type`, lower-cased and without parameters, None where none was sent. `charset` is how a text value
    is to be decoded, as a Python codec's name. `headers` holds lower-cased names and values in their order.
    """

    name: str
    filename: str | None = None
    content_type: str | None = None
    charset: str = "utf-8"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The open part is complete."""


@dataclass(frozen=True, slots=True)
class FormEnd:
    """The form is complete. What may still follow it is dropped."""


PART_END = PartEnd()
FORM_END = FormEnd()

Event: TypeAlias = PartBegin | bytes | PartEnd | FormEnd
"""Data of the open part is plain `bytes`, never empty; one part's data may come as any number of them."""


class FormParser(Protocol):
    """Turns the chunks of a body into events. The events, with adjacent data joined, and the error if there is one
    are the same for every chunking of a body."""

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """The events that `chunk` completes. Raises a `SenderError`, at the latest where the iteration comes to the
        place of the error; every later call raises its like again."""
        ...

    def close(self) -> Iterable[Event]:
        """The events that the end of the body completes. Raises `TruncatedForm` where the form was not complete."""
        ...


def events_then(events: list[Event], error: SenderError) -> Iterator[Event]:
    """The events that came before an error, then the error: so that the place of a chunk's end changes nothing."""
    yield from events
    try:
        raise error
    finally:
        del error  # it holds this frame
