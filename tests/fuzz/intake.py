"""The whole intake: a form is received, or a `SenderError` says why not and nothing of it is left; and cutting the body
elsewhere, or another driver, changes nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import count

from tests.intake.receiving import DRIVES, Drive, Refusal, left_in, refusal_of
from tests.multipart.cases import CASES
from tests.multipart.outcomes import MULTIPART_B, URLENCODED, cut_at, in_pieces
from tests.policy.test_accept import HEADS

from uploadkit.adapters.problem import problem_body
from uploadkit.errors import SenderError
from uploadkit.intake.spec import Spec
from uploadkit.policy.accept import DOCUMENTS, IMAGES
from uploadkit.policy.fields import File, Text
from uploadkit.policy.limits import Limits
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing.forms import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission

from . import multipart, urlencoded
from .choices import Choices

SMALL = Limits(body_size=600, file_size=40, files_size=60, files=2, fields=2, parts=4, field_size=8, fields_size=12)
CONTENT_TYPES = (MULTIPART_B, MULTIPART_B, URLENCODED, None)
_SMALL = 1  # the spec that has those limits
_RARELY = 32  # an event loop of its own costs more than all the rest
_PIECES = 100  # short bodies are cut into bytes

WORDS = (*multipart.WORDS, *urlencoded.WORDS, b'; name="f"', b'; name="t"', b'; filename="a.png"', b"\x89PNG\r\n\x1a\n")


def form(head: bytes, name: str) -> bytes:
    """A file and a text, the fields of all specs here."""
    return FormBuilder(boundary="b").file("f", head, filename=name).text("t", "x").body


SEEDS = (
    *(bytes([at, 0, 0, 0, 0]) + form(head[:200], "a.png") for at in range(4) for head in HEADS),
    *(bytes(5) + case.body for case in CASES[::4] if case.boundary == b"b"),
    bytes([2, 0, 2, 0, 0]) + b"t=1&u=%41",
    bytes([1, 1, 1, 7, 0, 9]) + form(b"x" * 100, "../con"),
    bytes([2, 0, 0, 0, 31]) + form(b"x", ".staging") * 2,
    *(bytes([at, 0, said, 0, 0]) + form(b"%PDF-1.4", "a.pdf")[:-6] for at in range(4) for said in range(3)),
    *(bytes([1, 0, 0, 0, 0]) + form(b"x" * size, "a") for size in (39, 40, 41, 42, 43)),
    bytes([2, 0, 0, 0, 0]) + FormBuilder(boundary="b").file("f", b"%PDF-1.4", filename="a.pdf").body,
    bytes([2, 0, 0, 0, 0]) + FormBuilder(boundary="b").file("a", b"1", filename="1").file("a", b"2", filename="x").body,
)


@dataclass(frozen=True, slots=True)
class Received:
    """What a submission says, and what lies in the storage."""

    files: tuple[object, ...]
    fields: tuple[tuple[str, str], ...]
    objects: dict[str, bytes]


def check(data: bytes) -> None:
    """Which spec, Content-Type and Content-Length, the cuts, which driver, and the body."""
    choices = Choices(data)
    which, content_type = choices.number(4), choices.of(CONTENT_TYPES)
    said = choices.number(8)
    cuts = choices.cuts()
    drive = DRIVES["async" if choices.number(_RARELY) == _RARELY - 1 else "blocking"]
    body = choices.rest()
    content_length = {0: None, 1: len(body) + 1, 2: max(0, len(body) - 1)}.get(said, len(body))
    seen = received(DRIVES["blocking"], which, content_type, [body], content_length)
    if isinstance(seen, Received):
        check_sizes(seen, body, SMALL if which == _SMALL else Limits())
    assert received(drive, which, content_type, cut_at(body, cuts), content_length) == seen
    pieces = in_pieces(body, 1 + len(body) // _PIECES)
    assert received(DRIVES["blocking"], which, content_type, pieces, content_length) == seen


def check_sizes(seen: Received, body: bytes, limits: Limits) -> None:
    """No more is stored than was sent, nor than is allowed."""
    files = [len(data) for data in seen.objects.values()]
    texts = [len(value.encode()) for _, value in seen.fields]
    assert sum(files) + sum(len(value) for _, value in seen.fields) <= len(body)
    for sizes, count_limit, size_limit, sum_limit in (
        (files, limits.files, limits.file_size, limits.files_size),
        (texts, limits.fields, limits.field_size, limits.fields_size),
    ):
        assert count_limit is None or len(sizes) <= count_limit
        assert size_limit is None or max(sizes, default=0) <= size_limit
        assert sum_limit is None or sum(sizes) <= sum_limit
    assert limits.body_size is None or len(body) <= limits.body_size


def received(
    drive: Drive, which: int, content_type: str | None, chunks: list[bytes], content_length: int | None
) -> Received | Refusal:
    """What comes of a form: with a refusal nothing is left."""
    storage = MemoryStorage()
    numbers = count()
    spec = replace(specs(storage)[which], new_key=lambda extension: f"{next(numbers)}{extension}")
    try:
        submission = drive(spec, content_type, chunks, content_length=content_length)
    except SenderError as error:
        assert left_in(storage) == []
        problem_body(error)
        return refusal_of(error)
    assert storage.unfinished == []
    assert sorted(storage.objects) == sorted(file.key for file in submission.files)
    for file in submission.files:
        assert file.size == len(storage.objects[file.key])
        assert file.digest == hashlib.sha256(storage.objects[file.key]).hexdigest()
    files = tuple((file.field, file.filename, file.client_filename, file.key, file.digest) for file in submission.files)
    return Received(files, tuple(submission.fields.multi_items()), storage.objects)


def specs(storage: MemoryStorage) -> tuple[Spec[Submission], ...]:
    """A spec that takes everything, one with small limits, one with rules, and one that takes no file."""
    uploader = Uploader(storage)
    return (
        uploader.any(),
        Uploader(storage, limits=SMALL).any(min_size=1),
        uploader.fields(
            File("f", accept=[IMAGES, DOCUMENTS], max_count=2, max_size=60),
            File("a", filename=lambda file: f"{file.id}/{file.filename}", filter=lambda file: file.filename != "x"),
            Text("t", required=True, max_length=4),
        ),
        uploader.none(),
    )
