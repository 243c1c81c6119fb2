"""The examples of pictures: the route, and the sheet that stands in the documents."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageChops, ImageStat
from tests.content.pictures import drawn, exif, written

ROOT = Path(__file__).parents[2]


def test_the_route_checks_a_picture_and_makes_smaller_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no picture is refused, and nothing is stored but what the answer tells."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "examples.images_app", raising=False)
    from examples.images_app import app

    picture = written(drawn((3000, 2000)), "JPEG", exif=exif(6))
    with TestClient(app) as client:
        answer = client.post("/photos", files={"photo": ("sea.jpg", picture, "image/jpeg")})
        refused = client.post("/photos", files={"photo": ("sea.jpg", picture[:5000], "image/jpeg")})
    assert answer.json() == {
        "format": "jpeg",
        "taken_at": "2026-07-01T12:30:00",
        "variants": {"thumbnail": [200, 200, "image/jpeg"], "large": [720, 1080, "image/jpeg"]},
    }
    assert (refused.status_code, refused.json()["filter"]) == (422, "image_damaged")
    assert len([*Path("uploads").glob("[!.]*")]) == 3


def test_the_program_writes_smaller_pictures_beside_a_file(tmp_path: Path) -> None:
    """Under names of its own."""
    (tmp_path / "sea.jpg").write_bytes(written(drawn((3000, 2000)), "JPEG"))
    command = [sys.executable, str(ROOT / "examples" / "thumbnails.py"), str(tmp_path / "sea.jpg")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "sea-thumbnail.jpg 200 200",
        "sea-page.jpg 800 533",
        "sea-wide.webp 1280 853",
    ]
    assert {path.name for path in tmp_path.glob("sea-*")} == {line.split()[0] for line in done.stdout.splitlines()}


def test_the_sheet_in_the_documents_is_the_one_that_is_drawn(tmp_path: Path) -> None:
    """But for what another version of an encoder does to a pixel."""
    path = tmp_path / "sheet.png"
    subprocess.run([sys.executable, ROOT / "examples" / "contact_sheet.py", path], check=True, capture_output=True)
    shown = Image.open(io.BytesIO((ROOT / "docs" / "img" / "contact-sheet.png").read_bytes())).convert("RGB")
    drawn_now = Image.open(path).convert("RGB")
    assert shown.size == drawn_now.size
    assert max(ImageStat.Stat(ImageChops.difference(shown, drawn_now)).mean) < 2
