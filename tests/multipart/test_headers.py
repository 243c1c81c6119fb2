"""What headers say and no event of a part shows: the raw headers, the sharing of heads, media types."""

from __future__ import annotations

import dataclasses

import pytest

from uploadkit.errors import MalformedForm
from uploadkit.multipart.events import PartBegin
from uploadkit.multipart.headers import media_type, read_head
from uploadkit.multipart.parser import MultipartParser
from uploadkit.policy.limits import Limits

from .outcomes import MULTIPART_B

DISPOSITION = b'\r\nContent-Disposition: form-data; name="a"'


def heads(body: bytes, limits: Limits | None = None) -> list[PartBegin]:
    """The heads in a body."""
    parser = MultipartParser(MULTIPART_B) if limits is None else MultipartParser(MULTIPART_B, limits)
    return [event for event in parser.feed(body) if isinstance(event, PartBegin)]


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        (DISPOSITION, (("content-disposition", 'form-data; name="a"'),)),
        (
            DISPOSITION + b'; filename="x"\r\nContent-Type: Image/PNG',
            (("content-disposition", 'form-data; name="a"; filename="x"'), ("content-type", "Image/PNG")),
        ),
        (
            b"\r\nX-B:  2 \t\r\nX-A: 1" + DISPOSITION + b"\r\nx-b:",
            (("x-b", "2"), ("x-a", "1"), ("content-disposition", 'form-data; name="a"'), ("x-b", "")),
        ),
        (
            DISPOSITION + b'; filename="\xff"',
            (("content-disposition", 'form-data; name="a"; filename="\ufffd"'),),
        ),
        (
            DISPOSITION + b'; filename="\xff"; x=1',
            (("content-disposition", 'form-data; name="a"; filename="\ufffd"; x=1'),),
        ),
        (DISPOSITION + b"\r\nX: \xc3\xa4\xff", (("content-disposition", 'form-data; name="a"'), ("x", "\u00e4\ufffd"))),
    ],
)
def test_headers_are_kept_in_their_order_with_names_in_lower_case(
    head: bytes, headers: tuple[tuple[str, str], ...]
) -> None:
    """A value is as it was sent, without the white space around it; what is no UTF-8 in it is marked."""
    assert read_head(head, Limits()).headers == headers


@pytest.mark.parametrize(
    "head",
    [
        DISPOSITION,
        DISPOSITION + b"\r\nContent-Type: text/plain",
        DISPOSITION + b'; filename=""\r\nContent-Type: application/octet-stream',
        '\r\nContent-Disposition: form-data; name="\u00e4"; filename="\u20ac"\r\nContent-Type: image/svg+xml'.encode(),
    ],
)
def test_the_fast_road_and_the_slow_one_read_the_same(head: bytes) -> None:
    """What browsers send is read by one expression: with another name for the same header it takes the full reader."""
    assert read_head(head, Limits()) == read_head(head.replace(b"Content-D", b"content-d"), Limits())


@pytest.mark.parametrize("more", [b"", b"; x=1"], ids=["fast", "slow"])
def test_equal_heads_are_shared_and_cannot_be_changed(more: bytes) -> None:
    """A form of a thousand equal fields has one head; nobody can write into another's."""
    part = b"--b" + DISPOSITION.replace(b'"a"', b'"of this test alone"' + more) + b"\r\n\r\n1\r\n"
    first, second = heads(part + part + b"--b--")
    assert first is second
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.name = "b"  # type: ignore[misc]  # the refusal is what is tested


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (Limits(header_size=10), "header_size"),
        (Limits(header_count=0), "header_count"),
        (Limits(field_name_size=0), "field_name_size"),
    ],
)
def test_a_head_that_one_form_was_allowed_is_not_allowed_to_another(limits: Limits, limit: str) -> None:
    """Heads that were read before pass no limit of a later form."""
    body = b"--b" + DISPOSITION + b"\r\n\r\n1\r\n--b--"
    assert heads(body) == heads(body)
    with pytest.raises(Exception, match="more than") as refused:
        heads(body, limits)
    assert getattr(refused.value, "limit", None) == limit
    assert heads(body)


def test_heads_of_many_names_do_not_pile_up() -> None:
    """A client that never repeats a name fills no memory: what is shared is bounded."""
    from uploadkit.multipart import parser as module

    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="n%d"\r\n\r\n1\r\n' % number for number in range(5000)
    )
    assert len(heads(body + b"--b--")) == 5000
    assert len(module._shared_heads) <= module._MAX_SHARED
    long = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n1\r\n--b--' % (b"long" * 200)
    assert len(heads(long)) == 1
    assert max(map(len, module._shared_heads)) <= module._MAX_SHARED_SIZE


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (None, ""),
        ("", ""),
        ("Text/HTML", "text/html"),
        (" text/html\t;charset=x", "text/html"),
        ("text/html;", "text/html"),
        (";charset=x", ""),
    ],
)
def test_a_media_type_is_lower_cased_and_without_parameters(content_type: str | None, expected: str) -> None:
    """What an adapter compares to know which parser a request needs."""
    assert media_type(content_type) == expected


@pytest.mark.parametrize("content_type", ["text/html\n", "text/\0html", "text/h\xe4", "text/html;\r\n x=1", "\u2028"])
def test_a_media_type_with_characters_that_no_header_has_is_malformed(content_type: str) -> None:
    """Two readers of such a header do not agree on it."""
    with pytest.raises(MalformedForm):
        media_type(content_type)
