"""Files that an attacker sends, and files that people send: a table of both, made when they are asked for.

Each is sent to one of `fields`, which are what somebody would write who has read the docs. A bad one has the filters
that may refuse it: two, where `accept` and a check both look at what tells. No virus is in any source.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from PIL import Image, PngImagePlugin
from tests.content import hostile_archives as hostile
from tests.content.clamd import eicar
from tests.content.hostile_archives import SLIPS, ZEROS, of_kind, tarred, with_mode, zipped
from tests.content.pictures import (
    GIF,
    JPEG,
    PNG,
    WEBP,
    after_start,
    animated,
    archive,
    drawn,
    exif,
    flipped,
    frames,
    jpeg_segment,
    many_frames,
    png_chunk,
    png_of,
    real_bomb,
    webp_of,
    wide_gamut_profile,
    with_sides,
    written,
)
from tests.content.polyglots import (
    AVIF,
    DOS_EPS,
    ELF,
    EPS,
    EXTERNAL,
    HTML,
    JAVASCRIPT,
    LAUGHS,
    MSL,
    MVG,
    PE,
    PHP,
    SHELL,
    SVG,
    VBA,
    VBA_TYPE,
    avif_of,
    bmp_as_javascript,
    bmp_from_above,
    bmp_of,
    bmp_of_old,
    bmp_of_runs,
    compound,
    endless_tiff,
    epub,
    escaped_script,
    far,
    gif_as_javascript,
    gif_in_pieces,
    gif_of,
    gif_with_comment,
    jpeg_as_iso,
    jpeg_as_javascript,
    jpeg_as_tar,
    jpeg_of_scans,
    jpeg_of_two_headers,
    jpeg_with_comment,
    large_tiff_of,
    lzma_alone,
    macro_document,
    office,
    opening,
    pdf,
    photographed,
    picture,
    png_as_tar,
    png_text_bomb,
    png_with,
    real_scan,
    streamed_zip,
    tar,
    tar_behind_its_end,
    tar_of_headers,
    tar_of_two_sizes,
    tar_with_headers,
    tiff_of,
    webp_with_frame,
    with_link,
    with_named_script,
    zip64,
    zip64_that_lies,
    zip_ended_in_64_bits,
    zip_in_volumes,
    zip_of,
    zip_with_descriptor_bomb,
    zip_with_unicode_path,
)

from uploadkit import AUDIO, DOCUMENTS, IMAGES, VIDEOS, File
from uploadkit.content.archives import ArchiveCheck
from uploadkit.content.documents import DocumentCheck
from uploadkit.content.images import FORMATS, ImageCheck
from uploadkit.content.sandbox import Sandbox
from uploadkit.content.scanning import ClamAV
from uploadkit.policy.media_types import types_of
from uploadkit.policy.signatures import HEAD_SIZE
from uploadkit.testing import sample

Table: TypeAlias = dict[str, tuple[str, Callable[[], bytes]]]
"""What it is, the name that it is sent with, and how it is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A file as it is sent to a field. `refused_by` names the filters one of which refuses it; none for a good one."""

    field: str
    filename: str
    make: Callable[[], bytes]
    refused_by: tuple[str, ...] = ()

    @property
    def declared(self) -> str:
        """What a browser says: it looks at the name and at nothing else."""
        _, dot, extension = self.filename.rpartition(".")
        return next(iter(types_of(dot + extension)), "application/octet-stream")


def fields(sandbox: Sandbox, clamd: str | None = None) -> list[File]:
    """The fields of a form. `clamd` is the address of the daemon that scans the last one."""
    every_format = ImageCheck(formats=tuple(FORMATS), sandbox=sandbox)
    rules = [
        File("picture", accept=IMAGES, check=ImageCheck(sandbox=sandbox)),
        File("scan", accept=IMAGES, check=every_format),
        File("drawing", accept=[IMAGES, "image/svg+xml"], check=ImageCheck(sandbox=sandbox)),
        File("archive", accept=[".zip", ".tar", ".gz", ".bz2", ".xz"], check=ArchiveCheck()),
        File("document", accept=DOCUMENTS, check=[ArchiveCheck(), DocumentCheck(sandbox=sandbox)]),
        File("letter", accept=DOCUMENTS, check=[ArchiveCheck(), DocumentCheck(embedded="refuse", sandbox=sandbox)]),
        File("film", accept=[VIDEOS, AUDIO], check=ArchiveCheck()),
        File("unchecked", accept=[IMAGES, VIDEOS, AUDIO, DOCUMENTS, ".zip"]),
    ]
    return rules if clamd is None else [*rules, File("scanned", check=ClamAV(clamd))]


_SAMPLES = Path(__file__).parents[1] / "samples"
"""Written by other programs: what is beside them says by which."""

with tarfile.open(_SAMPLES / "documents/documents.tar.xz") as _kept:
    _DOCUMENTS = {member.name: file.read() for member in _kept if (file := _kept.extractfile(member)) is not None}


def _of_kinds(*kinds: str) -> Table:
    """Those that are whole: of larger ones there is the beginning alone."""
    folders = [_SAMPLES / "kinds" / kind for kind in kinds]
    paths = sorted(path for folder in folders for path in folder.iterdir() if path.stat().st_size < HEAD_SIZE)
    return {f"{path.parent.name} of another program, {path.name}": (path.name, path.read_bytes) for path in paths}


def _documents(names: str) -> Table:
    return {f"{name} of another program": (name, partial(_DOCUMENTS.__getitem__, name)) for name in names.split()}


def _media(*names: str) -> Table:
    return {f"{name} of another program": (name, (_SAMPLES / "media" / name).read_bytes) for name in names}


FILM = (_SAMPLES / "media/index-first.mp4").read_bytes()


def packed(name: str, data: bytes) -> bytes:
    """The one entry of a zip."""
    return zipped((name, data))


def tgz(*entries: tuple[str | tarfile.TarInfo, bytes]) -> bytes:
    return gzip.compress(tarred(*entries), mtime=0)


# The bad ones, by the field that they are sent to and the filters that refuse them.

_AS_PICTURES: Table = {
    "html as png": ("a.png", lambda: HTML),
    "html without a doctype as jpg": ("a.jpg", lambda: b"  <body onload=alert(1)>"),
    "html in UTF-16 as png": ("a.png", lambda: b"\xff\xfe" + HTML.decode().encode("utf-16-le")),
    "javascript as jpg": ("a.jpg", lambda: JAVASCRIPT),
    "javascript that begins as a gif": ("a.gif", lambda: b"GIF89a=1;" + JAVASCRIPT),
    "php as gif": ("a.gif", lambda: b"GIF89a" + PHP),
    "php as jpg": ("a.jpg", lambda: PHP),
    "a shell script as png": ("a.png", lambda: SHELL),
    "a program of Linux as png": ("a.png", lambda: ELF),
    "a program of Windows as jpg": ("a.jpg", lambda: PE),
    "a library of Java as gif": ("a.gif", lambda: zip_of("META-INF/MANIFEST.MF", "A.class")),
    "zip as png": ("a.png", archive),
    "pdf as jpg": ("a.jpg", lambda: sample("application/pdf")),
    "mvg as png": ("a.png", lambda: MVG),
    "msl as jpg": ("a.jpg", lambda: MSL),
    "eps as png": ("a.png", lambda: EPS),
    "eps with a binary head as jpg": ("a.jpg", lambda: DOS_EPS),
    "svg as png": ("a.png", lambda: SVG),
    "svg": ("a.svg", lambda: SVG),
    "svgz": ("a.svgz", lambda: gzip.compress(SVG, mtime=0)),
    "xml bomb as png": ("a.png", lambda: LAUGHS),
    "ico": ("a.ico", lambda: written(drawn((16, 16)), "ICO")),
    "psd as png": ("a.png", lambda: b"8BPS\0\1" + bytes(500)),
    "nothing": ("a.png", lambda: b""),
    "zeros": ("a.jpg", lambda: bytes(5000)),
    "png as jpg": ("a.jpg", lambda: PNG),
    "jpg as png": ("a.png", lambda: JPEG),
    "gif as webp": ("a.webp", lambda: GIF),
    "webp as jpg": ("a.jpg", lambda: WEBP),
    "png as html": ("a.html", lambda: PNG),
    "jpg as php": ("a.jpg.php", lambda: JPEG),
}

_WRONG_PICTURES: Table = {
    "only the first bytes of a png": ("a.png", lambda: PNG[:4]),
    "bmp, which nobody named": ("a.bmp", partial(picture, "BMP")),
    "tiff, which nobody named": ("a.tiff", partial(picture, "TIFF")),
    "a photo in heic": ("a.heic", lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)),
}

_POLYGLOTS: Table = {
    "gifar": ("a.gif", lambda: GIF + zip_of("META-INF/MANIFEST.MF", "A.class")),
    "gifar with junk behind": ("a.gif", lambda: GIF + archive() + bytes(9)),
    "png and zip": ("a.png", lambda: PNG + archive()),
    "png and zip of 64 bits": ("a.png", lambda: PNG + zip_ended_in_64_bits()),
    "zip inside of a png": ("a.png", lambda: PNG[:-12] + png_chunk(b"zipp", archive()) + PNG[-12:]),
    "jpeg and zip": ("a.jpg", lambda: JPEG + archive()),
    "webp and zip": ("a.webp", lambda: WEBP + archive()),
    "avif and zip": ("a.avif", lambda: AVIF() + archive()),
    "jpeg and rar": ("a.jpg", lambda: JPEG + b"Rar!\x1a\x07\x01\0" + bytes(99)),
    "jpeg and rar behind some bytes": ("a.jpg", lambda: JPEG + b"\1\2\3" + b"Rar!\x1a\x07\0" + bytes(99)),
    "png and 7z behind some bytes": ("a.png", lambda: PNG + b"\1\2\3" + b"7z\xbc\xaf\x27\x1c\0\4" + bytes(99)),
    "rar inside of a png": ("a.png", lambda: png_with(png_chunk(b"rarr", b"Rar!\x1a\x07\x01\0" + bytes(99)))),
    "jpeg and tar": ("a.jpg", jpeg_as_tar),
    "png and tar": ("a.png", png_as_tar),
    "jpeg and iso": ("a.jpg", jpeg_as_iso),
    "jpeg and html": ("a.jpg", lambda: JPEG + HTML),
    "png and html": ("a.png", lambda: PNG + HTML),
    "png with html in its text": (
        "a.png",
        lambda: png_with(png_chunk(b"tEXt", b"Title\0<html><body onload=alert(1)>")),
    ),
    "png with a script in its text": (
        "a.png",
        lambda: png_with(png_chunk(b"tEXt", b"Title\0<ScRiPt>alert(1)</script>")),
    ),
    "gif with a handler of a picture in its comment": (
        "a.gif",
        lambda: gif_with_comment(b"<img src=x onerror=alert(1)>"),
    ),
    "png and javascript": ("a.png", lambda: PNG + b"\n*/=1;" + JAVASCRIPT),
    "gif and javascript in a comment": ("a.gif", partial(gif_as_javascript, b"/*", b"*/=1;")),
    "gif and javascript in a text": ("a.gif", partial(gif_as_javascript, b"=\n`\0", b"`;")),
    "jpeg and javascript": ("a.jpg", jpeg_as_javascript),
    "jpeg and javascript in its comment": ("a.jpg", partial(jpeg_as_javascript, 0xFE)),
    "jpeg with php as its comment": ("a.jpg", lambda: jpeg_with_comment(PHP)),
    "jpeg with short php as its comment": ("a.jpg", lambda: jpeg_with_comment(b"<?=`$_GET[0]`;")),
    "jpeg with shorter php as its comment": ("a.jpg", lambda: jpeg_with_comment(b"<? system($_GET[0]); ?>")),
    "jpeg with php in its EXIF": (
        "a.jpg",
        lambda: written(drawn(), "JPEG", exif=exif(1, note="<?php eval($_GET[0]);?>")),
    ),
    "gif and php": ("a.gif", lambda: GIF + PHP),
    "gif with php as its comment": ("a.gif", lambda: gif_with_comment(PHP)),
    "png with php in its text": ("a.png", lambda: png_with(png_chunk(b"tEXt", b"Comment\0" + PHP))),
    "phar": ("a.jpg", lambda: jpeg_with_comment(b"__HALT_COMPILER(); ?>\r\n")),
    "jpeg and pdf": ("a.jpg", lambda: jpeg_with_comment(sample("application/pdf"))),
    "jpeg and a shell script": ("a.jpg", lambda: JPEG + b"\n" + SHELL),
    "png and a program of Linux": ("a.png", lambda: PNG + ELF),
    "webp and a program of Windows": ("a.webp", lambda: WEBP + PE),
    "gif and a program of Windows": ("a.gif", lambda: GIF + PE),
    "avif and a program of Linux": ("a.avif", lambda: AVIF() + ELF),
    "avif and html": ("a.avif", lambda: AVIF() + HTML),
    "avif and php in a box": ("a.avif", lambda: AVIF() + len(b"1234free" + PHP).to_bytes(4, "big") + b"free" + PHP),
}

_SCANNED_POLYGLOTS: Table = {
    "bmp and javascript": ("a.bmp", bmp_as_javascript),
    "bmp and zip": ("a.bmp", lambda: picture("BMP") + archive()),
    "bmp and html": ("a.bmp", lambda: picture("BMP") + HTML),
    "bmp and a program of Windows": ("a.bmp", lambda: picture("BMP") + PE),
    "tiff and zip": ("a.tiff", lambda: picture("TIFF") + archive()),
    "tiff and php": ("a.tiff", lambda: picture("TIFF") + PHP),
}

_TOO_LARGE: Table = {
    "webp whose picture says to be larger than it": ("a.webp", partial(webp_with_frame, 16_000, 16_000)),
    "png that declares 60,000 x 60,000": ("a.png", partial(png_of, 60_000, 60_000)),
    "png that declares 2**31 - 1 a side": ("a.png", partial(png_of, 2**31 - 1, 2**31 - 1)),
    "jpeg that declares 60,000 x 60,000": ("a.jpg", partial(with_sides, JPEG, 60_000, 60_000)),
    "gif that declares 60,000 x 60,000": ("a.gif", partial(gif_of, 60_000, 60_000)),
    "webp that declares 60,000 x 60,000": ("a.webp", partial(webp_of, 60_000, 60_000)),
    "webp that declares 2**24 a side": ("a.webp", partial(webp_of, 2**24, 2**24)),
    "png that has 14,000 x 14,000": ("a.png", real_bomb),
}

_TOO_LARGE_SCANS: Table = {
    "bmp that declares 60,000 x 60,000": ("a.bmp", partial(bmp_of, 60_000, 60_000)),
    "bmp that declares 60,000 x -60,000": ("a.bmp", partial(bmp_of, 60_000, -60_000)),
    "large tiff that declares 60,000 x 60,000": ("a.tiff", partial(large_tiff_of, 60_000, 60_000)),
    "tiff that declares 60,000 x 60,000": ("a.tiff", partial(tiff_of, 60_000, 60_000)),
    "tiff that has 14,000 x 14,000": ("a.tiff", real_scan),
}

_TOO_MANY_FRAMES: Table = {
    "gif of 1500 frames": ("a.gif", partial(many_frames, "GIF")),
    "webp of 1500 frames": ("a.webp", partial(many_frames, "WEBP")),
    "png of 1500 frames": ("a.png", partial(many_frames, "PNG")),
}

_TOO_COSTLY: Table = {
    "jpeg with EXIF of 30 MB": (
        "a.jpg",
        lambda: after_start(JPEG, *[jpeg_segment(0xE1, b"Exif\0\0" + bytes(60_000))] * 500),
    ),
    "jpeg with 20 MB of comments": ("a.jpg", lambda: after_start(JPEG, *[jpeg_segment(0xFE, bytes(60_000))] * 335)),
    "jpeg of a thousand scans": ("a.jpg", partial(jpeg_of_scans, 1000)),
    "jpeg of 48 megapixels in ninety scans": ("a.jpg", partial(jpeg_of_scans, 80, 8000, 6000)),
    "jpeg with 20 MB between its blocks": ("a.jpg", lambda: JPEG[:20] + bytes(20_000_000) + JPEG[20:]),
    "jpeg with 20 MB of filling": ("a.jpg", lambda: after_start(JPEG, b"\xff" * 20_000_000)),
    "jpeg of 50,000 tables": ("a.jpg", lambda: after_start(JPEG, jpeg_segment(0xDB, b"\0" + b"\1" * 64) * 50_000)),
    "png of 50,000 chunks": ("a.png", lambda: png_with(png_chunk(b"tEXt", b"a\0b") * 50_000)),
    "gif of two million blocks": ("a.gif", partial(gif_in_pieces, b"!\xfe\0" * 2_000_000)),
    "gif with a comment in two million pieces": (
        "a.gif",
        partial(gif_in_pieces, b"!\xfe" + b"\1a" * 2_000_000 + b"\0"),
    ),
    "gif with a comment of 8 MB": ("a.gif", lambda: gif_with_comment(b"a" * 8_000_000)),
    "gif with a picture in five million pieces": ("a.gif", partial(gif_in_pieces, b"", b"\1a" * 5_000_000)),
    "avif of a million boxes": ("a.avif", lambda: AVIF() + b"\0\0\0\x08free" * 1_000_000),
}

_TOO_COSTLY_SCANS: Table = {
    "tiff of 60,000 tags": ("a.tiff", lambda: b"II*\0\x08\0\0\0" + (60_000).to_bytes(2, "little") + bytes(12 * 60_004)),
    "bmp of seven million runs": ("a.bmp", partial(bmp_of_runs, 7000, 7000, b"\1\0" * 7_000_000)),
}

_DAMAGED: Table = {
    "avif that declares 60,000 x 60,000": ("a.avif", partial(avif_of, 60_000, 60_000)),
    "png with a text that unfolds to 60 MB": ("a.png", partial(png_text_bomb, b"zTXt", b"c\0\0")),
    "png with an international text that unfolds to 60 MB": ("a.png", partial(png_text_bomb, b"iTXt", b"c\0\1\0\0\0")),
    "png with a profile that unfolds to 60 MB": ("a.png", partial(png_text_bomb, b"iCCP", b"c\0\0")),
    "png whose data is too short": ("a.png", partial(png_of, 600, 400)),
    "png whose data is none": ("a.png", lambda: png_of(8, 8).replace(zlib.compress(b"\0\0", 9), b"no zlib..!")),
    "png with a wrong checksum in its header": ("a.png", lambda: flipped(PNG, 30)),
    "png with a wrong checksum of its palette": (
        "a.png",
        lambda: (lambda whole: flipped(whole, whole.index(b"PLTE") + 9))(written(drawn(mode="P"), "PNG")),
    ),
    **{f"png with a wrong byte at {at}": ("a.png", partial(flipped, PNG, at)) for at in (19, 25, 41, 44, 60, 99)},
    "png without its end": ("a.png", lambda: PNG[:-12]),
    "jpeg of noise": ("a.jpg", lambda: JPEG[:4] + bytes(range(256)) * 20),
    "jpeg of nothing but an end": ("a.jpg", lambda: b"\xff\xd8\xff\xd9"),
    "jpeg with two headers": ("a.jpg", jpeg_of_two_headers),
    "gif without a picture": ("a.gif", lambda: GIF[: GIF.index(b",\0\0\0\0")] + b";"),
    "gif with an unknown block": ("a.gif", lambda: GIF[: GIF.index(b",\0\0\0\0")] + b"\x99" + GIF[-40:]),
}

_DAMAGED_SCANS: Table = {
    "tiff that goes on and on": ("a.tiff", endless_tiff),
    "tiff without a picture": ("a.tiff", lambda: b"II*\0\x08\0\0\0" + bytes(600)),
}

_WHOLE: Table = {
    "jpeg": ("a.jpg", partial(picture, "JPEG")),
    "progressive jpeg": ("a.jpg", lambda: written(drawn((240, 160)), "JPEG", progressive=True)),
    "png": ("a.png", partial(picture, "PNG")),
    "gif": ("a.gif", partial(picture, "GIF")),
    "animated gif": ("a.gif", partial(animated, "GIF", 6)),
    "animated png": ("a.png", partial(animated, "PNG", 6)),
    "webp": ("a.webp", partial(picture, "WEBP")),
    "animated webp": ("a.webp", partial(animated, "WEBP", 6)),
    "avif": ("a.avif", AVIF),
    "bmp": ("a.bmp", partial(picture, "BMP")),
    "tiff": ("a.tiff", partial(picture, "TIFF")),
    "packed tiff": ("a.tiff", lambda: written(drawn((240, 160)), "TIFF", compression="tiff_lzw")),
}


def _cut(make: Callable[[], bytes], sixteenths: int) -> bytes:
    whole = make()
    return whole[: -1 if sixteenths == 16 else len(whole) * sixteenths // 16]


_CUT: Table = {
    f"{name}, cut after {at}/16": (filename, partial(_cut, make, at))
    for name, (filename, make) in _WHOLE.items()
    for at in (2, 5, 8, 11, 14, 16)
}

_SLIPS: Table = {
    **{f"zip with {name!r}": ("a.zip", partial(packed, name, b"x")) for name in SLIPS},
    **{f"tar with {name!r}": ("a.tar", lambda name=name: tarred((name, b"x"))) for name in SLIPS},  # type: ignore[misc]
    "tar.gz with '../evil'": ("a.tar.gz", lambda: tgz(("../evil", b"x"))),
    "zip with '../evil' beside its name": ("a.zip", zip_with_unicode_path),
    "zip with a tar.gz with '../evil'": ("a.zip", lambda: packed("a", tgz(("../evil", b"x")))),
    "tar with '../evil' for all entries": ("a.tar", partial(tar_with_headers, path="../evil")),
}


_BOMBS: Table = {
    "zip bomb": ("a.zip", lambda: packed("zeros", ZEROS * 12)),
    "zip bomb of bzip2": ("a.zip", lambda: zipped(("zeros", ZEROS * 12), method=zipfile.ZIP_BZIP2)),
    "zip bomb whose entries overlap": ("a.zip", hostile.overlapping),
    "zip bomb whose entries quote each other": ("a.zip", hostile.quoting),
    "zip bomb in zips in zips": ("a.zip", partial(hostile.spreading, 2)),
    "zip bomb in a tar.gz": ("a.tgz", lambda: tgz(("a.zip", packed("zeros", ZEROS * 12)))),
    "gzip bomb": ("a.gz", lambda: gzip.compress(ZEROS * 12, mtime=0)),
    "bzip2 bomb": ("a.bz2", lambda: bz2.compress(ZEROS * 12)),
    "xz bomb": ("a.xz", lambda: lzma.compress(ZEROS * 12, preset=1)),
    "tar.gz bomb": ("a.tar.gz", lambda: tgz(("zeros", ZEROS * 12))),
    "tar.bz2 bomb": ("a.tar.bz2", lambda: bz2.compress(tarred(("zeros", ZEROS * 12)))),
    "tar.xz bomb": ("a.tar.xz", lambda: lzma.compress(tarred(("zeros", ZEROS * 12)), preset=1)),
    "gzips in gzips": ("a.gz", lambda: hostile.nested(40, lambda inside: gzip.compress(inside, mtime=0))),
    "zips in zips": ("a.zip", lambda: hostile.nested(4, partial(packed, "a.zip"))),
    "zip of many entries": ("a.zip", partial(hostile.many_entries, 10_001)),
    "tar of many entries": ("a.tar", lambda: tarred(*((f"{at}", b"") for at in range(10_001)))),
    "gzip of many streams": ("a.gz", lambda: gzip.compress(b"", mtime=0) * 20_000),
    "tar of a terabyte of nothing": ("a.tar", hostile.sparse),
    "tar with many headers": ("a.tar", tar_of_headers),
    "tar with long headers": ("a.tar", hostile.endless_pax),
    "xz that wants much memory": ("a.xz", lambda: lzma.compress(b"data", preset=9)),
}


_LIARS: Table = {
    "zip that says it is small": ("a.zip", partial(hostile.lying, says=100)),
    "zip that says it is huge": ("a.zip", partial(hostile.lying, says=3 << 30)),
    "zip that says it is small behind its bytes": ("a.zip", zip_with_descriptor_bomb),
    "zip whose headers contradict each other": ("a.zip", hostile.contradicting),
    "zip whose zip64 fields contradict each other": ("a.zip", zip64_that_lies),
    "zip with a hidden first entry": ("a.zip", partial(hostile.hiding, first=True)),
    "zip with a hidden last entry": ("a.zip", partial(hostile.hiding, first=False)),
    "zip with two entries of one name": ("a.zip", partial(zip_of, "a", "a")),
    "zip in volumes": ("a.zip", zip_in_volumes),
    "zip with a wrong checksum": ("a.zip", lambda: zipped(("a", b"data"), method=0).replace(b"data", b"Data")),
    "zip with another end in its comment": ("a.zip", lambda: zipped(("a", b"x"), comment=b"PK\5\6" + bytes(18))),
    "zip with bytes behind its end": ("a.zip", lambda: zip_of("a") + HTML),
    "zip that is cut": ("a.zip", lambda: packed("a", b"x" * 500)[:-30]),
    "only the first bytes of a zip": ("a.zip", lambda: b"PK\3\4"),
    "gzip with bytes behind its end": ("a.gz", lambda: gzip.compress(b"x", mtime=0) + HTML),
    "gzip that is cut": ("a.gz", lambda: gzip.compress(bytes(range(256)) * 99, mtime=0)[:-9]),
    "gzip with a wrong checksum": ("a.gz", lambda: gzip.compress(b"data", mtime=0)[:-8] + bytes(8)),
    "bzip2 that is damaged": ("a.bz2", lambda: bz2.compress(b"data" * 99)[:20] + bytes(99)),
    "tar of two sizes": ("a.tar", tar_of_two_sizes),
    "tar with an entry behind its end": ("a.tar", partial(tar_behind_its_end, 2)),
    "tar with an entry behind half of its end": ("a.tar", partial(tar_behind_its_end, 1)),
    "tar with a folder that has bytes": ("a.tar", partial(hostile.with_data, tarfile.DIRTYPE)),
    "tar that is cut": ("a.tar", lambda: tarred(("a", b"x" * 9999))[:5000]),
    "tar that is damaged": ("a.tar", lambda: tarred(("a", b"x"), ("b", b"y")).replace(b"b\0\0\0", b"c\0\0\0", 1)),
}

_NO_FILES: Table = {
    "zip with a link": ("a.zip", lambda: zipped((with_mode("a", hostile.LINK), b"/etc/passwd"))),
    "zip with a pipe": ("a.zip", lambda: zipped((with_mode("a", hostile.PIPE), b""))),
    "zip with a device": ("a.zip", lambda: zipped((with_mode("a", hostile.DEVICE), b""))),
    "tar with a symbolic link": ("a.tar", lambda: tarred((of_kind("a", tarfile.SYMTYPE, "/etc"), b""))),
    "tar with a hard link": ("a.tar", lambda: tarred((of_kind("a", tarfile.LNKTYPE, "b"), b""))),
    "tar.gz with a symbolic link": ("a.tgz", lambda: tgz((of_kind("a", tarfile.SYMTYPE, "../.."), b""))),
    "tar with a character device": ("a.tar", lambda: tarred((of_kind("a", tarfile.CHRTYPE), b""))),
    "tar with a block device": ("a.tar", lambda: tarred((of_kind("a", tarfile.BLKTYPE), b""))),
    "tar with a pipe": ("a.tar", lambda: tarred((of_kind("a", tarfile.FIFOTYPE), b""))),
}

_UNREAD: Table = {
    "zip that is encrypted": ("a.zip", hostile.encrypted),
    "zip with a method that is not read": ("a.zip", lambda: zipped(("a", b"x" * 99), method=zipfile.ZIP_LZMA)),
    "zip with a 7z": ("a.zip", lambda: packed("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(99))),
    "zip with a rar": ("a.zip", lambda: packed("a.rar", b"Rar!\x1a\x07\x01\0" + bytes(99))),
    "zip with an lzma bomb": ("a.zip", lambda: packed("a.lzma", lzma_alone(ZEROS * 16))),
    "tar with an lzop": ("a.tar", lambda: tarred(("a.lzo", b"\x89LZO\0\r\n\x1a\n" + bytes(99)))),
}

_NOT_BY_ITS_BEGINNING: Table = {
    "zip behind a shell script": ("a.zip", lambda: SHELL + archive()),
    "zip behind a program": ("a.zip", lambda: PE + archive()),
    "zip behind a picture that knows": ("a.png", hostile.shifted),
    "zip that is all directory": ("a.zip", partial(hostile.claiming, 20_000)),
    "7z": ("a.7z", lambda: b"7z\xbc\xaf\x27\x1c" + bytes(99)),
    "html as zip": ("a.zip", lambda: HTML),
    "a library of Java as zip": ("a.zip", partial(zip_of, "META-INF/MANIFEST.MF", "A.class")),
    "zip as tar.gz": ("a.tar.gz", archive),
}

_MACROS: Table = {
    "docm": ("a.docm", lambda: macro_document(b"word.document", "word/document.xml", "word/vbaProject.bin")),
    "xlsm": ("a.xlsm", lambda: macro_document(b"excel.sheet", "xl/workbook.xml", "xl/vbaProject.bin")),
    "docm as docx": ("a.docx", lambda: macro_document(b"word.document", "word/document.xml", "word/vbaProject.bin")),
    "xlsm as xlsx": ("a.xlsx", lambda: macro_document(b"excel.sheet", "xl/workbook.xml", "xl/vbaProject.bin")),
    "html as docx": ("a.docx", lambda: HTML),
    "docx as pdf": ("a.pdf", office),
    "a program as docx": ("a.docx", lambda: PE),
    "pdf behind html": ("a.pdf", lambda: HTML + sample("application/pdf")),
    "hta as doc": ("a.doc", lambda: b"<script language=VBScript>CreateObject(1)</script>"),
}

_HIDDEN_MACROS: Table = {
    "docm that says it is a docx": ("a.docx", lambda: office(("word/vbaProject.bin", VBA))),
    "docm that says it is a docx, far behind": ("a.docx", lambda: office(far(PNG), ("word/vbaProject.bin", VBA))),
    "xlsm that says it is an xlsx, far behind": (
        "a.xlsx",
        lambda: office(far(PNG, "xl/media/image1.png"), ("xl/vbaProject.bin", VBA), kind="spreadsheetml.sheet"),
    ),
}

_FLAGGED: Table = {
    "docx with macros under another name": ("a.docx", lambda: office(("word/data.bin", VBA), types=VBA_TYPE)),
    "xlsx with macros of Excel 4": (
        "a.xlsx",
        lambda: office(("xl/macrosheets/sheet1.xml", b"<x/>"), kind="spreadsheetml.sheet"),
    ),
    "odt with a script": (
        "a.odt",
        lambda: zipped(
            ("mimetype", b"application/vnd.oasis.opendocument.text"),
            ("content.xml", b"<x/>"),
            ("Scripts/python/evil.py", b"import os"),
            method=zipfile.ZIP_STORED,
        ),
    ),
    "doc with macros": ("a.doc", partial(compound, "Root Entry", "WordDocument", "Macros", "VBA")),
    "xls with macros": ("a.xls", partial(compound, "Root Entry", "Workbook", "_VBA_PROJECT_CUR")),
    "doc that is encrypted": ("a.doc", partial(compound, "Root Entry", "EncryptedPackage")),
    "pdf with a script": ("a.pdf", lambda: pdf(opening("JavaScript", JS="app.alert(1)"))),
    "pdf with a script written in numbers": ("a.pdf", escaped_script),
    "pdf with a script by its name": ("a.pdf", partial(pdf, with_named_script)),
    "pdf that starts a program": ("a.pdf", lambda: pdf(opening("Launch", F="cmd.exe"))),
    "pdf that is cut": ("a.pdf", lambda: photographed()[: len(photographed()) // 2]),
    "pdf that nobody can read": ("a.pdf", lambda: pdf(lambda writer: writer.encrypt("secret", algorithm="RC4-128"))),
    "only the first bytes of a pdf": ("a.pdf", lambda: b"%PDF-1.7\n"),
}

_FLAGGED_OF_OTHERS = _documents("""
    macro.doc macro.ods macro.odt macro.ppt macro.xls macro.docm macro.pptm macro.xlsm
    excel4-shown.xls excel4-hidden.xls excel4-very-hidden.xls
    javascript.pdf javascript-escaped.pdf javascript-in-a-note.pdf javascript-on-opening.pdf javascript-packed.pdf
    javascript-updated.pdf javascript-packed-aes-locked-for-changes.pdf launch.pdf launch-packed.pdf
    locked.doc locked.docx locked.xls locked.xlsx letter-aes-locked.pdf report-locked.pdf
    javascript-packed-aes-locked.pdf
""")

_EMBEDDING: Table = {
    **_documents("attachment.pdf attachment-packed.pdf embedded.doc embedded.docx embedded.odt embedded.ppt"),
    "pdf with a program inside": ("a.pdf", lambda: pdf(lambda writer: writer.add_attachment("run.exe", PE))),
    "docx with a program inside": ("a.docx", lambda: office(("word/embeddings/oleObject1.bin", PE))),
    "rtf with an object": ("a.rtf", lambda: b"{\\rtf1 {\\object\\objemb\\objw1\\objh1{\\*\\objdata 0105}}}"),
    "doc with an object": ("a.doc", partial(compound, "Root Entry", "WordDocument", "ObjectPool", "\1Ole10Native")),
}

_ARCHIVED_DOCUMENTS: Table = {
    "docx that is a bomb": ("a.docx", lambda: office(("word/media/image1.bmp", ZEROS * 12))),
    "docx with '../evil'": ("a.docx", lambda: office(("../evil", b"x"))),
    "docx with bytes behind its end": ("a.docx", lambda: office() + PE),
    "pdf and zip": ("a.pdf", lambda: sample("application/pdf") + archive()),
}

_DRAWINGS: Table = {
    "xml bomb": ("a.svg", lambda: LAUGHS),
    "svg that reads a file": ("a.svg", lambda: EXTERNAL),
    "svg with a script": ("a.svg", lambda: SVG),
}

_FILMS: Table = {
    "mp4 and zip": ("a.mp4", lambda: FILM + archive()),
    "webm and zip": ("a.webm", lambda: (_SAMPLES / "media/film.webm").read_bytes() + archive()),
    "mp3 and zip": ("a.mp3", lambda: (_SAMPLES / "media/constant.mp3").read_bytes() + archive()),
}

_NO_FILMS: Table = {
    "html as mp4": ("a.mp4", lambda: HTML),
    "a program as mp3": ("a.mp3", lambda: PE),
    "a playlist as mp4": ("a.mp4", lambda: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
    "mp4 as mp3": ("a.mp3", lambda: FILM),
}

_INFECTED: Table = {
    "eicar": ("a.com", eicar),
    "eicar as png": ("a.png", eicar),
    "eicar in a zip": ("a.zip", lambda: packed("eicar.com", eicar())),
    "eicar in a zip in a zip": ("a.zip", lambda: packed("a.zip", packed("eicar.com", eicar()))),
    "eicar in a tar.gz": ("a.tgz", lambda: tgz(("eicar.com", eicar()))),
    "eicar in a docx": ("a.docx", lambda: office(("word/media/image1.bin", eicar()))),
    "eicar behind a jpeg": ("a.jpg", lambda: JPEG + eicar()),
}

_BY_THEIR_END: Table = {
    "pdf and html": ("a.pdf", lambda: sample("application/pdf") + HTML),
    **{f"{name}, unchecked": _POLYGLOTS[name] for name in ("gifar", "png and zip", "jpeg and zip", "png and html")},
    **{f"{name}, unchecked": _POLYGLOTS[name] for name in ("jpeg and html", "gif and php", "avif and html")},
    **{f"{name}, unchecked": _FILMS[name] for name in _FILMS},
    **{f"{name}, unchecked": _HIDDEN_MACROS[name] for name in _HIDDEN_MACROS},
    "pdf and zip, unchecked": _ARCHIVED_DOCUMENTS["pdf and zip"],
    "zip behind a program, unchecked": _NOT_BY_ITS_BEGINNING["zip behind a program"],
    "zip with a hidden first entry, unchecked": _LIARS["zip with a hidden first entry"],
}

_BY_FIELD_AND_FILTER: tuple[tuple[str, str, Table], ...] = (
    ("picture", "accept", _AS_PICTURES),
    ("picture", "image_format", _WRONG_PICTURES),
    ("picture", "image_hidden accept", _POLYGLOTS),
    ("scan", "image_hidden accept", _SCANNED_POLYGLOTS),
    ("picture", "image_max_pixels", _TOO_LARGE),
    ("scan", "image_max_pixels", _TOO_LARGE_SCANS),
    ("picture", "image_max_frames", _TOO_MANY_FRAMES),
    ("picture", "image_cost", _TOO_COSTLY),
    ("scan", "image_cost", _TOO_COSTLY_SCANS),
    ("picture", "image_damaged", _DAMAGED),
    ("scan", "image_damaged", _DAMAGED_SCANS),
    ("scan", "image_damaged accept", _CUT),
    ("drawing", "image_format", _DRAWINGS),
    ("archive", "ArchiveCheck", _SLIPS | _BOMBS | _NO_FILES | _UNREAD),
    ("archive", "ArchiveCheck accept", _LIARS),
    ("archive", "accept", _NOT_BY_ITS_BEGINNING),
    ("document", "accept", _MACROS),
    ("document", "DocumentCheck accept", _HIDDEN_MACROS),
    ("document", "DocumentCheck", _FLAGGED),
    ("document", "DocumentCheck ArchiveCheck accept", _FLAGGED_OF_OTHERS),
    ("letter", "DocumentCheck", _EMBEDDING),
    ("document", "ArchiveCheck accept", _ARCHIVED_DOCUMENTS),
    ("film", "ArchiveCheck accept", _FILMS),
    ("film", "accept", _NO_FILMS),
    ("unchecked", "accept", _BY_THEIR_END),
    ("scanned", "ClamAV", _INFECTED),
)

BAD: dict[str, Sample] = {
    name: Sample(field=field, filename=filename, make=make, refused_by=tuple(by.split()))
    for field, by, table in _BY_FIELD_AND_FILTER
    for name, (filename, make) in table.items()
}

# The good ones, by the field that they are sent to.


def _landscape() -> Image.Image:
    """With as much detail as a photograph has."""
    return Image.effect_mandelbrot((1000, 750), (-2, -1.5, 1, 1.5), 100)


def _gray(shade: int) -> Image.Image:
    return Image.new("L", (4, 4), shade % 256)


def _one_pixel(format: str) -> bytes:
    return written(Image.new("RGB", (1, 1), "red"), format)


def _folders(*names: str) -> bytes:
    return zipped(*((with_mode(name, 0o40755), b"") for name in names))


def _saved(mode: str, format: str, **options: object) -> bytes:
    """A picture of this mode, with what can be seen through where the mode has it."""
    drawing = frames(1, (240, 160))[0] if mode in ("RGBA", "LA", "PA") else drawn((240, 160))
    return written(drawing.convert(mode), format, **options)


def _png_of_a_program() -> bytes:
    """With what programs write beside a picture: XMP, an address, the words that a model has drawn it from."""
    told = PngImagePlugin.PngInfo()
    told.add_text("parameters", "a lighthouse, <lora:sea:0.8>, 50% (masterpiece), steps: 20", zip=True)
    told.add_text("Comment", "a < b && c > d; see <https://example.org/?page=1>, <b>bold</b>")
    told.add_itxt("XML:com.adobe.xmp", '<?xpacket begin="" id="1"?><x:xmpmeta/><?xpacket end="w"?>')
    return written(drawn(), "PNG", pnginfo=told, dpi=(72, 72), exif=exif(1))


def _jpeg_with_thumbnail(length: int) -> bytes:
    """Its first segment is so long, since a small picture is in it."""
    return after_start(JPEG, jpeg_segment(0xE1, (b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + JPEG * 20)[: length - 2]))


_JPEG_WITH_A_FILM = JPEG + FILM

_GOOD_PICTURES: Table = {
    **{f"jpeg held in way {way}": ("a.jpg", partial(_saved, "RGB", "JPEG", exif=exif(way))) for way in range(1, 9)},
    **{f"jpeg of {mode}": ("a.jpg", partial(_saved, mode, "JPEG")) for mode in ("L", "RGB", "CMYK")},
    **{f"jpeg of quality {at}": ("a.jpg", partial(_saved, "RGB", "JPEG", quality=at)) for at in (1, 50, 100)},
    "jpeg that is progressive": ("a.jpg", partial(_saved, "RGB", "JPEG", progressive=True)),
    "jpeg of inks that is progressive": ("a.jpg", partial(_saved, "CMYK", "JPEG", progressive=True, optimize=True)),
    "jpeg with all of its colours": ("a.jpg", partial(_saved, "RGB", "JPEG", subsampling=0, restart_marker_rows=1)),
    "jpeg with a profile": ("a.jpeg", lambda: written(drawn(), "JPEG", icc_profile=wide_gamut_profile())),
    "jpeg with a comment": ("a.JPG", lambda: written(drawn(), "JPEG", comment="1 < 2, 3 > 2; <? ?> /* */")),
    "jpeg without an extension": ("image", lambda: JPEG),
    "jpeg with a maker's note": ("a.jpg", lambda: written(drawn(), "JPEG", exif=exif(6, note="x" * 60_000))),
    "jpeg with a thumbnail": ("a.jpg", partial(_jpeg_with_thumbnail, 9000)),
    "jpeg with a thumbnail of an odd length": ("a.jpg", partial(_jpeg_with_thumbnail, 0x2F2A)),
    "jpeg with a depth map of 5 MB": (
        "a.jpg",
        lambda: after_start(JPEG, *[jpeg_segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60_000))] * 85),
    ),
    "jpeg with a second picture": (
        "a.jpg",
        lambda: written(drawn(), "MPO", save_all=True, append_images=[drawn((30, 20))]),
    ),
    "jpeg with a film behind it": ("a.jpg", lambda: _JPEG_WITH_A_FILM),
    "jpeg with zeros behind it": ("a.jpg", lambda: JPEG + bytes(5000)),
    "jpeg with its maker's data behind it": ("a.jpg", lambda: JPEG + b"\0\0\x01\x0a\x0e\0\0\0Image_UTC_Data1655"),
    "jpeg of 12 megapixels": (
        "a.jpg",
        lambda: written(_landscape().resize((4000, 3000)), "JPEG"),
    ),
    "jpeg of a panorama": ("a.jpg", lambda: written(Image.new("RGB", (16_000, 300)), "JPEG")),
    **{f"png of {mode}": ("a.png", partial(_saved, mode, "PNG")) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")},
    "png of 16 bits": ("a.png", lambda: written(Image.new("I;16", (60, 40), 40_000), "PNG")),
    "png of a palette, seen through": ("a.png", partial(_saved, "P", "PNG", transparency=0)),
    "png of a program": ("a.png", _png_of_a_program),
    "png with a profile": ("a.png", lambda: written(drawn(), "PNG", icc_profile=wide_gamut_profile())),
    "png that is animated": ("a.png", partial(animated, "PNG", 12)),
    "png called apng": ("a.apng", partial(animated, "PNG", 3)),
    **{f"gif of {mode}": ("a.gif", partial(_saved, mode, "GIF")) for mode in ("1", "L", "P", "RGBA")},
    "gif that is animated": ("a.gif", partial(animated, "GIF", 48)),
    "gif of 500 frames": (
        "a.gif",
        lambda: written(_gray(0), "GIF", save_all=True, append_images=map(_gray, range(1, 500))),
    ),
    "gif with a comment": ("a.gif", lambda: gif_with_comment(b"made with love, 1 < 2")),
    "gif of 1987": ("a.gif", lambda: b"GIF87a" + GIF[6:]),
    **{f"webp of {mode}": ("a.webp", partial(_saved, mode, "WEBP")) for mode in ("L", "RGB", "RGBA")},
    "webp without loss": ("a.webp", partial(_saved, "RGBA", "WEBP", lossless=True)),
    "webp of a phone": ("a.webp", lambda: written(drawn(), "WEBP", exif=exif(), icc_profile=wide_gamut_profile())),
    "webp that is animated": ("a.webp", partial(animated, "WEBP", 12)),
    **{f"avif of {mode}": ("a.avif", partial(_saved, mode, "AVIF")) for mode in ("L", "RGB", "RGBA")},
    "avif of a phone": ("a.avif", lambda: written(drawn(), "AVIF", exif=exif(), icc_profile=wide_gamut_profile())),
    "avif that is animated": ("a.avif", partial(animated, "AVIF", 3)),
    **{
        f"one pixel of {format.lower()}": (f"a.{format.lower()}", partial(_one_pixel, format))
        for format in ("JPEG", "PNG", "GIF", "WEBP", "AVIF")
    },
    **{
        f"sample of {kind}": (f"a.{kind}", partial(sample, f"image/{kind}", size="20 KB"))
        for kind in ("jpeg", "png", "gif", "webp")
    },
}

_GOOD_SCANS: Table = {
    **{f"bmp of {mode}": ("a.bmp", partial(_saved, mode, "BMP")) for mode in ("1", "L", "P", "RGB", "RGBA")},
    **{f"tiff of {mode}": ("a.tif", partial(_saved, mode, "TIFF")) for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK")},
    **{
        f"tiff packed by {how}": ("a.tiff", partial(_saved, "RGB", "TIFF", compression=how))
        for how in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    },
    "bmp in runs": ("a.bmp", partial(bmp_of_runs, 255, 160, b"\xff\1\0\0" * 160)),
    "bmp of OS/2": ("a.bmp", bmp_of_old),
    "bmp from its first row on": ("a.bmp", bmp_from_above),
    "tiff of a fax": ("a.tiff", partial(_saved, "1", "TIFF", compression="group4")),
    "tiff of three pages": (
        "a.tiff",
        lambda: written(drawn(), "TIFF", save_all=True, append_images=[drawn(), drawn()]),
    ),
    "tiff held in another way": ("a.tiff", partial(_saved, "RGB", "TIFF", exif=exif(6))),
}


_TEXT = b"What a day it was, and how late it became.\n" * 200

_LOG = b"".join(b"%d GET /%d 200\n" % (at, at * at % 9973) for at in range(60_000))

_GOOD_ARCHIVES: Table = {
    "zip": ("a.zip", lambda: zipped(("a.txt", _TEXT), ("photos/b.jpg", JPEG))),
    "zip that is stored": ("a.zip", lambda: zipped(("a.txt", _TEXT), method=zipfile.ZIP_STORED)),
    "zip of bzip2": ("a.zip", lambda: zipped(("a.txt", _TEXT), method=zipfile.ZIP_BZIP2)),
    "zip with a comment": ("a.zip", lambda: zipped(("a", b"x"), comment=b"hello, " * 3000)),
    "zip with names of everywhere": (
        "a.zip",
        partial(zip_of, "résumé.pdf", "отчёт.pdf", "写真/一.jpg", "a..b", "...c", "12:30.txt"),
    ),
    "zip of folders alone": ("a.zip", partial(_folders, "photos/", "photos/2026/")),
    "zip of nothing but a name": ("a.zip", lambda: zipped(("empty", b""))),
    "zip of a stream": ("a.zip", streamed_zip),
    "zip of 64 bits": ("a.zip", zip64),
    "zip whose end has 64 bits": ("a.zip", zip_ended_in_64_bits),
    "zip of 2000 entries": ("a.zip", lambda: zip_of(*(f"{at}" for at in range(2000)))),
    "zip in a zip": ("a.zip", lambda: packed("a.zip", packed("b.txt", _TEXT))),
    "zip of what packs well": ("a.zip", lambda: packed("zeros", ZEROS * 9)),
    "zip of 4 MB of a log": ("a.zip", lambda: packed("a.log", _LOG * 4)),
    "zip of Python": ("a.whl", lambda: zip_of("a/__init__.py", "a-1.dist-info/METADATA")),
    "tar": ("a.tar", tar),
    "tar of GNU": ("a.tar", partial(tar, tarfile.GNU_FORMAT)),
    "tar of 1988": ("a.tar", lambda: tarred(("a/b", b"x"), format=tarfile.USTAR_FORMAT)),
    "tar.gz": ("a.tar.gz", lambda: gzip.compress(tar(), mtime=0)),
    "tgz": ("a.tgz", lambda: gzip.compress(tar(), mtime=0)),
    "tar.bz2": ("a.tar.bz2", lambda: bz2.compress(tar())),
    "tar.xz": ("a.tar.xz", lambda: lzma.compress(tar(), preset=6)),
    "gzip": ("a.log.gz", lambda: gzip.compress(_TEXT, mtime=0)),
    "gzip of two": ("a.gz", lambda: gzip.compress(_TEXT, mtime=0) * 2),
    "gzip on a tape": ("a.gz", lambda: gzip.compress(_TEXT, mtime=0) + bytes(10_000)),
}


_GOOD_DOCUMENTS: Table = {
    **_documents("""
        letter.doc letter.docx letter.odt letter.pdf letter.rtf slides.odp slides.ppt slides.pptx
        table.ods table.xls table.xlsx picture.pdf report.pdf report-locked-for-changes.pdf letter-linearized.pdf
        letter-aes-locked-for-changes.pdf letter-behind-junk.pdf letter-packed.pdf letter-updated.pdf
    """),
    "docx": ("a.docx", office),
    "docx with a picture": ("a.docx", lambda: office(far(PNG))),
    "xlsx": ("a.xlsx", partial(office, kind="spreadsheetml.sheet")),
    "pptx": ("a.pptx", partial(office, kind="presentationml.presentation")),
    "epub": ("a.epub", epub),
    "pdf of a page": ("a.pdf", pdf),
    "pdf of a scan": ("a.pdf", photographed),
    "pdf with a link": ("a.pdf", partial(pdf, with_link)),
    "pdf that is locked to changes": (
        "a.pdf",
        lambda: pdf(lambda writer: writer.encrypt("", "of the owner", algorithm="RC4-128")),
    ),
    "text": ("a.txt", lambda: _TEXT),
    "text of Windows": ("a.txt", lambda: "Привет, мир\r\n".encode("cp1251") * 50),
    "csv": ("a.csv", lambda: b"name,size\nsea,1\nsky,2\n"),
    "markdown": ("a.md", lambda: b"# Hello\n\n<b>world</b>\n"),
    "rtf": ("a.rtf", lambda: b"{\\rtf1\\ansi hello, \\b world}"),
}

_GOOD_INVOICES: Table = {
    "pdf with a table inside": ("a.pdf", lambda: pdf(lambda writer: writer.add_attachment("invoice.xml", b"<x/>"))),
    "docx with a chart": ("a.docx", lambda: office(("word/embeddings/Microsoft_Excel_Sheet.xlsx", b"PK"))),
}

_GOOD_FILMS: Table = _media(
    *("index-first.mp4", "index-last.mp4", "fragments.mp4", "film.mov", "film.webm", "film.mkv", "film.avi"),
    *("phone.3gp", "constant.mp3", "cover.mp3", "sound.m4a", "sound.flac", "opus.opus", "plain.wav"),
)

_CLEAN: Table = {
    "clean text": ("a.txt", lambda: _TEXT),
    "clean zip": ("a.zip", lambda: zipped(("a.txt", _TEXT))),
    "clean jpeg": ("a.jpg", lambda: JPEG),
    "clean nothing": ("a.txt", lambda: b""),
}

_UNCHECKED: Table = {
    "clean film": ("film.mp4", lambda: FILM),
    "clean letter": ("letter.docx", lambda: _DOCUMENTS["letter.docx"]),
    "clean photograph": ("a.jpg", partial(_saved, "RGB", "JPEG", exif=exif(6))),
    "clean photograph with a film": ("a.jpg", lambda: _JPEG_WITH_A_FILM),
}

_BY_FIELD: tuple[tuple[str, Table], ...] = (
    ("picture", _GOOD_PICTURES | _of_kinds("jpeg", "png", "gif", "webp", "avif")),
    ("scan", _GOOD_SCANS | _of_kinds("bmp", "tiff")),
    ("archive", _GOOD_ARCHIVES | _of_kinds("zip", "gzip")),
    ("document", _GOOD_INVOICES),
    ("letter", _GOOD_DOCUMENTS),
    ("film", _GOOD_FILMS),
    ("unchecked", _UNCHECKED),
    ("scanned", _CLEAN),
)

GOOD: dict[str, Sample] = {
    name: Sample(field=field, filename=filename, make=make)
    for field, table in _BY_FIELD
    for name, (filename, make) in table.items()
}
