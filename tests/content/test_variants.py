"""Variants: their sides, how they are turned, their colours, what moves, and that nothing else is in them."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.content.pictures import (
    BAD,
    GOOD,
    JPEG,
    PNG,
    after_start,
    animated,
    drawn,
    exif,
    frames,
    jpeg_segment,
    real_bomb,
    wide_gamut_profile,
    written,
)

from uploadkit import (
    DiskStorage,
    FileRefused,
    MemoryStorage,
    ObjectExists,
    ObjectMissing,
    StorageFailed,
    UploadedFile,
    Uploader,
    receive,
)
from uploadkit.content.images import FORMATS
from uploadkit.content.sandbox import Sandbox
from uploadkit.content.variants import (
    DEFAULT_VARIANTS,
    LARGE,
    MEDIUM,
    ORIGINAL,
    THUMBNAIL,
    VariantSpec,
    amake_variants,
    cover,
    inside,
    make_variants,
    reencoded,
    width,
)
from uploadkit.testing import FailingStorage, FormBuilder, assert_no_leaks

# A checksum that is wrong is for the check to find: what is there can be decoded.
UNDECODED = [
    name
    for name, (_, code, _) in BAD.items()
    if code in ("image_format", "image_damaged") and name != "png with a wrong checksum"
]

ALL = {**DEFAULT_VARIANTS, "original": ORIGINAL}

RED, LIME, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def one(data: bytes, spec: VariantSpec, **options: Any) -> Image.Image:
    """A variant of these bytes, decoded here."""
    storage = MemoryStorage()
    made = make_variants(io.BytesIO(data), {"it": spec}, into=storage, **options)["it"]
    picture = Image.open(io.BytesIO(made.read()))
    assert (picture.width, picture.height) == (made.width, made.height)
    assert Image.MIME[picture.format or ""] == made.content_type
    assert getattr(picture, "n_frames", 1) == made.frames
    return picture


def corners(picture: Image.Image) -> list[Any]:
    """The colours of the four corners, each rounded to what it was drawn with: left to right, then down."""
    picture = picture.convert("RGB")
    right, bottom = picture.width - 3, picture.height - 3
    seen: list[Any] = [picture.getpixel(at) for at in ((2, 2), (right, 2), (2, bottom), (right, bottom))]
    return [tuple(255 if part > 127 else 0 for part in colour) for colour in seen]


@pytest.mark.parametrize(
    ("spec", "sides", "expected"),
    [
        (inside(800, 600), (1600, 800), (800, 400)),
        (inside(800, 600), (800, 1600), (300, 600)),
        (inside(800, 600), (80, 60), (80, 60)),
        (inside(800, 600, enlarge=True), (80, 40), (800, 400)),
        (inside(800, 600), (3000, 1), (800, 1)),
        (width(640), (1600, 800), (640, 320)),
        (width(640), (320, 800), (320, 800)),
        (width(640, enlarge=True), (320, 800), (640, 1600)),
        (cover(200, 200), (1600, 800), (200, 200)),
        (cover(200, 100), (800, 1600), (200, 100)),
        (cover(200, 200), (100, 50), (50, 50)),
        (cover(200, 100), (150, 300), (150, 75)),
        (cover(200, 200, enlarge=True), (100, 50), (200, 200)),
        (cover(200, 200), (1, 1), (1, 1)),
        (reencoded(), (123, 45), (123, 45)),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_variant_has_the_sides_that_it_is_to_have(
    spec: VariantSpec, sides: tuple[int, int], expected: tuple[int, int], orientation: int
) -> None:
    """Within or over the box, never larger than the picture unless it says so; a picture that is held upright has its
    sides as they are seen."""
    stored = sides if orientation == 1 else sides[::-1]
    data = written(Image.new("RGB", stored), "JPEG", exif=exif(orientation))
    assert one(data, spec).size == expected


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_variant_is_turned_as_the_picture_is_to_be_seen(format: str, orientation: int) -> None:
    """EXIF's eight orientations: however the camera was held, the same picture comes out."""
    undone = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    held = drawn((120, 80))
    held = held.transpose(undone[orientation]) if orientation in undone else held
    data = written(held, format, exif=exif(orientation))
    picture = one(data, inside(60, 60), formats=[*FORMATS])
    assert picture.size == (60, 40)
    assert corners(picture) == [RED, LIME, BLUE, WHITE]
    assert picture.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif", "gif"])
def test_nothing_but_pixels_is_in_a_variant(format: str) -> None:
    """No place, no camera, no comment, no profile, no thumbnail of the camera's."""
    data = written(
        drawn(), "JPEG", exif=exif(), icc_profile=wide_gamut_profile(), comment=b"secret comment", xmp=b"secret xmp"
    )
    for spec in (reencoded(format=format), inside(30, 30, format=format)):
        storage = MemoryStorage()
        made = make_variants(io.BytesIO(data), {"it": spec}, into=storage)["it"]
        picture = Image.open(io.BytesIO(made.read()))
        assert dict(picture.getexif()) == {}
        assert not {"exif", "icc_profile", "comment", "xmp", "xml", "photoshop"} & set(picture.info)
        assert b"secret" not in made.read()
        assert b"stranger" not in made.read()


def test_colours_are_those_of_srgb() -> None:
    """The profile is applied, then dropped: where red and green change places in it, they do so in the pixels."""
    profile = wide_gamut_profile()
    for data in (
        written(drawn(), "JPEG", icc_profile=profile, quality=95),
        written(drawn(), "PNG", icc_profile=profile),
        written(drawn(mode="RGBA"), "PNG", icc_profile=profile),
    ):
        assert corners(one(data, reencoded())) == [LIME, RED, BLUE, WHITE]


def test_a_profile_that_is_broken_or_of_another_mode_is_taken_for_none() -> None:
    """The pixels are still there."""
    for profile in (b"no profile", wide_gamut_profile()[:200]):
        assert corners(one(written(drawn(), "JPEG", icc_profile=profile), reencoded())) == [RED, LIME, BLUE, WHITE]
    gray = written(drawn(mode="L"), "JPEG", icc_profile=wide_gamut_profile())
    assert one(gray, reencoded()).mode == "L"


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "I;16", "LA", "RGBA"])
def test_every_mode_of_a_picture_is_read(mode: str) -> None:
    """White stays white, black stays black."""
    source = (
        Image.new("I;16", (60, 40), 65_535) if mode == "I;16" else Image.new("RGB", (60, 40), "white").convert(mode)
    )
    data = written(source, "JPEG" if mode == "CMYK" else "PNG")
    for size in (60, 30):
        assert one(data, inside(size, size, format="png")).convert("L").getextrema() == (255, 255)


def test_transparency_is_kept_where_the_format_has_it_and_gets_a_background_where_not() -> None:
    """Each way: alpha, a palette with a transparent colour, a colour that stands for it."""
    alpha = frames(1, (90, 60))[0]
    palette = alpha.convert("P")
    for data in (
        written(alpha, "PNG"),
        written(alpha, "WEBP", lossless=True),
        written(alpha, "GIF"),
        written(palette, "PNG", transparency=palette.getpixel((80, 30))),
        written(alpha.convert("RGB"), "PNG", transparency=(0, 0, 0)),
    ):
        for format in ("png", "webp", "gif", "avif"):
            small = one(data, inside(45, 45, format=format)).convert("RGBA")
            assert small.getpixel((40, 15))[3] == 0  # type: ignore[index]
            assert small.getpixel((2, 15))[3] > 250  # type: ignore[index]
        flat = one(data, inside(45, 45, format="jpeg", background="#0000ff"))
        assert _near(flat.getpixel((40, 15)), (0, 0, 255))
        assert _near(one(data, inside(45, 45, format="jpeg")).getpixel((40, 15)), (255, 255, 255))


def test_edges_of_what_is_transparent_take_nothing_from_below_it() -> None:
    """A red disc on transparent green: no green shimmers through at its edge."""
    source = Image.new("RGBA", (200, 200), (0, 255, 0, 0))
    source.paste((255, 0, 0, 255), (50, 50, 151, 151))
    small = one(written(source, "PNG"), inside(31, 31))
    _, green, _, alpha = small.convert("RGBA").split()
    visible = green.copy()
    visible.paste(0, mask=alpha.point(lambda value: 255 if value <= 30 else 0))
    assert alpha.getextrema() == (0, 255)
    assert visible.getextrema()[1] < 30  # type: ignore[operator]


def test_a_gif_has_no_half_pixels() -> None:
    """What is nearly invisible is not there, what is nearly there is, in its own colour."""
    source = Image.new("RGBA", (90, 60), (0, 0, 0, 90))
    source.paste((200, 40, 40, 170), (0, 0, 45, 60))
    small = one(written(source, "PNG"), inside(45, 45, format="gif")).convert("RGBA")
    assert small.getpixel((40, 15))[3] == 0  # type: ignore[index]
    red, green, _, alpha = small.getpixel((5, 15))  # type: ignore[misc]
    assert (abs(red - 200) < 12, abs(green - 40) < 12, alpha) == (True, True, 255)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animation_stays_one(format: str) -> None:
    """Every frame smaller, each as long as it was, again and again."""
    data = animated(format, 5, (120, 80), duration=90)
    picture = one(data, inside(60, 60))
    assert picture.format == format
    assert picture.n_frames == 5  # type: ignore[attr-defined]
    lit = []
    for at in range(5):
        picture.seek(at)
        frame = picture.convert("RGBA")
        assert picture.info["duration"] == 90
        lit.append([x for x in range(0, 60, 4) if frame.getpixel((x, 20))[3] > 127])  # type: ignore[index]
    assert [min(each) for each in lit] == [0, 12, 24, 36, 48]
    assert picture.info.get("loop") == 0


def test_an_animation_is_still_where_it_cannot_or_is_not_to_move() -> None:
    """In a format without frames, where that is wanted, or where it is too large."""
    data = animated("GIF", 5)
    assert one(data, inside(60, 60, format="jpeg")).format == "JPEG"
    assert one(data, inside(60, 60, animated=False)).n_frames == 1  # type: ignore[attr-defined]
    assert one(data, inside(60, 60), max_frames=4).n_frames == 1  # type: ignore[attr-defined]
    assert one(data, inside(60, 60), max_pixels=2500).n_frames == 1  # type: ignore[attr-defined]
    assert one(data, inside(60, 60, format="webp")).n_frames == 5  # type: ignore[attr-defined]


def test_the_pages_of_a_tiff_are_no_animation() -> None:
    """The first of them is shown."""
    data = written(drawn(), "TIFF", save_all=True, append_images=[Image.new("RGB", (60, 40)), drawn()])
    picture = one(data, inside(60, 60, format="webp"), formats=["tiff"])
    assert picture.n_frames == 1  # type: ignore[attr-defined]
    assert corners(picture) == corners(drawn())


@pytest.mark.parametrize("name", GOOD)
def test_whatever_a_check_lets_in_has_variants(name: str) -> None:
    """All four of the defaults."""
    _, make = GOOD[name]
    storage = MemoryStorage()
    made = make_variants(io.BytesIO(make()), ALL, into=storage)
    assert list(made) == ["thumbnail", "medium", "large", "original"]
    assert all(
        Image.open(io.BytesIO(variant.read())).size == (variant.width, variant.height) for variant in made.values()
    )


@pytest.mark.parametrize("name", UNDECODED)
def test_what_cannot_be_decoded_has_no_variants_and_leaves_nothing(name: str) -> None:
    """Refused with a code, as by the check."""
    _, _, make = BAD[name]
    storage = MemoryStorage()
    with assert_no_leaks(storage), pytest.raises(FileRefused, match=r"^the picture ") as refused:
        make_variants(io.BytesIO(make()), into=storage)
    assert refused.value.filter in ("image_format", "image_damaged")
    assert [*storage.list()] == []


def test_a_bomb_has_no_variants() -> None:
    """The pixels are counted before they are decoded."""
    with pytest.raises(FileRefused, match="14000 x 14000") as refused:
        make_variants(io.BytesIO(real_bomb()), into=MemoryStorage())
    assert refused.value.filter == "image_max_pixels"


def test_the_largest_picture_that_is_taken_fits_into_the_memory_of_a_child() -> None:
    """With alpha, turned, in all variants, one of them in its own size: an eighth of the pixels that are taken, in an
    eighth of the memory that a child has."""
    sandbox = Sandbox(processes=1, memory="88 MiB")
    data = written(Image.new("RGBA", (3_125, 2_000), (1, 2, 3, 4)), "PNG", compress_level=1, exif=exif(6))
    wanted = {**DEFAULT_VARIANTS, "whole": reencoded(format="jpeg")}
    made = make_variants(io.BytesIO(data), wanted, into=MemoryStorage(), sandbox=sandbox)
    assert [(one.width, one.height) for one in made.values()] == [(200, 200), (384, 600), (691, 1080), (2000, 3125)]
    sandbox.close()


def test_the_defaults_are_those_that_are_promised() -> None:
    """Values, so that they can be compared and shown."""
    assert cover(200, 200, quality=80) == THUMBNAIL
    assert inside(800, 600, quality=85) == MEDIUM
    assert inside(1920, 1080, quality=90) == LARGE
    assert reencoded(quality=85) == ORIGINAL
    assert DEFAULT_VARIANTS == {"thumbnail": THUMBNAIL, "medium": MEDIUM, "large": LARGE}


def test_a_specification_has_a_digest_that_tells_it_from_every_other() -> None:
    """The same in every process: it is written down beside what was made."""
    specs = [cover(200, 200), cover(200, 201), inside(200, 200), width(200), reencoded(), cover(200, 200, quality=80)]
    specs += [cover(200, 200, format="webp"), cover(200, 200, enlarge=True), cover(200, 200, background="#000000")]
    assert len({spec.digest for spec in specs}) == len(specs)
    assert cover(200, 200, format="JPG").digest == cover(200, 200, format="jpeg").digest
    assert THUMBNAIL.digest == "8f1992d9365151d74926bd2fdb9c0f28"
    made = make_variants(io.BytesIO(PNG), {"t": THUMBNAIL}, into=MemoryStorage())
    assert made["t"].digest == THUMBNAIL.digest


def test_variants_of_an_upload_go_where_it_lies(tmp_path: Path) -> None:
    """Beside it, under keys that nobody can guess; the upload itself is as it was."""
    for storage in (MemoryStorage(), DiskStorage(tmp_path)):
        form = FormBuilder().file("avatar", JPEG, filename="a.jpg")
        avatar = receive(Uploader(storage).single("avatar"), form.content_type, [form.body])
        with assert_no_leaks(storage):
            made = make_variants(avatar, {"small": inside(30, 30, format="webp")})
        assert {one.key for one in storage.list()} == {avatar.key, made["small"].key}
        assert made["small"].key.endswith(".webp")
        assert made["small"].size == len(made["small"].read())
        assert avatar.read() == JPEG
        with made["small"].open() as opened:
            assert opened.read(4) == b"RIFF"
        made["small"].delete()
        assert {one.key for one in storage.list()} == {avatar.key}


def test_variants_become_files_with_names_of_ones_own(tmp_path: Path) -> None:
    """A path goes in, files in a folder come out. A name that is taken is refused, and then nothing is left of them."""
    picture = tmp_path / "sea.jpg"
    picture.write_bytes(JPEG)
    into = DiskStorage(tmp_path / "made")

    def key(name: str, extension: str) -> str:
        return f"sea/{name}{extension}"

    made = make_variants(picture, {"b": inside(30, 30)}, into=into, key=key)
    assert made["b"].path == str(tmp_path / "made" / "sea" / "b.jpg")
    with pytest.raises(ObjectExists):
        make_variants(str(picture), {"a": inside(9, 9), "b": inside(30, 30), "c": inside(8, 8)}, into=into, key=key)
    assert [one.key for one in into.list()] == ["sea/b.jpg"]
    assert [*into.in_staging()] == []


@pytest.mark.parametrize("after", range(13))
def test_a_storage_that_fails_keeps_none_of_them(after: int) -> None:
    """Wherever it fails, before the end: all are there, or none."""
    inner = MemoryStorage()
    storage = FailingStorage(inner, after=after, on="any")
    with assert_no_leaks(storage):
        try:
            made = make_variants(io.BytesIO(JPEG), into=storage)
        except StorageFailed:
            made = {}
    assert len([*inner.list()]) == len(made)


def test_the_async_twin_makes_the_same() -> None:
    """Without blocking the event loop."""
    storage = MemoryStorage()
    made = asyncio.run(amake_variants(io.BytesIO(JPEG), {"small": inside(30, 30)}, into=storage))
    assert (made["small"].width, made["small"].height) == (30, 20)


def test_a_file_that_was_written_just_now_is_read_whole(tmp_path: Path) -> None:
    """What still lies in its buffer too."""
    with (tmp_path / "a.png").open("w+b") as file:
        file.write(PNG)
        made = make_variants(file, {"small": inside(30, 30)}, into=MemoryStorage())
    assert made["small"].width == 30


def test_mistakes_are_told_before_anything_is_decoded() -> None:
    """Each says what to write."""
    with pytest.raises(TypeError, match=r"into=DiskStorage"):
        make_variants(io.BytesIO(PNG), {"a": width(5)})
    with pytest.raises(TypeError, match=r"cover\(\.\.\.\)"):
        make_variants(io.BytesIO(PNG), {"a": (200, 200)}, into=MemoryStorage())  # type: ignore[dict-item]
    for wrong in ({"quality": 0}, {"quality": 101}, {"format": "bmp"}, {"format": "svg"}, {"background": "red"}):
        with pytest.raises(ValueError, match=r"quality|format|background"):
            inside(10, 10, **wrong)
    with pytest.raises(ValueError, match="from 1 to 16383"):
        cover(0, 10)
    assert make_variants(io.BytesIO(PNG), {}, into=MemoryStorage()) == {}


def test_a_jpeg_with_a_maker_s_note_is_drafted_and_still_right() -> None:
    """Decoded at a quarter, it has the same corners as decoded whole."""
    data = written(drawn((2400, 1600)), "JPEG", quality=95)
    data = after_start(data, jpeg_segment(0xE1, b"Exif\0\0" + exif(1)[6:]))
    assert corners(one(data, inside(300, 300))) == [RED, LIME, BLUE, WHITE]
    assert corners(one(data, reencoded())) == [RED, LIME, BLUE, WHITE]


def _near(seen: Any, colour: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 12 for a, b in zip(seen, colour, strict=True))


def test_variants_of_an_upload_that_is_gone_say_so(tmp_path: Path) -> None:
    """As reading it does."""
    form = FormBuilder().file("avatar", JPEG, filename="a.jpg")
    avatar: UploadedFile = receive(Uploader(DiskStorage(tmp_path)).single("avatar"), form.content_type, [form.body])
    avatar.delete()
    with pytest.raises(ObjectMissing):
        make_variants(avatar)
