"""The adapter for Starlette, asked message by message."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from tests.adapters.asgi_client import ask, headers_of
from tests.adapters.expectations import (
    AVATAR,
    HANDED,
    MISTAKES,
    Handed,
    Mistake,
    asks_somebody,
    expect_mistake,
    expect_nothing_left,
    facts,
)

from uploadkit.adapters.starlette import receive
from uploadkit.errors import FileRefused, LimitExceeded, UploadError
from uploadkit.intake.spec import Spec
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.uploader import Uploader
from uploadkit.uploads import UploadedFile

CallNext = Callable[[Request], Awaitable[Response]]


@pytest.fixture
def storage() -> MemoryStorage:
    """Where the application under test stores."""
    return MemoryStorage()


@pytest.fixture
def single(storage: MemoryStorage) -> Spec[UploadedFile]:
    """One file in the field `avatar`."""
    return Uploader(storage).single("avatar")


def app_of(
    spec: Spec[Any],
    handle: Callable[[Any], object] = lambda value: None,
    *,
    dispatch: Sequence[Callable[[Request, CallNext], Awaitable[Response]]] = (),
    handlers: dict[Any, Any] | None = None,
    **options: Any,
) -> Starlette:
    """An application with one endpoint, which lets `handle` see its value, and answers."""

    @receive(spec, **options)
    async def endpoint(request: Request, value: Any) -> Response:
        await asyncio.sleep(0)
        handle(value)
        return PlainTextResponse("ok")

    middleware = [Middleware(BaseHTTPMiddleware, dispatch=each) for each in dispatch]
    routes = [Route("/", endpoint, methods=["GET", "POST"])]
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)


@pytest.mark.parametrize("handed", HANDED, ids=lambda handed: handed.name)
def test_the_endpoint_is_given_what_the_spec_promises(storage: MemoryStorage, handed: Handed) -> None:
    """After its request, whatever the kind of spec."""
    given: list[object] = []
    answer = ask(app_of(handed.spec(Uploader(storage)), lambda value: given.append(facts(value))), handed.form)
    assert (answer.status, answer.body) == (200, b"ok")
    assert given == [handed.value]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_an_error_is_answered_with_problem_details(mistake: Mistake) -> None:
    """Status, media type and facts; the endpoint is not called and nothing is stored."""
    storage = mistake.storage()
    headers = [(b"content-type", mistake.content_type.encode())]
    answer = ask(app_of(mistake.spec(storage), pytest.fail), headers=headers, chunks=[mistake.body])
    expect_mistake(mistake, storage, answer.status, answer.content_type, answer.body)


def test_errors_may_go_to_the_handlers_of_the_application(storage: MemoryStorage) -> None:
    """With `raise_errors`; a handler of a class above the error's is found as for every other exception."""

    async def refused(request: Request, error: UploadError) -> Response:
        return PlainTextResponse(f"mine: {error.code}", error.status)

    spec = Uploader(storage, max_size=3).any()
    answer = ask(app_of(spec, raise_errors=True, handlers={UploadError: refused}), AVATAR)
    assert (answer.status, answer.body) == (413, b"mine: limit_exceeded")
    with pytest.raises(LimitExceeded):
        ask(app_of(spec, raise_errors=True), AVATAR)
    assert ask(app_of(spec, handlers={UploadError: refused}), AVATAR).content_type == "application/problem+json"
    expect_nothing_left(storage)


def test_an_async_filter_is_asked(storage: MemoryStorage) -> None:
    """An ASGI application has a loop to ask it in."""
    assert ask(app_of(Uploader(storage).single("avatar", filter=asks_somebody)), AVATAR).status == 200


def test_parts_of_the_path_are_in_the_request(single: Spec[UploadedFile]) -> None:
    """As in every endpoint; a mount changes nothing."""

    @receive(single)
    async def endpoint(request: Request, avatar: UploadedFile) -> Response:
        return JSONResponse({**request.path_params, "size": avatar.size})

    app = Starlette(routes=[Mount("/api", routes=[Route("/{number:int}", endpoint, methods=["POST"])])])
    assert ask(app, AVATAR, path="/api/7").json == {"number": 7, "size": 4}


def test_an_endpoint_that_raises_loses_its_files(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """The exception goes on to Starlette as it is."""

    def refuse(avatar: UploadedFile) -> None:
        assert storage.objects == {avatar.key: b"data"}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(app_of(single, refuse), AVATAR)
    expect_nothing_left(storage)


def test_files_are_removed_before_an_exception_is_answered(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """An `HTTPException` is an exception, and its answer a promise."""

    def refuse(avatar: UploadedFile) -> None:
        raise HTTPException(409, "somebody else was first")

    seen: list[dict[str, bytes]] = []
    answer = ask(app_of(single, refuse), AVATAR, on_start=lambda: seen.append(storage.objects))
    assert (answer.status, answer.body) == (409, b"somebody else was first")
    assert seen == [{}]
    expect_nothing_left(storage)


def test_a_returned_refusal_keeps_the_files_unless_it_discards_them(
    storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """The library looks at no status: an endpoint that answers has handled its files, or takes them back."""

    @receive(single)
    async def endpoint(request: Request, avatar: UploadedFile) -> Response:
        if request.query_params:
            await avatar.adiscard()
        return Response(status_code=400)

    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
    assert ask(app, AVATAR).status == 400
    assert list(storage.objects.values()) == [b"data"]
    assert ask(app, AVATAR, path="/?discard=1").status == 400
    assert list(storage.objects.values()) == [b"data"]


def test_files_may_be_kept_where_the_endpoint_raises(storage: MemoryStorage) -> None:
    """`on_error="keep"` leaves them."""
    with pytest.raises(ZeroDivisionError):
        ask(app_of(Uploader(storage, on_error="keep").any(), lambda _: 1 / 0), AVATAR)
    assert list(storage.objects.values()) == [b"data"]


def test_an_endpoint_may_refuse_by_an_upload_error(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """It is answered as the library's own are, and the files are removed."""

    def refuse(avatar: UploadedFile) -> None:
        raise FileRefused("not on a Sunday", field=avatar.field, filter="calendar")

    answer = ask(app_of(single, refuse), AVATAR)
    assert (answer.status, answer.json["detail"]) == (422, "not on a Sunday")
    expect_nothing_left(storage)


def test_a_background_task_finds_the_files(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """They are kept when the endpoint has returned, whatever happens after."""
    found: list[bytes] = []

    @receive(single)
    async def endpoint(request: Request, avatar: UploadedFile) -> Response:
        return PlainTextResponse("ok", background=BackgroundTask(lambda: found.append(avatar.read())))

    assert ask(Starlette(routes=[Route("/", endpoint, methods=["POST"])]), AVATAR).status == 200
    assert found == [b"data"]


@pytest.mark.parametrize("reading", ["form", "body", "stream"])
def test_a_body_that_the_endpoint_could_read_before_is_a_mistake_of_the_program(
    storage: MemoryStorage, single: Spec[UploadedFile], reading: str
) -> None:
    """By a decorator above, for one. The client is not to blame, and the message says what to do."""

    @receive(single)
    async def below(request: Request, avatar: UploadedFile) -> Response:
        pytest.fail("there is no file")

    async def endpoint(request: Request) -> Response:
        if reading == "form":
            pytest.importorskip("python_multipart")
            async with request.form():
                pass
        elif reading == "body":
            await request.body()
        else:
            assert [chunk async for chunk in request.stream()]
        return await below(request)

    with pytest.raises(RuntimeError, match=r"read before.*receive\(upload\.fields"):
        ask(Starlette(routes=[Route("/", endpoint, methods=["POST"])]), AVATAR)
    expect_nothing_left(storage)


def test_a_second_receive_is_a_mistake_of_the_program(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """The first one has the body; its files are removed."""

    @receive(single)
    async def first(request: Request, avatar: UploadedFile) -> Response:
        return await second(request)

    @receive(Uploader(storage).single("gallery"))
    async def second(request: Request, gallery: UploadedFile) -> Response:
        pytest.fail("there is no body for both")

    with pytest.raises(RuntimeError, match=r"receive\(upload\.fields"):
        ask(Starlette(routes=[Route("/", first, methods=["POST"])]), AVATAR)
    expect_nothing_left(storage)


def test_a_middleware_in_front_changes_nothing(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """Two `BaseHTTPMiddleware`s, each with a request and a task of its own; chunk by chunk, and refused early."""

    async def adds_a_header(request: Request, call_next: CallNext) -> Response:
        response = await call_next(request)
        response.headers["x-seen"] = "1"
        return response

    chunks = [AVATAR.body[at : at + 10] for at in range(0, len(AVATAR.body), 10)]
    app = app_of(single, dispatch=[adds_a_header, adds_a_header])
    answer = ask(app, headers=headers_of(AVATAR), chunks=chunks)
    assert (answer.status, answer.header(b"x-seen")) == (200, "1")
    assert list(storage.objects.values()) == [b"data"]

    app = app_of(Uploader(storage, max_size=0).any(), dispatch=[adds_a_header, adds_a_header])
    answer = ask(app, headers=headers_of(AVATAR), chunks=chunks)
    assert (answer.status, answer.header(b"x-seen")) == (413, "1")
    assert answer.taken < len(chunks)


def test_a_middleware_may_have_the_body_first(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """`request.body()` in a `BaseHTTPMiddleware` keeps what it has read, and hands it on."""

    async def reads(request: Request, call_next: CallNext) -> Response:
        assert await request.body() == AVATAR.body
        return await call_next(request)

    assert ask(app_of(single, dispatch=[reads]), AVATAR).status == 200
    assert list(storage.objects.values()) == [b"data"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of Starlette's own, up to 0.44
def test_a_middleware_that_took_the_body_is_a_mistake_of_the_program(
    storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """`request.stream()` and `request.form()` in a `BaseHTTPMiddleware` leave an empty body: no client is to blame."""

    async def takes(request: Request, call_next: CallNext) -> Response:
        assert [chunk async for chunk in request.stream()]
        return await call_next(request)

    with pytest.raises(RuntimeError, match=r"read before.*middleware"):
        ask(app_of(single, pytest.fail, dispatch=[takes]), AVATAR)
    gc.collect()
    expect_nothing_left(storage)


@pytest.mark.parametrize("size", [0, 60, len(AVATAR.body)])
def test_a_client_that_goes_away_leaves_nothing(storage: MemoryStorage, single: Spec[UploadedFile], size: int) -> None:
    """The endpoint is not called. What it returns goes nowhere; a log of answers shows it as nginx does."""
    answer = ask(app_of(single, pytest.fail), headers=headers_of(AVATAR), chunks=[AVATAR.body[:size]], leaves=True)
    assert answer.status == 499
    expect_nothing_left(storage)


def test_a_cancelled_endpoint_loses_its_files(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """Cancellation is a way out like any other."""

    @receive(single)
    async def endpoint(request: Request, avatar: UploadedFile) -> Response:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        return Response()

    with pytest.raises(asyncio.CancelledError):
        ask(Starlette(routes=[Route("/", endpoint, methods=["POST"])]), AVATAR)
    expect_nothing_left(storage)


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_read(storage: MemoryStorage) -> None:
    """By its Content-Length alone."""
    answer = ask(app_of(Uploader(storage, limits=Limits(body_size=10)).any(), pytest.fail), AVATAR)
    assert (answer.status, answer.json["seen"], answer.taken) == (413, len(AVATAR.body), 0)


@pytest.mark.parametrize("name", [b"content-type", b"content-length"])
def test_a_repeated_header_is_refused(single: Spec[UploadedFile], name: bytes) -> None:
    """Starlette alone would take the first of them."""
    headers = headers_of(AVATAR)
    headers.append((name, dict(headers)[name]))
    answer = ask(app_of(single, pytest.fail), headers=headers, chunks=[AVATAR.body])
    assert (answer.status, answer.json["code"], answer.taken) == (400, "malformed_form", 0)


def test_a_request_without_a_form_is_refused(single: Spec[UploadedFile]) -> None:
    """A GET, for one, has neither a body nor a Content-Type: it does not wait for one."""
    answer = ask(app_of(single, pytest.fail), method="GET")
    assert (answer.status, answer.json["code"], answer.taken) == (415, "unsupported_media_type", 0)
