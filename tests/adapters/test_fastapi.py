"""The adapter for FastAPI, asked message by message."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any

import fastapi
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import ResponseValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware
from tests.adapters.asgi_client import ask, headers_of
from tests.adapters.expectations import (
    AVATAR,
    HANDED,
    MISTAKES,
    MIXED,
    MIXED_TEXTS,
    Handed,
    Mistake,
    asks_somebody,
    expect_mistake,
    expect_nothing_left,
    facts,
)

from uploadkit.adapters.fastapi import receive
from uploadkit.errors import FileRefused, LimitExceeded, SenderError, UploadError
from uploadkit.intake.spec import Spec
from uploadkit.policy.fields import File, Text
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission, UploadedFile

CallNext = Callable[[Request], Awaitable[Response]]


@pytest.fixture
def app() -> FastAPI:
    """An application without any setup."""
    return FastAPI()


@pytest.fixture
def storage() -> MemoryStorage:
    """Where the application under test stores."""
    return MemoryStorage()


@pytest.fixture
def single(storage: MemoryStorage) -> Spec[UploadedFile]:
    """One file in the field `avatar`."""
    return Uploader(storage).single("avatar")


EITHER = pytest.mark.parametrize("is_async", [False, True], ids=["def", "async def"])


def add(
    app: FastAPI | APIRouter,
    spec: Spec[Any],
    handle: Callable[[Any], object] = lambda value: None,
    *,
    is_async: bool = True,
    path: str = "/",
) -> None:
    """A route that lets `handle` see its value, and answers."""
    if is_async:

        @app.post(path)
        async def async_endpoint(value: Any = receive(spec)) -> str:
            await asyncio.sleep(0)
            handle(value)
            return "ok"
    else:

        @app.post(path)
        def endpoint(value: Any = receive(spec)) -> str:
            handle(value)
            return "ok"


written = FastAPI()
upload = Uploader(MemoryStorage())
album = upload.fields(File("avatar"), File("gallery", max_count=8), Text("title", max_length=80))


@written.post("/{number}")
async def as_users_write_it(
    number: int, avatar: Annotated[UploadedFile | None, receive(upload.single("avatar", required=False))]
) -> dict[str, object]:
    return {"number": number, "filename": avatar and avatar.filename}


@written.post("/albums/")
def albums(submission: Annotated[Submission, receive(album)], page: int = 1) -> dict[str, object]:
    return {"title": submission.fields["title"], "files": [file.filename for file in submission.files], "page": page}


def test_an_annotated_parameter_is_given_what_the_spec_promises() -> None:
    """Beside parts of the path and of the query; the schema of the application can still be made."""
    assert ask(written, AVATAR, path="/7").json == {"number": 7, "filename": "me.bin"}
    files = ["me.bin", "1.bin", "2.bin"]
    assert ask(written, MIXED, path="/albums/?page=3").json == {"title": "Été", "files": files, "page": 3}
    assert set(ask(written, path="/openapi.json", method="GET").json["paths"]) == {"/{number}", "/albums/"}


@EITHER
@pytest.mark.parametrize("handed", HANDED, ids=lambda handed: handed.name)
def test_the_endpoint_is_given_what_the_spec_promises(
    app: FastAPI, storage: MemoryStorage, handed: Handed, is_async: bool
) -> None:
    """As a parameter with a default too, whatever the kind of spec."""
    given: list[object] = []
    add(app, handed.spec(Uploader(storage)), lambda value: given.append(facts(value)), is_async=is_async)
    assert ask(app, handed.form).json == "ok"
    assert given == [handed.value]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_an_error_is_answered_with_problem_details(app: FastAPI, mistake: Mistake) -> None:
    """Status, media type and facts, in an application without any setup; the endpoint is not called."""
    storage = mistake.storage()
    add(app, mistake.spec(storage), pytest.fail)
    headers = [(b"content-type", mistake.content_type.encode())]
    answer = ask(app, headers=headers, chunks=[mistake.body])
    expect_mistake(mistake, storage, answer.status, answer.content_type, answer.body)


@pytest.mark.parametrize("error", [UploadError, SenderError, LimitExceeded])
def test_a_handler_of_the_application_goes_first(
    app: FastAPI, storage: MemoryStorage, error: type[UploadError]
) -> None:
    """For every upload error or for a class below; what it does not answer is answered as ever."""

    @app.exception_handler(error)
    async def refused(request: Request, error: UploadError) -> Response:
        return PlainTextResponse(f"mine: {error.code}", error.status)

    spec = Uploader(storage, max_size=3).fields(File("avatar"), Text("title", required=True))
    add(app, spec)
    for _ in range(2):  # the library's own handler, once it is there, changes nothing
        assert ask(app, AVATAR).body == b"mine: limit_exceeded"
    headers = [(b"content-type", b"text/plain")]
    expected = "application/problem+json" if error is LimitExceeded else "text/plain; charset=utf-8"
    assert ask(app, headers=headers, chunks=[b""]).content_type == expected
    expect_nothing_left(storage)


def test_a_handler_of_everything_is_for_everything_else(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """Starlette asks it last of all, and goes on to raise: an upload error is no surprise of the server."""

    @app.exception_handler(Exception)
    async def crashed(request: Request, error: Exception) -> Response:
        return PlainTextResponse("crashed", 500)

    add(app, Uploader(storage, max_size=3).any())
    assert ask(app, AVATAR).status == 413


def test_an_async_filter_is_asked(app: FastAPI, storage: MemoryStorage) -> None:
    """An ASGI application has a loop to ask it in; for an endpoint that is a `def` too."""
    add(app, Uploader(storage).single("avatar", filter=asks_somebody), is_async=False)
    assert ask(app, AVATAR).status == 200


@EITHER
def test_an_endpoint_that_raises_loses_its_files(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool
) -> None:
    """The exception goes on to the server as it is."""

    def refuse(avatar: UploadedFile) -> None:
        assert storage.objects == {avatar.key: b"data"}
        raise ZeroDivisionError

    add(app, single, refuse, is_async=is_async)
    with pytest.raises(ZeroDivisionError):
        ask(app, AVATAR)
    expect_nothing_left(storage)


@EITHER
def test_files_are_removed_before_an_exception_is_answered(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool
) -> None:
    """An `HTTPException` is an exception, and its answer a promise: when it begins, nothing is there."""

    def refuse(avatar: UploadedFile) -> None:
        assert storage.objects == {avatar.key: b"data"}
        raise HTTPException(409, "somebody else was first")

    seen: list[dict[str, bytes]] = []
    add(app, single, refuse, is_async=is_async)
    answer = ask(app, AVATAR, on_start=lambda: seen.append(storage.objects))
    assert (answer.status, answer.json) == (409, {"detail": "somebody else was first"})
    assert seen == [{}]
    expect_nothing_left(storage)


@EITHER
def test_an_endpoint_may_refuse_by_an_upload_error(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool
) -> None:
    """It is answered as the library's own are, and the files are removed before."""

    def refuse(avatar: UploadedFile) -> None:
        raise FileRefused("not on a Sunday", field=avatar.field, filter="calendar")

    seen: list[dict[str, bytes]] = []
    add(app, single, refuse, is_async=is_async)
    answer = ask(app, AVATAR, on_start=lambda: seen.append(storage.objects))
    assert (answer.status, answer.json["detail"], seen) == (422, "not on a Sunday", [{}])


def test_a_returned_refusal_keeps_the_files_unless_it_discards_them(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """The library looks at no status: an endpoint that answers has handled its files, or takes them back."""

    @app.post("/")
    async def endpoint(discard: bool = False, avatar: UploadedFile = receive(single)) -> Response:
        if discard:
            await avatar.adiscard()
        return JSONResponse({}, 400)

    assert ask(app, AVATAR).status == 400
    assert list(storage.objects.values()) == [b"data"]
    assert ask(app, AVATAR, path="/?discard=1").status == 400
    assert list(storage.objects.values()) == [b"data"]


def test_files_may_be_kept_where_the_endpoint_raises(app: FastAPI, storage: MemoryStorage) -> None:
    """`on_error="keep"` leaves them."""
    add(app, Uploader(storage, on_error="keep").any(), lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ask(app, AVATAR)
    assert list(storage.objects.values()) == [b"data"]


def test_a_request_that_fastapi_refuses_stores_nothing(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """A query that does not fit is found when the form is there already: its files are removed."""

    @app.post("/")
    async def endpoint(page: int, avatar: UploadedFile = receive(single)) -> None:
        pytest.fail("the query does not fit")

    seen: list[dict[str, bytes]] = []
    answer = ask(app, AVATAR, path="/?page=x", on_start=lambda: seen.append(storage.objects))
    assert (answer.status, answer.json["detail"][0]["loc"], seen) == (422, ["query", "page"], [{}])
    expect_nothing_left(storage)


def test_an_answer_that_fastapi_refuses_stores_nothing(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """What the endpoint returns does not fit its declaration: nobody was told that the files are there."""

    @app.post("/", response_model=int)
    async def endpoint(avatar: UploadedFile = receive(single)) -> str:
        return "no number"

    with pytest.raises(ResponseValidationError):
        ask(app, AVATAR)
    expect_nothing_left(storage)


def test_a_cancelled_endpoint_loses_its_files(app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """Cancellation is a way out like any other."""

    @app.post("/")
    async def endpoint(avatar: UploadedFile = receive(single)) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        ask(app, AVATAR)
    expect_nothing_left(storage)


@EITHER
def test_what_comes_after_the_endpoint_finds_the_files(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile], is_async: bool
) -> None:
    """A background task and a body that is made while it is sent: the files are kept when the endpoint returned."""
    found: list[object] = []

    def bits(avatar: UploadedFile) -> Iterator[bytes]:
        yield from (bytes([bit]) for bit in avatar.read())

    async def abits(avatar: UploadedFile) -> AsyncIterator[bytes]:
        for bit in await avatar.aread():
            yield bytes([bit])

    def later(avatar: UploadedFile) -> None:
        found.append(facts(avatar))

    if is_async:

        @app.post("/")
        async def async_endpoint(tasks: BackgroundTasks, avatar: UploadedFile = receive(single)) -> Response:
            tasks.add_task(later, avatar)
            return StreamingResponse(abits(avatar))
    else:

        @app.post("/")
        def endpoint(tasks: BackgroundTasks, avatar: UploadedFile = receive(single)) -> Response:
            tasks.add_task(later, avatar)
            return StreamingResponse(bits(avatar))

    assert ask(app, AVATAR).body == b"data"
    assert found == [("avatar", "me.bin", b"data")]


def test_an_error_after_the_endpoint_keeps_the_files(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """The client has its answer by then."""

    @app.post("/")
    async def endpoint(tasks: BackgroundTasks, avatar: UploadedFile = receive(single)) -> str:
        tasks.add_task(lambda: 1 / 0)
        return "ok"

    with pytest.raises(ZeroDivisionError):
        ask(app, AVATAR)
    assert list(storage.objects.values()) == [b"data"]


def test_two_receives_in_one_route_are_a_mistake_of_the_program(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """There is one body: nothing is received, and the message says what to do."""
    other = Uploader(storage).single("gallery")

    @app.post("/")
    async def endpoint(avatar: UploadedFile = receive(single), gallery: UploadedFile = receive(other)) -> None:
        pytest.fail("there is no body for both")

    with pytest.raises(RuntimeError, match=r"another receive.*one receive\(upload\.fields"):
        ask(app, AVATAR)
    expect_nothing_left(storage)


@pytest.mark.parametrize("beside", ["Form", "File", "Body"])
def test_a_body_parameter_beside_is_a_mistake_of_the_program(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile], beside: str
) -> None:
    """FastAPI reads the body for it before a dependency is asked. The message names the parameter."""
    if beside != "Body":
        pytest.importorskip("python_multipart")
    parameter: Any = getattr(fastapi, beside)()

    @app.post("/")
    async def endpoint(title: Any = parameter, avatar: UploadedFile = receive(single)) -> None:
        pytest.fail("there is no body for both")

    with pytest.raises(RuntimeError, match=r"POST /: .*'title'.*Form\(\).*receive\(upload\.fields"):
        ask(app, MIXED)
    expect_nothing_left(storage)


def test_a_body_that_a_dependency_took_is_a_mistake_of_the_program(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """Before this one; after it there is nothing to take."""

    async def takes(request: Request) -> None:
        await request.body()

    @app.post("/", dependencies=[Depends(takes)])
    async def endpoint(avatar: UploadedFile = receive(single)) -> None:
        pytest.fail("there is no body")

    with pytest.raises(RuntimeError, match="read before"):
        ask(app, AVATAR)
    expect_nothing_left(storage)


def test_a_router_may_have_it_for_all_of_its_routes(app: FastAPI, storage: MemoryStorage) -> None:
    """In `dependencies=[...]`; a route that wants the value names the same object, and the form is received once."""
    received = receive(Uploader(storage, max_size=4).any())
    router = APIRouter(prefix="/all", dependencies=[received])

    @router.post("/blind")
    async def blind() -> str:
        assert list(storage.objects.values()) == [b"data"]
        return "blind"

    @router.post("/raises")
    async def raises() -> None:
        assert list(storage.objects.values()) == [b"data"]
        raise HTTPException(400)

    @router.post("/sees")
    async def sees(submission: Submission = received) -> object:
        return facts(submission.files[0].size)

    app.include_router(router, prefix="/api")
    seen: list[dict[str, bytes]] = []
    assert ask(app, AVATAR, path="/api/all/raises", on_start=lambda: seen.append(storage.objects)).status == 400
    assert seen == [{}]
    assert ask(app, MIXED, path="/api/all/blind").status == 413
    expect_nothing_left(storage)
    assert ask(app, AVATAR, path="/api/all/blind").json == "blind"
    storage.delete(next(iter(storage.objects)))
    assert ask(app, AVATAR, path="/api/all/sees").json == 4


def test_a_dependency_may_be_built_upon_it(app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """Where it refuses, the files are removed."""

    def small(avatar: UploadedFile = receive(single)) -> UploadedFile:
        if avatar.size > 3:
            raise HTTPException(413)
        return avatar

    is_small = Depends(small)

    @app.post("/")
    async def endpoint(avatar: UploadedFile = is_small) -> None:
        pytest.fail("it is not small")

    assert ask(app, AVATAR).status == 413
    expect_nothing_left(storage)


def test_a_dependency_that_refuses_before_reads_nothing(app: FastAPI, single: Spec[UploadedFile]) -> None:
    """A login, for one: it is asked first where it stands first."""

    def login() -> None:
        raise HTTPException(401)

    @app.post("/", dependencies=[Depends(login)])
    async def endpoint(avatar: UploadedFile = receive(single)) -> None:
        pytest.fail("nobody is logged in")

    answer = ask(app, AVATAR)
    assert (answer.status, answer.taken) == (401, 0)


def test_a_mounted_application_is_one_of_its_own(app: FastAPI, storage: MemoryStorage) -> None:
    """It answers with problem details, or by its own handler, whatever the one above it does."""
    spec = Uploader(storage, max_size=3).any()
    plain, own = FastAPI(), FastAPI()
    for each in (app, plain, own):
        add(each, spec)

    @app.exception_handler(UploadError)
    async def above(request: Request, error: UploadError) -> Response:
        return PlainTextResponse("above")

    @own.exception_handler(UploadError)
    async def below(request: Request, error: UploadError) -> Response:
        return PlainTextResponse("below")

    app.mount("/plain", plain)
    app.mount("/own", own)
    assert ask(app, AVATAR, path="/plain/").content_type == "application/problem+json"
    assert ask(app, AVATAR, path="/own/").body == b"below"
    assert ask(app, AVATAR, path="/").body == b"above"


def test_the_dependency_may_be_put_in_place_of_another(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """`dependency_overrides`, as for every dependency: in tests, say."""

    def stored() -> str:
        pytest.fail("it was overridden")

    avatar_of_today = Depends(stored)

    @app.post("/")
    async def endpoint(avatar: Any = avatar_of_today) -> object:
        return avatar.filename

    app.dependency_overrides[stored] = receive(single).dependency
    assert ask(app, AVATAR).json == "me.bin"


def test_a_middleware_in_front_changes_nothing(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """A `BaseHTTPMiddleware` with a request and a task of its own; chunk by chunk, and refused early."""

    async def adds_a_header(request: Request, call_next: CallNext) -> Response:
        response = await call_next(request)
        response.headers["x-seen"] = "1"
        return response

    app.add_middleware(BaseHTTPMiddleware, dispatch=adds_a_header)
    add(app, single)
    add(app, Uploader(storage, max_size=0).any(), path="/small")
    chunks = [AVATAR.body[at : at + 10] for at in range(0, len(AVATAR.body), 10)]
    answer = ask(app, headers=headers_of(AVATAR), chunks=chunks)
    assert (answer.status, answer.header(b"x-seen")) == (200, "1")
    assert list(storage.objects.values()) == [b"data"]
    answer = ask(app, headers=headers_of(AVATAR), chunks=chunks, path="/small")
    assert (answer.status, answer.header(b"x-seen")) == (413, "1")
    assert answer.taken < len(chunks)


@pytest.mark.parametrize("size", [0, 60, len(AVATAR.body)])
def test_a_client_that_goes_away_leaves_nothing(
    app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile], size: int
) -> None:
    """The endpoint is not called. What is answered goes nowhere; a log of answers shows it as nginx does."""
    add(app, single, pytest.fail)
    answer = ask(app, headers=headers_of(AVATAR), chunks=[AVATAR.body[:size]], leaves=True)
    assert answer.status == 499
    expect_nothing_left(storage)


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_read(app: FastAPI, storage: MemoryStorage) -> None:
    """By its Content-Length alone."""
    add(app, Uploader(storage, limits=Limits(body_size=10)).any(), pytest.fail)
    answer = ask(app, AVATAR)
    assert (answer.status, answer.json["seen"], answer.taken) == (413, len(AVATAR.body), 0)


@pytest.mark.parametrize("name", [b"content-type", b"content-length"])
def test_a_repeated_header_is_refused(app: FastAPI, single: Spec[UploadedFile], name: bytes) -> None:
    """FastAPI alone would take the first of them."""
    add(app, single, pytest.fail)
    headers = headers_of(AVATAR)
    headers.append((name, dict(headers)[name]))
    answer = ask(app, headers=headers, chunks=[AVATAR.body])
    assert (answer.status, answer.json["code"], answer.taken) == (400, "malformed_form", 0)


def test_a_request_without_a_form_is_refused(app: FastAPI, single: Spec[UploadedFile]) -> None:
    """It does not wait for a body that nobody announced."""

    @app.get("/")
    async def endpoint(avatar: UploadedFile = receive(single)) -> None:
        pytest.fail("there is no file")

    answer = ask(app, method="GET")
    assert (answer.status, answer.json["code"], answer.taken) == (415, "unsupported_media_type", 0)


def test_the_request_is_there_beside(app: FastAPI, storage: MemoryStorage) -> None:
    """With its headers and state; its body is the submission."""
    everything = Uploader(storage).any()

    @app.post("/")
    async def endpoint(request: Request, submission: Submission = receive(everything)) -> object:
        return [request.headers["content-type"], submission.fields.multi_items()]

    assert ask(app, MIXED).json == [MIXED.content_type, [list(item) for item in MIXED_TEXTS]]


def test_the_test_client_of_fastapi_works(app: FastAPI, storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """As users test their applications: with its own way to build a form, and a loop in a thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which HTTP client it wants changes with its version
        from fastapi.testclient import TestClient
    add(app, single)
    with TestClient(app) as client:
        assert client.post("/", files={"avatar": ("me.bin", b"data")}).json() == "ok"
        assert client.post("/", files={"other": ("me.bin", b"data")}).json()["code"] == "unexpected_field"
    assert list(storage.objects.values()) == [b"data"]
