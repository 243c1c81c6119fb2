"""A client of resumable uploads in the process of their server, which speaks by either driver, and what can be seen
from behind of what it has left there.

No socket and no framework: a request is a value, and its body comes in the chunks that a test gives it.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import functools
import hashlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.intake.receiving import in_chunks, left_in

from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import UploadRecord
from uploadkit.records.schema import metadata as metadata_of_tables
from uploadkit.records.schema import resumables
from uploadkit.resumable.protocol import Answer, Request
from uploadkit.resumable.serving import Server
from uploadkit.resumable.uploads import ResumableUploads
from uploadkit.storage.contract import Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.uploader import Uploader

DRIVERS = ("blocking", "async")

PATH = "/files"

OFFSET_TYPE = "application/offset+octet-stream"

Body = bytes | Iterable[bytes] | AsyncIterable[bytes]


@dataclass(frozen=True)
class Told:
    """An answer. The names of `headers` are in lower case; `problem` is what stands in its body."""

    status: int
    headers: Mapping[str, str]
    problem: Mapping[str, Any]

    @property
    def code(self) -> str | None:
        """That of the problem; None where there is none."""
        return self.problem.get("code")

    @property
    def location(self) -> str:
        return self.headers["location"]

    @property
    def offset(self) -> int:
        return int(self.headers["upload-offset"])


@dataclass
class Talk:
    """Asks a server, by a driver. `owner` is whose the requests are. `around` awaits what the async one does."""

    server: Server
    driver: str = "blocking"
    owner: str | None = None
    version: str | None = "1.0.0"
    asked: list[Request] = field(default_factory=list)
    around: Callable[[Coroutine[Any, Any, Answer]], Awaitable[Answer]] | None = None

    def ask(
        self, method: str, path: str = PATH + "/", body: Body = b"", /, *, length: int | None = -1, **headers: Any
    ) -> Told:
        """One request. `length` is its Content-Length, None where it has none; -1 where it is that of the body, which
        is bytes then. Of the names of headers the underscores are hyphens; one that is None is left out."""
        request, chunks = self.request(method, path, body, length=length, **headers)
        if self.driver == "blocking":
            assert isinstance(chunks, Iterable)
            return told(self.server.respond(request, chunks))

        async def main() -> Answer:
            try:
                answering = self.server.arespond(request, arriving(chunks))
                return await (answering if self.around is None else self.around(answering))
            finally:
                assert asyncio.all_tasks() == {asyncio.current_task()}

        return told(asyncio.run(main()))

    def request(
        self, method: str, path: str = PATH + "/", body: Body = b"", /, *, length: int | None = -1, **headers: Any
    ) -> tuple[Request, Iterable[bytes] | AsyncIterable[bytes]]:
        """What `ask` would send."""
        chunks = in_chunks(body) if isinstance(body, bytes) else body
        if length == -1:
            length = len(body) if isinstance(body, bytes) else None
        names = {name.replace("_", "-").lower(): str(value) for name, value in headers.items() if value is not None}
        if self.version is not None:
            names.setdefault("tus-resumable", self.version)
        assert path.startswith(PATH), f"{path} is none of the server's"
        request = Request(
            method=method,
            path=PATH + "/",
            upload=path.removeprefix(PATH).strip("/"),
            headers=names,
            body_length=length,
            owner=self.owner,
        )
        self.asked.append(request)
        return request, chunks

    # As tus says it

    def create(self, length: int | None = None, body: Body | None = None, **headers: Any) -> Told:
        """A new upload of so many bytes, None where that is not said yet."""
        if length is not None:
            headers.setdefault("upload_length", length)
        elif "upload_concat" not in headers:
            headers.setdefault("upload_defer_length", 1)
        if body is not None:
            headers.setdefault("content_type", OFFSET_TYPE)
        return self.ask("POST", PATH + "/", b"" if body is None else body, **headers)

    def created(self, length: int | None = None, **headers: Any) -> str:
        """Where a new upload is."""
        answer = self.create(length, **headers)
        assert answer.status == 201, answer
        return answer.location

    def patch(self, location: str, offset: int | None, body: Body = b"", /, **headers: Any) -> Told:
        headers.setdefault("content_type", OFFSET_TYPE)
        return self.ask("PATCH", location, body, upload_offset=offset, **headers)

    def head(self, location: str, /, **headers: Any) -> Told:
        return self.ask("HEAD", location, **headers)

    def delete(self, location: str, /, **headers: Any) -> Told:
        return self.ask("DELETE", location, **headers)

    def upload(self, data: bytes, *cuts: int, **headers: Any) -> str:
        """All of it, in as many requests as it is cut into; where it is."""
        location = self.created(len(data), **headers)
        edges = [0, *sorted(cuts), len(data)]
        for start, end in pairwise(edges):
            answer = self.patch(location, start, data[start:end])
            assert (answer.status, answer.offset) == (204, end), answer
        return location

    def put_together(self, *locations: str, **headers: Any) -> Told:
        return self.create(upload_concat="final;" + " ".join(locations), **headers)


@dataclass
class Place:
    """Uploads whose bytes wait and lie in one storage, or wait in `staging`, and are remembered in a ledger."""

    talk: Talk
    ledger: Ledger
    storage: Storage
    pipeline: Pipeline
    spec: Any
    uploads: ResumableUploads
    staging: Storage | None = None
    handled: list[Any] = field(default_factory=list)

    def record(self, location: str) -> UploadRecord:
        return self.ledger.get(id_of(location))

    def records(self) -> list[UploadRecord]:
        return self.ledger.find(limit=1000)

    def left(self) -> list[str]:
        """What lies in the storages, staged or visible."""
        storages = [self.storage, *([] if self.staging is None else [self.staging])]
        return [name for storage in storages for name in left_in(getattr(storage, "inner", storage))]

    def bytes_of(self, location: str) -> bytes:
        """Those that are stored of a finished upload."""
        record = self.record(location)
        assert record.key is not None
        return b"".join(self.storage.read(record.key))

    def again(self, **options: Any) -> Talk:
        """A client of another process over the same ledger and storages."""
        return Talk(Server(self.uploads), self.talk.driver, owner=self.talk.owner, **options)

    def expect_whole(self, location: str, data: bytes) -> UploadRecord:
        """The upload is finished, has these bytes, and nothing is left beside it."""
        record = self.record(location)
        assert record.state is State.COMPLETED, record
        assert (record.size, record.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert self.bytes_of(location) == data
        assert not any(id_of(location) in name for name in self.left())
        self.expect_free(location)
        return record

    def expect_partial(self, location: str, offset: int) -> None:
        """So much of the upload waits for more."""
        record = self.record(location)
        assert record.state is State.RECEIVING, record
        answer = self.talk.head(location)
        assert (answer.status, answer.offset) == (200, offset), answer
        assert partials(self.left()) != []
        self.expect_free(location)

    def expect_gone(self, location: str, state: State, reason: str | None = None) -> UploadRecord:
        """Nothing of the upload is left, and its record says why."""
        record = self.record(location)
        assert record.state is state, record
        if reason is not None:
            assert reason in (record.reason or ""), record
        answer = self.talk.head(location)
        assert answer.status == 410, answer
        assert not any(id_of(location) in name for name in self.left())
        assert record.key is None or record.key not in self.left()
        return record

    def expect_nothing(self) -> None:
        """Nothing of any upload is left."""
        assert self.left() == []
        assert [record for record in self.records() if record.state not in (State.REJECTED, State.DELETED)] == []

    def end_leases(self) -> None:
        """So much time passes that nobody holds an upload whom nobody has heard of since."""
        with self.ledger._database.writing() as connection:
            connection.execute(resumables.update().values(held_until=datetime(2000, 1, 1, tzinfo=UTC)))

    def expect_free(self, location: str) -> None:
        """Nobody holds it any more."""
        hold = self.ledger.resumables.hold(id_of(location), seconds=60)
        assert hold is not None, "somebody holds the upload"
        self.ledger.resumables.let_go(hold)


def told(answer: Answer) -> Told:
    """What a client makes of an answer."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert len(headers) == len(answer.headers), "a header is there twice"
    problem = json.loads(answer.body) if answer.body else {}
    if answer.body:
        assert headers["content-type"] == "application/problem+json"
        assert problem["status"] == answer.status
    return Told(answer.status, headers, problem)


async def arriving(chunks: Iterable[bytes] | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The chunks of an async body. What they raise is raised."""
    if isinstance(chunks, AsyncIterable):
        async for chunk in chunks:
            yield chunk
        return
    for chunk in chunks:
        yield chunk


def metadata(**values: str | bytes | None) -> str:
    """Upload-Metadata, as clients write it."""

    def pair(name: str, value: str | bytes | None) -> str:
        if value is None:
            return name
        return f"{name} {base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()}"

    return ",".join(pair(name, value) for name, value in values.items())


def checksum(data: bytes, algorithm: str = "sha1") -> str:
    """Upload-Checksum."""
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def id_of(location: str) -> str:
    return location.rpartition("/")[2]


def partials(names: Iterable[str]) -> list[str]:
    """Those of what a storage has left that wait for more, or lie in staging."""
    return [name for name in names if "partial-" in name or ".staging" in name]


@functools.cache
def _common() -> Ledger:
    """A ledger that the tests of a process have in turn: to make its tables, and to have SQLAlchemy think of every
    statement anew, takes longer than most of them."""
    folder = tempfile.mkdtemp(prefix="uploads.db-")
    ledger = Ledger(f"sqlite:///{folder}/uploads.db")
    ledger.migrate()
    atexit.register(shutil.rmtree, folder)
    atexit.register(ledger.close)
    return ledger


def empty_ledger() -> Ledger:
    """One with nothing in it, until the next test asks for it."""
    ledger = _common()
    with ledger._database.writing() as connection:
        for table in reversed(metadata_of_tables.sorted_tables):
            connection.execute(table.delete())
    return ledger


@contextmanager
def place_in(
    folder: Path,
    *,
    driver: str = "blocking",
    ledger: Ledger | None = None,
    storage: Storage | None = None,
    staging: Storage | None = None,
    single: Mapping[str, Any] | None = None,
    fields: Iterable[Any] | None = None,
    form: type[Any] | None = None,
    owner: str | None = None,
    allow_origins: Iterable[str] = (),
    pipeline: Mapping[str, Any] | None = None,
    uploader: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[Place]:
    """A place in a folder. `single` are the rules of its one file, in field "file"; or `fields`, or a `form`, say what
    is taken. `options` are those of `ResumableUploads`."""
    ledger = empty_ledger() if ledger is None else ledger
    storage = DiskStorage(folder / "disk") if storage is None else storage
    rules: dict[str, Any] = dict(single or {})
    of_the_uploader: dict[str, Any] = dict(uploader or {})
    of_the_pipeline: dict[str, Any] = dict(pipeline or {})
    through = Pipeline(ledger, **of_the_pipeline)
    upload = Uploader(storage, pipeline=through, **of_the_uploader)
    spec: Any
    if form is not None:
        spec = upload.form(form)
    elif fields is not None:
        spec = upload.fields(*fields)
    else:
        spec = upload.single("file", **rules)
    handled: list[Any] = []
    options.setdefault("handler", handled.append)
    options.setdefault("wait_seconds", 0.3)
    uploads = ResumableUploads(spec, staging=staging, **options)
    server = Server(uploads, allow_origins=allow_origins)
    try:
        yield Place(
            Talk(server, driver, owner=owner), ledger, storage, through, spec, uploads, staging=staging, handled=handled
        )
    finally:
        through.close()
