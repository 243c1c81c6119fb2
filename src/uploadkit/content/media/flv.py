"""FLV. Tags of audio, video and data, each with its time.

"Adobe Flash Video File Format Specification" 10.1, annex E
"""

from __future__ import annotations

import struct
from typing import Final

from .facts import Facts
from .window import Window

METADATA_SIZE: Final = 2**16
"""Bytes of the metadata that are looked at. What comes behind them are the places of key frames."""

_DATA = 18


def read_flv(file: Window, facts: Facts) -> None:
    """What the first tag says of the whole; where it says nothing, when the last one is played. E.2, E.4.1, E.5"""
    flags, header = struct.unpack(">BI", file.exactly(5, at=4))
    facts.audio, facts.video = bool(flags & 4), bool(flags & 1)
    first = header + 4
    kind, size = file.big(1, at=first), file.big(3, at=first + 1)
    if kind == _DATA:
        metadata = file.up_to(min(size, METADATA_SIZE), at=first + 11)
        facts.lasts(_number(metadata, b"duration"))
        facts.shows(_number(metadata, b"width"), _number(metadata, b"height"))
    if facts.duration is None:
        last = file.size - 4 - file.big(4, at=file.size - 4)
        milliseconds = file.big(3, at=last + 4) | file.big(1, at=last + 7) << 24
        facts.lasts(milliseconds, 1000)


def _number(metadata: bytes, name: bytes) -> float:
    """The value of a name: both are in AMF 0, where a number has the mark 0 and 64 bits. 0 where there is none."""
    written = len(name).to_bytes(2, "big") + name + b"\0"
    at = metadata.find(written)
    value = metadata[at + len(written) : at + len(written) + 8]
    return struct.unpack(">d", value)[0] if at >= 0 and len(value) == 8 else 0.0
