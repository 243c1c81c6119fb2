"""The walks over a picture's blocks: their numbers are those of a decoder, and no bytes make them fail or take long."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.content.pictures import BAD, GIF, GOOD, JPEG, PNG, WEBP, animated, drawn, png_chunk, written
from tests.punctual import swift

from uploadkit.content.structure import Damaged, TooMuch, format_of, hidden, structure

SMALL = {
    "JPEG": written(drawn((16, 12)), "JPEG", progressive=True),
    "PNG": animated("PNG", 2, (8, 6)),
    "GIF": animated("GIF", 3, (8, 6)),
    "WEBP": animated("WEBP", 3, (8, 6)),
}


@pytest.mark.parametrize("name", GOOD)
def test_its_numbers_are_those_of_a_decoder(name: str) -> None:
    """Sides and frames as Pillow sees them; the end is where the file ends, unless something follows on purpose."""
    data = GOOD[name][1]()
    format = format_of(data)
    assert format is not None
    seen = structure(data, format, max_frames=100)
    if seen is None:
        assert format == "AVIF"
        return
    with Image.open(io.BytesIO(data)) as picture:
        frames = 1 if format == "JPEG" else getattr(picture, "n_frames", 1)
        assert (seen.width, seen.height, seen.frames) == (*picture.size, frames)
    if "behind" in name or "second" in name or "sample" in name:
        assert seen.end <= len(data)
    else:
        assert seen.end == len(data)
    assert hidden(data, format, seen.end) is None


@pytest.mark.parametrize("format", SMALL)
def test_a_picture_that_is_cut_anywhere_is_damaged(format: str) -> None:
    """Or, from its last block on, whole: never an exception of another kind."""
    data = SMALL[format]
    outcomes = []
    for at in range(16, len(data)):
        try:
            structure(data[:at], format, max_frames=100)
            outcomes.append(True)
        except Damaged:
            outcomes.append(False)
    assert not outcomes[0]
    if format in ("PNG", "WEBP"):
        assert not any(outcomes)


@given(
    format=st.sampled_from(sorted(SMALL)),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    cut=st.integers(1, 2000),
)
def test_no_bytes_make_a_walk_fail(format: str, changes: list[tuple[int, int]], cut: int) -> None:
    """Only the two exceptions that say what is wrong."""
    data = bytearray(SMALL[format][:cut])
    for at, value in changes:
        data[at % len(data)] = value
    whole = bytes(data)
    format_of(whole)
    try:
        seen = structure(whole, format, max_frames=100)
    except (Damaged, TooMuch):
        return
    assert seen is not None
    hidden(whole, format, seen.end)


@pytest.mark.parametrize(
    ("format", "make"),
    [
        ("PNG", lambda: PNG[:33] + png_chunk(b"teST", b"") * 2_000_000),
        ("JPEG", lambda: JPEG[:2] + b"\xff\xfe\0\2" * 5_000_000),
        ("JPEG", lambda: JPEG[:-2] + b"\xff\0" * 10_000_000),
        ("JPEG", lambda: JPEG[:2] + b"\xff" * 20_000_000),
        ("GIF", lambda: GIF[:-1] + b"!\xfe\0" * 6_000_000),
        ("GIF", lambda: GIF[:-1] + b"!\xfe" + b"\1a" * 9_000_000),
        ("WEBP", lambda: WEBP[:4] + (20_000_004).to_bytes(4, "little") + b"WEBP" + b"teST\0\0\0\0" * 2_500_000),
    ],
    ids=["chunks", "comments", "stuffing", "fill", "extensions", "small blocks", "webp chunks"],
)
def test_a_walk_ends_soon(format: str, make: Callable[[], bytes]) -> None:
    """Twenty megabytes of the smallest blocks there are take this thread three seconds at most."""
    data = make()

    def walk() -> None:
        with contextlib.suppress(Damaged, TooMuch):
            structure(data, format, max_frames=100)

    swift(walk, 3)


@pytest.mark.parametrize("name", [name for name, (_, code, _) in BAD.items() if code == "image_hidden"])
def test_what_else_a_file_is_is_found(name: str) -> None:
    """Without decoding it."""
    data = BAD[name][2]()
    format = format_of(data)
    assert format is not None
    seen = structure(data, format, max_frames=100)
    assert hidden(data, format, None if seen is None else seen.end) is not None
