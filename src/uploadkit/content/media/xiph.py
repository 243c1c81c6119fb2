"""FLAC, and Ogg with Vorbis, Opus, FLAC, Speex or Theora in it.

Ogg: RFC 3533; Opus in it: RFC 7845; FLAC, and FLAC in Ogg: RFC 9639; Vorbis: https://xiph.org/vorbis/doc/, 4.2.2;
Theora: https://theora.org/doc/Theora.pdf, 6.2; Speex: https://www.speex.org/docs/manual/speex-manual/, 7.3
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, TypeAlias

from .facts import Facts
from .window import Window

Clock: TypeAlias = Callable[[int], float]
"""The seconds from the beginning of a stream to the end of a page, by the position that the page tells."""

TAIL_SIZE: Final = 2**17
"""Bytes at the end of an Ogg file. A page has at most 65,307: the last of two streams is in it."""

_HEAD = struct.Struct("<4sBBqI8xB")  # capture pattern, version, flags, position, stream, segments
_BEGINS = 0x02
_NO_POSITION = -1  # no packet ends on the page


def read_flac(file: Window, facts: Facts, start: int = 0) -> None:
    """RFC 9639, 8.2. No samples: their number was not known when it was written."""
    facts.audio = True
    facts.lasts(file.big(5, at=start + 21) & (2**36 - 1), file.big(3, at=start + 18) >> 4)


def read_ogg(file: Window, facts: Facts) -> None:
    """The pages with which streams begin stand first; the last page of a stream, near the file's end, tells its end."""
    clocks = _clocks(file, facts)
    start = max(0, file.size - TAIL_SIZE)
    tail = file.exactly(file.size - start, at=start)
    at = len(tail)
    while clocks and (at := tail.rfind(b"OggS", 0, at)) >= 0:
        if at + _HEAD.size <= len(tail):
            _, _, _, position, stream, _ = _HEAD.unpack_from(tail, at)
            if position != _NO_POSITION and stream in clocks:
                facts.lasts(clocks.pop(stream)(position))


def _clocks(file: Window, facts: Facts) -> dict[int, Clock]:
    clocks: dict[int, Clock] = {}
    at = 0
    while True:
        magic, _, flags, _, stream, segments = _HEAD.unpack(file.exactly(_HEAD.size, at=at))
        if magic != b"OggS" or not flags & _BEGINS:
            return clocks
        start = at + _HEAD.size + segments
        size = sum(file.exactly(segments, at=at + _HEAD.size))
        clock = _clock(file.exactly(size, at=start), facts)
        if clock is not None:
            clocks[stream] = clock
        at = start + size


def _clock(packet: bytes, facts: Facts) -> Clock | None:
    """Of the stream that begins with this packet; None where it is none that is known here."""
    if packet.startswith(b"\x80theora") and len(packet) >= 42:
        facts.video = True
        return _theora(packet, facts)
    if packet.startswith(b"\x01vorbis") and len(packet) >= 16:
        facts.audio = True
        return _rate(int.from_bytes(packet[12:16], "little"))
    if packet.startswith(b"OpusHead") and len(packet) >= 12:
        facts.audio = True
        return _rate(48_000, skipped=int.from_bytes(packet[10:12], "little"))
    if packet.startswith(b"\x7fFLAC") and len(packet) >= 30:
        facts.audio = True
        return _rate(int.from_bytes(packet[27:30], "big") >> 4)
    if packet.startswith(b"Speex   ") and len(packet) >= 40:
        facts.audio = True
        return _rate(int.from_bytes(packet[36:40], "little"))
    return None


def _rate(per_second: int, *, skipped: int = 0) -> Clock:
    return lambda position: (position - skipped) / per_second if per_second else 0


def _theora(packet: bytes, facts: Facts) -> Clock:
    """A position is the number of a key frame, and behind it that of the frames since."""
    width, height = int.from_bytes(packet[14:17], "big"), int.from_bytes(packet[17:20], "big")
    frames, seconds = struct.unpack_from(">II", packet, 22)
    across, down = int.from_bytes(packet[30:33], "big"), int.from_bytes(packet[33:36], "big")
    facts.shows(width * across / down if across and down else width, height)
    shift = int.from_bytes(packet[40:42], "big") >> 5 & 31
    return lambda position: ((position >> shift) + (position & ((1 << shift) - 1))) * seconds / frames if frames else 0
