"""Every case of `cases.py`, whole, one byte at a time, and cut once at every position."""

from __future__ import annotations

import pytest

from uploadkit.errors import SenderError, TruncatedForm
from uploadkit.multipart.parser import MultipartParser
from uploadkit.policy.limits import Limits

from .cases import BAD_CONTENT_TYPES, BOUNDARIES, CASES, Case
from .outcomes import MULTIPART_B, chunkings, drain, outcome, parser_of

GOOD = [case for case in CASES if case.error is None]


def test_no_two_cases_have_the_same_name() -> None:
    """A name finds one case."""
    names = [case.name for case in CASES]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_has_its_outcome_however_its_body_is_cut(case: Case) -> None:
    """The events, and the error with its text, depend on the bytes alone."""
    whole = outcome(case.parser, [case.body])
    case.check(whole)
    for chunks in chunkings(case.body):
        assert outcome(case.parser, chunks) == whole, chunks


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_a_body_that_is_cut_short_is_truncated_until_its_close_delimiter_stands(case: Case) -> None:
    """No beginning of a good body passes for the whole of it, and what came out before its end was no lie."""
    close = b"\r\n--" + case.boundary + b"--"
    ends = (b"\r\n" + case.body).index(close) + len(close) - 2
    whole = outcome(case.parser, [case.body])
    for size in range(len(case.body)):
        seen = outcome(case.parser, [case.body[:size]])
        if size >= ends:
            assert seen == whole
            continue
        assert seen.failure is not None
        assert seen.failure.kind is TruncatedForm
        *before, last = seen.events or (b"",)
        assert tuple(before) == whole.events[: len(before)]
        there = whole.events[len(before)]
        assert (
            last == there
            or not last
            or (isinstance(last, bytes) and isinstance(there, bytes) and there.startswith(last))
        )


@pytest.mark.parametrize("case", [case for case in CASES if case.error is not None], ids=lambda case: case.name)
def test_a_parser_that_has_failed_says_so_again(case: Case) -> None:
    """Every call after an error raises its like: a caller that goes on by mistake stores nothing."""
    parser = case.parser()
    with pytest.raises(SenderError) as first:
        drain(parser, case.body)
    for chunks in ([b"--b--"], [b""], [], []):
        with pytest.raises(SenderError) as later:
            drain(parser, *chunks)
        assert (type(later.value), str(later.value)) == (type(first.value), str(first.value))
        assert vars(later.value) == vars(first.value)


@pytest.mark.parametrize(("content_type", "boundary"), BOUNDARIES.values(), ids=BOUNDARIES)
def test_a_boundary_is_read_from_the_content_type(content_type: str, boundary: bytes) -> None:
    """Exactly this boundary delimits, and nothing that a regular expression would make of it."""
    head = b'\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
    body = b"--" + boundary + head + b"1\r\n--" + boundary[:-1] + b"\r\n--" + boundary + b"--"
    seen = outcome(lambda: parser_of(content_type), [body])
    assert seen.failure is None
    assert seen.events[1] == b"1\r\n--" + boundary[:-1]
    for chunks in chunkings(body):
        assert outcome(lambda: parser_of(content_type), chunks) == seen


@pytest.mark.parametrize(("content_type", "error", "because"), BAD_CONTENT_TYPES.values(), ids=BAD_CONTENT_TYPES)
def test_a_content_type_is_refused_before_the_body_is_read(
    content_type: str | None, error: type[SenderError], because: str
) -> None:
    """A parser is not even built for a Content-Type that can be read in two ways."""
    with pytest.raises(SenderError, match=because) as refused:
        MultipartParser(content_type)
    assert type(refused.value) is error


def test_the_default_limits_are_the_ones_a_parser_has() -> None:
    """A parser that is given no limits has the finite ones of `Limits()`."""
    body = b"--b\r\nX: " + b"x" * Limits().header_size + b"\r\n\r\n1\r\n--b--"  # type: ignore[operator]  # finite
    bare = outcome(lambda: MultipartParser(MULTIPART_B), [body])
    assert bare == outcome(lambda: MultipartParser(MULTIPART_B, Limits()), [body])
    assert bare.failure is not None
    assert bare.failure.limit == "header_size"


def test_bytes_after_the_form_never_give_an_event() -> None:
    """After the close delimiter a part that would be a good one is dropped like any other text."""
    parser = MultipartParser(MULTIPART_B)
    assert list(parser.feed(b"--b--"))
    assert list(parser.feed(b'\r\n--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--')) == []
    assert list(parser.close()) == []
    assert list(parser.close()) == []
