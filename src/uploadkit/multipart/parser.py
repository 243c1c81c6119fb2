"""The incremental parser of multipart/form-data (RFC 7578, RFC 2046 §5.1).

Opens no file, reads no socket, knows no policy but the framing limits. Takes linear time and holds one chunk plus one
header block. Its one invariant: what comes out depends on the bytes alone, never on where a chunk ends.

A delimiter is CRLF `--` boundary. A CRLF is imagined before the first byte, so that the first delimiter may lack its
own, and a delimiter may follow a header block with no body between them (RFC 2046 §5.1: the blank line's CRLF is then
the delimiter's). Because a delimiter holds one CR, as its first byte, two never overlap, and at the end of a chunk
only the bytes from the last CR on can be the beginning of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from enum import Enum

from ..errors import LimitExceeded, MalformedForm, SenderError, TruncatedForm, UnsupportedMediaType
from ..policy.limits import Limits
from .events import FORM_END, PART_END, Event, PartBegin, events_then
from .headers import MULTIPART, boundary_of, media_type, read_common_head, read_head


class _State(Enum):
    PREAMBLE = "before the first delimiter"
    HEAD = "after a delimiter, up to the first byte of the part's body"
    BODY = "in a part's body"
    EPILOGUE = "after the close delimiter"
    FAILED = "after an error"


_PREAMBLE, _HEAD, _BODY, _EPILOGUE, _FAILED = _State

_CRLF = b"\r\n"
_BLANK_LINE = b"\r\n\r\n"
_MAX_PADDING = 64  # RFC 2046 allows transport padding without a bound; nobody sends any
_NO_LIMIT = 1 << 63

# Header blocks that were read before: a browser sends the same ones again and again. Only short ones of text values,
# and only for forms of which no limit could refuse one of them.
_MAX_SHARED = 1024  # as many as a form may have fields by default, and a few
_MAX_SHARED_SIZE = 256
_MAX_SHARED_HEADERS = 3
_shared_heads: dict[bytes, PartBegin] = {}

_DEFAULT_LIMITS = Limits()


class MultipartParser:
    """Turns the chunks of a multipart/form-data body into events.

        parser = MultipartParser(content_type)
        for chunk in body:
            for event in parser.feed(chunk):
                ...
        parser.close()

    Raises `UnsupportedMediaType` where `content_type` is not multipart/form-data and `MalformedForm` where its
    boundary is missing or malformed.
    """

    __slots__ = (
        "_delimiter", "_epilogue", "_error", "_free_size", "_heads", "_held", "_limits", "_max_epilogue", "_max_header",
        "_max_preamble", "_preamble", "_state", "_tail",
    )  # fmt: skip

    def __init__(self, content_type: str | None, limits: Limits = _DEFAULT_LIMITS) -> None:
        if content_type is None or media_type(content_type) != MULTIPART:
            raise UnsupportedMediaType(f"the Content-Type is not {MULTIPART}")
        self._delimiter = b"\r\n--" + boundary_of(content_type)
        self._tail = 1 - len(self._delimiter)  # from where on, counted from the end, a delimiter may have begun
        self._limits = limits
        self._max_header = _bound(limits.header_size)
        self._max_preamble = _bound(limits.preamble_size)
        self._max_epilogue = _bound(limits.epilogue_size)
        fits = _fits_shared(limits)
        self._heads = _shared_heads if fits else {}
        self._free_size = _MAX_SHARED_SIZE if fits else 0  # of a browser's header block that no limit could refuse
        self._state = _PREAMBLE
        # In PREAMBLE and BODY: bytes that may be the beginning of a delimiter. In HEAD: all since the delimiter.
        self._held = _CRLF
        self._preamble = -len(_CRLF)  # the imagined CRLF does not count
        self._epilogue = 0
        self._error: SenderError | None = None

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """The events that `chunk` completes. See `FormParser.feed`."""
        # The middle of a file: hand on the object that came in. The search for the whole delimiter runs at the speed
        # of a copy; a search for less finds more and is slower.
        state = self._state
        if state is _BODY and not self._held and chunk.find(self._delimiter) < 0:
            at = chunk.rfind(b"\r", self._tail)
            if at < 0 or not self._delimiter.startswith(chunk[at:]):
                return (chunk,) if chunk else ()
            self._held = chunk[at:]
            return (chunk[:at],) if at else ()
        if state is _EPILOGUE and (size := self._epilogue + len(chunk)) <= self._max_epilogue:
            self._epilogue = size
            return ()
        events: list[Event] = []
        try:
            self._advance(chunk, events)
        except SenderError as error:
            # A copy, since the error itself holds the frames of this call, and they this parser.
            self._state, self._error, self._held = _FAILED, copy(error), b""
            if not events:
                raise
            return events_then(events, error)
        return events

    def close(self) -> Iterable[Event]:
        """The body has ended. Returns no events; raises `TruncatedForm` unless the close delimiter was seen."""
        if self._error is None and self._state is not _EPILOGUE:
            self._state, self._error = _FAILED, TruncatedForm()
        if self._error is not None:
            raise copy(self._error)
        return ()

    def _advance(self, chunk: bytes, events: list[Event]) -> None:
        state, held = self._state, self._held
        if state is _EPILOGUE:
            self._drop_epilogue(len(chunk))
            return
        if self._error is not None:
            raise copy(self._error)
        if held:
            self._held = b""
            # Join what was held only where it goes on as it must: once for a delimiter, not once for a chunk.
            if state is _HEAD and held.endswith(_BLANK_LINE) and not self._goes_on(chunk, len(_CRLF)):
                # The whole head came by itself, as clients send it that write head and data apart: data begins here.
                events.append(self._read_head(held[self._line_end(held) : -len(_BLANK_LINE)]))
                self._state = state = _BODY
            elif state is _HEAD or self._goes_on(chunk, len(held)):
                chunk = held + chunk
            else:
                self._pass_on(held, events)
        segments = chunk.split(self._delimiter)
        if state is not _HEAD:
            first = segments[0]
            if len(segments) == 1:
                end = self._settled(first)
                self._held = first[end:]
                self._pass_on(first[:end], events)
                return
            self._pass_on(first, events)
            if state is _BODY:
                events.append(PART_END)
            del segments[0]
        self._read_segments(segments, events)

    def _pass_on(self, data: bytes, events: list[Event]) -> None:
        """Bytes that no delimiter is in: of the open part, or of the preamble."""
        if self._state is _BODY:
            if data:
                events.append(data)
            return
        self._preamble += len(data)
        if self._preamble > self._max_preamble:
            raise _too_much("before the first boundary", "preamble_size", self._max_preamble, self._preamble)

    def _goes_on(self, chunk: bytes, at: int) -> bool:
        """Whether `chunk` may be what follows the first `at` bytes of a delimiter."""
        return self._delimiter.startswith(chunk[: len(self._delimiter) - at], at)

    def _settled(self, data: bytes) -> int:
        """How many bytes of `data` belong to what is open whatever comes next."""
        at = data.rfind(b"\r", self._tail)
        return at if at >= 0 and self._delimiter.startswith(data[at:]) else len(data)

    def _read_segments(self, segments: list[bytes], events: list[Event]) -> None:
        """Every segment follows a delimiter; a delimiter follows every segment but the last."""
        heads = self._heads
        free_size = self._free_size
        last = len(segments) - 1
        for at in range(last):
            segment = segments[at]
            head, blank, body = segment.partition(_BLANK_LINE)
            begin = heads.get(head)
            if begin is None or not blank:
                begin = read_common_head(head) if blank and len(head) <= free_size else None
                if begin is None:
                    if segment.startswith(b"--"):
                        self._end(segments[at:], events)
                        return
                    head, body = self._split_whole(segment)
                    begin = heads.get(head) or self._read_head(head)
                elif begin.filename is None:
                    if len(heads) >= _MAX_SHARED:
                        heads.clear()
                    heads[head] = begin
            if body:
                events += (begin, body, PART_END)
            else:
                events += (begin, PART_END)
        segment = segments[last]
        if segment.startswith(b"--"):
            self._end([segment], events)
            return
        self._state = _HEAD
        split = self._split_open(segment)
        if split is None:
            self._held = segment
            return
        head, body = split
        events.append(heads.get(head) or self._read_head(head))
        self._state = _BODY
        end = self._settled(body)
        self._held = body[end:]
        if end:
            events.append(body[:end])

    def _split_whole(self, segment: bytes) -> tuple[bytes, bytes]:
        """Header block and body of a segment that a delimiter follows."""
        start = self._line_end(segment)
        end = segment.find(_BLANK_LINE, start)
        if end >= 0:
            self._check_header_size(end - start)
            return segment[start:end], segment[end + len(_BLANK_LINE) :]
        end = len(segment) - len(_CRLF)
        if segment.endswith(_CRLF) and end > start:  # the blank line's CRLF is the delimiter's
            self._check_header_size(end - start)
            return segment[start:end], b""
        self._check_header_size(len(segment) - start)
        raise MalformedForm("a part's headers do not end in an empty line")

    def _split_open(self, segment: bytes) -> tuple[bytes, bytes] | None:
        """Header block and what is there of the body; None while they are not there, or what is there of the body may
        still turn out to be a delimiter."""
        if segment == b"-" or (len(segment) <= _MAX_PADDING + 1 and segment.lstrip(b" \t") in (b"", b"\r")):
            return None  # the delimiter's line is not complete
        start = self._line_end(segment)
        end = segment.find(_BLANK_LINE, start)
        if end < 0:
            # A delimiter that has begun may end the block: what it has taken of the bytes does not count yet.
            self._check_header_size(len(segment) - start - len(self._delimiter) + 1)
            return None
        self._check_header_size(end - start)
        body = segment[end + len(_BLANK_LINE) :]
        if len(body) < len(self._delimiter) and self._delimiter.startswith(body, len(_CRLF)):
            return None
        return segment[start:end], body

    def _line_end(self, segment: bytes) -> int:
        """Where the delimiter's line ends. Nothing after the padding: the next delimiter's CRLF ends the line."""
        rest = segment.lstrip(b" \t")
        padding = len(segment) - len(rest)
        if padding > _MAX_PADDING:
            raise MalformedForm("a boundary is followed by too much white space")
        if rest and not rest.startswith(_CRLF):
            raise MalformedForm("a boundary is followed by other text on its line")
        return padding

    def _check_header_size(self, size: int) -> None:
        if size > self._max_header:
            raise _too_much("in a part's headers", "header_size", self._max_header, size)

    def _read_head(self, head: bytes) -> PartBegin:
        begin = read_head(head, self._limits)
        if begin.filename is None and len(head) <= _MAX_SHARED_SIZE and len(begin.headers) <= _MAX_SHARED_HEADERS:
            if len(self._heads) >= _MAX_SHARED:
                self._heads.clear()
            self._heads[head] = begin
        return begin

    def _end(self, segments: list[bytes], events: list[Event]) -> None:
        """The close delimiter: all that follows its two hyphens is the epilogue."""
        events.append(FORM_END)
        self._state = _EPILOGUE
        between = len(self._delimiter) * (len(segments) - 1)
        self._drop_epilogue(sum(map(len, segments)) + between - len(b"--"))

    def _drop_epilogue(self, size: int) -> None:
        self._epilogue += size
        if self._epilogue > self._max_epilogue:
            raise _too_much("after the last boundary", "epilogue_size", self._max_epilogue, self._epilogue)


def _bound(limit: int | None) -> int:
    return _NO_LIMIT if limit is None else limit


def _fits_shared(limits: Limits) -> bool:
    return (
        _bound(limits.header_size) >= _MAX_SHARED_SIZE
        and _bound(limits.field_name_size) >= _MAX_SHARED_SIZE
        and _bound(limits.filename_size) >= _MAX_SHARED_SIZE
        and _bound(limits.header_count) >= _MAX_SHARED_HEADERS
    )


def _too_much(where: str, limit: str, allowed: int, seen: int) -> LimitExceeded:
    return LimitExceeded(f"more than {allowed} bytes {where}", limit=limit, allowed=allowed, seen=seen)
