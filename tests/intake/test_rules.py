"""What a spec gives its handler, and every rule of `File` and `Text`, by both drivers.

A rule that is kept exactly lets a form in; the next value is refused with the facts and leaves nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
from tests.intake.receiving import URLENCODED, Drive, Refusal, left_in, numbered, refusal

from uploadkit.errors import (
    FieldMissing,
    FieldRefused,
    FileRefused,
    LimitExceeded,
    MalformedForm,
    UnexpectedField,
    UnsupportedMediaType,
)
from uploadkit.intake.spec import Spec
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.fields import File, Text
from uploadkit.policy.filters import IncomingFile
from uploadkit.policy.limits import Limits
from uploadkit.policy.signatures import HEAD_SIZE
from uploadkit.storage.contract import Storage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import UploadedFile

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)


def form() -> FormBuilder:
    """An empty form."""
    return FormBuilder(boundary="b")


def one(data: bytes = b"data", *, name: str = "f", filename: str = "x.txt") -> FormBuilder:
    """A form with one file."""
    return form().file(name, data, filename=filename)


def given(drive: Drive, spec: Spec[Any], sent: FormBuilder) -> Any:
    """What the handler is given."""
    return drive(spec, sent.content_type, [sent.body])


def test_single_gives_the_file(drive: Drive) -> None:
    """With everything that is known of it."""
    storage = MemoryStorage()
    file = given(drive, Uploader(storage).single("f"), one(PNG, filename="../me .png"))
    assert isinstance(file, UploadedFile)
    assert (file.field, file.filename, file.client_filename) == ("f", "me .png", "../me .png")
    assert (file.content_type, file.declared_type) == ("image/png", "application/octet-stream")
    assert (file.size, file.digest) == (len(PNG), hashlib.sha256(PNG).hexdigest())
    assert (file.storage, file.read()) == (storage, PNG)
    assert (len(file.id), len(file.key)) == (32, 32 + len(".png"))
    assert file.key == storage.stat(file.key).key
    assert file.id not in file.key


def test_single_gives_none_where_nothing_has_to_be_sent(drive: Drive) -> None:
    """`required=False` is how a handler says that it can do without."""
    spec = Uploader(MemoryStorage()).single("f", required=False)
    assert given(drive, spec, form()) is None
    assert given(drive, spec, one(b"", filename="")) is None
    assert given(drive, spec, one()).size == 4


def test_single_takes_one_file(drive: Drive) -> None:
    """Not two, not one of another field, and not none."""
    storage = MemoryStorage()
    spec = Uploader(storage).single("f")
    assert refusal(drive, spec, one().file("f", b"", filename="y"), storage) == Refusal(
        LimitExceeded,
        "field 'f' was sent more often than it may be: 1 at most",
        status=413,
        code="limit_exceeded",
        field="f",
        limit="max_count",
        allowed=1,
    )
    assert refusal(drive, spec, one().file("g", b"", filename="y"), storage) == unexpected("g", "f")
    assert refusal(drive, spec, form(), storage) == missing("field 'f' is missing")


def test_array_gives_a_list_in_the_order_of_arrival(drive: Drive) -> None:
    """As many as `max_count`; none is an empty list, unless some are needed."""
    storage = MemoryStorage()
    upload = Uploader(storage)
    two = one(b"1").file("f", b"2", filename="y")
    assert [file.read() for file in given(drive, upload.array("f", max_count=2, min_count=2), two)] == [b"1", b"2"]
    assert given(drive, upload.array("f"), form()) == []
    assert len(given(drive, upload.array("f", required=True), one())) == 1
    for file in list(storage.objects):
        storage.delete(file)
    assert refusal(drive, upload.array("f", max_count=1), two, storage).limit == "max_count"
    assert refusal(drive, upload.array("f", min_count=3), two, storage) == missing(
        "field 'f' was sent 2 times, at least 3 are needed"
    )
    assert refusal(drive, upload.array("f", required=True), form(), storage) == missing("field 'f' is missing")


def test_an_array_has_no_other_bound_than_the_limits(drive: Drive) -> None:
    """`Limits.files` holds where no `max_count` is given."""
    storage = MemoryStorage()
    spec = Uploader(storage, limits=Limits(files=1)).array("f")
    assert refusal(drive, spec, one().file("f", b"", filename="y"), storage).limit == "files"


def test_fields_gives_a_submission_of_what_is_declared(drive: Drive) -> None:
    """All text values too, declared or not; files only where they are."""
    storage = MemoryStorage()
    spec = Uploader(storage).fields(File("a"), File("b", max_count=2), Text("t"))
    sent = form().text("t", "1").file("b", b"b1", filename="1").text("u", "2").file("a", b"a", filename="2")
    submission = given(drive, spec, sent.file("b", b"b2", filename="3").text("t", "3"))
    assert [(file.field, file.read()) for file in submission.files] == [("b", b"b1"), ("a", b"a"), ("b", b"b2")]
    assert submission.fields.multi_items() == (("t", "1"), ("u", "2"), ("t", "3"))
    submission.discard()
    assert refusal(drive, spec, one(name="c"), storage) == unexpected("c", "a", "b")
    assert refusal(drive, spec, one(name="t"), storage) == unexpected("t", "a", "b")


def test_a_text_in_a_file_field_is_a_text(drive: Drive) -> None:
    """What has no file name is no file, and does not count as one that is required."""
    storage = MemoryStorage()
    upload = Uploader(storage)
    assert given(drive, upload.fields(File("a")), form().text("a", "text")).fields["a"] == "text"
    sent = form().text("a", "text").text("a", "again")
    assert refusal(drive, upload.fields(File("a", required=True)), sent, storage) == missing(
        "field 'a' was sent as text: a form sends files with enctype='multipart/form-data'", "a"
    )


def test_none_takes_texts_only(drive: Drive) -> None:
    """A file is refused in whatever field it comes."""
    storage = MemoryStorage()
    spec = Uploader(storage).none()
    assert given(drive, spec, form().text("t", "x")).fields["t"] == "x"
    assert refusal(drive, spec, one(), storage) == unexpected("f")


def test_any_takes_every_file_under_the_same_rules(drive: Drive) -> None:
    """Its rules hold in every field, and a field may come as often as it likes."""
    storage = MemoryStorage()
    spec = Uploader(storage).any(accept=IMAGES)
    sent = one(PNG, filename="1.png").file("g", PNG, filename="2.png").file("f", PNG, filename="3.png")
    submission = given(drive, spec, sent)
    assert {name: len(files) for name, files in submission.files_by_field.items()} == {"f": 2, "g": 1}
    submission.discard()
    assert refusal(drive, spec, sent.file("h", b"text", filename="4.png"), storage).field == "h"


def test_an_empty_form_is_a_form(drive: Drive) -> None:
    """Only the close delimiter: no files, no values."""
    submission = given(drive, Uploader(MemoryStorage()).any(), form())
    assert (submission.files, dict(submission.fields), submission.file) == ([], {}, None)


def test_a_file_may_be_empty(drive: Drive) -> None:
    """It was chosen, and has no bytes."""
    file = given(drive, Uploader(MemoryStorage()).single("f"), one(b""))
    assert (file.size, file.read(), file.digest) == (0, b"", hashlib.sha256(b"").hexdigest())


def test_a_file_whose_name_has_nothing_safe_in_it_gets_one(drive: Drive) -> None:
    """What was sent stays as it is in `client_filename`."""
    file = given(drive, Uploader(MemoryStorage()).single("f"), one(PNG, filename="../.."))
    assert (file.filename, file.client_filename) == ("file.png", "../..")


def test_a_file_input_in_which_nothing_was_chosen_is_nothing(drive: Drive) -> None:
    """Browsers send it with an empty name and no bytes: in whatever field, it is neither a file nor a value."""
    nothing = form().file("f", b"", filename="").file("undeclared", b"", filename="").file("f", b"", filename="")
    upload = Uploader(MemoryStorage(), limits=Limits(files=0, fields=0))
    for spec in (upload.fields(File("f")), upload.none(), upload.any(), upload.fields(File("f", min_size=5))):
        submission = given(drive, spec, nothing)
        assert (submission.files, len(submission.fields)) == ([], 0)


def test_a_required_file_that_was_not_chosen_is_missing(drive: Drive) -> None:
    """The browser has sent the field, the user has not."""
    storage = MemoryStorage()
    spec = Uploader(storage).single("f")
    assert refusal(drive, spec, one(b"", filename=""), storage) == missing("field 'f' is missing")


def test_bytes_without_a_file_name_are_a_file(drive: Drive) -> None:
    """An empty name with bytes is a client's way, and goes through every rule of the field."""
    storage = MemoryStorage()
    upload = Uploader(storage)
    file = given(drive, upload.single("f", accept=IMAGES), one(PNG, filename=""))
    assert (file.filename, file.client_filename, file.size) == ("file.png", "", len(PNG))
    file.delete()
    assert refusal(drive, upload.single("f", accept=IMAGES), one(b"text", filename=""), storage).status == 415
    assert refusal(drive, upload.single("f", max_size=2), one(b"abc", filename=""), storage).limit == "max_size"
    assert refusal(drive, upload.none(), one(b"abc", filename=""), storage) == unexpected("f")
    twice = one(b"abc", filename="").file("f", b"d", filename="")
    assert refusal(drive, upload.single("f"), twice, storage).limit == "max_count"


@pytest.mark.parametrize("size", [1, 100, HEAD_SIZE, HEAD_SIZE + 100])
def test_min_size(drive: Drive, size: int) -> None:
    """Exactly as many bytes are enough, one fewer is refused; also where the head was judged and opened already."""
    storage = MemoryStorage()
    spec = Uploader(storage).single("f", min_size=size)
    assert given(drive, spec, one(b"x" * size)).size == size
    for key in storage.objects:
        storage.delete(key)
    assert refusal(drive, spec, one(b"x" * (size - 1)), storage) == Refusal(
        FileRefused,
        f"the file in field 'f' has fewer than {size} bytes",
        status=422,
        code="file_refused",
        field="f",
        filter="min_size",
    )


def test_accept(drive: Drive) -> None:
    """A type that is not taken is 415 and says what the bytes are."""
    storage = MemoryStorage()
    spec = Uploader(storage).single("f", accept="image/png")
    given(drive, spec, one(PNG, filename="x.png")).delete()
    assert refusal(drive, spec, one(b"%PDF-1.7", filename="x.png"), storage) == Refusal(
        FileRefused,
        "file 'f' is application/pdf, which the field does not accept",
        status=415,
        code="file_refused",
        field="f",
        filter="accept",
        detected="application/pdf",
    )
    assert refusal(drive, spec, one(b"", filename="x.png"), storage).filter == "accept"


def test_text_max_length_is_in_characters(drive: Drive) -> None:
    """Not in bytes."""
    storage = MemoryStorage()
    spec = Uploader(storage).fields(Text("t", max_length=3))
    assert given(drive, spec, form().text("t", "€€€").text("u", "long enough")).fields["t"] == "€€€"
    sent = form().file("f", b"", filename="").text("t", "€€€x")
    assert refusal(drive, spec, sent, storage) == Refusal(
        FieldRefused, "field 't' has more than 3 characters", status=422, code="field_refused", field="t"
    )


def test_text_required(drive: Drive) -> None:
    """An empty value is a value; a file is none."""
    storage = MemoryStorage()
    spec = Uploader(storage).fields(Text("t", required=True), File("f"))
    assert given(drive, spec, form().text("t", "")).fields["t"] == ""
    assert refusal(drive, spec, one(), storage) == missing("field 't' is missing", "t")


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        (None, "Žluťoučký".encode(), "Žluťoučký"),
        ("utf-8", "€".encode(), "€"),
        ("UTF-8", "€".encode(), "€"),
        ("us-ascii", b"plain", "plain"),
        ("iso-8859-1", b"\xe9\x80", "é\x80"),
        ("windows-1252", b"\xe9\x80", "é€"),
    ],
)
def test_a_text_is_read_in_its_charset(drive: Drive, charset: str | None, raw: bytes, text: str) -> None:
    """UTF-8 where none is named."""
    content_type = None if charset is None else f"text/plain; charset={charset}"
    sent = form().part('form-data; name="t"', raw, content_type=content_type)
    assert given(drive, Uploader(MemoryStorage()).none(), sent).fields["t"] == text


@pytest.mark.parametrize(
    ("charset", "raw"),
    [("utf-8", b"\xe9"), ("utf-8", b"\xed\xa0\x80"), ("us-ascii", b"\xe9"), ("windows-1252", b"\x81")],
)
def test_a_text_that_is_not_in_its_charset_is_malformed(drive: Drive, charset: str, raw: bytes) -> None:
    """It is not repaired, and what came before it is not kept."""
    storage = MemoryStorage()
    sent = one().part('form-data; name="t"', raw, content_type=f"text/plain; charset={charset}")
    assert refusal(drive, Uploader(storage).any(), sent, storage) == Refusal(
        MalformedForm, "the value of field 't' is not in its charset", status=400, code="malformed_form", field="t"
    )


def test_a_charset_that_is_not_read_is_refused(drive: Drive) -> None:
    """With nothing left, whatever stands before it."""
    storage = MemoryStorage()
    sent = one().part('form-data; name="t"', b"x", content_type="text/plain; charset=utf-7")
    assert refusal(drive, Uploader(storage).any(), sent, storage).kind is UnsupportedMediaType


def test_an_urlencoded_form_goes_through_the_same_specs(drive: Drive) -> None:
    """It has no files; the rules of texts hold."""
    upload = Uploader(MemoryStorage())
    declared = upload.fields(File("f"), Text("t", required=True, max_length=3, max_count=1))
    submission = drive(declared, URLENCODED, [b"t=a+%E2%82%AC&", b"u=1&u=2"])
    assert (submission.files, submission.fields.multi_items()) == ([], (("t", "a €"), ("u", "1"), ("u", "2")))
    assert drive(upload.single("f", required=False), URLENCODED, [b"t=1"]) is None
    assert drive(upload.none(), URLENCODED + "; charset=UTF-8", [b""]).fields == {}
    for body, kind in [(b"u=1", FieldMissing), (b"t=1234", FieldRefused), (b"t=1&t=2", LimitExceeded)]:
        with pytest.raises(kind):
            drive(declared, URLENCODED, [body])
    with pytest.raises(FieldMissing):
        drive(upload.single("f"), URLENCODED, [b"f=x.png"])


@pytest.mark.parametrize("content_type", [None, "", "application/json", "multipart/mixed; boundary=b", "text/plain"])
def test_what_is_no_form_is_not_read(drive: Drive, content_type: str | None) -> None:
    """The Content-Type alone decides; nothing is taken of the body."""
    with pytest.raises(UnsupportedMediaType):
        drive(Uploader(MemoryStorage()).any(), content_type, unread())


def test_an_uploaders_rules_are_the_defaults_of_every_field(drive: Drive) -> None:
    """What a field says itself goes before them."""
    storage, other = MemoryStorage(), MemoryStorage()
    upload = Uploader(storage, accept=IMAGES, max_size=100, min_size=10, filter=refuse_all)
    spec = numbered(
        upload.fields(
            File("all", accept="text/plain", max_size=200, min_size=0, filter=take_all, storage=other),
            File("none", max_count=None),
        )
    )
    given(drive, spec, one(b"x" * 150, name="all")).discard()
    given(drive, spec, one(b"short", name="all").file("none", b"", filename="")).discard()
    expected = {b"text": "min_size", b"long text!": "accept", PNG: "refuse_all"}
    for data, refused_by in expected.items():
        assert refusal(drive, spec, one(data, name="none", filename=""), storage, other).filter == refused_by
    assert refusal(drive, spec, one(PNG * 4, name="none"), storage, other).limit == "max_size"
    for other_spec in (upload.single("f"), upload.array("f"), upload.any()):
        assert refusal(drive, other_spec, one(PNG, filename=""), storage).filter == "refuse_all"


def test_each_field_may_have_a_storage_of_its_own(drive: Drive) -> None:
    """A form that is refused is taken back from all of them."""
    default, other = MemoryStorage("default"), MemoryStorage("other")
    spec = Uploader(default).fields(File("a"), File("b", storage=other), Text("t", required=True))
    sent = one(name="a").file("b", b"other", filename="y")
    assert refusal(drive, spec, sent, default, other).kind is FieldMissing
    submission = given(drive, spec, sent.text("t", ""))
    assert (list(default.objects.values()), list(other.objects.values())) == ([b"data"], [b"other"])
    submission.discard()
    assert (left_in(default), left_in(other)) == ([], [])


class Watching:
    """A stream check, or a staged one, or both: it counts whom it has seen."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def feed(self, data: object) -> None:
        """Anything may pass."""

    def end(self) -> None:
        """Anything may end."""


class Streaming(Watching):
    """A stream check."""

    def begin(self, file: IncomingFile) -> Watching:
        """Notes a file that passes."""
        self.seen.append(f"begin {file.filename}")
        return self


class Examining(Watching):
    """A check of staged files."""

    def examine(self, file: IncomingFile, staged: object) -> None:
        """Notes a file that is staged."""
        self.seen.append(f"examine {file.filename}")


class Both(Streaming, Examining):
    """A check that is both."""


def test_a_check_may_be_both_kinds(drive: Drive) -> None:
    """It sees the bytes pass, and then the staged file."""
    check = Both()
    given(drive, Uploader(MemoryStorage()).single("f", check=check), one())
    assert check.seen == ["begin x.txt", "examine x.txt"]


@pytest.mark.parametrize("of", ["uploader", "field"])
def test_rules_that_can_be_iterated_only_once_serve_every_spec(drive: Drive, of: str) -> None:
    """A generator of checks or types holds in the second spec as in the first."""
    check, storage = Examining(), MemoryStorage()
    rules: dict[str, Any] = {"check": (one for one in [check]), "accept": (one for one in ["image/png"])}
    if of == "uploader":
        upload = Uploader(storage, **rules)
        specs = [upload.single("f"), upload.array("f"), upload.any()]
    else:
        file = File("f", **rules)
        specs = [Uploader(storage).fields(file), Uploader(storage).fields(file)]
    for spec in map(numbered, specs):
        given(drive, spec, one(PNG, filename="x.png")).discard()
        assert check.seen.pop() == "examine x.png"
        assert refusal(drive, spec, one(b"text"), storage).filter == "accept"


def test_checks_of_an_uploader_can_be_given_up_by_a_field(drive: Drive) -> None:
    """An empty list is said, and is not nothing."""
    check = Examining()
    upload = Uploader(MemoryStorage(), check=[check])
    given(drive, upload.single("f", check=[]), one())
    assert check.seen == []


class AsyncStreaming(Watching):
    """What nobody would await."""

    async def begin(self, file: IncomingFile) -> Watching:
        """Too late."""
        return self


class AsyncExamining:
    """What nobody would await."""

    async def examine(self, file: IncomingFile, staged: object) -> None:
        """Too late."""


class WriteOnlyStorage:
    """A storage without any ability."""

    name = "write-only"
    may_block = False
    reads_staged = False


WRONG: dict[str, tuple[type[Exception], str, Callable[[Uploader], object]]] = {
    "max_size": (ValueError, "not a size", lambda upload: upload.single("f", max_size="5 parsecs")),
    "min_size": (ValueError, "not a size", lambda upload: upload.single("f", min_size="")),
    "min_size over max_size": (ValueError, "min_size 6 is more", lambda up: up.single("f", min_size=6, max_size=5)),
    "negative size": (ValueError, "not negative", lambda upload: upload.single("f", max_size=-1)),
    "size": (TypeError, "a size is", lambda upload: upload.single("f", max_size=cast(Any, 1.5))),
    "accept": (ValueError, "accept is empty", lambda upload: upload.single("f", accept=[])),
    "accept, unknown": (ValueError, "unknown extension", lambda upload: upload.single("f", accept=".xyzzy")),
    "max_count": (ValueError, "not negative", lambda upload: upload.array("f", max_count=-1)),
    "max_count, none": (ValueError, "would refuse every file", lambda upload: upload.array("f", max_count=0)),
    "max_count, bool": (TypeError, "max_count is", lambda upload: upload.array("f", max_count=True)),
    "min_count": (ValueError, "min_count 3 is more", lambda upload: upload.array("f", min_count=3, max_count=2)),
    "required": (ValueError, "min_count 1 is more", lambda upload: upload.array("f", required=True, max_count=0)),
    "filter": (TypeError, "something to call", lambda upload: upload.single("f", filter=cast(Any, "images"))),
    "filename": (TypeError, "something to call", lambda upload: upload.single("f", filename=cast(Any, "x.png"))),
    "check": (TypeError, "is no check", lambda upload: upload.single("f", check=cast(Any, object()))),
    "check, a text": (TypeError, "is no check", lambda upload: upload.single("f", check=cast(Any, "scan"))),
    "check, a class": (TypeError, "is no check", lambda upload: upload.single("f", check=cast(Any, Examining))),
    "check, async begin": (TypeError, "is async", lambda up: up.single("f", check=cast(Any, AsyncStreaming()))),
    "check, async examine": (TypeError, "is async", lambda up: up.single("f", check=cast(Any, [AsyncExamining()]))),
    "storage": (TypeError, "is no storage", lambda upload: upload.single("f", storage=cast(Any, "uploads"))),
    "storage, a class": (TypeError, "is no storage", lambda up: up.single("f", storage=cast(Any, MemoryStorage))),
    "unknown rule": (
        TypeError,
        r"single\(\) takes no size; it takes accept",
        lambda upload: upload.single("f", **cast(Any, {"size": 5})),
    ),
    "field twice": (ValueError, "declared more than once", lambda upload: upload.fields(File("f"), Text("f"))),
    "a name for a field": (TypeError, "takes File", lambda upload: upload.fields(cast(Any, "avatar"))),
    "name": (TypeError, "a field's name is", lambda upload: upload.single(cast(Any, 5))),
    "name, empty": (ValueError, "not an empty one", lambda upload: upload.single("")),
    "text, empty name": (ValueError, "not an empty one", lambda upload: upload.fields(Text(""))),
    "text": (ValueError, "not negative", lambda upload: upload.fields(Text("t", max_length=-1))),
    "staged check": (TypeError, "cannot read what is staged", lambda _: writing_only(check=Examining())),
    "staged check, too": (TypeError, "cannot read what is staged", lambda _: writing_only(check=[Both()])),
    "key maker": (TypeError, "never replaces", lambda _: writing_only(filename=lambda file: "key")),
    "uploader's storage": (TypeError, "is no storage", lambda _: Uploader(cast(Any, "uploads"))),
    "uploader's rules": (ValueError, "not a size", lambda _: Uploader(MemoryStorage(), max_size="many")),
    "uploader's check": (TypeError, "cannot read", lambda _: Uploader(write_only(), check=Examining())),
    "on_error": (ValueError, "on_error is", lambda _: Uploader(MemoryStorage(), on_error=cast(Any, "ignore"))),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_mistake_in_the_rules_is_raised_when_the_spec_is_made(wrong: str) -> None:
    """And never at the first upload."""
    kind, text, make = WRONG[wrong]
    with pytest.raises(kind, match=text):
        make(Uploader(MemoryStorage()))


def test_a_field_may_bring_the_storage_that_its_check_needs(drive: Drive) -> None:
    """What the uploader's storage cannot do, the field's own can."""
    spec = Uploader(write_only()).single("f", check=Examining(), storage=MemoryStorage())
    assert given(drive, spec, one()).size == 4


def take_all(file: IncomingFile) -> bool:
    """A filter."""
    return True


def refuse_all(file: IncomingFile) -> bool:
    """A filter."""
    return False


def write_only() -> Storage:
    """A storage that can neither read what is staged nor promise not to replace."""
    return cast(Storage, WriteOnlyStorage())


def writing_only(**rules: Any) -> object:
    """A spec for such a storage."""
    return Uploader(write_only()).single("f", **rules)


def unread() -> Iterable[bytes]:
    """A body that must not be read."""
    yield pytest.fail("a chunk was taken")


def unexpected(field: str, *taken: str) -> Refusal:
    """A file in a field that takes none, where the `taken` ones do."""
    only = f", only in {', '.join(map(repr, taken))}" if taken else ""
    text = f"no file is taken in field {field!r}{only}"
    return Refusal(UnexpectedField, text, status=422, code="unexpected_field", field=field)


def missing(text: str, field: str = "f") -> Refusal:
    """A field that was not sent, or not often enough."""
    return Refusal(FieldMissing, text, status=422, code="field_missing", field=field)
