"""Samples are what they say they are, at every size; names that are meant to do harm do none."""

from __future__ import annotations

import csv
import gzip
import io
import json
import wave
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from uploadkit import DiskStorage, MemoryStorage, Uploader, UploadError, receive, safe_filename
from uploadkit.policy.media_types import OASIS, OFFICE
from uploadkit.testing import HOSTILE_FILENAMES, SAMPLE_TYPES, FormBuilder, sample

SIZES = (0, 1, 1000, 9000, 200_001)
ZIPS = [kind for kind in SAMPLE_TYPES if kind.startswith((OFFICE, OASIS, "application/zip"))]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("media_type", SAMPLE_TYPES)
def test_a_sample_is_taken_for_its_type(media_type: str, size: int) -> None:
    """A field that accepts this type alone takes it, under its own name and declared as what it is."""
    form = FormBuilder().sample("f", media_type, size=size)
    accept = None if media_type == "application/octet-stream" else media_type
    file = receive(Uploader(MemoryStorage(), accept=accept).single("f"), form.content_type, [form.body])
    assert file.content_type == media_type
    assert size <= file.size <= size + 2000  # not much larger than was asked for


@pytest.mark.parametrize("media_type", SAMPLE_TYPES)
def test_the_same_call_makes_the_same_bytes(media_type: str) -> None:
    """No time and no chance is in them."""
    assert sample(media_type) == sample(media_type)
    assert sample(media_type, size=3000) == sample(media_type, size="3 kB")


def test_a_type_has_other_names() -> None:
    """Those that clients declare, with parameters."""
    assert sample("image/jpg") == sample("IMAGE/JPEG")
    assert sample("text/plain; charset=utf-8") == sample("text/plain")


def test_a_type_without_a_sample_is_a_mistake() -> None:
    """The error names those that there are."""
    with pytest.raises(ValueError, match="there is no sample of 'image/heic'; there are image/png, "):
        sample("image/heic")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("media_type", ZIPS)
def test_archives_open(media_type: str, size: int) -> None:
    """Every entry can be read, and markup in it parsed."""
    with zipfile.ZipFile(io.BytesIO(sample(media_type, size=size))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() != []
        for name in archive.namelist():
            if name.endswith((".xml", ".rels")):
                ElementTree.fromstring(archive.read(name))


@pytest.mark.parametrize("size", SIZES)
def test_texts_and_sound_can_be_read(size: int) -> None:
    """By the readers of the standard library."""
    assert json.loads(sample("application/json", size=size)) == {"hello": "world"}
    rows = [row for row in csv.reader(io.StringIO(sample("text/csv", size=size).decode())) if row]
    assert rows == [["name", "size"], ["sea", "1"], ["sky", "2"]]
    assert ElementTree.fromstring(sample("image/svg+xml", size=size)).tag == "{http://www.w3.org/2000/svg}svg"
    assert ElementTree.fromstring(sample("application/xml", size=size)).tag == "a"
    assert gzip.decompress(sample("application/gzip", size=size)) == b"hello\n"
    with wave.open(io.BytesIO(sample("audio/wav", size=size))) as sound:
        assert sound.getnframes() == len(sample("audio/wav", size=size)) - len(sample("audio/wav"))


@pytest.mark.parametrize("size", SIZES)
def test_the_table_of_a_pdf_points_at_its_objects(size: int) -> None:
    """Its end tells where the table is, and the table where each object begins."""
    pdf = sample("application/pdf", size=size)
    *_, start, end = pdf.splitlines()
    table = pdf[int(start) :].splitlines()
    assert (end, table[:2]) == (b"%%EOF", [b"xref", b"0 4"])
    for number, line in enumerate(table[3:6], 1):
        assert pdf[int(line.split()[0]) :].startswith(b"%d 0 obj\n" % number)


@pytest.mark.parametrize("name", HOSTILE_FILENAMES, ids=ascii)
def test_a_hostile_name_is_made_safe_or_refused(name: str, tmp_path: Path) -> None:
    """Also as a key on disk that is made of it: nothing lies outside the folder."""
    form = FormBuilder().file("f", sample("image/png"), filename=name)
    root = tmp_path / "uploads"
    try:
        file = receive(
            Uploader(DiskStorage(root), filename=lambda file: file.filename).single("f"), form.content_type, [form.body]
        )
    except UploadError as error:
        assert error.status in (400, 413, 415, 422)  # noqa: PT017  either of the two is right
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    else:
        assert safe_filename(file.filename) == file.filename
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [root / file.filename]


def test_hostile_names_are_hostile() -> None:
    """None is a safe name as it is, but for those that harm only who shows or runs them without care."""
    harmless = [name for name in HOSTILE_FILENAMES if _is_safe(name)]
    assert len(HOSTILE_FILENAMES) == len(set(HOSTILE_FILENAMES))
    assert harmless == [
        *("a\u2215b.png", "a.asp;.png", "a.php", "\u0430.png", "'; drop table files; --.png", "$(reboot).png"),
        *("`id`.png", "=1+1.csv", "%s%n.png", "\U0001f4a9.png"),
    ]


def _is_safe(name: str) -> bool:
    try:
        return safe_filename(name) == name
    except ValueError:
        return False
