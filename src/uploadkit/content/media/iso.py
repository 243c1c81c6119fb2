"""ISO media: mp4, m4v, m4a, mov, 3gp. Boxes, each of a size, a kind, and data or further boxes.

ISO/IEC 14496-12 (2022), whose sections are named below. QuickTime's boxes are the same:
https://developer.apple.com/documentation/quicktime-file-format
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .facts import Facts
from .window import Window


class _Box(NamedTuple):
    """`start` and `end` are those of what is in it."""

    kind: bytes
    start: int
    end: int


@dataclass(slots=True)
class _Track:
    """`scale` is its ticks in a second. `last` is its part of the last fragment, which begins at `begins`, in ticks."""

    scale: int = 0
    ticks_of_sample: int = 0
    last: _Box | None = None
    begins: int = 0


@dataclass(slots=True)
class _Movie:
    """`seconds` is what its header tells, `longest` what that of a track does; neither knows of the fragments where it
    is not `whole`."""

    seconds: float = 0
    longest: float = 0
    whole: bool = True
    tracks: dict[int, _Track] = field(default_factory=dict)


def read_iso(file: Window, facts: Facts) -> None:
    """The index, `moov`, at whichever end it lies; where it says that there are fragments, those too."""
    movie = _Movie()
    at = 0
    while (box := _box(file, at, file.size)) is not None:
        at = box.end
        if box.kind == b"moov":
            _read_movie(file, box, movie, facts)
            if movie.whole:
                break
            at = max(at, _last_fragments(file))
        elif box.kind == b"sidx":
            at = _read_segments(file, box, facts)
        elif box.kind == b"moof":
            _note_fragment(file, box, movie)
    facts.lasts(movie.seconds or movie.longest)
    for track in movie.tracks.values():
        if track.last is not None:
            facts.lasts(track.begins + _ticks_of(file, track.last, track), track.scale)


def _box(file: Window, at: int, end: int) -> _Box | None:
    """The box at a position, cut where that ends in which it lies; None where there is none. 4.2"""
    if at + 8 > end:
        return None
    size, kind = struct.unpack(">I4s", file.exactly(8, at=at))
    start = at + 8
    if size == 1:
        size, start = file.big(8, at=start), start + 8
    elif size == 0:
        size = end - at
    return _Box(kind, start, min(at + size, end)) if start <= at + size else None


def _boxes(file: Window, outer: _Box) -> Iterator[_Box]:
    at = outer.start
    while (box := _box(file, at, outer.end)) is not None:
        yield box
        at = box.end


def _inside(file: Window, box: _Box | None, *path: bytes) -> _Box | None:
    """The first box by a path of kinds. As deep as the path, however deep the file is."""
    for kind in path:
        if box is None:
            return None
        box = next((inner for inner in _boxes(file, box) if inner.kind == kind), None)
    return box


# The index


def _read_movie(file: Window, moov: _Box, movie: _Movie, facts: Facts) -> None:
    scale, duration = _clock(file, _inside(file, moov, b"mvhd"))  # 8.2.2
    movie.seconds = duration / scale if scale else 0
    for box in _boxes(file, moov):
        if box.kind == b"trak":
            _read_track(file, box, movie, facts)
        elif box.kind == b"mvex":  # 8.8.1: there are fragments
            movie.whole = False
            for trex in _boxes(file, box):
                if trex.kind == b"trex":  # 8.8.3
                    track = movie.tracks.setdefault(file.big(4, at=trex.start + 4), _Track())
                    track.ticks_of_sample = file.big(4, at=trex.start + 12)
            mehd = _inside(file, box, b"mehd")  # 8.8.2
            if mehd is not None and scale and (duration := _time(file, mehd, at=4)):
                movie.seconds, movie.whole = duration / scale, True


def _read_track(file: Window, trak: _Box, movie: _Movie, facts: Facts) -> None:
    header = _inside(file, trak, b"tkhd")
    handler = _inside(file, trak, b"mdia", b"hdlr")
    if header is None or handler is None:
        return
    scale, duration = _clock(file, _inside(file, trak, b"mdia", b"mdhd"))  # 8.4.2
    number = file.big(4, at=header.start + (20 if _version(file, header) else 12))
    movie.tracks.setdefault(number, _Track()).scale = scale
    movie.longest = max(movie.longest, duration / scale if scale else 0)
    kind = file.exactly(4, at=handler.start + 8)  # 8.4.3
    if kind == b"soun":
        facts.audio = True
    elif kind == b"vide":
        facts.video = True
        facts.shows(*_sides(file, trak, header))


def _sides(file: Window, trak: _Box, header: _Box) -> tuple[float, float]:
    """As they are shown; of the first coding, where the header of the track has none. 8.3.2, 12.1.3"""
    fields = header.start + (52 if _version(file, header) else 40)
    a, b, _, _, _, _, _, _, _, width, height = struct.unpack(">9i2I", file.exactly(44, at=fields))
    width, height = width / 2**16, height / 2**16
    coding = _inside(file, trak, b"mdia", b"minf", b"stbl", b"stsd")
    if not (width and height) and coding is not None:
        width, height = struct.unpack(">HH", file.exactly(4, at=coding.start + 40))
    return (height, width) if abs(b) > abs(a) else (width, height)  # what goes across goes down: it is turned


def _version(file: Window, box: _Box) -> int:
    """Not 0: the times in the box have 64 bits."""
    return file.big(1, at=box.start)


def _time(file: Window, box: _Box, *, at: int) -> int:
    """The time at a position in the box; 0 where it is not known, which all bits of it say."""
    size = 8 if _version(file, box) else 4
    ticks = file.big(size, at=box.start + at)
    return 0 if ticks == 2 ** (8 * size) - 1 else ticks


def _clock(file: Window, box: _Box | None) -> tuple[int, int]:
    """Ticks in a second, and how many the whole has: of `mvhd` and `mdhd`."""
    if box is None:
        return 0, 0
    at = 20 if _version(file, box) else 12
    return file.big(4, at=box.start + at), _time(file, box, at=at + 4)


# Fragments: 8.8 and 8.16


def _last_fragments(file: Window) -> int:
    """Where the last fragment of each track is, by the index at the end of the file; 0 where there is none. 8.8.9"""
    if file.size < 16 or file.exactly(4, at=file.size - 12) != b"mfro":
        return 0
    index = _box(file, file.size - file.big(4, at=file.size - 4), file.size)
    places: list[int] = []
    for box in _boxes(file, index) if index is not None and index.kind == b"mfra" else ():
        if box.kind == b"tfra" and (count := file.big(4, at=box.start + 12)):
            sizes, time = file.big(1, at=box.start + 11), 8 if _version(file, box) else 4
            entry = 2 * time + 3 + (sizes >> 4 & 3) + (sizes >> 2 & 3) + (sizes & 3)
            places.append(file.big(time, at=box.start + 16 + (count - 1) * entry + time))
    return min(places, default=0)


def _read_segments(file: Window, sidx: _Box, facts: Facts) -> int:
    """Takes the times that an index of segments tells, and returns where the last of them ends. 8.16.3"""
    time = 8 if _version(file, sidx) else 4
    scale, begins = file.big(4, at=sidx.start + 8), file.big(time, at=sidx.start + 12)
    skipped, count = file.big(time, at=sidx.start + 12 + time), file.big(2, at=sidx.start + 14 + 2 * time)
    table = file.exactly(12 * count, at=sidx.start + 16 + 2 * time)
    entries: list[tuple[int, int]] = list(struct.iter_unpack(">II4x", table))
    facts.lasts(begins + sum(duration for _, duration in entries), scale)
    return sidx.end + skipped + sum(size & 0x7FFFFFFF for size, _ in entries)


def _note_fragment(file: Window, moof: _Box, movie: _Movie) -> None:
    """Only the last one of each track is of interest: it says when it begins. 8.8.12"""
    for traf in _boxes(file, moof):
        header, time = _inside(file, traf, b"tfhd"), _inside(file, traf, b"tfdt")
        if header is not None and time is not None:
            track = movie.tracks.setdefault(file.big(4, at=header.start + 4), _Track())
            track.last, track.begins = traf, _time(file, time, at=4)


def _ticks_of(file: Window, traf: _Box, track: _Track) -> int:
    """How long the samples of a fragment last together. Flags tell which fields of 4 or 8 bytes there are.

    8.8.7, 8.8.8
    """
    each, ticks = track.ticks_of_sample, 0
    for box in _boxes(file, traf):
        flags = file.big(4, at=box.start)
        if box.kind == b"tfhd":
            if flags & 0x08:
                each = file.big(4, at=box.start + 8 + 8 * (flags & 1) + 2 * (flags & 2))
        elif box.kind == b"trun":
            count = file.big(4, at=box.start + 4)
            if not flags & 0x100:
                ticks += count * each
                continue
            width = 4 * (flags >> 8 & 0xF).bit_count()
            table = file.exactly(count * width, at=box.start + 8 + 4 * (flags & 1) + (flags & 4))
            ticks += sum(int.from_bytes(table[at : at + 4], "big") for at in range(0, len(table), width))
    return ticks
