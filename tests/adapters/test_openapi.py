"""What a spec means in OpenAPI, without any framework."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, Field

from uploadkit import errors
from uploadkit.adapters.openapi import add_description, describe
from uploadkit.errors import FieldError, InvalidForm, UploadError
from uploadkit.intake.spec import Spec
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.fields import File, Text
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.uploader import Uploader
from uploadkit.uploads import UploadedFile

FILE = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
upload = Uploader(MemoryStorage(), limits=Limits(body_size="20 MB", file_size="5 MB", files=10))


class Kind(Enum):
    cat = "cat"
    dog = "dog"


class Pet(BaseModel):
    name: str
    kind: Kind = Kind.cat
    friends: list[Pet] = []


class Profile(BaseModel):
    """A model that has every kind of field."""

    nick: str = Field(alias="nickname", max_length=40, description="What we call you.")
    age: int = Field(gt=0)
    born: date | None = None
    either: int | str | None = None
    tags: list[str]
    pet: Pet | None = None
    avatar: Annotated[UploadedFile, File(accept=["image/png", "image/gif"], max_size="1.5 MB")]
    cover: Annotated[UploadedFile | None, File("background", accept=IMAGES)] = Field(None, description="Behind all.")
    papers: list[UploadedFile]
    pages: Annotated[list[UploadedFile], File(min_count=2, max_count=3, min_size=1)]


@dataclass
class Note:
    text: str
    file: UploadedFile | None = None


SPECS: dict[str, Spec[Any]] = {
    "single": upload.single("avatar", accept=["image/png", "image/gif"]),
    "optional": upload.single("avatar", required=False, accept=IMAGES),
    "array": upload.array("photos", max_count=3, max_size="1 MB", min_size="1 KB"),
    "fields": upload.fields(
        File("report", required=True), Text("title", required=True, max_length=80), Text("tag", max_count=5)
    ),
    "none": upload.none(),
    "any": upload.any(),
    "form": upload.form(Profile),
    "dataclass": upload.form(Note, nested=True),
}


PROBLEM = describe(SPECS["single"]).problems["Problem"]


def form_of(spec: Spec[Any]) -> dict[str, Any]:
    content: dict[str, Any] = describe(spec).request_body["content"]["multipart/form-data"]
    return content


def document_of(*specs: Spec[Any]) -> dict[str, Any]:
    """A whole document, an operation for each spec."""
    document: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": "Forms", "version": "1"}, "paths": {}}
    for number, spec in enumerate(specs):
        operation: dict[str, Any] = {"responses": {"200": {"description": "It came in."}}}
        add_description(document, operation, describe(spec))
        document["paths"][f"/{number}"] = {"post": operation}
    return document


@pytest.mark.parametrize("name", SPECS)
def test_a_document_with_it_is_valid(name: str) -> None:
    """By the specification's own schema, references included."""
    OpenAPIV31SpecValidator(document_of(SPECS[name])).validate()


def test_documents_with_all_of_them_are_valid() -> None:
    """Specs share the schemas that they have in common."""
    document = document_of(*SPECS.values())
    OpenAPIV31SpecValidator(document).validate()
    assert set(document["components"]["schemas"]) == {"Problem", "Kind", "Pet"}


def test_a_single_file_is_a_property_with_its_types() -> None:
    """What may be sent stands in the description for people, and in `encoding` for programs."""
    assert form_of(SPECS["single"]) == {
        "schema": {
            "type": "object",
            "properties": {"avatar": FILE | {"description": "At most 5 MB. Types: image/gif, image/png."}},
            "required": ["avatar"],
        },
        "encoding": {"avatar": {"contentType": "image/gif, image/png"}},
    }
    body = describe(SPECS["single"]).request_body
    assert (body["required"], body["description"]) == (True, "At most 20 MB in all.")


def test_a_file_that_may_be_left_out_has_its_types_in_the_description_alone() -> None:
    """Swagger UI makes an empty file of what `encoding` says."""
    form = form_of(SPECS["optional"])
    assert form["schema"]["required"] == []
    assert "Types: image/avif" in form["schema"]["properties"]["avatar"]["description"]
    assert "encoding" not in form


def test_files_of_one_field_are_a_list_with_its_bounds() -> None:
    """Names are repeated, and every number is there."""
    form = form_of(SPECS["array"])
    text = "Up to 3 files, each at most 1 MB, at least 1 KB."
    photos = {"type": "array", "items": FILE, "maxItems": 3, "description": text}
    assert form["schema"]["properties"] == {"photos": photos}
    assert form["encoding"] == {"photos": {"style": "form", "explode": True}}


@pytest.mark.parametrize(
    ("least", "most", "text"),
    [
        (0, 3, "Up to 3 files."),
        (1, 3, "1 to 3 files."),
        (3, 3, "3 files."),
        (0, None, "Any number of files."),
        (2, None, "At least 2 files."),
    ],
)
def test_a_number_of_files_is_told_in_words(least: int, most: int | None, text: str) -> None:
    """A sentence for each."""
    unlimited = Uploader(MemoryStorage(), limits=Limits(file_size=None, files=None))
    schema = form_of(unlimited.array("photos", min_count=least, max_count=most))["schema"]
    assert schema["properties"]["photos"]["description"] == text


def test_text_fields_have_their_lengths() -> None:
    """One that may be sent more than once is a list; what is required is so."""
    schema = form_of(SPECS["fields"])["schema"]
    assert schema["properties"]["title"] == {"type": "string", "maxLength": 80}
    assert schema["properties"]["tag"] == {"type": "array", "items": {"type": "string"}, "maxItems": 5}
    assert schema["required"] == ["report", "title"]


def test_files_of_any_name_are_additional_properties() -> None:
    """With one to begin with, which a page can show."""
    schema = form_of(SPECS["any"])["schema"]
    assert schema["properties"]["files"]["items"] == FILE
    assert schema["additionalProperties"]["items"] == FILE
    assert form_of(SPECS["none"])["schema"]["additionalProperties"] == {"type": "string"}


def test_without_limits_nothing_is_said_of_them() -> None:
    """No number is made up."""
    limits = Limits(body_size=None, file_size=None, files=None)
    unlimited = Uploader(MemoryStorage(), limits=limits)
    body = describe(unlimited.single("avatar")).request_body
    assert "description" not in body
    properties = body["content"]["multipart/form-data"]["schema"]["properties"]
    assert properties["avatar"]["description"] == "A file of any size."
    assert form_of(unlimited.array("photos"))["schema"]["properties"]["photos"] == {
        "type": "array",
        "items": FILE,
        "description": "Any number of files.",
    }


def test_a_model_says_its_own_fields() -> None:
    """As they are called in the form; a form has no null; a list that is not sent is empty, and needs nothing."""
    form = form_of(SPECS["form"])
    schema, properties = form["schema"], form["schema"]["properties"]
    assert schema["title"] == "Profile"
    assert properties["nickname"]["description"] == "What we call you."
    assert properties["nickname"]["maxLength"] == 40
    assert properties["born"] == {"type": "string", "format": "date", "title": "Born"}
    assert properties["either"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert properties["pet"] == {"$ref": "#/components/schemas/Pet"}
    assert schema["required"] == ["nickname", "age", "avatar", "pages"]
    assert form["encoding"]["tags"] == {"style": "form", "explode": True}


def test_the_files_of_a_model_have_their_rules() -> None:
    """Under the name that the form has for them, after what the model says of them."""
    form = form_of(SPECS["form"])
    properties = form["schema"]["properties"]
    assert "cover" not in properties
    assert properties["background"]["description"].startswith("Behind all. At most 5 MB. Types: image/avif")
    assert properties["avatar"] == FILE | {
        "title": "Avatar",
        "description": "At most 1.5 MB. Types: image/gif, image/png.",
    }
    assert properties["papers"]["items"] == FILE
    assert properties["papers"]["maxItems"] == 10
    assert properties["pages"]["description"] == "2 to 3 files, each at most 5 MB, at least 1 B."
    assert (properties["pages"]["minItems"], properties["pages"]["maxItems"]) == (2, 3)
    assert set(form["encoding"]) == {"tags", "avatar", "papers", "pages"}


def test_bounds_of_a_list_may_stand_in_the_model_too() -> None:
    """The stricter one holds."""

    class Album(BaseModel):
        photos: Annotated[list[UploadedFile], Field(min_length=2, max_length=20), File(max_count=3)]
        papers: Annotated[list[UploadedFile], Field(max_length=2), File(min_count=1)]

    properties = form_of(upload.form(Album))["schema"]["properties"]
    assert (properties["photos"]["minItems"], properties["photos"]["maxItems"]) == (2, 3)
    assert (properties["papers"]["minItems"], properties["papers"]["maxItems"]) == (1, 2)


def test_a_model_that_holds_itself_is_described() -> None:
    """Its fields are the form's, and the model is a schema of its own besides."""

    class Node(BaseModel):
        name: str
        inner: Node | None = None

    Node.model_rebuild()
    description = describe(upload.form(Node))
    assert set(description.request_body["content"]["multipart/form-data"]["schema"]["properties"]) == {"name", "inner"}
    assert set(description.schemas) == {"Node"}


def test_a_name_that_the_document_has_for_something_else_is_not_taken() -> None:
    """The schema gets another one, wherever it is referred to; a second spec finds it again."""
    mine = {"type": "object", "title": "Mine"}
    document: dict[str, Any] = {"components": {"schemas": {"Pet": mine, "Problem": mine, "ProblemForm1": mine}}}
    for _ in range(2):
        operation: dict[str, Any] = {}
        add_description(document, operation, describe(SPECS["form"]))
        assert set(document["components"]["schemas"]) == {
            "Pet", "PetForm1", "KindForm1", "Problem", "ProblemForm1", "ProblemForm2",
        }  # fmt: skip
        schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert schema["properties"]["pet"] == {"$ref": "#/components/schemas/PetForm1"}
        friends = document["components"]["schemas"]["PetForm1"]["properties"]["friends"]
        assert friends["items"] == {"$ref": "#/components/schemas/PetForm1"}
        problem = operation["responses"]["413"]["content"]["application/problem+json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/ProblemForm2"}
    assert document["components"]["schemas"]["Pet"] is mine


def test_what_an_operation_says_itself_stays() -> None:
    """Its own request body, and its own answers; what it does not say is added."""
    body: dict[str, Any] = {"content": {}}
    too_large: dict[str, Any] = {"description": "Too large.", "content": {"text/plain": {}}}
    operation: dict[str, Any] = {"requestBody": body, "responses": {"413": too_large, "415": {"description": "No!"}}}
    add_description({}, operation, describe(SPECS["single"]))
    assert operation["requestBody"] is body
    assert operation["responses"]["413"] == too_large
    assert operation["responses"]["415"]["description"] == "No!"
    assert set(operation["responses"]["415"]["content"]) == {"application/problem+json"}
    assert set(operation["responses"]) == {"400", "408", "413", "415", "422", "503"}


def test_answers_of_an_application_of_its_own_are_not_described() -> None:
    """Only that they come."""
    description = describe(SPECS["single"], problems=False)
    assert description.responses["413"] == {"description": "More was sent than is allowed."}
    assert description.problems == {}


def every_error() -> Iterator[type[UploadError]]:
    for each in vars(errors).values():
        if isinstance(each, type) and issubclass(each, UploadError):
            yield each


def test_every_fact_of_every_error_is_in_the_schema_of_problems() -> None:
    """A fact that is added to an error is added there too."""
    facts = {fact for error in every_error() for fact in error._facts}
    problem = InvalidForm([FieldError(field="pet", code="missing", message="?", path=("name",))]).problem()
    assert isinstance(problem["errors"], list)
    assert set(PROBLEM["properties"]) == {"field", *facts, *problem}
    assert set(PROBLEM["properties"]["errors"]["items"]["properties"]) == {*problem["errors"][0]}


def test_the_examples_are_problems_of_their_status() -> None:
    """Made by the errors themselves, about a field of this form."""
    for status, response in describe(SPECS["array"]).responses.items():
        example = response["content"]["application/problem+json"]["example"]
        assert str(example["status"]) == status
        assert set(example) <= set(PROBLEM["properties"])
        assert example.get("field", "photos") == "photos"


def test_the_rules_of_a_model_are_there_for_pages() -> None:
    """Of the text fields too, which the model has."""
    rules = SPECS["form"].rules()
    assert rules["texts"]["nickname"] == {"max_length": 40, "max_count": 1, "required": True}
    assert rules["texts"]["tags"] == {"max_length": None, "max_count": None, "required": False}
    assert set(rules["texts"]) == {"nickname", "age", "born", "either", "tags", "pet"}
    assert rules["files"]["avatar"]["accept"] == ["image/gif", "image/png", ".gif", ".png", ".apng"]
    assert rules["files"]["background"]["required"] is False
    assert rules["files"]["pages"]["min_count"] == 2
