"""`media_info`: duration and sides as ffprobe tells them, and that nothing is so odd that it raises, or takes long."""

from __future__ import annotations

import asyncio
import io
import json
import math
import os
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.content.containers import (
    CLUSTER,
    FTYP,
    INFO,
    SEEK_HEAD,
    SEGMENT,
    TRACKS,
    UNKNOWN,
    aiff,
    box,
    chunk,
    clock,
    element,
    film,
    fragment,
    fragmented,
    frame,
    id3,
    info,
    integer,
    large_box,
    matroska,
    page,
    riff,
    track,
    tracks,
    vint,
    wav_format,
)

from uploadkit import DiskStorage, MemoryStorage, ObjectMissing, Uploader, receive
from uploadkit.content.media import MediaInfo, amedia_info, media_info
from uploadkit.content.sources import Source
from uploadkit.testing import FormBuilder, assert_no_leaks

FOLDER = Path(__file__).parents[1] / "samples" / "media"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
SAMPLES = {name: (FOLDER / name).read_bytes() for name in EXPECTED}

FILM = MediaInfo(duration=2.5, width=64, height=48, video=True)
SOUND = MediaInfo(duration=2.5, audio=True)


def of(data: bytes) -> MediaInfo:
    return media_info(io.BytesIO(data))


# What real programs write


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_is_as_ffprobe_says(name: str) -> None:
    """The duration to a tenth of a second or 2 %, the rest exactly."""
    told, expected = of(SAMPLES[name]), EXPECTED[name]
    assert told == MediaInfo(**{**expected, "duration": told.duration})
    assert told.duration == (expected["duration"] and pytest.approx(expected["duration"], rel=0.02, abs=0.1))


def test_every_sample_is_expected_to_be_something() -> None:
    """A file that is in the folder is tested."""
    assert {path.name for path in FOLDER.iterdir()} == {*EXPECTED, "expected.json"}


# ISO media


@pytest.mark.parametrize(
    ("matrix", "sides"),
    [
        ((1, 0, 0, 1), (64, 48)),
        ((0, 1, -1, 0), (48, 64)),
        ((-1, 0, 0, -1), (64, 48)),
        ((0, -1, 1, 0), (48, 64)),
        ((0, 1, 1, 0), (48, 64)),
        ((0, 0, 0, 0), (64, 48)),
    ],
)
def test_a_film_has_the_sides_that_are_seen(matrix: tuple[int, int, int, int], sides: tuple[int, int]) -> None:
    """What was held upright is higher than wide, and mirrored or not makes no difference."""
    told = of(film(track(matrix=matrix)))
    assert (told.width, told.height) == sides


def test_a_film_without_sides_has_those_of_its_coding() -> None:
    """Some programs leave the track's own at 0; turned they are all the same."""
    told = of(film(track(0, 0, coded=(320, 240), matrix=(0, 1, -1, 0))))
    assert (told.width, told.height) == (240, 320)


def test_of_several_films_the_largest_is_seen() -> None:
    """The others are the pictures of chapters, or a small copy."""
    told = of(film(track(160, 120, number=1), track(640, 480, number=2), track(320, 240, number=3)))
    assert (told.width, told.height) == (640, 480)


def test_a_track_that_is_neither_film_nor_sound_is_none() -> None:
    """Subtitles have sides too."""
    assert of(film(track(handler=b"sbtl"))) == MediaInfo(duration=2.5)


def test_times_may_have_64_bits() -> None:
    """Version 1 of the headers, and an index behind a medium of more than 4 GiB, which is not read."""
    told = film(track(version=1), ticks=2500, version=1)
    assert of(told) == FILM
    assert of(told[:20] + large_box(b"mdat", 16) + told[20:]) == FILM


def test_a_movie_without_a_duration_has_that_of_its_longest_track() -> None:
    """And "unknown", which is all bits, is none."""
    for ticks in (0, 2**32 - 1):
        assert of(film(track(ticks=1000), track(ticks=2500, number=2), ticks=ticks)) == FILM
    assert of(film(track(ticks=2**64 - 1, version=1), ticks=2**64 - 1, version=1)).duration is None


def test_fragments_last_until_the_end_of_the_last_one() -> None:
    """Whether the samples say how long they are, or leave it to the track."""
    assert of(fragmented(fragment(0, 25), fragment(1000, 25), fragment(2000, 5, each=100))) == FILM
    assert of(fragmented(fragment(0, 25), fragment(1000, 25), fragment(2000, 10), each=50)) == FILM
    assert of(fragmented()) == MediaInfo(width=64, height=48, video=True)


def test_an_index_may_tell_how_long_the_fragments_last() -> None:
    """`mehd`, and the rest is not looked at."""
    mehd = box(b"mehd", bytes(4), struct.pack(">I", 2500))
    assert of(FTYP + box(b"moov", clock(b"mvhd", 0, 1000), track(), box(b"mvex", mehd))) == FILM


@pytest.mark.parametrize("version", [0, 1])
def test_segments_may_tell_how_long_they_last(version: int) -> None:
    """`sidx`: the one of a whole film, and one in front of each segment."""
    form = ">IIQQHHIII" if version else ">IIIIHHIII"

    def index(begins: int, ticks: int, size: int) -> bytes:
        return box(b"sidx", bytes([version, 0, 0, 0]), struct.pack(form, 1, 1000, begins, 0, 0, 1, size, ticks, 0))

    segment = box(b"mdat", bytes(100))
    assert of(fragmented(index(0, 2500, len(segment)), segment)) == FILM
    assert of(fragmented(index(0, 1500, len(segment)), segment, index(1500, 1000, len(segment)), segment)) == FILM


@pytest.mark.parametrize("version", [0, 1])
def test_a_long_recording_is_read_from_its_index_at_the_end(version: int) -> None:
    """Ten hours in fragments of a second, of which only the last ones are visited."""
    count = 36_000
    head = fragmented()
    one = len(fragment(0, 25))
    last = len(head) + (count - 2) * one
    entries = b"".join(struct.pack(">QQ3x" if version else ">II3x", 0, at) for at in (len(head), last))
    index = box(b"tfra", bytes([version, 0, 0, 0]), struct.pack(">III", 1, 0, 2), entries)
    index = box(b"mfra", index, box(b"mfro", bytes(4), struct.pack(">I", len(index) + 24)))
    file = Counted(head + b"".join(fragment(1000 * number, 25) for number in range(count)) + index)
    assert media_info(cast(BinaryIO, file)).duration == count
    assert file.count < 16_384


def test_a_long_recording_without_an_index_has_no_duration() -> None:
    """That of the fragments which could be visited would be too short."""
    assert of(fragmented(*(fragment(1000 * number, 25) for number in range(20_000)))).duration is None


# Matroska


def test_what_was_streamed_has_sizes_that_are_unknown() -> None:
    """Of the segment and of its clusters; what stands before them is known."""
    cluster = element(CLUSTER, integer(0xE7, 0), bytes(64), size=UNKNOWN)
    assert of(matroska(info(), tracks(), cluster, cluster, size=UNKNOWN)) == FILM
    assert of(matroska(element(INFO, integer(0x2AD7B1, 10**6)), tracks(), cluster, size=UNKNOWN)) == MediaInfo(
        width=64, height=48, video=True
    )
    assert of(matroska(tracks(), cluster, info(), size=UNKNOWN)).duration is None


def test_what_stands_behind_the_clusters_is_found() -> None:
    """By the list of places at the beginning, or by going over them."""
    cluster = element(CLUSTER, bytes(70_000))

    def place(number: int, at: int) -> bytes:
        return element(0x4DBB, integer(0x53AB, number), element(0x53AC, at.to_bytes(4, "big")))

    length = len(element(SEEK_HEAD, place(INFO, 0), place(TRACKS, 0)))
    first = length + len(cluster)
    seek_head = element(SEEK_HEAD, place(INFO, first), place(TRACKS, first + len(info())))
    file = Counted(matroska(seek_head, cluster, info(), tracks()))
    assert media_info(cast(BinaryIO, file)) == FILM
    assert of(matroska(cluster, cluster, info(), tracks())) == FILM
    assert of(matroska(element(SEEK_HEAD, place(INFO, 5), place(TRACKS, 2**31)), cluster)) == MediaInfo()


def test_ticks_have_the_length_that_the_file_says() -> None:
    """A millisecond where it does not; and the duration may have 32 bits."""
    assert of(matroska(info(250.0, 10_000_000), tracks())) == FILM
    assert of(matroska(element(INFO, element(0x4489, struct.pack(">f", 2500.0))), tracks())) == FILM


@pytest.mark.parametrize("ticks", [1e300, -1.0, 0.0, math.nan, math.inf, -math.inf])
def test_a_duration_that_cannot_be_is_none(ticks: float) -> None:
    """In whatever format it stands."""
    assert of(matroska(info(ticks), tracks())).duration is None
    assert of(flv(duration=ticks)).duration is None


@pytest.mark.parametrize(
    ("video", "sides"),
    [
        (integer(0x54B0, 80) + integer(0x54BA, 45), (80, 45)),
        (integer(0x54B2, 3) + integer(0x54B0, 16) + integer(0x54BA, 9), (64, 48)),
        (integer(0x54CC, 4) + integer(0x54DD, 2) + integer(0x54BB, 8) + integer(0x54AA, 1), (58, 39)),
        (integer(0x54DD, 100), (None, None)),
    ],
)
def test_matroska_has_sides_of_its_display(video: bytes, sides: tuple[int | None, int | None]) -> None:
    """Where they are pixels and no ratio; else those of the picture, less what is cut off."""
    told = of(matroska(info(), tracks(video)))
    assert (told.width, told.height) == sides


# WAV, AIFF, AVI


@pytest.mark.parametrize("size", [0, 40_000, 2**32 - 1, 2**31])
def test_a_wav_that_lies_about_its_size_is_measured(size: int) -> None:
    """0 and the largest number are what is written as to a socket."""
    data = chunk(b"data", bytes(40_000), size=size)
    assert of(riff(b"WAVE", wav_format(), data)) == SOUND
    assert of(riff(b"WAVE", chunk(b"LIST", b"odd"), wav_format(), chunk(b"junk", b"1"), data)) == SOUND


def test_what_follows_the_sound_is_not_measured() -> None:
    """The pictures and names of a program."""
    tail = chunk(b"LIST", bytes(100_000))
    assert of(riff(b"WAVE", wav_format(), chunk(b"data", bytes(40_000)), tail)) == SOUND


def test_a_packed_wav_has_as_many_samples_as_it_says() -> None:
    """Its bytes each second are a mean; they count where it says nothing."""
    fact = chunk(b"fact", struct.pack("<I", 20_000))
    data = chunk(b"data", bytes(80_000))
    assert of(riff(b"WAVE", wav_format(0x11), fact, data)) == SOUND
    assert of(riff(b"WAVE", wav_format(0x11), data)).duration == 5
    assert of(riff(b"WAVE", wav_format(0x11, rate=0), fact, data)) == MediaInfo(audio=True)
    assert of(riff(b"WAVE", data)) == MediaInfo()


def test_the_rate_of_an_aiff_is_a_long_float() -> None:
    """8000 is 1.953125 times two to the twelfth; one of no second, or of none at all, tells nothing."""
    assert of(aiff(20_000, 16383 + 12, 8000 << 51)) == SOUND
    for exponent, mantissa in ((0x7FFF, 2**63), (0, 0), (0xFFFF, 2**64 - 1), (16383 + 12, 0), (16383 - 5000, 2**63)):
        assert of(aiff(20_000, exponent, mantissa)) == MediaInfo(audio=True)


def avi(length: int, height: int, frames: int) -> bytes:
    header = chunk(b"avih", struct.pack("<I12xI", 100_000, frames), bytes(36))
    stream = chunk(b"strh", b"vidsXVID", bytes(12), struct.pack("<II4xI", 1, 10, length), bytes(20))
    form = chunk(b"strf", struct.pack("<Iii", 40, 64, height), bytes(28))
    return riff(b"AVI ", chunk(b"LIST", b"hdrl", header, chunk(b"LIST", b"strl", stream, form)))


def test_an_avi_may_stand_on_its_head() -> None:
    """A height below 0: the lines go from the top down."""
    assert of(avi(25, -48, 0)) == FILM


def test_an_avi_that_was_streamed_has_what_its_header_says() -> None:
    """Its streams were written before they had a length."""
    assert of(avi(0, 48, 25)) == FILM
    assert of(avi(0, 48, 0)).duration is None


# Ogg and FLAC

VORBIS = b"\x01vorbis" + struct.pack("<IBI", 0, 1, 8000) + bytes(14)
SPEEX = b"Speex   " + bytes(28) + struct.pack("<I", 8000) + bytes(40)
OPUS = b"OpusHead\x01\x01" + struct.pack("<HI", 312, 8000) + bytes(3)


@pytest.mark.parametrize(
    ("head", "end"), [(VORBIS, 20_000), (SPEEX, 20_000), (OPUS, 120_312)], ids=["vorbis", "speex", "opus"]
)
def test_ogg_ends_with_the_last_position_of_its_stream(head: bytes, end: int) -> None:
    """Not with a page on which no packet ends, nor with that of another stream. Opus has samples that are skipped."""
    data = page(7, 0, head, flags=2) + page(7, 0, bytes(99)) * 9
    assert of(data + page(7, end) + page(7, -1) + page(8, 10**9)) == SOUND
    assert of(data + page(7, -1)) == MediaInfo(audio=True)


def test_the_longest_of_several_streams_counts() -> None:
    """They begin together, and each says where it ends."""
    heads = page(1, 0, VORBIS, flags=2) + page(2, 0, OPUS, flags=2)
    assert of(heads + page(1, 20_000) + page(2, 60_312)) == SOUND
    assert of(heads + page(2, 120_312) + page(1, 5000) + bytes(100_000)) == SOUND


def test_a_stream_that_is_not_known_is_passed_over() -> None:
    """An index of the others stands before them. And a page that is cut ends nothing."""
    data = page(3, 0, b"fishead\0" + bytes(56), flags=2) + page(1, 0, VORBIS, flags=2) + page(1, 20_000)
    assert of(data + page(3, 10**9) + b"OggS\0\4") == SOUND


def test_a_flac_that_was_streamed_has_no_duration() -> None:
    """Its header was written before the end was known."""
    flac = bytearray(SAMPLES["sound.flac"])
    assert of(id3(300) + flac).duration == pytest.approx(0.6)
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    assert of(bytes(flac)) == MediaInfo(audio=True)


# MPEG


@pytest.mark.parametrize(
    "head",
    [
        bytes(32) + b"Info\0\0\0\x0f" + struct.pack(">I", 100),
        bytes(32) + b"Xing\0\0\0\x01" + struct.pack(">I", 100),
        bytes(32) + b"VBRI" + bytes(10) + struct.pack(">I", 100),
    ],
    ids=["info", "xing", "vbri"],
)
def test_the_first_frame_of_an_mp3_may_tell_all(head: bytes) -> None:
    """Whatever follows it."""
    assert of(frame(inside=head) + frame() * 9).duration == pytest.approx(100 * 1152 / 44_100)


def test_tags_of_an_mp3_are_no_sound() -> None:
    """One before it, two, with room behind, and one at its end."""
    sound = frame() * 20
    seconds = pytest.approx(20 * 1152 / 44_100)
    picture = frame(320) * 300  # such as may be found in one
    for data in (sound, id3(len(picture), picture) + sound, id3(300) + id3(20) + bytes(1000) + sound):
        assert of(data).duration == seconds
        assert of(data + b"TAG".ljust(128, b"\0")).duration == seconds
    assert of(id3(300)[:5] + b"\x10" + id3(300)[6:] + bytes(10) + sound).duration == seconds


def test_an_mp3_of_a_varying_rate_is_estimated_all_over() -> None:
    """Its quiet beginning does not tell of its end. Of 12 MB half a megabyte is read."""
    file = Counted(frame(64) * 20_000 + frame(128) * 20_000)
    assert media_info(cast(BinaryIO, file)).duration == pytest.approx(40_000 * 1152 / 44_100, rel=0.02)
    assert file.count < 2**20


def test_mp3_has_three_layers_and_three_versions() -> None:
    """Twenty frames of each, with their own number of samples and size."""
    for head, size, seconds in (
        (b"\xff\xff\x40\xc0", 4 * (12 * 128_000 // 44_100), 384 / 44_100),  # MPEG-1, I
        (b"\xff\xfd\x40\xc0", 144 * 64_000 // 44_100, 1152 / 44_100),  # II
        (b"\xff\xf3\x40\xc0", 72 * 32_000 // 22_050, 576 / 22_050),  # MPEG-2, III
        (b"\xff\xe3\x40\xc0", 72 * 32_000 // 11_025, 576 / 11_025),  # 2.5
    ):
        data = id3(10) + head.ljust(size, b"\0") * 20
        assert of(data).duration == pytest.approx(20 * seconds)


def test_what_only_begins_as_an_mp3_tells_nothing() -> None:
    """One frame is none: its first bytes are found in any file."""
    assert of(frame() + b"and so on" * 99) == MediaInfo()
    assert of(id3(100)) == MediaInfo()


def test_a_film_of_mpeg_lasts_from_its_first_time_to_its_last() -> None:
    """Packets of MPEG-2, and of MPEG-1 with and without the size of a buffer."""

    def packet(stream: int, ticks: int, before: bytes, after: bytes = b"") -> bytes:
        mark = 0x21
        time = bytes([mark | ticks >> 29 & 0x0E])
        time += (ticks >> 14 & 0xFFFE | 1).to_bytes(2, "big") + ((ticks & 0x7FFF) << 1 | 1).to_bytes(2, "big")
        return b"\0\0\1" + bytes([stream]) + b"\0\x40" + before + time + after + bytes(30)

    pack = b"\0\0\1\xba" + bytes(8)
    sequence = b"\0\0\1\xb3\x04\x00\x30\x13"
    for before in (b"\x80\x80\x05", b"", b"\xff\xff\xff", b"\xff\x60\x20"):
        start = pack + packet(0xE0, 90_000, before, sequence) + packet(0xC0, 90_000, before)
        film = start + bytes(500_000) + packet(0xE0, 315_000, before) + packet(0xC0, 100_000, before)
        assert of(film) == MediaInfo(duration=2.5, width=64, height=48, audio=True, video=True)
    assert of(pack + bytes(500_000)) == MediaInfo()


# FLV and ASF


def flv(**numbers: float) -> bytes:
    """With a tag of metadata, and one of the film after 2.5 s."""
    metadata = b"\x02\x00\x0aonMetaData\x08\0\0\0\0"
    for name, value in numbers.items():
        metadata += struct.pack(">H", len(name)) + name.encode() + b"\0" + struct.pack(">d", value)
    data = b"FLV\1\1\0\0\0\x09" + bytes(4) + b"\x12" + len(metadata).to_bytes(3, "big") + bytes(7) + metadata
    return data + struct.pack(">I", 11 + len(metadata))


def test_flv_tells_of_itself_or_has_a_last_tag() -> None:
    """Whose time has its upper bits last."""
    last = b"\x09\0\0\4\0\x09\xc4\0\0\0\0" + bytes(4) + struct.pack(">I", 15)
    assert of(flv(duration=2.5, width=64, height=48)) == FILM
    for odd in (0.0, math.nan, -1.0, 1e300):
        assert of(flv(duration=odd, width=64, height=48) + last) == FILM
    assert of(flv(width=math.nan, height=math.inf, duration=1)) == MediaInfo(duration=1, video=True)
    late = last[:4] + b"\0\0\0\1" + last[8:]
    assert of(flv() + late).duration == 2**24 / 1000
    assert of(b"FLV\1\4\0\0\0\x09" + bytes(4) + last) == SOUND


def test_asf_that_is_broadcast_has_no_duration() -> None:
    """Nor one that is shorter than what is loaded before it plays."""
    data = SAMPLES["film.wmv"]
    at = data.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    broadcast = data[: at + 88] + b"\1" + data[at + 89 :]
    assert of(broadcast) == MediaInfo(width=64, height=48, audio=True, video=True)
    assert of(data[: at + 80] + b"\xff" * 8 + data[at + 88 :]) == of(broadcast)


# Odd input


def assert_possible(told: MediaInfo) -> None:
    assert told.duration is None or 0 < told.duration <= 366 * 24 * 3600
    assert (told.width is None) == (told.height is None)
    assert 0 < (told.width or 1) < 2**16 > (told.height or 1) > 0


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_is_cut_short_raises_nothing(name: str) -> None:
    """At every 64th byte. What is told of sides is what the whole file has, or its pixels before they are widened."""
    whole = of(SAMPLES[name])
    for end in range(0, len(SAMPLES[name]), 64):
        told = of(SAMPLES[name][:end])
        assert_possible(told)
        assert (told.width, told.height) in ((None, None), (whole.width, whole.height), (64, 48))


@given(data=st.data(), name=st.sampled_from(list(SAMPLES)))
def test_bytes_that_were_changed_raise_nothing(data: st.DataObject, name: str) -> None:
    """Where they matter: in the first and the last kilobyte."""
    changed = bytearray(SAMPLES[name])
    places = st.integers(-1024, 1023).filter(lambda at: -len(changed) <= at < len(changed))
    for at in data.draw(st.lists(places, min_size=1, max_size=8)):
        changed[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    assert_possible(of(bytes(changed)))


BEGINNINGS = [
    FTYP,
    FTYP + struct.pack(">I4s", 0, b"moov"),
    FTYP + box(b"moov", track())[:60],
    fragmented(),
    matroska(size=UNKNOWN),
    matroska(tracks()),
    b"RIFF\0\0\0\0WAVE" + wav_format(),
    b"RIFF\0\0\0\0AVI LIST\xff\xff\xff\0hdrl",
    b"FORM\0\0\0\0AIFF",
    b"fLaC\0\0\0\x22",
    page(1, 0, VORBIS, flags=2),
    page(1, 0, OPUS, flags=2),
    b"ID3\4\0\0",
    b"\xff\xfb\x50\xc0",
    b"\xff\xf1\x50\x80",
    b"FLV\1\5\0\0\0\x09\0\0\0\0\x12",
    SAMPLES["film.wmv"][:30],
    b"\0\0\1\xba",
]


@given(beginning=st.sampled_from(BEGINNINGS), rest=st.binary(max_size=300), end=st.binary(max_size=30))
@example(beginning=FTYP, rest=b"", end=box(b"mfro", bytes(4), struct.pack(">I", 16)))
@example(beginning=b"FLV\1\5\0\0\0\x09\0\0\0\0\x12", rest=b"", end=b"\xff\xff\xff\xff")
def test_whatever_follows_a_beginning_raises_nothing(beginning: bytes, rest: bytes, end: bytes) -> None:
    """Bytes of a stranger's choice, and some at the end."""
    assert_possible(of(beginning + rest + bytes(1000) + end))


@pytest.mark.parametrize("data", [b"", b"\0", b"hello", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n", b"PK\3\4" + bytes(99)])
def test_a_file_that_is_no_medium_has_nothing(data: bytes) -> None:
    """And is asked nothing further."""
    assert of(data) == MediaInfo()


# Hostile input


class Counted(io.RawIOBase):
    """A file that counts the bytes that are read of it, and how often one seeks."""

    def __init__(self, source: bytes | Path) -> None:
        self._file: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb", buffering=0)
        self.count = self.seeks = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self.count += count
        return int(count)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.seeks += 1
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


MILLION = 1_000_000


def in_boxes(depth: int) -> bytes:
    """Written from the outside in, since that takes no square of the depth."""
    path = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
    return b"".join(struct.pack(">I4s", 8 * (depth - at), path[at % 5]) for at in range(depth))


HOSTILE: dict[str, Callable[[], tuple[bytes, bytes]]] = {
    # What stands at the beginning and at the end of eight gigabytes.
    "boxes in boxes": lambda: (FTYP + in_boxes(100_000), b""),
    "tracks in tracks": lambda: (FTYP + box(b"moov", *[box(b"trak")] * 100_000), b""),
    "empty boxes": lambda: (FTYP + box(b"free") * MILLION, b""),
    "empty boxes in an index": lambda: (FTYP + box(b"moov", box(b"free") * MILLION), b""),
    "empty boxes in a track": lambda: (FTYP + box(b"moov", *[box(b"trak", box(b"free") * 1000)] * 1000), b""),
    "boxes of size zero": lambda: (FTYP + bytes(MILLION), b""),
    "boxes of size zero, with kinds": lambda: (FTYP + struct.pack(">I4s", 0, b"moov") * 100_000, b""),
    "boxes of the largest size": lambda: (FTYP + large_box(b"moov", 2**64 - 1) * 1000, b""),
    "boxes smaller than their heads": lambda: (FTYP + large_box(b"moov", 15) * 1000, b""),
    "a box of 64 bits in an index": lambda: (
        FTYP + struct.pack(">I4s", 2**31, b"moov") + large_box(b"trak", 2**63),
        b"",
    ),
    "fragments": lambda: (fragmented(*[fragment(0, 1)] * 50_000), b""),
    "tracks of fragments": lambda: (fragmented(*(fragment(0, 1, number=number) for number in range(50_000))), b""),
    "a run of 2^32 samples": lambda: (
        fragmented(
            box(
                b"moof",
                box(b"traf", box(b"tfhd", bytes(8)), box(b"tfdt", bytes(8)), box(b"trun", b"\0\0\1\0\xff\xff\xff\xff")),
            )
        ),
        b"",
    ),
    "an index that is itself": lambda: (fragmented(), box(b"mfro", bytes(4), struct.pack(">I", 16))),
    "an index of 2^32 fragments": lambda: (
        fragmented(),
        box(b"mfra", box(b"tfra", bytes(12), b"\xff" * 4), box(b"mfro", bytes(4), struct.pack(">I", 48))),
    ),
    "indices of empty segments": lambda: (fragmented(*[box(b"sidx", bytes(32))] * 100_000), b""),
    "elements in elements": lambda: (matroska(element(TRACKS, size=vint(2**40)) * 100_000, size=UNKNOWN), b""),
    "tracks in elements": lambda: (matroska(element(TRACKS, element(0xAE) * MILLION)), b""),
    "empty elements": lambda: (matroska(element(0xEC, size=b"\x80") * MILLION, size=UNKNOWN), b""),
    "elements of the largest size": lambda: (matroska(element(INFO, size=vint(2**56 - 2)), size=vint(2**56 - 2)), b""),
    "clusters of the largest size": lambda: (matroska(element(CLUSTER, size=vint(2**56 - 2)), size=UNKNOWN), b""),
    "a place that is its own list": lambda: (
        matroska(element(SEEK_HEAD, element(0x4DBB, integer(0x53AB, SEEK_HEAD), integer(0x53AC, 0))) * 50_000),
        b"",
    ),
    "segments in a row": lambda: (matroska()[:-12] + element(0xEC) * MILLION + element(SEGMENT), b""),
    "empty chunks": lambda: (riff(b"WAVE", chunk(b"junk") * MILLION), b""),
    "formats": lambda: (riff(b"WAVE", wav_format() * 100_000), b""),
    "empty chunks of another order": lambda: (b"FORM\0\0\0\0AIFF" + chunk(b"junk", order="big") * MILLION, b""),
    "empty lists": lambda: (b"RIFF\xff\xff\xff\xffAVI " + chunk(b"LIST", b"movi") * MILLION, b""),
    "streams": lambda: (b"RIFF\xff\xff\xff\xffAVI LIST\xff\xff\xff\xffhdrl" + chunk(b"LIST", b"strl") * MILLION, b""),
    "lists in lists": lambda: (b"RIFF\xff\xff\xff\xffAVI " + b"LIST\xff\xff\xff\0hdrl" * 100_000, b""),
    "streams of ogg": lambda: (b"".join(page(number, 0, VORBIS, flags=2) for number in range(50_000)), b""),
    "pages of ogg": lambda: (page(1, 0, VORBIS, flags=2), b"OggS" * 50_000),
    "pages of one stream": lambda: (page(1, 0, VORBIS, flags=2), page(1, -1) * 5000),
    "tags": lambda: (id3(0) * MILLION, b""),
    "a tag of the largest size": lambda: (id3(0)[:6] + b"\x7f\x7f\x7f\x7f", b""),
    "beginnings of frames": lambda: (id3(0) + b"\xff" * MILLION, b""),
    "beginnings of frames of AAC": lambda: (b"\xff\xf1\x50\x80\x00" * MILLION, b""),
    "the smallest frames": lambda: (b"\xff\xf1\x50\x80\x00\xe0\x00" * 3 * MILLION, b"\xff\xf1\x50\x80\x00\xe0\x00" * 9),
    "a last tag of the largest size": lambda: (flv(), b"\xff\xff\xff\xff"),
    "much metadata": lambda: (b"FLV\1\1\0\0\0\x09" + bytes(4) + b"\x12\xff\xff\xff" + b"\0\x08duration" * MILLION, b""),
    "empty objects": lambda: (
        SAMPLES["film.wmv"][:16] + b"\xff" * 8 + bytes(6) + (bytes(16) + b"\x18" + bytes(7)) * MILLION,
        b"",
    ),
    "packets": lambda: (b"\0\0\1\xba" + b"\0\0\1\xe0" * MILLION, b"\0\0\1\xe0" * MILLION),
    "packets with times": lambda: (
        b"\0\0\1\xba" + b"\0\0\1\xe0\0\0\x21\0\1\0\1" * 100_000,
        b"\0\0\1\xe0\0\0\x21\0\1\0\1" * 99_999,
    ),
}


@pytest.fixture
def sparse(tmp_path: Path) -> Iterator[Callable[[bytes, bytes], Counted]]:
    """Makes a file of eight gigabytes that takes no place but for its ends."""
    made: list[Counted] = []

    def make(head: bytes, tail: bytes) -> Counted:
        path = tmp_path / "sparse"
        path.write_bytes(head)
        os.truncate(path, 2**33)
        with path.open("r+b") as file:
            file.seek(-len(tail), os.SEEK_END)
            file.write(tail)
        made.append(Counted(path))
        return made[-1]

    yield make
    for file in made:
        file.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_read_within_bounds(name: str, sparse: Callable[[bytes, bytes], Counted]) -> None:
    """At most 1 MiB of eight gigabytes, in at most 10,000 places."""
    file = sparse(*HOSTILE[name]())
    assert_possible(media_info(cast(BinaryIO, file)))
    assert file.count <= 2**20
    assert file.seeks <= 10_000


@pytest.mark.parametrize("name", ["tracks in tracks", "a run of 2^32 samples", "streams of ogg", "packets with times"])
def test_a_hostile_file_takes_little_memory(name: str, sparse: Callable[[bytes, bytes], Counted]) -> None:
    """What is remembered of it, and what is read at once."""
    file = sparse(*HOSTILE[name]())
    tracemalloc.start()
    try:
        media_info(cast(BinaryIO, file))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_film_of_gigabytes_is_read_in_a_few_places(sparse: Callable[[bytes, bytes], Counted]) -> None:
    """Its index lies at the end, as a phone writes it."""
    index = film()[len(FTYP) :]
    size = 2**33 - len(FTYP) - len(index)
    file = sparse(FTYP + large_box(b"mdat", size), index)
    assert media_info(cast(BinaryIO, file)) == FILM
    assert file.count <= 2**14
    assert file.seeks <= 8


# Where it is read from


def test_it_is_asked_of_a_path_of_a_file_and_of_an_upload(tmp_path: Path) -> None:
    """And without blocking the event loop. Nothing stays open."""
    path = tmp_path / "a.mp4"
    path.write_bytes(film())
    form = FormBuilder().file("clip", film(), filename="a.mp4")
    clips = [
        receive(Uploader(storage).single("clip"), form.content_type, [form.body])
        for storage in (MemoryStorage(), DiskStorage(tmp_path / "uploads"))
    ]
    sources: list[Source] = [path, str(path), io.BytesIO(film()), *clips]
    with assert_no_leaks():
        for source in sources:
            assert media_info(source) == FILM
            assert asyncio.run(amedia_info(source)) == FILM


def test_a_file_is_left_where_it_was() -> None:
    """And open."""
    file = io.BytesIO(film())
    file.seek(5)
    assert media_info(file) == FILM
    assert file.tell() == 5


def test_what_cannot_be_opened_or_read_says_so(tmp_path: Path) -> None:
    """As it is: that is nothing the file's bytes did."""
    with pytest.raises(FileNotFoundError):
        media_info(tmp_path / "none")
    form = FormBuilder().file("clip", film(), filename="a.mp4")
    clip = receive(Uploader(MemoryStorage()).single("clip"), form.content_type, [form.body])
    clip.delete()
    with pytest.raises(ObjectMissing):
        media_info(clip)

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        media_info(Broken(film()))


def test_a_file_that_gives_little_at_a_time_is_read() -> None:
    """As raw files may."""

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 7))

    assert media_info(Slow(film())) == FILM
