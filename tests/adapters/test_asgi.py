"""The adapter for plain ASGI applications, asked message by message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.adapters.asgi_client import Answer, ask, headers_of
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

from uploadkit.adapters.asgi import ASGIApp, Receive, Scope, Send, body_length, receive
from uploadkit.errors import ClientDisconnected, FileRefused, LimitExceeded, MalformedForm
from uploadkit.intake.spec import Spec
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission, UploadedFile


@pytest.fixture
def storage() -> MemoryStorage:
    """Where the application under test stores."""
    return MemoryStorage()


@pytest.fixture
def single(storage: MemoryStorage) -> Spec[UploadedFile]:
    """One file in the field `avatar`."""
    return Uploader(storage).single("avatar")


async def answer_ok(send: Send, body: bytes = b"ok") -> None:
    """What an application without a framework does to answer."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


def handling(
    spec: Spec[Any], handle: Callable[[Any], object] = lambda value: None, *, raise_errors: bool = False
) -> ASGIApp:
    """An application that lets `handle` see its value, and answers."""

    @receive(spec, raise_errors=raise_errors)
    async def app(scope: Scope, receive: Receive, send: Send, value: Any) -> None:
        handle(value)
        await answer_ok(send)

    return app


@pytest.mark.parametrize("handed", HANDED, ids=lambda handed: handed.name)
def test_the_application_is_given_what_the_spec_promises(handed: Handed, storage: MemoryStorage) -> None:
    """As its fourth argument, whatever the kind of spec."""
    given: list[object] = []
    answer = ask(handling(handed.spec(Uploader(storage)), lambda value: given.append(facts(value))), handed.form)
    assert (answer.status, answer.body) == (200, b"ok")
    assert given == [handed.value]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_an_error_is_answered_with_problem_details(mistake: Mistake) -> None:
    """Status, media type, length and facts; the application is not called and nothing is stored."""
    storage = mistake.storage()
    headers = [(b"content-type", mistake.content_type.encode())]
    answer = ask(handling(mistake.spec(storage), pytest.fail), headers=headers, chunks=[mistake.body])
    expect_mistake(mistake, storage, answer.status, answer.content_type, answer.body)
    assert answer.header(b"content-length") == str(len(answer.body))


def test_errors_may_be_raised(storage: MemoryStorage) -> None:
    """With `raise_errors` a middleware of the application's own answers."""
    with pytest.raises(LimitExceeded):
        ask(handling(Uploader(storage, max_size=3).single("avatar"), raise_errors=True), AVATAR)
    expect_nothing_left(storage)


def test_an_async_filter_is_asked(storage: MemoryStorage) -> None:
    """An ASGI application has a loop to ask it in."""
    assert ask(handling(Uploader(storage).single("avatar", filter=asks_somebody)), AVATAR).status == 200


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()], ids=repr)
def test_an_application_that_raises_loses_its_files(
    storage: MemoryStorage, single: Spec[UploadedFile], error: BaseException
) -> None:
    """The exception goes on to the server as it is."""

    def refuse(avatar: UploadedFile) -> None:
        assert avatar.read() == b"data"
        raise error

    with pytest.raises(type(error)) as raised:
        ask(handling(single, refuse), AVATAR)
    assert raised.value is error
    expect_nothing_left(storage)


def test_a_cancelled_application_loses_its_files(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """Cancellation is a way out like any other."""

    @receive(single)
    async def app(scope: Scope, receive: Receive, send: Send, avatar: UploadedFile) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        ask(app, AVATAR)
    expect_nothing_left(storage)


def test_files_may_be_kept_where_the_application_raises(storage: MemoryStorage) -> None:
    """`on_error="keep"` leaves them."""
    with pytest.raises(ZeroDivisionError):
        ask(handling(Uploader(storage, on_error="keep").single("avatar"), lambda _: 1 / 0), AVATAR)
    assert list(storage.objects.values()) == [b"data"]


def test_an_application_may_refuse_by_an_upload_error(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """It is answered as the library's own are, and the files are removed."""

    def refuse(avatar: UploadedFile) -> None:
        raise FileRefused("not on a Sunday", field=avatar.field, filter="calendar")

    answer = ask(handling(single, refuse), AVATAR)
    assert (answer.status, answer.json["detail"]) == (422, "not on a Sunday")
    expect_nothing_left(storage)


def test_an_error_after_the_answer_has_begun_is_raised(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """There is no second answer; the files are removed and the server hears of it."""
    refused = FileRefused("too late")

    @receive(single)
    async def app(scope: Scope, receive: Receive, send: Send, avatar: UploadedFile) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise refused

    begun: list[int] = []
    with pytest.raises(FileRefused) as raised:
        ask(app, AVATAR, on_start=lambda: begun.append(1))
    assert raised.value is refused
    assert begun == [1]
    expect_nothing_left(storage)


@pytest.mark.parametrize("size", [0, 1, 60, len(AVATAR.body) - 1, len(AVATAR.body)])
def test_a_client_that_goes_away_is_not_answered(storage: MemoryStorage, single: Spec[UploadedFile], size: int) -> None:
    """Wherever it went: the application is not called and nothing is left, also where the form itself was whole."""
    gone = [AVATAR.body[:size]]
    answer = ask(handling(single, pytest.fail), headers=headers_of(AVATAR), chunks=gone, leaves=True)
    assert answer == Answer(messages=[], taken=1)
    expect_nothing_left(storage)


def test_a_client_that_goes_away_may_be_raised(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """With `raise_errors`, as every other error."""
    with pytest.raises(ClientDisconnected):
        ask(handling(single, raise_errors=True), AVATAR, leaves=True)
    expect_nothing_left(storage)


@pytest.mark.parametrize("repeated", [b"content-type", b"Content-Type", b"content-length"])
def test_a_repeated_header_is_refused_before_anything_is_read(
    storage: MemoryStorage, single: Spec[UploadedFile], repeated: bytes
) -> None:
    """Two of them, even equal ones in another case, are how requests are smuggled."""
    headers = headers_of(AVATAR)
    headers.append((repeated, dict(headers)[repeated.lower()]))
    answer = ask(handling(single, pytest.fail), headers=headers, chunks=[AVATAR.body])
    assert (answer.status, answer.json["code"], answer.taken) == (400, "malformed_form", 0)


def test_a_body_that_is_no_form_is_refused_before_it_is_read(single: Spec[UploadedFile]) -> None:
    """A GET, for one, has neither a body nor a Content-Type."""
    answer = ask(handling(single, pytest.fail), method="GET")
    assert (answer.status, answer.json["code"], answer.taken) == (415, "unsupported_media_type", 0)


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_read(storage: MemoryStorage) -> None:
    """By its Content-Length alone."""
    answer = ask(handling(Uploader(storage, limits=Limits(body_size=10)).any(), pytest.fail), AVATAR)
    assert (answer.status, answer.json["seen"], answer.taken) == (413, len(AVATAR.body), 0)


def test_a_body_that_is_shorter_than_its_length_is_truncated(storage: MemoryStorage) -> None:
    """Also where the form itself has ended: a server may let that through."""
    headers = [(b"content-type", AVATAR.content_type.encode()), (b"content-length", b"%d" % (len(AVATAR.body) + 1))]
    answer = ask(handling(Uploader(storage).any(), pytest.fail), headers=headers, chunks=[AVATAR.body])
    assert (answer.status, answer.json["code"]) == (400, "truncated_form")
    expect_nothing_left(storage)


def test_no_more_is_read_than_a_refusal_needs(storage: MemoryStorage) -> None:
    """The chunk that passes a limit is the last one that is taken."""
    form = FormBuilder().file("avatar", b"x" * 1000, filename="x.bin")
    chunks = [form.body[at : at + 100] for at in range(0, len(form.body), 100)]
    app = handling(Uploader(storage, max_size=300).single("avatar"))
    answer = ask(app, headers=headers_of(form), chunks=chunks)
    assert answer.status == 413
    first = form.body.index(b"x" * 1000)
    assert answer.taken == (first + 300) // 100 + 1


@pytest.mark.parametrize("length", ["-1", "+5", "5.0", "5, 5", "\N{SUPERSCRIPT TWO}", "0x10", "1" * 20, "1" * 5000])
def test_a_content_length_that_is_none_is_malformed(length: str) -> None:
    """Whatever Python would read as a number."""
    with pytest.raises(MalformedForm):
        body_length(length)


@pytest.mark.parametrize(
    ("length", "read"), [(None, None), ("", None), ("0", 0), ("007", 7), ("1" * 19, int("1" * 19))]
)
def test_a_content_length_is_read(length: str | None, read: int | None) -> None:
    """An empty one is none: WSGI servers may give that."""
    assert body_length(length) == read


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_a_scope_that_is_no_request_is_not_supported(single: Spec[UploadedFile], kind: str) -> None:
    """A server reads an exception at "lifespan" as "not supported" and goes on."""

    async def unused(*_: object) -> Any:
        pytest.fail("nothing is received or sent")

    with pytest.raises(RuntimeError, match=f"'{kind}'"):
        asyncio.run(_awaited(handling(single)({"type": kind}, unused, unused)))


async def _awaited(work: Awaitable[None]) -> None:
    await work


def test_the_application_may_ask_whether_the_client_is_still_there(single: Spec[UploadedFile]) -> None:
    """After the body its `receive` gives what the server says next."""
    heard: list[str] = []

    @receive(single)
    async def app(scope: Scope, receive: Receive, send: Send, avatar: UploadedFile) -> None:
        await answer_ok(send)
        heard.append((await receive())["type"])

    ask(app, AVATAR)
    assert heard == ["http.disconnect"]


def test_a_returned_refusal_keeps_the_files_unless_it_discards_them(storage: MemoryStorage) -> None:
    """The library looks at no status: an application that answers has handled its files, or takes them back."""

    @receive(Uploader(storage).any())
    async def app(scope: Scope, receive: Receive, send: Send, submission: Submission) -> None:
        if scope["path"] == "/discard":
            await submission.adiscard()
        await send({"type": "http.response.start", "status": 409, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    assert ask(app, AVATAR).status == 409
    assert list(storage.objects.values()) == [b"data"]
    assert ask(app, AVATAR, path="/discard").status == 409
    assert list(storage.objects.values()) == [b"data"]
