"""Matroska and WebM. Elements, each of a number, a size, and data or further elements.

RFC 8794 (EBML) and RFC 9559 (Matroska), whose sections are named below.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from .facts import Facts
from .window import Window

SEGMENT: Final = 0x18538067
SEEK_HEAD: Final = 0x114D9B74
INFO: Final = 0x1549A966
TRACKS: Final = 0x1654AE6B
CLUSTER: Final = 0x1F43B675

# RFC 9559, 5.1.4.1.28
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xB0, 0xBA
_CROP_BOTTOM, _CROP_TOP, _CROP_LEFT, _CROP_RIGHT = 0x54AA, 0x54BB, 0x54CC, 0x54DD
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2


class _Element(NamedTuple):
    """`start` and `end` are those of what is in it."""

    number: int
    start: int
    end: int


def read_matroska(file: Window, facts: Facts) -> None:
    """Info and Tracks. They stand before the first cluster, or an element there says where they are. 6.3

    A film that was streamed has no duration.
    """
    segment = next((element for element in _elements(file, 0, file.size) if element.number == SEGMENT), None)
    if segment is None:
        return
    wanted = {INFO: _read_info, TRACKS: _read_tracks}
    places: dict[int, int] = {}
    for element in _elements(file, segment.start, segment.end):
        if element.number == SEEK_HEAD:
            places |= _places(file, element, segment.start)
        elif element.number in wanted:
            wanted.pop(element.number)(file, element, facts)
        elif element.number == CLUSTER and wanted.keys() <= places.keys():
            break
        if not wanted:
            return
    for number, read in wanted.items():
        found = _element(file, places.get(number, segment.end), segment.end)
        if found is not None and found.number == number:
            read(file, found, facts)


def _element(file: Window, at: int, end: int) -> _Element | None:
    """The element at a position, cut where that ends in which it lies; None where there is none. RFC 8794, 5 and 6"""
    head = file.up_to(min(12, max(end - at, 0)), at=at)
    number = _length_of_number(head, 0)
    size = _length_of_number(head, number)
    start = at + number + size
    if not 0 < number <= 4 or size == 0 or start - at > len(head):
        return None
    most = (1 << 7 * size) - 1
    told = int.from_bytes(head[number : number + size], "big") & most
    if told == most:  # unknown: it was streamed
        return _Element(int.from_bytes(head[:number], "big"), start, end)
    return _Element(int.from_bytes(head[:number], "big"), start, min(start + told, end))


def _length_of_number(head: bytes, at: int) -> int:
    """1 to 8, by the zeros before the first bit that is set; 0 where there is no number."""
    return (9 - head[at].bit_length()) % 9 if at < len(head) else 0


def _elements(file: Window, at: int, end: int) -> Iterator[_Element]:
    while (element := _element(file, at, end)) is not None:
        yield element
        at = element.end


def _places(file: Window, seek_head: _Element, origin: int) -> dict[int, int]:
    """5.1.1"""
    places: dict[int, int] = {}
    for seek in _elements(file, seek_head.start, seek_head.end):
        told = _numbers(file, seek)
        if 0x53AB in told and 0x53AC in told:
            places.setdefault(told[0x53AB], origin + told[0x53AC])
    return places


def _read_info(file: Window, info: _Element, facts: Facts) -> None:
    """5.1.2"""
    nanoseconds, ticks = 1_000_000, 0.0
    for element in _elements(file, info.start, info.end):
        if element.number == 0x2AD7B1:
            nanoseconds = _number(file, element)
        elif element.number == 0x4489 and (form := {4: ">f", 8: ">d"}.get(element.end - element.start)):
            [ticks] = struct.unpack(form, file.exactly(struct.calcsize(form), at=element.start))
    facts.lasts(ticks * nanoseconds, 1e9)


def _read_tracks(file: Window, tracks: _Element, facts: Facts) -> None:
    """5.1.4"""
    for track in _elements(file, tracks.start, tracks.end):
        for element in _elements(file, track.start, track.end):
            if element.number == 0x83:
                kind = _number(file, element)
                facts.video = facts.video or kind == 1
                facts.audio = facts.audio or kind == 2
            elif element.number == 0xE0:
                facts.shows(*_sides(_numbers(file, element)))


def _sides(told: dict[int, int]) -> tuple[int, int]:
    """The display's where they are in pixels, and not a ratio or centimetres."""
    if told.get(_DISPLAY_UNIT, 0) == 0 and _DISPLAY_WIDTH in told and _DISPLAY_HEIGHT in told:
        return told[_DISPLAY_WIDTH], told[_DISPLAY_HEIGHT]
    width = told.get(_PIXEL_WIDTH, 0) - told.get(_CROP_LEFT, 0) - told.get(_CROP_RIGHT, 0)
    height = told.get(_PIXEL_HEIGHT, 0) - told.get(_CROP_TOP, 0) - told.get(_CROP_BOTTOM, 0)
    return width, height


def _numbers(file: Window, outer: _Element) -> dict[int, int]:
    """The elements in it that can be numbers, by theirs."""
    return {
        element.number: _number(file, element)
        for element in _elements(file, outer.start, outer.end)
        if element.end - element.start <= 8
    }


def _number(file: Window, element: _Element) -> int:
    """RFC 8794, 7.2. At most 8 bytes are read of it."""
    return file.big(min(element.end - element.start, 8), at=element.start)
