"""Which models can be sent as a form, and what of them a form has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Annotated, Any, Generic, NewType, TypeAlias, TypeVar

import pytest
from pydantic import AliasPath, BaseModel, ConfigDict, Field, RootModel, model_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass
from tests.forms.sending import PNG, Drives, sent, spec_of
from typing_extensions import TypeAliasType, TypedDict

from uploadkit import IMAGES, File, MemoryStorage, Text, UploadedFile, Uploader
from uploadkit.testing import FormBuilder

T = TypeVar("T")

Picture = Annotated[UploadedFile, File(accept=IMAGES)]
Named = TypeAliasType("Named", Picture)
New = NewType("New", UploadedFile)

SPELLINGS: dict[str, tuple[Any, bool, bool]] = {
    # What is written, whether it is needed, whether it is a list.
    "bare": (UploadedFile, True, False),
    "annotated": (Annotated[UploadedFile, File(accept=IMAGES)], True, False),
    "None inside Annotated": (Annotated[UploadedFile | None, File(accept=IMAGES)], False, False),
    "None outside Annotated": (Annotated[UploadedFile, File(accept=IMAGES)] | None, False, False),
    "bare or None": (UploadedFile | None, False, False),
    "a list": (list[UploadedFile], False, True),
    "a list inside Annotated": (Annotated[list[UploadedFile], File(accept=IMAGES)], False, True),
    "a list of Annotated": (list[Annotated[UploadedFile, File(accept=IMAGES)]], False, True),
    "a list or None": (list[UploadedFile] | None, False, True),
    "a name for it": (Picture, True, False),
    "a type alias": (Named, True, False),
    "a new type": (New, True, False),
    "with pydantic's own metadata": (Annotated[UploadedFile, Field(description="a face"), File()], True, False),
}


def as_model(annotation: Any, optional: bool) -> type[Any]:
    """A pydantic model with one field."""
    namespace: dict[str, Any] = {"__annotations__": {"photo": annotation}, "__module__": __name__}
    return type("Model", (BaseModel,), namespace | ({"photo": None} if optional else {}))


def as_dataclass(annotation: Any, optional: bool) -> type[Any]:
    """A dataclass of the standard library with one field."""
    return dataclasses.make_dataclass("Model", [("photo", annotation, field(default=None) if optional else field())])


def as_pydantic_dataclass(annotation: Any, optional: bool) -> type[Any]:
    """pydantic's dataclass with one field."""
    made: type[Any] = pydantic_dataclass(as_dataclass(annotation, optional))
    return made


KINDS: dict[str, Callable[[Any, bool], type[Any]]] = {
    "model": as_model,
    "dataclass": as_dataclass,
    "pydantic's dataclass": as_pydantic_dataclass,
}


@pytest.mark.parametrize(("annotation", "required", "many"), SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_field_of_files_has_many_spellings(
    kind: str, annotation: Any, required: bool, many: bool, drives: Drives
) -> None:
    """Each of them means the same in a model and in both kinds of dataclasses: sent, sent twice, and not sent."""
    optional = not required and not many
    model = KINDS[kind](annotation, optional)
    one = FormBuilder().file("photo", PNG, filename="a.png", content_type="image/png")
    two = FormBuilder().file("photo", PNG, filename="a.png").file("photo", PNG, filename="b.png")
    if many:
        assert [file.filename for file in sent(drives, model, one).photo] == ["a.png"]
        assert [file.filename for file in sent(drives, model, two).photo] == ["a.png", "b.png"]
        assert not sent(drives, model, FormBuilder().text("t", "")).photo
    else:
        assert sent(drives, model, one).photo.filename == "a.png"
        assert sent(drives, model, two).errors == [("photo", "limit_exceeded")]
        none = sent(drives, model, FormBuilder().text("t", ""))
        assert none.errors == [("photo", "field_missing")] if required else none.photo is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_rules_beside_an_annotation_hold(kind: str, drives: Drives) -> None:
    """In a list too, and a name in them is the form's."""
    rules = File("pictures[]", accept=IMAGES, max_count=2, min_count=1)
    model = KINDS[kind](Annotated[list[UploadedFile], rules], False)
    form = FormBuilder()
    assert sent(drives, model, form).errors == [("pictures[]", "field_missing")]
    form.file("pictures[]", b"text", filename="a.txt").file("pictures[]", PNG, filename="b.png")
    form.file("pictures[]", PNG, filename="c.png")
    assert sent(drives, model, form).errors == [("pictures[]", "file_refused"), ("pictures[]", "limit_exceeded")]


class Aliased(BaseModel):
    """Fields whose names in the form are others."""

    photo: UploadedFile = Field(alias="profile-photo")
    age: int = Field(validation_alias="how-old")
    tags: list[str] = Field(alias="tag")


def test_an_alias_is_the_name_in_the_form(drives: Drives) -> None:
    """Of files and of texts, and in errors."""
    form = FormBuilder().file("profile-photo", PNG, filename="a.png").text("how-old", "7").text("tag", "a")
    given = sent(drives, Aliased, form)
    assert (given.photo.field, given.age, given.tags) == ("profile-photo", 7, ["a"])
    wrong = FormBuilder().text("how-old", "x").file("photo", PNG, filename="a.png")
    assert sent(drives, Aliased, wrong).errors == [
        ("photo", "unexpected_field"),
        ("profile-photo", "field_missing"),
        ("how-old", "int_parsing"),
    ]


class Inner(BaseModel):
    """A part with a file, which no form can have."""

    photo: UploadedFile


class Recursive(BaseModel):
    """A model that holds itself."""

    name: str
    inner: Recursive | None = None


class Page(BaseModel, Generic[T]):
    """A generic model."""

    item: T
    photo: UploadedFile | None = None


def test_a_recursive_and_a_generic_model_are_forms(drives: Drives) -> None:
    """Parts of theirs come as JSON."""
    form = FormBuilder().text("name", "a").text("inner", '{"name": "b", "inner": {"name": "c"}}')
    assert sent(drives, Recursive, form).inner.inner.name == "c"
    form = FormBuilder().text("name", "a").text("inner", '{"nam": "b"}')
    assert sent(drives, Recursive, form).errors == [("inner", "missing")]
    assert sent(drives, Page[int], FormBuilder().text("item", "3")).item == 3


@dataclass
class Computed:
    """A dataclass that makes one of its fields."""

    name: str
    length: int = field(init=False)

    def __post_init__(self) -> None:
        self.length = len(self.name)


def test_what_a_dataclass_makes_itself_is_no_field_of_the_form(drives: Drives) -> None:
    """It is made as always."""
    assert sent(drives, Computed, FormBuilder().text("name", "abc").text("length", "9")).length == 3


@dataclass
class Given:
    """A dataclass that keeps none of what it is given."""

    photo: InitVar[UploadedFile]
    words: InitVar[list[str]]
    seen: tuple[str, list[str]] = field(init=False)

    def __post_init__(self, photo: UploadedFile, words: list[str]) -> None:
        self.seen = (photo.filename, words)


def test_what_a_dataclass_is_only_made_of_is_a_field_of_the_form(drives: Drives) -> None:
    """`InitVar` of a file and of a list."""
    form = FormBuilder().text("words", "a").text("words", "b").file("photo", PNG, filename="a.png")
    assert sent(drives, Given, form).seen == ("a.png", ["a", "b"])


class Early(BaseModel):
    """A model whose annotations name what is defined below it."""

    photo: Late
    ages: Ages


class EarlyToo(Early):
    """It inherits them."""


Late: TypeAlias = UploadedFile
Ages: TypeAlias = list[int]


@pytest.mark.parametrize("model", [Early, EarlyToo])
def test_a_model_may_name_what_is_defined_after_it(model: type[Any], drives: Drives) -> None:
    """A file stays a file, and a list a list."""
    form = FormBuilder().text("ages", "1").file("photo", PNG, filename="a.png")
    given = sent(drives, model, form)
    assert (given.photo.filename, given.ages) == ("a.png", [1])


class ByAttribute(BaseModel):
    """pydantic is told to name attributes in its errors."""

    model_config = ConfigDict(loc_by_alias=False)

    photo: UploadedFile = Field(alias="profile-photo")
    age: int = Field(alias="how-old")


def test_an_error_names_the_field_of_the_form_whatever_pydantic_names(drives: Drives) -> None:
    """A sender knows no attributes."""
    form = FormBuilder().text("how-old", "x")
    assert sent(drives, ByAttribute, form).errors == [("profile-photo", "field_missing"), ("how-old", "int_parsing")]


class Rooted(RootModel[Annotated[UploadedFile, File(accept=IMAGES)]]):
    """A file with its rules, as a model."""


class HasRooted(BaseModel):
    """A field of it."""

    photo: Rooted


def test_the_rules_of_a_file_hold_in_a_root_model(drives: Drives) -> None:
    """It is another way to write them."""
    assert sent(drives, HasRooted, FormBuilder().file("photo", b"x", filename="a.txt")).errors == [
        ("photo", "file_refused")
    ]


def test_with_nested_names_no_field_is_named_as_a_part() -> None:
    """It would never be sent. Without them it is a name like any other."""
    with pytest.raises(TypeError, match=r"Bracketed.tags: with nested names 'tags\[\]' is a part of a field"):
        spec_of(Bracketed, MemoryStorage(), nested=True)
    spec_of(Bracketed, MemoryStorage())


class Behind(BaseModel):
    """A model whose fields are behind validators of the whole."""

    name: str

    @model_validator(mode="before")
    @classmethod
    def before(cls, data: Any) -> Any:
        """Sees all that was sent, when it was."""
        assert "name" in data, "asked too early"
        return {**data, "name": data["name"].upper()}

    photo: UploadedFile


def test_a_validator_before_the_fields_is_asked_once_the_form_has_ended(drives: Drives) -> None:
    """Not while only a part of it is there."""
    form = FormBuilder().file("photo", PNG, filename="a.png").text("name", "x")
    assert sent(drives, Behind, form).name == "X"


@dataclass
class FileInSet:
    """A set of files."""

    photos: set[UploadedFile]


@dataclass
class FileInDict:
    """A dict of files."""

    photos: dict[str, UploadedFile]


@dataclass
class FileInModel:
    """A file in a part."""

    inner: Inner


@dataclass
class FileOrText:
    """Either a file or a text."""

    photo: UploadedFile | str


@dataclass
class RulesOfText:
    """A rule of ours on a text field."""

    title: Annotated[str, Text("title", max_length=3)]


@dataclass
class RulesOnText:
    """Rules of files on a text field."""

    title: Annotated[str, File(accept=IMAGES)]


@dataclass
class TwoRules:
    """Two of them."""

    photo: Annotated[UploadedFile, File(accept=IMAGES), File(max_size=5)]


@dataclass
class ManyInOne:
    """More files than the annotation has room for."""

    photo: Annotated[UploadedFile, File(max_count=3)]


class Path(BaseModel):
    """A field that has no name."""

    city: str = Field(validation_alias=AliasPath("address", "city"))


class Plain(BaseModel):
    """A model that makes itself of something else."""

    name: str

    @model_validator(mode="wrap")
    @classmethod
    def wrap(cls, data: Any, handler: Any) -> Any:
        """As it likes."""
        return handler(data)


@dataclass
class SameName:
    """Two fields of one name."""

    a: Annotated[UploadedFile, File("x")]
    b: Annotated[UploadedFile, File("x")]


@dataclass
class AsyncFilter:
    """A filter that only an async application can ask."""

    async def never(file: Any) -> bool:  # a function of this scope
        """Refuses."""
        return False

    photo: Annotated[UploadedFile, File(filter=never)]


class Typed(TypedDict):
    """A dict with a file."""

    photo: UploadedFile


@dataclass
class FileInTypedDict:
    """A file in a dict of known keys."""

    inner: Typed


class Bracketed(BaseModel):
    """A list whose name has brackets."""

    tags: list[str] = Field(alias="tags[]")


MISTAKES: dict[str, tuple[Any, str]] = {
    "no model": (dict, "a pydantic model or a dataclass"),
    "an instance": (Inner.model_construct(), "a pydantic model or a dataclass"),
    "a root model of files": (RootModel[list[UploadedFile]], "form()"),
    "a set of files": (FileInSet, "FileInSet.photos: a field of files is UploadedFile, UploadedFile | None or list"),
    "a dict of files": (FileInDict, "FileInDict.photos: a field of files is"),
    "a file in a part": (FileInModel, "FileInModel.inner: a field of files is"),
    "a file in a typed dict": (FileInTypedDict, "FileInTypedDict.inner: a field of files is"),
    "a file or a text": (FileOrText, "FileOrText.photo: a field of files is"),
    "Text on a text field": (RulesOfText, "a typed form takes pydantic's Field"),
    "File on a text field": (RulesOnText, "RulesOnText.title has File(...) and is no UploadedFile"),
    "two rules": (TwoRules, "TwoRules.photo has more than one File"),
    "many files in one": (ManyInOne, "annotate it as list[UploadedFile]"),
    "an alias path": (Path, "Path.city: a form's field has a name, and no AliasPath"),
    "two fields of one name": (SameName, "field 'x' is declared more than once"),
}


@pytest.mark.parametrize(("model", "why"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_when_the_spec_is_made(model: Any, why: str) -> None:
    """By name of the model and its field, with what to write."""
    with pytest.raises((TypeError, ValueError)) as caught:
        Uploader(MemoryStorage()).form(model)
    assert why in str(caught.value)


def test_a_name_that_nobody_knows_is_a_mistake_too() -> None:
    """pydantic says which."""

    class Unknown(BaseModel):
        photo: Nowhere  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match="Unknown"):
        Uploader(MemoryStorage()).form(Unknown)


def test_outside_of_a_typed_form_a_file_has_a_name() -> None:
    """Nothing else could give it one."""
    with pytest.raises(TypeError, match=r"a field has a name, as in File\('avatar'\)"):
        Uploader(MemoryStorage()).fields(File(accept=IMAGES))


def test_a_model_behind_a_wrapping_validator_is_a_form(drives: Drives) -> None:
    """Its fields are seen through it."""
    assert sent(drives, Plain, FormBuilder().text("name", "x")).name == "x"


def test_an_async_filter_needs_an_async_application() -> None:
    """As in any other spec."""
    spec = spec_of(AsyncFilter, MemoryStorage())
    with pytest.raises(TypeError, match="async"):
        spec.check_blocking()


def test_a_file_shows_what_a_sender_may_see(drives: Drives) -> None:
    """An answer made of the model has it; the client's own words, and where it lies, are not in it."""

    class Profile(BaseModel):
        photo: UploadedFile
        others: Sequence[int] = ()

    given = sent(drives, Profile, FormBuilder().file("photo", PNG, filename="a.png"))
    shown = given.model.model_dump(mode="json")["photo"]
    assert shown == {
        "id": given.photo.id,
        "field": "photo",
        "filename": "a.png",
        "content_type": "image/png",
        "size": len(PNG),
        "sha256": given.photo.sha256,
        "key": given.photo.key,
    }
    assert Profile.model_json_schema()["properties"]["photo"]["format"] == "binary"


class Bounded(BaseModel):
    """Texts with bounds, needed and not."""

    title: str = Field(max_length=80)
    note: str | None = Field(default=None, max_length=200)
    tags: list[str] | None = Field(default=None, max_length=3)
    either: int | str = 0


def test_the_bounds_of_a_field_are_its_rules_also_where_none_may_stand_in_its_place() -> None:
    """A page is told them before anything is sent."""
    texts = spec_of(Bounded, MemoryStorage()).rules()["texts"]
    assert {name: (text["max_length"], text["max_count"]) for name, text in texts.items()} == {
        "title": (80, 1),
        "note": (200, 1),
        "tags": (None, 3),
        "either": (None, 1),
    }
