"""The adapter for plain WSGI applications, under wsgiref's validator of PEP 3333."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
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

from uploadkit.adapters.sockets import WHOLE_READ_SIZE
from uploadkit.adapters.wsgi import receive
from uploadkit.errors import FileRefused, LimitExceeded
from uploadkit.intake.spec import Spec
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission, UploadedFile

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class Input(io.BytesIO):
    """A body that knows how much of it was asked for, and may break instead of ending."""

    def __init__(self, body: bytes, *, breaks: bool = False) -> None:
        super().__init__(body)
        self.breaks = breaks

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data and self.breaks:
            raise ConnectionResetError("the client is gone")
        return data


def environ_of(form: FormBuilder, **changes: Any) -> WSGIEnvironment:
    """The environment of a request with this form. A value of None takes its name out."""
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": "POST",
        "QUERY_STRING": "",
        "CONTENT_TYPE": form.content_type,
        "CONTENT_LENGTH": str(len(form.body)),
        "wsgi.input": Input(form.body),
    }
    setup_testing_defaults(environ)
    environ.update(changes)
    return {name: value for name, value in environ.items() if value is not None}


def ask(app: WSGIApplication, environ: WSGIEnvironment) -> tuple[str, dict[str, str], bytes]:
    """Status line, headers and body, by wsgiref's own server code. What the application raises comes out."""
    output = io.BytesIO()
    handler = _Handler(environ["wsgi.input"], output, io.StringIO(), environ)
    handler.run(validator(app))
    head, _, body = output.getvalue().partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    return status.removeprefix("Status: "), dict(line.split(": ", 1) for line in lines), body


class _Handler(SimpleHandler):
    origin_server = False

    def handle_error(self) -> None:
        raise  # called where an exception is handled


@pytest.fixture
def storage() -> MemoryStorage:
    """Where the application under test stores."""
    return MemoryStorage()


@pytest.fixture
def single(storage: MemoryStorage) -> Spec[UploadedFile]:
    """One file in the field `avatar`."""
    return Uploader(storage).single("avatar")


def handling(
    spec: Spec[Any], handle: Callable[[Any], object] = lambda value: None, *, raise_errors: bool = False
) -> WSGIApplication:
    """An application that lets `handle` see its value, and answers."""

    @receive(spec, raise_errors=raise_errors)
    def app(environ: WSGIEnvironment, start_response: StartResponse, value: Any) -> Iterable[bytes]:
        handle(value)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]

    return app


@pytest.mark.parametrize("handed", HANDED, ids=lambda handed: handed.name)
def test_the_application_is_given_what_the_spec_promises(handed: Handed, storage: MemoryStorage) -> None:
    """As its third argument, whatever the kind of spec."""
    given: list[object] = []
    app = handling(handed.spec(Uploader(storage)), lambda value: given.append(facts(value)))
    status, _, body = ask(app, environ_of(handed.form))
    assert (status, body) == ("200 OK", b"ok")
    assert given == [handed.value]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_an_error_is_answered_with_problem_details(mistake: Mistake) -> None:
    """Status, media type, length and facts; the application is not called and nothing is stored."""
    storage = mistake.storage()
    sent: dict[str, Any] = {"CONTENT_LENGTH": str(len(mistake.body)), "wsgi.input": Input(mistake.body)}
    environ = environ_of(AVATAR, CONTENT_TYPE=mistake.content_type, **sent)
    status, headers, body = ask(handling(mistake.spec(storage), pytest.fail), environ)
    expect_mistake(mistake, storage, int(status[:3]), headers["Content-Type"], body)
    assert headers["Content-Length"] == str(len(body))


def test_errors_may_be_raised(storage: MemoryStorage) -> None:
    """With `raise_errors` a middleware of the application's own answers."""
    app = handling(Uploader(storage, max_size=3).single("avatar"), raise_errors=True)
    with pytest.raises(LimitExceeded):
        ask(app, environ_of(AVATAR))
    expect_nothing_left(storage)


def test_an_async_filter_is_a_mistake_of_the_program(storage: MemoryStorage) -> None:
    """It is told when the application is built, not at the first upload."""
    with pytest.raises(TypeError, match="async filter"):
        receive(Uploader(storage).single("avatar", filter=asks_somebody))


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()], ids=repr)
def test_an_application_that_raises_loses_its_files(
    storage: MemoryStorage, single: Spec[UploadedFile], error: BaseException
) -> None:
    """The exception goes on to the server as it is."""

    def refuse(avatar: UploadedFile) -> None:
        assert avatar.read() == b"data"
        raise error

    with pytest.raises(type(error)) as raised:
        ask(handling(single, refuse), environ_of(AVATAR))
    assert raised.value is error
    expect_nothing_left(storage)


def test_files_may_be_kept_where_the_application_raises(storage: MemoryStorage) -> None:
    """`on_error="keep"` leaves them."""
    with pytest.raises(ZeroDivisionError):
        ask(handling(Uploader(storage, on_error="keep").any(), lambda _: 1 / 0), environ_of(AVATAR))
    assert list(storage.objects.values()) == [b"data"]


def test_a_returned_refusal_keeps_the_files_unless_it_discards_them(storage: MemoryStorage) -> None:
    """The library looks at no status: an application that answers has handled its files, or takes them back."""

    @receive(Uploader(storage).any())
    def app(environ: WSGIEnvironment, start_response: StartResponse, submission: Submission) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/discard":
            submission.discard()
        start_response("409 Conflict", [("Content-Type", "text/plain")])
        return [b""]

    ask(app, environ_of(AVATAR))
    assert list(storage.objects.values()) == [b"data"]
    ask(app, environ_of(AVATAR, PATH_INFO="/discard"))
    assert list(storage.objects.values()) == [b"data"]


def test_an_application_may_refuse_after_it_has_begun_to_answer(
    storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """Until the first byte is out the answer can still be replaced: PEP 3333 asks for the exception to do so."""

    @receive(single)
    def app(environ: WSGIEnvironment, start_response: StartResponse, avatar: UploadedFile) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        raise FileRefused("not on a Sunday")

    status, headers, _ = ask(app, environ_of(AVATAR))
    assert (status, headers["Content-Type"]) == ("422 Unprocessable Content", "application/problem+json")
    expect_nothing_left(storage)


def test_a_refusal_after_the_first_byte_is_raised(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """There is no second answer; the files are removed and the server hears of it."""
    refused = FileRefused("too late")

    @receive(single)
    def app(environ: WSGIEnvironment, start_response: StartResponse, avatar: UploadedFile) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])(b"a part of it")
        raise refused

    with pytest.raises(FileRefused) as raised:
        ask(app, environ_of(AVATAR))
    assert raised.value is refused
    expect_nothing_left(storage)


def test_a_body_without_a_length_is_read_where_the_server_ends_it(storage: MemoryStorage) -> None:
    """`wsgi.input_terminated`: gunicorn and others set it, for chunked bodies above all."""
    environ = environ_of(AVATAR, CONTENT_LENGTH=None, **{"wsgi.input_terminated": True})
    assert ask(handling(Uploader(storage).any()), environ)[0] == "200 OK"
    assert list(storage.objects.values()) == [b"data"]


@pytest.mark.parametrize("length", [None, ""], ids=["absent", "empty"])
def test_a_body_without_a_length_is_not_touched_elsewhere(storage: MemoryStorage, length: str | None) -> None:
    """PEP 3333: reading it may wait for ever. It counts as empty."""
    environ = environ_of(AVATAR, CONTENT_LENGTH=length)
    status, _, body = ask(handling(Uploader(storage).any()), environ)
    assert (status, b"truncated_form" in body) == ("400 Bad Request", True)
    assert environ["wsgi.input"].tell() == 0


def test_no_byte_after_the_length_is_read(storage: MemoryStorage) -> None:
    """What follows on the connection is the next request."""
    environ = environ_of(AVATAR, **{"wsgi.input": Input(AVATAR.body + b"POST / HTTP/1.1")})
    assert ask(handling(Uploader(storage).any()), environ)[0] == "200 OK"
    assert environ["wsgi.input"].read() == b"POST / HTTP/1.1"


@pytest.mark.parametrize("length", ["-1", "abc", "5, 5", "1" * 5000])
def test_a_length_that_is_none_is_refused_before_anything_is_read(storage: MemoryStorage, length: str) -> None:
    """Where a server lets it through at all."""
    environ = environ_of(AVATAR, CONTENT_LENGTH=length)
    app = handling(Uploader(storage).any())
    output = io.BytesIO()
    _Handler(environ["wsgi.input"], output, io.StringIO(), environ).run(app)  # the validator itself asserts a number
    assert b"400 Bad Request" in output.getvalue()
    assert environ["wsgi.input"].tell() == 0


def test_a_body_that_is_shorter_than_its_length_is_truncated(storage: MemoryStorage) -> None:
    """Also where the form itself has ended."""
    environ = environ_of(AVATAR, CONTENT_LENGTH=str(len(AVATAR.body) + 1))
    status, _, body = ask(handling(Uploader(storage).any()), environ)
    assert (status, b"truncated_form" in body) == ("400 Bad Request", True)
    expect_nothing_left(storage)


def test_a_connection_that_breaks_is_no_error_of_the_service(storage: MemoryStorage) -> None:
    """The server's OSError is a client that went away: nothing is left, and the answer reaches nobody."""
    environ = environ_of(AVATAR, **{"wsgi.input": Input(AVATAR.body[:-10], breaks=True)})
    status, _, _ = ask(handling(Uploader(storage).any(), pytest.fail), environ)
    assert status == "499 Client Closed Request"
    expect_nothing_left(storage)


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_read(storage: MemoryStorage) -> None:
    """By its Content-Length alone."""
    environ = environ_of(AVATAR)
    status, _, body = ask(handling(Uploader(storage, limits=Limits(body_size=10)).any()), environ)
    assert (status[:3], json.loads(body)["seen"]) == ("413", len(AVATAR.body))
    assert environ["wsgi.input"].tell() == 0


def test_no_more_is_read_than_a_refusal_needs(storage: MemoryStorage) -> None:
    """The read that passes a limit is the last one."""
    form = FormBuilder().file("avatar", bytes(10 * WHOLE_READ_SIZE), filename="x.bin")
    environ = environ_of(form)
    assert ask(handling(Uploader(storage, max_size=WHOLE_READ_SIZE).any()), environ)[0] == "413 Content Too Large"
    assert environ["wsgi.input"].tell() == 2 * WHOLE_READ_SIZE


def test_a_request_without_a_form_is_refused(storage: MemoryStorage) -> None:
    """A GET, for one, has neither a body nor a Content-Type: it does not wait for one."""
    environ = environ_of(AVATAR, REQUEST_METHOD="GET", CONTENT_TYPE=None, CONTENT_LENGTH=None)
    assert ask(handling(Uploader(storage).any()), environ)[0] == "415 Unsupported Media Type"


def test_an_application_may_answer_bit_by_bit(storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """What it returns is handed on as it is, and closed by the server."""
    closed: list[bool] = []

    @receive(single)
    def app(environ: WSGIEnvironment, start_response: StartResponse, avatar: UploadedFile) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return _bits(avatar, closed)

    assert ask(app, environ_of(AVATAR))[2] == b"data"
    assert closed == [True]


def _bits(avatar: UploadedFile, closed: list[bool]) -> Iterator[bytes]:
    try:
        yield from (bytes([bit]) for bit in avatar.read())
    finally:
        closed.append(True)


def test_an_answer_that_was_begun_and_is_refused_is_told_once() -> None:
    """The application calls `start_response`, and raises: gunicorn would send the headers of both answers."""
    said: list[str] = []

    @receive(Uploader(MemoryStorage()).any())
    def app(environ: WSGIEnvironment, start_response: StartResponse, received: Submission) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        raise FileRefused("not after all")

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        said.append(status)

    list(app(environ_of(AVATAR), start))
    assert [status[:3] for status in said] == ["422"]


def test_start_response_keeps_its_promises_while_it_is_held() -> None:
    """Said twice it is an error, unless it is said of one; `write` sends at once; said late it is said at once."""
    said: list[Any] = []

    def start(*args: Any) -> Any:
        said.append(args[0])
        return said.append

    def written(environ: WSGIEnvironment, start_response: StartResponse, received: Submission) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        with pytest.raises(AssertionError):
            start_response("201 Created", [])
        try:
            raise ValueError
        except ValueError:
            assert start_response("202 Accepted", [], sys.exc_info()) == write
        write(b"a")
        write(b"b")
        return [b"c"]

    def late(environ: WSGIEnvironment, start_response: StartResponse, received: Submission) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"d"

    for app in (written, late):
        said.extend(receive(Uploader(MemoryStorage()).any())(app)(environ_of(AVATAR), start))
    assert said == ["202 Accepted", b"a", b"b", b"c", "200 OK", b"d"]
