"""The incremental parser of application/x-www-form-urlencoded (URL Standard §5.1), in the events of multipart.

Each `name=value` is a part. Takes linear time; values are decoded in small blocks as they come, since percent-decoding
a whole value at once needs many times its size. As the standard says, a `%` that no two hex digits follow stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from urllib.parse import unquote_to_bytes

from ..errors import LimitExceeded, MalformedForm, SenderError, UnsupportedMediaType
from ..policy.limits import Limits
from .events import FORM_END, PART_END, Event, PartBegin, events_then
from .headers import URLENCODED, check_form_charset, media_type

_BLOCK = 4096
_DEFAULT_LIMITS = Limits()


class UrlencodedParser:
    """Turns the chunks of a urlencoded body into events. See `FormParser`.

    Raises `UnsupportedMediaType` where `content_type` is not urlencoded or claims another charset than UTF-8.
    """

    def __init__(self, content_type: str | None, limits: Limits = _DEFAULT_LIMITS) -> None:
        if content_type is None or media_type(content_type) != URLENCODED:
            raise UnsupportedMediaType(f"the Content-Type is not {URLENCODED}")
        check_form_charset(content_type)
        self._max_name = limits.field_name_size
        self._name = b""  # what is there of a name, still encoded
        self._in_value = False
        self._held = b""  # the beginning of an escape at the end of a value's chunk
        self._error: SenderError | None = None

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """The events that `chunk` completes. See `FormParser.feed`."""
        if self._error is not None:
            raise copy(self._error)
        events: list[Event] = []
        while b"&&" in chunk:  # pairs of nothing give no event, so no limit counts them: here they cost next to nothing
            chunk = chunk.replace(b"&&", b"&")
        try:
            *whole, rest = chunk.split(b"&")
            for pair in whole:
                self._take(pair, events)
                self._end_pair(events)
            self._take(rest, events)
        except SenderError as error:
            self._error = copy(error)  # the error itself holds the frames of this call, and they this parser
            return events_then(events, error)
        return events

    def close(self) -> Iterable[Event]:
        """The body has ended, and with it the last value. A urlencoded body cannot be seen to be cut."""
        if self._error is not None:
            raise copy(self._error)
        events: list[Event] = []
        try:
            self._end_pair(events)
        except SenderError as error:
            self._error = copy(error)
            raise
        events.append(FORM_END)
        return events

    def _take(self, data: bytes, events: list[Event]) -> None:
        if not self._in_value:
            name, equals, data = data.partition(b"=")
            self._name += name
            self._check_name_size(len(self._name) // 3)  # an escape is three bytes for one
            if not equals:
                return
            self._begin_value(events)
        for start in range(0, len(data), _BLOCK):
            self._decode(data[start : start + _BLOCK], events)

    def _begin_value(self, events: list[Event]) -> None:
        raw, self._name = _decoded(self._name), b""
        self._check_name_size(len(raw))
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedForm("a field's name is not UTF-8") from None
        if any(character < " " or character == "\x7f" for character in name):
            raise MalformedForm("a field's name has control characters")
        events.append(PartBegin(name=name))
        self._in_value = True

    def _decode(self, block: bytes, events: list[Event]) -> None:
        block = self._held + block
        cut = len(block) - (1 if block.endswith(b"%") else 2 if block[-2:-1] == b"%" else 0)
        self._held = block[cut:]
        if cut:
            events.append(_decoded(block[:cut]))

    def _end_pair(self, events: list[Event]) -> None:
        if not self._in_value:
            if not self._name:  # nothing between two ampersands
                return
            self._begin_value(events)
        if self._held:
            events.append(_decoded(self._held))  # an escape that never came to its end, and perhaps a plus sign
            self._held = b""
        self._in_value = False
        events.append(PART_END)

    def _check_name_size(self, size: int) -> None:
        if self._max_name is not None and size > self._max_name:
            raise LimitExceeded(
                f"a field's name has more than {self._max_name} bytes",
                limit="field_name_size",
                allowed=self._max_name,
                seen=size,
            )


def _decoded(data: bytes) -> bytes:
    data = data.replace(b"+", b" ")
    return unquote_to_bytes(data) if b"%" in data else data
