"""A sheet of variants, to be looked at by eye. Run it: python examples/contact_sheet.py

Draws pictures as cameras and programs write them, has variants made, and pastes those on one sheet.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

from PIL import Image, ImageDraw

from uploadkit import MemoryStorage
from uploadkit.content.variants import VariantSpec, cover, inside, make_variants

storage = MemoryStorage()
ORIENTATION = 0x0112
HELD = {
    # How the camera was held: what brings the picture back from there.
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def small(file: bytes, spec: VariantSpec) -> Image.Image:
    """A variant of a file, decoded again."""
    made = make_variants(io.BytesIO(file), {"small": spec}, into=storage)["small"]
    return Image.open(io.BytesIO(made.read()))


def written(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def landscape(width: int = 900, height: int = 600) -> Image.Image:
    """Sky, sea, a sun on the left, a sail on the right: what is turned is seen at once."""
    picture = Image.new("RGB", (width, height), "#8ecae6")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, height * 2 // 3, width, height), fill="#1d6fa5")
    draw.ellipse((width // 12, height // 10, width // 12 + height // 3, height // 10 + height // 3), fill="#ffb703")
    mast, sea = width * 3 // 4, height * 2 // 3
    draw.polygon([(mast, height // 5), (mast, sea - 30), (mast - width // 7, sea - 30)], fill="white")
    draw.polygon(
        [(mast - 120, sea - 20), (mast + 110, sea - 20), (mast + 70, sea + 40), (mast - 80, sea + 40)], fill="#9b2226"
    )
    draw.text((width // 2 - 30, height - 90), "sea", fill="white", font_size=70)
    return picture


def ball(*, shadow: bool = True) -> Image.Image:
    """On nothing, or on its soft shadow."""
    picture = Image.new("RGBA", (400, 400))
    draw = ImageDraw.Draw(picture)
    if shadow:
        draw.ellipse((90, 300, 330, 370), fill=(0, 0, 0, 90))
    draw.ellipse((80, 40, 330, 330), fill="#d62828")
    draw.ellipse((130, 80, 200, 150), fill=(255, 255, 255, 160))
    return picture


def rolling(count: int = 6) -> list[Image.Image]:
    """Frames of a ball that rolls to the right, on nothing."""
    frames = []
    for at in range(count):
        frame = Image.new("RGBA", (600, 300))
        frame.paste(ball(shadow=False).resize((200, 200)), (at * 400 // (count - 1), 60))
        frames.append(frame)
    return frames


def rows() -> Iterator[tuple[str, list[tuple[str, Image.Image]]]]:
    """What the sheet shows: a title, and pictures with a word below each."""
    whole = landscape()
    turned = []
    for orientation in range(1, 9):
        held = whole.transpose(HELD[orientation]) if orientation in HELD else whole
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        turned.append((str(orientation), small(written(held, "JPEG", exif=exif), inside(150, 150))))
    yield "EXIF orientation 1 to 8: the same picture, however the camera was held", turned

    upright = Image.Exif()
    upright[ORIENTATION] = 6
    photo = written(whole.transpose(HELD[6]), "JPEG", exif=upright)
    yield (
        "cover(150, 150), cover(150, 60), cover(60, 150), inside(150, 60)",
        [
            ("150 x 150", small(photo, cover(150, 150))),
            ("150 x 60", small(photo, cover(150, 60))),
            ("60 x 150", small(photo, cover(60, 150))),
            ("inside", small(photo, inside(150, 60))),
        ],
    )

    see_through = written(ball(), "PNG")
    yield (
        "transparency: kept by PNG, WebP, AVIF and GIF, and given a background by JPEG",
        [
            *((name, small(see_through, inside(150, 150, format=name))) for name in ("png", "webp", "avif", "gif")),
            ("jpeg", small(see_through, inside(150, 150, format="jpeg"))),
            ("jpeg, #ffd166", small(see_through, inside(150, 150, format="jpeg", background="#ffd166"))),
        ],
    )

    first, *rest = rolling()
    for name in ("GIF", "WEBP"):
        options = {"disposal": 2} if name == "GIF" else {}
        file = written(first, name, save_all=True, append_images=rest, duration=120, loop=0, **options)
        moving = small(file, inside(150, 75))
        frames = []
        for at in range(moving.n_frames):  # type: ignore[attr-defined]  # what moves has it
            moving.seek(at)
            frames.append((f"{at + 1}", moving.convert("RGBA")))
        yield f"an animated {name}, frame by frame", frames


def sheet() -> Image.Image:
    """All rows on a chequered ground, so that what is transparent is seen."""
    shown = [*rows()]
    heights = [55 + max(small_picture.height for _, small_picture in pictures) for _, pictures in shown]
    picture = Image.new("RGB", (8 * 160 + 20, sum(heights)), "white")
    draw = ImageDraw.Draw(picture)
    for row, (title, pictures) in enumerate(shown):
        top = sum(heights[:row])
        draw.text((20, top + 5), title, fill="black", font_size=15)
        for column, (word, small_picture) in enumerate(pictures):
            left = 20 + column * 160
            ground = chequered(small_picture.size)
            pasted = small_picture.convert("RGBA")
            ground.paste(pasted, mask=pasted)
            picture.paste(ground, (left, top + 28))
            draw.text((left, top + 30 + small_picture.height), word, fill="black", font_size=12)
    return picture


def chequered(size: tuple[int, int]) -> Image.Image:
    ground = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(ground)
    for top in range(0, size[1], 10):
        for left in range(top // 10 % 2 * 10, size[0], 20):
            draw.rectangle((left, top, left + 9, top + 9), fill="#c8c8c8")
    return ground


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else "contact-sheet.png"
    sheet().save(path, optimize=True)
    print(path)
