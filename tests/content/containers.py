"""Containers of audio and video by hand, for what no program writes: `box`, `element`, `chunk`, `page`, `frame`."""

from __future__ import annotations

import struct
from typing import Literal

FTYP = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"isom")
IDENTITY = (1, 0, 0, 1)

SEGMENT, SEEK_HEAD, INFO, TRACKS, CLUSTER = 0x18538067, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1F43B675


def box(kind: bytes, *inside: bytes) -> bytes:
    """Of ISO media."""
    data = b"".join(inside)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def large_box(kind: bytes, size: int) -> bytes:
    """The beginning of one whose size has 64 bits."""
    return struct.pack(">I4sQ", 1, kind, size)


def clock(kind: bytes, ticks: int, scale: int, *, version: int = 0) -> bytes:
    """`mvhd` or `mdhd`."""
    times = struct.pack(">QQIQ", 0, 0, scale, ticks) if version else struct.pack(">IIII", 0, 0, scale, ticks)
    return box(kind, bytes([version, 0, 0, 0]), times, bytes(80))


def track(
    width: float = 64,
    height: float = 48,
    *,
    number: int = 1,
    handler: bytes = b"vide",
    matrix: tuple[int, int, int, int] = IDENTITY,
    version: int = 0,
    ticks: int = 0,
    scale: int = 1000,
    coded: tuple[int, int] = (0, 0),
) -> bytes:
    """`trak`. `coded` are the sides that its samples have."""
    a, b, c, d = (value << 16 for value in matrix)
    times = struct.pack(">QQIIQ", 0, 0, number, 0, 0) if version else struct.pack(">IIIII", 0, 0, number, 0, 0)
    sides = struct.pack(">II", round(width * 2**16), round(height * 2**16))
    header = box(
        b"tkhd", bytes([version, 0, 0, 1]), times, bytes(16), struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30), sides
    )
    coding = box(b"stsd", bytes(7), b"\1", box(b"avc1", bytes(24), struct.pack(">HH", *coded), bytes(50)))
    return box(
        b"trak",
        header,
        box(
            b"mdia",
            clock(b"mdhd", ticks, scale, version=version),
            box(b"hdlr", bytes(8), handler, bytes(13)),
            box(b"minf", box(b"stbl", coding)),
        ),
    )


def film(*tracks: bytes, ticks: int = 2500, scale: int = 1000, version: int = 0) -> bytes:
    """A whole mp4: 2.5 s of 64 x 48."""
    return FTYP + box(b"moov", clock(b"mvhd", ticks, scale, version=version), *(tracks or (track(),)))


def fragment(begins: int, samples: int, *, number: int = 1, each: int | None = None) -> bytes:
    """`moof` and `mdat`. The samples have the track's own duration, or each has `each` written beside it."""
    run = struct.pack(">II", 0 if each is None else 0x100, samples)
    run += b"" if each is None else struct.pack(">I", each) * samples
    header = box(b"tfhd", bytes(4), struct.pack(">I", number))
    time = box(b"tfdt", b"\1\0\0\0", struct.pack(">Q", begins))
    return box(b"moof", box(b"mfhd", bytes(8)), box(b"traf", header, time, box(b"trun", run))) + box(b"mdat", bytes(50))


def fragmented(*boxes: bytes, each: int = 40) -> bytes:
    """An mp4 whose index says that there are fragments; `boxes` follow it."""
    trex = box(b"trex", bytes(4), struct.pack(">IIII", 1, 1, each, 0), bytes(4))
    return FTYP + box(b"moov", clock(b"mvhd", 0, 1000), track(), box(b"mvex", trex)) + b"".join(boxes)


def vint(value: int, size: int = 8) -> bytes:
    """A size of Matroska. All bits of it are "unknown"."""
    return (value | 1 << 7 * size).to_bytes(size, "big")


UNKNOWN = vint(2**56 - 1)


def element(number: int, *inside: bytes, size: bytes | None = None) -> bytes:
    """Of Matroska."""
    data = b"".join(inside)
    return number.to_bytes((number.bit_length() + 7) // 8, "big") + (vint(len(data)) if size is None else size) + data


def integer(number: int, value: int) -> bytes:
    """An element that is a number."""
    return element(number, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def info(ticks: float = 2500.0, nanoseconds: int = 1_000_000) -> bytes:
    """Info, with a duration."""
    return element(INFO, integer(0x2AD7B1, nanoseconds), element(0x4489, struct.pack(">d", ticks)))


def tracks(*video: bytes) -> bytes:
    """Tracks: a film, whose Video has these elements beside 64 x 48."""
    sides = integer(0xB0, 64) + integer(0xBA, 48)
    return element(TRACKS, element(0xAE, integer(0x83, 1), element(0xE0, sides, *video)))


def matroska(*elements: bytes, size: bytes | None = None) -> bytes:
    """A whole mkv; with a `size` of its segment that is another than it is."""
    return b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska" + element(SEGMENT, *elements, size=size)


def chunk(kind: bytes, *inside: bytes, size: int | None = None, order: Literal["little", "big"] = "little") -> bytes:
    """Of RIFF, or of AIFF in the other order."""
    data = b"".join(inside)
    return kind + (len(data) if size is None else size).to_bytes(4, order) + data + bytes(len(data) % 2)


def riff(kind: bytes, *chunks: bytes) -> bytes:
    """A whole file of it."""
    return chunk(b"RIFF", kind, *chunks)


def wav_format(coding: int = 1, rate: int = 8000, block: int = 2) -> bytes:
    """`fmt `: 8000 samples a second, of 2 bytes."""
    return chunk(b"fmt ", struct.pack("<HHIIHH", coding, 1, rate, rate * block, block, 8 * block))


def aiff(samples: int, exponent: int, mantissa: int) -> bytes:
    """A whole AIFF of no sound. The rate is a float of 80 bits."""
    common = chunk(b"COMM", struct.pack(">HIHHQ", 1, samples, 16, exponent, mantissa), order="big")
    return chunk(b"FORM", b"AIFF", common, order="big")


def page(stream: int, position: int, packet: bytes = b"", *, flags: int = 0) -> bytes:
    """Of Ogg, with one packet of less than 255 bytes."""
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, position, stream, 0, 0, 1)
    return head + bytes([len(packet)]) + packet


def frame(kilobits: int = 64, *, inside: bytes = b"") -> bytes:
    """Of mp3: 1152 samples, 44100 a second, which are 26 ms."""
    index = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320).index(kilobits) + 1
    return (b"\xff\xfb" + bytes([index << 4, 0xC0]) + inside).ljust(144_000 * kilobits // 44_100, b"\0")


def id3(size: int, data: bytes = b"") -> bytes:
    """A tag of version 2."""
    return b"ID3\4\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + data.ljust(size, b"\0")[:size]
