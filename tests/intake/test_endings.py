"""When a file is judged: what its first bytes decide opens no sink, what the last ones decide publishes nothing."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tests.intake.called import CalledStorage
from tests.intake.receiving import Drive, in_chunks, refusal

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, File, IncomingFile, MemoryStorage, Storage, Uploader
from uploadkit.policy.signatures import HEAD_SIZE
from uploadkit.testing import FormBuilder, sample

PNG = sample("image/png")
LONG_PNG = sample("image/png", size=50_000)
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def zipped(*names: str, first_size: int = 2 * HEAD_SIZE) -> bytes:
    """An archive whose first entry is longer than what is read before a file is judged."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, bytes(0 if number else first_size))
    return held.getvalue()


LATE_DOCX = zipped("word/media/1.png", "[Content_Types].xml", "word/document.xml")

BY_THE_HEAD = {
    "a script": (b"#!/bin/sh\n" * 9000, "a.png"),
    "a page": (b"<html>" + b" " * 90_000, "a.png"),
    "a picture with another's name": (LONG_PNG, "a.gif"),
    "a document in an archive's clothes": (zipped("word/document.xml", "b"), "a.zip"),
    "an archive in a document's clothes": (zipped("a", "b", first_size=10), "a.docx"),
    "an archive behind a picture, all in the head": (PNG + zipped("a", first_size=10), "a.png"),
    "a script behind a picture, all in the head": (PNG + b"<script >", "a.png"),
    "nothing": (b"", "a.png"),
}

BY_THE_TAIL = {
    "a document in an archive's clothes": (LATE_DOCX, "a.zip"),
    "an archive in a document's clothes": (zipped("a", "b"), "a.docx"),
    "an archive behind a picture": (LONG_PNG + zipped("a"), "a.png"),
    "a script behind a picture": (LONG_PNG + b"<?php system($_GET[0]);", "a.png"),
    "an archive behind a PDF": (sample("application/pdf", size=50_000) + zipped("a"), "a.pdf"),
    "an archive behind an archive": (LATE_DOCX + zipped("a", "b"), "a.docx"),
}


class Unasked:
    """A check of the whole file, which is asked about none of these."""

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        assert file.filename == "good.png"


def spec_of(storage: Storage, *checks: Any) -> Any:
    """Takes pictures, documents and archives."""
    return Uploader(storage).fields(File("f", max_count=2, accept=[IMAGES, DOCUMENTS, "application/zip"], check=checks))


def form(data: bytes, filename: str) -> FormBuilder:
    return FormBuilder(boundary="b").file("f", data, filename=filename)


@pytest.mark.parametrize("chunk_size", [1000, HEAD_SIZE, 2**20])
@pytest.mark.parametrize("name", BY_THE_HEAD)
def test_what_the_head_decides_opens_no_sink(drive: Drive, name: str, chunk_size: int) -> None:
    """The storage is not asked for anything."""
    calls: list[str] = []
    storage = CalledStorage(calls.append)
    sent = form(*BY_THE_HEAD[name])
    refused = refusal(drive, spec_of(storage, Unasked()), sent, storage.inner, chunks=in_chunks(sent.body, chunk_size))
    assert (refused.status, refused.filter, calls) == (415, "accept", [])


@pytest.mark.parametrize("storage_in", [lambda _: MemoryStorage(), DiskStorage], ids=["memory", "disk"])
@pytest.mark.parametrize("name", BY_THE_TAIL)
def test_what_the_tail_decides_is_refused_before_it_is_published(
    drive: Drive, tmp_path: Path, name: str, storage_in: Callable[[Path], Storage]
) -> None:
    """It was written, and nothing of it is left, nor of the good file before it."""
    calls: list[str] = []
    inner = storage_in(tmp_path)
    data, filename = BY_THE_TAIL[name]
    sent = form(LONG_PNG, "good.png").file("f", data, filename=filename)
    refused = refusal(drive, spec_of(CalledStorage(calls.append, inner), Unasked()), sent, inner)
    assert (refused.status, refused.filter) == (415, "accept")
    assert calls.count("open") == 2
    assert "commit" not in calls


def test_a_document_whose_parts_come_late_is_one(drive: Drive) -> None:
    """Its name says so, and then its directory."""
    storage = MemoryStorage()
    sent = form(LATE_DOCX, "a.docx")
    [file] = drive(spec_of(storage), sent.content_type, in_chunks(sent.body)).files
    assert (file.content_type, file.key.endswith(".docx"), file.read()) == (WORD, True, LATE_DOCX)


@pytest.mark.parametrize("name", BY_THE_TAIL)
def test_without_accept_nothing_has_to_agree(drive: Drive, name: str) -> None:
    """Every file comes in, as what its first bytes show."""
    data, filename = BY_THE_TAIL[name]
    sent = form(data, filename)
    [file] = drive(Uploader(MemoryStorage()).any(), sent.content_type, in_chunks(sent.body)).files
    assert file.read() == data
