"""Smaller pictures of a picture: what each is to be, and how all of them are made at once.

    variants = make_variants(avatar, {"thumbnail": cover(200, 200), "large": inside(1920, 1080)})

The picture is decoded once, in a `sandbox`, and each variant goes into a storage. All of them are published, or none.
In every variant EXIF's orientation is applied, colours are those of sRGB, and no metadata is left: no place, no camera,
no comment.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from dataclasses import field as dataclass_field
from enum import Enum
from typing import IO, Any, BinaryIO, Final, Literal, TypedDict, Unpack

from ..errors import FileRefused
from ..policy.filenames import random_key
from ..policy.media_types import extension_of
from ..policy.signatures import HEAD_SIZE, detect
from ..storage.contract import ExclusiveCommit, LocalPaths, ObjectInfo, Staged, Storage, StoredObject
from ..storage.threads import in_thread
from ..uploads import UploadedFile, open_object
from .images import (
    FORMATS,
    MAX_FRAMES,
    MAX_PIXELS,
    WEB_FORMATS,
    Picture,
    PictureRefused,
    decoded,
    known_formats,
    opened,
)
from .sandbox import Sandbox

__all__ = [
    "DEFAULT_VARIANTS",
    "LARGE",
    "MEDIUM",
    "ORIGINAL",
    "THUMBNAIL",
    "KeyMaker",
    "Variant",
    "VariantOptions",
    "VariantSpec",
    "amake_variants",
    "cover",
    "inside",
    "make_variants",
    "reencoded",
    "width",
]

RECIPE: Final = 1
"""Is counted up when the same specification makes other bytes. It is part of the digest."""

MOST_VARIANTS: Final = 50

BLOCK_SIZE: Final = 2**18


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSpec:
    """What a variant is to be. Made by `cover`, `inside`, `width` and `reencoded`.

    `format` None keeps the picture's own (PNG in place of BMP, JPEG or PNG in place of TIFF). `quality` is from 1 to
    100, for JPEG, WebP and AVIF; None is 85, 80 and 65. `enlarge` makes smaller pictures larger. `background` is the
    colour, as "#rrggbb", behind what is transparent in a picture that becomes a JPEG. An animation stays one in GIF,
    WebP and PNG, unless `animated` is False or it is too large (see `make_variants`); else it becomes its first frame.
    """

    fit: Literal["cover", "inside", "whole"]
    width: int | None = None
    height: int | None = None
    quality: int | None = None
    format: str | None = None
    enlarge: bool = False
    background: str = "#ffffff"
    animated: bool = True

    def __post_init__(self) -> None:
        for side in (self.width, self.height):
            if side is not None and not 1 <= side <= 16_383:
                raise ValueError(f"a variant's side is from 1 to 16383 pixels, not {side}")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise ValueError(f"quality is from 1 to 100, not {self.quality}")
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.background):
            raise ValueError(f"a background is a colour such as '#ffffff', not {self.background!r}")
        if self.format is not None:
            [name] = known_formats([self.format])
            if name not in WEB_FORMATS:
                raise ValueError(f"a variant's format is one of {', '.join(WEB_FORMATS)}, not {name!r}")
            object.__setattr__(self, "format", name)

    @property
    def digest(self) -> str:
        """Names this specification: 32 hexadecimal digits, the same in every process. Equal specifications share it."""
        written = json.dumps([RECIPE, asdict(self)], sort_keys=True)
        return hashlib.sha256(written.encode()).hexdigest()[:32]


class VariantOptions(TypedDict, total=False):
    """What every kind of variant takes, as `VariantSpec` says it."""

    quality: int | None
    format: str | None
    enlarge: bool
    background: str
    animated: bool


def cover(width: int, height: int, **options: Unpack[VariantOptions]) -> VariantSpec:
    """The middle of the picture, in exactly these proportions and sides; of a smaller picture as much as there is."""
    return VariantSpec(fit="cover", width=width, height=height, **options)


def inside(width: int, height: int, **options: Unpack[VariantOptions]) -> VariantSpec:
    """The whole picture, within these sides."""
    return VariantSpec(fit="inside", width=width, height=height, **options)


def width(pixels: int, **options: Unpack[VariantOptions]) -> VariantSpec:
    """The whole picture, so wide, and as high as it then is."""
    return VariantSpec(fit="inside", width=pixels, **options)


def reencoded(**options: Unpack[VariantOptions]) -> VariantSpec:
    """The whole picture in its own size, written anew. Most of the work of all variants, where it is one of them."""
    return VariantSpec(fit="whole", **options)


ORIGINAL: Final = reencoded(quality=85)
THUMBNAIL: Final = cover(200, 200, quality=80)
MEDIUM: Final = inside(800, 600, quality=85)
LARGE: Final = inside(1920, 1080, quality=90)

DEFAULT_VARIANTS: Final[Mapping[str, VariantSpec]] = {"thumbnail": THUMBNAIL, "medium": MEDIUM, "large": LARGE}
"""What most sites need. `ORIGINAL` is not among them: to write a picture anew in its own size is most of the cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A variant that was made and is stored. `size` is in bytes; `digest` is that of the specification."""

    name: str
    digest: str
    key: str
    size: int
    content_type: str
    width: int
    height: int
    frames: int
    storage: Storage = dataclass_field(repr=False)

    @property
    def path(self) -> str:
        """Where it lies. Raises `TypeError` where the storage has no paths."""
        if not isinstance(self.storage, LocalPaths):
            raise TypeError(f"storage {self.storage.name!r} has no paths; use open() or read()")
        return str(self.storage.path(self.key))

    def open(self) -> BinaryIO:
        """The variant, for reading and seeking; the caller closes it. Raises `ObjectMissing`, `StorageFailed`."""
        return open_object(self.storage, self.storage.stat(self.key))

    def read(self) -> bytes:
        """All bytes of it."""
        return b"".join(self.storage.read(self.key))

    def delete(self) -> None:
        """Removes it. Idempotent."""
        self.storage.delete(self.key)


KeyMaker = Callable[[str, str], str]


class Moment(Enum):
    """How far variants have come."""

    OPENED = "the picture is at hand"
    RENDERED = "every variant is written, and not stored yet"
    STAGED = "every variant is stored, and not visible yet"


def make_variants(
    source: Picture,
    variants: Mapping[str, VariantSpec] = DEFAULT_VARIANTS,
    *,
    into: Storage | None = None,
    key: KeyMaker | None = None,
    formats: Sequence[str] = WEB_FORMATS,
    max_pixels: int = MAX_PIXELS,
    max_frames: int = MAX_FRAMES,
    sandbox: Sandbox | None = None,
) -> dict[str, Variant]:
    """Makes every variant of one picture and stores it; returns them by their names.

    They go into the storage of an `UploadedFile` where `into` says no other. `key` proposes a storage key from a
    variant's name and its extension (`lambda name, extension: f"42/{name}{extension}"`); by default keys are random. An
    animation is kept where it has at most `max_frames` frames, which together have at most four times `max_pixels`, and
    25 million in all variants; a larger one becomes its first frame. The caller's files are not changed.

    Raises `FileRefused` where the picture is not one of `formats`, has too many pixels, or cannot be decoded, with the
    codes of `ImageCheck`; `Overloaded`; and what the storage raises. Whatever is raised, nothing is left behind.
    """
    if not variants:
        return {}
    return make_announced(
        source,
        variants,
        into=_storage_for(source, into, key),
        key=key or _random_key,
        formats=formats,
        max_pixels=max_pixels,
        max_frames=max_frames,
        sandbox=sandbox,
    )


async def amake_variants(
    source: Picture,
    variants: Mapping[str, VariantSpec] = DEFAULT_VARIANTS,
    *,
    into: Storage | None = None,
    key: KeyMaker | None = None,
    formats: Sequence[str] = WEB_FORMATS,
    max_pixels: int = MAX_PIXELS,
    max_frames: int = MAX_FRAMES,
    sandbox: Sandbox | None = None,
) -> dict[str, Variant]:
    """The async twin of `make_variants`. Cancelled, it waits until they are made."""
    return await in_thread(
        make_variants,
        source,
        variants,
        into=into,
        key=key,
        formats=formats,
        max_pixels=max_pixels,
        max_frames=max_frames,
        sandbox=sandbox,
    )


def _nobody(told: object) -> None:
    """Who is told of what is made where nobody asks."""


def make_announced(
    source: Picture,
    variants: Mapping[str, VariantSpec],
    *,
    into: Storage,
    key: KeyMaker,
    formats: Sequence[str],
    max_pixels: int,
    max_frames: int,
    sandbox: Sandbox | None,
    announce: Callable[[Sequence[str]], object] = _nobody,
    tell: Callable[[Moment], object] = _nobody,
) -> dict[str, Variant]:
    """`make_variants`, which says what it does: `announce` is given all keys before anything is opened in the storage,
    and nothing is where it raises; `tell` is given each moment when it has come. Where the keys may meet those of
    others is the caller's to know."""
    check_variants(variants)
    rules = {
        "formats": [name.upper() for name in known_formats(formats)],
        "variants": [_asked(spec) for spec in variants.values()],
        "max_pixels": max_pixels,
        "max_frames": max_frames,
    }
    with ExitStack() as stack:
        number = stack.enter_context(opened(source))
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in variants]
        tell(Moment.OPENED)
        try:
            told = decoded("render", rules, [number, *(file.fileno() for file in files)], sandbox=sandbox)
            types = [_type_written(one, file) for one, file in zip(told, files, strict=True)]
        except PictureRefused as refused:
            field = source.field if isinstance(source, UploadedFile) else None
            raise FileRefused(f"the picture {refused.text}", field=field, filter=refused.code) from None
        tell(Moment.RENDERED)
        keys = [key(name, extension_of(content_type)) for name, content_type in zip(variants, types, strict=True)]
        announce(keys)
        stored = _store_all(into, keys, types, files, lambda: tell(Moment.STAGED))
    return {
        name: Variant(
            name=name,
            digest=spec.digest,
            key=of.key,
            size=of.size,
            content_type=content_type,
            width=int(one["width"]),
            height=int(one["height"]),
            frames=int(one["frames"]),
            storage=into,
        )
        for (name, spec), one, content_type, of in zip(variants.items(), told, types, stored, strict=True)
    }


def _storage_for(source: Picture, into: Storage | None, key: KeyMaker | None) -> Storage:
    storage = into if into is not None or not isinstance(source, UploadedFile) else source.storage
    if storage is None:
        raise TypeError("where variants go is known of an UploadedFile alone; write into=DiskStorage(...)")
    if key is not None and not (isinstance(storage, ExclusiveCommit) and storage.exclusive_commit):
        raise TypeError(f"key= proposes keys that may meet, and storage {storage.name!r} may replace an object")
    return storage


def check_variants(variants: Mapping[str, VariantSpec]) -> None:
    """Raises `TypeError` and `ValueError` for what cannot be made of any picture."""
    if len(variants) > MOST_VARIANTS:
        raise ValueError(f"at most {MOST_VARIANTS} variants are made at once, not {len(variants)}")
    for name, spec in variants.items():
        if not isinstance(spec, VariantSpec):
            raise TypeError(
                f"variant {name!r} is made by cover(...), inside(...), width(...) or reencoded(), not {spec!r}"
            )


def _asked(spec: VariantSpec) -> dict[str, Any]:
    return asdict(spec) | {"format": None if spec.format is None else spec.format.upper()}


def _type_written(told: Mapping[str, Any], file: IO[bytes]) -> str:
    """The media type of what a child has written, of which its word alone is not taken."""
    file.seek(0)
    content_type = detect(file.read(HEAD_SIZE))
    if content_type != FORMATS.get(str(told["format"]).lower()):
        raise PictureRefused("image_damaged", "cannot be decoded")
    return content_type


def _random_key(name: str, extension: str) -> str:
    return random_key(extension)


def _store_all(
    storage: Storage,
    keys: Sequence[str],
    types: Sequence[str],
    files: Sequence[IO[bytes]],
    when_staged: Callable[[], object],
) -> list[StoredObject]:
    """Stages every file, then makes all of them visible; takes all back where one fails."""
    with ExitStack() as undo:
        staged = [
            _stage(storage, key, content_type, file, undo)
            for key, content_type, file in zip(keys, types, files, strict=True)
        ]
        when_staged()
        stored: list[StoredObject] = []
        for one, key in zip(staged, keys, strict=True):
            stored.append(one.commit())
            undo.callback(storage.delete, key)
        undo.pop_all()
    return stored


def _stage(storage: Storage, key: str, content_type: str, file: IO[bytes], undo: ExitStack) -> Staged:
    sink = storage.open(key, ObjectInfo(content_type=content_type))
    undo.callback(sink.discard)  # does nothing once it is staged
    file.seek(0)
    while block := file.read(BLOCK_SIZE):
        sink.write(block)
    staged = sink.stage()
    undo.callback(staged.discard)
    return staged
