"""What comes of a form does not depend on how its bytes were cut, nor on who received it.

Forms, rules and limits are made up; both drivers receive each form whole, byte by byte and cut anywhere. A file's
head is taken to be short here, so that small forms reach everything that begins behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.intake.receiving import DRIVES, URLENCODED, Drive, Refusal, bytewise, cut, left_in, numbered, refusal_of

from uploadkit.errors import FileRefused, SenderError
from uploadkit.intake import plan
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.fields import File, Text
from uploadkit.policy.filters import IncomingFile
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader

SHORT_HEAD = 16

NOWHERE = MemoryStorage()
"""In the place of the storage, so that files are equal where all else of them is."""


@pytest.fixture(scope="module", autouse=True)
def _short_head() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "HEAD_SIZE", SHORT_HEAD)
        yield


@dataclass(frozen=True)
class Request:
    """A body, what is said of it, and what it is judged by."""

    content_type: str
    body: bytes
    content_length: int | None
    limits: Limits
    declared: tuple[File | Text, ...] | None
    """None: every file is taken."""

    def outcome(self, drive: Drive, chunks: Iterable[bytes]) -> object:
        """All that can be seen of the submission, or why there is none. An error leaves nothing."""
        storage = MemoryStorage()
        upload = Uploader(storage, limits=self.limits)
        spec = upload.any(filter=picky) if self.declared is None else upload.fields(*self.declared)
        try:
            submission = drive(numbered(spec), self.content_type, chunks, content_length=self.content_length)
        except SenderError as error:
            assert left_in(storage) == []
            return refusal_of(error)
        assert storage.unfinished == []
        assert storage.objects.keys() == {file.key for file in submission.files}
        return [
            *((replace(file, storage=NOWHERE), file.read()) for file in submission.files),
            submission.fields.multi_items(),
        ]


def picky(file: IncomingFile) -> bool:
    """A filter that refuses in two ways, by what it sees."""
    if file.head.startswith(b"own"):
        raise FileRefused("it says so itself", field=file.field, filter="picky", detected=file.content_type)
    return not file.head.startswith(b"no")


NAMES = st.sampled_from(["a", "b", "text", ""])
PIECES = st.sampled_from(
    [b"\r\n", b"\r", b"--b", b"\r\n--", b"\r\n--b", b"no", b"own", b"\x89PNG\r\n\x1a\n", b"x", b"\xff", b"12345678"]
)
CONTENTS = st.lists(PIECES, max_size=6).map(b"".join)
SMALL = st.none() | st.integers(0, 50)


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    """Mostly generous, with a few that are small."""
    names = st.sampled_from(
        "body_size file_size files_size files fields parts field_size fields_size field_name_size filename_size "
        "header_count header_size preamble_size epilogue_size".split()
    )
    small = draw(st.dictionaries(names, st.none() | st.integers(0, 60), max_size=3))
    if "body_size" in small and draw(st.booleans()):
        small["body_size"] = draw(st.integers(0, 600))
    return Limits(**small)


@st.composite
def rules(draw: st.DrawFn) -> tuple[File | Text, ...] | None:
    """What is declared of the fields."""
    if draw(st.booleans()):
        return None
    max_size, min_size = draw(SMALL), draw(st.integers(0, 20))
    return (
        File(
            "a",
            max_count=draw(st.sampled_from([1, 2, None])),
            required=draw(st.booleans()),
            max_size=max_size,
            min_size=min(min_size, 50 if max_size is None else max_size),
            accept=draw(st.sampled_from([None, IMAGES])),
            filter=draw(st.sampled_from([None, picky])),
        ),
        File("b", max_count=None, min_count=draw(st.integers(0, 2))),
        Text(
            "text", required=draw(st.booleans()), max_length=draw(SMALL), max_count=draw(st.none() | st.integers(1, 2))
        ),
    )


@st.composite
def multipart(draw: st.DrawFn) -> FormBuilder:
    """A form as browsers send it."""
    form = FormBuilder(boundary="b")
    for name in draw(st.lists(NAMES, max_size=5)):
        content = (b"\r\n" + draw(CONTENTS)).replace(b"\r\n--b", b"\r\n--c")[2:]  # also right behind the head
        if name == "text" or draw(st.integers(0, 3)) == 0:
            form.part(f'form-data; name="{name}"', content.replace(b"\xff", "€".encode()).replace(b"\x89", b""))
        else:
            filename = draw(st.sampled_from(["", "x.png", "../x.txt", "long-" * 12]))
            form.part(f'form-data; name="{name}"; filename="{filename}"', content, content_type="image/png")
    return form


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A form that is whole, cut short, damaged in one place, or followed by something."""
    form = draw(multipart())
    body = form.body
    damage = draw(st.sampled_from([*["none"] * 6, "cut", "insert", "epilogue", "preamble"]))
    at = draw(st.integers(0, len(body)))
    match damage:
        case "cut":
            body = body[:at]
        case "insert":
            body = body[:at] + draw(PIECES) + body[at:]
        case "epilogue":
            body += draw(CONTENTS)
        case "preamble":
            body = draw(CONTENTS) + b"\r\n" + body
    announced = draw(st.sampled_from([None, None, 0, 0, 1, -1]))
    length = None if announced is None else max(0, len(body) + announced)
    return Request(form.content_type, body, length, draw(limits()), draw(rules()))


@given(requests(), st.lists(st.integers(0, 700), max_size=5))
def test_a_form_comes_to_the_same_whatever_the_chunks_and_the_driver(request: Request, places: list[int]) -> None:
    """Equal submissions, with equal ids and keys, or the same error with the same facts."""
    expected = request.outcome(DRIVES["blocking"], [request.body])
    for name, drive in DRIVES.items():
        for chunks in ([request.body], cut(request.body, places), bytewise(request.body)):
            assert request.outcome(drive, chunks) == expected, (name, len(chunks))


PAIRS = st.lists(st.sampled_from(["a=1", "text=%E2%82%AC", "text=a+b", "&", "text", "=x", "text=%ff", "b=" + "y" * 30]))


@given(PAIRS, limits(), rules(), st.lists(st.integers(0, 100), max_size=5))
def test_an_urlencoded_form_too(
    pairs: list[str], limits: Limits, rules: tuple[File | Text, ...] | None, places: list[int]
) -> None:
    """It goes the same way, under the same limits and rules of text fields."""
    body = "&".join(pairs).encode()
    request = Request(URLENCODED, body, len(body), limits, rules)
    expected = request.outcome(DRIVES["blocking"], [body])
    for name, drive in DRIVES.items():
        for chunks in ([body], cut(body, places), bytewise(body)):
            assert request.outcome(drive, chunks) == expected, (name, len(chunks))


def test_a_file_that_is_refused_for_two_reasons_is_refused_for_the_one_that_its_bytes_come_to_first() -> None:
    """Its head is not accepted and it is too large: the head is judged before what comes behind it is counted, also
    where both lie in one chunk."""
    form = FormBuilder(boundary="b").file("a", b"no image, and too large", filename="x.txt")
    too_large = (File("a", accept=IMAGES, max_size=SHORT_HEAD),)
    request = Request(form.content_type, form.body, None, Limits(), too_large)
    expected = Refusal(
        FileRefused,
        "file 'a' is text/plain, which the field does not accept",
        status=415,
        code="file_refused",
        field="a",
        filter="accept",
        detected="text/plain",
    )
    for drive in DRIVES.values():
        for chunks in ([form.body], bytewise(form.body)):
            assert request.outcome(drive, chunks) == expected
