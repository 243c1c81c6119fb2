"""`install(app)`: the forms in the application's OpenAPI document, and mistakes that are found before a request."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import fastapi
import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Form, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, PlainTextResponse
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel
from tests.adapters.asgi_client import ask
from tests.adapters.expectations import AVATAR, MIXED, expect_nothing_left

from uploadkit.adapters.fastapi import install, receive
from uploadkit.errors import UploadError
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import UploadedFile

storage = MemoryStorage()
upload = Uploader(storage, max_size="1 KB")
single, array = upload.single("avatar"), upload.array("photos", max_count=3)
optional = upload.single("avatar", required=False)


@pytest.fixture(autouse=True)
def _cleared() -> Iterator[None]:
    yield
    for key in storage.objects:
        storage.delete(key)


class Pet(BaseModel):
    name: str


class Other(BaseModel):
    name: int


Other.__name__ = Other.__qualname__ = "Pet"


class Profile(BaseModel):
    nick: str
    age: int
    pet: Pet | None = None
    avatar: UploadedFile | None = None


def document_of(app: FastAPI) -> dict[str, Any]:
    """As a client gets it; it is valid."""
    document: dict[str, Any] = ask(app, path="/openapi.json", method="GET").json
    OpenAPIV31SpecValidator(document).validate()
    return document


def properties_of(document: dict[str, Any], path: str, method: str = "post") -> list[str]:
    """The fields of the form that an operation takes."""
    content = document["paths"][path][method]["requestBody"]["content"]
    return [*content["multipart/form-data"]["schema"]["properties"]]


def taken(photos: Annotated[list[UploadedFile], receive(array)]) -> int:
    return len(photos)


@pytest.mark.parametrize("first", ["install", "routes"])
def test_every_route_shows_its_form_whenever_it_was_declared(first: str) -> None:
    """In the application, in routers, below dependencies and in `dependencies=[...]`; others stay as they are."""
    app = FastAPI()
    if first == "install":
        install(app)

    @app.post("/single")
    async def in_the_application(avatar: Annotated[UploadedFile, receive(single)]) -> None: ...

    @app.put("/below")
    async def below_a_dependency(number: Annotated[int, Depends(taken)]) -> None: ...

    @app.post("/beside", dependencies=[receive(single)])
    async def beside() -> None: ...

    @app.post("/other")
    async def without_a_form(pet: Pet) -> None: ...

    inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/outer", dependencies=[receive(upload.none())])

    @inner.post("/{number}")
    async def in_a_router(number: int, avatar: UploadedFile = receive(single)) -> None: ...

    @outer.post("/")
    async def in_a_router_that_receives() -> None: ...

    app.include_router(inner, prefix="/v1")
    app.include_router(inner, prefix="/v2")
    app.include_router(outer)
    if first == "routes":
        install(app)
    document = document_of(app)
    assert properties_of(document, "/single") == ["avatar"]
    assert properties_of(document, "/below", "put") == ["photos"]
    assert properties_of(document, "/beside") == ["avatar"]
    assert properties_of(document, "/v1/inner/{number}") == properties_of(document, "/v2/inner/{number}") == ["avatar"]
    assert properties_of(document, "/outer/") == []
    assert [*document["paths"]["/other"]["post"]["requestBody"]["content"]] == ["application/json"]
    assert "413" not in document["paths"]["/other"]["post"]["responses"]


def test_errors_are_told_with_their_answers() -> None:
    """As problem details; the 422 that FastAPI answers itself is still there."""
    app = FastAPI()

    @app.post("/{number}")
    async def endpoint(number: int, avatar: Annotated[UploadedFile, receive(single)]) -> None: ...

    install(app)
    responses = document_of(app)["paths"]["/{number}"]["post"]["responses"]
    assert set(responses) == {"200", "400", "408", "413", "415", "422", "503"}
    assert responses["413"]["content"]["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert set(responses["422"]["content"]) == {"application/problem+json", "application/json"}
    assert responses["503"]["headers"]["Retry-After"]["schema"] == {"type": "integer"}


def test_what_a_route_says_itself_stays() -> None:
    """Its own answers, its own request body, and that it is not shown."""
    app = FastAPI()
    own = {"requestBody": {"description": "Mine.", "content": {"multipart/form-data": {"schema": {"type": "object"}}}}}

    @app.post("/own", openapi_extra=own, responses={413: {"model": Pet}, 422: {"description": "Mine too."}})
    async def says_it_itself(avatar: Annotated[UploadedFile, receive(single)]) -> None: ...

    @app.post("/hidden", include_in_schema=False)
    async def hidden(avatar: Annotated[UploadedFile, receive(single)]) -> None: ...

    install(app)
    document = document_of(app)
    assert [*document["paths"]] == ["/own"]
    operation = document["paths"]["/own"]["post"]
    assert operation["requestBody"]["description"] == "Mine."
    assert [*operation["responses"]["413"]["content"]] == ["application/json"]
    assert operation["responses"]["422"]["description"] == "Mine too."


def test_an_application_that_answers_errors_itself_is_not_said_to_answer_problems() -> None:
    """With a handler of its own for upload errors nobody but the application knows what they look like."""
    app = FastAPI()

    @app.exception_handler(UploadError)
    async def refused(request: Request, error: UploadError) -> Response:
        return PlainTextResponse(str(error), error.status)

    @app.post("/")
    async def endpoint(avatar: Annotated[UploadedFile, receive(single)]) -> None: ...

    install(app)
    document = document_of(app)
    assert document["paths"]["/"]["post"]["responses"]["413"] == {"description": "More was sent than is allowed."}
    assert "components" not in document or "Problem" not in document["components"]["schemas"]


def test_it_may_be_called_twice_and_the_document_asked_for_again() -> None:
    """A route that comes later is shown too, by a FastAPI that looks again itself."""
    app = FastAPI()
    install(app)

    @app.post("/first")
    async def first(avatar: Annotated[UploadedFile, receive(single)]) -> None: ...

    install(app)
    document = app.openapi()
    assert app.openapi() is document
    app.openapi_schema = None

    @app.post("/second")
    async def second(photos: Annotated[list[UploadedFile], receive(array)]) -> None: ...

    document = document_of(app)
    assert properties_of(document, "/first") == ["avatar"]
    assert properties_of(document, "/second") == ["photos"]


@pytest.mark.parametrize("keeps", [True, False], ids=["keeps it", "makes a new one each time"])
def test_a_document_of_the_applications_own_gets_its_forms(keeps: bool) -> None:
    """Where `app.openapi` was replaced, in FastAPI's own way, and whatever it leaves out."""
    app = FastAPI()

    @app.post("/")
    async def endpoint(avatar: Annotated[UploadedFile, receive(single)]) -> None: ...

    @app.post("/left-out")
    async def left_out(avatar: Annotated[UploadedFile, receive(single)]) -> None: ...

    def mine() -> dict[str, Any]:
        if app.openapi_schema is None or not keeps:
            app.openapi_schema = get_openapi(title="Mine", version="7", routes=app.routes)
            del app.openapi_schema["paths"]["/left-out"]
        return app.openapi_schema

    app.openapi = mine  # type: ignore[method-assign]
    install(app)
    for _ in range(2):
        document = document_of(app)
        assert (document["info"]["title"], [*document["paths"]]) == ("Mine", ["/"])
        assert properties_of(document, "/") == ["avatar"]


def test_a_mounted_application_has_a_document_of_its_own() -> None:
    """It is installed there."""
    app, inner = FastAPI(), FastAPI()

    @inner.post("/single")
    async def endpoint(avatar: Annotated[UploadedFile, receive(single)]) -> None: ...

    app.mount("/inner", inner)
    install(app)
    install(inner)
    assert document_of(app)["paths"] == {}
    assert properties_of(document_of(inner), "/single") == ["avatar"]


def test_a_model_of_a_form_and_one_of_an_answer_do_not_get_in_each_others_way() -> None:
    """Of the same name, and as the same model."""

    app = FastAPI()

    @app.post("/form")
    async def takes(profile: Annotated[Profile, receive(upload.form(Profile))]) -> Pet:
        return Pet(name="Rex")

    @app.post("/json")
    async def answers(pet: Annotated[Pet, Body()]) -> Other:
        return Other(name=1)

    install(app)
    document = document_of(app)
    schema = document["paths"]["/form"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    [pet] = [each.removeprefix("#/components/schemas/") for each in schema["properties"]["pet"].values()]
    assert document["components"]["schemas"][pet]["properties"]["name"]["type"] == "string"


def test_only_an_application_can_be_installed_into() -> None:
    """A router has no document."""
    with pytest.raises(TypeError, match=r"the FastAPI application, as in install\(app\)"):
        install(APIRouter())  # type: ignore[arg-type]


def takes_one(photos: Annotated[UploadedFile, receive(array)]) -> None: ...


def takes_a_file(title: fastapi.UploadFile) -> None: ...


def a_list_for_one(app: FastAPI) -> None:
    @app.post("/profile")
    async def endpoint(avatar: Annotated[list[UploadedFile], receive(single)]) -> None: ...


def a_forgotten_none(app: FastAPI) -> None:
    @app.post("/profile")
    async def endpoint(avatar: UploadedFile = receive(optional)) -> None: ...


def fastapis_own_class(app: FastAPI) -> None:
    router = APIRouter(prefix="/profile")

    @router.post("")
    def endpoint(avatar: Annotated[fastapi.UploadFile, receive(single)]) -> None: ...

    app.include_router(router)


def one_for_a_list_below(app: FastAPI) -> None:
    @app.post("/profile", dependencies=[Depends(takes_one)])
    async def endpoint() -> None: ...


def another_model(app: FastAPI) -> None:
    @app.post("/profile")
    async def endpoint(profile: Annotated[Pet, receive(upload.form(Profile))]) -> None: ...


def a_second_receive(app: FastAPI) -> None:
    @app.post("/profile", dependencies=[receive(single)])
    async def endpoint(avatar: Annotated[UploadedFile, receive(single)]) -> None: ...


def a_form_parameter(app: FastAPI) -> None:
    pytest.importorskip("python_multipart")

    @app.post("/profile")
    async def endpoint(title: Annotated[str, Form()], avatar: Annotated[UploadedFile, receive(single)]) -> None: ...


def a_file_parameter_below(app: FastAPI) -> None:
    pytest.importorskip("python_multipart")

    @app.post("/profile", dependencies=[Depends(takes_a_file)])
    async def endpoint(avatar: Annotated[UploadedFile, receive(single)]) -> None: ...


def a_model_from_the_body(app: FastAPI) -> None:
    @app.post("/profile")
    async def endpoint(title: Pet, avatar: Annotated[UploadedFile, receive(single)]) -> None: ...


def a_forgotten_receive(app: FastAPI) -> None:
    @app.post("/profile")
    async def endpoint(avatar: Annotated[UploadedFile, single]) -> None: ...


def a_forgotten_receive_of_a_default(app: FastAPI) -> None:
    @app.post("/profile")
    async def endpoint(avatar: UploadedFile | None = optional) -> None: ...  # type: ignore[assignment]  # found so too


def takes_it_without_receive(photos: Annotated[list[UploadedFile], "all of them", array]) -> None: ...


def a_forgotten_receive_below(app: FastAPI) -> None:
    @app.post("/profile", dependencies=[Depends(takes_it_without_receive)])
    async def endpoint(avatar: Annotated[UploadedFile, receive(single)]) -> None: ...


MISTAKES: list[tuple[Callable[[FastAPI], None], type[Exception], str]] = [
    (a_list_for_one, TypeError, "'avatar' is annotated as list[UploadedFile], and its spec gives UploadedFile. Write "),
    (a_forgotten_none, TypeError, "avatar: Annotated[UploadedFile | None, receive(...)]"),
    (fastapis_own_class, TypeError, "annotated as UploadFile, and its spec gives UploadedFile."),
    (one_for_a_list_below, TypeError, "Write photos: Annotated[list[UploadedFile], receive(...)]"),
    (another_model, TypeError, "annotated as Pet, and its spec gives Profile"),
    (a_second_receive, RuntimeError, "another receive(...), and a request has one body. Take all files and text"),
    (a_form_parameter, RuntimeError, "'title' is read from the body, by Form(), File() or Body(), and so is receive"),
    (a_file_parameter_below, RuntimeError, "with one receive(upload.fields(...)), or as a model with receive(upload."),
    (a_model_from_the_body, RuntimeError, "'title' is read from the body"),
    (a_forgotten_receive_below, TypeError, "Write photos: Annotated[list[UploadedFile], receive(...)]"),
]
FORGOTTEN: list[tuple[Callable[[FastAPI], None], type[Exception], str]] = [
    (a_forgotten_receive, TypeError, "'avatar' has a spec without receive, which FastAPI knows nothing of, and waits"),
    (a_forgotten_receive, TypeError, "Write avatar: Annotated[UploadedFile, receive(...)]"),
    (a_forgotten_receive_of_a_default, TypeError, "Write avatar: Annotated[UploadedFile | None, receive(...)]"),
]
"""Where nothing of ours is called at a request."""
EVERY_MISTAKE = pytest.mark.parametrize(
    ("declare", "kind", "message"), MISTAKES, ids=[declare.__name__ for declare, *_ in MISTAKES]
)

EVERY_MISTAKE_AND_FORGETTING = pytest.mark.parametrize(("declare", "kind", "message"), [*MISTAKES, *FORGOTTEN])


@EVERY_MISTAKE_AND_FORGETTING
def test_a_mistake_is_found_when_it_is_installed(
    declare: Callable[[FastAPI], None], kind: type[Exception], message: str
) -> None:
    """The message names the route, and says what to write."""
    app = FastAPI()
    declare(app)
    with pytest.raises(kind) as raised:
        install(app)
    assert str(raised.value).startswith("POST /profile")
    assert message in str(raised.value)


@pytest.mark.filterwarnings("ignore:Default value Spec")  # pydantic's: it is no JSON either
@EVERY_MISTAKE_AND_FORGETTING
def test_a_mistake_that_is_declared_later_is_found_when_the_document_is_made(
    declare: Callable[[FastAPI], None], kind: type[Exception], message: str
) -> None:
    """As often as it is asked for."""
    app = FastAPI()
    install(app)
    declare(app)
    for _ in range(2):
        with pytest.raises(kind) as raised:
            ask(app, path="/openapi.json", method="GET")
        assert message in str(raised.value)


@EVERY_MISTAKE
def test_a_mistake_is_found_by_the_first_request_without_install(
    declare: Callable[[FastAPI], None], kind: type[Exception], message: str
) -> None:
    """Before anything of the form is stored."""
    app = FastAPI()
    declare(app)
    for _ in range(2):
        with pytest.raises(kind) as raised:
            ask(app, MIXED, path="/profile")
        assert message in str(raised.value)
    expect_nothing_left(storage)


async def unreadable(request: Request) -> Missing: ...  # type: ignore[name-defined]  # noqa: F821  # so it is meant


def test_what_is_wider_than_what_is_given_is_no_mistake() -> None:
    """Nor what says nothing at all."""
    app = FastAPI()

    @app.post("/or-none")
    async def or_none(avatar: Annotated[UploadedFile | None, receive(single)]) -> None: ...

    @app.post("/unsaid")
    async def unsaid(avatar=receive(single)) -> None: ...  # type: ignore[no-untyped-def]

    @app.post("/sequence")
    async def sequence(photos: object = receive(array)) -> None: ...

    @functools.wraps(or_none)
    async def wrapped(*args: Any, **kwargs: Any) -> None: ...

    app.post("/wrapped")(wrapped)

    @app.post("/noted")
    async def noted(avatar: Annotated[UploadedFile, single, receive(single)]) -> None: ...

    @app.get("/unreadable", dependencies=[Depends(unreadable)])
    async def after_it() -> None: ...

    install(app)
    assert len(document_of(app)["paths"]) == 6
    assert ask(app, AVATAR, path="/wrapped").status == 200


WRONG_FORM = FormBuilder().text("age", "old").text("pet", '{"name": 7}')
LOCATIONS = [["body", "nick"], ["body", "age"], ["body", "pet", "name"]]


def add_typed(app: FastAPI, **options: Any) -> None:
    received = receive(upload.form(Profile), **options)

    @app.post("/")
    async def endpoint(profile: Profile = received) -> None:
        pytest.fail("it is wrong")


def test_errors_of_a_typed_form_may_be_fastapis_own() -> None:
    """Its own handler shows them, and so does one of the application's."""
    app = FastAPI()
    add_typed(app, validation_errors=True)
    answer = ask(app, WRONG_FORM)
    assert answer.status == 422
    told = {tuple(error["loc"]): error for error in answer.json["detail"]}
    assert sorted(told) == sorted(map(tuple, LOCATIONS))
    assert told["body", "age"] == {
        "type": "int_parsing",
        "loc": ["body", "age"],
        "msg": "Input should be a valid integer, unable to parse string as an integer",
        "input": None,
    }

    @app.exception_handler(RequestValidationError)
    async def mine(request: Request, error: RequestValidationError) -> Response:
        return JSONResponse([each["loc"] for each in error.errors()], 400)

    app.middleware_stack = None  # a handler that comes late
    answer = ask(app, WRONG_FORM)
    assert (answer.status, sorted(answer.json)) == (400, sorted(LOCATIONS))
    expect_nothing_left(storage)


def test_other_errors_of_the_form_stay_what_they_are() -> None:
    """A form that is malformed or too large has no field to be shown at."""
    app = FastAPI()
    add_typed(app, validation_errors=True)
    headers = [(b"content-type", b"text/plain")]
    answer = ask(app, headers=headers, chunks=[b""])
    assert (answer.status, answer.content_type) == (415, "application/problem+json")


def test_both_answers_to_a_wrong_form_are_described() -> None:
    """Where the application has asked for FastAPI's own."""
    app = FastAPI()
    add_typed(app, validation_errors=True)
    install(app)
    content = document_of(app)["paths"]["/"]["post"]["responses"]["422"]["content"]
    assert set(content) == {"application/json", "application/problem+json"}


def test_without_it_a_typed_form_is_answered_with_problem_details() -> None:
    """Each error with its field."""
    app = FastAPI()
    add_typed(app)
    answer = ask(app, WRONG_FORM)
    assert (answer.status, answer.content_type) == (422, "application/problem+json")
    assert sorted(error["field"] for error in answer.json["errors"]) == ["age", "nick", "pet"]


def test_validation_errors_are_for_typed_forms() -> None:
    """Elsewhere it would be of no effect."""
    with pytest.raises(TypeError, match=r"for typed forms, as in receive\(upload\.form\(Model\)"):
        receive(single, validation_errors=True)


@pytest.mark.parametrize("kind", [MemoryStorage, DiskStorage])
def test_a_route_that_does_not_say_that_it_returns_a_file_is_told_to(
    kind: type[MemoryStorage | DiskStorage], tmp_path: Path
) -> None:
    """FastAPI takes the object apart then, and fails at its storage. Errors of the route's own are not meant."""
    given = receive(Uploader(DiskStorage(tmp_path) if kind is DiskStorage else MemoryStorage()).single("avatar"))
    app = FastAPI()

    @app.post("/", response_model=None)
    async def unsaid(avatar: UploadedFile = given) -> Any:
        return {"avatar": avatar}

    @app.post("/other", response_model=None)
    async def other(avatar: UploadedFile = given) -> Any:
        raise TypeError("its own")

    with pytest.raises((TypeError, RecursionError)) as told:
        ask(app, AVATAR)
    assert any("-> UploadedFile" in note for note in told.value.__notes__)
    with pytest.raises(TypeError, match="its own") as untold:
        ask(app, AVATAR, path="/other")
    assert not hasattr(untold.value, "__notes__")
    assert [*tmp_path.rglob("*.bin")] == []


def test_a_route_may_return_what_it_was_given() -> None:
    """What is known of a file, as JSON."""
    app = FastAPI()

    @app.post("/")
    async def endpoint(avatar: Annotated[UploadedFile, receive(single)]) -> UploadedFile:
        return avatar

    @app.post("/many")
    async def many(avatars: Annotated[list[UploadedFile], receive(upload.array("avatar"))]) -> list[UploadedFile]:
        return avatars

    install(app)
    shown = ask(app, AVATAR).json
    assert (shown["filename"], shown["size"]) == ("me.bin", 4)
    [one_of_many] = ask(app, AVATAR, path="/many").json
    assert one_of_many.keys() == shown.keys()
    document = document_of(app)
    answer = document["paths"]["/"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    described = document["components"]["schemas"][answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
    assert set(shown) == set(described["properties"]) == set(described["required"])
    assert described["properties"]["size"] == {"type": "integer"}
