"""What an inspection tells of a file, and that no file makes it fail."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.content.clamd import Clamd, eicar
from tests.content.hostile_archives import tarred, zipped
from tests.content.pictures import drawn, exif, written

from uploadkit import DOCUMENTS, IMAGES, FileRefused, MemoryStorage, ObjectMissing, Uploader, receive
from uploadkit.content import sandbox
from uploadkit.content.archives import Unpacked
from uploadkit.content.images import ImageInfo
from uploadkit.content.inspection import Inspection, Result, Verdict, inspect_file
from uploadkit.content.scanning import ClamAV
from uploadkit.policy.accept import AcceptRule
from uploadkit.policy.media_types import extension_of
from uploadkit.testing import SAMPLE_TYPES, FormBuilder, sample

TAR = tarred(("a", b"some bytes"), ("b", bytes(5000)))
SEEDS = {
    **{
        "a" + extension_of(kind): sample(kind) for kind in SAMPLE_TYPES if kind != "application/pdf"
    },  # has its own tests
    "a.tar": TAR,
    "a.gz": gzip.compress(TAR),
    "a.bz2": bz2.compress(TAR),
    "a.xz": lzma.compress(TAR),
    "a.rtf": b"{\\rtf1 {\\object\\objdata 00}}",
}


def passed(check: str) -> Verdict:
    return Verdict(check=check, result=Result.PASSED)


def test_all_that_is_told_of_a_picture() -> None:
    """As one value. A name leads nowhere, and what the client declares is repeated."""
    data = written(drawn(), "JPEG", exif=exif(6, offset="+02:00"))
    seen = inspect_file(io.BytesIO(data), name="../été.JPG", declared_type="image/jpg")
    assert seen.image is not None
    assert seen.image.taken_at is not None
    assert seen == Inspection(
        client_filename="../été.JPG",
        filename="été.JPG",
        size=len(data),
        named_type="image/jpeg",
        declared_type="image/jpg",
        content_type="image/jpeg",
        agreement=passed("accept"),
        checks=(passed("ImageCheck"),),
        image=ImageInfo(
            format="jpeg", width=40, height=60, frames=1, orientation=6, taken_at=seen.image.taken_at
        ),
    )  # fmt: skip
    assert seen.result is Result.PASSED


@pytest.mark.parametrize("kind", SAMPLE_TYPES)
def test_a_good_file_of_every_kind_agrees_with_itself(kind: str) -> None:
    """Its name, what a client declares and the bytes are one."""
    seen = inspect_file(io.BytesIO(sample(kind)), name="a" + extension_of(kind), declared_type=kind)
    assert (seen.content_type, seen.agreement) == (kind, passed("accept"))


def test_a_rule_is_tried() -> None:
    """As a field has it."""
    file = io.BytesIO(sample("application/zip"))
    assert inspect_file(file, accept=[IMAGES, ".zip"]).agreement == passed("accept")
    assert inspect_file(file, accept=IMAGES).agreement == Verdict(
        check="accept",
        result=Result.REFUSED,
        code="accept",
        text="is application/zip, which the field does not accept",
    )
    with pytest.raises(ValueError, match="unknown extension"):
        inspect_file(file, accept=".nope")


LATE = zipped(("first.bin", os.urandom(20_000)), ("[Content_Types].xml", b"?"), ("word/document.xml", b"?"))
"""A document whose parts come after the bytes that are looked at first."""


@pytest.mark.parametrize(
    ("name", "data", "accept"),
    [
        ("a.png", sample("image/png"), IMAGES),
        ("a.png", sample("image/png") + zipped(("a", b"a")), IMAGES),
        ("a.gif", sample("image/gif") + b"<script>alert(1)</script>", IMAGES),
        ("a.jpg", sample("image/jpeg", size=300_000) + zipped(("a", b"a")), IMAGES),
        ("a.pdf", sample("application/pdf") + zipped(("a", b"a")), DOCUMENTS),
        ("a.docx", LATE, DOCUMENTS),
        ("a.odt", LATE, DOCUMENTS),
        ("a.zip", LATE, ".zip"),
        ("a.txt", b"<html>", DOCUMENTS),
        ("a.css", b"a { color: teal }", ".css"),
        ("", b"", IMAGES),
    ],
)
def test_a_field_takes_what_the_inspection_says_that_it_takes(name: str, data: bytes, accept: AcceptRule) -> None:
    """And refuses the others, in the same words and with the same type: by the first bytes, the name, and the last."""
    verdict = inspect_file(io.BytesIO(data), name=name, accept=accept).agreement
    form = FormBuilder().file("file", data, filename=name or "a", content_type="application/octet-stream")
    spec = Uploader(MemoryStorage()).single("file", accept=accept)
    said = None
    try:
        receive(spec, form.content_type, [form.body])
    except FileRefused as refused:
        said = str(refused)
    assert said == (None if verdict == passed("accept") else f"file 'file' {verdict.text}")


def test_a_document_whose_parts_come_late_is_one() -> None:
    """Its name says so, and its end agrees; no rule needs to name it."""
    seen = inspect_file(io.BytesIO(LATE), name="a.docx")
    assert (seen.content_type, seen.named_type) == (seen.named_type, seen.content_type)
    assert (seen.agreement, [check.check for check in seen.checks]) == (
        passed("accept"),
        ["ArchiveCheck", "DocumentCheck"],
    )
    lying = inspect_file(io.BytesIO(LATE), name="a.odt")
    assert (lying.agreement.result, lying.content_type) == (Result.REFUSED, seen.content_type)


def test_a_path_gives_the_name_and_another_name_may_be_given(tmp_path: Path) -> None:
    """A file that is open has none."""
    path = tmp_path / "notes.txt"
    path.write_text("text")
    assert inspect_file(path).client_filename == "notes.txt"
    assert inspect_file(os.fspath(path)) == inspect_file(path)
    assert inspect_file(path, name="other.md").content_type == "text/markdown"
    with path.open("rb") as file:
        seen = inspect_file(file)
    assert (seen.client_filename, seen.filename, seen.named_type) == ("", None, None)


def test_an_open_file_is_read_from_its_beginning_and_left_where_it_stands() -> None:
    """Whoever reads it goes on."""
    for data in (sample("image/png"), sample("application/zip"), b"{\\rtf1", b"plain text"):
        file = io.BytesIO(data)
        file.seek(7)
        assert inspect_file(file).size == len(data)
        assert file.tell() == 7


def test_an_upload_says_itself_what_its_client_said() -> None:
    """Wherever it is stored."""
    form = FormBuilder().file("photo", sample("image/png"), filename="a b.gif", content_type="image/png")
    spec = Uploader(MemoryStorage()).single("photo")
    photo = receive(spec, form.content_type, [form.body])
    seen = inspect_file(photo)
    assert (seen.client_filename, seen.declared_type, seen.content_type) == ("a b.gif", "image/png", "image/png")
    assert seen.agreement.text == "is image/png, and its name ends in '.gif'"
    assert seen.image is not None
    photo.delete()
    with pytest.raises(ObjectMissing):
        inspect_file(photo)


def test_the_length_and_the_sides_of_a_film_are_told() -> None:
    """And that it has sound."""
    seen = inspect_file(Path(__file__).parents[1] / "samples" / "media" / "upright.mp4")
    assert seen.media is not None
    assert (seen.media.width, seen.media.height, seen.media.audio, seen.result) == (48, 64, True, Result.PASSED)
    assert seen.checks == ()


def test_what_an_archive_unpacks_to_is_told() -> None:
    """And what refuses it says so without the field, in which nobody has uploaded it."""
    seen = inspect_file(io.BytesIO(gzip.compress(TAR)))
    assert (seen.archive, seen.checks) == (Unpacked(entries=3, size=len(TAR), depth=2), (passed("ArchiveCheck"),))
    bomb = inspect_file(io.BytesIO(zipped(("zeros", bytes(20_000_000)))))
    assert bomb.archive is None
    assert bomb.checks == (
        Verdict(
            check="ArchiveCheck",
            result=Result.REFUSED,
            code="ArchiveCheck",
            text="the archive unpacks to more than 100 times its size",
        ),
    )
    assert bomb.result is Result.REFUSED


@given(
    st.sampled_from(sorted(SEEDS)),
    st.sampled_from(sorted(SEEDS)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 4), st.binary(max_size=4)), min_size=1, max_size=6),
)
def test_no_content_raises(seed: str, name: str, edits: list[tuple[int, int, bytes]]) -> None:
    """Whatever bytes are put in the place of others, removed or added, and whatever it is called."""
    data = bytearray(SEEDS[seed])
    for at, removed, added in edits:
        start = at % (len(data) + 1)
        data[start : start + removed] = added
    seen = inspect_file(io.BytesIO(data), name=name)
    assert seen.size == len(data)
    assert seen.result in (Result.PASSED, Result.REFUSED), seen.checks


def test_a_check_that_cannot_be_made_is_told_and_the_others_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has passed nothing, and refused nothing."""
    closed = sandbox.Sandbox()
    closed.close()
    monkeypatch.setattr(sandbox, "_default", closed)
    seen = inspect_file(io.BytesIO(sample("image/png")), name="a.png")
    assert (seen.agreement, seen.image) == (passed("accept"), None)
    assert seen.checks == (
        Verdict(
            check="ImageCheck", result=Result.NOT_RUN, text="the sandbox was closed, and takes no further calls"
        ),
    )  # fmt: skip
    assert seen.result is Result.NOT_RUN
    refused = inspect_file(io.BytesIO(sample("image/png")), name="a.jpg")
    assert refused.result is Result.REFUSED


class Breaking(io.BytesIO):
    """A disk that gives its first block and no other."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 0:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(size)


def test_what_cannot_be_read_raises(tmp_path: Path) -> None:
    """Nobody takes it for a file that is refused: a path that is no plain file, an open pipe, a disk that breaks."""
    with pytest.raises(IsADirectoryError):
        inspect_file(tmp_path)
    with pytest.raises(OSError, match="Not a plain file"):
        inspect_file(os.devnull)
    with pytest.raises(FileNotFoundError):
        inspect_file(tmp_path / "missing")
    reader, writer = os.pipe()
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe, pytest.raises(OSError, match="seek"):
        inspect_file(pipe)
    with pytest.raises(OSError, match="Input/output error"):
        inspect_file(Breaking(tarred(("a", bytes(200_000)))), name="a.tar")


@pytest.mark.needs("clamd")
def test_a_daemon_is_asked(clamd: Clamd) -> None:
    """Its word is told as those see it who run it."""
    infected = inspect_file(io.BytesIO(eicar()), scan=ClamAV(clamd.unix))
    assert infected.checks == (
        Verdict(
            check="ClamAV",
            result=Result.REFUSED,
            code="ClamAV",
            text="is infected: Uploadkit.Test.Eicar.UNOFFICIAL",
        ),
    )
    assert inspect_file(io.BytesIO(b"clean"), scan=ClamAV(clamd.tcp)).checks == (passed("ClamAV"),)
    large = inspect_file(io.BytesIO(bytes(2000)), scan=ClamAV(clamd.tcp, max_size=1000))
    assert large.result is Result.NOT_RUN
    assert "1000" in str(large.checks[0].text)
