"""`request.form()` of Starlette on uploadkit: endpoints that know nothing of it, asked message by message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from tests.adapters.asgi_client import Answer, ask, headers_of
from tests.adapters.expectations import (
    AVATAR,
    MISTAKES,
    MIXED,
    Mistake,
    asks_somebody,
    expect_mistake,
    expect_nothing_left,
)

from uploadkit.adapters.starlette import StoredFile, receive, request_form
from uploadkit.errors import FileRefused, LimitExceeded, UnsupportedMediaType, UploadError
from uploadkit.intake.spec import Spec
from uploadkit.policy.accept import IMAGES
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder, assert_no_leaks
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission, UploadedFile

Endpoint = Callable[[Request], Awaitable[Response]]

AVATAR_AND_CV = FormBuilder().file("avatar", b"data", filename="me.bin").file("cv", b"cv", filename="cv.bin")
UNCHOSEN = FormBuilder().text("title", "Été").file("avatar", b"", filename="").file("photo", b"1", filename="1.bin")


@pytest.fixture
def storage() -> MemoryStorage:
    """Where the application under test stores."""
    return MemoryStorage()


@pytest.fixture
def anything(storage: MemoryStorage) -> Spec[Submission]:
    """Every file in every field."""
    return Uploader(storage).any()


def app_of(endpoint: Endpoint, **options: Any) -> Starlette:
    """An application with one endpoint."""
    return Starlette(routes=[Route("/", endpoint, methods=["GET", "POST"])], **options)


async def seen(request: Request) -> Response:
    """What an endpoint without uploadkit makes of a form."""
    async with request.form() as form:
        texts = [[name, value] for name, value in form.multi_items() if isinstance(value, str)]
        files = [
            [name, value.filename, value.size, (await value.read()).decode()]
            for name, value in form.multi_items()
            if isinstance(value, UploadFile)
        ]
    return JSONResponse({"texts": texts, "files": sorted(files, key=lambda file: str(file[0]))})


async def avatar_of(request: Request) -> StoredFile:
    """The file in the field `avatar`."""
    avatar = (await request.form())["avatar"]
    assert isinstance(avatar, StoredFile)
    return avatar


@pytest.mark.parametrize("form", [AVATAR, MIXED, UNCHOSEN, FormBuilder()], ids=["one", "mixed", "unchosen", "empty"])
def test_an_endpoint_sees_what_it_sees_of_starlette(anything: Spec[Submission], form: FormBuilder) -> None:
    """The same names, texts, sizes and bytes, a file input in which nothing was chosen among them."""
    pytest.importorskip("python_multipart")
    answer = ask(app_of(request_form(anything)(seen)), form)
    assert answer.status == 200
    assert answer.json == ask(app_of(seen), form).json


def test_a_url_encoded_form_is_received(anything: Spec[Submission]) -> None:
    """By our parser, under our limits."""
    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    answer = ask(app_of(request_form(anything)(seen)), headers=headers, chunks=[b"a=1&a=%C3%A9&b="])
    assert answer.json == {"texts": [["a", "1"], ["a", "é"], ["b", ""]], "files": []}


def test_a_file_says_what_its_bytes_show_and_what_is_safe(anything: Spec[Submission]) -> None:
    """The type is the detected one, the name cannot leave a folder; what the client said is there too."""
    form = FormBuilder().file("avatar", b"%PDF-1.7\n", filename="../../cv.pdf", content_type="application/pdf")

    @request_form(anything)
    async def endpoint(request: Request) -> Response:
        file = await avatar_of(request)
        said = [file.filename, file.content_type, file.headers["content-type"], file.uploaded.client_filename]
        await file.seek(1)
        return JSONResponse([*said, (await file.read(3)).decode(), file.file.tell()])

    answer = ask(app_of(endpoint), form)
    assert answer.json == ["cv.pdf", "application/pdf", "application/pdf", "../../cv.pdf", "PDF", 4]


def test_a_closed_form_has_removed_what_was_not_kept(anything: Spec[Submission], storage: MemoryStorage) -> None:
    """At the end of its `async with`, and not only with the endpoint."""

    @request_form(anything)
    async def endpoint(request: Request) -> Response:
        async with request.form() as form:
            file = form["avatar"]
            assert isinstance(file, StoredFile)
            kept = file.keep()
            assert len(storage.objects) == 3
        assert storage.objects == {kept.key: b"data"}
        return PlainTextResponse(await kept.aread())

    assert ask(app_of(endpoint), MIXED).body == b"data"
    assert list(storage.objects.values()) == [b"data"]


def test_a_file_of_a_closed_form_is_not_kept_any_more(anything: Spec[Submission], storage: MemoryStorage) -> None:
    """Who asks for it too late is told so, and is given no key without an object; a file that was kept, again."""

    @request_form(anything)
    async def endpoint(request: Request) -> Response:
        avatar = await avatar_of(request)
        other = (await request.form())["cv"]
        assert isinstance(other, StoredFile)
        kept = other.keep()
        await request.close()
        with pytest.raises(ValueError, match=r"call keep\(\) before"):
            avatar.keep()
        return PlainTextResponse(str(other.keep() is kept and not avatar.kept))

    assert ask(app_of(endpoint), AVATAR_AND_CV).body == b"True"
    assert list(storage.objects.values()) == [b"cv"]


def test_a_form_that_nobody_closes_is_closed_with_its_endpoint(
    anything: Spec[Submission], storage: MemoryStorage
) -> None:
    """Before the answer begins; asked for twice it is the same form."""

    @request_form(anything)
    async def endpoint(request: Request) -> Response:
        assert await request.form() is await request.form(max_files=0)
        return PlainTextResponse(await (await avatar_of(request)).read())

    left: list[dict[str, bytes]] = []
    assert ask(app_of(endpoint), AVATAR, on_start=lambda: left.append(storage.objects)).body == b"data"
    assert left == [{}]
    expect_nothing_left(storage)


def test_a_background_task_finds_what_was_kept(anything: Spec[Submission]) -> None:
    """It runs after the answer."""
    found: list[bytes] = []

    @request_form(anything)
    async def endpoint(request: Request) -> Response:
        kept = (await avatar_of(request)).keep()
        return Response(background=BackgroundTask(lambda: found.append(kept.read())))

    ask(app_of(endpoint), AVATAR)
    assert found == [b"data"]


def test_what_is_no_form_is_left_to_the_endpoint(anything: Spec[Submission]) -> None:
    """JSON is still there when somebody has looked for a form, and a request without a body is not waited for."""

    @request_form(anything)
    async def endpoint(request: Request) -> Response:
        looked = list(await request.form())
        return JSONResponse([looked, await request.json() if request.method == "POST" else None])

    app = app_of(endpoint)
    assert ask(app, headers=[(b"content-type", b"application/json")], chunks=[b'{"a": 1}']).json == [[], {"a": 1}]
    assert ask(app, method="GET").json == [[], None]


def test_an_endpoint_that_asks_for_no_form_leaves_the_body_unread(
    anything: Spec[Submission], storage: MemoryStorage
) -> None:
    """Nothing is received for it, and it may read the body itself."""

    @request_form(anything)
    async def ignores(request: Request) -> Response:
        return Response()

    @request_form(anything)
    async def reads(request: Request) -> Response:
        return Response(await request.body())

    assert ask(app_of(ignores), AVATAR).taken == 0
    assert ask(app_of(reads), AVATAR).body == AVATAR.body
    expect_nothing_left(storage)


@pytest.mark.parametrize(
    "mistake",
    [each for each in MISTAKES if each.error is not UnsupportedMediaType],  # what is no form is left to the endpoint
    ids=lambda mistake: mistake.name,
)
def test_an_error_is_answered_with_problem_details(mistake: Mistake) -> None:
    """Status, media type and facts; the endpoint ends where it asks for the form, and nothing is stored."""
    storage = mistake.storage()

    @request_form(mistake.spec(storage))
    async def endpoint(request: Request) -> Response:
        async with request.form():
            pytest.fail("there is no form")

    headers = [(b"content-type", mistake.content_type.encode())]
    answer = ask(app_of(endpoint), headers=headers, chunks=[mistake.body])
    expect_mistake(mistake, storage, answer.status, answer.content_type, answer.body)


def test_errors_may_go_to_the_handlers_of_the_application(storage: MemoryStorage) -> None:
    """With `raise_errors`, or caught in the endpoint itself."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, UploadError)
        return PlainTextResponse(f"mine: {error.code}", error.status)

    spec = Uploader(storage, max_size=3).any()
    raising = request_form(spec, raise_errors=True)(seen)
    assert ask(app_of(raising, exception_handlers={UploadError: refused}), AVATAR).body == b"mine: limit_exceeded"
    with pytest.raises(LimitExceeded):
        ask(app_of(raising), AVATAR)

    @request_form(spec)
    async def catches(request: Request) -> Response:
        try:
            await request.form()
        except LimitExceeded as error:
            return PlainTextResponse(str(error))
        return Response()

    assert ask(app_of(catches), AVATAR).body == b"the file in field 'avatar' has more than 3 bytes"
    expect_nothing_left(storage)


def test_an_endpoint_may_refuse_by_an_upload_error(anything: Spec[Submission], storage: MemoryStorage) -> None:
    """It is answered as the library's own are."""

    @request_form(anything)
    async def endpoint(request: Request) -> Response:
        await request.form()
        raise FileRefused("not on a Sunday", field="avatar", filter="calendar")

    answer = ask(app_of(endpoint), AVATAR)
    assert (answer.status, answer.json["detail"]) == (422, "not on a Sunday")
    expect_nothing_left(storage)


@pytest.mark.parametrize("kept", [False, True])
def test_an_endpoint_that_raises_loses_what_it_has_not_kept(
    anything: Spec[Submission], storage: MemoryStorage, kept: bool
) -> None:
    """The exception goes on to Starlette as it is; what was kept is the endpoint's own."""

    @request_form(anything)
    async def endpoint(request: Request) -> Response:
        avatar = await avatar_of(request)
        if kept:
            avatar.keep()
        raise HTTPException(409, "somebody else was first")

    assert ask(app_of(endpoint), AVATAR).body == b"somebody else was first"
    assert list(storage.objects.values()) == ([b"data"] if kept else [])
    assert storage.unfinished == []


def test_a_cancelled_endpoint_loses_its_files(anything: Spec[Submission], storage: MemoryStorage) -> None:
    """Cancellation is a way out like any other."""

    @request_form(anything)
    async def endpoint(request: Request) -> Response:
        await request.form()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        return Response()

    with pytest.raises(asyncio.CancelledError):
        ask(app_of(endpoint), AVATAR)
    expect_nothing_left(storage)


@pytest.mark.parametrize("size", [0, 60, len(AVATAR.body)])
def test_a_client_that_goes_away_leaves_nothing(anything: Spec[Submission], storage: MemoryStorage, size: int) -> None:
    """The endpoint ends where it asks for the form."""
    app = app_of(request_form(anything)(seen))
    answer = ask(app, headers=headers_of(AVATAR), chunks=[AVATAR.body[:size]], leaves=True)
    assert answer.status == 499
    expect_nothing_left(storage)


@pytest.mark.parametrize("cut", [None, 60, -10], ids=["whole", "in the head", "in the file"])
@pytest.mark.parametrize("rules", [{}, {"accept": IMAGES}, {"max_size": 3}], ids=["good", "type", "size"])
@pytest.mark.parametrize("raises", [False, True], ids=["reads", "raises"])
def test_nothing_is_left_of_any_end(tmp_path: Path, cut: int | None, rules: dict[str, Any], raises: bool) -> None:
    """On a disk: no object, no staged file, no descriptor, whether the body is whole, cut, refused or badly handled."""
    storage = DiskStorage(tmp_path)

    @request_form(Uploader(storage, **rules).any())
    async def endpoint(request: Request) -> Response:
        await (await avatar_of(request)).read(2)
        if raises:
            raise HTTPException(409)
        return Response()

    def asked() -> Answer:
        headers = [(b"content-type", AVATAR.content_type.encode())]
        return ask(app_of(endpoint), headers=headers, chunks=[AVATAR.body[:cut]])

    asked()  # the first upload starts the threads that the next ones use
    with assert_no_leaks(storage):
        assert asked().status in (200, 400, 409, 413, 415)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_async_filter_is_asked(storage: MemoryStorage) -> None:
    """An ASGI application has a loop to ask it in."""
    assert ask(app_of(request_form(Uploader(storage).any(filter=asks_somebody))(seen)), AVATAR).status == 200


@pytest.mark.parametrize("reading", ["body", "stream"])
def test_a_body_that_was_read_is_a_mistake_of_the_program(
    anything: Spec[Submission], storage: MemoryStorage, reading: str
) -> None:
    """The message says what to do."""

    @request_form(anything)
    async def endpoint(request: Request) -> Response:
        if reading == "body":
            await request.body()
        else:
            assert [chunk async for chunk in request.stream()]
        return await seen(request)

    with pytest.raises(RuntimeError, match=r"read before"):
        ask(app_of(endpoint), AVATAR)
    expect_nothing_left(storage)


def test_receive_below_it_has_the_body(anything: Spec[Submission], storage: MemoryStorage) -> None:
    """Its files are those of the endpoint, and stay."""

    @request_form(anything)
    @receive(Uploader(storage).single("avatar"))
    async def endpoint(request: Request, avatar: UploadedFile) -> Response:
        return JSONResponse([avatar.size, list(await request.form())])

    assert ask(app_of(endpoint), AVATAR).json == [4, []]
    assert list(storage.objects.values()) == [b"data"]


def test_what_cannot_work_is_told_when_the_route_is_made(anything: Spec[Submission], storage: MemoryStorage) -> None:
    """No spec, and an endpoint that is not async."""
    with pytest.raises(TypeError, match=r"request_form takes a spec, as in request_form\(upload\.any\(\)\)"):
        request_form(Uploader(storage))  # type: ignore[arg-type]  # a type checker finds it too

    def endpoint(request: Request) -> Response:
        return Response()

    with pytest.raises(TypeError, match=r"under request_form\(\.\.\.\) is an async function, and endpoint is not"):
        request_form(anything)(endpoint)  # type: ignore[arg-type]  # the same
