"""Every rule of a form holds for an upload that comes by tus: the same code, status and facts, wherever it is cut.

What a form says is asked in the same test: `receive` is given the same file and text values.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import pytest
from pydantic import BaseModel, Field
from tests.intake.receiving import DRIVES
from tests.processing.servers import eventually
from tests.resumable.talking import DRIVERS, Place, Told, metadata, place_in

from uploadkit.errors import FileRefused, UploadError
from uploadkit.events.facts import Fact
from uploadkit.policy.fields import File, Text
from uploadkit.policy.filters import IncomingFile
from uploadkit.policy.limits import Limits
from uploadkit.processing.processor import JobContext
from uploadkit.records.lifecycle import State
from uploadkit.records.record import Quota, UploadRecord
from uploadkit.storage.contract import Buffer
from uploadkit.testing import FormBuilder
from uploadkit.uploads import Submission, UploadedFile

JPEG = b"\xff\xd8\xff\xe0" + bytes(20000)
TEXT = b"plain text, and more of it\n" * 1000
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(20000)

CUTS = [[], [1], [8191], [8192], [8193], [3, 100, 8000, 15000]]

Begin = Callable[..., Place]


@pytest.fixture(params=DRIVERS)
def begin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Begin]:
    """Makes the place of a test."""
    with ExitStack() as ending:

        def begun(**options: Any) -> Place:
            return ending.enter_context(place_in(tmp_path, driver=request.param, **options))

        yield begun


@dataclass(frozen=True)
class Sent:
    """A file with what is said of it, by a form and by tus."""

    data: bytes
    filename: str = "a.bin"
    declared_type: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    def by_form(self, place: Place) -> Mapping[str, Any]:
        """What is wrong with it; nothing where that is nothing."""
        form = FormBuilder()
        for name, value in self.fields.items():
            form.text(name, value)
        form.file("file", self.data, filename=self.filename, content_type=self.declared_type)
        drive = DRIVES["blocking" if place.talk.driver == "blocking" else "async"]
        try:
            drive(place.spec, form.content_type, [form.body])
        except UploadError as error:
            return _compared(error.problem())
        return {}

    def by_tus(
        self, place: Place, cuts: Sequence[int], *, deferred: bool = False, first: bool = False
    ) -> Mapping[str, Any]:
        """The same. With `first` the request that begins it brings its first bytes."""
        answer = self.sent(place, cuts, deferred=deferred, first=first)
        return {} if answer.status in (201, 204) else _compared(answer.problem)

    def sent(self, place: Place, cuts: Sequence[int], *, deferred: bool = False, first: bool = False) -> Told:
        """The last answer, or the first that says that something is wrong."""
        named = {"filename": self.filename, **self.fields}
        if self.declared_type is not None:
            named["filetype"] = self.declared_type
        edges = [0, *(cut for cut in cuts if cut < len(self.data)), len(self.data)]
        pieces = [self.data[start:end] for start, end in pairwise(edges)]
        length = None if deferred else len(self.data)
        answer = place.talk.create(length, pieces.pop(0) if first else None, upload_metadata=metadata(**named))
        offset = answer.offset if first and answer.status == 201 else 0
        location = answer.headers.get("location", "")
        for piece in pieces if answer.status == 201 else []:
            answer = place.talk.patch(location, offset, piece)
            if answer.status != 204:
                return answer
            offset = answer.offset
        if deferred and answer.status in (201, 204):
            answer = place.talk.patch(location, offset, upload_length=offset)
        return answer


def _compared(problem: Mapping[str, Any]) -> dict[str, Any]:
    """How much was seen of what is too much may differ: by tus it is announced."""
    return {name: value for name, value in problem.items() if name != "seen"}


WAYS: list[tuple[list[int], bool, bool]] = [
    ([], False, False),
    ([], False, True),
    ([8191], True, False),
    ([8193], False, True),
    ([3, 100, 8000, 15000], False, False),
    ([3, 100, 8000, 15000], True, False),
]
"""Where a file is cut, whether its length is told last, and whether the request that begins it has its first bytes."""


def expect_as_by_a_form(place: Place, sent: Sent, status: int | None) -> None:
    """It is refused, or taken where the status is None, for what a form says, wherever it is cut; and nothing of it is
    left where it is refused."""
    said = sent.by_form(place)
    assert said.get("status") == status, said
    for cuts, deferred, first in WAYS:
        assert sent.by_tus(place, cuts, deferred=deferred, first=first) == said, (cuts, deferred, first)
        if status is not None:
            place.expect_nothing()
    for record in place.records():
        assert record.state in (State.REJECTED, State.DELETED) if status else record.state is State.COMPLETED


# Rules of a field


@pytest.mark.parametrize(
    ("rules", "sent", "status"),
    [
        ({"min_size": 20000}, Sent(bytes(20000)), None),
        ({"min_size": 20001}, Sent(bytes(20000)), 422),
        ({"max_size": 20000}, Sent(bytes(20000)), None),
        ({"accept": ["image/jpeg"]}, Sent(JPEG, "a.jpg", "image/jpeg"), None),
        ({"accept": ["image/jpeg"]}, Sent(PNG, "a.jpg", "image/jpeg"), 415),
        ({"accept": ["image/*"]}, Sent(TEXT, "a.jpg", "image/jpeg"), 415),
        ({"accept": [".jpg"]}, Sent(JPEG, "a.jpg"), None),
        ({"accept": ["text/plain"]}, Sent(TEXT, "a.txt", "text/plain"), None),
        ({"accept": ["text/plain"]}, Sent(JPEG, "a.txt", "text/plain"), 415),
        ({"filter": lambda file: file.filename == "a.bin"}, Sent(bytes(9000)), None),
        ({"filter": lambda file: file.head[:1] != b"x"}, Sent(b"x" * 9000), 422),
        ({"filter": lambda file: file.fields == (("t", "v"),)}, Sent(b"x" * 9000, fields={"t": "v"}), None),
    ],
)
def test_a_rule_of_a_field_holds(begin: Begin, rules: Any, sent: Sent, status: int | None) -> None:
    """Those of sizes, types and names."""
    expect_as_by_a_form(begin(single=rules), sent, status)


@pytest.mark.parametrize("limits", [Limits(file_size=19999), Limits(files_size=19999), Limits(filename_size=4)])
def test_a_limit_of_files_holds(begin: Begin, limits: Limits) -> None:
    """413. What the limit is called, and which is named first, is as in a form."""
    place, sent = begin(uploader={"limits": limits}), Sent(bytes(20000))
    expected = sent.by_form(place)
    assert expected["status"] == 413
    for cuts in CUTS:
        assert sent.by_tus(place, cuts) == expected
    place.expect_nothing()


def test_the_longest_file_of_a_field_holds_whether_its_length_is_known_or_not(begin: Begin) -> None:
    """Where it is known the upload is not begun; else it ends with the request that has too much."""
    place, sent = begin(single={"max_size": 19999}), Sent(bytes(20000))
    said = sent.by_form(place)
    assert said["limit"] == "max_size"
    for cuts in CUTS:
        for deferred in (False, True):
            assert sent.by_tus(place, cuts, deferred=deferred) == said
    left = [record for record in place.records() if record.state is State.RECEIVING]
    for record in left:  # what was too much by its Content-Length was not taken, and what there was before stays
        place.talk.delete(f"/files/{record.id}")
    place.expect_nothing()


@pytest.mark.parametrize(
    ("accept", "filename", "declared_type"),
    [
        (["image/jpeg"], "a.jpg", "image/png"),
        (["image/jpeg"], "a.exe", "application/x-msdownload"),
        ([".jpg"], "a.exe", None),
        (["image/*"], "a.txt", "text/plain"),
    ],
)
def test_what_can_never_be_accepted_is_not_begun(
    begin: Begin, accept: Any, filename: str, declared_type: str | None
) -> None:
    """By its name and its declared type, where no bytes could mend it: the first answer says so, and nothing is left.
    A form that brings such bytes is refused as well."""
    place = begin(single={"accept": accept})
    sent = Sent(b"MZ" + bytes(9000), filename, declared_type)
    assert sent.by_form(place)["status"] == 415
    told = {"filename": filename} | ({} if declared_type is None else {"filetype": declared_type})
    answer = place.talk.create(10, upload_metadata=metadata(**told))
    if answer.status == 201:  # its bytes may be those of a picture
        answer = place.talk.patch(answer.location, 0, b"MZ" + bytes(8))
    assert (answer.status, answer.code) == (415, "file_refused")
    place.expect_nothing()


@pytest.mark.parametrize("chunk", [1000, 8192, 20000, 65536])
def test_the_first_bytes_refuse_a_file_and_the_rest_is_not_taken(begin: Begin, chunk: int) -> None:
    """As soon as 8192 of them are there: the request that brings them is answered, and read no further."""
    place, taken = begin(single={"accept": ["image/*"]}), [0]

    def body() -> Iterator[bytes]:
        for _ in range(100):
            taken[0] += chunk
            yield b"x" * chunk

    location = place.talk.created(100 * chunk, upload_metadata=metadata(filename="a.jpg", filetype="image/jpeg"))
    answer = place.talk.patch(location, 0, body(), length=100 * chunk)
    assert (answer.status, answer.code) == (415, "file_refused")
    assert taken[0] < 8192 + chunk
    place.expect_gone(location, State.REJECTED, "which the field does not accept")
    assert place.left() == []


def test_the_first_bytes_are_judged_when_they_have_come_over_several_requests(begin: Begin) -> None:
    """Up to there nobody knows; then it is refused at once, and not when all has come."""
    place = begin(single={"accept": ["image/*"]})
    location = place.talk.created(10**6, upload_metadata=metadata(filename="a.jpg", filetype="image/jpeg"))
    for offset in range(0, 8000, 1000):
        assert place.talk.patch(location, offset, b"x" * 1000).status == 204
        place.expect_partial(location, offset + 1000)
    assert place.talk.patch(location, 8000, b"x" * 191).status == 204
    assert place.talk.patch(location, 8191, b"x").status == 415
    place.expect_gone(location, State.REJECTED)


# Filters and checks that are code


def test_an_async_filter_is_awaited(tmp_path: Path) -> None:
    """By the async driver; the blocking one says that it cannot."""

    async def agrees(file: IncomingFile) -> bool:
        return not file.head.startswith(b"no")

    with place_in(tmp_path, driver="async", single={"filter": agrees}) as place:
        expect_as_by_a_form(place, Sent(b"no" + bytes(9000)), 422)
        location = place.talk.upload(b"yes" + bytes(9000), 100)
        place.expect_whole(location, b"yes" + bytes(9000))
        place.talk.driver = "blocking"
        with pytest.raises(TypeError, match="async"):
            place.talk.create(10)


def test_a_filter_that_fails_is_no_verdict(begin: Begin) -> None:
    """Its error is raised, and what has come stays: the next request asks it again."""

    def fails(file: IncomingFile) -> bool:
        asked.append(file.id)
        if len(asked) == 1:
            raise RuntimeError("of a test")
        return True

    asked: list[str] = []
    place = begin(single={"filter": fails})
    location = place.talk.created(20000)
    with pytest.raises(RuntimeError, match="of a test"):
        place.talk.patch(location, 0, bytes(10000))
    offset = place.talk.head(location).offset
    assert offset <= 10000
    assert place.talk.patch(location, offset, bytes(20000 - offset)).status == 204
    place.expect_whole(location, bytes(20000))


class Watching:
    """A check of the passing bytes that notes what each of its watches has seen, and may refuse by it."""

    def __init__(self, refuses: bytes = b"") -> None:
        self.seen: list[list[bytes]] = []
        self.ended: list[bytes] = []
        self.closed = 0
        self.refuses = refuses

    def begin(self, file: IncomingFile) -> Watch:
        self.seen.append([])
        return Watch(self, self.seen[-1])


@dataclass
class Watch:
    """One file."""

    check: Watching
    seen: list[bytes]

    def feed(self, data: Buffer) -> None:
        self.seen.append(bytes(data))

    def end(self) -> None:
        self.check.ended.append(b"".join(self.seen))
        if self.check.refuses and self.check.refuses in self.check.ended[-1]:
            raise FileRefused("it has what is refused", field="file", filter="watching")

    def close(self) -> None:
        self.check.closed += 1


@pytest.mark.parametrize("cuts", CUTS)
def test_a_check_of_the_passing_bytes_sees_all_of_them_once(begin: Begin, cuts: list[int]) -> None:
    """The watch that says what is right has seen the whole file, in its order, whatever it was cut into; and each that
    was begun was closed."""
    check, data = Watching(), os.urandom(20000)
    place = begin(single={"check": check})
    place.expect_whole(place.talk.upload(data, *cuts), data)
    assert check.ended == [data]
    assert check.closed == len(check.seen)
    check.refuses = data[15000:15010]
    sent = Sent(data)
    said = sent.by_form(place)
    assert said["filter"] == "watching"
    for record in place.records():
        if record.state is State.COMPLETED:
            place.talk.delete(f"/files/{record.id}")
    for deferred in (False, True):
        assert sent.by_tus(place, cuts, deferred=deferred) == said
    place.expect_nothing()
    assert check.closed == len(check.seen)


class Reading:
    """A check of the staged file, which reads it from both ends."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        staged.seek(-10, os.SEEK_END)
        tail = staged.read()
        staged.seek(0)
        self.seen.append(staged.read())
        if tail.endswith(b"infected"):
            raise FileRefused("it is infected", field=file.field, filter="reading")


@pytest.mark.parametrize("cuts", CUTS)
def test_a_check_of_the_staged_file_reads_all_of_it(begin: Begin, cuts: list[int]) -> None:
    """Once, when all has come."""
    check, data = Reading(), os.urandom(20000)
    place = begin(single={"check": check})
    place.talk.upload(data, *cuts)
    assert check.seen == [data]
    place.talk.delete(f"/files/{place.handled[0].id}")
    sent = Sent(data + b"infected")
    assert sent.by_tus(place, cuts) == sent.by_form(place)
    assert check.seen[1:] == [sent.data] * 2
    place.expect_nothing()


def test_a_key_maker_says_where_a_file_lies(begin: Begin) -> None:
    """It sees what it would see of a form. A key that is taken is 409 as there, and leaves nothing."""
    made: list[IncomingFile] = []

    def name(file: IncomingFile) -> str:
        made.append(file)
        return f"{dict(file.fields)['who']}/{file.filename}"

    place = begin(single={"filename": name})
    told = metadata(who="ann", filename="a b.jpg", filetype="image/jpeg")
    location = place.talk.upload(JPEG, 100, 9000, upload_metadata=told)
    assert place.expect_whole(location, JPEG).key == "ann/a b.jpg"
    assert place.left() == ["ann/a b.jpg"]
    assert {(file.id, file.content_type, file.declared_type, file.head) for file in made} == {
        (location.rpartition("/")[2], "image/jpeg", "image/jpeg", JPEG[:8192])
    }
    again = place.talk.created(len(JPEG), upload_metadata=told)
    answer = place.talk.patch(again, 0, JPEG)
    assert answer.problem == Sent(JPEG, "a b.jpg", "image/jpeg", {"who": "ann"}).by_form(place)
    assert answer.status == 409
    assert place.bytes_of(location) == JPEG


# Text values


TEXTS = [File("file"), Text("title", required=True, max_length=5)]


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"title": "short"}, None), ({"title": "longer"}, 422), ({}, 422), ({"title": "", "other": "x"}, None)],
)
def test_text_values_come_as_metadata(begin: Begin, fields: dict[str, str], status: int | None) -> None:
    """Under the rules of their fields, which are asked before anything is begun."""
    place = begin(fields=TEXTS)
    expect_as_by_a_form(place, Sent(bytes(9000), fields=fields), status)
    if status is None:
        given = place.handled[0]
        assert isinstance(given, Submission)
        assert dict(given.fields.items()) == fields
    else:
        assert place.talk.create(10**6, upload_metadata=metadata(filename="a", **fields)).status == status
        place.expect_nothing()


@pytest.mark.parametrize(
    ("limits", "fields"),
    [
        (Limits(fields=2), {"a": "1", "b": "2", "c": "3"}),
        (Limits(field_size=5), {"a": "123456"}),
        (Limits(fields_size=8), {"a": "12345", "b": "12345"}),
        (Limits(parts=3), {"a": "1", "b": "2", "c": "3"}),
        (Limits(field_name_size=5), {"abcdef": "1"}),
    ],
)
def test_the_limits_of_text_values_hold(begin: Begin, limits: Limits, fields: dict[str, str]) -> None:
    """As they do in a form, and before anything is begun."""
    place, sent = begin(uploader={"limits": limits}), Sent(bytes(10), fields=fields)
    said = sent.by_form(place)
    assert said["status"] == 413
    assert sent.by_tus(place, []) == said
    assert place.records() == []


def test_names_of_fields_that_clients_use_for_the_file_are_fields_where_the_form_says_so(begin: Begin) -> None:
    """A form may have a text field `name` or `type`."""
    place = begin(fields=[File("file"), Text("name", required=True)])
    told = metadata(name="Ann", filename="a.txt", filetype="text/plain", relativePath="null")
    place.talk.upload(b"data", upload_metadata=told)
    [given] = place.handled
    assert given.fields["name"] == "Ann"
    assert [(file.filename, file.declared_type) for file in given.files] == [("a.txt", "text/plain")]
    assert "relativePath" not in given.fields


class Person(BaseModel):
    """A typed form."""

    file: Annotated[UploadedFile, File(max_size=10000)]
    age: Annotated[int, Field(ge=18)]
    tags: list[str] = []


def test_a_typed_form_is_given_its_model(begin: Begin) -> None:
    """All errors that its values have are told at once, before anything is begun."""
    place = begin(form=Person)
    data = os.urandom(9000)
    location = place.talk.upload(data, 100, upload_metadata=metadata(age="20", tags="a", filename="a.bin"))
    [person] = place.handled
    assert isinstance(person, Person)
    assert (person.age, person.tags, person.file.sha256) == (20, ["a"], hashlib.sha256(data).hexdigest())
    place.expect_whole(location, data)
    for fields in ({"age": "17"}, {"age": "x"}, {}):
        sent = Sent(bytes(10), fields=fields)
        said = sent.by_form(place)
        assert said["code"] == "invalid_form"
        answer = place.talk.create(10, upload_metadata=metadata(filename="a.bin", **fields))
        assert _compared(answer.problem) == said
    assert [record for record in place.records() if record.state is State.RECEIVING] == []


def test_a_file_of_a_typed_form_that_is_refused_is_refused(begin: Begin) -> None:
    """In a form its errors are gathered; by tus the upload has one file, and all else was judged before."""
    place = begin(form=Person)
    answer = place.talk.create(10001, upload_metadata=metadata(age="20"))
    assert (answer.status, answer.code) == (413, "limit_exceeded")
    location = place.talk.created(upload_metadata=metadata(age="20"))
    assert place.talk.patch(location, 0, [bytes(5000), bytes(5001)]).status == 413
    place.expect_gone(location, State.REJECTED)
    assert place.left() == []


# The same file, whichever way it came


@pytest.mark.parametrize(
    "sent",
    [
        Sent(JPEG, "C:\\pictures\\a.jpg", "image/pjpeg"),
        Sent(TEXT, "ä ö.txt", "text/plain; charset=utf-8"),
        Sent(PNG, "../../etc/passwd", "nonsense"),
        Sent(b"", "a", "x/y"),
        Sent(b"x", "." * 10, ""),
        Sent(TEXT, "x" * 300 + ".html", "text/html"),
        Sent(TEXT, "a\u202etxt.exe", None),
    ],
    ids=lambda sent: sent.filename[:12],
)
def test_a_handler_is_given_what_a_form_gives(begin: Begin, sent: Sent) -> None:
    """Names, types, size, digest and the extension of the key."""
    place = begin()
    form = FormBuilder().file("file", sent.data, filename=sent.filename, content_type=sent.declared_type)
    by_form = DRIVES["blocking"](place.spec, form.content_type, [form.body])
    assert sent.sent(place, [100, 9000]).status in (201, 204)
    [by_tus] = place.handled
    for name in ("field", "filename", "client_filename", "content_type", "declared_type", "size", "sha256"):
        assert getattr(by_tus, name) == getattr(by_form, name), name
    assert by_tus.key.partition(".")[2] == by_form.key.partition(".")[2]


def test_a_file_without_a_name_has_one(begin: Begin) -> None:
    """tuspy says none by itself."""
    place = begin()
    place.talk.upload(TEXT, upload_metadata=None)
    place.talk.upload(TEXT, upload_metadata=metadata(filename="", name="b.txt", contentType="text/plain"))
    assert [(file.filename, file.declared_type) for file in place.handled] == [("file", None), ("b.txt", "text/plain")]


def test_its_facts_and_its_steps_are_those_of_a_form(begin: Begin) -> None:
    """Each is told, and made, once: of the pieces of one that was put together nothing is."""

    def names(facts: list[Fact]) -> list[str]:
        return sorted(type(fact).__name__ for fact in facts)

    place = begin()
    told: list[Fact] = []
    place.pipeline.on()(told.append)
    made: list[str] = []

    @place.pipeline.process("*", name="count")
    def count(record: UploadRecord, job: JobContext) -> None:
        made.append(record.id)

    form = FormBuilder().file("file", TEXT, filename="a.txt")
    DRIVES["blocking"](place.spec, form.content_type, [form.body])
    eventually(lambda: "FileProcessed" in names(told))
    eventually(lambda: place.ledger.untold() == 0)
    by_form, told[:] = names(told), []
    location = place.talk.upload(TEXT, 100, 9000, upload_metadata=metadata(filename="a.txt"))
    eventually(lambda: len(told) >= len(by_form) and place.ledger.untold() == 0)
    assert names(told) == by_form
    told.clear()
    one, two = (place.talk.upload(data, upload_concat="partial") for data in (b"one", b"two"))
    put = place.talk.put_together(one, two).location
    eventually(lambda: len(told) >= len(by_form) and place.ledger.untold() == 0)
    assert names(told) == by_form
    ids = [where.rpartition("/")[2] for where in (location, put)]
    assert made[1:] == ids
    told.clear()
    place.talk.delete(put)
    eventually(lambda: names(told) == ["FileDeleted"])
    place.talk.delete(place.talk.created(10))
    assert place.ledger.untold() == 0
    assert names(told) == ["FileDeleted"]


def test_a_refusal_is_a_fact(begin: Begin) -> None:
    """As it is of a file that a form has begun."""
    place = begin(single={"min_size": 9500, "check": Reading()})
    told: list[Fact] = []
    place.pipeline.on("file.rejected")(told.append)
    location = place.talk.created(10000)
    place.talk.patch(location, 0, bytes(9992))
    assert place.talk.patch(location, 9992, b"infected").status == 422
    eventually(lambda: told != [])
    [fact] = told
    assert (fact.upload, fact.code, fact.reason) == (location.rpartition("/")[2], "file_refused", "it is infected")  # type: ignore[attr-defined]


# Quotas


def test_an_owner_has_no_more_than_its_quota(begin: Begin) -> None:
    """What is announced counts from the first request on, and is free again when it is given up or refused."""
    place = begin(owner="ann", quota=Quota(files=2, bytes=100))
    one = place.talk.created(60)
    answer = place.talk.create(41)
    assert (answer.status, answer.code, answer.problem["limit"]) == (413, "quota_exceeded", "bytes")
    two = place.talk.created(40)
    answer = place.talk.create(0)
    assert (answer.code, answer.problem["limit"]) == ("quota_exceeded", "files")
    place.talk.patch(one, 0, bytes(60))
    place.expect_whole(one, bytes(60))
    place.talk.delete(two)
    assert place.talk.create(41).status == 413
    three = place.talk.upload(bytes(40))
    place.expect_whole(three, bytes(40))
    other = place.again()
    other.owner = "bob"
    assert other.create(100).status == 201
    usage = place.ledger.usage("ann")
    assert (usage.files, usage.bytes) == (2, 100)


def test_pieces_count_once(begin: Begin) -> None:
    """They and what they are put together to are not counted twice."""
    place = begin(owner="ann", quota=Quota(bytes=100))
    one, two = (place.talk.upload(bytes(50), upload_concat="partial") for _ in range(2))
    assert place.talk.create(1).code == "quota_exceeded"
    answer = place.talk.put_together(one, two)
    assert answer.status == 201
    place.expect_whole(answer.location, bytes(100))
    assert place.ledger.usage("ann").bytes == 100
    place.talk.delete(answer.location)
    assert place.ledger.usage("ann").bytes == 0


def test_nobody_is_given_the_room_of_what_is_put_together(begin: Begin) -> None:
    """Also while it is copied and judged."""
    asked: list[int] = []

    def handler(file: UploadedFile) -> None:
        asked.append(place.again().create(41).status)

    place: Place = begin(owner="ann", quota=Quota(bytes=100), handler=handler)
    one, two = (place.talk.upload(bytes(30), upload_concat="partial") for _ in range(2))
    answer = place.talk.put_together(one, two)
    assert (answer.status, asked) == (201, [413])
    assert place.ledger.usage("ann").bytes == 60
    assert place.talk.create(41).status == 413
    assert place.talk.create(40).status == 201


# Handlers


@pytest.mark.parametrize("error", [FileRefused("not this one", field="file", filter="mine"), RuntimeError("of a test")])
def test_a_handler_that_raises_leaves_nothing(begin: Begin, error: Exception) -> None:
    """Its error is answered, or raised, and the upload is gone."""

    def handler(file: UploadedFile) -> None:
        raise error

    place = begin(handler=handler)
    location = place.talk.created(20000)
    place.talk.patch(location, 0, bytes(10000))
    if isinstance(error, UploadError):
        answer = place.talk.patch(location, 10000, bytes(10000))
        assert (answer.status, answer.code) == (422, "file_refused")
    else:
        with pytest.raises(RuntimeError, match="of a test"):
            place.talk.patch(location, 10000, bytes(10000))
    place.expect_gone(location, State.REJECTED)
    assert place.left() == []


def test_an_async_handler_is_awaited(tmp_path: Path) -> None:
    """By the async driver."""
    given: list[UploadedFile] = []

    async def handler(file: UploadedFile) -> None:
        given.append(file)

    with place_in(tmp_path, driver="async", handler=handler) as place:
        location = place.talk.upload(TEXT, 100)
        place.expect_whole(location, TEXT)
        assert [file.sha256 for file in given] == [hashlib.sha256(TEXT).hexdigest()]
