"""The pictures of `uploadkit.testing.sample`, read by Pillow: an application under test may do so too."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from uploadkit.testing import sample


@pytest.mark.parametrize("size", [0, 1, 70_000])
@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp", "bmp"])
def test_a_picture_can_be_decoded(kind: str, size: int) -> None:
    """It has one pixel, however many bytes."""
    held = io.BytesIO(sample(f"image/{kind}", size=size))
    with Image.open(held) as picture:
        picture.verify()
    held.seek(0)
    with Image.open(held) as picture:
        picture.load()
        assert (picture.size, picture.format) == ((1, 1), kind.upper())
