"""The adapter for Flask, asked by werkzeug's test client."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import pytest
from flask import Blueprint, Flask, Response, abort, request
from flask.typing import ResponseReturnValue
from tests.adapters.expectations import (
    AVATAR,
    HANDED,
    MISTAKES,
    MIXED,
    Handed,
    Mistake,
    asks_somebody,
    expect_mistake,
    expect_nothing_left,
    facts,
)
from werkzeug.exceptions import Conflict
from werkzeug.test import TestResponse

from uploadkit.adapters.flask import receive
from uploadkit.errors import FileRefused, LimitExceeded, SenderError, UploadError
from uploadkit.intake.spec import Spec
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission, UploadedFile

P = ParamSpec("P")


@pytest.fixture
def app() -> Flask:
    """An application whose exceptions come out of the client, as Flask's own testing advises."""
    app = Flask(__name__)
    app.testing = True
    return app


@pytest.fixture
def storage() -> MemoryStorage:
    """Where the application under test stores."""
    return MemoryStorage()


@pytest.fixture
def single(storage: MemoryStorage) -> Spec[UploadedFile]:
    """One file in the field `avatar`."""
    return Uploader(storage).single("avatar")


def post(app: Flask, form: FormBuilder = AVATAR, path: str = "/", **options: Any) -> TestResponse:
    """What the application answers to a form."""
    return app.test_client().post(path, data=form.body, content_type=form.content_type, **options)


def add(
    app: Flask, spec: Spec[Any], handle: Callable[[Any], object] = lambda value: None, *, raise_errors: bool = False
) -> None:
    """A view that lets `handle` see its value, and answers."""

    @app.post("/")
    @receive(spec, raise_errors=raise_errors)
    def view(value: Any) -> str:
        handle(value)
        return "ok"


@pytest.mark.parametrize("handed", HANDED, ids=lambda handed: handed.name)
def test_the_view_is_given_what_the_spec_promises(app: Flask, storage: MemoryStorage, handed: Handed) -> None:
    """As its first argument, whatever the kind of spec."""
    given: list[object] = []
    add(app, handed.spec(Uploader(storage)), lambda value: given.append(facts(value)))
    assert post(app, handed.form).text == "ok"
    assert given == [handed.value]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_an_error_is_answered_with_problem_details(app: Flask, mistake: Mistake) -> None:
    """Status, media type and facts; the view is not called and nothing is stored."""
    storage = mistake.storage()
    add(app, mistake.spec(storage), pytest.fail)
    answer = app.test_client().post("/", data=mistake.body, content_type=mistake.content_type)
    expect_mistake(mistake, storage, answer.status_code, answer.content_type, answer.data)


def test_errors_may_go_to_the_handlers_of_the_application(app: Flask, storage: MemoryStorage) -> None:
    """With `raise_errors`; a handler of a class above the error's is found as for every other exception."""
    add(app, Uploader(storage, max_size=3).any(), raise_errors=True)

    @app.errorhandler(SenderError)
    def refused(error: SenderError) -> ResponseReturnValue:
        return f"mine: {error.code}", error.status

    answer = post(app)
    assert (answer.status_code, answer.text) == (413, "mine: limit_exceeded")
    expect_nothing_left(storage)


def test_errors_may_come_out_of_the_application(app: Flask, storage: MemoryStorage) -> None:
    """With `raise_errors` and no handler: it is an exception like any other."""
    add(app, Uploader(storage, max_size=3).any(), raise_errors=True)
    with pytest.raises(LimitExceeded):
        post(app)
    app.testing = False
    assert post(app).status_code == 500


def test_a_handler_of_the_application_is_not_asked_unless_it_is_wanted(app: Flask, storage: MemoryStorage) -> None:
    """Without `raise_errors` the answer is the problem, whatever else the application does with errors."""
    add(app, Uploader(storage, max_size=3).any())
    app.register_error_handler(UploadError, lambda error: pytest.fail("asked"))
    assert post(app).mimetype == "application/problem+json"


def test_an_async_view_is_given_its_file(app: Flask, single: Spec[UploadedFile]) -> None:
    """Flask runs it in a loop of its own; `request` is there as in every view."""

    @app.post("/<name>")
    @receive(single)
    async def view(avatar: UploadedFile, name: str) -> str:
        await asyncio.sleep(0)
        return f"{name} {request.method} {(await avatar.aread()).decode()}"

    assert post(app, path="/me").text == "me POST data"


def test_an_async_view_that_raises_loses_its_files(
    app: Flask, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """The exception comes out of its loop as it was."""

    @app.post("/")
    @receive(single)
    async def view(avatar: UploadedFile) -> str:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        post(app)
    expect_nothing_left(storage)


def test_an_async_filter_is_a_mistake_of_the_program(storage: MemoryStorage) -> None:
    """It is told when the view is decorated, not at the first upload; an async view changes nothing about it."""
    with pytest.raises(TypeError, match="async filter"):
        receive(Uploader(storage).single("avatar", filter=asks_somebody))


def test_parts_of_the_path_come_after_the_file(app: Flask, single: Spec[UploadedFile]) -> None:
    """As keywords, as Flask gives them."""

    @app.put("/<int:number>/<path:rest>")
    @receive(single)
    def view(avatar: UploadedFile, rest: str, number: int) -> dict[str, object]:
        return {"number": number, "rest": rest, "size": avatar.size}

    answer = app.test_client().put("/7/a/b", data=AVATAR.body, content_type=AVATAR.content_type)
    assert answer.json == {"number": 7, "rest": "a/b", "size": 4}


def test_the_form_holds_the_texts(app: Flask, storage: MemoryStorage) -> None:
    """Repeated names too; `request.files` is empty, and nothing is read a second time."""

    @app.post("/")
    @receive(Uploader(storage).any())
    def view(submission: Submission) -> dict[str, object]:
        return {
            "title": request.form["title"],
            "tags": request.form.getlist("tag"),
            "values": request.values["title"],
            "files": list(request.files),
            "data": request.get_data(as_text=True),
        }

    assert post(app, MIXED).json == {
        "title": "Été",
        "tags": ["new", "blue"],
        "values": "Été",
        "files": [],
        "data": "",
    }


def test_a_blueprint_is_like_an_application(app: Flask, storage: MemoryStorage) -> None:
    """Its views and its own error handlers."""
    pages = Blueprint("pages", __name__, url_prefix="/pages")

    @pages.post("/<name>")
    @receive(Uploader(storage, max_size=4).single("avatar"), raise_errors=True)
    def view(avatar: UploadedFile, name: str) -> str:
        return f"{name}: {avatar.filename}"

    @pages.errorhandler(UploadError)
    def refused(error: UploadError) -> ResponseReturnValue:
        return "refused by the blueprint", error.status

    app.register_blueprint(pages)
    assert post(app, path="/pages/one").text == "one: me.bin"
    large = FormBuilder().file("avatar", b"12345", filename="x")
    assert post(app, large, "/pages/one").text == "refused by the blueprint"


@pytest.mark.parametrize(
    "touch",
    [
        lambda: request.form,
        lambda: request.files,
        lambda: request.values.get("a"),
        lambda: request.data,
        lambda: request.get_data(),
    ],
    ids=["form", "files", "values", "data", "get_data"],
)
def test_a_body_that_was_read_before_is_a_mistake_of_the_program(
    app: Flask, single: Spec[UploadedFile], touch: Callable[[], object]
) -> None:
    """By a `before_request`, for one. The client is not to blame, and the message says what to do."""
    add(app, single, pytest.fail)

    @app.before_request
    def reads() -> None:
        touch()

    with pytest.raises(RuntimeError, match=r"read before.*receive\(upload\.fields"):
        post(app)


def test_a_second_receive_is_a_mistake_of_the_program(
    app: Flask, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """The first one has the body; its files are removed."""

    @app.post("/")
    @receive(single)
    @receive(Uploader(storage).single("gallery"))
    def view(gallery: UploadedFile, avatar: UploadedFile) -> str:
        pytest.fail("there is no body for both")

    with pytest.raises(RuntimeError, match=r"receive\(upload\.fields"):
        post(app)
    expect_nothing_left(storage)


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt()], ids=repr)
def test_a_view_that_raises_loses_its_files(
    app: Flask, storage: MemoryStorage, single: Spec[UploadedFile], error: BaseException
) -> None:
    """The exception goes on to Flask as it is."""

    def refuse(avatar: UploadedFile) -> None:
        assert avatar.read() == b"data"
        raise error

    add(app, single, refuse)
    with pytest.raises(type(error)) as raised:
        post(app)
    assert raised.value is error
    expect_nothing_left(storage)


def test_a_view_that_aborts_loses_its_files(app: Flask, storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """`abort()` is an exception: the answer is Flask's, or that of a handler for its status."""
    add(app, single, lambda avatar: abort(400 if avatar.size else 500))
    assert post(app).status_code == 400
    expect_nothing_left(storage)

    app = Flask(__name__)
    add(app, single, lambda avatar: abort(409))
    app.register_error_handler(Conflict, lambda error: ("somebody else was first", 409))
    assert post(app).text == "somebody else was first"
    expect_nothing_left(storage)


def test_a_returned_refusal_keeps_the_files_unless_it_discards_them(
    app: Flask, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """The library looks at no status: a view that answers has handled its files, or takes them back."""

    @app.post("/<end>")
    @receive(single)
    def view(avatar: UploadedFile, end: str) -> ResponseReturnValue:
        if end == "discard":
            avatar.discard()
        return "no", 400

    assert post(app, path="/keep").status_code == 400
    assert list(storage.objects.values()) == [b"data"]
    assert post(app, path="/discard").status_code == 400
    assert list(storage.objects.values()) == [b"data"]


def test_files_may_be_kept_where_the_view_raises(app: Flask, storage: MemoryStorage) -> None:
    """`on_error="keep"` leaves them."""
    add(app, Uploader(storage, on_error="keep").single("avatar"), lambda avatar: abort(500))
    assert post(app).status_code == 500
    assert list(storage.objects.values()) == [b"data"]


def test_a_view_may_refuse_by_an_upload_error(app: Flask, storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """It is answered as the library's own are, and the files are removed."""

    def refuse(avatar: UploadedFile) -> None:
        raise FileRefused("not on a Sunday", field=avatar.field, filter="calendar")

    add(app, single, refuse)
    answer = post(app)
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert answer.get_json(force=True)["detail"] == "not on a Sunday"
    expect_nothing_left(storage)


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_read(app: Flask, storage: MemoryStorage) -> None:
    """By its Content-Length alone."""
    body = io.BytesIO(AVATAR.body)
    add(app, Uploader(storage, limits=Limits(body_size=10)).any(), pytest.fail)
    answer = post(app, environ_overrides={"wsgi.input": body, "CONTENT_LENGTH": str(len(AVATAR.body))})
    assert (answer.status_code, answer.get_json(force=True)["seen"]) == (413, len(AVATAR.body))
    assert body.tell() == 0


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_flasks_own_limit_is_answered_by_flask(
    app: Flask, storage: MemoryStorage, single: Spec[UploadedFile], chunked: bool
) -> None:
    """`MAX_CONTENT_LENGTH` holds beside the limits of the library, and its error is Flask's: 413 by its handlers."""
    add(app, single, pytest.fail)
    app.config["MAX_CONTENT_LENGTH"] = 100
    app.register_error_handler(413, lambda error: (f"mine: {type(error).__name__}", 413))
    form = FormBuilder().file("avatar", bytes(200), filename="x")
    environ = environ_without_length(form) if chunked else {}
    answer = post(app, form, environ_overrides=environ)
    assert (answer.status_code, answer.text) == (413, "mine: RequestEntityTooLarge")
    expect_nothing_left(storage)


def test_flasks_limits_of_forms_do_not_bind(app: Flask, storage: MemoryStorage) -> None:
    """`MAX_FORM_MEMORY_SIZE` and `MAX_FORM_PARTS` bound what werkzeug's parser takes; here `Limits` does."""
    app.config |= {"MAX_FORM_MEMORY_SIZE": 1, "MAX_FORM_PARTS": 1}
    add(app, Uploader(storage).any())
    assert post(app, MIXED).text == "ok"


def test_a_chunked_body_is_received(app: Flask, storage: MemoryStorage, single: Spec[UploadedFile]) -> None:
    """Where the server ends the input itself."""
    add(app, single)
    assert post(app, environ_overrides=environ_without_length(AVATAR)).text == "ok"
    assert list(storage.objects.values()) == [b"data"]


def test_a_body_that_is_shorter_than_its_length_is_truncated(
    app: Flask, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """The client half-closed: it may still read why."""
    add(app, single, pytest.fail)
    answer = post(app, environ_overrides={"CONTENT_LENGTH": str(len(AVATAR.body) + 1)})
    assert (answer.status_code, b"truncated_form" in answer.data) == (400, True)
    expect_nothing_left(storage)


def test_a_connection_that_breaks_leaves_nothing(
    app: Flask, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """The server's OSError is a client that went away, and no error of the service."""

    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1, /) -> bytes:
            raise ConnectionResetError

        def readinto(self, buffer: object, /) -> int:
            raise ConnectionResetError

    add(app, single, pytest.fail)
    assert post(app, environ_overrides={"wsgi.input": Broken()}).status_code == 499
    expect_nothing_left(storage)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_request_without_a_form_is_refused(app: Flask, single: Spec[UploadedFile], method: str) -> None:
    """It does not wait for a body that nobody announced: 415, whatever the method."""

    @app.route("/", methods=["GET", "POST"])
    @receive(single)
    def view(avatar: UploadedFile) -> str:
        pytest.fail("there is no file")

    answer = app.test_client().open("/", method=method)
    assert (answer.status_code, answer.mimetype) == (415, "application/problem+json")


def test_flask_answers_what_needs_no_view(app: Flask, single: Spec[UploadedFile]) -> None:
    """OPTIONS and a method that the route does not have."""
    add(app, single, pytest.fail)
    assert app.test_client().options("/").status_code == 200
    assert app.test_client().get("/").status_code == 405


def test_a_decorator_above_turns_away_before_anything_is_stored(
    app: Flask, storage: MemoryStorage, single: Spec[UploadedFile]
) -> None:
    """As a login does: the upload is not read. Below it may add arguments of its own after the file."""

    @app.post("/above")
    @logged_in
    @receive(single)
    def above(avatar: UploadedFile) -> str:
        return avatar.filename

    @app.post("/below")
    @receive(single)
    @logged_in
    def below(avatar: UploadedFile) -> str:
        return avatar.filename

    assert post(app, path="/above").status_code == 401
    expect_nothing_left(storage)
    assert post(app, path="/below").status_code == 401
    expect_nothing_left(storage)
    member = {"Authorization": "me"}
    assert post(app, path="/above", headers=member).text == "me.bin"
    assert post(app, path="/below", headers=member).text == "me.bin"
    assert (above.__name__, below.__name__) == ("above", "below")


def logged_in(view: Callable[P, str]) -> Callable[P, str]:
    """A decorator as many applications have it."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> str:
        if "Authorization" not in request.headers:
            abort(401)
        return view(*args, **kwargs)

    return guarded


def environ_without_length(form: FormBuilder) -> dict[str, Any]:
    """What a server gives for a chunked body."""
    return {"CONTENT_LENGTH": "", "wsgi.input_terminated": True, "wsgi.input": io.BytesIO(form.body)}


@pytest.mark.parametrize("ends_input", [True, False], ids=["an input that ends", "an input that does not end"])
def test_nobody_reads_on_behind_a_refusal(app: Flask, single: Spec[UploadedFile], ends_input: bool) -> None:
    """What looks at the form after an error, as an error reporter does, finds none, and waits for no byte."""

    class Endless(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            assert data or ends_input, "a server would wait for its client here"
            return data

    add(app, single, pytest.fail)
    seen: list[object] = []

    @app.after_request
    def look(response: Response) -> Response:
        seen.append((list(request.form), list(request.files), request.get_data()))
        return response

    form = FormBuilder().text("only", "text")
    answer = post(app, form, environ_overrides={"wsgi.input": Endless(form.body)})
    assert answer.status_code == 422
    assert seen == [([], [], b"")]
