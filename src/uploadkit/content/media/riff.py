"""WAV and AVI, which are RIFF, and AIFF, which is the same the other way round. Chunks of a kind, a size and data.

RIFF and WAV: "Multimedia Programming Interface and Data Specifications 1.0" (1991),
https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html;
AVI: https://learn.microsoft.com/en-us/windows/win32/directshow/avi-riff-file-reference;
AIFF: "Audio Interchange File Format" 1.3 and AIFF-C,
https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/AIFF/AIFF.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple

from .facts import Facts
from .window import Window


class _Chunk(NamedTuple):
    """`start` and `end` are those of what is in it."""

    kind: bytes
    start: int
    end: int


def _chunks(file: Window, at: int, end: int, order: Literal["little", "big"] = "little") -> Iterator[_Chunk]:
    """Each chunk, cut where that ends in which it lies. A byte follows where its size is odd."""
    while at + 8 <= end:
        head = file.exactly(8, at=at)
        size = int.from_bytes(head[4:], order)
        yield _Chunk(head[:4], at + 8, min(at + 8 + size, end))
        at += 8 + size + size % 2


def _lists(file: Window, at: int, end: int) -> Iterator[_Chunk]:
    """The same, where a list goes by its own name and begins behind it."""
    for chunk in _chunks(file, at, end):
        yield _Chunk(file.exactly(4, at=chunk.start), chunk.start + 4, chunk.end) if chunk.kind == b"LIST" else chunk


# WAV

_AS_MANY_BYTES_EACH_SECOND = frozenset({0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE})
"""PCM, floats, A-law, mu-law, and the extension of them: of others a chunk of its own tells the samples."""


def read_wav(file: Window, facts: Facts) -> None:
    """The size of the sound is taken from the file where its header has none: it was streamed, or has 4 GiB."""
    coding, rate, bytes_per_second, samples = 0, 0, 0, 0
    for chunk in _chunks(file, 12, file.size):
        if chunk.kind == b"fmt ":
            coding, _, rate, bytes_per_second, _ = struct.unpack("<HHIIH", file.exactly(14, at=chunk.start))
            facts.audio = True
        elif chunk.kind == b"fact":
            samples = file.little(4, at=chunk.start)
        elif chunk.kind == b"data":
            size = chunk.end - chunk.start
            if size == 0:
                size = file.size - chunk.start
            if coding in _AS_MANY_BYTES_EACH_SECOND or samples in (0, 0xFFFFFFFF):
                facts.lasts(size, bytes_per_second)
            else:
                facts.lasts(samples, rate)
            return


# AIFF


def read_aiff(file: Window, facts: Facts) -> None:
    """Samples, and their rate as a floating-point number of 80 bits."""
    for chunk in _chunks(file, 12, file.size, "big"):
        if chunk.kind == b"COMM":
            samples, exponent, mantissa = struct.unpack(">2xI2xHQ", file.exactly(18, at=chunk.start))
            facts.audio = True
            if 0 <= exponent - 16383 < 64:  # a rate of at least 1
                facts.lasts(samples, mantissa / 2 ** (63 - (exponent - 16383)))
            return


# AVI


def read_avi(file: Window, facts: Facts) -> None:
    """The headers of the streams. The file's own knows of the first gigabyte alone; it counts where they are empty."""
    for headers in _lists(file, 12, file.size):
        if headers.kind == b"hdrl":
            for chunk in _lists(file, headers.start, headers.end):
                if chunk.kind == b"strl":
                    _read_stream(file, chunk, facts)
            if facts.duration is None:
                for chunk in _chunks(file, headers.start, headers.end):
                    if chunk.kind == b"avih":
                        microseconds = file.little(4, at=chunk.start)
                        facts.lasts(microseconds * file.little(4, at=chunk.start + 16), 1e6)
            return


def _read_stream(file: Window, stream: _Chunk, facts: Facts) -> None:
    """`strh`, and behind it `strf`: a bitmap's header where it is a film, of a negative height where it is top down."""
    kind = b""
    for chunk in _chunks(file, stream.start, stream.end):
        if chunk.kind == b"strh":
            kind, scale, rate, length = struct.unpack("<4s16xII4xI", file.exactly(36, at=chunk.start))
            facts.video = facts.video or kind == b"vids"
            facts.audio = facts.audio or kind == b"auds"
            facts.lasts(length * scale, rate)
        elif chunk.kind == b"strf" and kind == b"vids":
            width, height = struct.unpack("<4xii", file.exactly(12, at=chunk.start))
            facts.shows(width, abs(height))
