"""What every adapter has to give a handler for each kind of spec, and which error it has to answer for each mistake.

Knows no framework: a test of an adapter sends the form of a row and compares with the row.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from uploadkit.errors import (
    FieldMissing,
    FieldRefused,
    FileRefused,
    KeyRefused,
    LimitExceeded,
    MalformedForm,
    ObjectExists,
    StorageFailed,
    TruncatedForm,
    UnexpectedField,
    UnsupportedMediaType,
    UploadError,
)
from uploadkit.intake.blocking import receive
from uploadkit.intake.spec import Spec
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.fields import File, Text
from uploadkit.policy.filters import IncomingFile
from uploadkit.storage.contract import ObjectInfo, Storage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FailingStorage, FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission, UploadedFile

EMPTY = FormBuilder()
AVATAR = FormBuilder().file("avatar", b"data", filename="me.bin")
MIXED = (
    FormBuilder()
    .text("tag", "new")
    .file("avatar", b"data", filename="me.bin")
    .text("title", "Été")
    .file("gallery", b"", filename="1.bin")
    .text("tag", "blue")
    .file("gallery", b"second", filename="2.bin")
)
MIXED_TEXTS = (("tag", "new"), ("title", "Été"), ("tag", "blue"))
MIXED_FILES = [("avatar", "me.bin", b"data"), ("gallery", "1.bin", b""), ("gallery", "2.bin", b"second")]


@dataclass(frozen=True)
class Handed:
    """A spec, a form that it takes, and what its handler is given, as `facts` has it."""

    name: str
    spec: Callable[[Uploader], Spec[Any]]
    form: FormBuilder
    value: object


HANDED = [
    Handed("single", lambda upload: upload.single("avatar"), AVATAR, ("avatar", "me.bin", b"data")),
    Handed("optional", lambda upload: upload.single("avatar", required=False), AVATAR, ("avatar", "me.bin", b"data")),
    Handed("optional, not sent", lambda upload: upload.single("avatar", required=False), EMPTY, None),
    Handed("array", lambda upload: upload.array("avatar"), AVATAR, [("avatar", "me.bin", b"data")]),
    Handed("array, not sent", lambda upload: upload.array("avatar"), EMPTY, []),
    Handed(
        "fields",
        lambda upload: upload.fields(File("avatar"), File("gallery", max_count=2), Text("title", required=True)),
        MIXED,
        (MIXED_FILES, MIXED_TEXTS),
    ),
    Handed("none", lambda upload: upload.none(), FormBuilder().text("a", "1\r\n2"), ([], (("a", "1\r\n2"),))),
    Handed("any", lambda upload: upload.any(), MIXED, (MIXED_FILES, MIXED_TEXTS)),
]


def facts(value: object) -> object:
    """What a handler was given, as plain data; a file is its field, its name and its bytes as they are stored."""
    if isinstance(value, UploadedFile):
        return value.field, value.filename, value.read()
    if isinstance(value, list):
        return [facts(each) for each in value]
    if isinstance(value, Submission):
        return [facts(file) for file in value.files], value.fields.multi_items()
    return value


def no_secrets(file: IncomingFile) -> bool:
    """A filter."""
    return b"data" not in file.head


async def asks_somebody(file: IncomingFile) -> bool:
    """An async filter."""
    return True


@dataclass(frozen=True)
class Mistake:
    """A spec and a request that must fail with `error`; `said` is what its problem details must say of it."""

    error: type[UploadError]
    status: int
    spec: Callable[[Storage], Spec[Any]]
    body: bytes = AVATAR.body
    content_type: str = AVATAR.content_type
    said: dict[str, object] = field(default_factory=dict)
    fails: bool = False

    @property
    def name(self) -> str:
        return f"{self.error.__name__} {self.status}"

    def storage(self) -> Storage:
        """Where the request goes: "taken" is a key that is there already, and with `fails` every write fails."""
        memory = memory_with_taken()
        return FailingStorage(memory, after=0, on="write") if self.fails else memory

    def problem(self) -> dict[str, object]:
        """The answer: what the core says of the same request."""
        with pytest.raises(self.error) as raised:
            receive(self.spec(self.storage()), self.content_type, [self.body], content_length=len(self.body))
        problem = raised.value.problem()
        assert problem | {"status": self.status, "code": self.error.code} | self.said == problem
        return problem


MISTAKES = [
    Mistake(MalformedForm, 400, lambda to: Uploader(to).any(), body=AVATAR.body.replace(b"; name=", b"; nome=")),
    Mistake(TruncatedForm, 400, lambda to: Uploader(to).any(), body=AVATAR.body[:-10]),
    Mistake(
        LimitExceeded,
        413,
        lambda to: Uploader(to, max_size=3).single("avatar"),
        said={"limit": "max_size", "allowed": 3, "seen": 4, "field": "avatar"},
    ),
    Mistake(UnsupportedMediaType, 415, lambda to: Uploader(to).any(), content_type="application/json"),
    Mistake(
        FileRefused,
        415,
        lambda to: Uploader(to, accept=IMAGES).any(),
        body=AVATAR.body.replace(b"me.bin", b"me.png"),
        said={"field": "avatar", "filter": "accept", "detected": "text/plain"},
    ),
    Mistake(
        FileRefused,
        422,
        lambda to: Uploader(to, filter=no_secrets).any(),
        said={"field": "avatar", "filter": "no_secrets"},
    ),
    Mistake(UnexpectedField, 422, lambda to: Uploader(to).none(), said={"field": "avatar"}),
    Mistake(FieldMissing, 422, lambda to: Uploader(to).single("avatar"), body=EMPTY.body, said={"field": "avatar"}),
    Mistake(
        FieldRefused,
        422,
        lambda to: Uploader(to).fields(File("avatar"), Text("title", max_length=2)),
        body=FormBuilder().file("avatar", b"data", filename="me.bin").text("title", "abc").body,
        said={"field": "title"},
    ),
    Mistake(StorageFailed, 503, lambda to: Uploader(to).any(), fails=True),
    Mistake(ObjectExists, 409, lambda to: Uploader(to, filename=lambda file: "taken").any()),
    Mistake(KeyRefused, 500, lambda to: Uploader(to, filename=lambda file: "../out").any()),
]


def expect_mistake(mistake: Mistake, storage: Storage, status: int, content_type: str | None, body: bytes) -> None:
    """The answer to a mistake is its problem details, and the storage holds what it held before."""
    problem = mistake.problem()
    assert (status, content_type) == (mistake.status, "application/problem+json")
    assert json.loads(body) == problem
    memory = storage.inner if isinstance(storage, FailingStorage) else storage
    assert isinstance(memory, MemoryStorage)
    assert memory.objects == memory_with_taken().objects
    assert memory.unfinished == []


def expect_nothing_left(storage: MemoryStorage) -> None:
    """No object, and none that was begun."""
    assert storage.objects == {}
    assert storage.unfinished == []


def memory_with_taken() -> MemoryStorage:
    """A storage with one object."""
    storage = MemoryStorage()
    storage.open("taken", ObjectInfo()).stage().commit()
    return storage
