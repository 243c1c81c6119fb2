"""What the urlencoded parser makes of bytes, as data; then what it costs, and an oracle."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadkit.errors import LimitExceeded, MalformedForm, SenderError, UnsupportedMediaType
from uploadkit.multipart.events import FORM_END, FormParser
from uploadkit.multipart.urlencoded import UrlencodedParser
from uploadkit.policy.limits import Limits

from .outcomes import URLENCODED, Part, chunkings, cut_at, drain, in_pieces, outcome, parts_of
from .promises import is_name, standard_library

DEFAULT = Limits()
BLOCK = 4096  # values are decoded in blocks of this size: an escape may stand across the end of one


@dataclass(frozen=True, kw_only=True)
class Case:
    """`because` is a piece of the error's text, or the name of the limit that is exceeded."""

    body: bytes
    parts: tuple[Part, ...] = ()
    error: type[SenderError] | None = None
    because: str = ""
    limits: Limits = DEFAULT

    def parser(self) -> FormParser:
        """A fresh parser for this case."""
        return UrlencodedParser(URLENCODED, self.limits)


def good(body: bytes, *pairs: tuple[str, bytes], limits: Limits = DEFAULT) -> Case:
    """A body that is a form of these values."""
    return Case(body=body, parts=tuple(Part(name, value) for name, value in pairs), limits=limits)


def malformed(body: bytes, because: str, *pairs: tuple[str, bytes]) -> Case:
    """A body that is refused after these values."""
    return Case(body=body, parts=tuple(Part(*pair) for pair in pairs), error=MalformedForm, because=because)


def too_long(body: bytes, allowed: int, *pairs: tuple[str, bytes]) -> Case:
    """A body with a name that is longer than is allowed."""
    parts = tuple(Part(*pair) for pair in pairs)
    return Case(
        body=body, parts=parts, error=LimitExceeded, because="field_name_size", limits=Limits(field_name_size=allowed)
    )


CASES = {
    "nothing": good(b""),
    "one-pair": good(b"a=1", ("a", b"1")),
    "three-pairs": good(b"a=1&b=2&a=3", ("a", b"1"), ("b", b"2"), ("a", b"3")),
    "an-ampersand": good(b"&"),
    "many-ampersands": good(b"&&&&"),
    "ampersands-around-a-pair": good(b"&&a=1&&b=2&", ("a", b"1"), ("b", b"2")),
    "an-equals-sign": good(b"=", ("", b"")),
    "equals-signs": good(b"==", ("", b"=")),
    "equals-signs-and-ampersands": good(b"=&=&", ("", b""), ("", b"")),
    "no-name": good(b"=1", ("", b"1")),
    "no-value": good(b"a=", ("a", b"")),
    "no-equals-sign": good(b"a", ("a", b"")),
    "no-equals-sign-then-a-pair": good(b"a&b=1", ("a", b""), ("b", b"1")),
    "an-equals-sign-in-a-value": good(b"a=1=2==", ("a", b"1=2==")),
    "a-semicolon-does-not-part": good(b"a=1;b=2", ("a", b"1;b=2")),
    "line-ends-in-a-value": good(b"a=1\r\n2\n", ("a", b"1\r\n2\n")),
    "plus-signs": good(b"a+b=1+2+", ("a b", b"1 2 ")),
    "an-escaped-plus-sign": good(b"a%2Bb=1%2B2", ("a+b", b"1+2")),
    "escaped-separators": good(b"a%3D%26=%3D%26", ("a=&", b"=&")),
    "escapes-in-both-cases": good(b"%c3%A4=%C3%a4", ("\u00e4", b"\xc3\xa4")),
    "an-escape-of-an-escape": good(b"a=%2541", ("a", b"%41")),
    "raw-utf-8": good("\u00e4=\u20ac".encode(), ("\u00e4", b"\xe2\x82\xac")),
    "a-character-half-raw-half-escaped": good(b"\xc3%A4=\xc3%A4", ("\u00e4", b"\xc3\xa4")),
    "a-value-that-is-no-utf-8": good(b"a=%FF\xfe", ("a", b"\xff\xfe")),
    "nul-in-a-value": good(b"a=%00", ("a", b"\0")),
    "a-percent-sign-at-the-end": good(b"a=%", ("a", b"%")),
    "a-percent-sign-before-an-ampersand": good(b"a=%&b=1", ("a", b"%"), ("b", b"1")),
    "half-an-escape-at-the-end": good(b"a=%4", ("a", b"%4")),
    "half-an-escape-before-an-ampersand": good(b"a=%4&1=1", ("a", b"%4"), ("1", b"1")),
    "half-an-escape-of-a-plus-sign": good(b"a=%+", ("a", b"% ")),
    "half-an-escape-of-a-plus-sign-before-an-ampersand": good(b"a=%+&b=%+1", ("a", b"% "), ("b", b"% 1")),
    "a-percent-sign-alone-in-a-name": good(b"%=1&%4=2&a%=3", ("%", b"1"), ("%4", b"2"), ("a%", b"3")),
    "percent-signs": good(b"a=%%%", ("a", b"%%%")),
    "a-percent-sign-before-an-escape": good(b"a=%%41%", ("a", b"%A%")),
    "escapes-that-are-none": good(b"a=%zz%4g%g4%u00e4", ("a", b"%zz%4g%g4%u00e4")),
    "an-escape-of-a-sign": good(b"a=%+1%-1%_1", ("a", b"% 1%-1%_1")),
    "only-escapes": good(b"%61=%62", ("a", b"b")),
    "a-byte-order-mark": good(b"\xef\xbb\xbfa=1", ("\ufeffa", b"1")),
    "nul-in-a-name": malformed(b"a%00=1", "control characters"),
    "raw-nul-in-a-name": malformed(b"a\0=1", "control characters"),
    "a-line-end-in-a-name": malformed(b"a%0D%0Ab=1", "control characters"),
    "a-raw-line-end-in-a-name": malformed(b"a=1&\r\nb=2", "control characters", ("a", b"1")),
    "del-in-a-name": malformed(b"a%7F", "control characters"),
    "a-name-that-is-no-utf-8": malformed(b"%ff=1", "not UTF-8"),
    "a-name-that-is-no-utf-8-and-has-no-value": malformed(b"a=1&%ff", "not UTF-8", ("a", b"1")),
    "an-overlong-name": malformed(b"%c0%80=1", "not UTF-8"),
    "a-surrogate-in-a-name": malformed(b"%ed%a0%80=1", "not UTF-8"),
    "half-a-character-in-a-name": malformed(b"%e2%82=%ac", "not UTF-8"),
    "name-size-reached": good(b"abc=1", ("abc", b"1"), limits=Limits(field_name_size=3)),
    "name-size-exceeded": too_long(b"abcd=1", 3),
    "name-size-reached-with-escapes": good(b"%61%62%63=1", ("abc", b"1"), limits=Limits(field_name_size=3)),
    "name-size-exceeded-with-escapes": too_long(b"%61%62%63%64=1", 3),
    "name-size-reached-in-utf-8": good(b"%E2%82%AC=1", ("\u20ac", b"1"), limits=Limits(field_name_size=3)),
    "name-size-exceeded-in-utf-8": too_long("\u20aca".encode(), 3),
    "name-size-exceeded-without-an-end": too_long(b"a=1&" + b"b" * 99, 3, ("a", b"1")),
    "name-size-exceeded-at-the-end": too_long(b"abcd", 3),
    "name-size-of-none-at-all-reached": good(b"=1", ("", b"1"), limits=Limits(field_name_size=0)),
    "name-size-of-none-at-all-exceeded": too_long(b"a=1", 0),
    "no-name-size": good(b"a" * 99, ("a" * 99, b""), limits=Limits(field_name_size=None)),
    "a-value-has-no-size-here": good(b"a=" + b"1" * 99, ("a", b"1" * 99), limits=Limits(field_name_size=1)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_has_its_outcome_however_its_body_is_cut(case: Case) -> None:
    """The events, and the error with its text, depend on the bytes alone."""
    whole = outcome(case.parser, [case.body])
    events = [event for part in case.parts for event in part.events()]
    assert list(whole.events) == events + ([FORM_END] if case.error is None else [])
    assert (whole.failure and whole.failure.kind) == case.error
    if whole.failure is not None:
        assert case.because in (whole.failure.limit or whole.failure.text)
    for chunks in chunkings(case.body):
        assert outcome(case.parser, chunks) == whole, chunks


@pytest.mark.parametrize(
    "case", [case for case in CASES.values() if case.error], ids=[key for key in CASES if CASES[key].error]
)
def test_a_parser_that_has_failed_says_so_again(case: Case) -> None:
    """Every call after an error raises its like, also where only the end of the body showed it."""
    parser = case.parser()
    with pytest.raises(SenderError) as first:
        drain(parser, case.body)
    for chunks in ([b"a=1"], [b""], [], []):
        with pytest.raises(SenderError) as later:
            drain(parser, *chunks)
        assert (type(later.value), str(later.value)) == (type(first.value), str(first.value))
        assert vars(later.value) == vars(first.value)


@pytest.mark.parametrize("offset", range(-7, 5))
@pytest.mark.parametrize("piece", [b"%41", b"%E2%82%AC", b"%%41", b"%4", b"%+", b"%", b"+"])
def test_an_escape_may_stand_across_the_end_of_a_block(offset: int, piece: bytes) -> None:
    """Values are decoded in blocks, and no value shows where one ended."""
    value = b"x" * (BLOCK + offset) + piece * 3
    [(_, expected)] = standard_library(b"a=" + value)
    for chunks in ([b"a=" + value], in_pieces(b"a=" + value, BLOCK), [b"a=", value], [b"a=x", value[1:-1], value[-1:]]):
        assert parts_of(outcome(lambda: UrlencodedParser(URLENCODED), chunks)) == [Part("a", expected)]


def test_a_value_of_escapes_only_is_decoded_over_many_blocks() -> None:
    """4096 is no multiple of three: every block but each third one ends inside an escape."""
    body = b"a=" + b"%41%0a" * (3 * BLOCK)
    expected = [Part("a", b"A\n" * (3 * BLOCK))]
    for size in (len(body), BLOCK, BLOCK + 1, 1000):
        assert parts_of(outcome(lambda: UrlencodedParser(URLENCODED), in_pieces(body, size))) == expected


@pytest.mark.parametrize(
    "content_type",
    [
        URLENCODED,
        "APPLICATION/X-WWW-Form-Urlencoded",
        URLENCODED + ";",
        URLENCODED + " ; charset=utf-8",
        URLENCODED + "; charset=UTF-8",
        URLENCODED + '; charset="utf-8"',
        URLENCODED + "; Charset=utf8; x=y",
        URLENCODED + "; boundary=x",
        URLENCODED + '; x="; charset=utf-16"',
    ],
)
def test_a_content_type_of_a_urlencoded_form_is_taken(content_type: str) -> None:
    """UTF-8 may be named, in any case, with or without quotes."""
    assert parts_of(outcome(lambda: UrlencodedParser(content_type), [b"a=1"])) == [Part("a", b"1")]


@pytest.mark.parametrize(
    ("content_type", "error"),
    [
        (None, UnsupportedMediaType),
        ("", UnsupportedMediaType),
        ("text/plain", UnsupportedMediaType),
        ("multipart/form-data; boundary=b", UnsupportedMediaType),
        (URLENCODED + "ed", UnsupportedMediaType),
        (URLENCODED + " charset=utf-8", UnsupportedMediaType),
        (URLENCODED + "; charset=utf-16", UnsupportedMediaType),
        (URLENCODED + "; charset=iso-8859-1", UnsupportedMediaType),
        (URLENCODED + "; charset=utf-8; charset=utf-16", UnsupportedMediaType),
        (URLENCODED + "; CHARSET=latin1", UnsupportedMediaType),
        (URLENCODED + "; charset=", UnsupportedMediaType),
        (URLENCODED + "; charset=utf-8\n", MalformedForm),
        (URLENCODED + "; charset=\xe4", MalformedForm),
        (URLENCODED + '; x="\\"; charset=utf-16', MalformedForm),
    ],
)
def test_another_content_type_is_refused(content_type: str | None, error: type[SenderError]) -> None:
    """A form in another charset would come out as other text than was meant."""
    with pytest.raises(SenderError) as refused:
        UrlencodedParser(content_type)
    assert type(refused.value) is error


values = st.lists(
    st.sampled_from(
        (b"a", b"1", b"+", b"%", b"%4", b"%41", b"%zz", b"%E2%82%AC", b"%ff", b"=", b";", b"\xe4", b"\0", b"x" * 4094)
    )
    | st.binary(max_size=3).map(lambda raw: raw.replace(b"&", b"")),
    max_size=8,
).map(b"".join)
name_pieces = (b"a", b"1", b"+", b"%", b"%4g", b"%41", b"%zz", b"%E2%82%AC", b"%25", b";", "\u00e4".encode())
pairs = st.tuples(
    st.lists(st.sampled_from(name_pieces), max_size=8).map(b"".join), st.just(b"=") | st.just(b""), values
)


@given(st.lists(pairs, max_size=6), st.lists(st.integers(0, 9000), max_size=5))
def test_the_standard_library_reads_the_same_values(pairs: list[tuple[bytes, bytes, bytes]], cuts: list[int]) -> None:
    """We agree with `urllib.parse.parse_qsl`, byte by byte, up to the first name that we refuse."""
    body = b"&".join(name + equals + (value if equals else b"") for name, equals, value in pairs)
    seen = outcome(lambda: UrlencodedParser(URLENCODED, Limits(field_name_size=None)), cut_at(body, cuts))
    expected = list(takewhile(lambda pair: is_name(pair[0]), standard_library(body)))
    assert [(part.name.encode(), part.data) for part in parts_of(seen)] == expected
    assert (seen.failure is None) == (len(expected) == len(standard_library(body)))


@pytest.mark.parametrize("size", [1, 1000])
def test_a_name_that_does_not_end_is_refused_before_it_fills_memory(size: int) -> None:
    """At most an escape for every byte of a name is held, and one chunk: no equals sign has to come."""
    parser = UrlencodedParser(URLENCODED, Limits(field_name_size=10))
    assert list(parser.feed(b"%" * 32)) == []
    with pytest.raises(LimitExceeded):
        list(parser.feed(b"%" * size))


def test_decoding_takes_little_more_than_what_is_decoded() -> None:
    """Percent-decoding a whole value at once takes 187 times its size; in blocks it takes less than the value again."""
    body = b"a=" + b"%41" * 200_000
    parser = UrlencodedParser(URLENCODED)
    tracemalloc.start()
    try:
        events = list(parser.feed(body))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(len(event) for event in events if isinstance(event, bytes)) == 200_000
    assert peak < 3 * len(body)
