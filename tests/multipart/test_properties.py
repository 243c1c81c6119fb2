"""What holds for every body and every chunking of it, looked for by hypothesis."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from uploadkit.errors import SenderError
from uploadkit.multipart.events import FORM_END, FormParser
from uploadkit.multipart.headers import boundary_of
from uploadkit.multipart.parser import MultipartParser
from uploadkit.multipart.urlencoded import UrlencodedParser
from uploadkit.policy.limits import Limits
from uploadkit.testing.forms import FormBuilder

from .outcomes import MULTIPART_B, URLENCODED, Part, cut_at, in_pieces, outcome, parser_of, parts_of
from .promises import PIECES, check_order, held, most_held

beginnings = st.sampled_from(
    (b"", b"--b", b"--b\r\nContent-Disposition: form-data", b"--b\r\nContent-Disposition: form-data; name=a")
)
pieces = st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=24)
soups = st.builds(lambda first, rest: first + b"".join(rest), beginnings, pieces)
places = st.lists(st.integers(0, 400), max_size=6)
small_limits = st.builds(
    Limits,
    header_size=st.sampled_from((0, 20, 41, 42, 80, None)),
    header_count=st.sampled_from((0, 1, 2, None)),
    field_name_size=st.sampled_from((0, 1, 3, None)),
    filename_size=st.sampled_from((0, 1, 3, None)),
    preamble_size=st.sampled_from((0, 2, 9, None)),
    epilogue_size=st.sampled_from((0, 2, 9, None)),
)
limits = st.just(Limits()) | small_limits

# Names that mean the same to a browser and to us. What the two differ in has cases of its own.
unescaped = st.characters(exclude_characters="\\%\r\n", exclude_categories=("Cs", "Cc"))
names = st.text(
    unescaped | st.sampled_from("é€😀\t ;=*'"),
    max_size=12,
)
texts = st.text(st.characters(codec="utf-8"), max_size=30).map(str.encode)
data = st.binary(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)
part_lists = st.lists(
    st.builds(Part, names, texts)
    | st.builds(
        Part, names, data, filename=names, content_type=st.sampled_from((None, "image/png", "application/x.y+z"))
    ),
    max_size=5,
)


def built(parts: list[Part], boundary: str | None = None) -> FormBuilder:
    """The form that has these parts."""
    form = FormBuilder(boundary=boundary)
    for part in parts:
        if part.filename is None:
            form.text(part.name, part.data.decode())
        else:
            form.file(part.name, part.data, filename=part.filename, content_type=part.content_type)
    return form


@given(soups, places, limits)
@example(b"--b\r\n" * 3, [], Limits())
def test_any_bytes_give_events_or_one_error_however_they_are_cut(body: bytes, cuts: list[int], limits: Limits) -> None:
    """No body brings the parser to another exception, and no cut of it to another outcome."""

    def fresh() -> FormParser:
        return MultipartParser(MULTIPART_B, limits)

    whole = outcome(fresh, [body])
    check_order(whole.events, complete=whole.failure is None)
    assert outcome(fresh, in_pieces(body, 1)) == whole
    assert outcome(fresh, cut_at(body, cuts)) == whole


@given(soups, places, small_limits)
def test_any_bytes_are_a_urlencoded_form_or_one_error_however_they_are_cut(
    body: bytes, cuts: list[int], limits: Limits
) -> None:
    """The same promise for the other encoding of a form."""

    def fresh() -> FormParser:
        return UrlencodedParser(URLENCODED, limits)

    whole = outcome(fresh, [body])
    check_order(whole.events, complete=whole.failure is None)
    assert outcome(fresh, in_pieces(body, 1)) == whole
    assert outcome(fresh, cut_at(body, cuts)) == whole


parameters = (*"b;=\"\\*,' \t", "boundary=", "boundary", "; ", "charset=utf-8", "x" * 80)


@given(
    st.lists(st.sampled_from(parameters), max_size=12).map("".join)
    | st.text(st.characters(max_codepoint=0x100), max_size=30)
)
def test_any_content_type_makes_a_parser_or_one_error(parameters: str) -> None:
    """What stands in a Content-Type never brings another exception, and what is taken for its boundary delimits."""
    content_type = "multipart/form-data;" + parameters
    try:
        parser = MultipartParser(content_type)
    except SenderError:
        return
    boundary = boundary_of(content_type)
    assert 1 <= len(boundary) <= 80
    assert boundary.decode() in content_type
    assert list(parser.feed(b"--" + boundary + b"--")) == [FORM_END]


@given(part_lists, places)
def test_what_was_built_comes_out_again(parts: list[Part], cuts: list[int]) -> None:
    """The parser reads what a browser writes: every name, every filename, every byte, in any chunks."""
    form = built(parts)
    seen = outcome(lambda: parser_of(form.content_type), cut_at(form.body, cuts))
    assert seen.failure is None
    assert parts_of(seen) == parts


@given(part_lists, st.text("09azAZ'()+_,-./:=? ", min_size=1, max_size=70), st.integers(1, 50))
def test_what_was_built_comes_out_again_with_any_boundary(parts: list[Part], boundary: str, size: int) -> None:
    """Every boundary of RFC 2046 delimits, as long as the data does not hold it."""
    assume(not boundary.endswith(" "))
    assume(not any(f"--{boundary}".encode() in b"\r\n" + part.data for part in parts))
    form = built(parts, boundary)
    seen = outcome(lambda: parser_of(form.content_type), in_pieces(form.body, size))
    assert seen.failure is None
    assert parts_of(seen) == parts


@st.composite
def damaged_forms(draw: st.DrawFn) -> bytes:
    """A good body in which one to three slices were cut out, doubled, put elsewhere or overwritten."""
    body = built(draw(part_lists), "b").body
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 12)))
        middle = draw(
            st.just(b"")
            | st.just(body[start:end] * 2)
            | st.sampled_from(PIECES)
            | st.integers(0, 255).map(lambda mask: bytes(byte ^ mask for byte in body[start:end]))  # noqa: B023  # drawn at once
        )
        body = body[:start] + middle + body[end:]
    return body


@given(damaged_forms(), places)
def test_a_damaged_form_gives_events_or_one_error_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    """Nearly good bodies reach further into the parser than any others."""
    whole = outcome(lambda: MultipartParser(MULTIPART_B), [body])
    check_order(whole.events, complete=whole.failure is None)
    assert outcome(lambda: MultipartParser(MULTIPART_B), in_pieces(body, 1)) == whole
    assert outcome(lambda: MultipartParser(MULTIPART_B), cut_at(body, cuts)) == whole


@given(soups | damaged_forms(), st.integers(1, 64), st.sampled_from((0, 42, 80)))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_parser_holds_one_header_block_and_one_delimiter_at_most(body: bytes, size: int, header_size: int) -> None:
    """What is not handed on at once is bounded by the limits, not by the body or by the size of its chunks."""
    parser = MultipartParser(MULTIPART_B, Limits(header_size=header_size))
    delimiter = len(b"\r\n--b")
    try:
        for chunk in in_pieces(body, size):
            for _ in parser.feed(chunk):
                pass
            assert held(parser) <= most_held(header_size, delimiter)
    except SenderError:
        assert held(parser) <= delimiter


@given(part_lists, st.integers(1, 50))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_strict_peer_reads_the_same_parts(parts: list[Part], size: int) -> None:
    """On forms as browsers send them we agree with another strict parser, byte by byte."""
    peer = pytest.importorskip("multipart")
    assume(all(part.filename is None or part.filename for part in parts))  # it knows no file input left empty
    form = built(parts, "b")
    assume(not any(b"--b" in part.data for part in parts))
    theirs: list[Part] = []
    with peer.PushMultipartParser("b", strict=True) as parser:
        for chunk in in_pieces(form.body.removesuffix(b"\r\n"), size):  # strict: nothing may follow
            for event in parser.parse(chunk):
                if isinstance(event, peer.MultipartSegment):
                    declared = event.header("Content-Type")
                    theirs.append(Part(event.name, b"", event.filename, declared))
                elif event is not None:
                    theirs[-1] = Part(
                        theirs[-1].name, theirs[-1].data + event, theirs[-1].filename, theirs[-1].content_type
                    )
    assert parts_of(outcome(lambda: parser_of(form.content_type), [form.body])) == theirs
