"""What the text values of a typed form become, and how all errors of a form are one answer."""

from __future__ import annotations

import datetime
import itertools
import json
import pickle
from collections.abc import Sequence
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal, NotRequired
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, Json, ValidationInfo, field_validator, model_validator
from tests.forms.sending import PNG, Drives, sent, spec_of
from tests.intake.receiving import DRIVES, Body, bytewise, cut, in_chunks, left_in
from typing_extensions import TypedDict

from uploadkit import IMAGES, File, IncomingFile, LimitExceeded, Limits, MemoryStorage, UploadedFile, Uploader
from uploadkit.errors import MAX_ERRORS, FieldError, FileRefused, InvalidForm, MalformedForm, TruncatedForm, UploadError
from uploadkit.intake.plan import GATHER_SIZE
from uploadkit.testing import FormBuilder


class Color(Enum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    """A part of a form."""

    city: str
    zip: int | None = None


class One(BaseModel):
    """One field of every kind; each test sends one of them."""

    model_config = ConfigDict(extra="ignore")

    number: int = 0
    amount: Decimal = Decimal(0)
    day: datetime.date | None = None
    when: datetime.datetime | None = None
    color: Color = Color.RED
    word: Literal["", "a"] = "a"
    flag: bool = False
    id: UUID | None = None
    title: str = "none"
    note: str | None = None
    either: int | str = 0
    tags: list[str] = ["none"]
    numbers: set[int] = {0}
    pair: tuple[int, str] | None = None
    address: Address | None = None
    addresses: list[Address] = []
    matrix: list[list[int]] = []
    mapping: dict[str, int] = {}
    raw: Json[list[int]] = [0]
    network: IPv4Network | None = None


VALUES: dict[str, tuple[str, list[str], Any]] = {
    "a number": ("number", ["42"], 42),
    "a decimal": ("amount", ["1.50"], Decimal("1.50")),
    "a date": ("day", ["2026-11-26"], datetime.date(2026, 11, 26)),
    "what a browser sends for datetime-local": ("when", ["2026-11-26T10:30"], datetime.datetime(2026, 11, 26, 10, 30)),
    "an enum": ("color", ["blue"], Color.BLUE),
    "what a browser sends for a checkbox": ("flag", ["on"], True),
    "an id": ("id", ["12345678-1234-5678-1234-567812345678"], UUID("12345678-1234-5678-1234-567812345678")),
    "an empty number": ("number", [""], 0),
    "an empty date": ("day", [""], None),
    "an empty choice": ("color", [""], Color.RED),
    "a choice that may be empty": ("word", [""], ""),
    "an empty text": ("title", [""], ""),
    "an empty text that may be None": ("note", [""], ""),
    "a number or a text": ("either", ["x"], "x"),
    "a list": ("tags", ["a", "b", ""], ["a", "b", ""]),
    "a list of one": ("tags", ["a"], ["a"]),
    "a set of numbers": ("numbers", ["1", "2", "1", ""], {1, 2}),
    "a pair": ("pair", ["1", "b"], (1, "b")),
    "a model": ("address", ['{"city": "Bern", "zip": 3000}'], Address(city="Bern", zip=3000)),
    "a list of models": ("addresses", ['{"city": "A"}', '{"city": "B"}'], [Address(city="A"), Address(city="B")]),
    "a list of lists": ("matrix", ["[1, 2]", "[3]"], [[1, 2], [3]]),
    "a dict": ("mapping", ['{"a": 1}'], {"a": 1}),
    "pydantic's own Json": ("raw", ["[1, 2]"], [1, 2]),
    "what can be iterated and is no list": ("network", ["10.0.0.0/8"], IPv4Network("10.0.0.0/8")),
}


@pytest.mark.parametrize(("name", "values", "given"), VALUES.values(), ids=VALUES)
def test_text_becomes_what_the_annotation_says(name: str, values: list[str], given: Any, drives: Drives) -> None:
    """As browsers send it; the other fields keep their defaults."""
    form = FormBuilder()
    for value in values:
        form.text(name, value)
    model = sent(drives, One, form).model
    assert getattr(model, name) == given
    assert model.model_fields_set <= {name}


WRONG: dict[str, tuple[str, list[str], str]] = {
    "no number": ("number", ["x"], "int_parsing"),
    "no date": ("day", ["2026-02-30"], "date_from_datetime_parsing"),
    "no choice": ("color", ["green"], "enum"),
    "an item that is no number": ("numbers", ["1", "x"], "int_parsing"),
    "no JSON": ("address", ["Bern"], "json_invalid"),
    "JSON that ends early": ("address", ['{"city": "Bern"'], "json_invalid"),
    "JSON with what JSON has not": ("mapping", ['{"a": NaN}'], "json_invalid"),
    "JSON that is nested too deep": ("mapping", ["[" * 5000], "json_invalid"),
    "pydantic's own Json that is none": ("raw", ["[1"], "json_invalid"),
    "JSON of another kind": ("address", ["[]"], "model_type"),
    "one value twice": ("number", ["1", "2"], "limit_exceeded"),
}


@pytest.mark.parametrize(("name", "values", "code"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_an_error_of_its_field(name: str, values: list[str], code: str, drives: Drives) -> None:
    """Also when it came before a file, which is then not stored, and at the very end."""
    form = FormBuilder()
    for value in values:
        form.text(name, value)
    assert sent(drives, One, form).errors == [(name, code)]


class Profile(BaseModel):
    """The form that most tests send."""

    title: str = Field(min_length=3)
    age: int
    tags: list[int] = []
    avatar: Annotated[UploadedFile, File(accept=IMAGES, max_size=100)] | None = None
    photos: list[UploadedFile] = []

    @field_validator("title")
    @classmethod
    def decent(cls, title: str, info: ValidationInfo) -> str:
        """A validator of one field; it sees those before it."""
        assert isinstance(info.data, dict)
        if title == "indecent":
            raise ValueError("be nice")
        return title

    @model_validator(mode="after")
    def whole(self) -> Profile:
        """A validator of the whole."""
        if self.title == "no photos" and self.photos:
            raise ValueError("it says that there are none")
        return self


def test_all_errors_of_a_form_are_one_answer(drives: Drives) -> None:
    """Of texts, of files, of what is missing and of what is too much, in one problem."""
    form = FormBuilder().text("title", "indecent").file("avatar", b"text", filename="a.txt").text("tags", "x")
    form.file("photos", b"1", filename="1.bin").file("other", b"", filename="o.bin")
    outcome = sent(drives, Profile, form)
    assert outcome.error is not None
    assert outcome.error.problem() == {
        "type": "about:blank",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "the form has 5 errors, in 'avatar', 'other', 'title', 'age', 'tags'",
        "code": "invalid_form",
        "errors": [
            {
                "field": "avatar",
                "code": "file_refused",
                "message": "file 'avatar' is text/plain, which the field does not accept",
            },
            {
                "field": "other",
                "code": "unexpected_field",
                "message": "no file is taken in field 'other', only in 'avatar', 'photos'",
            },
            {"field": "title", "code": "value_error", "message": "Value error, be nice"},
            {"field": "age", "code": "field_missing", "message": "field 'age' is missing"},
            {
                "field": "tags",
                "code": "int_parsing",
                "message": "Input should be a valid integer, unable to parse string as an integer",
                "path": [0],
            },
        ],
    }


def test_the_errors_do_not_depend_on_how_the_body_was_cut(drives: Drives) -> None:
    """Byte by byte they are the same."""
    form = FormBuilder().text("title", "x").file("avatar", b"x" * 99, filename="a.png").text("age", "?")
    form.file("photos", b"1" * 20_000, filename="1.bin")
    whole = sent(drives, Profile, form)
    assert whole.errors == [("avatar", "file_refused"), ("title", "string_too_short"), ("age", "int_parsing")]
    for chunks in (bytewise(form.body), in_chunks(form.body, 1000)):
        assert sent(drives, Profile, form, chunks=chunks).errors == whole.errors


@given(st.data())
def test_any_mixture_of_errors_is_told_whole(data: st.DataObject) -> None:
    """Whatever is wrong, wherever the body is cut: each error once, the same from both drivers, and nothing stored."""
    form = FormBuilder()
    wrong: set[tuple[str, str]] = set()
    for name in data.draw(st.permutations(["title", "age", "avatar", "photos", "other"])):
        match name, data.draw(st.booleans()):
            case "title", good:
                form.text("title", "good" if good else "x")
                wrong |= set() if good else {("title", "string_too_short")}
            case "age", good:
                if good:
                    form.text("age", "1")
                else:
                    wrong.add(("age", "field_missing"))
            case "avatar", good:
                form.file("avatar", PNG if good else PNG * 10, filename="a.png")
                wrong |= set() if good else {("avatar", "limit_exceeded")}
            case "photos", True:
                form.file("photos", b"x" * 10_000, filename="x.bin")
            case "other", False:
                form.file("other", b"x", filename="x.bin")
                wrong.add(("other", "unexpected_field"))
    chunks = cut(form.body, data.draw(st.lists(st.integers(0, len(form.body)), max_size=4)))
    for drive in DRIVES.values():
        storage = MemoryStorage()
        try:
            profile = drive(spec_of(Profile, storage), form.content_type, chunks)
            found = []
            assert len(storage.objects) == len(profile.photos) + (profile.avatar is not None)
        except InvalidForm as error:
            found = [(each.field, each.code) for each in error.errors]
        assert sorted(found) == sorted(wrong)
        assert not found or left_in(storage) == []


def test_text_before_a_file_is_judged_before_the_file_is_stored() -> None:
    """And text behind it before anything is published. What cannot be judged yet is judged at the end."""
    seen: list[str] = []

    def is_asked(file: IncomingFile) -> bool:
        seen.append(file.filename)
        return True

    def named(file: IncomingFile) -> str:
        seen.append("a key")
        return file.filename

    class Titled(BaseModel):
        title: str = Field(min_length=3)
        tags: list[int] = Field(default=[], min_length=2)
        photo: Annotated[UploadedFile, File(filter=is_asked, filename=named)]

    form = FormBuilder().text("tags", "1").text("title", "good").file("photo", PNG, filename="a.png").text("tags", "2")
    storage = MemoryStorage()
    assert DRIVES["blocking"](spec_of(Titled, storage), form.content_type, [form.body]).tags == [1, 2]
    assert seen == ["a.png", "a key"]
    seen.clear()
    form = FormBuilder().text("tags", "1").text("title", "x").file("photo", PNG, filename="a.png").text("tags", "x")
    with pytest.raises(InvalidForm) as caught:
        DRIVES["blocking"](spec_of(Titled, MemoryStorage()), form.content_type, [form.body])
    assert seen == ["a.png"], "a file was given a key, which is the first step to store it"
    assert [error.field for error in caught.value.errors] == ["title", "tags"]


def test_every_value_is_judged_once_before_the_end(drives: Drives) -> None:
    """However many files come between them."""
    asked = []

    class Gallery(BaseModel):
        title: str
        tags: list[str] = []
        photos: list[UploadedFile]

        @field_validator("title")
        @classmethod
        def count(cls, title: str) -> str:
            """Is counted."""
            asked.append(title)
            return title

    form = FormBuilder().text("title", "x")
    for _ in range(20):
        form.text("tags", "x").file("photos", b"x", filename="a.bin")
    assert len(sent(drives, Gallery, form).tags) == 20
    assert asked == ["x", "x"] * len(drives())


class Captioned(BaseModel):
    """Validators that look further than at a value."""

    tags: list[int] = []
    first: str = ""
    photo: UploadedFile | None = None
    caption: str = ""
    slug: str = Field(default_factory=lambda data: data["photo"].filename if data["photo"] else "none")

    @field_validator("tags")
    @classmethod
    def second(cls, tags: list[int]) -> list[int]:
        """Breaks where there is one alone."""
        return tags if not tags or tags[1] else []

    @field_validator("caption")
    @classmethod
    def needed(cls, caption: str, info: ValidationInfo) -> str:
        """Looks at the fields before it, without a care."""
        assert caption or info.data["first"] or info.data["photo"], "say something"
        return caption


ORDERS = sorted({*itertools.permutations(["tags", "tags", "first", "caption", "photo"])})


@pytest.mark.parametrize("names", ORDERS, ids="-".join)
def test_no_validator_sees_a_half_whatever_comes_first(names: Sequence[str]) -> None:
    """Neither other fields that are still to come, nor a list that may grow."""
    form = FormBuilder()
    for name in names:
        form.file(name, PNG, filename="a.png") if name == "photo" else form.text(name, "1" if name == "tags" else "")
    given = DRIVES["blocking"](spec_of(Captioned, MemoryStorage()), form.content_type, [form.body])
    assert (given.tags, given.photo.filename, given.slug) == ([1, 1], "a.png", "a.png")


def test_a_validator_that_looks_at_other_fields_is_not_asked_where_files_are_missing(drives: Drives) -> None:
    """A refused file is no reason for two errors; one that sees no files is asked."""
    form = FormBuilder().file("photo", PNG, filename="a.png").text("caption", "").file("more", PNG, filename="a.png")
    assert sent(drives, Captioned, form).errors == [("more", "unexpected_field")]
    form = FormBuilder().text("title", "indecent").text("age", "1").file("avatar", b"x", filename="a.txt")
    assert sent(drives, Profile, form).errors == [("avatar", "file_refused"), ("title", "value_error")]


def test_a_validator_of_the_whole_stores_nothing(drives: Drives) -> None:
    """It sees the files; they are not published before it agrees."""
    form = FormBuilder().text("title", "no photos").text("age", "1")
    assert sent(drives, Profile, form).title == "no photos"
    form.file("photos", b"1", filename="1.bin")
    outcome = sent(drives, Profile, form)
    assert outcome.errors == [(None, "value_error")]
    assert str(outcome.error) == "Value error, it says that there are none"


def test_a_validator_that_breaks_is_no_error_of_the_sender() -> None:
    """It is the application's, and nothing is stored."""

    class Broken(BaseModel):
        photo: UploadedFile

        @model_validator(mode="after")
        def whole(self) -> Broken:
            """Breaks."""
            raise ZeroDivisionError

    form = FormBuilder().file("photo", PNG, filename="a.png")
    for drive in DRIVES.values():
        storage = MemoryStorage()
        with pytest.raises(ZeroDivisionError):
            drive(spec_of(Broken, storage), form.content_type, [form.body])
        assert left_in(storage) == []


STATUSES: dict[str, tuple[FormBuilder, int]] = {
    "of one file's type": (
        FormBuilder().text("title", "good").text("age", "1").file("avatar", b"x", filename="a.txt"),
        415,
    ),
    "of one file's size": (
        FormBuilder().text("title", "good").text("age", "1").file("avatar", PNG * 10, filename="a.png"),
        413,
    ),
    "of both": (FormBuilder().text("title", "good").file("avatar", PNG * 10, filename="a.png"), 422),
    "of a text": (FormBuilder().text("title", "good").text("age", "x"), 422),
}


@pytest.mark.parametrize(("form", "status"), STATUSES.values(), ids=STATUSES)
def test_the_status_is_that_of_its_errors_where_they_agree(form: FormBuilder, status: int, drives: Drives) -> None:
    """Else it is 422."""
    outcome = sent(drives, Profile, form)
    assert outcome.error is not None
    assert outcome.error.status == outcome.error.problem()["status"] == status


TEXT = b'Content-Disposition: form-data; name="t"\r\n\r\nx\r\n'
MANY = TEXT + (b"--b\r\n" + TEXT) * 10

ENDINGS: dict[str, tuple[Any, type[UploadError]]] = {
    "a body that is cut": (lambda body: [body[:-3]], TruncatedForm),
    "a broken header": (lambda body: [body.replace(b'name="age"', b"name=")], MalformedForm),
    "a limit of the process": (lambda body: [body.replace(b"--b--", b"--b\r\n" + MANY + b"--b--")], LimitExceeded),
}


@pytest.mark.parametrize(("broken", "kind"), ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("drive", DRIVES)
def test_what_breaks_the_form_ends_it(broken: Any, kind: type[UploadError], drive: str) -> None:
    """Errors of fields that were found before are then of no use: which form it was nobody knows."""
    form = FormBuilder(boundary="b").text("title", "x").file("photos", b"1", filename="1.bin").text("age", "1")
    storage = MemoryStorage()
    spec = Uploader(storage, limits=Limits(fields=10)).form(Profile)
    with pytest.raises(kind):
        DRIVES[drive](spec, form.content_type, broken(form.body))
    assert left_in(storage) == []


def test_a_long_rest_is_not_looked_through_for_more_errors() -> None:
    """After the first error 16 MiB are read, as after any early answer."""
    rest = 64 << 20
    form = FormBuilder().file("avatar", b"text", filename="a.txt").file("photos", bytes(rest), filename="1.bin")
    for drive in DRIVES.values():
        storage, body = MemoryStorage(), Body(in_chunks(form.body))
        with pytest.raises(InvalidForm) as caught:
            drive(spec_of(Profile, storage), form.content_type, body)
        assert [error.field for error in caught.value.errors] == ["avatar"]
        assert GATHER_SIZE <= body.taken * (1 << 16) <= GATHER_SIZE + (1 << 17)
        assert left_in(storage) == []


def test_an_answer_has_no_more_errors_than_anybody_reads() -> None:
    """A megabyte of JSON could have half a million."""

    class Numbers(BaseModel):
        numbers: dict[str, int]

    many = "{" + ", ".join(f'"{number}": "x"' for number in range(1000)) + "}"
    form = FormBuilder().text("numbers", many)
    with pytest.raises(InvalidForm) as caught:
        DRIVES["blocking"](spec_of(Numbers, MemoryStorage()), form.content_type, [form.body])
    assert len(caught.value.errors) == MAX_ERRORS
    assert str(caught.value) == "the form has 1000 errors, in 'numbers'"


MANY_VALUES: dict[str, tuple[str, str]] = {
    "items": ("lists", json.dumps({"k": [[]] * 100_000})),
    "items of pydantic's own Json": ("raw", json.dumps([[]] * 140_000)),
    "items of pydantic's own Json in a part": ("part", json.dumps({"raw": json.dumps([[]] * 140_000)})),
    "keys": ("lists", json.dumps({"k": [dict.fromkeys(range(80_000), 0)]})),
    "a long name to each": ("lists", json.dumps({"k" * 500_000: [[]] * 100})),
}


@pytest.mark.parametrize("name", MANY_VALUES)
def test_json_with_too_many_values_is_refused_before_each_of_them_is_an_error(name: str, drives: Drives) -> None:
    """pydantic holds the names that lead to every error: a megabyte became many gigabytes."""

    class Part(BaseModel):
        raw: Json[list[int | float | bool]] = []
        part: Part | None = None

    class Lists(BaseModel):
        lists: dict[str, list[int | float | bool]] = {}
        part: Part | None = None
        raw: Json[list[int | float | bool]] = []

    field, value = MANY_VALUES[name]
    outcome = sent(drives, Lists, FormBuilder().text(field, value))
    assert outcome.error is not None
    assert (str(outcome.error), outcome.errors) == (
        f"field '{field}' has more JSON values than are read",
        [(field, "field_refused")],
    )


def test_of_very_many_errors_only_the_number_is_told(drives: Drives) -> None:
    """To list them takes longer than to find them."""

    class Lists(BaseModel):
        lists: dict[str, list[int]]

    form = FormBuilder().text("lists", json.dumps({"k": [[]] * 10_001}))
    outcome = sent(drives, Lists, form.file("none", b"", filename="a.bin"))
    assert outcome.errors == [("none", "unexpected_field"), (None, "too_many_errors")]


def test_what_a_sender_put_into_an_error_is_short_and_printable(drives: Drives) -> None:
    """The tag of a union, and a key of a dict."""

    class Cat(BaseModel):
        kind: Literal["cat"]

    class Dog(BaseModel):
        kind: Literal["dog"]

    class Pets(BaseModel):
        pets: dict[str, Annotated[Cat | Dog, Field(discriminator="kind")]]

    form = FormBuilder().text("pets", json.dumps({"\x1b" + "k" * 300: {"kind": "\x1b[31m"}}))
    outcome = sent(drives, Pets, form)
    assert outcome.error is not None
    [error] = outcome.error.errors
    assert error.message.startswith("Input tag ' [31m' found")
    assert error.path == (" " + "k" * 198 + "…",)


def test_a_refusal_of_a_users_own_is_gathered_with_its_field(drives: Drives) -> None:
    """A filter and a check need not name it."""

    def refuses(file: IncomingFile) -> bool:
        raise FileRefused("not today")

    class Guarded(BaseModel):
        age: int
        photo: Annotated[UploadedFile, File(filter=refuses)]

    form = FormBuilder().file("photo", PNG, filename="a.png").text("age", "x")
    assert sent(drives, Guarded, form).errors == [("photo", "file_refused"), ("age", "int_parsing")]


def test_a_form_without_a_file_may_be_sent_urlencoded(drives: Drives) -> None:
    """Numbers, lists and errors are the same."""
    for drive, storage in drives():
        spec = spec_of(Profile, storage)
        urlencoded = "application/x-www-form-urlencoded"
        profile = DRIVES[drive](spec, urlencoded, [b"title=good&age=3&tags=1&tags=2"])
        assert (profile.title, profile.age, profile.tags) == ("good", 3, [1, 2])
        with pytest.raises(InvalidForm) as caught:
            DRIVES[drive](spec, urlencoded, [b"title=x&tags=y"])
        assert [error.field for error in caught.value.errors] == ["title", "age", "tags"]


class Zoo(BaseModel):
    """A form with nested names."""

    pet: Address
    kids: list[int] = Field(default=[], min_length=2)
    rows: list[Address] = []
    name: str = ""
    photo: UploadedFile | None = None


def test_nested_names_are_parts_where_it_is_asked_for(drives: Drives) -> None:
    """Else they are names like any other."""
    form = FormBuilder().text("pet[city]", "Bern").text("pet[zip]", "3000").text("kids[]", "1").text("kids[]", "2")
    form.text("rows[1][city]", "B").text("rows[0][city]", "A").text("name", "x")
    zoo = sent(drives, Zoo, form, nested=True).model
    assert zoo == Zoo(
        pet=Address(city="Bern", zip=3000), kids=[1, 2], rows=[Address(city="A"), Address(city="B")], name="x"
    )
    assert sent(drives, Zoo, form).errors == [("pet", "field_missing")]
    mixed = FormBuilder().text("pet", '{"city": "Bern"}').text("kids", "1").text("kids", "2")
    assert sent(drives, Zoo, mixed, nested=True).kids == [1, 2]


def test_of_nested_names_only_whole_values_are_judged_before_a_file(drives: Drives) -> None:
    """More of a part may come behind it."""
    form = FormBuilder().text("kids[]", "1").text("pet[zip]", "1").file("photo", PNG, filename="a.png")
    form.text("pet[city]", "Bern").text("kids[]", "2")
    assert sent(drives, Zoo, form, nested=True).kids == [1, 2]
    wrong = FormBuilder().text("pet[zip]", "x").text("kids[]", "y").file("photo", PNG, filename="a.png")
    outcome = sent(drives, Zoo, wrong, nested=True)
    assert outcome.error is not None
    assert [(each.field, each.path, each.code) for each in outcome.error.errors] == [
        ("pet", ("city",), "missing"),
        ("pet", ("zip",), "int_parsing"),
        ("kids", (0,), "int_parsing"),
    ]


class Named(BaseModel):
    """One of two that a part may be."""

    name: str
    zip: str


class Owner(BaseModel):
    """A part that looks at itself."""

    name: str
    age: int | None = None

    @model_validator(mode="before")
    @classmethod
    def named(cls, data: Any) -> Any:
        """Breaks where there is no name."""
        return {**data, "name": data["name"].upper()}


class Kennel(BaseModel):
    """Parts whose meaning is known when they are whole."""

    owner: Owner
    place: Address | Named
    photo: UploadedFile


def test_no_part_is_judged_before_it_is_whole(drives: Drives) -> None:
    """Which of two it is, and what its validators say, is known at the end."""
    form = FormBuilder().text("owner[age]", "1").text("place[zip]", "x").file("photo", PNG, filename="a.png")
    form.text("owner[name]", "a").text("place[name]", "b")
    kennel = sent(drives, Kennel, form, nested=True)
    assert (kennel.owner, kennel.place) == (Owner(name="A", age=1), Named(name="b", zip="x"))


class Keys(TypedDict):
    """A part that is a dict of known keys."""

    size: NotRequired[int]


class Stay(BaseModel):
    """A part with fields of all kinds."""

    note: str = "none"
    nights: int | None = None
    born: datetime.date | None = Field(default=None, alias="birth")
    rooms: list[int] = []
    prices: dict[str, int] = {}
    keys: Keys = {}
    before: Stay | None = None


class Trip(BaseModel):
    """It is one part, and many."""

    stay: Stay
    stays: list[Stay]


@pytest.mark.parametrize("part", ["stay", "stay[before]", "stays[0]"])
def test_an_input_of_a_part_that_was_left_empty_is_none(part: str, drives: Drives) -> None:
    """As one of the form itself is; and one value of a list is a list."""
    form = FormBuilder().text("stay[prices][b]", "2").text(f"{part}[note]", "").text(f"{part}[nights]", "")
    form.text(f"{part}[birth]", "").text(f"{part}[rooms]", "1").text(f"{part}[prices][a]", "")
    trip = sent(drives, Trip, form.text(f"{part}[keys][size]", ""), nested=True)
    stay = {"stay": trip.stay, "stay[before]": trip.stay.before, "stays[0]": [*trip.stays, None][0]}[part]
    assert stay == Stay(note="", rooms=[1], prices={"b": 2} if part == "stay" else {})


def test_a_nested_name_that_is_not_read_is_the_only_error(drives: Drives) -> None:
    """What the others come to is not known."""
    form = FormBuilder().text("kids[1001]", "1").file("photo", PNG, filename="a.png")
    assert sent(drives, Zoo, form, nested=True).errors == [("kids[1001]", "field_refused")]


@pytest.mark.parametrize("extra", ["forbid", "allow"])
def test_other_text_fields_are_for_the_model_to_say(extra: Any, drives: Drives) -> None:
    """It forbids, allows or ignores them; a file's field that is sent as text is not one of them."""

    class Strict(BaseModel):
        model_config = ConfigDict(extra=extra)
        name: str
        photo: UploadedFile | None = None

    form = FormBuilder().text("name", "x").text("more", "y").text("photo", "")
    outcome = sent(drives, Strict, form)
    if extra == "forbid":
        assert outcome.errors == [("more", "extra_forbidden")]
    else:
        assert (outcome.more, outcome.photo) == ("y", None)


def test_an_error_is_copied_whole() -> None:
    """By pickle too, as from one process to another."""
    error = InvalidForm([FieldError(field="a", code="x", message="no", path=(0, "b"))])
    assert str(error) == "field 'a': no"
    assert error.field == "a"
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.errors, copied.problem()) == (error.errors, error.problem())
