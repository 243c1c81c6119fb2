"""A form that goes on without what a rule refused, as forms of a framework want it: the blocking driver is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pytest
from tests.intake.receiving import bytewise

from uploadkit.errors import FileRefused, LimitExceeded, SenderError, TruncatedForm
from uploadkit.intake.blocking import receive_form
from uploadkit.intake.spec import Spec
from uploadkit.policy.accept import IMAGES
from uploadkit.policy.fields import File, Text
from uploadkit.policy.filters import IncomingFile
from uploadkit.policy.limits import Limits
from uploadkit.storage.contract import Buffer, ObjectInfo
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
TEXT = b"just a text\n"


class NoSecrets:
    """A check of the whole file that refuses what ends in `secret`."""

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        if staged.read().endswith(b"secret"):
            raise FileRefused("the file holds a secret")


class Counting(MemoryStorage):
    """Counts what is written."""

    written = 0

    def open(self, key: str, info: ObjectInfo) -> Any:
        sink: Any = super().open(key, info)
        write = sink.write

        def counted(data: Buffer) -> None:
            self.written += len(data)
            write(data)

        sink.write = counted
        return sink


def received(
    spec: Spec[Submission], form: FormBuilder, chunks: Iterator[bytes] | None = None
) -> tuple[Submission, list[tuple[str | None, str, int]]]:
    """The submission, and what was refused: field, code, and how many came before."""
    refused: list[tuple[str | None, str, int]] = []

    def note(error: SenderError, nth: int) -> None:
        refused.append((error.field, error.code, nth))

    body = chunks or iter([form.body])
    return receive_form(spec, form.content_type, body, on_refused=note).submission, refused


def every_rule(storage: MemoryStorage) -> Spec[Submission]:
    return Uploader(storage, limits=Limits(file_size=100)).fields(
        File("pictures", accept=IMAGES, max_count=3),
        File("small", max_size=10),
        File("large", min_size=10),
        File("secret", check=NoSecrets()),
        File("drafts", max_count=None, filter=lambda file: not file.filename.startswith("draft")),
        Text("title", max_length=3),
    )


REFUSED = (
    FormBuilder()
    .text("before", "1")
    .file("pictures", PNG, filename="a.png")
    .file("pictures", TEXT, filename="b.png")
    .file("unknown", PNG, filename="a.png")
    .file("pictures", PNG, filename="c.png")
    .file("pictures", PNG, filename="d.png")
    .file("small", bytes(11), filename="a.bin")
    .file("large", bytes(9), filename="a.bin")
    .file("secret", b"a secret", filename="a.bin")
    .file("drafts", bytes(101), filename="a.bin")
    .file("drafts", bytes(1), filename="draft")
    .file("drafts", bytes(1), filename="b.bin")
    .text("title", "four")
    .text("after", "2")
)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "byte by byte"])
def test_what_a_rule_refuses_is_left_out_and_all_else_is_received(whole: bool) -> None:
    """Every rule of a field: each refusal is told with its field and its place, and nothing of it is left."""
    storage = MemoryStorage()
    chunks = None if whole else iter(bytewise(REFUSED.body))
    submission, refused = received(every_rule(storage), REFUSED, chunks)
    assert refused == [
        ("pictures", "file_refused", 1),
        ("unknown", "unexpected_field", 0),
        ("pictures", "limit_exceeded", 3),
        ("small", "limit_exceeded", 0),
        ("large", "file_refused", 0),
        ("secret", "file_refused", 0),
        ("drafts", "limit_exceeded", 0),
        ("drafts", "file_refused", 1),
        ("title", "field_refused", 0),
    ]
    assert [(file.field, file.filename) for file in submission.files] == [
        ("pictures", "a.png"),
        ("pictures", "c.png"),
        ("drafts", "b.bin"),
    ]
    assert submission.fields.multi_items() == (("before", "1"), ("after", "2"))
    assert (sorted(storage.objects), storage.unfinished) == (sorted(file.key for file in submission.files), [])


def test_after_a_refusal_nothing_more_of_the_file_is_stored() -> None:
    """Neither what is over its size, nor a byte of what its head decides."""
    storage = Counting()
    spec = Uploader(storage).fields(File("a", max_size=1 << 16), File("b", accept=IMAGES))
    form = FormBuilder().file("a", bytes(1 << 20), filename="a.bin").file("b", bytes(1 << 20), filename="b.png")
    body = form.body
    chunks = (body[at : at + 1024] for at in range(0, len(body), 1024))
    assert len(received(spec, form, chunks)[1]) == 2
    assert 0 < storage.written <= 1 << 16
    assert (storage.objects, storage.unfinished) == ({}, [])


def test_what_is_missing_is_told_as_well() -> None:
    """Each field by itself, when the form has ended."""
    spec = Uploader(MemoryStorage()).fields(File("a", required=True), Text("b", required=True))
    assert received(spec, FormBuilder())[1] == [("a", "field_missing", 0), ("b", "field_missing", 0)]


def test_a_form_is_refused_where_who_is_told_raises() -> None:
    """As if nobody had been told: nothing is left."""
    storage = MemoryStorage()

    def refuse(error: SenderError, nth: int) -> None:
        raise error

    with pytest.raises(FileRefused):
        receive_form(every_rule(storage), REFUSED.content_type, [REFUSED.body], on_refused=refuse)
    assert (storage.objects, storage.unfinished) == ({}, [])


def test_what_breaks_the_form_is_raised_all_the_same() -> None:
    """A body that was cut, and limits that protect the process: nobody is told, nothing is left."""
    storage = MemoryStorage()
    cut = REFUSED.body[:-8]
    with pytest.raises(TruncatedForm):
        received(every_rule(storage), REFUSED, iter([cut]))
    few = Uploader(storage, limits=Limits(files=1)).any(accept=IMAGES)
    form = FormBuilder().file("a", TEXT, filename="a.png").file("b", PNG, filename="b.png")
    with pytest.raises(LimitExceeded, match="more than 1 files"):
        received(few, form)
    assert (storage.objects, storage.unfinished) == ({}, [])
