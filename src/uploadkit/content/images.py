"""Pictures: a check for uploads, and what is known of one. Decoding is done in a `sandbox`, never in this process.

    upload.single("avatar", accept=IMAGES, check=ImageCheck(max_pixels=25_000_000))

Needs Pillow, which this process does not import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from typing import Any, BinaryIO, Final, TypeAlias

from ..errors import FileRefused, quoted
from ..policy.filenames import extension_of_name
from ..policy.filters import IncomingFile
from ..policy.media_types import EXTENSIONS
from ..storage.threads import in_thread
from .sandbox import ChildEnded, Sandbox, default_sandbox, descriptor_of
from .sources import Source, opened_source

if find_spec("PIL") is None:
    raise ModuleNotFoundError("uploadkit.content.images needs Pillow: pip install 'pyuploadkit[images]'", name="PIL")

__all__ = [
    "FORMATS",
    "WEB_FORMATS",
    "ImageCheck",
    "ImageInfo",
    "Picture",
    "aimage_info",
    "image_info",
]

Picture: TypeAlias = Source
"""Where a picture is read from: a file that can be sought, a path, or what was uploaded. It is left as it is."""

FORMATS: Final[Mapping[str, str]] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
}
"""Every format that can be read, and its media type."""

WEB_FORMATS: Final = ("jpeg", "png", "gif", "webp", "avif")
"""Those that every browser shows."""

MAX_PIXELS: Final = 50_000_000
"""More than a phone's 48 megapixels. Decoded it has 150 to 200 MB."""

MAX_SIDE: Final = 20_000
"""More than the widest panorama of a phone."""

MAX_FRAMES: Final = 500
"""Of an animation: half a minute as browsers show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCheck:
    """Lets in pictures that can be decoded, of these formats and sizes, and nothing that only looks like one.

    It is a `StagedCheck`: it reads the file when all of it is there and before it is published. In turn: the format by
    the bytes, the name's extension against it, sides, pixels and frames as declared, what else the file is or carries,
    the checksums, and at last the first frame decoded. Pixels are counted of one frame. `sandbox` None shares that of
    the process.

    What it refuses is a `FileRefused` whose `filter` says why: `image_format`, `image_extension` (status 415),
    `image_max_pixels`, `image_max_side`, `image_min_side`, `image_max_frames`, `image_hidden`, `image_damaged`,
    `image_cost` (422).
    """

    formats: Sequence[str] = WEB_FORMATS
    max_pixels: int = MAX_PIXELS
    max_side: int | None = MAX_SIDE
    min_side: int = 1
    max_frames: int = MAX_FRAMES
    sandbox: Sandbox | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", known_formats(self.formats))
        if min(self.max_pixels, self.min_side, self.max_frames, self.max_side or 1) < 1:
            raise ValueError("max_pixels, max_side, min_side and max_frames are at least 1")
        if self.max_side is not None and self.min_side > self.max_side:
            raise ValueError(f"min_side {self.min_side} is more than max_side {self.max_side}")

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        """Raises `FileRefused`; `Overloaded` where too many pictures are being looked at."""
        if not any(FORMATS[name] == file.content_type for name in self.formats):
            raise _refused(file, "image_format", f"is {file.content_type}, which is no picture that is taken here")
        extension = extension_of_name(file.filename)
        named = [name.upper() for name, kind in FORMATS.items() if extension in EXTENSIONS[kind]]
        rules = {
            "formats": [name.upper() for name in self.formats],
            "named": named if extension else None,
            "max_pixels": self.max_pixels,
            "max_side": self.max_side,
            "min_side": self.min_side,
            "max_frames": self.max_frames,
        }
        with descriptor_of(staged) as number:
            try:
                decoded("examine", rules, [number], sandbox=self.sandbox)
            except PictureRefused as refused:
                raise _refused(file, refused.code, refused.text) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """What a picture says of itself; None where it does not, or where the file is no picture.

    `width` and `height` are in pixels and as it is to be seen: with `orientation`, which is EXIF's from 1 to 8,
    applied. `frames` is more than 1 for an animation. `taken_at` is when the photograph was taken, by the camera's
    clock; it has a time zone only where the camera wrote one.
    """

    format: str | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    orientation: int | None = None
    taken_at: datetime | None = None


def image_info(source: Picture, *, sandbox: Sandbox | None = None) -> ImageInfo:
    """What is known of a picture without decoding it. Whatever the bytes are, they raise nothing."""
    with opened(source) as number:
        try:
            told = decoded("describe", {}, [number], sandbox=sandbox)
        except PictureRefused:  # the child was ended over it
            return ImageInfo()
    name = told.get("format")
    return ImageInfo(
        format=name.lower() if isinstance(name, str) else None,
        **{part: told.get(part) for part in ("width", "height", "frames", "orientation")},
        taken_at=_moment(told.get("taken")),
    )


async def aimage_info(source: Picture, *, sandbox: Sandbox | None = None) -> ImageInfo:
    """The async twin of `image_info`."""
    return await in_thread(image_info, source, sandbox=sandbox)


class PictureRefused(Exception):
    """What a child says of a picture: the code of a refusal, and a text that goes on after "the picture"."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def decoded(function: str, arguments: Mapping[str, Any], files: Sequence[int], *, sandbox: Sandbox | None) -> Any:
    """What a function of `pillow` returns in a child. Raises `PictureRefused`, `Overloaded`, `ServiceError`."""
    try:
        answer = (sandbox or default_sandbox()).call(f"{__package__}.pillow:{function}", arguments, files)
    except ChildEnded as ended:
        raise PictureRefused(*_ENDED[ended.reason]) from None
    if not isinstance(answer, dict):
        raise PictureRefused(*_ENDED["crash"])
    if "refused" in answer:
        code, text = answer["refused"]
        raise PictureRefused(code, text)
    return answer.get("done", answer)


@contextmanager
def opened(source: Picture) -> Iterator[int]:
    """A descriptor of the whole picture. Raises what opening it raises."""
    with opened_source(source) as file, descriptor_of(file) as number:
        yield number


def known_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """The formats in lower case. Raises `TypeError` and `ValueError` for what is none."""
    if isinstance(formats, str):
        raise TypeError(f"formats are a list, such as [{formats!r}]")
    known = tuple("jpeg" if name.lower() == "jpg" else name.lower() for name in formats)
    if not known:
        raise ValueError("formats names at least one format")
    for name in known:
        if name not in FORMATS:
            raise ValueError(f"{name!r} is no format that can be read; there are {', '.join(FORMATS)}")
    return known


_ENDED = {
    "memory": ("image_cost", "takes too much memory to decode"),
    "cpu": ("image_cost", "takes too long to decode"),
    "time": ("image_cost", "takes too long to decode"),
    "crash": ("image_damaged", "cannot be decoded"),
}

_TYPE_WAS_THE_REASON = frozenset({"image_format", "image_extension"})


def _refused(file: IncomingFile, code: str, why: str) -> FileRefused:
    return FileRefused(
        f"file {quoted(file.field)} {why}",
        field=file.field,
        filter=code,
        detected=file.content_type,
        status=415 if code in _TYPE_WAS_THE_REASON else 422,
    )


def _moment(taken: list[str | None] | None) -> datetime | None:
    """EXIF's "2026:07:01 12:30:00" and "+02:00"; None for what cameras write that have no clock."""
    if not taken or taken[0] is None:
        return None
    try:
        moment = datetime.strptime(taken[0].strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    try:
        return datetime.strptime(f"{moment.isoformat()}{(taken[1] or '').strip(chr(0) + ' ')}", "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return moment
