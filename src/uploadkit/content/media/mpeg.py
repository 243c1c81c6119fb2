"""MPEG program streams: mpg, vob. They say nothing of the whole, but each packet has its time.

ISO/IEC 13818-1, 2.4.3.7 (packets), and 11172-1, 2.4.3.3 (those of MPEG-1); 13818-2, 6.2.2.1 (sequences of video)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .facts import Facts
from .window import Window

END_SIZE: Final = 2**17
"""Bytes at both ends that are looked at. A second of film may be longer, but not of its sound."""

_PACKET = re.compile(rb"\x00\x00\x01([\xc0-\xef])")
_FIRST_VIDEO = 0xE0
_SEQUENCE = b"\x00\x00\x01\xb3"


def read_mpeg(file: Window, facts: Facts) -> None:
    """From the earliest time near the beginning to the latest one near the end."""
    head = file.up_to(END_SIZE, at=0)
    tail = file.up_to(END_SIZE, at=max(0, file.size - END_SIZE))
    packets = [*_packets(head)]
    facts.audio = any(stream < _FIRST_VIDEO for stream, _ in packets)
    facts.video = any(stream >= _FIRST_VIDEO for stream, _ in packets)
    at = head.find(_SEQUENCE) + len(_SEQUENCE)
    if at >= len(_SEQUENCE):
        sides = int.from_bytes(head[at : at + 3], "big")
        facts.shows(sides >> 12, sides & 0xFFF)
    begins = min((time for _, time in packets), default=0)
    ends = max((time for _, time in _packets(tail)), default=0)
    facts.lasts(ends - begins, 90_000)


def _packets(data: bytes) -> Iterator[tuple[int, int]]:
    """The stream of each packet that has a time, and that: when it is to be presented, in ticks of 1/90,000 second."""
    for packet in _PACKET.finditer(data):
        time = _time(data[packet.end() + 2 : packet.end() + 32])
        if time is not None:
            yield packet[1][0], time


def _time(header: bytes) -> int | None:
    if header[:1] and header[0] >> 6 == 0b10:
        at = 3 if header[1:2] >= b"\x80" else len(header)
    else:  # MPEG-1: stuffing, and perhaps the size of a buffer
        header = header.lstrip(b"\xff")
        at = 2 if header[:1] and header[0] >> 6 == 0b01 else 0
        at = at if header[at : at + 1] and header[at] >> 5 == 0b001 else len(header)
    field = header[at : at + 5]
    if len(field) < 5 or not field[0] & field[2] & field[4] & 1:
        return None
    middle, low = int.from_bytes(field[1:3], "big"), int.from_bytes(field[3:5], "big")
    return (field[0] >> 1 & 7) << 30 | middle >> 1 << 15 | low >> 1
