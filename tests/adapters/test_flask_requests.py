"""`request.form` and `request.files` of Flask on uploadkit: code that knows nothing of it, asked by a test client."""

from __future__ import annotations

import csv
import gc
import io
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Request, Response, abort, request, stream_with_context
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFProtect, generate_csrf
from tests.adapters.expectations import (
    AVATAR,
    MISTAKES,
    MIXED,
    Mistake,
    asks_somebody,
    expect_mistake,
    expect_nothing_left,
)
from werkzeug import exceptions
from werkzeug.datastructures import FileStorage, ImmutableMultiDict
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.test import TestResponse

from uploadkit.adapters.flask import RefusedFile, StoredFile, UploadProblem, receive, request_class
from uploadkit.errors import LimitExceeded, UnsupportedMediaType
from uploadkit.intake.capacity import Capacity
from uploadkit.intake.spec import Spec
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.fields import File, Text
from uploadkit.policy.limits import Limits
from uploadkit.storage.contract import Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder, assert_no_leaks
from uploadkit.uploader import Uploader
from uploadkit.uploads import UploadedFile

UNCHOSEN = FormBuilder().text("title", "Été").file("avatar", b"", filename="").file("photo", b"1", filename="1.bin")


@pytest.fixture
def storage() -> MemoryStorage:
    """Where the application under test stores."""
    return MemoryStorage()


@pytest.fixture
def app(storage: MemoryStorage) -> Flask:
    """An application whose requests are ours; exceptions come out of the client."""
    return app_on(storage)


def app_on(storage: Storage, **rules: Any) -> Flask:
    """The same on another storage, under rules for every file."""
    app = Flask(__name__)
    app.testing = True
    app.request_class = request_class(Uploader(storage, **rules).any())
    return app


def post(app: Flask, form: FormBuilder = AVATAR, path: str = "/", **options: Any) -> TestResponse:
    """What the application answers to a form."""
    return app.test_client().post(path, data=form.body, content_type=form.content_type, **options)


def add(app: Flask, handle: Callable[[], object]) -> None:
    """A view that calls `handle`, and answers."""

    @app.post("/")
    def view() -> str:
        handle()
        return "ok"


def avatar() -> StoredFile:
    """The file in the field `avatar`."""
    file = request.files["avatar"]
    assert isinstance(file, StoredFile)
    return file


@pytest.mark.parametrize("form", [AVATAR, MIXED, UNCHOSEN, FormBuilder()], ids=["one", "mixed", "unchosen", "empty"])
def test_a_view_sees_what_it_sees_of_werkzeug(app: Flask, form: FormBuilder) -> None:
    """The same names, texts and bytes, a file input in which nothing was chosen among them."""
    plain = Flask(__name__)

    def seen() -> dict[str, object]:
        return {
            "form": list(request.form.items(multi=True)),
            "files": sorted(
                [field, file.name, file.filename, bool(file), file.read().decode()]
                for field, file in request.files.items(multi=True)
            ),
            "values": list(request.values.items(multi=True)),
            "rest": request.get_data(as_text=True),
        }

    app.post("/")(seen)
    plain.post("/")(seen)
    answer = post(app, form)
    assert answer.status_code == 200
    assert answer.json == post(plain, form).json


def test_a_url_encoded_form_is_received(app: Flask) -> None:
    """By our parser, under our limits."""
    app.post("/")(lambda: {"form": list(request.form.items(multi=True)), "files": list(request.files)})
    answer = app.test_client().post("/", data={"a": ["1", "é"], "b": ""})
    assert answer.json == {"form": [["a", "1"], ["a", "é"], ["b", ""]], "files": []}


def test_a_file_says_what_its_bytes_show_and_what_is_safe(app: Flask) -> None:
    """The type is the detected one, the name cannot leave a folder; what the client said is there too."""
    form = FormBuilder().file("avatar", b"%PDF-1.7\n", filename="../../cv.pdf", content_type="application/pdf")

    @app.post("/")
    def view() -> dict[str, object]:
        file = avatar()
        said = {"sent": file.uploaded.client_filename, "length": file.content_length}
        return said | {"name": file.filename, "type": file.content_type, "mimetype": file.mimetype}

    assert post(app, form).json == {
        "sent": "../../cv.pdf",
        "length": 9,
        "name": "cv.pdf",
        "type": "application/pdf",
        "mimetype": "application/pdf",
    }


def test_a_file_is_read_like_any_other(app: Flask) -> None:
    """Sought in, line by line, and by what takes a binary file."""
    form = FormBuilder().file("table", b"a,b\r\n1,2\r\n", filename="t.csv")

    @app.post("/")
    def view() -> dict[str, object]:
        file = request.files["table"]
        size = file.seek(0, os.SEEK_END)
        file.seek(2)
        middle = file.read(1).decode()
        file.seek(0)
        lines = len(list(file))
        file.seek(0)
        return {"size": size, "middle": middle, "lines": lines, "rows": list(csv.reader(io.TextIOWrapper(file)))}

    assert post(app, form).json == {"size": 10, "middle": "b", "lines": 2, "rows": [["a", "b"], ["1", "2"]]}


def test_what_was_not_kept_is_gone_when_the_request_ends(app: Flask, storage: MemoryStorage) -> None:
    """As werkzeug's temporary files are; whether the view looked at it or not."""
    add(app, lambda: request.form)
    assert post(app, MIXED).text == "ok"
    expect_nothing_left(storage)


def test_what_was_kept_stays(app: Flask, storage: MemoryStorage) -> None:
    """Alone: the other files of the form are removed."""
    kept: list[UploadedFile] = []
    add(app, lambda: kept.append(avatar().keep()))
    assert post(app, MIXED).text == "ok"
    assert storage.objects == {kept[0].key: b"data"}
    assert kept[0].read() == b"data"


def test_a_file_is_kept_though_it_was_closed(app: Flask, storage: MemoryStorage) -> None:
    """By a text wrapper that was thrown away, for one: it is the end of the request that counts."""

    def handle() -> None:
        io.TextIOWrapper(avatar()).read()
        gc.collect()
        avatar().close()
        assert list(storage.objects.values()) == [b"data"]
        avatar().keep()

    add(app, handle)
    assert post(app).text == "ok"
    assert list(storage.objects.values()) == [b"data"]


def test_a_file_of_a_request_that_ended_is_not_kept_any_more(app: Flask, storage: MemoryStorage) -> None:
    """As by a thread that goes on with it: it is told so, and is given no key without an object."""
    files: list[StoredFile] = []
    add(app, lambda: files.append(avatar()))
    assert post(app).text == "ok"
    with pytest.raises(ValueError, match=r"call keep\(\) before"):
        files[0].keep()
    expect_nothing_left(storage)


def test_a_request_that_asks_for_no_form_leaves_its_body_unread(app: Flask, storage: MemoryStorage) -> None:
    """Nothing is received for a view that does not look."""
    body = io.BytesIO(AVATAR.body)
    add(app, lambda: None)
    assert post(app, environ_overrides={"wsgi.input": body}).text == "ok"
    assert body.tell() == 0
    expect_nothing_left(storage)


def test_what_is_no_form_is_left_to_the_view(app: Flask) -> None:
    """JSON is still there when somebody has looked for a form, as the check of a CSRF token does; so is a GET."""

    @app.route("/", methods=["GET", "POST"])
    def view() -> dict[str, object]:
        looked = [list(request.form), list(request.files)]
        return {"looked": looked, "json": request.get_json(silent=True)}

    assert app.test_client().post("/", json={"a": 1}).json == {"looked": [[], []], "json": {"a": 1}}
    assert app.test_client().get("/").json == {"looked": [[], []], "json": None}


def test_a_form_of_a_body_that_was_read_as_a_whole(app: Flask) -> None:
    """`request.get_data()` keeps what it reads, and the form is read from that."""
    add(app, lambda: (request.get_data(), avatar().keep()))
    assert post(app).text == "ok"


def test_a_body_that_was_taken_is_no_form_any_more(app: Flask, storage: MemoryStorage) -> None:
    """werkzeug shows an empty form; here it is a form that was cut."""
    add(app, lambda: (request.stream.read(), request.form))
    answer = post(app)
    assert (answer.status_code, b"truncated_form" in answer.data) == (400, True)
    expect_nothing_left(storage)


@pytest.mark.parametrize(
    "mistake",
    [each for each in MISTAKES if each.error is not UnsupportedMediaType],  # what is no form is left to the view
    ids=lambda mistake: mistake.name,
)
@pytest.mark.parametrize(
    "look",
    [lambda: request.form, lambda: request.files, lambda: request.values.get("a"), lambda: request.data],
    ids=["form", "files", "values", "data"],
)
def test_an_error_is_answered_with_problem_details(mistake: Mistake, look: Callable[[], object]) -> None:
    """Where the form is first looked at, whatever the view looks at; nothing is stored."""
    storage = mistake.storage()
    app = Flask(__name__)
    app.request_class = request_class(mistake.spec(storage))
    add(app, lambda: (look(), pytest.fail("it was read")))
    answer = app.test_client().post("/", data=mistake.body, content_type=mistake.content_type)
    expect_mistake(mistake, storage, answer.status_code, answer.content_type, answer.data)


@pytest.mark.parametrize("handled", [413, RequestEntityTooLarge, HTTPException, UploadProblem])
def test_handlers_of_the_application_see_an_error(app: Flask, storage: MemoryStorage, handled: Any) -> None:
    """That of the status, of werkzeug's class, of every exception with a status: those that are there already."""
    app.request_class = request_class(Uploader(storage, max_size=3).any())
    add(app, avatar)

    @app.errorhandler(handled)
    def page(problem: UploadProblem) -> ResponseReturnValue:
        assert isinstance(problem.error, LimitExceeded)
        return f"mine: {problem.description} {list(request.form)} {list(request.files)}", 413

    answer = post(app)
    assert (answer.status_code, answer.text) == (413, "mine: the file in field 'avatar' has more than 3 bytes [] []")
    expect_nothing_left(storage)


def test_an_overload_says_when_to_come_again(app: Flask) -> None:
    """Retry-After, as everywhere."""
    full = Capacity(uploads=1, waiting=0)
    app.request_class = request_class(Uploader(MemoryStorage(), capacity=full).any())
    add(app, avatar)
    place = full.admit()
    try:
        answer = post(app)
    finally:
        place.release()
    assert (answer.status_code, answer.headers["Retry-After"].isdigit()) == (503, True)
    assert post(app).text == "ok"


def test_a_status_that_werkzeug_does_not_know_is_answered(app: Flask, storage: MemoryStorage) -> None:
    """499, of a client that went away in the middle of its body."""

    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object, /) -> int:
            raise ConnectionResetError

    add(app, avatar)
    answer = post(app, environ_overrides={"wsgi.input": Broken()})
    assert (answer.status_code, b"client_disconnected" in answer.data) == (499, True)
    expect_nothing_left(storage)


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt()], ids=repr)
def test_a_view_that_raises_loses_its_files(app: Flask, storage: MemoryStorage, error: BaseException) -> None:
    """The exception goes on to Flask as it is."""

    def handle() -> None:
        assert avatar().read() == b"data"
        raise error

    add(app, handle)
    with pytest.raises(type(error)) as raised:
        post(app)
    assert raised.value is error
    expect_nothing_left(storage)


def test_a_view_that_aborts_loses_what_it_has_not_kept(app: Flask, storage: MemoryStorage) -> None:
    """What it has kept is its own."""
    add(app, lambda: (avatar(), abort(409)))
    assert post(app).status_code == 409
    expect_nothing_left(storage)

    app = app_on(storage)
    add(app, lambda: (avatar().keep(), abort(409)))
    assert post(app).status_code == 409
    assert list(storage.objects.values()) == [b"data"]


def test_a_teardown_that_raises_loses_the_files_too(app: Flask, storage: MemoryStorage) -> None:
    """Flask does not close such a request."""
    add(app, avatar)

    @app.teardown_request
    def fails(_: BaseException | None) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        post(app)
    gc.collect()
    expect_nothing_left(storage)


def test_an_async_view_has_its_files(app: Flask, storage: MemoryStorage) -> None:
    """Flask runs it in a loop of its own."""

    @app.post("/")
    async def view() -> bytes:
        return await avatar().uploaded.aread()

    assert post(app).text == "data"
    expect_nothing_left(storage)


def test_a_streamed_answer_may_read_the_file(app: Flask, storage: MemoryStorage) -> None:
    """`stream_with_context` keeps the request, and with it its files, until all is sent."""

    @app.post("/")
    def view() -> Response:
        def lines() -> Iterator[bytes]:
            yield from avatar()

        return Response(stream_with_context(lines()))

    assert post(app).text == "data"
    expect_nothing_left(storage)


def test_receive_works_beside_it(app: Flask, storage: MemoryStorage) -> None:
    """It takes the body itself, under its own spec; its files are the view's."""

    @app.post("/")
    @receive(Uploader(storage).single("avatar"))
    def view(avatar: UploadedFile) -> dict[str, object]:
        return {"size": avatar.size, "form": list(request.form), "files": list(request.files)}

    assert post(app).json == {"size": 4, "form": [], "files": []}
    assert list(storage.objects.values()) == [b"data"]


def test_receive_after_the_form_was_looked_at_is_a_mistake_of_the_program(app: Flask, storage: MemoryStorage) -> None:
    """As under Flask's own request class; nothing is left."""

    @app.before_request
    def looks() -> None:
        assert request.files

    @app.post("/")
    @receive(Uploader(storage).single("avatar"))
    def view(avatar: UploadedFile) -> str:
        pytest.fail("there is no body for both")

    with pytest.raises(RuntimeError, match=r"read before.*receive\(upload\.fields"):
        post(app)
    expect_nothing_left(storage)


@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
def test_receive_is_protected_by_flask_wtf_in_the_view(app: Flask, storage: MemoryStorage, good: bool) -> None:
    """`CSRFProtect` would look at the form before the view: the view is exempt, and asks for the check itself."""
    app.secret_key = "secret"
    csrf = CSRFProtect(app)
    app.get("/")(generate_csrf)

    @app.post("/")
    @receive(Uploader(storage).single("avatar"))
    def view(avatar: UploadedFile) -> str:
        csrf.protect()
        return "ok"

    csrf.exempt(view)
    client = app.test_client()
    token = client.get("/").text if good else "bad"
    form = FormBuilder().file("avatar", b"data", filename="me.bin").text("csrf_token", token)
    answer = client.post("/", data=form.body, content_type=form.content_type)
    assert answer.status_code == (200 if good else 400)
    assert list(storage.objects.values()) == ([b"data"] if good else [])


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_flasks_own_limit_holds_too(app: Flask, storage: MemoryStorage, chunked: bool) -> None:
    """`MAX_CONTENT_LENGTH`, with werkzeug's own error."""
    app.config["MAX_CONTENT_LENGTH"] = 100
    app.register_error_handler(413, lambda error: (type(error).__name__, 413))
    add(app, avatar)
    form = FormBuilder().file("avatar", bytes(200), filename="x")
    environ = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True, "wsgi.input": io.BytesIO(form.body)}
    answer = post(app, form, environ_overrides=environ if chunked else {})
    assert (answer.status_code, answer.text) == (413, "RequestEntityTooLarge")
    expect_nothing_left(storage)


def test_a_limit_of_one_request_holds(app: Flask, storage: MemoryStorage) -> None:
    """`request.max_content_length`, which Flask 3.1 lets a view set."""

    def handle() -> None:
        request.max_content_length = 10
        avatar()

    if vars(Request)["max_content_length"].fset is None:
        pytest.skip("it can be set since Flask 3.1")
    add(app, handle)
    assert post(app).status_code == 413
    expect_nothing_left(storage)


def test_limits_of_werkzeugs_parser_do_not_bind(app: Flask) -> None:
    """`Limits` does."""
    app.config |= {"MAX_FORM_MEMORY_SIZE": 1, "MAX_FORM_PARTS": 1}
    add(app, lambda: request.form["title"])
    assert post(app, MIXED).text == "ok"
    app.request_class = request_class(Uploader(MemoryStorage(), limits=Limits(fields=1)).any())
    assert post(app, MIXED).status_code == 413


def test_the_applications_own_request_class_stays(storage: MemoryStorage) -> None:
    """What it adds, and the kind of mapping that it wants for its forms."""

    class Values(ImmutableMultiDict[str, Any]):
        pass

    class Mine(Request):
        parameter_storage_class = Values

        @property
        def who(self) -> str:
            return "mine"

    app = Flask(__name__)
    app.request_class = request_class(Uploader(storage).any(), base=Mine)

    @app.post("/")
    def view() -> dict[str, object]:
        who: str = request.who  # type: ignore[attr-defined]  # Flask's proxy has the type of Flask's own class
        return {"who": who, "kinds": [type(each).__name__ for each in (request.form, request.files)]}

    assert post(app).json == {"who": "mine", "kinds": ["Values"] * 2}


def test_in_debug_mode_flask_still_explains_a_form_without_its_enctype(app: Flask) -> None:
    """The most frequent mistake in a template: the file input is sent as text."""
    app.debug = True
    add(app, lambda: request.files["avatar"])
    with pytest.raises(KeyError, match="enctype"):
        app.test_client().post("/", data="avatar=me.png", content_type="application/x-www-form-urlencoded")


@pytest.mark.parametrize("position", [0, 2])
@pytest.mark.parametrize("target", [str, Path, lambda path: path.open("wb")], ids=["str", "path", "file"])
@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_save_copies_what_was_not_read(kind: str, target: Callable[[Path], Any], position: int, tmp_path: Path) -> None:
    """To a name or an open file, over what is there, with the rights of any new file; the stored one is not touched."""
    storage = DiskStorage(tmp_path / "uploads") if kind == "disk" else MemoryStorage()
    app = app_on(storage)
    saved = tmp_path / "saved"

    def handle() -> None:
        file = avatar()
        file.seek(position)
        to = target(saved)
        file.save(to)
        if isinstance(to, io.IOBase):
            to.close()
        assert file.uploaded.read() == b"data"

    add(app, handle)
    saved.write_bytes(b"longer than the upload")
    saved.chmod(0o640)
    assert post(app).text == "ok"
    assert saved.read_bytes() == b"data"[position:]
    assert saved.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["saved"]


@pytest.mark.parametrize("cut", [None, 60, -10], ids=["whole", "in the head", "in the file"])
@pytest.mark.parametrize("rules", [{}, {"accept": IMAGES}, {"max_size": 3}], ids=["good", "type", "size"])
@pytest.mark.parametrize("handle", [lambda: avatar().read(2), lambda: (avatar(), 1 / 0)], ids=["reads", "raises"])
def test_nothing_is_left_of_any_end(
    tmp_path: Path, cut: int | None, rules: dict[str, Any], handle: Callable[[], object]
) -> None:
    """On a disk: no object, no staged file, no descriptor, whether the body is whole, cut, refused or badly handled."""
    storage = DiskStorage(tmp_path)
    app = app_on(storage, **rules)
    app.testing = False
    add(app, handle)
    with assert_no_leaks(storage):
        answer = app.test_client().post("/", data=AVATAR.body[:cut], content_type=AVATAR.content_type)
    assert answer.status_code in (200, 400, 413, 415, 500)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


PICTURE = b"\x89PNG\r\n\x1a\n"
REFUSED = (
    FormBuilder()
    .file("photo", PICTURE, filename="1.png")
    .file("avatar", b"just text", filename="2.png")
    .text("title", "Été")
    .file("other", bytes(100), filename="3.png")
)


def showing(storage: Storage, spec: Callable[[Uploader], Spec[object]] | None = None) -> Flask:
    """An application that shows errors in its forms, for pictures of at most 50 bytes."""
    app = Flask(__name__)
    app.testing = True
    upload = Uploader(storage, accept=IMAGES, max_size=50)
    app.request_class = request_class(upload.any() if spec is None else spec(upload), errors_in_form=True)
    return app


def test_a_view_may_show_what_is_wrong_with_a_file(storage: MemoryStorage) -> None:
    """It has the text values, and for each file that was refused one that says why; nothing is stored."""
    app = showing(storage)

    @app.post("/")
    def view() -> dict[str, object]:
        refused = {
            field: [file.reason, file.error.status, repr(file)]
            for field, file in request.files.items()
            if isinstance(file, RefusedFile)
        }
        expect_nothing_left(storage)
        return {"title": request.form["title"], "files": list(request.files), "refused": refused}

    type_error = "file 'avatar' is text/plain, which the field does not accept"
    size_error = "the file in field 'other' has more than 50 bytes"
    assert post(app, REFUSED).json == {
        "title": "Été",
        "files": ["avatar", "other"],
        "refused": {
            "avatar": [type_error, 422, f"<RefusedFile 'avatar': {type_error}>"],
            "other": [size_error, 422, f"<RefusedFile 'other': {size_error}>"],
        },
    }
    expect_nothing_left(storage)


@pytest.mark.parametrize(
    "use",
    [
        bool,
        list,
        lambda file: file.filename,
        lambda file: file.content_type,
        lambda file: file.mimetype,
        lambda file: file.stream,
        lambda file: file.read(),
        lambda file: file.keep(),
        lambda file: file.save("saved"),
    ],
    ids=["bool", "list", "filename", "content_type", "mimetype", "stream", "read", "keep", "save"],
)
def test_whoever_uses_a_refused_file_answers_why(
    use: Callable[[FileStorage], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the status of the refusal: a view that knows of no refusals cannot take it for a file."""
    monkeypatch.chdir(tmp_path)
    app = showing(MemoryStorage())
    add(app, lambda: (use(request.files["avatar"]), pytest.fail("it was used")))
    app.register_error_handler(exceptions.UnsupportedMediaType, lambda problem: (f"mine: {problem.error.code}", 415))
    answer = post(app, FormBuilder().file("avatar", b"just text", filename="2.png"))
    assert (answer.status_code, answer.text) == (415, "mine: invalid_form")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_that_is_shown_keeps_no_request(storage: MemoryStorage) -> None:
    """It goes with its request, and does not wait for the garbage collector; caught as WTForms catches it."""
    app = showing(storage)
    requests: list[weakref.ref[Request]] = []

    @app.post("/")
    def view() -> str:
        requests.append(weakref.ref(request._get_current_object()))  # type: ignore[attr-defined]  # that of the proxy
        try:
            return str(bool(request.files["avatar"]))
        except ValueError as error:
            return str(error.args[0])

    gc.disable()
    try:
        answer = post(app, REFUSED)
        assert answer.text == "file 'avatar' is text/plain, which the field does not accept"
        answer.close()
        assert [ref() for ref in requests] == [None]
    finally:
        gc.enable()


def test_a_good_form_is_as_without_it(storage: MemoryStorage) -> None:
    """Its files are there, and kept."""
    app = showing(storage)
    add(app, lambda: avatar().keep())
    assert post(app, FormBuilder().file("avatar", PICTURE, filename="1.png")).text == "ok"
    assert list(storage.objects.values()) == [PICTURE]


def _many(count: int) -> FormBuilder:
    form = FormBuilder()
    for number in range(count):
        form.file(f"f{number}", b"no", filename="a.png")
    return form


def _texts(upload: Uploader) -> Spec[object]:
    return upload.fields(File("avatar"), Text("title", max_length=2))


@pytest.mark.parametrize(
    ("spec", "form", "error"),
    [
        (_texts, FormBuilder().file("avatar", b"no", filename="a.png").text("title", "long"), "title"),
        (_texts, FormBuilder().file("elsewhere", PICTURE, filename="a.png"), "elsewhere"),
        (None, FormBuilder().file("avatar", b"no", filename="a.png").text("bio", "x" * (1 << 20 | 1)), "bio"),
        (None, FormBuilder().file("avatar", b"no", filename="a.png").text("n" * 2000, "x"), "field_name_size"),
        (None, _many(100), "the form has 100 errors"),
    ],
    ids=["a text", "a field that takes none", "a text that is too large", "a limit of the form", "too many"],
)
def test_what_no_view_would_find_is_raised_at_once(
    storage: MemoryStorage, spec: Callable[[Uploader], Spec[object]] | None, form: FormBuilder, error: str
) -> None:
    """An error that is not of a file, or not of a field, is that of the whole form; so are more than are told."""
    app = showing(storage, spec)
    add(app, lambda: (request.form, pytest.fail("the form is there")))
    answer = post(app, form)
    assert answer.mimetype == "application/problem+json"
    assert error in answer.text
    expect_nothing_left(storage)


def test_a_missing_file_is_shown_too(storage: MemoryStorage) -> None:
    """Where the spec requires it."""
    app = showing(storage, lambda upload: upload.single("avatar"))
    add(app, lambda: (request.form["title"], request.files["avatar"].filename))
    answer = post(app, FormBuilder().text("title", "Été"))
    assert (answer.status_code, answer.get_json(force=True)["detail"]) == (422, "field 'avatar' is missing")


def test_what_cannot_be_read_is_a_mistake_of_the_program(storage: MemoryStorage) -> None:
    """No spec, and an async filter, told when the application is made."""
    with pytest.raises(TypeError, match=r"request_class takes a spec, as in request_class\(upload\.any\(\)\)"):
        request_class(Uploader(storage))  # type: ignore[arg-type]  # a type checker finds it too
    with pytest.raises(TypeError, match="async filter"):
        request_class(Uploader(storage).single("avatar", filter=asks_somebody))


def test_the_form_is_there_outside_of_a_view_too(storage: MemoryStorage) -> None:
    """A request made by hand, and its error."""
    kind = request_class(Uploader(storage, max_size=4).any())
    with kind.from_values(
        method="POST",
        input_stream=io.BytesIO(AVATAR.body),
        content_type=AVATAR.content_type,
        content_length=len(AVATAR.body),
    ) as made:
        assert [file.read() for file in made.files.values()] == [b"data"]
        assert len(storage.objects) == 1
    expect_nothing_left(storage)
    large = AVATAR.body.replace(b"\r\ndata", b"\r\ndata!")
    with (
        kind.from_values(
            method="POST", input_stream=io.BytesIO(large), content_type=AVATAR.content_type, content_length=len(large)
        ) as made,
        pytest.raises(RequestEntityTooLarge),
    ):
        _ = made.form
    expect_nothing_left(storage)
