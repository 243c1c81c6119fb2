"""What becomes of the very chunks: how soon data is handed on, how little is held back, what is not copied."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from uploadkit.multipart.events import Event, PartBegin
from uploadkit.multipart.parser import MultipartParser

from .outcomes import MULTIPART_B

HEAD = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'


def in_a_file() -> MultipartParser:
    """A parser in the middle of a file."""
    parser = MultipartParser(MULTIPART_B)
    assert list(parser.feed(HEAD + b"x"))[-1] == b"x"
    return parser


def joined(events: Iterable[Event]) -> bytes:
    """The data, which is all that comes."""
    seen = list(events)
    data = [event for event in seen if isinstance(event, bytes)]
    assert data == seen
    return b"".join(data)


@pytest.mark.parametrize(
    "chunk", [b"x", b"x" * 70_000, b"\n--b", b"--b--", b"\rx", b"\r\nx", b"\r\n--x", b"x\r\n-x", b"\r\r\n "]
)
def test_a_chunk_without_a_delimiter_is_handed_on_as_the_object_that_came_in(chunk: bytes) -> None:
    """The middle of a file is never copied, and nothing of it waits for the next chunk."""
    [data] = in_a_file().feed(chunk)
    assert data is chunk


@pytest.mark.parametrize("beginning", [b"\r", b"\r\n", b"\r\n-", b"\r\n--"])
@pytest.mark.parametrize("before", [b"", b"x", b"\r", b"\r\n", b"\r\n--"])
def test_only_what_may_be_the_beginning_of_a_delimiter_waits(before: bytes, beginning: bytes) -> None:
    """What stands before it is handed on at once, and it follows as soon as it turns out to be data."""
    parser = in_a_file()
    assert joined(parser.feed(before + beginning)) == before
    assert joined(parser.feed(b"")) == b""
    assert joined(parser.feed(b"x")) == beginning + b"x"


@pytest.mark.parametrize("data", [b"x\r", b"\r\n--", b"x\r\n-", b"\r\r", b"\r\n\r\n"])
def test_data_behind_its_head_waits_no_longer_than_it_must(data: bytes) -> None:
    """A part's first data is handed on with the head, also where a delimiter seemed to begin in it."""
    begin, first = MultipartParser(MULTIPART_B).feed(HEAD + data + b"x")
    assert isinstance(begin, PartBegin)
    assert first == data + b"x"


def test_a_head_comes_out_with_the_first_byte_of_its_body() -> None:
    """A filter decides before a file has come in; only what may be a delimiter straight after the head waits."""
    parser = MultipartParser(MULTIPART_B)
    assert list(parser.feed(HEAD)) == []
    assert list(parser.feed(b"-")) == []
    begin, data = parser.feed(b"x")
    assert isinstance(begin, PartBegin)
    assert data == b"-x"


def test_an_empty_chunk_changes_nothing() -> None:
    """Servers send empty chunks; no data event is empty."""
    parser = MultipartParser(MULTIPART_B)
    assert list(parser.feed(b"")) == []
    assert list(parser.feed(HEAD + b"1")) != []
    assert list(parser.feed(b"")) == []
    assert list(parser.feed(b"\r\n--b--")) != []
    assert list(parser.feed(b"")) == []
    assert list(parser.close()) == []


def test_chunks_may_be_kept_and_are_never_changed() -> None:
    """What came out stays what it was, whatever comes in later."""
    parser = MultipartParser(MULTIPART_B)
    first = list(parser.feed(HEAD + b"one\r\n--"))
    list(parser.feed(b"x" * 100 + b"\r\n--b--"))
    assert first[1:] == [b"one"]
