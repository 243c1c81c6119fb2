"""One file, whichever door it comes by: the same verdict, the same error, the same record.

A row says what a form makes of a file; by every other door it is asked whether that is the same. What differs is said
here and nowhere else: a form knows nothing of a file before its first bytes, so that what those show leaves no record;
an upload in several requests has one before them, which is rejected. What could be seen before any byte is refused by
both without one.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field
from tests.intake.receiving import left_in
from tests.resumable.bucket import Bucket, ClientRefused, Seen

from uploadkit.content.archives import ArchiveCheck
from uploadkit.errors import FileRefused, UploadError
from uploadkit.intake.asynchronous import akept_if_handled, areceive_form
from uploadkit.intake.blocking import kept_if_handled, receive_form
from uploadkit.intake.spec import Spec
from uploadkit.multipart.headers import URLENCODED
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.fields import File, Text
from uploadkit.policy.filters import IncomingFile
from uploadkit.policy.limits import Limits
from uploadkit.processing.owned import Owned
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State
from uploadkit.records.record import Quota, UploadRecord
from uploadkit.resumable.direct import DirectUploads
from uploadkit.resumable.protocol import Answer, Request
from uploadkit.resumable.serving import Server
from uploadkit.resumable.uploads import ResumableUploads
from uploadkit.storage.contract import Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder, sample
from uploadkit.uploader import Uploader

OWNER = "ann"

PNG = sample("image/png")
LARGE_PNG = sample("image/png", size=100_000)
PDF = sample("application/pdf")


class Described(BaseModel):
    """A typed form with a file."""

    title: str = Field(min_length=3)
    age: int


def zipped(**texts: str) -> bytes:
    held = BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
    return held.getvalue()


def no_secrets(file: IncomingFile) -> bool:
    return b"secret" not in file.head


def named_by_its_client(file: IncomingFile) -> str:
    return f"{file.fields[0][1] if file.fields else 'mine'}/{file.filename}"


class Whole:
    """A check of the staged file."""

    def examine(self, file: IncomingFile, staged: Any) -> None:
        if not staged.read().endswith(b"the end"):
            raise FileRefused("it is cut", field=file.field, filter="whole")


@dataclass(frozen=True)
class Case:
    """A file, the rules of its field, and what a form makes of it. `texts` stand before it. `foreseen`: no byte is
    needed to refuse it."""

    name: str
    data: bytes
    status: int = 200
    code: str | None = None
    filename: str = "me.png"
    declared_type: str | None = None
    rules: Mapping[str, Any] = field(default_factory=dict)
    texts: Sequence[tuple[str, str]] = ()
    declared: Sequence[Text] = ()
    model: type[BaseModel] | None = None
    limits: Limits | None = None
    quota: Quota | None = None
    foreseen: bool = False
    in_time: bool = True
    """Whether a form is refused by what comes before the end of its file."""

    def form(self) -> FormBuilder:
        form = FormBuilder()
        for name, value in self.texts:
            form.text(name, value)
        return form.file("file", self.data, filename=self.filename, content_type=self.declared_type)

    @property
    def is_direct(self) -> bool:
        """Whether it can go straight to a storage: a file and nothing else."""
        return not (self.texts or self.declared or self.model or self.quota)

    def spec(self, storage: Storage, pipeline: Pipeline | None, *, staging: Storage | None = None) -> Spec[Any]:
        options: dict[str, Any] = {} if self.limits is None else {"limits": self.limits}
        upload = Uploader(storage, pipeline=pipeline, staging=staging, **options)
        if self.model is not None:
            spec = upload.form(_with_file(self.model, **self.rules))
        elif self.declared:
            spec = upload.fields(File("file", required=True, **self.rules), *self.declared)
        else:
            spec = upload.single("file", **self.rules)
        return spec


def _with_file(model: type[BaseModel], **rules: Any) -> type[BaseModel]:
    from typing import Annotated

    from pydantic import create_model

    from uploadkit.uploads import UploadedFile

    made: type[BaseModel] = create_model("WithFile", __base__=model, file=(Annotated[UploadedFile, File(**rules)], ...))
    return made


BOMB = zipped(bomb="\0" * (11 << 20))
SMALL_LIMITS = Limits(file_size=50_000, files_size=80_000)

CASES = [
    Case("a picture", PNG, rules={"accept": IMAGES}),
    Case("a picture of some chunks", LARGE_PNG, rules={"accept": IMAGES, "max_size": 100_000}),
    Case("random bytes of which nothing is asked", os.urandom(200_000), filename="data.bin"),
    Case("an empty file", b"", filename="empty.txt"),
    Case("a file of one byte", b"x", filename="x"),
    Case("as many bytes as are judged", os.urandom(8192), filename="data.bin"),
    Case("one byte more than are judged", os.urandom(8193), filename="data.bin"),
    Case("a name in which somebody leads out of a folder", PNG, filename="../../etc/été.png"),
    Case("a file with texts", PNG, texts=(("title", "Été"), ("tag", "a"), ("tag", "b")), declared=(Text("title"),)),
    Case("a typed form", PNG, texts=(("title", "Holiday"), ("age", "30")), model=Described, rules={"accept": IMAGES}),
    Case("a type that is declared as it is", PNG, declared_type="image/png", rules={"accept": IMAGES}),
    Case("a wrong type by its name", PNG, 415, "file_refused", "me.pdf", rules={"accept": IMAGES}, foreseen=True),
    Case(
        *("a wrong type as it is declared", PNG, 415, "file_refused", "me.png", "application/pdf"),
        rules={"accept": IMAGES},
        foreseen=True,
    ),
    Case("a wrong type by its bytes", PDF, 415, "file_refused", rules={"accept": IMAGES}),
    Case("a wrong type by its bytes, of some chunks", bytes(100_000), 415, "file_refused", rules={"accept": IMAGES}),
    Case("no type by its first bytes", b"?", 415, "file_refused", rules={"accept": IMAGES}),
    Case("an empty file where a picture is to be", b"", 415, "file_refused", rules={"accept": IMAGES}),
    Case("a wrong end", PNG + BOMB, 415, "file_refused", rules={"accept": IMAGES}, in_time=False),
    Case("a byte too much", bytes(10_001), 413, "limit_exceeded", "a.bin", rules={"max_size": 10_000}, foreseen=True),
    Case("far too much", bytes(300_000), 413, "limit_exceeded", "a.bin", rules={"max_size": 10_000}, foreseen=True),
    Case("too much for any file", bytes(50_001), 413, "limit_exceeded", "a.bin", limits=SMALL_LIMITS, foreseen=True),
    Case("too much, and a wrong type", bytes(20_000), 415, "file_refused", rules={"accept": IMAGES, "max_size": 10_000}),
    Case("a byte too few", bytes(9), 422, "file_refused", "a.bin", rules={"min_size": 10}, foreseen=True),
    Case("empty where bytes are to be", b"", 422, "file_refused", "a.bin", rules={"min_size": 1}, foreseen=True),
    Case("refused by a filter", b"a secret", 422, "file_refused", "a.txt", rules={"filter": no_secrets}),
    Case(
        *("refused by a filter, of some chunks", b"a secret".ljust(100_000, b"."), 422, "file_refused", "a.txt"),
        rules={"filter": no_secrets},
    ),
    Case("let through by a filter", b"no fear", filename="a.txt", rules={"filter": no_secrets}),
    Case("let through by a check of what passes", bytes(30_000), filename="a.bin", rules={"check": Seen()}),
    Case(
        *("refused by a check of what passes", bytes(30_000) + b"virus", 422, "file_refused", "a.bin"),
        rules={"check": Seen()},
        in_time=False,
    ),
    Case("whole, for a check of what is staged", bytes(30_000) + b"the end", filename="a.bin", rules={"check": Whole()}),
    Case(
        *("cut, for a check of what is staged", bytes(30_000), 422, "file_refused", "a.bin"),
        rules={"check": Whole()},
        in_time=False,
    ),
    Case("an archive", zipped(a="text"), filename="a.zip", rules={"accept": ".zip", "check": ArchiveCheck()}),
    Case(
        *("an archive that unpacks to too much", BOMB, 422, "file_refused", "a.zip"),
        rules={"accept": ".zip", "check": ArchiveCheck()},
        in_time=False,
    ),
    Case(
        *("a damaged archive", zipped(a="text" * 9)[:-4], 422, "file_refused", "a.zip"),
        rules={"accept": ".zip", "check": ArchiveCheck()},
        in_time=False,
    ),
    Case(
        *("a text that is too long", PNG, 422, "field_refused"),
        texts=(("title", "eleven char"),),
        declared=(Text("title", max_length=10),),
        foreseen=True,
    ),
    Case("a text that is missing", PNG, 422, "field_missing", declared=(Text("title", required=True),), in_time=False),
    Case(
        *("a text too often", PNG, 413, "limit_exceeded"),
        texts=(("tag", "x"),) * 1 + (("title", "a"), ("title", "b"))[:1],
        declared=(Text("tag", max_count=1), Text("title", max_count=0)),
        foreseen=True,
    )
    if False
    else Case(
        *("a text that is longer than any may be", PNG, 413, "limit_exceeded"),
        texts=(("title", "x" * 101),),
        limits=Limits(field_size=100),
        foreseen=True,
    ),
    Case("too many texts", PNG, 413, "limit_exceeded", texts=(("a", "1"), ("b", "2")), limits=Limits(fields=1), foreseen=True),
    Case("a name that is too long", PNG, 413, "limit_exceeded", "x" * 300 + ".png", limits=Limits(filename_size=100), foreseen=True),
    Case(
        *("a typed form with two errors", PNG, 422, "invalid_form"),
        texts=(("title", "x"), ("age", "old")),
        model=Described,
    ),
    Case("a typed form without what it needs", PNG, 422, "invalid_form", texts=(("title", "abc"),), model=Described),
    Case("as much as the owner may have", bytes(5000), filename="a.bin", quota=Quota(bytes=6000)),
    Case("more than the owner may have", bytes(7000), 413, "quota_exceeded", "a.bin", quota=Quota(bytes=6000), foreseen=True),
    Case("one more than the owner may have", b"x", 413, "quota_exceeded", "a.bin", quota=Quota(files=0), foreseen=True),
    Case(
        *("a key that no storage takes", PNG, 500, "key_refused"),
        rules={"filename": named_by_its_client},
        texts=(("to", ".."),),
    ),
    Case("a key of the application's", PNG, rules={"filename": named_by_its_client}),
]


# What comes of a file


@dataclass(frozen=True)
class Outcome:
    """`problem` is what a client is told, `facts` what is remembered of the upload, None where there is no record."""

    status: int
    problem: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] | None = None


def told(status: int, problem: Mapping[str, Any], record: UploadRecord | None) -> Outcome:
    # How much was seen when a limit was passed depends on where the chunks end, by any door.
    known = {name: value for name, value in problem.items() if name not in ("seen", "expected", "provided")}
    return Outcome(status, known, None if record is None else _facts(record))


def _facts(record: UploadRecord) -> Mapping[str, Any]:
    if record.state is State.REJECTED:
        return {"state": record.state, "reason": record.reason, "size": record.size, "field": record.field}
    names = ("state", "field", "filename", "client_filename", "content_type", "declared_type", "size", "sha256", "owner")
    return {name: getattr(record, name) for name in names}


@dataclass
class Place:
    """An empty ledger and an empty storage."""

    ledger: Ledger
    storage: Storage
    staging: Storage | None
    is_async: bool

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        return Pipeline(self.ledger)

    def record(self) -> UploadRecord | None:
        """The one upload that may be known of; pieces are none."""
        records = [each for each in self.ledger.find(limit=100) if each.state is not State.DELETED]
        assert len(records) <= 1
        return records[0] if records else None

    def expect_stored(self, data: bytes | None) -> None:
        """These bytes are all that is stored, or nothing is."""
        left = [*left_in(self.storage), *([] if self.staging is None else left_in(self.staging))]
        record = self.record()
        if data is None:
            assert left == []
            assert self.ledger.find(resumable=True) == [] or record is None
        else:
            assert record is not None
            assert record.key is not None
            assert b"".join(self.storage.read(record.key)) == data
            assert len(left) == 1, left


Send = Callable[[Case, Place], Outcome]


# By a form


def by_form(case: Case, place: Place) -> Outcome:
    form = case.form()
    return _by_form(case, place, form.content_type, form.body)


def by_urlencoded_form(case: Case, place: Place) -> Outcome:
    """Text alone: it says what is wrong with that."""
    from urllib.parse import urlencode

    return _by_form(case, place, URLENCODED, urlencode(case.texts).encode())


def _by_form(case: Case, place: Place, content_type: str | None, body: bytes) -> Outcome:
    spec = case.spec(place.storage, place.pipeline, staging=place.staging)
    owned = Owned(place.pipeline, owner=OWNER, quota=case.quota, expected_size=len(case.data))
    spec = replace(spec, register=owned)

    async def arrive() -> None:
        received = await areceive_form(spec, content_type, _arriving(_chunks(body)), content_length=len(body))
        async with akept_if_handled(spec, received.submission):
            pass

    try:
        if place.is_async:
            asyncio.run(arrive())
        else:
            received = receive_form(spec, content_type, _chunks(body), content_length=len(body))
            with kept_if_handled(spec, received.submission):
                pass
    except UploadError as error:
        return told(error.status, error.problem(), place.record())
    return told(200, {}, place.record())


# By tus


class Tus:
    """Sends a file by tus: in how many requests, and how they are made, each door says by itself."""

    def __init__(self, case: Case, place: Place) -> None:
        self.case = case
        self.place = place
        spec = case.spec(place.storage, place.pipeline, staging=place.staging)
        self.server = Server(ResumableUploads(spec, quota=case.quota, wait_seconds=0.5))
        self.answer = Answer(status=200)

    def ask(self, method: str, upload: str, headers: Mapping[str, object], body: bytes = b"") -> bool:
        """Whether it was not refused. `answer` is what it was answered."""
        request = Request(
            method=method,
            path="/files/",
            upload=upload.rpartition("/")[2],
            headers={"tus-resumable": "1.0.0", **{name: str(value) for name, value in headers.items()}},
            body_length=len(body),
            owner=OWNER,
        )
        if self.place.is_async:
            self.answer = asyncio.run(self.server.arespond(request, _arriving(_chunks(body))))
        else:
            self.answer = self.server.respond(request, _chunks(body))
        return self.answer.status < 400

    def create(self, length: int | None, body: bytes | None = None, **headers: object) -> str:
        """Where it is, "" where it was refused."""
        said: dict[str, object] = {"upload-length": length} if length is not None else {"upload-defer-length": 1}
        if body is not None:
            said["content-type"] = "application/offset+octet-stream"
        said |= {"upload-metadata": self.metadata()} | {name.replace("_", "-"): each for name, each in headers.items()}
        return self.answer.headers["Location"] if self.ask("POST", "", said, body or b"") else ""

    def patch(self, upload: str, start: int, end: int, **headers: object) -> bool:
        said = {"content-type": "application/offset+octet-stream", "upload-offset": start}
        said |= {name.replace("_", "-"): each for name, each in headers.items()}
        if not self.ask("PATCH", upload, said, self.case.data[start:end]):
            return False
        assert self.answer.headers["Upload-Offset"] == str(end)
        return True

    def metadata(self) -> str:
        case = self.case
        pairs = [("filename", case.filename), *case.texts]
        if case.declared_type is not None:
            pairs.append(("filetype", case.declared_type))
        if len({name for name, _ in pairs}) < len(pairs):
            pytest.skip("tus takes a name once")
        return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in pairs)

    def outcome(self) -> Outcome:
        status = 200 if self.answer.status < 400 else self.answer.status
        return told(status, json.loads(self.answer.body) if self.answer.body else {}, self.place.record())


def by_one_patch(case: Case, place: Place) -> Outcome:
    tus = Tus(case, place)
    if (upload := tus.create(len(case.data))) and case.data:
        tus.patch(upload, 0, len(case.data))
    return tus.outcome()


def by_one_patch_that_is_verified(case: Case, place: Place) -> Outcome:
    tus = Tus(case, place)
    digest = base64.b64encode(hashlib.sha1(case.data).digest()).decode()
    if (upload := tus.create(len(case.data))) and case.data:
        tus.patch(upload, 0, len(case.data), upload_checksum=f"sha1 {digest}")
    return tus.outcome()


def by_one_post(case: Case, place: Place) -> Outcome:
    tus = Tus(case, place)
    tus.create(len(case.data), case.data)
    return tus.outcome()


def in_pieces(*cuts: int) -> Send:
    """In as many requests as the file is cut into."""

    def by_patches(case: Case, place: Place) -> Outcome:
        tus = Tus(case, place)
        if upload := tus.create(len(case.data)):
            for start, end in pairwise(sorted({0, len(case.data), *(cut for cut in cuts if cut < len(case.data))})):
                if not tus.patch(upload, start, end):
                    break
        return tus.outcome()

    return by_patches


def by_deferred_length(case: Case, place: Place) -> Outcome:
    """How long it is, is said with the last piece."""
    tus, half, size = Tus(case, place), len(case.data) // 2, len(case.data)
    if (upload := tus.create(None)) and tus.patch(upload, 0, half):
        tus.patch(upload, half, size, upload_length=size)
    return tus.outcome()


def by_concatenation(case: Case, place: Place) -> Outcome:
    """Of three pieces, of which nobody knows what they are."""
    tus, size = Tus(case, place), len(case.data)
    edges, pieces = [0, size // 3, size // 2, size], list[str]()
    for start, end in pairwise(edges):
        piece = Tus(replace(case, data=case.data[start:end], texts=(), filename=""), place)
        piece.server = tus.server
        location = piece.create(end - start, upload_concat="partial")
        if not location or (end > start and not piece.patch(location, 0, end - start)):
            return piece.outcome()
        pieces.append(location)
    said = {"upload-concat": f"final;{' '.join(pieces)}", "upload-metadata": tus.metadata()}
    tus.ask("POST", "", said)
    if tus.answer.status >= 400:  # pieces wait for another attempt until their time is over
        answer = tus.answer
        for each in pieces:
            tus.ask("DELETE", each, {})
        tus.answer = answer
    return tus.outcome()


TUS: Mapping[str, Send] = {
    "one PATCH": by_one_patch,
    "one PATCH that is verified": by_one_patch_that_is_verified,
    "one POST": by_one_post,
    "in pieces within its head": in_pieces(1, 2, 100, 4096, 8191),
    "in pieces around its head": in_pieces(8191, 8192, 8193),
    "in two pieces": in_pieces(5000),
    "in pieces behind its head": in_pieces(8192, 9000, 9001, 70_000),
    "of a length that is said late": by_deferred_length,
    "put together": by_concatenation,
}


# The same by all


@pytest.fixture(params=["blocking", "async"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with _ledger() as ledger:
        place = Place(ledger, MemoryStorage(), None, request.param == "async")
        yield place
        place.pipeline.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_form_says_of_a_file_what_the_table_does(case: Case, place: Place) -> None:
    """What the other doors are compared with."""
    outcome = by_form(case, place)
    assert (outcome.status, outcome.problem.get("code")) == (case.status, case.code)
    if case.status == 200:
        assert outcome.facts is not None
        assert outcome.facts["sha256"] == hashlib.sha256(case.data).hexdigest()
    place.expect_stored(case.data if case.status == 200 else None)


@pytest.mark.parametrize("door", TUS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_by_tus_is_what_it_is_by_a_form(case: Case, door: str, place: Place) -> None:
    """In however many requests it comes."""
    outcome = TUS[door](case, place)
    expect_same(outcome, _form_outcome(case.name), case)
    place.expect_stored(case.data if case.status == 200 else None)


def expect_same(outcome: Outcome, form: Outcome, case: Case) -> None:
    assert (outcome.status, outcome.problem) == (form.status, form.problem)
    if outcome.facts is None or form.facts is None:
        assert case.status != 200
        if outcome.facts is not None:  # it had a record before the first byte, and the form did not
            assert outcome.facts["state"] is State.REJECTED
            assert outcome.facts["reason"] == outcome.problem["detail"]
    else:
        assert outcome.facts == form.facts


@functools.cache
def _form_outcome(name: str) -> Outcome:
    case = next(each for each in CASES if each.name == name)
    with _ledger() as ledger:
        place = Place(ledger, MemoryStorage(), None, is_async=False)
        try:
            return by_form(case, place)
        finally:
            place.pipeline.close()


@contextmanager
def _ledger() -> Iterator[Ledger]:
    """A ledger with nothing in it, whose tables were made once. In memory, where there is a folder for that: what is on
    the disk when it is answered is not the question here, and would be most of the time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        path = Path(folder, "uploads.db")
        path.write_bytes(_tables())
        ledger = Ledger(f"sqlite:///{path}")
        try:
            yield ledger
        finally:
            ledger.close()


@functools.cache
def _tables() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{folder}/uploads.db")
        ledger.migrate()
        ledger.close()
        return Path(folder, "uploads.db").read_bytes()


def _chunks(body: bytes) -> Iterator[bytes]:
    """As adapters read it."""
    return (body[at : at + (1 << 16)] for at in range(0, len(body), 1 << 16))


async def _arriving(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
