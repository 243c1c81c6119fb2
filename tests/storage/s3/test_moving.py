"""Files into a bucket and from one to another: promoted, examined on their way, and by S3 itself where it can."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tests.storage.kinds import files_below, put
from tests.storage.s3.places import Locate, Place
from tests.storage.s3.server import BUCKET

from uploadkit import DiskStorage, FileRefused, MemoryStorage, UploadedFile, Uploader, promote, receive
from uploadkit.policy.filters import IncomingFile
from uploadkit.testing import FailingStorage, FormBuilder

DATA = b"%PDF-1.7\n" + bytes(range(256)) * (6 * 2**12)  # two parts


class Scan:
    """A check that reads the staged file."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        self.seen.append(staged.read())
        if b"virus" in self.seen[-1]:
            raise FileRefused("it has a virus", filter="scan")


def uploaded(storage: Any, key: str = "3f/report.pdf") -> UploadedFile:
    put(storage, key, DATA)
    return UploadedFile(
        id="id",
        field="report",
        filename="report.pdf",
        client_filename="report.pdf",
        content_type="application/pdf",
        declared_type=None,
        size=len(DATA),
        sha256=hashlib.sha256(DATA).hexdigest(),
        key=key,
        storage=storage,
    )


def test_a_file_goes_from_disk_into_a_bucket_and_on_into_another_prefix(
    place: Place, locate: Locate, tmp_path: Path
) -> None:
    """With its type and its name; the second time S3 copies it."""
    disk, other = DiskStorage(tmp_path), locate(place.server)
    file = uploaded(disk)
    promoted = promote(file, to=place.storage())
    assert (place.get(file.key), files_below(tmp_path)) == (DATA, set())
    moved = promote(promoted, to=FailingStorage(other.storage(), after=0, on="open"))
    assert (place.keys(), other.keys()) == ([], [file.key])
    assert moved == replace(file, storage=moved.storage)
    for at in (place, other):
        assert at.left() == []
    head = place.server.client.head_object(Bucket=BUCKET, Key=f"{other.prefix}/{file.key}")
    assert head["ContentType"] == "application/pdf"
    assert "report.pdf" in head["ContentDisposition"]


def test_a_promotion_into_a_bucket_is_made_again(place: Place, tmp_path: Path) -> None:
    """The file could not be deleted: what is in the bucket is compared, and not sent again."""
    disk, media = DiskStorage(tmp_path), place.storage()
    file = uploaded(disk)
    promote(file, to=media)
    put(disk, file.key, DATA)
    assert promote(file, to=FailingStorage(media, after=0, on="open")).read() == DATA
    assert (place.keys(), files_below(tmp_path)) == ([file.key], set())


def test_a_file_is_examined_on_disk_before_it_goes_into_a_bucket(place: Place, tmp_path: Path) -> None:
    """A refused one never comes near it."""
    scan = Scan()
    spec = Uploader(place.storage(), staging=DiskStorage(tmp_path), check=scan).array("report")
    form = FormBuilder().file("report", DATA, filename="a.pdf").file("report", b"small", filename="b.txt")
    files = receive(spec, form.content_type, [form.body])
    assert scan.seen == [DATA, b"small"] == [place.get(file.key) for file in files]
    for file in files:
        file.delete()
    form.file("report", b"a virus", filename="c.txt")
    with pytest.raises(FileRefused):
        receive(spec, form.content_type, [form.body])
    assert (place.keys(), place.left(), files_below(tmp_path)) == ([], [], set())


@pytest.mark.parametrize("call", ["write", "stage", "commit"])
def test_a_bucket_that_fails_while_a_file_goes_there_has_nothing_of_it(place: Place, call: Any) -> None:
    """No object and no open upload, of the first file either."""
    staging = MemoryStorage()
    media = FailingStorage(place.storage(), after=1, on=call)
    spec = Uploader(media, staging=staging, check=Scan()).array("report")
    form = FormBuilder().file("report", DATA, filename="a.pdf").file("report", DATA, filename="b.pdf")
    with pytest.raises(Exception, match="told to fail"):
        receive(spec, form.content_type, [form.body])
    assert (place.keys(), place.left(), staging.objects, staging.unfinished) == ([], [], {}, [])
