"""The examples that are programs run, and say what they should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from examples.looking_inside import PDF
from tests.content.pictures import drawn, exif, written

ROOT = Path(__file__).parents[2]


def test_the_example_without_a_framework_runs(tmp_path: Path) -> None:
    """A file that is accepted, and one that is refused."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "any_source.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first == "me.png image/png 11"
    assert second.startswith("415 file_refused file 'avatar' is text/plain")


def test_the_example_of_archives_and_documents_runs(tmp_path: Path) -> None:
    """A good archive, and what each check refuses; and what is known of a PDF."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "looking_inside.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "stored photos.zip 206",
        "422 the file in field 'photos' was refused: the archive unpacks to more than 100 times its size",
        "422 the file in field 'photos' was refused: archives lie inside each other more than 1 deep",
        "422 the file in field 'backup' was refused: the name '../../.ssh/authorized_keys' in the archive leads out of "
        "its folder",
        "422 the document in field 'letter' has macros",
        "422 the document in field 'letter' has JavaScript",
        "0 ['javascript']",
    ]


def test_the_example_of_rules_runs(tmp_path: Path) -> None:
    """A form that passes, one that a check refuses, and one that a filter refuses."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "rules.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "July ['report.txt', 'table.csv']",
        "422 file_refused the file holds a secret",
        "422 file_refused the file in field 'report' was refused",
    ]


def test_the_example_of_metadata_runs(tmp_path: Path) -> None:
    """What is known of a picture, of a PDF, of a film and of a sound."""
    (tmp_path / "photo.jpg").write_bytes(written(drawn(), "JPEG", exif=exif(6)))
    (tmp_path / "letter.pdf").write_bytes(PDF)
    samples = ROOT / "tests" / "samples" / "media"
    files = ["photo.jpg", "letter.pdf", str(samples / "upright.mp4"), str(samples / "sound.flac")]
    command = [sys.executable, str(ROOT / "examples" / "metadata.py"), *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    picture, document, film, sound = done.stdout.splitlines()
    assert picture.startswith("photo.jpg image/jpeg {'format': 'jpeg', 'width': 40, 'height': 60, 'frames': 1, ")
    assert document == "letter.pdf application/pdf {'flags': frozenset({<Flag.JAVASCRIPT: 'javascript'>})}"
    assert film == "upright.mp4 video/mp4 {'duration': 1.5, 'width': 48, 'height': 64, 'audio': True, 'video': True}"
    assert sound == "sound.flac audio/flac {'duration': 0.6, 'audio': True}"
