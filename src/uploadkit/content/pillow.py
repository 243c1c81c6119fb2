"""Pictures decoded by Pillow, in the child process of a sandbox. The only module that imports it.

Each function takes descriptors and values of JSON, and returns such. What is wrong with a picture is returned, as
`{"refused": [code, text]}`: an exception would be a mistake here. Only the readers of the formats that were asked for
are tried, so that no file reaches the reader of EPS, or any other that starts programs.
"""

from __future__ import annotations

import io
import math
import mmap
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, Final, cast

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from .structure import Damaged, Structure, TooMuch, format_of, hidden, structure

_READERS = (
    # Imported for what they register: `Image.open` would import every reader there is.
    *(AvifImagePlugin, BmpImagePlugin, GifImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin),
    *(TiffImagePlugin, WebPImagePlugin),
)

warnings.simplefilter("ignore")  # nobody reads them here
warnings.simplefilter("error", Image.DecompressionBombWarning)

ORIENTATION: Final = 0x0112
EXIF_BLOCK: Final = 0x8769
DATE_TIME, DATE_TIME_ORIGINAL, OFFSET_TIME, OFFSET_TIME_ORIGINAL = 0x0132, 0x9003, 0x9010, 0x9011

FRAME_BUDGET: Final = 4
"""An animation is kept where all of its frames together have at most so many times the pixels of one picture."""

ANIMATED_PIXELS: Final = 25_000_000
"""The most pixels of all frames of all variants of an animation: 100 MB, which are held until they are written."""

Answer = dict[str, Any]


class _Refused(Exception):
    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def examine(files: Sequence[int], **rules: Any) -> Answer:
    """Whether a picture keeps the rules of an `ImageCheck`, looked at in the order of what it costs."""
    return _answered(lambda: _examine(files[0], **rules))


def describe(files: Sequence[int]) -> Answer:
    """What is known of a picture without decoding it. Nothing is refused: of other files nothing is known."""
    try:
        with _mapped(files[0]) as data:
            name = format_of(data)
            return {} if name is None else _described(data, name)
    except Damaged:  # it is empty
        return {}


def render(files: Sequence[int], **asked: Any) -> Answer:
    """Writes variants of the first file into the others, and returns what each has become, in their order."""
    return _answered(lambda: _render(files[0], files[1:], **asked))


def _answered(work: Callable[[], Any]) -> Answer:
    try:
        return {"done": work()}
    except _Refused as error:
        return {"refused": [error.code, str(error)]}
    except TooMuch as error:
        return {"refused": ["image_cost", str(error)]}
    except Damaged as error:
        return {"refused": ["image_damaged", str(error)]}
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return {"refused": ["image_max_pixels", "has more pixels than are taken"]}


# The check


def _examine(
    number: int,
    *,
    formats: list[str],
    named: list[str] | None,
    max_pixels: int,
    max_side: int | None,
    min_side: int,
    max_frames: int,
) -> None:
    with _mapped(number) as data:
        name = format_of(data)
        if name is None or name not in formats:
            raise _Refused("image_format", "is no picture" if name is None else f"is a picture of format {name}")
        if named is not None and name not in named:
            raise _Refused("image_extension", f"is a picture of format {name}, and its name says otherwise")
        blocks = structure(data, name, max_frames=max_frames)
        if blocks is not None:
            _check_sides(blocks.width, blocks.height, max_pixels, max_side, min_side)
            _check_frames(blocks.frames, max_frames)
        if (found := hidden(data, name, None if blocks is None else blocks.end)) is not None:
            raise _Refused("image_hidden", found)
        with _opened(data, name, max_pixels) as picture:
            _check_sides(*picture.size, max_pixels, max_side, min_side)
            if blocks is None:
                _check_frames(_frames(picture, max_frames), max_frames)
        with _opened(data, name, max_pixels) as picture:
            _decoded(picture.verify)  # which leaves it unusable
        with _opened(data, name, max_pixels) as picture:
            _decoded(picture.load)


def _check_sides(width: int, height: int, max_pixels: int, max_side: int | None, min_side: int) -> None:
    if width * height > max_pixels:
        raise _Refused("image_max_pixels", f"has {width} x {height} pixels, at most {max_pixels} in all are taken")
    if max_side is not None and max(width, height) > max_side:
        raise _Refused("image_max_side", f"has {width} x {height} pixels, at most {max_side} a side are taken")
    if min(width, height) < min_side:
        raise _Refused("image_min_side", f"has {width} x {height} pixels, at least {min_side} a side are needed")


def _check_frames(frames: int, max_frames: int) -> None:
    if frames > max_frames:
        raise _Refused("image_max_frames", f"has more than {max_frames} frames")


def _frames(picture: ImageFile.ImageFile, max_frames: int) -> int:
    """How many there are, or one more than may be. To count all of a hostile file would take long."""
    try:
        picture.seek(max_frames)
    except EOFError:
        return int(getattr(picture, "n_frames", 1))
    except MemoryError:
        raise
    except Exception:
        raise Damaged("cannot be read") from None
    return max_frames + 1


@contextmanager
def _mapped(number: int) -> Iterator[mmap.mmap]:
    if os.fstat(number).st_size == 0:
        raise Damaged("is empty")
    with mmap.mmap(number, 0, access=mmap.ACCESS_READ) as data:
        yield data


@contextmanager
def _opened(data: mmap.mmap, name: str, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """The picture, of which the header alone was read."""
    Image.MAX_IMAGE_PIXELS = max_pixels  # beyond it a warning, which is an error here
    file = cast(BinaryIO, _Mapped(data))
    with _decoded(lambda: Image.open(file, formats=[name])) as picture:
        yield picture


class _Mapped(io.RawIOBase):
    """A file over mapped bytes that copies no more than is read."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        end = len(self._data) if size is None or size < 0 else self._at + size
        block = self._data[self._at : end]
        self._at += len(block)
        return block

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence] + offset
        if at < 0:
            raise ValueError(f"a position is not negative: {at}")
        self._at = at
        return at

    def tell(self) -> int:
        return self._at


def _decoded(work: Callable[[], Any]) -> Any:
    """What Pillow makes of bytes; it has many exceptions for those that are wrong."""
    try:
        return work()
    except (MemoryError, Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise
    except Exception as error:
        text = str(error)
        short = "truncated" in text or "Truncated" in text
        raise Damaged("is cut short" if short else "cannot be decoded") from error


# Metadata


def _described(data: mmap.mmap, name: str) -> Answer:
    found: Answer = {"format": name}
    try:
        blocks = structure(data, name, max_frames=10_000)
        if blocks is not None:
            found |= {"width": blocks.width, "height": blocks.height, "frames": blocks.frames}
        if blocks is None or blocks.width * blocks.height <= 2**28:  # a WebP's canvas is allocated when it is opened
            with _opened(data, name, 2**28) as picture:
                found |= _told(picture, blocks)
    except (Damaged, TooMuch, Image.DecompressionBombWarning, Image.DecompressionBombError, MemoryError):
        pass
    return found


def _told(picture: ImageFile.ImageFile, blocks: Structure | None) -> Answer:
    width, height = picture.size
    if _orientation(picture) >= 5:
        width, height = height, width
    told: Answer = {"width": width, "height": height, "orientation": _said(picture), "taken": _taken(picture)}
    return told if blocks is not None else told | {"frames": int(getattr(picture, "n_frames", 1))}


def _orientation(picture: Image.Image) -> int:
    """How the picture is still to be turned. A TIFF is turned by Pillow: its sides at once, its pixels decoded."""
    return 1 if picture.format == "TIFF" else _said(picture)


def _said(picture: Image.Image) -> int:
    """EXIF's orientation: 1 to 8, and 1 where nothing sensible is said."""
    try:
        value = picture.getexif().get(ORIENTATION, 1)
    except Exception:  # of EXIF everything may be broken
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _taken(picture: Image.Image) -> list[str | None] | None:
    """When, as EXIF says it, and the offset from UTC."""
    try:
        exif = picture.getexif()
        detail = exif.get_ifd(EXIF_BLOCK)
        for when, offset in ((detail.get(DATE_TIME_ORIGINAL), detail.get(OFFSET_TIME_ORIGINAL)),
                             (exif.get(DATE_TIME), detail.get(OFFSET_TIME))):  # fmt: skip
            if isinstance(when, str):
                return [when[:40], offset[:10] if isinstance(offset, str) else None]
    except Exception:
        return None
    return None


# Variants


@dataclass(frozen=True, slots=True)
class _Plan:
    """A variant before orientation is applied: its sides, and the part of the picture that it shows, from 0 to 1."""

    size: tuple[int, int]
    box: tuple[float, float, float, float]

    @property
    def needs(self) -> tuple[int, int]:
        """The sides that the whole picture has at the scale of the variant."""
        left, top, right, bottom = self.box
        return math.ceil(self.size[0] / (right - left)), math.ceil(self.size[1] / (bottom - top))


def _render(
    number: int, outputs: Sequence[int], *, variants: list[Answer], formats: list[str], max_pixels: int, max_frames: int
) -> list[Answer]:
    with _mapped(number) as data:
        name = format_of(data)
        if name is None or name not in formats:
            raise _Refused("image_format", "is no picture" if name is None else f"is a picture of format {name}")
        blocks = structure(data, name, max_frames=max_frames)
        if blocks is not None:
            _check_sides(blocks.width, blocks.height, max_pixels, None, 1)
        with _opened(data, name, max_pixels) as picture:
            _check_sides(*picture.size, max_pixels, None, 1)
            frames = blocks.frames if blocks is not None else _frames(picture, max_frames)
            if name == "TIFF":  # its pages are no animation
                frames = 1
            return _Rendering(picture, name, frames, variants).write(outputs, max_pixels, max_frames)


class _Rendering:
    """One picture on its way into its variants: decoded once, and each smaller one is made of a larger one."""

    def __init__(self, picture: ImageFile.ImageFile, name: str, frames: int, variants: list[Answer]) -> None:
        self._picture = picture
        self._variants = variants
        self._frames = frames
        self._profile: bytes | None = picture.info.get("icc_profile")
        self._orientation = _orientation(picture)
        self._transpose = _TRANSPOSED.get(self._orientation)
        self._plans = [_planned(variant, picture.size, turned=self._orientation >= 5) for variant in variants]
        self._formats = [variant["format"] or _kept_format(picture, name) for variant in variants]

    def write(self, outputs: Sequence[int], max_pixels: int, max_frames: int) -> list[Answer]:
        animated = self._animated(max_pixels, max_frames)
        self._draft()
        _decoded(self._picture.load)
        rendered = self._chain(_flat(self._picture))
        moving = self._moving(animated, rendered) if animated else {}
        written: list[Answer] = []
        for at, output in enumerate(outputs):
            frames, durations = moving.get(at, ([rendered[at]], [0]))
            os.ftruncate(output, 0)  # what a child before this one may have written
            os.lseek(output, 0, os.SEEK_SET)
            with os.fdopen(os.dup(output), "wb") as file:
                self._save(file, at, frames, durations)
                size = file.tell()
            width, height = frames[0].size
            name = self._formats[at]
            written.append({"format": name, "width": width, "height": height, "frames": len(frames), "size": size})
        return written

    def _draft(self) -> None:
        """A JPEG is decoded at an eighth, a quarter or a half where that is enough for the largest variant."""
        needs = [plan.needs for plan in self._plans]
        _decoded(lambda: self._picture.draft(None, (max(w for w, _ in needs), max(h for _, h in needs))))

    def _chain(self, whole: Image.Image) -> dict[int, Image.Image]:
        """The variants of one frame. What is made from another variant is at most half as large: that costs nothing
        that can be seen, and far less than from the whole."""
        stages = [whole]
        rendered: dict[int, Image.Image] = {}
        for at in sorted(range(len(self._plans)), key=self._turn):
            plan = self._plans[at]
            wide, high = plan.needs
            fitting = [stage for stage in stages if stage.width >= 2 * wide and stage.height >= 2 * high]
            stage = min(fitting or [whole], key=lambda stage: math.prod(stage.size))
            small = _resized(stage, plan)
            if plan.box == _WHOLE:
                stages.append(small)
            rendered[at] = self._finished(small)
        return rendered

    def _turn(self, at: int) -> tuple[bool, int]:
        """The larger a variant, the sooner. Last what has the size of the whole: no copy of it is held meanwhile."""
        needs = self._plans[at].needs
        return needs == self._picture.size, -math.prod(needs)

    def _finished(self, picture: Image.Image) -> Image.Image:
        """In sRGB, turned as it is to be seen, and without anything that is no pixel."""
        picture = _in_srgb(picture, self._profile)
        if self._transpose is not None:
            picture = picture.transpose(self._transpose)
        if not picture.info:
            return picture
        picture = picture.copy()
        picture.info = {}
        return picture

    def _animated(self, max_pixels: int, max_frames: int) -> list[int]:
        """Which variants move. All of them do, or none: a picture that is too much for one is shown still in all."""
        moving = [
            at
            for at, variant in enumerate(self._variants)
            if variant["animated"] and self._formats[at] in ("GIF", "WEBP", "PNG")
        ]
        pixels = self._frames * math.prod(self._picture.size)
        made = self._frames * sum(math.prod(self._plans[at].size) for at in moving)
        fits = 1 < self._frames <= max_frames and pixels <= FRAME_BUDGET * max_pixels and made <= ANIMATED_PIXELS
        return moving if fits else []

    def _moving(
        self, which: list[int], first: dict[int, Image.Image]
    ) -> dict[int, tuple[list[Image.Image], list[int]]]:
        pictures: dict[int, list[Image.Image]] = {at: [] for at in which}
        durations: list[int] = []
        for frame in range(self._frames):
            _decoded(partial(self._seek, frame))
            durations.append(_duration(self._picture))
            rendered = self._chain(self._picture.convert("RGBA"))
            for at in which:
                pictures[at].append(rendered[at])
        return {at: (pictures[at], durations) for at in which}

    def _seek(self, frame: int) -> None:
        self._picture.seek(frame)
        self._picture.load()

    def _save(self, file: BinaryIO, at: int, frames: list[Image.Image], durations: list[int]) -> None:
        variant, name = self._variants[at], self._formats[at]
        if name == "JPEG":
            frames = [_on_background(frames[0], variant["background"])]
        if name == "GIF":
            frames = [_seen_or_not(frame) for frame in frames]
        options: dict[str, Any] = {"quality": variant["quality"] or _QUALITY[name]} if name in _QUALITY else {}
        if name == "AVIF":
            options["speed"] = 8  # half as long as the default, for a few per cent more bytes
        if len(frames) > 1:
            options |= {"save_all": True, "append_images": frames[1:], "duration": durations}
            options |= {"loop": int(self._picture.info.get("loop", 0))}
            options |= {"disposal": 2} if name == "GIF" else {}
        frames[0].save(file, name, **options)


_WHOLE = (0.0, 0.0, 1.0, 1.0)

_QUALITY = {"JPEG": 85, "WEBP": 80, "AVIF": 65}

_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _planned(variant: Mapping[str, Any], size: tuple[int, int], *, turned: bool) -> _Plan:
    """The variant of a picture of these sides, in whose own directions it is planned."""
    width, height = size
    wanted_width, wanted_height = variant["width"], variant["height"]
    if turned:
        wanted_width, wanted_height = wanted_height, wanted_width
    ratios = [
        wanted / given for wanted, given in ((wanted_width, width), (wanted_height, height)) if wanted is not None
    ]
    if variant["fit"] != "cover":
        scale = min(ratios, default=1.0)
        scale = scale if variant["enlarge"] else min(scale, 1.0)
        return _Plan((max(1, round(width * scale)), max(1, round(height * scale))), _WHOLE)
    scale = max(ratios)
    shrunk = 1 / scale if scale > 1 and not variant["enlarge"] else 1.0
    target = max(1, round(wanted_width * shrunk)), max(1, round(wanted_height * shrunk))
    wide = min(1.0, wanted_width / (width * scale))
    high = min(1.0, wanted_height / (height * scale))
    return _Plan(target, ((1 - wide) / 2, (1 - high) / 2, (1 + wide) / 2, (1 + high) / 2))


def _resized(picture: Image.Image, plan: _Plan) -> Image.Image:
    left, top, right, bottom = plan.box
    box = (left * picture.width, top * picture.height, right * picture.width, bottom * picture.height)
    if plan.size == picture.size and plan.box == _WHOLE:
        return picture
    # A wider filter takes half as long again, for edges that ring.
    return picture.resize(plan.size, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)


def _kept_format(picture: ImageFile.ImageFile, name: str) -> str:
    """The picture's own format, or for one that browsers do not show the nearest."""
    if name == "BMP":
        return "PNG"
    if name == "TIFF":
        return "PNG" if picture.mode in ("RGBA", "LA", "PA", "P", "1") else "JPEG"
    return name


def _flat(picture: Image.Image) -> Image.Image:
    """In a mode that can be made smaller: of gray, red, green and blue, of those and alpha, or of inks."""
    if picture.mode in ("L", "RGB", "RGBA", "CMYK") and "transparency" not in picture.info:
        return picture
    if picture.mode in ("LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        return picture.convert("RGBA")
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode.startswith("I"):  # of 16 bits
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return picture.convert("L" if picture.mode == "F" else "RGB")


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """A profile that is broken, or is that of another mode, is taken for none."""
    if profile is not None:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return _transformed(picture, source)
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return picture.convert("RGB") if picture.mode == "CMYK" else picture


def _transformed(picture: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    space = cast(Any, source).profile.xcolor_space.strip()
    if space != {"L": "GRAY", "CMYK": "CMYK"}.get(picture.mode, "RGB"):
        raise ValueError(f"a profile of {space} for a picture of mode {picture.mode}")
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    colours = picture.convert("RGB") if alpha is not None else picture
    transformed = ImageCms.profileToProfile(colours, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    if transformed is None:
        raise ValueError("a profile that does nothing")
    if alpha is not None:
        transformed.putalpha(alpha)
    return transformed.convert("L") if picture.mode == "L" else transformed


def _on_background(picture: Image.Image, colour: str) -> Image.Image:
    """What is transparent shows the background: JPEG has nothing for it."""
    if picture.mode != "RGBA":
        return picture
    flat = Image.new("RGB", picture.size, colour)
    flat.paste(picture, mask=picture.getchannel("A"))
    return flat


def _seen_or_not(picture: Image.Image) -> Image.Image:
    """A pixel of a GIF is there, or it is not. One that is half there would get a colour of its own for that."""
    if picture.mode != "RGBA":
        return picture
    solid = picture.getchannel("A").point([0] * 128 + [255] * 128)
    there = Image.new("RGBA", picture.size)
    there.paste(picture.convert("RGB"), mask=solid)
    return there


def _duration(picture: Image.Image) -> int:
    """In milliseconds. As in browsers, what says less than 20 is shown for 100."""
    duration = picture.info.get("duration", 0)
    duration = int(duration) if isinstance(duration, int | float) and math.isfinite(duration) else 0
    return duration if 20 <= duration <= 60_000 else 100
