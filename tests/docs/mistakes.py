"""What newcomers get wrong: each mistake by its title in docs/when-something-goes-wrong.md, made for real.

A function makes the mistake and returns what the developer, or the sender, is told. Nothing here is a message by heart.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, TypeVar, cast

import django.test
import flask
import flask.views
import pytest
from fastapi import FastAPI, Form
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from tests.adapters import django_project as django_project  # settings, as startproject makes them
from tests.adapters.asgi_client import ask
from tests.postgres import PostgresServer, binaries
from tests.storage.s3.moto import moto_server

from uploadkit import (
    IMAGES,
    DiskStorage,
    File,
    FsspecStorage,
    IncomingFile,
    Limits,
    MemoryStorage,
    S3Storage,
    Spec,
    Storage,
    UploadedFile,
    Uploader,
    UploadError,
    receive,
)
from uploadkit.adapters import django as django_adapter
from uploadkit.adapters import fastapi as fastapi_adapter
from uploadkit.adapters import flask as flask_adapter
from uploadkit.adapters import starlette as starlette_adapter
from uploadkit.content.variants import cover
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.inline import InlineQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processor import JobContext
from uploadkit.processing.processors import Metadata, Variants
from uploadkit.processing.queue import Queue
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import UploadRecord
from uploadkit.resumable import ResumableUploads, protocol
from uploadkit.resumable.flask import resumable_blueprint
from uploadkit.resumable.serving import Server
from uploadkit.resumable.tus import OFFSET_TYPE
from uploadkit.testing import FormBuilder

Mistake = Callable[[], str]
M = TypeVar("M", bound=Mistake)

MISTAKES: dict[str, list[Mistake]] = {}

upload = Uploader(MemoryStorage())
photo_form = upload.single("photo")
PHOTO = FormBuilder().file("photo", b"\x89PNG\r\n\x1a\n", filename="me.png", content_type="image/png")


def mistake(title: str) -> Callable[[M], M]:
    """Several with one title are one mistake in several frameworks: all are told the same."""

    def entered(make: M) -> M:
        MISTAKES.setdefault(title, []).append(make)
        return make

    return entered


def told(make: Callable[[], object]) -> str:
    """The text of the error that it raises."""
    try:
        make()
    except UploadError as error:
        return f"{error.status} {error.code}: {error}"
    except (TypeError, ValueError, LookupError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("nothing was raised")


# What is handed to `receive`


@mistake("The spec is not called")
def _() -> str:
    return told(lambda: flask_adapter.receive(cast(Any, upload.single)))


@mistake("The uploader in place of a spec")
def _() -> str:
    return told(lambda: fastapi_adapter.receive(cast(Any, upload)))


@mistake("@receive without parentheses")
def _() -> str:
    def view(photo: UploadedFile) -> str:
        return photo.filename

    return told(lambda: flask_adapter.receive(cast(Any, view)))


@mistake("An async filter in a sync view")
def _() -> str:
    return told(lambda: flask_adapter.receive(_asks_somebody()))


@mistake("An async filter in a sync view")
def _() -> str:
    return told(lambda: django_adapter.receive(_asks_somebody())(lambda request, photo: None))


@mistake("An async filter in a sync view")
def _() -> str:
    return told(lambda: receive(_asks_somebody(), PHOTO.content_type, [PHOTO.body]))


@mistake("A sync endpoint in Starlette")
def _() -> str:
    def profile(request: Request, photo: UploadedFile) -> Response:
        return JSONResponse({})

    return told(lambda: starlette_adapter.receive(photo_form)(cast(Any, profile)))


@mistake("A method of a Flask class")
def _() -> str:
    class Page(flask.views.MethodView):
        @flask_adapter.receive(photo_form)  # type: ignore[arg-type]  # a type checker finds it too
        def post(self, photo: UploadedFile) -> str:  # type: ignore[misc]  # the same
            return photo.filename

    return _flask(Page.as_view("page"))


# Who reads the body


@mistake("The body was read before, in Flask")
def _() -> str:
    return _flask(flask_adapter.receive(photo_form)(_shown), before=lambda: flask.request.form)


@mistake("The body was read before, in Flask")
def _() -> str:
    """Two `receive`s of one view: the second has nothing to read."""
    return _flask(flask_adapter.receive(photo_form)(flask_adapter.receive(photo_form)(cast(Any, _shown))))


@mistake("Two receive in a route of FastAPI")
def _() -> str:
    return _fastapi(_two_receives, install=False)


@mistake("Two receive in a route of FastAPI")
def _() -> str:
    """Said when the application is made."""
    return _fastapi(_two_receives, install=True)


@mistake("Form() beside receive")
def _() -> str:
    async def profile(
        title: Annotated[str, Form()], photo: Annotated[UploadedFile, fastapi_adapter.receive(photo_form)]
    ) -> None: ...

    return _fastapi(profile, install=False)


@mistake("An annotation that does not fit, in FastAPI")
def _() -> str:
    async def profile(photo: Annotated[list[UploadedFile], fastapi_adapter.receive(photo_form)]) -> None: ...

    return _fastapi(profile, install=True)


@mistake("receive is forgotten, in FastAPI")
def _() -> str:
    async def profile(photo: Annotated[UploadedFile, photo_form]) -> None: ...

    return _fastapi(profile, install=True)


@mistake("@receive above the route, in Flask")
def _() -> str:
    """What `@app.post` is given is what Flask calls, whatever is made of it above."""

    def profile(photo: UploadedFile) -> str:
        return photo.filename

    profile.__qualname__ = "profile"  # as in a module
    flask_adapter.receive(photo_form)(profile)
    return _flask(profile)


@mistake("The body was read before, in Starlette")
def _() -> str:
    @starlette_adapter.receive(photo_form)
    async def profile(request: Request, photo: UploadedFile) -> Response:
        return JSONResponse({})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        await request.body()
        await (await profile(request))(scope, receive, send)

    return told(lambda: ask(app, PHOTO))


@mistake("The body was read before, in Django")
def _() -> str:
    request = _django_request()
    assert request.POST is not None
    return told(lambda: django_adapter.receive(photo_form)(lambda request, photo: None)(request))


@mistake("The body was read before, in Django")
def _() -> str:
    view = django_adapter.receive(photo_form)(django_adapter.receive(photo_form)(cast(Any, lambda *_: None)))
    return told(lambda: view(_django_request()))


# What is configured


@mistake("A storage's class")
def _() -> str:
    return told(lambda: Uploader(cast(Any, DiskStorage)))


@mistake("A path in place of a storage")
def _() -> str:
    return told(lambda: Uploader(cast(Any, "uploads")))


@mistake("Limits as a dict")
def _() -> str:
    return told(lambda: Uploader(MemoryStorage(), limits=cast(Any, {"file_size": "5 MB"})))


@mistake("A size that is none")
def _() -> str:
    return told(lambda: Limits(file_size="5 megabytes"))


@mistake("An extension without its dot")
def _() -> str:
    return told(lambda: upload.single("photo", accept="jpg"))


@mistake("A rule that says what is not accepted")
def _() -> str:
    return told(lambda: upload.single("photo", accept="!image/svg+xml"))


@mistake("A type that cannot be seen in bytes")
def _() -> str:
    return told(lambda: upload.single("model", accept="model/gltf+json"))


@mistake("max_count for a single file")
def _() -> str:
    return told(lambda: cast(Any, upload).single("photo", max_count=3))


@mistake("Names in place of fields")
def _() -> str:
    return told(lambda: upload.fields(cast(Any, "photo")))


@mistake("A field that is declared twice")
def _() -> str:
    return told(lambda: upload.fields(File("photo"), File("photo", accept=IMAGES)))


@mistake("A check's class")
def _() -> str:
    return told(lambda: upload.single("photo", check=cast(Any, _Check)))


@mistake("An async check")
def _() -> str:
    return told(lambda: upload.single("photo", check=cast(Any, _AsyncCheck())))


@mistake("A check that reads the file, over S3")
def _() -> str:
    return told(lambda: Uploader(S3Storage("s3://media")).single("photo", check=_Check()))


@mistake("A filter that forgets to return")
def _() -> str:
    spec = upload.single("photo", filter=cast(Any, _forgets))
    return told(lambda: receive(spec, PHOTO.content_type, [PHOTO.body]))


@mistake("A key that leaves the storage")
def _() -> str:
    spec = upload.single("photo", filename=lambda file: f"/srv/{file.filename}")
    return told(lambda: receive(spec, PHOTO.content_type, [PHOTO.body]))


@mistake("A typed form of a dict")
def _() -> str:
    return told(lambda: upload.form(dict))


@mistake("An adapter without its framework")
def _() -> str:
    return _without("flask", "uploadkit.adapters.flask")


@mistake("Typed forms without pydantic")
def _() -> str:
    program = "import uploadkit; uploadkit.Uploader(uploadkit.MemoryStorage()).form(object)"
    return _without("pydantic", program=program)


# With a ledger


@mistake("A ledger without SQLAlchemy")
def _() -> str:
    return _without("sqlalchemy", "uploadkit.records.ledger")


@mistake("A ledger in memory")
def _() -> str:
    return told(lambda: Ledger("sqlite://"))


@mistake("A ledger in a folder that there is not")
def _() -> str:
    with TemporaryDirectory() as folder:
        return told(lambda: Ledger(f"sqlite:///{folder}/data/uploads.db").count())


@mistake("A moment without a time zone")
def _() -> str:
    with TemporaryDirectory() as folder, closing(Ledger(f"sqlite:///{folder}/uploads.db")) as ledger:
        return told(lambda: ledger.find(expired_at=datetime(2027, 1, 1)))


@mistake("A move that no upload makes")
def _() -> str:
    with TemporaryDirectory() as folder, closing(Ledger(f"sqlite:///{folder}/uploads.db")) as ledger:
        return told(lambda: ledger.move("id", State.STAGED, since=[State.DELETED]))


# With a pipeline


class _Site:
    """A pipeline, and an upload of its own that was just answered."""

    def __init__(self, folder: str, *, queue: Queue | None = None) -> None:
        self.ledger = Ledger(f"sqlite:///{folder}/uploads.db")
        self.storage = MemoryStorage(name="photos")
        self.pipeline = Pipeline(self.ledger, queue=queue)

    def take(self) -> str:
        """The id of an upload whose handler has returned."""
        spec = Uploader(self.storage, pipeline=self.pipeline).single("photo")
        return receive(spec, PHOTO.content_type, [PHOTO.body]).id

    def forwarded(self) -> None:
        """Until what is to be told of it was told."""
        while self.ledger.untold():
            self.pipeline.forward()


@contextmanager
def _site(queue: Queue | None = None) -> Iterator[_Site]:
    with TemporaryDirectory() as folder:
        site = _Site(folder, queue=queue)
        try:
            yield site
        finally:
            site.pipeline.close()


@mistake("No worker is running")
def _() -> str:
    with _site(InlineQueue()) as site:  # of which jobs wait for a worker, as of another one
        site.pipeline.process("*", Metadata())
        upload = site.take()
        site.forwarded()
        status = site.pipeline.status(upload)
        return f"{status.state} {status.percent} %"


@mistake("A worker, and the pipeline has no queue")
def _() -> str:
    with _site() as site:
        return told(lambda: asyncio.run(site.pipeline.work(until=asyncio.Event())))


@mistake("A processor that raises")
def _() -> str:
    with _site() as site:

        @site.pipeline.process("*", attempts=1)
        def measure(record: UploadRecord, job: JobContext) -> None:
            raise ValueError("no ruler")

        status = site.pipeline.status(site.take())
        return f"{status.state}: {status.reason}"


@mistake("A processor that takes something else")
def _() -> str:
    with _site() as site:
        return told(lambda: site.pipeline.process("*")(cast(Any, measure)))


@mistake("Two processors with one name")
def _() -> str:
    with _site() as site:
        site.pipeline.process("image/png", Variants(small=cover(10, 10)))
        return told(lambda: site.pipeline.process("image/jpeg", Variants(small=cover(20, 20))))


@mistake("Two storages with one name")
def _() -> str:
    with _site() as site:
        Uploader(DiskStorage("staging"), pipeline=site.pipeline).single("photo")
        return told(lambda: Uploader(DiskStorage("media"), pipeline=site.pipeline).single("photo"))


@mistake("A storage that the pipeline does not know")
def _() -> str:
    with _site() as site:
        upload = site.take()
        return told(lambda: Pipeline(site.ledger).file(upload))


@mistake("Replaced, and nobody is the owner")
def _() -> str:
    with _site() as site:
        upload = site.take()
        return told(lambda: site.pipeline.replace_others(upload))


@mistake("A queue that is not there")
def _() -> str:
    with _site(BullMQQueue(f"redis://127.0.0.1:{_nobody()}", timeout_seconds=0.5)) as site:
        site.pipeline.process("*", Metadata())
        upload = site.take()
        return told(lambda: site.pipeline.advance(upload))


def measure(record: UploadRecord) -> None: ...


def _nobody() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@mistake("migrate is forgotten")
def _() -> str:
    if binaries() is None:
        pytest.skip("needs postgres")
    with TemporaryDirectory(dir="/tmp") as folder:  # the path of a socket has 107 bytes at most
        server = PostgresServer(Path(folder))
        try:
            with closing(Ledger(server.url("postgres"))) as ledger:
                return told(lambda: ledger.count())
        finally:
            server.stop()


# With a bucket


@mistake("S3Storage without s3fs")
def _() -> str:
    return _without("s3fs", program="import uploadkit; uploadkit.S3Storage('s3://my-bucket')")


@mistake("An address in place of s3://")
def _() -> str:
    return told(lambda: S3Storage("https://my-bucket.s3.amazonaws.com/uploads"))


@mistake("An option that s3fs does not know")
def _() -> str:
    return told(lambda: S3Storage("s3://my-bucket", options={"region_name": "eu-central-1", "secret_key": "..."}))


@mistake("Parts that are too small")
def _() -> str:
    return told(lambda: S3Storage("s3://my-bucket", part_size=2**20))


@mistake("Metadata that is no ASCII")
def _() -> str:
    return told(lambda: S3Storage("s3://my-bucket", metadata={"title": "Übersicht"}))


@mistake("Keys of your own, and the server is not of AWS")
def _() -> str:
    storage = S3Storage("s3://my-bucket", options={"endpoint_url": "http://127.0.0.1:8333"})
    return told(lambda: Uploader(storage).single("photo", filename=lambda file: f"{file.id}/{file.filename}"))


@mistake("A bucket that there is not")
def _() -> str:
    with TemporaryDirectory() as folder, moto_server(Path(folder)) as server:
        return _into(S3Storage("s3://no-such-bucket", options=server.options()))


@mistake("A server that is not there")
def _() -> str:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # it does not listen
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        once = {"retries": {"total_max_attempts": 1}}
        options = {"endpoint_url": url, "key": "me", "secret": "mine", "config_kwargs": once}
        return _into(S3Storage("s3://my-bucket", options=options))


# What is done with a file


@mistake("await is forgotten")
def _() -> str:
    photo = receive(photo_form, PHOTO.content_type, [PHOTO.body])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        photo.aread()  # type: ignore[unused-coroutine]  # the mistake
        gc.collect()
    [warning] = caught
    return f"{warning.category.__name__}: {warning.message}"


@mistake("path, and the storage is no disk")
def _() -> str:
    photo = receive(photo_form, PHOTO.content_type, [PHOTO.body])
    return told(lambda: photo.path)


@mistake("digest, and there is none")
def _() -> str:
    spec = Uploader(MemoryStorage(), digest=False).single("photo")
    return told(lambda: receive(spec, PHOTO.content_type, [PHOTO.body]).digest)


@mistake("url(), and the storage signs none")
def _() -> str:
    photo = receive(photo_form, PHOTO.content_type, [PHOTO.body])
    return told(lambda: photo.url())


@mistake("public_url(), and there is none")
def _() -> str:
    photo = receive(photo_form, PHOTO.content_type, [PHOTO.body])
    return told(lambda: photo.public_url())


# What comes in several requests


@mistake("Resumable uploads without a pipeline")
def _() -> str:
    return told(lambda: ResumableUploads(photo_form))


@mistake("Resumable uploads of several fields")
def _() -> str:
    return told(lambda: ResumableUploads(_remembering(MemoryStorage()).fields(File("one"), File("other"))))


@mistake("Resumable uploads in a storage that keeps nothing")
def _() -> str:
    return told(lambda: ResumableUploads(_remembering(FsspecStorage("memory://photos")).single("photo")))


@mistake("An async owner in Flask")
def _() -> str:
    async def owner(request: flask.Request) -> str:
        return "ada"

    uploads = ResumableUploads(_remembering(MemoryStorage()).single("photo"))
    return told(lambda: resumable_blueprint(uploads, owner=cast(Any, owner)))


@mistake("A POST that is no tus")
def _() -> str:
    return _resumed([("POST", "", {})])


@mistake("Bytes that begin elsewhere")
def _() -> str:
    begun = {"tus-resumable": "1.0.0", "upload-length": "6"}
    bytes_of = {"tus-resumable": "1.0.0", "content-type": OFFSET_TYPE, "upload-offset": "3"}
    return _resumed([("POST", "", begun), ("PATCH", "the same", bytes_of)])


def _remembering(storage: Storage) -> Uploader:
    return Uploader(storage, pipeline=Pipeline(Ledger()))


def _resumed(requests: list[tuple[str, str, dict[str, str]]]) -> str:
    """What the last of these requests is told."""
    with TemporaryDirectory() as folder, closing(Ledger(f"sqlite:///{folder}/uploads.db")) as ledger:
        upload = Uploader(MemoryStorage(), pipeline=Pipeline(ledger))
        server, answer = Server(ResumableUploads(upload.single("photo"))), protocol.Answer(status=0)
        for method, place, headers in requests:
            at = answer.headers["Location"].rpartition("/")[2] if place else ""
            answer = server.respond(protocol.Request(method=method, path="/files/", upload=at, headers=headers), [])
        said = json.loads(answer.body)
        return f"{said['status']} {said['code']}: {said['detail']}"


# What a client sends


@mistake("The field is called something else")
def _() -> str:
    return told(lambda: receive(upload.single("avatar"), PHOTO.content_type, [PHOTO.body]))


@mistake("enctype is forgotten")
def _() -> str:
    return told(lambda: receive(photo_form, "application/x-www-form-urlencoded", [b"photo=me.png"]))


@mistake("The Content-Type was written by hand")
def _() -> str:
    return told(lambda: receive(photo_form, "multipart/form-data", [PHOTO.body]))


@mistake("JSON in place of a form")
def _() -> str:
    return told(lambda: receive(photo_form, "application/json", [b'{"photo": "..."}']))


@mistake("A limit that is too small")
def _() -> str:
    spec = Uploader(MemoryStorage(), limits=Limits(file_size="5 KB")).single("photo")
    form = FormBuilder().file("photo", bytes(6000), filename="me.png")
    return told(lambda: receive(spec, form.content_type, [form.body]))


class _Check:
    def examine(self, file: IncomingFile, staged: object) -> None: ...


class _AsyncCheck:
    async def examine(self, file: IncomingFile, staged: object) -> None: ...


def _forgets(file: IncomingFile) -> None:
    file.filename.endswith(".png")


def _asks_somebody() -> Spec[UploadedFile]:
    async def asked(file: IncomingFile) -> bool:
        return True

    return upload.single("photo", filter=asked)


def _into(storage: S3Storage) -> str:
    """What an upload ends with."""
    try:
        return told(lambda: receive(Uploader(storage).single("photo"), PHOTO.content_type, [PHOTO.body]))
    finally:
        storage.close()


def _shown(photo: UploadedFile) -> str:
    return photo.filename


async def _two_receives(
    photo: Annotated[UploadedFile, fastapi_adapter.receive(photo_form)],
    again: Annotated[UploadedFile, fastapi_adapter.receive(upload.single("again"))],
) -> None: ...


def _fastapi(route: Callable[..., Any], *, install: bool) -> str:
    """What is said of the route: by `install(app)`, or at its first request."""
    app = FastAPI()
    app.post("/")(route)
    return told(lambda: fastapi_adapter.install(app) if install else ask(app, PHOTO))


def _flask(view: Callable[..., Any], *, before: Callable[[], object] | None = None) -> str:
    """What a request to the view ends with."""
    app = flask.Flask(__name__)
    app.testing = True
    app.add_url_rule("/", view_func=view, methods=["POST"])
    if before is not None:

        @app.before_request
        def looks() -> None:
            before()

    return told(lambda: app.test_client().post("/", data=PHOTO.body, content_type=PHOTO.content_type))


def _django_request() -> Any:
    return django.test.RequestFactory().post("/", data=PHOTO.body, content_type=PHOTO.content_type)


def _without(package: str, module: str = "", *, program: str = "") -> str:
    """What a process without the package says last."""
    program = f"import sys; sys.modules[{package!r}] = None; {program or f'import {module}'}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    return done.stderr.splitlines()[-1]
