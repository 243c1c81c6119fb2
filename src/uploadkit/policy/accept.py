"""Which types a field takes, and whether a file is one of them: its bytes, its name and its client must agree. No I/O.

`resolve` is what every file goes through. The bytes decide; the extension of the name may only tell apart what the
bytes cannot (Markdown from plain text), and what the client declares never decides anything: it may only contradict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import FileRefused, quoted
from .filenames import extension_of_name
from .media_types import (
    ACTIVE,
    EXTENSIONS,
    MAY_BE_MORE,
    OCTET_STREAM,
    canonical,
    contradicts,
    told_by_extension,
    types_of,
)
from .signatures import HEAD_SIZE, detect


@dataclass(frozen=True, slots=True)
class Accept:
    """A set of media types. `Accept.of` builds it from what users write."""

    types: frozenset[str]

    @classmethod
    def of(cls, *items: AcceptRule) -> Accept:
        """The types that `items` mean: media types ("image/png"), wildcards ("image/*"), extensions (".pdf"), groups
        such as `IMAGES`, and lists of them.

        SVG, HTML, XML and whatever else a browser runs is meant only where it is named itself, never by a wildcard
        or a group. Raises `ValueError` for what means no type, and for rules that only say what is refused.
        """
        types = frozenset[str]().union(*map(_types_meant, items))
        if not types:
            raise ValueError("accept is empty, which would refuse every file; leave accept out to take every type")
        return cls(types)

    def admits(self, content_type: str) -> bool:
        return content_type in self.types


AcceptItem: TypeAlias = str | Accept
AcceptRule: TypeAlias = AcceptItem | Iterable[AcceptItem]
"""What users may write as `accept`."""


def resolve(
    head: bytes,
    *,
    field: str,
    filename: str,
    declared_type: str | None = None,
    accept: Accept | None = None,
) -> str:
    """The type of a file by its first bytes and its name.

    Without `accept` every file is let in, and nothing has to agree. With it, raises `FileRefused` with status 415.
    `filename` is the client's name or the safe one; "" where there is none.
    """
    extension = extension_of_name(filename)
    content_type = _content_type(head, extension, accept)
    if accept is None:
        return content_type
    if not accept.admits(content_type):
        what = f"is {content_type}" if head else "is empty"
        raise not_accepted(field, f"{what}, which the field does not accept", content_type)
    if not _agrees(extension, content_type):
        raise not_accepted(field, f"is {content_type}, and its name ends in {quoted(extension)}", content_type)
    if declared_type is not None and contradicts(declared_type, content_type):
        raise not_accepted(field, f"is {content_type}, and was declared as {quoted(declared_type)}", content_type)
    return content_type


def foresee(*, field: str, filename: str, declared_type: str | None = None, accept: Accept | None = None) -> None:
    """Raises `FileRefused` with status 415 where `resolve` would refuse the file whatever its bytes are."""
    if accept is None:
        return
    extension = extension_of_name(filename)
    agreeing = [content_type for content_type in accept.types if _agrees(extension, content_type)]
    if not agreeing:
        text = f"file {quoted(field)} has a name that ends in {quoted(extension)}, which the field does not accept"
        raise FileRefused(text, field=field, filter="accept", status=415)
    if declared_type is not None and all(contradicts(declared_type, content_type) for content_type in agreeing):
        what = f" for a name that ends in {quoted(extension)}" if extension else ""
        text = f"file {quoted(field)} is declared as {quoted(declared_type)}, which the field does not accept{what}"
        raise FileRefused(text, field=field, filter="accept", status=415)


_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/(?:\*|[a-z0-9][a-z0-9!#$&^_.+-]*)")  # RFC 6838, 4.2


def _types_meant(item: AcceptRule) -> frozenset[str]:
    if isinstance(item, Accept):
        return item.types
    if isinstance(item, str):
        return _types_named(item)
    try:
        items = iter(item)
    except TypeError:
        raise TypeError(f"accept takes media types, extensions and groups, not {item!r}") from None
    return frozenset[str]().union(*map(_types_meant, items))


def _types_named(item: str) -> frozenset[str]:
    text = item.strip().lower()
    if text.startswith(("!", "-")):
        raise ValueError(f"accept says what is let in, and {item!r} what is not; name the types that are let in")
    if text in ("*", "*/*"):
        raise ValueError(f"accept={item!r} takes every type; leave accept out for that")
    if text.startswith("."):
        types = frozenset(types_of(text))
        if not types:
            raise ValueError(f"unknown extension {item!r}; {_ADVICE}")
        return types
    if not _MEDIA_TYPE.fullmatch(text):
        raise ValueError(
            f"{item!r} is no media type such as 'image/png', no wildcard such as 'image/*' and no extension such as "
            "'.pdf'; give several as a list"
        )
    if text.endswith("/*"):
        return _types_of_wildcard(item, text.removesuffix("*"))
    media_type = canonical(text)
    if media_type not in EXTENSIONS and media_type != OCTET_STREAM:
        raise ValueError(f"{item!r} is not a type that is recognised by a file's bytes; {_ADVICE}")
    return frozenset({media_type})


_ADVICE = f"accept {OCTET_STREAM!r} for files that are not recognised, and let a filter judge them"


def _types_of_wildcard(item: str, beginning: str) -> frozenset[str]:
    types = frozenset(media_type for media_type in EXTENSIONS if media_type.startswith(beginning)) - ACTIVE
    if not types:
        raise ValueError(f"{item!r} means no type that is recognised by a file's bytes; {_ADVICE}")
    return types


def _content_type(head: bytes, extension: str, accept: Accept | None) -> str:
    shown = detect(head)
    if accept is not None and len(head) == HEAD_SIZE:
        # The entries that tell may come later: `endings` asks the directory.
        shown = min(accept.types.intersection(MAY_BE_MORE.get(shown, ()), types_of(extension)), default=shown)
    told = told_by_extension(shown, extension)
    if told in ACTIVE and (accept is None or not accept.admits(told)):
        return shown  # a name alone makes no text a script
    return told


def _agrees(extension: str, content_type: str) -> bool:
    if not extension or extension in EXTENSIONS.get(content_type, ()):
        return True
    return content_type == OCTET_STREAM and not types_of(extension)  # neither says anything


def not_accepted(field: str, why: str, detected: str) -> FileRefused:
    """The error of a file whose bytes, name and client do not say the same, or say what is not let in."""
    return FileRefused(f"file {quoted(field)} {why}", field=field, filter="accept", detected=detected, status=415)


# The groups. All of their types can be recognised; `Accept.of` would refuse others.

IMAGES = Accept.of(
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/heic",
    "image/heif",
    "image/tiff",
    "image/bmp",
)
"""Pictures as cameras, phones and browsers make them."""

DOCUMENTS = Accept.of(
    "application/pdf",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
    "application/rtf",
    "application/epub+zip",
    "text/plain",
    "text/csv",
    "text/tab-separated-values",
    "text/markdown",
)
"""PDF, office documents without macros, books, and plain kinds of text."""

VIDEOS = Accept.of("video/*")
AUDIO = Accept.of("audio/*")
