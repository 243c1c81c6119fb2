"""What the blocks of a picture tell before anything is decoded: its sides, its frames, where it ends, what lies behind.

Reads bytes and nothing else. A decoder would allocate for what a header claims, and reads past no end; here a claim is
only a number. Every walk is linear, and ends early where there are more blocks than a picture has.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..policy.endings import END_SIZE, MARKUP, is_archive
from ..policy.media_types import OCTET_STREAM
from ..policy.signatures import HEAD_SIZE, detect

Data: TypeAlias = bytes | mmap.mmap

MOST_BLOCKS: Final = 20_000
"""A PNG of 64 MiB has 16,384, in blocks of 4 KiB as some write them. Decoders take some 20 microseconds for each."""

MOST_PIECES: Final = 400_000
"""Of at most 255 bytes each, into which a GIF cuts everything. One of 64 MiB has 263,000."""

MOST_FILLING: Final = 64
"""Bytes between two segments of a JPEG before its picture. There should be none, and its decoder goes one by one."""

MOST_RUNS: Final = 2**19
"""Bytes of a BMP that is packed in runs, which its decoder unpacks one by one: such are small drawings of old."""

MOST_SCANS: Final = 100
"""Of a progressive JPEG, which has about ten. A decoder goes over the whole picture for each."""

SCANS_OF_LARGE: Final = 20
SCANNED_PIXELS: Final = 10**9
"""A JPEG of more than `SCANS_OF_LARGE` scans has at most so many pixels in all of them together."""

METADATA_SIZE: Final = 16 * 2**20
"""Bytes of everything that is no picture. Depth maps of phones are metadata, of some MiB."""

GIF_METADATA_SIZE: Final = 2**20
"""The same of a GIF, which phones do not write: its decoder joins the pieces, at the cost of their number squared."""

EXIF_SIZE: Final = 2**21
"""Bytes of the EXIF blocks of a JPEG: readers join them, at the cost of their number times their size."""


class Damaged(Exception):
    """The blocks do not fit together. The text goes on with what is wrong: "is cut short"."""


class TooMuch(Exception):
    """There is more than a picture needs. The text goes on with of what: "has more than 100 scans"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """`width` and `height` are as declared, `end` is the position behind the picture's last block."""

    width: int
    height: int
    frames: int = 1
    end: int


def format_of(data: Data) -> str | None:
    """Which of the formats that are known here the first bytes show: "JPEG", "PNG", ...; None for every other file."""
    head = bytes(data[:16])
    for beginning, name in _BEGINNINGS:
        if head.startswith(beginning):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return "AVIF" if detect(bytes(data[:HEAD_SIZE])) == "image/avif" else None


def structure(data: Data, name: str, *, max_frames: int) -> Structure | None:
    """Of every format but AVIF, of which it is None. Frames beyond `max_frames` are not all counted.

    Raises `Damaged` and `TooMuch`.
    """
    walk = _WALKS.get(name)
    try:
        return None if walk is None else walk(data, max_frames)
    except IndexError:
        raise Damaged("is cut short") from None


def hidden(data: Data, name: str, end: int | None) -> str | None:
    """What else the file is, or what it carries for another reader; None where it is a picture and nothing more.

    Behind their end pictures of phones have further pictures, films and data of their maker, which are let through.
    """
    if _STARTS_AS_SCRIPT.match(data):
        return "is a script as well"
    if b"%PDF-" in data[:1024]:  # where readers of PDF look for it
        return "is a PDF as well"
    if _is_archive(data):
        return "is an archive as well"
    if MARKUP.search(data) or data.find(b"__HALT_COMPILER") >= 0:
        return "has a script in it"
    if end is None:
        end = _avif_end(data)
    rest = bytes(data[end : end + HEAD_SIZE]).lstrip(b"\0 \t\r\n")
    kind = detect(rest) if rest else OCTET_STREAM
    return None if kind in _MAY_FOLLOW else f"is followed by {kind}"


_BEGINNINGS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)

# Their sizes are letters that open a comment or a text, and JavaScript goes on where that is closed. Sizes alone may be
# such letters by chance: that of the small picture in a photograph, for example.
_STARTS_AS_SCRIPT = re.compile(
    rb"""(?:GIF8[79]a|\xff\xd8\xff[\xc0-\xd6\xd8-\xf6\xf8-\xff]|RIFF|BM)[\s=+*/%&|^<>,;.?([-]{0,3}
    (?>/\*.*?\*/|`[^`]*`)[\t\n\r -~]{8}
    |GIF8[79]a[\s=+*/%&|^<>,;.?([-]{0,3}(?>'[^'\r\n]*'|"[^"\r\n]*"|//[^\r\n]*[\r\n])[\t\n\r -~]{8}""",
    re.DOTALL | re.VERBOSE,
)

_MAY_FOLLOW = frozenset({OCTET_STREAM, "image/jpeg", "video/mp4", "video/quicktime", "application/json"})

_PACKED = (b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c")
"""Their readers look for the beginning in the whole file."""

_PLACED = ((257, b"ustar"), (0x8001, b"CD001"))
"""tar and images of CDs: their first bytes are anybody's."""


def _is_archive(data: Data) -> bool:
    """Whether a reader of archives finds one. Readers of zip files begin at the end, where its directory is."""
    placed = any(data[at : at + len(mark)] == mark for at, mark in _PLACED)
    packed = any(data.find(beginning) >= 0 for beginning in _PACKED)
    return placed or packed or is_archive(bytes(data[-END_SIZE:]), len(data))


def _number(data: Data, at: int, size: int) -> int:
    if at + size > len(data):
        raise Damaged("is cut short")
    return int.from_bytes(data[at : at + size], "big")


def _little(data: Data, at: int, size: int) -> int:
    if at + size > len(data):
        raise Damaged("is cut short")
    return int.from_bytes(data[at : at + size], "little")


def _check_metadata(size: int) -> None:
    if size > METADATA_SIZE:
        raise TooMuch(f"has more than {METADATA_SIZE} bytes of metadata")


# PNG: chunks of a length, a type, data and a checksum. https://www.w3.org/TR/png-3/#5Chunk-layout

_PNG_PICTURE = frozenset({b"IHDR", b"PLTE", b"IDAT", b"fdAT", b"IEND"})


def _png(data: Data, max_frames: int) -> Structure:
    if bytes(data[12:16]) != b"IHDR":
        raise Damaged("has no header")
    width, height = _number(data, 16, 4), _number(data, 20, 4)
    frames, metadata, at = 0, 0, 8
    for _ in range(MOST_BLOCKS):
        length, kind = _number(data, at, 4), bytes(data[at + 4 : at + 8])
        at += 12 + length
        if at > len(data):
            raise Damaged("is cut short")
        if kind == b"IEND":
            return Structure(width=width, height=height, frames=max(frames, 1), end=at)
        frames += kind == b"fcTL"
        metadata += 0 if kind in _PNG_PICTURE else length
        _check_metadata(metadata)
        if frames > max_frames:
            return Structure(width=width, height=height, frames=frames, end=len(data))
    raise TooMuch(f"has more than {MOST_BLOCKS} blocks")


# JPEG: markers with a length, and after each start of a scan its coded data. ITU-T T.81, annex B

_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")  # before it may stand more of the first byte
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_SCAN, _END, _EXIF = 0xDA, 0xD9, 0xE1


def _jpeg(data: Data, max_frames: int) -> Structure:
    sides, scans, metadata, exif = (0, 0), 0, 0, 0
    end = len(data)
    for marker, at, length in _segments(data):
        if marker == _END:
            end = at
            break
        if marker in _FRAME_HEADERS:
            if sides != (0, 0):
                raise Damaged("has two headers")
            sides = _number(data, at + 5, 2), _number(data, at + 3, 2)
        elif marker >= 0xE0:  # of applications, and comments
            metadata += length
            exif += length if marker == _EXIF and data[at + 2 : at + 6] == b"Exif" else 0
        scans += marker == _SCAN
        if scans > MOST_SCANS or (scans > SCANS_OF_LARGE and scans * sides[0] * sides[1] > SCANNED_PIXELS):
            raise TooMuch(f"has more than {scans - 1} scans")
        if exif > EXIF_SIZE:
            raise TooMuch(f"has more than {EXIF_SIZE} bytes of EXIF")
        _check_metadata(metadata)
    if sides == (0, 0) or not scans:
        raise Damaged("has no picture")
    return Structure(width=sides[0], height=sides[1], end=end)


def _segments(data: Data) -> Iterator[tuple[int, int, int]]:
    """Each marker, where its length stands, and that length; the end marker with the position behind it."""
    at, marker = 2, 0
    for _ in range(MOST_BLOCKS):
        most = len(data) if marker == _SCAN else at + MOST_FILLING
        found = _MARKER.search(data, at, most)
        if found is None and most < len(data):
            raise TooMuch(f"has more than {MOST_FILLING} bytes between its blocks")
        if found is None:
            return
        marker, at = found[1][0], found.end()
        if marker == _END:
            yield marker, at, 0
            return
        if marker in (0x01, 0xD8):  # they have no length
            continue
        length = _number(data, at, 2)
        if length < 2 or at + length > len(data):
            raise Damaged("is cut short")
        yield marker, at, length
        at += length
    raise TooMuch(f"has more than {MOST_BLOCKS} blocks")


# GIF: https://www.w3.org/Graphics/GIF/spec-gif89a.txt


def _gif(data: Data, max_frames: int) -> Structure:
    width, height = _little(data, 6, 2), _little(data, 8, 2)
    at = 13 + _table_size(data[10])
    frames = blocks = pieces = metadata = 0
    while data[at] != 0x3B:
        introducer, start = data[at], at
        if introducer == 0x2C:
            frames += 1
            left, top = _little(data, at + 1, 2), _little(data, at + 3, 2)
            width = max(width, left + _little(data, at + 5, 2))  # readers enlarge the screen
            height = max(height, top + _little(data, at + 7, 2))
            if frames > max_frames:
                return Structure(width=width, height=height, frames=frames, end=len(data))
            at += 11 + _table_size(data[at + 9])
        elif introducer == 0x21:
            at += 2
        else:
            raise Damaged("has an unknown block")
        while size := data[at]:  # pieces, each with its length before it, up to an empty one
            at += 1 + size
            pieces += 1
            if pieces > MOST_PIECES:
                raise TooMuch(f"has more than {MOST_PIECES} pieces")
        at += 1
        blocks += 1
        if introducer == 0x21:
            metadata += at - start
        if blocks > MOST_BLOCKS:
            raise TooMuch(f"has more than {MOST_BLOCKS} blocks")
        if metadata > GIF_METADATA_SIZE:
            raise TooMuch(f"has more than {GIF_METADATA_SIZE} bytes of metadata")
    if not frames:
        raise Damaged("has no picture")
    return Structure(width=width, height=height, frames=frames, end=at + 1)


def _table_size(flags: int) -> int:
    return 3 * 2 ** (1 + (flags & 7)) if flags & 0x80 else 0


# WebP: RIFF with chunks. https://developers.google.com/speed/webp/docs/riff_container


def _webp(data: Data, max_frames: int) -> Structure:
    end = 8 + _little(data, 4, 4)
    if end > len(data):
        raise Damaged("is cut short")
    sides, frames, metadata, at = (0, 0), 0, 0, 12
    for _ in range(MOST_BLOCKS):
        if at + 8 > end:
            break
        kind, length = bytes(data[at : at + 4]), _little(data, at + 4, 4)
        if at + 8 + length > end:
            raise Damaged("is cut short")
        if sides == (0, 0):
            sides = _webp_sides(data, kind, at + 8)
        frames += kind == b"ANMF"
        metadata += length if kind in (b"EXIF", b"XMP ", b"ICCP") else 0
        _check_metadata(metadata)
        if frames > max_frames:
            break
        at += 8 + length + length % 2
    else:
        raise TooMuch(f"has more than {MOST_BLOCKS} blocks")
    if sides == (0, 0):
        raise Damaged("has no picture")
    return Structure(width=sides[0], height=sides[1], frames=max(frames, 1), end=min(end + end % 2, len(data)))


def _webp_sides(data: Data, kind: bytes, at: int) -> tuple[int, int]:
    if kind == b"VP8X":
        return 1 + _little(data, at + 4, 3), 1 + _little(data, at + 7, 3)
    if kind == b"VP8 ":
        return _little(data, at + 6, 2) & 0x3FFF, _little(data, at + 8, 2) & 0x3FFF
    if kind == b"VP8L":
        bits = _little(data, at + 1, 4)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return 0, 0


# TIFF: a chain of directories of entries, of 12 bytes; in a BigTIFF of 20, where every number is wider.
# https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf, https://libtiff.gitlab.io/libtiff/specification/bigtiff.html

_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_SHORT, _TIFF_BIG = 256, 257, 3, 43


def _tiff(data: Data, max_frames: int) -> Structure:
    """It has no end that could be told: anything may lie anywhere."""
    number = _little if data[0] == 0x49 else _number
    wide, counted, entry_size = (8, 8, 20) if number(data, 2, 2) == _TIFF_BIG else (4, 2, 12)
    sides: dict[int, int] = {}
    seen: set[int] = set()
    at = number(data, wide, wide)
    while at and len(seen) <= max_frames:
        if at in seen:
            raise Damaged("goes round in a circle")
        seen.add(at)
        count = number(data, at, counted)
        if count > MOST_BLOCKS:
            raise TooMuch(f"has more than {MOST_BLOCKS} blocks")
        first, behind = at + counted, at + counted + count * entry_size
        for entry in range(first, behind, entry_size) if len(seen) == 1 else ():
            size = 2 if number(data, entry + 2, 2) == _TIFF_SHORT else 4
            sides.setdefault(number(data, entry, 2), number(data, entry + 4 + wide, size))
        at = number(data, behind, wide)
    if not sides.keys() >= {_TIFF_WIDTH, _TIFF_HEIGHT}:
        raise Damaged("has no picture")
    return Structure(width=sides[_TIFF_WIDTH], height=sides[_TIFF_HEIGHT], frames=len(seen), end=len(data))


# BMP: a header that says how long it is, of which there are two kinds. Its picture may be packed in runs.


def _bmp(data: Data, max_frames: int) -> Structure:
    size, start, header = _little(data, 2, 4), _little(data, 10, 4), _little(data, 14, 4)
    wide = 2 if header == 12 else 4
    width, height = _little(data, 18, wide), _little(data, 18 + wide, wide)
    if wide == 4:
        height = min(height, 2**32 - height)  # negative where the first row is the uppermost
        if _little(data, 30, 4) in _BMP_RUNS and len(data) - start > MOST_RUNS:
            raise TooMuch(f"has more than {MOST_RUNS} bytes of runs")
    return Structure(width=width, height=height, end=size if start < size <= len(data) else len(data))


_BMP_RUNS = (1, 2)


# AVIF: boxes of a length and a kind of four letters. ISO/IEC 14496-12, 4.2


def _avif_end(data: Data) -> int:
    """All else only its decoder knows."""
    at = 0
    for _ in range(MOST_BLOCKS):
        if at + 8 > len(data) or not bytes(data[at + 4 : at + 8]).isalnum():
            return at
        size = _number(data, at, 4)
        if size == 1:
            size = _number(data, at + 8, 8)
        if size == 0:  # it is the last
            return len(data)
        if size < 8 or at + size > len(data):
            raise Damaged("is cut short")
        at += size
    raise TooMuch(f"has more than {MOST_BLOCKS} blocks")


_WALKS: dict[str, Callable[[Data, int], Structure]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "GIF": _gif,
    "WEBP": _webp,
    "TIFF": _tiff,
    "BMP": _bmp,
}
