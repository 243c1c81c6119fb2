"""The multipart parser: one outcome however a body is cut, within its limits, and nothing raised but `SenderError`."""

from __future__ import annotations

from tests.multipart.cases import BAD_CONTENT_TYPES, BOUNDARIES, CASES
from tests.multipart.outcomes import MULTIPART_B, Outcome, cut_at, in_pieces, outcome
from tests.multipart.promises import PIECES, check_order, held, most_held

from uploadkit.errors import SenderError
from uploadkit.multipart.events import FormParser, PartBegin
from uploadkit.multipart.headers import boundary_of
from uploadkit.multipart.parser import MultipartParser
from uploadkit.policy.limits import Limits
from uploadkit.testing.forms import FormBuilder

from .choices import Choices

LIMITS = (
    Limits(),
    Limits(header_size=120, header_count=2, field_name_size=3, filename_size=3, preamble_size=4, epilogue_size=4),
    Limits(header_size=42, header_count=1, field_name_size=1, filename_size=1, preamble_size=0, epilogue_size=0),
    Limits(
        header_size=None, header_count=None, field_name_size=None, filename_size=None, preamble_size=None,
        epilogue_size=None,
    ),
)  # fmt: skip

_OWN_CONTENT_TYPE = 3

LONG_NAMES = [
    FormBuilder(boundary="b").file("n" * size, b"1", filename="f" * size).text("n" * size, "1").body
    for size in (1, 2, 4)
]
WORDS = PIECES
SEEDS = (
    *(bytes(3) + case.body for case in CASES if case.boundary == b"b"),
    *(bytes([limits, 0, 1, 0, 9]) + body for limits in range(len(LIMITS)) for body in (CASES[0].body, *LONG_NAMES)),
    *(
        bytes([0, _OWN_CONTENT_TYPE]) + content_type.encode("latin-1") + b"\n\0--" + boundary + b"--"
        for content_type, boundary in BOUNDARIES.values()
    ),
    *(
        bytes([0, _OWN_CONTENT_TYPE]) + content_type.encode("latin-1", "replace") + b"\n\0--b--"
        for content_type, _, _ in BAD_CONTENT_TYPES.values()
        if content_type is not None
    ),
)


def check(data: bytes) -> None:
    """Limits, perhaps a Content-Type on a line of its own, the cuts, and the body."""
    choices = Choices(data)
    limits = choices.of(LIMITS)
    own = choices.number(_OWN_CONTENT_TYPE + 1) == _OWN_CONTENT_TYPE
    content_type = choices.line().decode("latin-1") if own else MULTIPART_B
    cuts, body = choices.cuts(), choices.rest()

    def fresh() -> FormParser:
        return MultipartParser(content_type, limits)

    whole = outcome(fresh, [body])
    check_order(whole.events, complete=whole.failure is None)
    check_bounds(whole, body, limits)
    assert outcome(fresh, in_pieces(body, 1)) == whole
    assert outcome(fresh, cut_at(body, cuts)) == whole
    check_held(content_type, cut_at(body, cuts), limits)


def check_bounds(seen: Outcome, body: bytes, limits: Limits) -> None:
    """No more comes out than went in, and nothing that a limit forbids."""
    assert sum(len(event) for event in seen.events if isinstance(event, bytes)) <= len(body)
    for begin in seen.events:
        if not isinstance(begin, PartBegin):
            continue
        assert limits.field_name_size is None or len(begin.name.encode()) <= limits.field_name_size
        assert limits.filename_size is None or len((begin.filename or "").encode()) <= limits.filename_size
        assert limits.header_count is None or len(begin.headers) <= limits.header_count
        assert limits.header_size is None or sum(map(len, sum(begin.headers, ()))) <= limits.header_size
    if seen.failure is not None and seen.failure.limit is not None:
        assert seen.failure.allowed == getattr(limits, seen.failure.limit)


def check_held(content_type: str, chunks: list[bytes], limits: Limits) -> None:
    """Between two chunks a parser holds one header block at most."""
    if limits.header_size is None:
        return
    try:
        parser = MultipartParser(content_type, limits)
        bound = most_held(limits.header_size, len(b"\r\n--" + boundary_of(content_type)))
        for chunk in chunks:
            for _ in parser.feed(chunk):
                pass
            assert held(parser) <= bound
    except SenderError:
        return
