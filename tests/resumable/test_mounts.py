"""Resumable uploads under the frameworks in which they are mounted: addresses, owners, errors, and what is their own.

Over real sockets they are held by tests/examples/test_resumable.py.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from wsgiref import validate
from wsgiref.handlers import SimpleHandler
from wsgiref.util import setup_testing_defaults

import django.test
import flask
import pytest
from django.core.asgi import get_asgi_application
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import include, path
from fastapi import FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from tests.adapters.asgi_client import ask as ask_asgi
from tests.adapters.django_project import CSRF, PROJECT, READS_BODY

from uploadkit import DiskStorage, IncomingFile, UploadedFile, Uploader
from uploadkit.adapters import django as django_adapter
from uploadkit.errors import FileRefused, MalformedUpload, UploadGone
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.resumable import Answer, ResumableApp, ResumableUploads, ResumableWSGIApp
from uploadkit.resumable.django import resumable_urls
from uploadkit.resumable.flask import resumable_blueprint

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

OFFSET_TYPE = "application/offset+octet-stream"


@dataclass
class Told:
    """An answer. The names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> object:
        return json.loads(self.body)["code"]


Client = Callable[..., Told]
"""Sends a request: method, path, body and headers."""


@dataclass
class Place:
    """Where uploads are kept in a test, and what its handler has seen."""

    folder: Path
    pipeline: Pipeline
    upload: Uploader
    seen: list[bytes]

    def uploads(self, **options: Any) -> ResumableUploads:
        options.setdefault("handler", self._see)
        return ResumableUploads(self.upload.single("file"), **options)

    def _see(self, file: UploadedFile) -> None:
        with file.open() as stored:
            self.seen.append(stored.read())

    def kept(self) -> list[Path]:
        return [each for each in self.folder.rglob("*") if each.is_file()]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A ledger and a storage of its own."""
    monkeypatch.setattr(validate, "check_content_type", lambda *_: None)  # it wants one for an empty body
    ledger, folder = Ledger(f"sqlite:///{tmp_path}/uploads.db"), tmp_path / "files"
    pipeline = Pipeline(ledger)
    yield Place(folder, pipeline, Uploader(DiskStorage(folder), pipeline=pipeline), [])
    ledger.close()


def in_two_requests(client: Client, at: str = "/files", **headers: str) -> str:
    """A small upload, in the manner of tus. Where it is."""
    created = client("POST", f"{at}/", b"", Upload_Length="6", **headers)
    assert created.status == 201, created
    where = created.headers["location"]
    first = client("PATCH", where, b"abc", Upload_Offset="0", Content_Type=OFFSET_TYPE, **headers)
    assert (first.status, first.headers["upload-offset"]) == (204, "3")
    head = client("HEAD", where, b"", **headers)
    assert (head.status, head.headers["upload-offset"], head.body) == (200, "3", b"")
    last = client("PATCH", where, b"def", Upload_Offset="3", Content_Type=OFFSET_TYPE, **headers)
    assert (last.status, last.headers["upload-offset"]) == (204, "6")
    assert "content-type" not in last.headers
    return where


def over_asgi(app: Any, *, root_path: str = "") -> Client:
    """Asks an ASGI application."""

    def client(method: str, path: str, body: bytes, **headers: str) -> Told:
        raw = [(name.encode().lower(), value.encode()) for name, value in _names(headers, body).items()]
        answer = ask_asgi(app, method=method, path=path, root_path=root_path, headers=raw, chunks=[body])
        assert not answer.unfinished
        pairs = [(name.decode(), value.decode()) for name, value in answer.messages[0]["headers"]]
        return Told(answer.status, _once(pairs), answer.body)

    return client


def over_wsgi(app: WSGIApplication, *, script_name: str = "", validates: bool = True) -> Client:
    """Asks a WSGI application, under the validator of PEP 3333."""

    def client(method: str, path: str, body: bytes, **headers: str) -> Told:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": script_name.encode().decode("latin-1"),
            "PATH_INFO": path.encode().decode("latin-1"),
            "QUERY_STRING": "",
            "wsgi.input": io.BytesIO(body),
        }
        setup_testing_defaults(environ)
        for name, value in _names(headers, body).items():
            plain = name.upper().replace("-", "_")
            environ[plain if plain.startswith("CONTENT_") else f"HTTP_{plain}"] = value
        output = io.BytesIO()
        handler = _Handler(environ["wsgi.input"], output, io.StringIO(), environ)
        handler.run(validate.validator(app) if validates else app)
        head, _, content = output.getvalue().partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        return Told(int(status.split()[1]), _once(pairs), content)

    return client


class _Handler(SimpleHandler):
    origin_server = False

    def handle_error(self) -> None:
        raise  # called where an exception is handled


def _names(headers: dict[str, str], body: bytes) -> dict[str, str]:
    return {"Content-Length": str(len(body))} | _spoken(headers)


def _spoken(headers: dict[str, str]) -> dict[str, str]:
    """Those of tus, where they are not the IETF's."""
    tus = {} if "Upload_Complete" in headers else {"Tus-Resumable": "1.0.0"}
    return tus | {name.replace("_", "-"): value for name, value in headers.items()}


def _once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """By their names in lower case, each of which is there once."""
    told = {name.lower(): value for name, value in pairs}
    assert len(told) == len(pairs), pairs
    return told


# Addresses


@pytest.mark.parametrize("at", ["", "/media/files", "/médias"])
def test_plain_wsgi_knows_where_it_is_mounted(place: Place, at: str) -> None:
    """Below a SCRIPT_NAME, of which the Location is the beginning, as an address is written."""
    client = over_wsgi(ResumableWSGIApp(place.uploads()), script_name=at)
    created = client("POST", "/", b"", Upload_Length="6")
    assert created.headers["location"].isascii()
    assert created.headers["location"].rpartition("/")[0] == at.replace("é", "%C3%A9")
    upload = created.headers["location"].rpartition("/")[2]
    assert client("HEAD", f"/{upload}", b"").headers["upload-length"] == "6"


@pytest.mark.parametrize("at", ["", "/media/files", "/médias"])
def test_plain_asgi_knows_where_it_is_mounted(place: Place, at: str) -> None:
    """By the `root_path` of a server, which is in the path as well."""
    client = over_asgi(ResumableApp(place.uploads()), root_path=at)
    created = client("POST", f"{at}/", b"", Upload_Length="6")
    assert created.headers["location"].rpartition("/")[0] == at.replace("é", "%C3%A9")
    upload = created.headers["location"].rpartition("/")[2]
    assert client("HEAD", f"{at}/{upload}", b"").headers["upload-length"] == "6"


def test_starlette_mounts_it_below_other_mounts(place: Place) -> None:
    """The address of an upload has all of their paths."""
    app = Starlette(routes=[Mount("/a", routes=[Mount("/b", ResumableApp(place.uploads()))])])
    where = in_two_requests(over_asgi(app), "/a/b")
    assert where.startswith("/a/b/")
    assert place.seen == [b"abcdef"]


@pytest.mark.parametrize("stripped", [True, False])
def test_fastapi_mounts_it_behind_a_proxy(place: Place, stripped: bool) -> None:
    """That has taken off the path which `root_path` names: uvicorn puts it back, and other servers do not. The Location
    has it, which is the client's way."""
    app = FastAPI()
    app.mount("/files", ResumableApp(place.uploads()))
    inner = over_asgi(app, root_path="/api")

    def client(method: str, path: str, body: bytes, **headers: str) -> Told:
        return inner(method, path.removeprefix("/api") if stripped else path, body, **headers)

    where = in_two_requests(client, "/api/files")
    assert where.startswith("/api/files/")
    assert place.seen == [b"abcdef"]


def test_an_upload_in_plain_wsgi_is_whole(place: Place) -> None:
    """By the same steps as everywhere."""
    in_two_requests(over_wsgi(ResumableWSGIApp(place.uploads())), "")
    assert place.seen == [b"abcdef"]
    assert len(place.kept()) == 1


@pytest.mark.parametrize("at", ["/files", "/files/"])
def test_flask_takes_it_with_and_without_a_slash(place: Place, at: str) -> None:
    """No redirect, which a client might follow without the body. Below where the application is itself."""
    app = flask.Flask(__name__)
    app.register_blueprint(resumable_blueprint(place.uploads()), url_prefix="/files")
    client = over_wsgi(app, script_name="/shop")
    created = client("POST", at, b"", Upload_Length="6")
    assert created.headers["location"].startswith("/shop/files/")
    where = created.headers["location"].removeprefix("/shop")
    assert client("HEAD", where, b"").headers["upload-offset"] == "0"
    assert client("GET", where, b"").status == 405


# Owners


def test_flask_knows_its_owner_by_the_session_and_asks_its_hooks(place: Place) -> None:
    """What is done before every request is done before these; another owner finds nothing."""
    app = flask.Flask(__name__)
    app.secret_key = "of no use"

    @app.before_request
    def hook() -> None:
        flask.session["user"] = flask.request.headers.get("X-User")

    def owner(request: flask.Request) -> str:
        user: str = flask.session["user"]
        assert request.headers["X-User"] == user
        return user or flask.abort(401)

    app.register_blueprint(resumable_blueprint(place.uploads(), owner=owner), url_prefix="/files")
    client = over_wsgi(app)
    where = in_two_requests(client, X_User="ada")
    assert client("HEAD", where, b"", X_User="grace").status == 404
    assert client("POST", "/files/", b"", X_User="", Upload_Length="6").status == 401
    assert place.pipeline.ledger.get(where.rpartition("/")[2]).owner == "ada"


def test_starlette_asks_an_async_owner_and_answers_what_it_raises(place: Place) -> None:
    """Its own `HTTPException`, by its own handlers; an `UploadError` with problem details."""

    async def owner(scope: Any) -> str:
        await asyncio.sleep(0)
        user: str = Request(scope).headers["x-user"]
        if user == "nobody":
            raise HTTPException(401)
        if user == "gone":
            raise UploadGone("this user is gone")
        return user

    app = FastAPI()
    app.mount("/files", ResumableApp(place.uploads(), owner=owner))
    client = over_asgi(app)
    where = in_two_requests(client, X_User="ada")
    assert client("HEAD", where, b"", X_User="grace").status == 404
    assert client("POST", "/files/", b"", X_User="nobody", Upload_Length="6").status == 401
    gone = client("POST", "/files/", b"", X_User="gone", Upload_Length="6")
    assert (gone.status, gone.code) == (410, "upload_gone")
    assert client("OPTIONS", "/files/", b"", X_User="nobody").status == 204


def test_plain_wsgi_answers_an_upload_error_of_the_owner(place: Place) -> None:
    """With problem details; nothing else is caught."""

    def owner(environ: dict[str, Any]) -> str:
        raise UploadGone("this user is gone") if environ.get("HTTP_X_USER") else LookupError("the application's own")

    client = over_wsgi(ResumableWSGIApp(place.uploads(), owner=owner))
    assert client("POST", "/", b"", X_User="gone", Upload_Length="6").code == "upload_gone"
    with pytest.raises(LookupError):
        client("POST", "/", b"", Upload_Length="6")


# Django


def django_client(client: django.test.Client) -> Client:
    """Asks the project."""

    def asked(method: str, path: str, body: bytes, **headers: str) -> Told:
        names = _spoken(headers)
        content_type = names.pop("Content-Type", "")
        answer = client.generic(method, path, body, content_type, headers=names)
        return Told(answer.status_code, {name.lower(): value for name, value in answer.items()}, answer.content)

    return asked


urlpatterns: list[Any] = []


@pytest.fixture
def project(place: Place) -> Iterator[Callable[..., Client]]:
    """A project with the protection against CSRF, and a client that sends no token."""

    def of(**options: Any) -> Client:
        uploads = place.uploads(**{name: options.pop(name) for name in ("handler",) if name in options})
        urlpatterns[:] = [path("files/", include(resumable_urls(uploads, **options)))]
        return django_client(django.test.Client(enforce_csrf_checks=True, raise_request_exception=False))

    with django.test.override_settings(**PROJECT, ROOT_URLCONF=__name__, MIDDLEWARE=[CSRF]):
        yield of
        urlpatterns.clear()


def test_django_needs_no_token_against_csrf(place: Place, project: Callable[..., Client]) -> None:
    """What a form of another site can send is refused by the protocol: it has none of its headers."""
    client = project()
    in_two_requests(client)
    assert place.seen == [b"abcdef"]
    forged = django.test.Client().post("/files/", {"file": io.BytesIO(b"abc")})
    assert forged.status_code == 412
    assert len(place.kept()) == 1


def test_django_knows_its_owner_by_the_request(place: Place, project: Callable[..., Client]) -> None:
    """And answers what that raises itself."""

    def owner(request: HttpRequest) -> str:
        if "X-User" not in request.headers:
            raise PermissionDenied
        return request.headers["X-User"]

    client = project(owner=owner)
    where = in_two_requests(client, X_User="ada")
    assert client("HEAD", where, b"", X_User="grace").status == 404
    assert client("POST", "/files/", b"", Upload_Length="6").status == 403
    assert place.pipeline.ledger.get(where.rpartition("/")[2]).owner == "ada"


@pytest.mark.parametrize("what", ["owner", "handler"])
def test_django_has_an_async_view_where_anything_is_async(
    place: Place, project: Callable[..., Client], what: str
) -> None:
    """It is awaited, under WSGI as well."""
    asked: list[object] = []

    async def awaited(of: object) -> str:
        await asyncio.sleep(0)
        asked.append(of)
        return "ada"

    in_two_requests(project(**{what: awaited}))
    assert asked
    assert len(place.kept()) == 1


def test_a_sync_owner_of_an_async_view_is_asked_in_a_thread(place: Place, project: Callable[..., Client]) -> None:
    """Django allows nobody to ask its database in an event loop."""

    def owner(request: HttpRequest) -> str:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return "ada"

    async def handler(file: UploadedFile) -> None: ...

    in_two_requests(project(owner=owner, handler=handler))


def test_django_takes_what_a_middleware_has_read(place: Place, project: Callable[..., Client]) -> None:
    """A middleware that looks into every body has this one in memory; the upload has it too."""
    client = project()
    with django.test.override_settings(MIDDLEWARE=[READS_BODY]):
        in_two_requests(client)
    assert place.seen == [b"abcdef"]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "streamed"])
def test_django_under_asgi(place: Place, project: Callable[..., Client], is_async: bool, wrapped: bool) -> None:
    """Both kinds of view, with Django's own way to take a body and with ours, by which it comes while it arrives."""

    async def owner(request: HttpRequest) -> str:
        return "ada"

    project(owner=owner if is_async else lambda request: "ada")
    app = get_asgi_application()
    client = over_asgi(django_adapter.asgi(app) if wrapped else app)
    in_two_requests(client)
    assert place.seen == [b"abcdef"]
    where = client("POST", "/files/", b"", Upload_Length="6").headers["location"]
    refused = client("PATCH", where, b"abcdefg", Upload_Offset="0", Content_Type=OFFSET_TYPE)
    assert (refused.status, refused.code) == (413, "limit_exceeded")
    assert client("PATCH", where, b"abc", Upload_Offset="1", Content_Type=OFFSET_TYPE).code == "offset_conflict"


# What is sent


def test_flask_takes_what_a_hook_has_read(place: Place) -> None:
    """As one that checks a signature: the upload has it too."""
    app = flask.Flask(__name__)

    @app.before_request
    def read() -> None:
        flask.request.get_data()

    app.register_blueprint(resumable_blueprint(place.uploads()), url_prefix="/files")
    in_two_requests(over_wsgi(app))
    assert place.seen == [b"abcdef"]


def test_flasks_own_limit_holds_for_each_request(place: Place) -> None:
    """What is larger is refused by Flask, and the upload is as it was."""
    app = flask.Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 4
    app.register_blueprint(resumable_blueprint(place.uploads()), url_prefix="/files")
    client = over_wsgi(app, validates=False)
    where = in_two_requests(client)
    where = client("POST", "/files/", b"", Upload_Length="6").headers["location"]
    assert client("PATCH", where, b"abcdef", Upload_Offset="0", Content_Type=OFFSET_TYPE).status == 413
    assert client("HEAD", where, b"").headers["upload-offset"] == "0"


def test_a_body_that_ends_early_is_kept_as_far_as_it_came(place: Place) -> None:
    """WSGI has no other word for a client that is gone than an end before the Content-Length."""
    client = over_wsgi(ResumableWSGIApp(place.uploads()))
    where = client("POST", "/", b"", Upload_Length="6").headers["location"]
    cut = client("PATCH", where, b"abc", Upload_Offset="0", Content_Type=OFFSET_TYPE, Content_Length="6")
    assert (cut.status, cut.code) == (499, "client_disconnected")
    assert client("HEAD", where, b"").headers["upload-offset"] == "3"


def flask_at_files(uploads: ResumableUploads) -> Client:
    app = flask.Flask(__name__)
    app.register_blueprint(resumable_blueprint(uploads), url_prefix="/files")
    return over_wsgi(app, script_name="", validates=False)


@pytest.mark.parametrize("mounted", ["plain", "flask"])
def test_a_body_whose_end_the_server_does_not_find_is_411(mounted: str, place: Place) -> None:
    """PEP 3333 leaves chunks to the application there. Nothing is read, and that is not taken for all of a file."""
    uploads = place.uploads()
    if mounted == "plain":
        client, at = over_wsgi(ResumableWSGIApp(uploads), validates=False), "/"
    else:
        client, at = flask_at_files(uploads), "/files/"
    chunked: dict[str, str] = {"Transfer_Encoding": "chunked", "Content_Length": "", "Upload_Complete": "?1"}
    answer = client("POST", at, b"5\r\nhello\r\n0\r\n\r\n", Upload_Draft_Interop_Version="8", **chunked)
    assert (answer.status, answer.code) == (411, "malformed_upload")
    assert place.seen == []
    assert place.pipeline.ledger.find(limit=1) == []


def test_an_answer_to_head_has_no_body(place: Place) -> None:
    client = over_wsgi(ResumableWSGIApp(place.uploads()), validates=False)
    assert [client("HEAD", path, b"").body for path in ("/", "/unknown")] == [b"", b""]


# Errors


def test_what_the_handler_raises_is_answered_by_the_application(place: Place) -> None:
    """And nothing is left of the upload."""

    def handler(file: UploadedFile) -> None:
        raise HTTPException(402)

    app = FastAPI()
    app.mount("/files", ResumableApp(place.uploads(handler=handler)))
    client = over_asgi(app)
    where = client("POST", "/files/", b"", Upload_Length="6").headers["location"]
    answer = client("PATCH", where, b"abcdef", Upload_Offset="0", Content_Type=OFFSET_TYPE)
    assert answer.status == 402
    assert client("HEAD", where, b"").status == 410
    assert place.kept() == []


def test_a_page_of_another_origin_is_let_in_where_it_is_named(place: Place) -> None:
    """The preflight asks no owner: it has no cookie and no token."""

    def owner(environ: dict[str, Any]) -> str:
        raise AssertionError("nobody asks")

    app = ResumableWSGIApp(place.uploads(), owner=owner, allow_origins=["https://example.org"])
    client, asking = over_wsgi(app), {"Access_Control_Request_Method": "PATCH"}
    allowed = client("OPTIONS", "/", b"", Origin="https://example.org", **asking)
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (204, "https://example.org")
    assert "access-control-allow-credentials" not in allowed.headers
    other = client("OPTIONS", "/", b"", Origin="https://example.com", **asking)
    assert "access-control-allow-origin" not in other.headers


def test_an_answer_of_the_handler_has_each_header_once(place: Place, project: Callable[..., Client]) -> None:
    """Its type, too, however that is spelled; a framework has one of its own for answers that say none."""
    own = {"content-type": "application/json", "content-length": "7", "access-control-allow-origin": "*"}

    def handler(file: UploadedFile) -> Answer:
        return Answer(status=201, headers=own, body=b"{}")

    uploads = place.uploads(handler=handler)
    options: dict[str, Any] = {"allow_origins": ["https://example.org"]}
    app = flask.Flask(__name__)
    app.register_blueprint(resumable_blueprint(uploads, **options), url_prefix="/files")
    sent = {"Upload_Draft_Interop_Version": "8", "Upload_Complete": "?1", "Origin": "https://example.org"}
    mounted = Starlette(routes=[Mount("/files", ResumableApp(uploads, **options))])
    for client in (over_asgi(mounted), over_wsgi(app, validates=False), project(handler=handler, **options)):
        answer = client("POST", "/files/", b"abc", **sent)
        assert (answer.status, answer.body) == (201, b"{}")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-length"] == "2"
        assert answer.headers["access-control-allow-origin"] == "https://example.org"


@pytest.fixture(params=["asgi", "wsgi", "flask", "django", "django-async"])
def shared(request: pytest.FixtureRequest, place: Place, project: Callable[..., Client]) -> Callable[[Any], Client]:
    """Uploads that pages of https://example.org may make, at /files/, under each face, with an owner."""

    def of(owner: Callable[[object], Any]) -> Client:
        options: dict[str, Any] = {"owner": owner, "allow_origins": ["https://example.org"]}
        if request.param == "asgi":
            return over_asgi(Starlette(routes=[Mount("/files", ResumableApp(place.uploads(), **options))]))
        if request.param == "wsgi":
            return over_wsgi(ResumableWSGIApp(place.uploads(), **options), validates=False)
        if request.param == "flask":
            app = flask.Flask(__name__)
            app.register_blueprint(resumable_blueprint(place.uploads(), **options), url_prefix="/files")
            app.testing = True
            return over_wsgi(app, validates=False)
        if request.param == "django-async":
            options["handler"] = _async
        return project(**options)

    return of


def test_a_page_of_another_origin_reads_why_it_was_refused(shared: Callable[[Any], Client]) -> None:
    """Also where nobody has asked for an upload yet: by the owner, and for a header that cannot be read."""

    def owner(of: object) -> str:
        raise MalformedUpload("who are you?", status=401)

    client = shared(owner)
    for refused in (
        client("POST", "/files/", b"", Origin="https://example.org", Upload_Length="6"),
        client("POST", "/files/", b"", Origin="https://example.org", Upload_Length="6", Content_Length="x"),
    ):
        assert refused.status in (400, 401)
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["access-control-allow-origin"] == "https://example.org"
        assert refused.headers["vary"] == "Origin"
    for origin in ({"Origin": "https://example.org.example.com"}, {}):
        other = client("POST", "/files/", b"", Upload_Length="6", **origin)
        assert (other.status, other.headers["vary"]) == (401, "Origin")
        assert "access-control-allow-origin" not in other.headers


# Mistakes


def test_an_owner_that_is_no_text_is_a_mistake_that_is_named(
    shared: Callable[[Any], Client], caplog: pytest.LogCaptureFixture
) -> None:
    """As the key of a user in a database: in `str(...)` it is one. Django answers it, and logs it, by itself."""
    client, said = shared(lambda of: 1815), "owner says a text or None, and not int"
    try:
        assert client("POST", "/files/", b"", Upload_Length="6").status == 500
        seen = str([record.exc_info for record in caplog.records])
    except TypeError as error:
        seen = str(error)
    assert said in seen


async def _async(of: object) -> Any: ...


@pytest.mark.parametrize("mount", [ResumableWSGIApp, resumable_blueprint])
def test_what_is_async_is_refused_where_nobody_awaits_it(place: Place, mount: Callable[..., object]) -> None:
    """When the application is built, and not at its first upload."""

    class Owner:
        async def __call__(self, of: object) -> str:
            return "ada"

    for owner in (_async, Owner()):
        with pytest.raises(TypeError, match="an async owner needs an async application"):
            mount(place.uploads(), owner=owner)
    with pytest.raises(TypeError, match="an async handler needs an async application"):
        mount(place.uploads(handler=_async))

    async def refuse(file: IncomingFile) -> None:
        raise FileRefused("no", field=file.field, filter="refuse")

    with pytest.raises(TypeError, match="an async filter"):
        mount(ResumableUploads(place.upload.single("file", filter=cast(Any, refuse))))


def test_the_names_are_loaded_when_they_are_used() -> None:
    """And no others are known."""
    import uploadkit.resumable as package

    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'Resumable'"):
        _ = package.Resumable  # type: ignore[attr-defined]
