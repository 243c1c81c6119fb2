"""One file, whichever door it comes by: the same verdict, the same error, the same record.

A row says what a form makes of a file; by every other door it is asked whether that is the same. What differs is said
here and nowhere else: a form knows nothing of a file before its first bytes, so that what those show leaves no record;
an upload in several requests has one before them, which is rejected. What could be seen before any byte is refused by
both without one.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, TypeAlias
from urllib.parse import quote, urlencode

import pytest
from pydantic import BaseModel, Field, create_model
from tests.intake.receiving import in_chunks, left_in
from tests.resumable.bucket import Bucket, Seen
from tests.resumable.talking import PATH, Talk, arriving, checksum, empty_ledger, metadata

from uploadkit.content.archives import ArchiveCheck
from uploadkit.content.images import ImageCheck
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
from uploadkit.resumable.ietf import PARTIAL_TYPE
from uploadkit.resumable.serving import Server
from uploadkit.resumable.uploads import ResumableUploads
from uploadkit.storage.contract import ObjectInfo, Sink, Storage, StoredObject
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder, sample
from uploadkit.uploader import Uploader
from uploadkit.uploads import UploadedFile

OWNER = "ann"

TAKEN = "taken"
"""A key under which there is an object."""

PNG = sample("image/png")
LARGE_PNG = sample("image/png", size=100_000)
JPEG = sample("image/jpeg")
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

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        if not staged.read().endswith(b"the end"):
            raise FileRefused("it is cut", field=file.field, filter="whole")


@dataclass(frozen=True)
class Case:
    """A file, the rules of its field, and what a form makes of it. `texts` stand before it. What is `foreseen` is
    refused before any byte of it: by what is said of it, or by its size alone."""

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
    foreseen: Literal["", "said", "size"] = ""
    optional: bool = False

    def form(self) -> FormBuilder:
        form = FormBuilder()
        for name, value in self.texts:
            form.text(name, value)
        return form.file("file", self.data, filename=self.filename, content_type=self.declared_type)

    @property
    def is_direct(self) -> bool:
        """Whether it can go straight to a storage: a file and nothing else."""
        # Under a key that is taken an upload may be finished by somebody else: it stays, until its time is over.
        return not (self.texts or self.declared or self.model or self.code == "object_exists")

    def spec(self, storage: Storage, pipeline: Pipeline | None, *, staging: Storage | None = None) -> Spec[Any]:
        options: dict[str, Any] = {} if self.limits is None else {"limits": self.limits}
        upload = Uploader(storage, pipeline=pipeline, staging=staging, **options)
        if self.model is not None:
            return upload.form(self.model if self.optional else _with_file(self.model, **self.rules))
        if self.declared:
            return upload.fields(File("file", required=not self.optional, **self.rules), *self.declared)
        return upload.single("file", **self.rules)


def _with_file(model: type[BaseModel], **rules: Any) -> type[BaseModel]:
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
    Case("a file with texts", PNG, texts=(("title", "Été"), ("tag", "a")), declared=(Text("title"),)),
    Case("a typed form", PNG, texts=(("title", "Holiday"), ("age", "30")), model=Described, rules={"accept": IMAGES}),
    Case("a type that is declared as it is", PNG, declared_type="image/png", rules={"accept": IMAGES}),
    Case("a wrong type by its name", PNG, 415, "file_refused", "me.pdf", rules={"accept": IMAGES}, foreseen="said"),
    Case(
        *("a wrong type as it is declared", PNG, 415, "file_refused", "me.png", "application/pdf"),
        rules={"accept": IMAGES},
        foreseen="said",
    ),
    Case("a wrong type by its bytes", PDF, 415, "file_refused", rules={"accept": IMAGES}),
    Case("a wrong type by its bytes, of some chunks", bytes(100_000), 415, "file_refused", rules={"accept": IMAGES}),
    Case("no type by its first bytes", b"?", 415, "file_refused", rules={"accept": IMAGES}),
    Case("an empty file where a picture is to be", b"", 415, "file_refused", rules={"accept": IMAGES}),
    Case("a wrong end", PNG + BOMB, 415, "file_refused", rules={"accept": IMAGES}),
    Case("a byte too much", bytes(10_001), 413, "limit_exceeded", "a.bin", rules={"max_size": 10_000}, foreseen="size"),
    Case("far too much", bytes(300_000), 413, "limit_exceeded", "a.bin", rules={"max_size": 10_000}, foreseen="size"),
    Case("too much for any file", bytes(50_001), 413, "limit_exceeded", "a.bin", limits=SMALL_LIMITS, foreseen="size"),
    Case("a byte too few", bytes(9), 422, "file_refused", "a.bin", rules={"min_size": 10}, foreseen="size"),
    Case("empty where bytes are to be", b"", 422, "file_refused", "a.bin", rules={"min_size": 1}, foreseen="size"),
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
    ),
    Case(
        "whole, for a check of what is staged", bytes(30_000) + b"the end", filename="a.bin", rules={"check": Whole()}
    ),
    Case(
        *("cut, for a check of what is staged", bytes(30_000), 422, "file_refused", "a.bin"),
        rules={"check": Whole()},
    ),
    Case("an archive", zipped(a="text"), filename="a.zip", rules={"accept": ".zip", "check": ArchiveCheck()}),
    Case(
        *("an archive that unpacks to too much", BOMB, 422, "file_refused", "a.zip"),
        rules={"accept": ".zip", "check": ArchiveCheck()},
    ),
    Case("a picture that can be decoded", JPEG, filename="me.jpg", rules={"accept": IMAGES, "check": ImageCheck()}),
    Case(
        *("a picture that is cut", JPEG[:-40], 422, "file_refused", "me.jpg"),
        rules={"accept": IMAGES, "check": ImageCheck()},
    ),
    Case(
        *("a damaged archive", zipped(a="text" * 9)[:-4], 422, "file_refused", "a.zip"),
        rules={"accept": ".zip", "check": ArchiveCheck()},
    ),
    Case(
        *("a text that is too long", PNG, 422, "field_refused"),
        texts=(("title", "eleven char"),),
        declared=(Text("title", max_length=10),),
        foreseen="said",
    ),
    Case(
        "a text that is missing", PNG, 422, "field_missing", declared=(Text("title", required=True),), foreseen="said"
    ),
    Case(
        *("a text that is longer than any may be", PNG, 413, "limit_exceeded"),
        texts=(("title", "x" * 101),),
        limits=Limits(field_size=100),
        foreseen="said",
    ),
    Case(
        "too many texts",
        PNG,
        413,
        "limit_exceeded",
        texts=(("a", "1"), ("b", "2")),
        limits=Limits(fields=1),
        foreseen="said",
    ),
    Case(
        "a name that is too long",
        PNG,
        413,
        "limit_exceeded",
        "x" * 300 + ".png",
        limits=Limits(filename_size=100),
        foreseen="said",
    ),
    Case(
        *("a typed form with two errors", PNG, 422, "invalid_form"),
        texts=(("title", "x"), ("age", "old")),
        model=Described,
        foreseen="said",
    ),
    Case(
        "a typed form without what it needs",
        PNG,
        422,
        "invalid_form",
        texts=(("title", "abc"),),
        model=Described,
        foreseen="said",
    ),
    Case("as much as the owner may have", bytes(5000), filename="a.bin", quota=Quota(bytes=6000)),
    Case(
        "more than the owner may have",
        bytes(7000),
        413,
        "quota_exceeded",
        "a.bin",
        quota=Quota(bytes=6000),
        foreseen="size",
    ),
    Case(
        "one more than the owner may have", b"x", 413, "quota_exceeded", "a.bin", quota=Quota(files=0), foreseen="size"
    ),
    Case(
        *("a key that no storage takes", PNG, 500, "key_refused"),
        rules={"filename": named_by_its_client},
        texts=(("to", ".."),),
    ),
    Case("a key that is taken", PNG, 409, "object_exists", rules={"filename": lambda file: TAKEN}),
    Case("a key of the application's", PNG, rules={"filename": named_by_its_client}),
]


# What comes of a file


@dataclass(frozen=True)
class Outcome:
    """`problem` is what a client is told, `facts` what is remembered of the upload, None where there is no record."""

    status: int
    problem: Mapping[str, Any]
    facts: Mapping[str, Any] | None


class Unable:
    """A storage that keeps nothing that is not whole, and shows nothing that is staged: bytes wait in another one."""

    name = "unable"
    may_block = False
    exclusive_commit = True

    def __init__(self, inner: MemoryStorage) -> None:
        self.inner = inner

    def open(self, key: str, info: ObjectInfo) -> Sink:
        return self.inner.open(key, info)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        return self.inner.read(key, start, end)

    def stat(self, key: str) -> StoredObject:
        return self.inner.stat(key)

    def delete(self, key: str) -> None:
        self.inner.delete(key)


@dataclass
class Place:
    """An empty ledger, and storages in which there is one object."""

    ledger: Ledger
    storage: Storage
    staging: Storage | None
    driver: str
    pipeline: Pipeline

    def record(self) -> UploadRecord | None:
        """That of the one upload. What a client has given up is none."""
        records = [each for each in self.ledger.find(limit=100) if each.state is not State.DELETED]
        assert len(records) <= 1
        return records[0] if records else None

    def outcome(self, status: int, problem: Mapping[str, Any]) -> Outcome:
        # How much was seen when a limit was passed depends on where the chunks end, by any door.
        known = {name: value for name, value in problem.items() if name != "seen"}
        record = self.record()
        return Outcome(200 if status < 400 else status, known, None if record is None else _facts(record))

    def expect_stored(self, data: bytes | None) -> None:
        """These bytes are all that is stored, or nothing is, and nobody has anything more to do with what is over."""
        left = {name for each in (self.storage, self.staging) if each is not None for name in _left_in(each)} - {TAKEN}
        record = self.record()
        if data is None:
            assert left == set()
            assert self.ledger.find(resumable=True) == []
        else:
            assert record is not None
            assert record.key is not None
            assert left == {record.key}
            assert b"".join(self.storage.read(record.key)) == data


def _facts(record: UploadRecord) -> Mapping[str, Any]:
    if record.state is State.REJECTED:
        return {"state": record.state, "reason": record.reason, "size": record.size, "field": record.field}
    told = ("state", "field", "filename", "client_filename", "content_type", "declared_type", "size", "sha256", "owner")
    return {name: getattr(record, name) for name in told}


def _left_in(storage: Storage) -> list[str]:
    return left_in(storage.inner if isinstance(storage, Unable) else storage)


# By a form


def by_form(case: Case, place: Place) -> Outcome:
    form = case.form()
    return _by_form(case, place, form.content_type, form.body)


def _by_form(case: Case, place: Place, content_type: str, body: bytes) -> Outcome:
    owned = Owned(place.pipeline, owner=OWNER, quota=case.quota, expected_size=len(case.data))
    spec = replace(case.spec(place.storage, place.pipeline, staging=place.staging), register=owned)

    async def arrive() -> None:
        received = await areceive_form(spec, content_type, arriving(in_chunks(body)), content_length=len(body))
        async with akept_if_handled(spec, received.submission):
            pass

    try:
        if place.driver == "async":
            asyncio.run(arrive())
        else:
            received = receive_form(spec, content_type, in_chunks(body), content_length=len(body))
            with kept_if_handled(spec, received.submission):
                pass
    except UploadError as error:
        return place.outcome(error.status, error.problem())
    return place.outcome(200, {})


# By tus


class Tus(Talk):
    """Sends a file by tus: in how many requests, and how they are made, each door says by itself."""

    def __init__(self, case: Case, place: Place) -> None:
        spec = case.spec(place.storage, place.pipeline, staging=place.staging)
        uploads = ResumableUploads(spec, staging=place.staging, quota=case.quota, wait_seconds=0.5)
        super().__init__(Server(uploads), place.driver, OWNER)
        texts = dict(case.texts) | ({} if case.declared_type is None else {"filetype": case.declared_type})
        self.words = metadata(filename=case.filename, **texts)


def by_one_patch(case: Case, place: Place) -> Outcome:
    tus = Tus(case, place)
    answer = tus.create(len(case.data), upload_metadata=tus.words)
    if answer.status == 201 and case.data:
        answer = tus.patch(answer.location, 0, case.data)
    return place.outcome(answer.status, answer.problem)


def by_one_patch_that_is_verified(case: Case, place: Place) -> Outcome:
    tus = Tus(case, place)
    answer = tus.create(len(case.data), upload_metadata=tus.words)
    if answer.status == 201 and case.data:
        answer = tus.patch(answer.location, 0, case.data, upload_checksum=checksum(case.data, "sha256"))
    return place.outcome(answer.status, answer.problem)


def by_one_post(case: Case, place: Place) -> Outcome:
    tus = Tus(case, place)
    answer = tus.create(len(case.data), case.data or None, upload_metadata=tus.words)
    return place.outcome(answer.status, answer.problem)


def in_pieces(*cuts: int) -> Door:
    """In as many requests as the file is cut into."""

    def by_patches(case: Case, place: Place) -> Outcome:
        tus, size = Tus(case, place), len(case.data)
        answer = begun = tus.create(size, upload_metadata=tus.words)
        for start, end in pairwise(sorted({0, size, *(cut for cut in cuts if cut < size)})):
            if answer.status >= 400:
                break
            answer = tus.patch(begun.location, start, case.data[start:end])
        return place.outcome(answer.status, answer.problem)

    return by_patches


def of_a_length_that_is_said_last(case: Case, place: Place) -> Outcome:
    """Neither the upload nor the request that brings its bytes says how many. A length that may not be is refused, and
    not the upload: its client may have meant another one. This one gives up."""
    tus, size = Tus(case, place), len(case.data)
    answer = begun = tus.create(None, upload_metadata=tus.words)
    if begun.status == 201:
        answer = tus.patch(begun.location, 0, case.data, length=None)
    if answer.status == 204:
        answer = tus.patch(begun.location, size, upload_length=size)
        if answer.status >= 400 and case.foreseen == "size":
            tus.delete(begun.location)
    return place.outcome(answer.status, answer.problem)


def put_together(case: Case, place: Place) -> Outcome:
    """Of three pieces, of which nobody knows what they are. What is refused is not made of them: they stay, until their
    client gives them up."""
    tus, size, pieces = Tus(case, place), len(case.data), list[str]()
    for start, end in pairwise([0, size // 3, size // 2, size]):
        answer = tus.create(end - start, case.data[start:end] or None, upload_concat="partial")
        if answer.status >= 400:
            break
        pieces.append(answer.location)
    else:
        answer = tus.put_together(*pieces, upload_metadata=tus.words)
    if answer.status >= 400:
        for each in pieces:
            tus.delete(each)
    return place.outcome(answer.status, answer.problem)


# By the draft of the IETF


class Ietf(Talk):
    """As `Tus`. A file's name and type are said as HTTP says them; texts by the metadata of tus, since it has no word
    for them."""

    def __init__(self, case: Case, place: Place) -> None:
        super().__init__(Tus(case, place).server, place.driver, OWNER, version=None)
        self.words: dict[str, Any] = {
            "content_type": case.declared_type,
            "content_disposition": f"attachment; filename*=UTF-8''{quote(case.filename, safe='')}",
            "upload_metadata": metadata(**dict(case.texts)) or None,
        }


def by_one_ietf_post(case: Case, place: Place) -> Outcome:
    ietf = Ietf(case, place)
    answer = ietf.ask("POST", f"{PATH}/", case.data, upload_complete="?1", **ietf.words)
    return place.outcome(answer.status, answer.problem)


def by_ietf_patches(case: Case, place: Place) -> Outcome:
    """It begins without content: nobody can be told by 104 where an upload is."""
    ietf, size = Ietf(case, place), len(case.data)
    answer = begun = ietf.ask("POST", f"{PATH}/", upload_complete="?0", upload_length=size, **ietf.words)
    edges = [0, *(cut for cut in (8191, 20_000) if cut < size), size]
    for start, end in pairwise(edges):
        if answer.status >= 400:
            break
        said: dict[str, Any] = {"content_type": PARTIAL_TYPE, "upload_complete": "?1" if end == size else "?0"}
        answer = ietf.ask("PATCH", begun.location, case.data[start:end], upload_offset=start, **said)
    return place.outcome(answer.status, answer.problem)


# Straight to a storage


def direct(case: Case, place: Place) -> Outcome:
    assert isinstance(place.storage, Bucket)
    owned = Owned(place.pipeline, owner=OWNER, quota=case.quota, expected_size=len(case.data))
    spec = replace(case.spec(place.storage, place.pipeline), register=owned)
    uploads = DirectUploads(spec, digest=True)
    try:
        begun = uploads.begin(case.filename, case.declared_type, len(case.data))
        place.storage.post(begun.url, begun.fields, case.data)
        if place.driver == "async":
            asyncio.run(uploads.afinish(begun.token))
        else:
            uploads.finish(begun.token)
    except UploadError as error:
        return place.outcome(error.status, error.problem())
    return place.outcome(200, {})


Door: TypeAlias = Callable[[Case, Place], Outcome]

DOORS: Mapping[str, Door] = {
    "one PATCH": by_one_patch,
    "one PATCH that is verified": by_one_patch_that_is_verified,
    "one POST": by_one_post,
    "two pieces": in_pieces(5000),
    "many pieces": in_pieces(1, 2, 4096, 8191, 8192, 8193, 70_000),
    "a length that is said last": of_a_length_that_is_said_last,
    "put together": put_together,
    "IETF, one POST": by_one_ietf_post,
    "IETF, PATCHes": by_ietf_patches,
}

KNOWS_NO_SIZE = ("a length that is said last", "put together")
"""Of what comes by these doors the size is known no earlier than in a form, or is that of no piece."""

WAYS = [
    *(("blocking", "memory", door) for door in DOORS),
    *(("async", "memory", door) for door in DOORS),
    *(("blocking", "disk", door) for door in DOORS),
    *(("blocking", "staging", door) for door in DOORS),
]
IN_EVERY_RUN = [
    *(("blocking", "memory", door) for door in DOORS),
    *(("async", "memory", door) for door in ("one PATCH", "two pieces", "IETF, PATCHes")),
    *(("blocking", "disk", door) for door in ("many pieces", "put together")),
    ("blocking", "staging", "two pieces"),
]


# The same by all


@pytest.mark.parametrize("driver", ["blocking", "async"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_form_says_of_a_file_what_the_table_does(case: Case, driver: str, tmp_path: Path) -> None:
    """What the other doors are compared with."""
    with place_of(driver, "memory", tmp_path) as place:
        outcome = by_form(case, place)
        assert (outcome.status, outcome.problem.get("code")) == (case.status, case.code)
        if case.status == 200:
            assert outcome.facts is not None
            assert outcome.facts["sha256"] == hashlib.sha256(case.data).hexdigest()
        place.expect_stored(case.data if case.status == 200 else None)


@pytest.mark.parametrize(
    "way",
    [pytest.param(way, id="-".join(way), marks=() if way in IN_EVERY_RUN else pytest.mark.soak) for way in WAYS],
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_is_what_it_is_by_a_form(case: Case, way: tuple[str, str, str], tmp_path: Path) -> None:
    """In however many requests it comes, and wherever its bytes wait."""
    driver, storages, door = way
    form = form_outcome(case.name)
    with place_of(driver, storages, tmp_path) as place:
        outcome = DOORS[door](case, place)
        if door == "a length that is said last" and case.quota is not None and case.quota.bytes is not None:
            assert (outcome.status, outcome.facts) == (411, None)  # as a form without a Content-Length by the service
            return
        expect_same(outcome, form, case)
        place.expect_stored(case.data if case.status == 200 else None)
    if case.foreseen and (case.foreseen == "said" or door not in KNOWS_NO_SIZE):
        assert outcome.facts is None
    elif case.foreseen != "size":
        assert outcome.facts is not None


@pytest.mark.parametrize("case", [case for case in CASES if case.declared or case.model], ids=lambda case: case.name)
def test_texts_by_an_urlencoded_form_are_what_they_are_by_any_other(case: Case, tmp_path: Path) -> None:
    """It brings no file, and says no more of the texts than that."""
    case = replace(case, data=b"", optional=True)
    form = FormBuilder()
    for name, value in case.texts:
        form.text(name, value)
    outcomes = []
    for content_type, body in ((URLENCODED, urlencode(case.texts).encode()), (form.content_type, form.body)):
        with place_of("blocking", "memory", tmp_path) as place:
            outcomes.append(_by_form(case, place, content_type, body))
            place.expect_stored(None)
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].problem.get("code") == case.code


@pytest.mark.parametrize("driver", ["blocking", "async"])
@pytest.mark.parametrize("case", [case for case in CASES if case.is_direct], ids=lambda case: case.name)
def test_a_file_that_goes_straight_to_a_storage_is_what_it_is_by_a_form(
    case: Case, driver: str, tmp_path: Path
) -> None:
    """It has texts of no kind."""
    form = form_outcome(case.name)
    with place_of(driver, "bucket", tmp_path) as place:
        outcome = direct(case, place)
        expect_same(outcome, form, case)
        place.expect_stored(case.data if case.status == 200 else None)
        assert isinstance(place.storage, Bucket)
        assert place.storage.sent == {}
    assert (outcome.facts is None) == bool(case.foreseen)


def expect_same(outcome: Outcome, form: Outcome, case: Case) -> None:
    """What is seen before the first byte is told in other words, since nobody knows what that would have shown."""
    told, by_form = dict(outcome.problem), dict(form.problem)
    if case.foreseen:
        for each in (told, by_form):
            for name in ("detail", "detected", "field"):
                each.pop(name, None)
    assert (outcome.status, told) == (form.status, by_form)
    if outcome.facts is not None and form.facts is not None:
        assert outcome.facts == form.facts
    elif outcome.facts is not None:
        assert outcome.facts["state"] is State.REJECTED
        assert outcome.facts["reason"] == outcome.problem["detail"]


@functools.cache
def form_outcome(name: str) -> Outcome:
    case = next(each for each in CASES if each.name == name)
    with place_of("blocking", "memory", Path()) as place:
        return by_form(case, place)


@contextmanager
def place_of(driver: str, storages: str, folder: Path) -> Iterator[Place]:
    """`storages` is memory, disk, bucket, or staging: in a storage that keeps what is not whole, before one that
    cannot."""
    memory = MemoryStorage()
    kinds: dict[str, Storage] = {
        "memory": memory,
        "disk": DiskStorage(folder / "disk"),
        "staging": Unable(memory),
        "bucket": Bucket(),
    }
    storage, staging = kinds[storages], MemoryStorage("staging") if storages == "staging" else None
    storage.open(TAKEN, ObjectInfo()).stage().commit()
    ledger = empty_ledger()
    pipeline = Pipeline(ledger)
    try:
        yield Place(ledger, storage, staging, driver, pipeline)
    finally:
        pipeline.close()
