"""`image_info`: what a picture says of itself, and that nothing is so odd that it raises."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from tests.content.pictures import BAD, GOOD, JPEG, animated, drawn, exif, written

from uploadkit import MemoryStorage, Uploader, receive
from uploadkit.content.images import ImageInfo, aimage_info, image_info
from uploadkit.content.sandbox import Sandbox
from uploadkit.testing import FormBuilder, assert_no_leaks


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_sides_are_those_that_are_seen(format: str, orientation: int) -> None:
    """A picture that was held upright is higher than wide, and says how it was held."""
    info = image_info(io.BytesIO(written(drawn(), format, exif=exif(orientation))))
    upright = orientation in (6, 8)
    assert info == ImageInfo(
        format=format.lower(),
        width=40 if upright else 60,
        height=60 if upright else 40,
        frames=1,
        orientation=orientation,
        taken_at=datetime(2026, 7, 1, 12, 30),
    )


def test_when_it_was_taken_has_a_zone_where_the_camera_said_one() -> None:
    """EXIF's offset; else the camera's clock as it stood."""
    info = image_info(io.BytesIO(written(drawn(), "JPEG", exif=exif(1, offset="+02:00"))))
    assert info.taken_at == datetime(2026, 7, 1, 10, 30, tzinfo=UTC)
    assert info.taken_at is not None
    assert info.taken_at.tzinfo == timezone(timedelta(hours=2))


@pytest.mark.parametrize("taken", ["0000:00:00 00:00:00", "    :  :     :  :  ", "today", "", "2026:13:45 99:99:99"])
def test_a_camera_without_a_clock_took_it_at_no_time(taken: str) -> None:
    """What it writes instead is no moment."""
    assert image_info(io.BytesIO(written(drawn(), "JPEG", exif=exif(1, taken=taken)))).taken_at is None


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_is_none(orientation: int) -> None:
    """The picture is as it is."""
    info = image_info(io.BytesIO(written(drawn(), "JPEG", exif=exif(orientation))))
    assert (info.width, info.height, info.orientation) == (60, 40, 1)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_frames_are_counted(format: str) -> None:
    """More than one is an animation."""
    assert image_info(io.BytesIO(animated(format, 4))).frames == 4


@pytest.mark.parametrize("name", GOOD)
def test_a_picture_has_sides_and_a_format(name: str) -> None:
    """Whatever phones, cameras and programs write."""
    info = image_info(io.BytesIO(GOOD[name][1]()))
    assert info.format in ("jpeg", "png", "gif", "webp", "avif")
    assert info.width is not None
    assert info.height is not None
    assert info.frames is not None


@pytest.mark.parametrize("name", BAD)
def test_odd_input_raises_nothing(name: str) -> None:
    """What is not known is None."""
    with assert_no_leaks():
        info = image_info(io.BytesIO(BAD[name][2]()))
    assert info.taken_at is None


def test_broken_exif_raises_nothing() -> None:
    """Wherever it is broken. Each byte of it is changed in turn, in one of the ways that matter."""
    data = written(drawn((8, 8)), "JPEG", exif=exif())
    start = data.index(b"Exif\0\0")
    for at in range(start, start + 120):
        info = image_info(io.BytesIO(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]))
        assert info.format == "jpeg"


def test_a_child_that_ends_over_a_picture_leaves_nothing_known() -> None:
    """No exception either."""
    sandbox = Sandbox(processes=1, seconds=0.001)
    assert image_info(io.BytesIO(JPEG), sandbox=sandbox) == ImageInfo()
    sandbox.close()


def test_it_is_asked_of_a_path_of_a_file_and_of_an_upload(tmp_path: Path) -> None:
    """And without blocking the event loop."""
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    form = FormBuilder().file("avatar", JPEG, filename="a.jpg")
    avatar = receive(Uploader(MemoryStorage()).single("avatar"), form.content_type, [form.body])
    for source in (path, str(path), io.BytesIO(JPEG), avatar):
        assert image_info(source).width == 60
        assert asyncio.run(aimage_info(source)).height == 40
