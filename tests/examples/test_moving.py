"""The examples of moving files: the program says what it should, and the check reads before its file goes on."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from examples.staged_checks import archives
from tests.storage.kinds import files_below

from uploadkit import FileRefused, MemoryStorage, receive
from uploadkit.testing import FormBuilder

ROOT = Path(__file__).parents[2]


def test_the_program_moves_copies_lists_and_forgets(tmp_path: Path) -> None:
    """What is left on the disk is what it has kept and copied."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "moving_files.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "kept      sea.txt 3 b'sea'",
        "media     ['cover.txt', 'photos']",
        "photos    [(3, True)]",
        "left over shore.txt 2",
    ]
    assert [Path(name).parts[:2] for name in sorted(files_below(tmp_path))] == [
        ("media", "cover.txt"),
        ("media", "photos"),
    ]


class Media(MemoryStorage):
    """As S3: what is staged in it cannot be read."""

    reads_staged = False


def test_an_archive_is_examined_before_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is fine arrives; a bomb, and what is no archive at all, leave nothing in either place."""
    monkeypatch.chdir(tmp_path)
    media = Media()
    spec = archives(media)
    fine = FormBuilder().file("archive", zipped(b"hello"), filename="a.zip")
    receive(spec, fine.content_type, [fine.body]).delete()
    for data, text in ((zipped(bytes(100_000_001)), "holds 100000001 bytes"), (zipped(b"x")[:-10], "cannot be read")):
        bad = FormBuilder().file("archive", data, filename="a.zip")
        with pytest.raises(FileRefused, match=text):
            receive(spec, bad.content_type, [bad.body])
    assert (media.objects, media.unfinished, files_below(tmp_path)) == ({}, [], set())


def zipped(data: bytes) -> bytes:
    """An archive with one file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("file", data)
    return stream.getvalue()
