"""Every limit, by both drivers: what reaches it exactly comes in, one more is refused with the facts, nothing is left.

Each case runs in one chunk and byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import chain, repeat
from typing import Any

import pytest
from tests.intake.receiving import (
    CHUNK_SIZE,
    URLENCODED,
    Body,
    Drive,
    Refusal,
    bytewise,
    left_in,
    numbered,
    refusal,
    refusal_of,
)

from uploadkit.errors import LimitExceeded, TruncatedForm
from uploadkit.policy.fields import File, Text
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader

CONTENT_TYPE = "multipart/form-data; boundary=b"


@dataclass(frozen=True)
class Case:
    """A body that reaches `limit` exactly and one that passes it by one."""

    limit: str
    allowed: int
    fits: bytes
    over: bytes
    text: str
    field: str | None = None
    content_type: str = CONTENT_TYPE

    def refusal(self) -> Refusal:
        """What the second one is refused with."""
        facts: dict[str, Any] = {"status": 413, "code": "limit_exceeded", "field": self.field}
        return Refusal(LimitExceeded, self.text, limit=self.limit, allowed=self.allowed, **facts)


def form() -> FormBuilder:
    """An empty form."""
    return FormBuilder(boundary="b")


def files(*sizes: int) -> FormBuilder:
    """A form with files of these sizes, the first in field "f0"."""
    built = form()
    for number, size in enumerate(sizes):
        built.file(f"f{number}", b"x" * size, filename=f"{number}.txt")
    return built


def texts(*values: str) -> FormBuilder:
    """A form with these values, the first of field "t0"."""
    built = form()
    for number, value in enumerate(values):
        built.text(f"t{number}", value)
    return built


def headers(*lines: str) -> bytes:
    """A form of one part with these headers."""
    return form().part("\r\n".join(lines), b"data").body


DISPOSITION = 'form-data; name="f"; filename="x.txt"'
BLOCK_SIZE = len("\r\nContent-Disposition: " + DISPOSITION + "\r\nX: ")

CASES = [
    Case(
        "body_size",
        len(files(9).body),
        files(9).body,
        files(10).body,
        f"the body has more than {len(files(9).body)} bytes",
    ),
    Case("file_size", 9, files(9).body, files(10).body, "the file in field 'f0' has more than 9 bytes", "f0"),
    Case(
        "files_size",
        100,
        files(60, 0, 40).body,
        files(60, 0, 41).body,
        "the files of the form have more than 100 bytes together",
        "f2",
    ),
    Case("files", 2, files(1, 0).body, files(1, 0, 0).body, "the form has more than 2 files", "f2"),
    Case("files", 0, texts("no file").body, files(0).body, "the form has more than 0 files", "f0"),
    Case("fields", 2, texts("a", "").body, texts("a", "", "").body, "the form has more than 2 text values", "t2"),
    Case(
        "parts",
        3,
        files(1).text("t", "").file("n", b"", filename="").body,
        files(1).text("t", "").file("n", b"", filename="").file("n", b"", filename="").body,
        "the form has more than 3 parts",
    ),
    Case("field_size", 6, texts("€€").body, texts("€€x").body, "the value of field 't0' has more than 6 bytes", "t0"),
    Case(
        "fields_size",
        6,
        texts("€", "", "abc").body,
        texts("€", "", "abcd").body,
        "the text values of the form have more than 6 bytes together",
        "t2",
    ),
    Case(
        "field_name_size",
        6,
        form().text("€€", "").body,
        form().text("€€x", "").body,
        "a field's name has more than 6 bytes",
    ),
    Case(
        "filename_size",
        6,
        form().file("f", b"", filename="€€").body,
        form().file("f", b"", filename="€€x").body,
        "a file's name has more than 6 bytes",
    ),
    Case(
        "header_count",
        3,
        headers(DISPOSITION, "A: 1", "B: 2"),
        headers(DISPOSITION, "A: 1", "B: 2", "C: 3"),
        "a part has more than 3 headers",
    ),
    Case(
        "header_size",
        BLOCK_SIZE + 20,
        headers(DISPOSITION, "X: " + "x" * 20),
        headers(DISPOSITION, "X: " + "x" * 21),
        f"more than {BLOCK_SIZE + 20} bytes in a part's headers",
    ),
    Case(
        "preamble_size",
        10,
        b"0123456789\r\n" + files(1).body,
        b"0123456789x\r\n" + files(1).body,
        "more than 10 bytes before the first boundary",
    ),
    Case(
        "epilogue_size",
        10,
        files(1).body + b"01234567",
        files(1).body + b"01234567x",
        "more than 10 bytes after the last boundary",
    ),
    Case("body_size", 7, b"a=1&b=2", b"a=1&b=23", "the body has more than 7 bytes", content_type=URLENCODED),
    Case("parts", 2, b"a=1&b=2", b"a=1&b=2&c", "the form has more than 2 parts", content_type=URLENCODED),
    Case("fields", 2, b"a=1&b=2", b"a=1&b=2&c", "the form has more than 2 text values", "c", URLENCODED),
    Case(
        "field_size",
        3,
        b"a=%E2%82%AC",
        b"a=%E2%82%ACx",
        "the value of field 'a' has more than 3 bytes",
        "a",
        URLENCODED,
    ),
    Case(
        "fields_size",
        3,
        b"a=1&b=23",
        b"a=1&b=+++",
        "the text values of the form have more than 3 bytes together",
        "b",
        URLENCODED,
    ),
    Case("field_name_size", 3, b"%E2%82%AC=", b"%E2%82%ACx=", "a field's name has more than 3 bytes", None, URLENCODED),
]


def test_the_table_has_every_limit() -> None:
    """A limit that is added is tested here; those of time are tested with the pace."""
    assert {case.limit for case in CASES} == {field.name for field in fields(Limits)} - {"idle_seconds", "min_rate"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.limit}-{case.allowed}")
def test_what_reaches_a_limit_exactly_comes_in_and_one_more_does_not(drive: Drive, case: Case) -> None:
    """Whole and byte by byte, and what was already staged is gone."""
    storage = MemoryStorage()
    spec = numbered(Uploader(storage, limits=Limits(**{case.limit: case.allowed})).any())
    for chunks in ([case.over], bytewise(case.over)):
        with pytest.raises(LimitExceeded) as caught:
            drive(spec, case.content_type, chunks)
        assert refusal_of(caught.value) == case.refusal()
        assert caught.value.seen > caught.value.allowed
        assert left_in(storage) == []
    for chunks in ([case.fits], bytewise(case.fits)):
        drive(spec, case.content_type, chunks).discard()
    assert storage.unfinished == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.limit}-{case.allowed}")
def test_no_limit_is_written_out_as_none(drive: Drive, case: Case) -> None:
    """With every limit None, what each of them would refuse comes in."""
    nothing: dict[str, Any] = dict.fromkeys((field.name for field in fields(Limits)), None)
    spec = Uploader(MemoryStorage(), limits=Limits(**nothing)).any()
    drive(spec, case.content_type, [case.over])


def test_a_fields_own_max_size_takes_the_place_of_file_size(drive: Drive) -> None:
    """In both directions: it may be more than `file_size` or less. The other fields keep `file_size`."""
    storage = MemoryStorage()
    upload = Uploader(storage, limits=Limits(file_size=50))
    spec = numbered(upload.fields(File("f0", max_size=60), File("f1", max_size="40 B"), File("f2")))
    drive(spec, CONTENT_TYPE, [files(60, 40, 50).body]).discard()
    for sizes, limit, allowed, field in [
        ((61, 0, 0), "max_size", 60, "f0"),
        ((60, 41, 0), "max_size", 40, "f1"),
        ((60, 40, 51), "file_size", 50, "f2"),
    ]:
        assert refusal(drive, spec, files(*sizes), storage) == Refusal(
            LimitExceeded,
            f"the file in field {field!r} has more than {allowed} bytes",
            status=413,
            code="limit_exceeded",
            field=field,
            limit=limit,
            allowed=allowed,
        )


def test_the_tightest_of_two_limits_is_named(drive: Drive) -> None:
    """What is left of `files_size` is less than `file_size`, and the other way round."""
    storage = MemoryStorage()
    spec = numbered(Uploader(storage, limits=Limits(file_size=50, files_size=80)).any())
    assert refusal(drive, spec, files(50, 40), storage).limit == "files_size"
    assert refusal(drive, spec, files(20, 51), storage).limit == "file_size"


def test_the_limits_of_the_request_are_named_before_those_of_the_field(drive: Drive) -> None:
    """Where one file passes both."""
    storage = MemoryStorage()
    spec = Uploader(storage, limits=Limits(files=1)).array("f0", max_count=1)
    too_many = form().file("f0", b"", filename="1").file("f0", b"", filename="2")
    assert refusal(drive, spec, too_many, storage).limit == "files"


def test_max_count_is_of_each_field(drive: Drive) -> None:
    """Files and declared text values; what is not declared is not counted."""
    storage = MemoryStorage()
    spec = numbered(Uploader(storage).fields(File("f", max_count=2), File("g"), Text("t", max_count=1)))
    fits = form().file("f", b"1", filename="1").file("g", b"2", filename="2").file("f", b"3", filename="3")
    fits.text("t", "once").text("other", "1").text("other", "2")
    drive(spec, CONTENT_TYPE, [fits.body]).discard()
    facts: dict[str, Any] = {"status": 413, "code": "limit_exceeded", "limit": "max_count"}
    too_many = form().file("f", b"1", filename="1").file("f", b"2", filename="2").file("f", b"3", filename="3")
    assert refusal(drive, spec, too_many, storage) == Refusal(
        LimitExceeded, "field 'f' was sent more often than it may be: 2 at most", field="f", allowed=2, **facts
    )
    assert refusal(drive, spec, form().text("t", "once").text("t", "twice"), storage) == Refusal(
        LimitExceeded, "field 't' was sent more often than it may be: 1 at most", field="t", allowed=1, **facts
    )


@pytest.mark.parametrize("limit", [CHUNK_SIZE - 1, CHUNK_SIZE, 3 * CHUNK_SIZE + 5])
@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("file_size", b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'),
        ("files_size", b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'),
        ("field_size", b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n'),
        ("fields_size", b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n'),
        ("header_size", b"--b"),
        ("preamble_size", b""),
        ("epilogue_size", b"--b--"),
    ],
)
def test_nothing_is_read_past_the_chunk_that_passes_a_limit(drive: Drive, name: str, begin: bytes, limit: int) -> None:
    """A body without an end is read up to the chunk that holds the first byte too many, and no further."""
    unlimited: dict[str, Any] = dict.fromkeys(("body_size", "file_size", "files_size", "field_size", "fields_size"))
    storage = MemoryStorage()
    spec = Uploader(storage, limits=Limits(**{**unlimited, name: limit})).any()
    filling = b"\r\nX: " + b"x" * (CHUNK_SIZE - 5) if name == "header_size" else b"x" * CHUNK_SIZE
    body = Body(chain([begin] if begin else [], [filling], repeat(b"x" * CHUNK_SIZE)))
    with pytest.raises(LimitExceeded) as caught:
        drive(spec, CONTENT_TYPE, body)
    assert caught.value.limit == name
    too_many = limit + 1
    if name == "header_size":
        too_many += len(b"\r\n--")  # these and the rest of a delimiter may be the headers' end, not their last bytes
    assert body.taken == bool(begin) + -(-too_many // CHUNK_SIZE)
    assert left_in(storage) == []


@pytest.mark.parametrize("limit", [CHUNK_SIZE - 1, CHUNK_SIZE, 3 * CHUNK_SIZE + 5])
def test_nothing_is_read_past_the_chunk_that_passes_the_bodys_limit(drive: Drive, limit: int) -> None:
    """A body that announced no length and has no end."""
    storage = MemoryStorage()
    spec = Uploader(storage, limits=Limits(body_size=limit)).any()
    begin = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'
    body = Body(chain([begin + b"x" * (CHUNK_SIZE - len(begin))], repeat(b"x" * CHUNK_SIZE)))
    with pytest.raises(LimitExceeded, match=f"the body has more than {limit} bytes"):
        drive(spec, CONTENT_TYPE, body)
    assert body.taken == -(-(limit + 1) // CHUNK_SIZE)
    assert left_in(storage) == []


def test_a_length_that_is_too_long_is_refused_before_the_body_is_read(drive: Drive) -> None:
    """Not one chunk is taken; the length that fits exactly comes in."""
    body = files(9).body
    spec = numbered(Uploader(MemoryStorage(), limits=Limits(body_size=len(body))).any())
    chunks = Body([body])
    with pytest.raises(LimitExceeded) as caught:
        drive(spec, CONTENT_TYPE, chunks, content_length=len(body) + 1)
    assert (caught.value.limit, caught.value.allowed, caught.value.seen) == ("body_size", len(body), len(body) + 1)
    assert chunks.taken == 0
    assert len(drive(spec, CONTENT_TYPE, chunks, content_length=len(body)).files) == 1


@pytest.mark.parametrize("content_type", [CONTENT_TYPE, URLENCODED])
def test_a_body_that_is_shorter_than_its_length_is_cut(drive: Drive, content_type: str) -> None:
    """Even where the form looks whole: of a urlencoded one nothing else tells."""
    storage = MemoryStorage()
    spec = Uploader(storage).any()
    body = files(9).body if content_type == CONTENT_TYPE else b"a=1&b=2"
    with pytest.raises(TruncatedForm) as caught:
        drive(spec, content_type, [body], content_length=len(body) + 1)
    assert refusal_of(caught.value) == Refusal(
        TruncatedForm, "the body is shorter than its Content-Length", status=400, code="truncated_form"
    )
    assert left_in(storage) == []


def test_limits_hold_for_what_comes_before_the_body_is_malformed(drive: Drive) -> None:
    """One chunk may hold both: the first in the body is the one that is named."""
    storage = MemoryStorage()
    spec = numbered(Uploader(storage, limits=Limits(file_size=9)).any())
    broken = files(10).body.removesuffix(b"--\r\n") + b"text\r\n"
    assert refusal(drive, spec, form(), storage, chunks=[broken]).limit == "file_size"
    broken = files(9).body.removesuffix(b"--\r\n") + b"text\r\n"
    assert refusal(drive, spec, form(), storage, chunks=[broken]).code == "malformed_form"


def test_a_limit_counts_bytes_that_come_one_by_one(drive: Drive) -> None:
    """A file of some thousand chunks of a byte is counted like one of one chunk."""
    storage = MemoryStorage()
    spec = numbered(Uploader(storage, limits=Limits(file_size=10_000)).any())

    def drops(size: int) -> Iterator[bytes]:
        yield from bytewise(files(size).body)

    assert drive(spec, CONTENT_TYPE, drops(10_000)).files[0].size == 10_000
    with pytest.raises(LimitExceeded):
        drive(spec, CONTENT_TYPE, drops(10_001))
