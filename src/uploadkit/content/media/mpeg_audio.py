"""MPEG audio: mp3 and its elder layers, and AAC as ADTS. Frames one behind the other, each with its own header.

ISO/IEC 11172-3, 2.4.1.3, and 13818-3, 2.4.2.3 (layers I to III); 13818-7, 6.2 (ADTS). Around them tags:
https://id3.org/id3v2.4.0-structure, section 3. What the first frame holds where the rate varies:
http://gabriel.mp3-tech.org/mp3infotag.html; VBRI: https://www.codeproject.com/Articles/8295/MPEG-Audio-Frame-Header
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from .facts import Facts
from .window import Window
from .xiph import read_flac

SYNC_SIZE: Final = 2**16
"""Bytes in which the first frame is looked for: some programs leave room behind a tag."""

PARTS: Final = 32
PART_SIZE: Final = 2**14
"""So many bytes at so many places give the mean rate of a file that does not tell its length; all of one below that."""


class _Frame(NamedTuple):
    """`kind` is what all frames of a file have in common."""

    kind: int
    size: int
    samples: int
    rate: int


def read_mpeg_audio(file: Window, facts: Facts) -> None:
    """What the first frame says of all, else an estimate by some of them, which is exact for a constant rate."""
    start = _behind_tags(file)
    if file.up_to(4, at=start) == b"fLaC":
        read_flac(file, facts, start)
        return
    end = file.size - 128 if file.up_to(3, at=file.size - 128) == b"TAG" else file.size  # ID3v1
    head = file.up_to(SYNC_SIZE, at=start)
    at, first = _synchronized(head)
    if first is None:
        return
    facts.audio = True
    frames = _told_frames(head[at : at + 256])
    if frames:
        facts.lasts(frames * first.samples, first.rate)
    else:
        facts.lasts(_estimated(file, start + at, end, first))


def _behind_tags(file: Window) -> int:
    """ID3v2: the header and perhaps a footer of 10 bytes, and the size in 4 bytes of 7 bits."""
    at = 0
    while file.up_to(3, at=at) == b"ID3":
        flags, *sizes = file.exactly(5, at=at + 5)
        at += 10 + sum((size & 0x7F) << shift for size, shift in zip(sizes, (21, 14, 7, 0), strict=True))
        at += 10 if flags & 0x10 else 0
    return at


_XING = re.compile(rb"(?:Xing|Info)\x00\x00\x00[\x01\x03\x05\x07\x09\x0b\x0d\x0f](.{4})", re.DOTALL)
_VBRI = re.compile(rb"VBRI.{10}(.{4})", re.DOTALL)


def _told_frames(frame: bytes) -> int:
    """How many frames there are by the first, which is silent; 0 where it does not tell."""
    found = _XING.search(frame) or _VBRI.search(frame)
    return 0 if found is None else int.from_bytes(found[1], "big")


def _estimated(file: Window, start: int, end: int, first: _Frame) -> float:
    parts = PARTS if end - start > PARTS * PART_SIZE else 1
    part_size = PART_SIZE if parts > 1 else end - start
    size, samples = 0, 0
    for part in range(parts):
        data = file.up_to(part_size, at=start + part * (end - start - part_size) // (PARTS - 1))
        for frame in _frames(data, first):
            size += frame.size
            samples += frame.samples
    return samples / first.rate * (end - start) / size if size else 0


def _frames(data: bytes, like: _Frame) -> Iterator[_Frame]:
    """The frames that are whole, from the first that another one follows, to where there is none."""
    at, frame = _synchronized(data, like)
    while frame is not None and at + frame.size <= len(data):
        yield frame
        at += frame.size
        frame = _frame(data, at)


def _synchronized(data: bytes, like: _Frame | None = None) -> tuple[int, _Frame | None]:
    """The first frame that one of its kind, or the end, follows; None where there is none."""
    at = data.find(b"\xff")
    while at >= 0:
        frame = _frame(data, at)
        if frame is not None and (like is None or frame.kind == like.kind):
            after = _frame(data, at + frame.size)
            if at + frame.size == len(data) or (after is not None and after.kind == frame.kind):
                return at, frame
        at = data.find(b"\xff", at + 1)
    return 0, None


def _frame(data: bytes, at: int) -> _Frame | None:
    """What a header says, None where it is none."""
    if at + 7 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    return _layered(data, at) if data[at + 1] & 0x06 else _adts(data, at)


_KILOBITS = {
    # By whether it is MPEG-1, and by the layer.
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44100, 48000, 32000)
_DIVISORS = {3: 1, 2: 2, 0: 4}  # of the rates: MPEG-1, 2, 2.5


def _layered(data: bytes, at: int) -> _Frame | None:
    version, layer = data[at + 1] >> 3 & 3, 4 - (data[at + 1] >> 1 & 3)
    bits, rate_index, padding = data[at + 2] >> 4, data[at + 2] >> 2 & 3, data[at + 2] >> 1 & 1
    if version == 1 or not 0 < bits < 15 or rate_index == 3:
        return None
    rate = _RATES[rate_index] // _DIVISORS[version]
    per_second = 1000 * _KILOBITS[version == 3, layer][bits - 1]
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    size = 4 * (12 * per_second // rate + padding) if layer == 1 else samples // 8 * per_second // rate + padding
    return _Frame((data[at + 1] & 0x1E) << 2 | rate_index, size, samples, rate)


_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


def _adts(data: bytes, at: int) -> _Frame | None:
    rate_index = data[at + 2] >> 2 & 0xF
    size = int.from_bytes(data[at + 3 : at + 6], "big") >> 5 & 0x1FFF
    if data[at + 1] & 0xF0 != 0xF0 or rate_index >= len(_ADTS_RATES) or size < 7:
        return None
    return _Frame(rate_index, size, 1024 * (1 + (data[at + 6] & 3)), _ADTS_RATES[rate_index])
