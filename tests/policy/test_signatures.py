"""What the first bytes of a file show, and that no bytes whatever break the looking."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest
from filetype.types import TYPES
from hypothesis import given
from hypothesis import strategies as st
from tests.punctual import swift

from uploadkit.policy.media_types import EXTENSIONS, OCTET_STREAM, types_of
from uploadkit.policy.signatures import _KINDS, _KINDS_BY_FIRST_BYTE, HEAD_SIZE, detect

OFFICE = "application/vnd.openxmlformats-officedocument."
OASIS = "application/vnd.oasis.opendocument."
DOCX = OFFICE + "wordprocessingml.document"
XLSX = OFFICE + "spreadsheetml.sheet"
PPTX = OFFICE + "presentationml.presentation"
DOCM = "application/vnd.ms-word.document.macroenabled.12"
JAR = "application/java-archive"
APK = "application/vnd.android.package-archive"

# Plain signatures -------------------------------------------------------------------------------------------------

ZEROS = bytes(64)

SIGNATURES = {
    "jpeg, jfif": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", "image/jpeg"),
    "jpeg, exif": (b"\xff\xd8\xff\xe1\x12\x34Exif\x00\x00", "image/jpeg"),
    "jpeg, made up for a test": (b"\xff\xd8\xff\xe0" + b"not really a picture", "image/jpeg"),
    "png": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + ZEROS, "image/png"),
    "gif 87a": (b"GIF87a\x01\x00\x01\x00\x80\x00\x00", "image/gif"),
    "gif 89a": (b"GIF89a\x01\x00\x01\x00\x80\x00\x00", "image/gif"),
    "gif of no known version": (b"GIF90a\x01\x00\x01\x00\x80\x00\x00", OCTET_STREAM),
    "webp": (b"RIFF\x24\x00\x00\x00WEBPVP8 \x18\x00\x00\x00", "image/webp"),
    "tiff, Intel": (b"II*\x00\x08\x00\x00\x00\x0b\x00" + ZEROS, "image/tiff"),
    "tiff of more than 4 GB, Intel": (b"II+\x00\x08\x00\x00\x00" + ZEROS, "image/tiff"),
    "tiff of more than 4 GB, Motorola": (b"MM\x00+\x00\x08\x00\x00" + ZEROS, "image/tiff"),
    "tiff, Motorola": (b"MM\x00*\x00\x00\x00\x08\x00\x0b" + ZEROS, "image/tiff"),
    "bmp": (b"BM\x3a\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00" + ZEROS, "image/bmp"),
    "BM and something else": (b"BM\x00\x01\x02\x03" + bytes(range(64)), OCTET_STREAM),
    "ico": (b"\x00\x00\x01\x00\x01\x00\x10\x10" + ZEROS, "image/vnd.microsoft.icon"),
    "an icon of no pictures": (b"\x00\x00\x01\x00\x00\x00" + ZEROS, OCTET_STREAM),
    "psd": (b"8BPS\x00\x01" + ZEROS, "image/vnd.adobe.photoshop"),
    "jpeg xl": (b"\xff\x0a\x00\x10\x00", "image/jxl"),
    "jpeg xl, boxed": (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + ZEROS, "image/jxl"),
    "jpeg xr": (b"II\xbc\x01\x00\x00" + ZEROS, "image/jxr"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
    "pdf, all text": (b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n", "application/pdf"),
    "pdf after a byte order mark": (b"\xef\xbb\xbf%PDF-1.4\n", "application/pdf"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "application/postscript"),
    "rtf": (b"{\\rtf1\\ansi\\deff0 {\\fonttbl}}", "application/rtf"),
    "mp3, id3": (b"ID3\x04\x00\x00\x00\x00\x00\x00", "audio/mpeg"),
    "mp3, frame": (b"\xff\xfb\x90\x64\x00\x00", "audio/mpeg"),
    "mp3, frame with a checksum": (b"\xff\xfa\x90\x64\x00\x00", "audio/mpeg"),
    "mp3, frame of MPEG 2.5": (b"\xff\xe3\x18\xc4\x00\x00", "audio/mpeg"),
    "aac": (b"\xff\xf1\x50\x80\x00\x1f", "audio/aac"),
    "wav": (b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00", "audio/wav"),
    "wav of more than 4 GB": (b"RF64\xff\xff\xff\xffWAVEds64\x1c\x00\x00\x00", "audio/wav"),
    "wav, big-endian": (b"RIFX\x00\x00\x00\x24WAVEfmt \x00\x00\x00\x10", "audio/wav"),
    "avi": (b"RIFF\x24\x00\x00\x00AVI LIST\x10\x00\x00\x00", "video/x-msvideo"),
    "flac": (b"fLaC\x00\x00\x00\x22" + ZEROS, "audio/flac"),
    "ogg, opus": (b"OggS\x00\x02" + bytes(22) + b"OpusHead", "audio/ogg"),
    "ogg, theora": (b"OggS\x00\x02" + bytes(22) + b"\x80theora\x03", "video/ogg"),
    "midi": (b"MThd\x00\x00\x00\x06\x00\x01", "audio/midi"),
    "aiff": (b"FORM\x00\x00\x00\x10AIFFCOMM\x00", "audio/x-aiff"),
    "aiff, compressed": (b"FORM\x00\x00\x00\x10AIFCFVER\x00", "audio/x-aiff"),
    "amr": (b"#!AMR\n\x3c\x00\x00\x00\x00\x00", "audio/amr"),
    "mpeg": (b"\x00\x00\x01\xba\x44\x00", "video/mpeg"),
    "flv": (b"FLV\x01\x05\x00\x00\x00\x09", "video/x-flv"),
    "wmv": (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa", "video/x-ms-wmv"),
    "gzip": (b"\x1f\x8b\x08\x00" + ZEROS, "application/gzip"),
    "bzip2": (b"BZh91AY&SY\x00\x01", "application/x-bzip2"),
    "xz": (b"\xfd7zXZ\x00\x00\x04", "application/x-xz"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", "application/x-7z-compressed"),
    "rar": (b"Rar!\x1a\x07\x01\x00", "application/vnd.rar"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x58", "application/zstd"),
    "tar": (b"a.txt" + bytes(252) + b"ustar\x0000" + ZEROS, "application/x-tar"),
    "an empty zip": (b"PK\x05\x06" + bytes(18), "application/zip"),
    "exe": (b"MZ\x90\x00\x03\x00\x00\x00", "application/vnd.microsoft.portable-executable"),
    "elf": (b"\x7fELF\x02\x01\x01" + ZEROS, "application/x-executable"),
    "wasm": (b"\x00asm\x01\x00\x00\x00", "application/wasm"),
    "sqlite": (b"SQLite format 3\x00" + ZEROS, "application/vnd.sqlite3"),
    "woff": (b"wOFF\x00\x01\x00\x00", "font/woff"),
    "woff 2": (b"wOF2\x00\x01\x00\x00", "font/woff2"),
    "ttf": (b"\x00\x01\x00\x00\x00\x0c" + ZEROS, "font/ttf"),
    "otf": (b"OTTO\x00\x0c" + ZEROS, "font/otf"),
    "nothing": (b"", OCTET_STREAM),
    "zeros": (ZEROS, OCTET_STREAM),
    "the name of a box in the wrong place": (b"\xff\x00\x00\x10mdat" + ZEROS, OCTET_STREAM),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_shows_its_type(name: str) -> None:
    """Formats with a magic number are recognised by it, under the name that IANA has for them."""
    head, shown = SIGNATURES[name]
    assert detect(head) == shown


PILLOW = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "DIB": OCTET_STREAM,  # has no signature
    "ICO": "image/vnd.microsoft.icon",
    "JPEG2000": "image/jp2",
    "PDF": "application/pdf",
    "EPS": "application/postscript",
    "PPM": OCTET_STREAM,  # not in the tables
}


@pytest.mark.parametrize("image_format", PILLOW)
@pytest.mark.parametrize("size", [(16, 16), (300, 200)], ids=["small", "larger"])
def test_a_picture_written_by_pillow_is_recognised(image_format: str, size: tuple[int, int]) -> None:
    """Pictures of another program, and not only of our tables, show their type."""
    image = pytest.importorskip("PIL.Image")
    image.init()
    if image_format not in image.SAVE:
        pytest.skip(f"this Pillow writes no {image_format}")
    file = io.BytesIO()
    image.effect_noise(size, 80).convert("RGB").save(file, image_format)
    assert detect(file.getvalue()) == PILLOW[image_format]


def test_an_animated_png_is_a_png() -> None:
    """Whatever reads PNG reads it, and clients declare image/png."""
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    frame = image.effect_noise((16, 16), 80)
    frame.save(file, "PNG", save_all=True, append_images=[frame.rotate(90)])
    assert b"acTL" in file.getvalue()
    assert detect(file.getvalue()) == "image/png"


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.extension)
def test_every_kind_of_filetype_has_a_type_of_ours(kind: object) -> None:
    """A release of filetype that knows more kinds is noticed here; until then they show nothing."""
    extension = getattr(kind, "extension").lower()  # noqa: B009  filetype has no types
    assert types_of("." + extension) or extension == "br"  # which has no magic number


# PDF after junk ---------------------------------------------------------------------------------------------------

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog>>\nendobj\n"
MACBINARY = b"\x00\x08document" + bytes(55) + b"PDF CARO" + bytes(55)

PDF_AFTER = {
    "blank lines": b"\r\n\r\n",
    "a mark and spaces": b"\xef\xbb\xbf \t",
    "as many zeros as readers skip": bytes(1023),
    "the head of a printer's job": b"\x1b%-12345X@PJL JOB\r\n@PJL ENTER LANGUAGE=PDF\r\n",
    "an escape character alone": b"\x1b%-12345X",
    "MacBinary": MACBINARY,
    "the head of an answer": b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n",
    "the head of a part": b"--x7MA4YWxkTrZu0gW\r\nContent-Disposition: form-data; name=file\r\n\r\n",
    "a line of a mail": b"Dear all, see below\n",
    "bytes of no encoding": b"\xe2\xe3\xcf\xd3\r",
    "the letters of a table": b"name,size\na.pdf,12\n",
}


@pytest.mark.parametrize("name", PDF_AFTER)
@pytest.mark.parametrize("line", [b"\n", b"\r", b"\r\n"], ids=["lf", "cr", "crlf"])
def test_a_pdf_after_bytes_that_are_not_its_own_is_a_pdf(name: str, line: bytes) -> None:
    """Readers look for its beginning in the first 1024 bytes, and so must whoever is asked to take PDFs."""
    assert detect(PDF_AFTER[name] + PDF.replace(b"\n", line)) == "application/pdf"


NO_PDF: dict[str, tuple[bytes, str]] = {
    "markup": (b"<p>a report</p>\n" + PDF, "text/html"),
    "markup after a line of text": (b"a report\n<script>alert(1)</script>\n" + PDF, "text/plain"),
    "markup after zeros": (b"\0\0<script>alert(1)</script>\n" + PDF, OCTET_STREAM),
    "markup in the head of a printer's job": (b"\x1b%-12345X@PJL <svg onload=alert(1)>\n" + PDF, "text/plain"),
    "markup in a name of MacBinary": (MACBINARY.replace(b"document", b"<script>") + PDF, OCTET_STREAM),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'>\n" + PDF, "image/svg+xml"),
    "php": (b"<?php system($_GET['c']); ?>\n" + PDF, "application/x-httpd-php"),
    "markup in UTF-16": ("\ufeff<script>".encode("utf-16-le") + PDF, "text/html"),
    "a script, in a comment": (b"alert(1)/*\n" + PDF + b"*/", "text/plain"),
    "a script, in a template": (b"a=`\n" + PDF + b"`;alert(1)", "text/plain"),
    "a script, in a string": (b"a='\\\n%PDF-1.4\\\n1 0 obj'", "text/plain"),
    "a script that divides": (b"PDF=a=1\na=5\n%PDF-1.4\n;alert(1)", "text/plain"),
    "a script that has the numbers in a comment": (b"PDF=a=1\na=5\n%PDF-1.4//1 0 obj\n;alert(1)", "text/plain"),
    "a script that has the numbers in lines": (b"a=5\n%PDF-1.4\n1\n0\nobj", "text/plain"),
    "a script that has the numbers in a comment after one of the document": (
        b"PDF=a=1\na=5\n%PDF-1.4\n%a/*\n1 0 obj\n*/;alert(1)",
        "text/plain",
    ),
    "ideographs in UTF-16": ("\ufeff漢字".encode("utf-16-le") + b"\n%PDF-1.4\n1 0 obj\n", "text/plain"),
    "the numbers in the line of the header": (b"a=5\n%PDF-1.4 1 0 obj\n", "text/plain"),
    "a script of a shell": (b"#!/bin/sh\nrm -rf /\n" + PDF, "text/plain"),
    "a program": (b"MZ\x90\x00\n" + PDF, "application/vnd.microsoft.portable-executable"),
    "another program": (b"\x7fELF\x02\x01\x01\n" + PDF, "application/x-executable"),
    "binary data of no known kind": (b"\xca\xfe\xba\xbe\x00\x00\x00\x41\n" + PDF, OCTET_STREAM),
    "a mention in a line": (b"A file begins with %PDF-1.7\n1 0 obj\n", "text/plain"),
    "a mention that is indented": (b"It begins:\n    %PDF-1.7\n    1 0 obj\n", "text/plain"),
    "a mention between fences": (b"```\n" + PDF.replace(b"\xe2\xe3\xcf\xd3", b"") + b"```\n", "text/plain"),
    "the header of a document that does not follow": (b"It begins:\n%PDF-1.7\nand goes on.\n", "text/plain"),
    "further in than readers look": (b"a" * 1023 + b"\n" + PDF, "text/plain"),
    "further in than readers look, after zeros": (bytes(1024) + PDF, OCTET_STREAM),
    "a calendar": (b"BEGIN:VCALENDAR\r\n" + PDF, "text/calendar"),
    "json": (b'{"a": "%PDF-1.4", "b":\n[1, "%PDF-1.4"]}', "application/json"),
}


@pytest.mark.parametrize("name", NO_PDF)
def test_what_a_browser_or_a_shell_might_run_is_no_junk(name: str) -> None:
    """Who hides a page or a script before a PDF is not told that it is one, and text that speaks of PDF is text."""
    head, shown = NO_PDF[name]
    assert detect(head) == shown


SCRIPT = st.text(alphabet="a1=;/*`\\'\"+-%(){}<>!#\n\r\t é\0\x1b", max_size=30).map(str.encode)
OPENERS = st.sampled_from([b"<", b"<!--", b"<script>", b"<?php ", b"/*", b"`", b"'\\\n", b'"\\\n'])


@given(before=SCRIPT, opener=OPENERS, between=SCRIPT, after=SCRIPT)
def test_no_junk_opens_markup_or_what_would_hide_the_document_from_a_script(
    before: bytes, opener: bytes, between: bytes, after: bytes
) -> None:
    """A browser that runs the beginning must get over the PDF, and each of the ways to do so makes it no PDF."""
    for junk in (before + opener + between, opener + between, before + opener):
        for end in (b"", b"\n"):
            assert detect(junk + end + PDF + after) != "application/pdf"


@given(junk=SCRIPT, after=SCRIPT)
def test_text_before_a_pdf_is_whole_lines_and_a_whole_beginning_follows(junk: bytes, after: bytes) -> None:
    """Text and then a header that is not followed by an object is never a PDF: a script may divide by `PDF`."""
    head = b"x" + junk + b"%PDF-1.4\n" + after
    assert detect(head) != "application/pdf"
    assert detect(b"x" + junk + b"." + PDF) != "application/pdf"


# Zip containers ---------------------------------------------------------------------------------------------------


def content_types(main_part: str) -> bytes:
    """The list of content types of an Office document with this main part."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
        'content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships'
        f'+xml"/><Override PartName="/part.xml" ContentType="application/vnd.{main_part}.main+xml"/></Types>'
    ).encode()


def manifest(kind: str, inside: str = "/") -> bytes:
    """The list of files of an OpenDocument, where `inside` is a document of this kind."""
    return (
        '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        '<manifest:file-entry manifest:full-path="a.png" manifest:media-type="image/png"/>'
        f'<manifest:file-entry manifest:full-path="{inside}" manifest:media-type="{OASIS}{kind}"/></manifest:manifest>'
    ).encode()


XML = b"<?xml version='1.0'?><part/>" * 20
MANIFEST = b"Manifest-Version: 1.0\n"
WORD = "openxmlformats-officedocument.wordprocessingml.document"
SHEET = "openxmlformats-officedocument.spreadsheetml.sheet"

ZIPS: dict[str, tuple[dict[str, bytes], str]] = {
    "docx": (
        {"[Content_Types].xml": content_types(WORD), "_rels/.rels": XML, "word/document.xml": XML},
        DOCX,
    ),
    "docx, only by its names": (
        {"[Content_Types].xml": b"?", "_rels/.rels": XML, "docProps/app.xml": XML, "word/document.xml": XML},
        DOCX,
    ),
    "docx, only by its content types": ({"[Content_Types].xml": content_types(WORD), "thumbnail": XML}, DOCX),
    "docm": (
        {
            "[Content_Types].xml": content_types("ms-word.document.macroEnabled"),
            "_rels/.rels": XML,
            "word/document.xml": XML,
        },
        DOCM,
    ),
    "docm, only by its names": ({"word/document.xml": XML, "word/vbaProject.bin": XML}, DOCM),
    "xlsx": (
        {"[Content_Types].xml": content_types(SHEET), "docProps/core.xml": XML, "xl/workbook.xml": XML},
        XLSX,
    ),
    "xlsx with a document inside": (
        {"[Content_Types].xml": content_types(SHEET), "xl/workbook.xml": XML, "xl/embeddings/a.docx": XML},
        XLSX,
    ),
    "pptx": ({"_rels/.rels": XML, "ppt/presentation.xml": XML, "docProps/thumbnail.jpeg": XML}, PPTX),
    "odt": ({"mimetype": (OASIS + "text").encode(), "content.xml": XML, "META-INF/manifest.xml": XML}, OASIS + "text"),
    "ods": ({"mimetype": (OASIS + "spreadsheet").encode(), "content.xml": XML}, OASIS + "spreadsheet"),
    "odp": ({"mimetype": (OASIS + "presentation").encode(), "content.xml": XML}, OASIS + "presentation"),
    "epub": (
        {"mimetype": b"application/epub+zip", "META-INF/container.xml": XML, "OEBPS/a.xhtml": XML},
        "application/epub+zip",
    ),
    "epub without its mimetype": ({"META-INF/container.xml": XML, "a.xhtml": XML}, "application/epub+zip"),
    "jar": ({"META-INF/": b"", "META-INF/MANIFEST.MF": MANIFEST, "a/B.class": b"\xca\xfe\xba\xbe"}, JAR),
    "jar of classes alone": ({"a/": b"", "a/B.class": b"\xca\xfe\xba\xbe"}, JAR),
    "zip of somebody's homework": ({"a/B.java": b"class B {}", "a/B.class": b"\xca\xfe\xba\xbe"}, "application/zip"),
    "apk": ({"META-INF/MANIFEST.MF": MANIFEST, "classes.dex": XML, "AndroidManifest.xml": XML}, APK),
    "zip": ({"notes.txt": b"notes", "photos/": b"", "photos/a.jpg": b"\xff\xd8\xff"}, "application/zip"),
    "zip with a folder called word": ({"word/list.txt": b"words"}, "application/zip"),
    "odt that tells its kind at the end, and before it in its manifest": (
        {"META-INF/manifest.xml": manifest("text"), "content.xml": XML, "a": bytes(HEAD_SIZE), "mimetype": b"?"},
        OASIS + "text",
    ),
    "odt with a picture that is a document": (
        {"META-INF/manifest.xml": manifest("text", inside="Object 1/"), "Object 1/content.xml": XML},
        "application/zip",
    ),
    "zip with a manifest that says it is a page": (
        {"META-INF/manifest.xml": b'<a full-path="/" media-type="text/html"/>', "a.txt": b"a"},
        "application/zip",
    ),
    "zip that says it is a page": ({"mimetype": b"text/html", "a.txt": b"a"}, "application/zip"),
}


def zipped(entries: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED, seekable: bool = True) -> bytes:
    """The entries as a zip file. `mimetype` is stored, as its formats demand; what is written to a pipe has the sizes
    of its entries after their data."""
    file = io.BytesIO() if seekable else Pipe()
    with zipfile.ZipFile(file, "w", compression) as archive:  # type: ignore[call-overload]  # asks for no more
        for name, data in entries.items():
            archive.writestr(name, data, zipfile.ZIP_STORED if name == "mimetype" else compression)
    return file.getvalue()


class Pipe:
    """What can be written to and does not say where it is."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        pass

    def getvalue(self) -> bytes:
        return bytes(self._written)


@pytest.mark.parametrize("seekable", [True, False], ids=["file", "pipe"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED], ids=["deflated", "stored"])
@pytest.mark.parametrize("name", ZIPS)
def test_a_zip_container_is_told_by_its_entries(name: str, compression: int, *, seekable: bool) -> None:
    """Office documents, books and programs are zip files inside; entries tell which."""
    entries, shown = ZIPS[name]
    assert detect(zipped(entries, compression=compression, seekable=seekable)) == shown


@pytest.mark.parametrize("name", ZIPS)
def test_the_order_of_the_entries_does_not_matter(name: str) -> None:
    """Google, LibreOffice and Microsoft write the same parts in different orders."""
    entries, shown = ZIPS[name]
    names = list(entries)
    for _ in range(5):
        random.Random(name).shuffle(names)
        assert detect(zipped({each: entries[each] for each in names})) == shown
    assert detect(zipped(dict(reversed(entries.items())))) == shown


def test_a_document_stored_in_a_zip_does_not_make_the_zip_a_document() -> None:
    """The headers of entries are walked and not searched, so that what lies in an entry is not taken for one."""
    document = zipped(ZIPS["docx"][0])
    assert detect(zipped({"a.docx": document}, compression=zipfile.ZIP_STORED)) == "application/zip"


def test_the_main_part_may_lie_beyond_the_head() -> None:
    """The list of content types tells what the document is when a large part follows it."""
    entries = {"[Content_Types].xml": content_types(WORD), "docProps/thumbnail.jpeg": random.Random(1).randbytes(9000)}
    head = zipped(entries | {"word/document.xml": XML})[:HEAD_SIZE]
    assert b"word/document.xml" not in head
    assert detect(head) == DOCX


@pytest.mark.parametrize("cut", range(0, 700, 7))
def test_a_zip_that_is_cut_anywhere_is_still_a_zip(cut: int) -> None:
    """A file that ends early is a zip with fewer entries."""
    head = zipped(ZIPS["docx"][0])[: 4 + cut]
    assert detect(head) in ("application/zip", DOCX)


# OLE containers ---------------------------------------------------------------------------------------------------

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
FAT_SECTOR = b"\xfd\xff\xff\xff" + b"\xff" * 508

OLE_FILES = {
    "doc, by its directory": (OLE + FAT_SECTOR + "WordDocument".encode("utf-16-le"), "application/msword"),
    "xls, by its directory": (OLE + FAT_SECTOR + "Workbook".encode("utf-16-le"), "application/vnd.ms-excel"),
    "ppt, by its directory": (
        OLE + FAT_SECTOR + "PowerPoint Document".encode("utf-16-le"),
        "application/vnd.ms-powerpoint",
    ),
    "doc, by its first sector": (OLE + b"\xec\xa5\xc1\x00" + bytes(508), "application/msword"),
    "xls, by its first sector": (OLE + b"\x09\x08\x10\x00\x00\x06\x05\x00", "application/vnd.ms-excel"),
    "ppt, by its first sector": (OLE + b"\x00\x6e\x1e\xf0" + bytes(508), "application/vnd.ms-powerpoint"),
    "ppt, by its program": (
        OLE
        + FAT_SECTOR
        + b"\x01\x00\xfe\xff\x03\x0a\x00\x00\xff\xff\xff\xff"
        + bytes.fromhex("108d81649b4fcf1186ea00aa00b929e8"),
        "application/vnd.ms-powerpoint",
    ),
    "something of another program": (
        OLE + FAT_SECTOR + b"\x01\x00\xfe\xff\x03\x0a\x00\x00\xff\xff\xff\xff" + bytes(range(16)),
        "application/x-ole-storage",
    ),
    "something that begins with its allocation table": (OLE + FAT_SECTOR, "application/x-ole-storage"),
    "the signature alone": (OLE[:8], "application/x-ole-storage"),
}


@pytest.mark.parametrize("name", OLE_FILES)
def test_an_ole_container_is_told_by_its_streams(name: str) -> None:
    """Old Office documents have one container; where the head does not tell them apart nothing is guessed."""
    head, shown = OLE_FILES[name]
    assert detect(head) == shown


# ISO media --------------------------------------------------------------------------------------------------------


def box(kind: bytes, content: bytes = b"") -> bytes:
    """A box of ISO media."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    """The first box of ISO media."""
    return box(b"ftyp", major + bytes(4) + b"".join(compatible))


BRANDS = {
    (b"isom", b"iso2", b"avc1", b"mp41"): "video/mp4",
    (b"mp42", b"isom"): "video/mp4",
    (b"iso5",): "video/mp4",
    (b"dash", b"iso6"): "video/mp4",
    (b"MSNV", b"isom"): "video/mp4",
    (b"XAVC", b"mp42"): "video/mp4",
    (b"M4V ", b"isom", b"mp42"): "video/x-m4v",
    (b"qt  ",): "video/quicktime",
    (b"3gp4", b"isom"): "video/3gpp",
    (b"3g2a",): "video/3gpp2",
    (b"M4A ", b"mp42", b"isom"): "audio/mp4",
    (b"M4B ",): "audio/mp4",
    (b"heic", b"mif1", b"heic"): "image/heic",
    (b"heix", b"mif1"): "image/heic",
    (b"mif1", b"heic"): "image/heic",
    (b"mif1", b"avif", b"miaf"): "image/avif",
    (b"mif1",): "image/heif",
    (b"msf1", b"hevc"): "image/heic",
    (b"avif", b"mif1", b"miaf"): "image/avif",
    (b"avis", b"msf1"): "image/avif",
    (b"crx ", b"isom"): "image/x-canon-cr3",
    (b"none",): OCTET_STREAM,
}


@pytest.mark.parametrize("brands", BRANDS, ids=lambda brands: b" ".join(brands).decode())
def test_iso_media_are_told_by_their_brands(brands: tuple[bytes, ...]) -> None:
    """The major brand decides; a brand of structure, or one that is not known, leaves it to the compatible ones."""
    assert detect(ftyp(*brands) + box(b"free") + box(b"mdat", ZEROS)) == BRANDS[brands]


@pytest.mark.parametrize("first", [b"moov", b"mdat", b"wide"])
def test_a_quicktime_file_without_brands_is_quicktime(first: bytes) -> None:
    """Cameras wrote QuickTime before there were brands."""
    assert detect(box(first, ZEROS) + ZEROS) == "video/quicktime"


def handler(kind: bytes) -> bytes:
    """A track of ISO media, of sound or of pictures."""
    return box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + kind + bytes(12))))


@pytest.mark.parametrize(
    ("tracks", "shown"),
    [
        ([b"soun"], "audio/mp4"),
        ([b"vide"], "video/mp4"),
        ([b"soun", b"vide"], "video/mp4"),
        ([], "video/mp4"),
    ],
)
def test_an_mp4_of_sound_alone_is_audio(tracks: list[bytes], shown: str) -> None:
    """Safari records voices as MP4 with the brand of a film."""
    moov = box(b"moov", box(b"mvhd", ZEROS) + b"".join(map(handler, tracks)))
    assert detect(ftyp(b"iso5", b"mp42") + moov) == shown


def test_an_mp4_whose_tracks_do_not_end_in_the_head_is_a_film() -> None:
    """Where a picture may follow, sound that comes first says nothing."""
    moov = box(b"moov", handler(b"soun") + bytes(HEAD_SIZE) + handler(b"vide"))
    assert detect((ftyp(b"isom") + moov)[:HEAD_SIZE]) == "video/mp4"


def ebml(doctype: bytes, *codecs: bytes) -> bytes:
    """A file of the Matroska family with one track for each codec."""
    tracks = b"".join(b"\xae" + bytes([0x80 + len(codec) + 2]) + b"\x86" + bytes([0x80 + len(codec)]) + codec
                      for codec in codecs)  # fmt: skip
    head = b"\x1a\x45\xdf\xa3\x93\x42\x82" + bytes([0x80 + len(doctype)]) + doctype + bytes(8)
    segment = b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"
    return head + segment + b"\x16\x54\xae\x6b" + struct.pack(">H", 0x4000 | len(tracks)) + tracks + ZEROS


@pytest.mark.parametrize(
    ("head", "shown"),
    [
        (ebml(b"webm", b"V_VP9", b"A_OPUS"), "video/webm"),
        (ebml(b"webm", b"A_OPUS"), "audio/webm"),
        (ebml(b"webm"), "video/webm"),
        (ebml(b"webm", b"A_OPUS")[:40], "video/webm"),
        (ebml(b"webm", b"A_OPUS", b"V_VP9").partition(b"V_VP9")[0], "video/webm"),
        (ebml(b"matroska", b"V_MPEG4/ISO/AVC", b"A_AAC"), "video/matroska"),
        (ebml(b"matroska", b"A_FLAC"), "audio/matroska"),
        (ebml(b"other", b"A_FLAC"), OCTET_STREAM),
    ],
)
def test_matroska_and_webm_of_sound_alone_are_audio(head: bytes, shown: str) -> None:
    """Browsers record voices as WebM."""
    assert detect(head) == shown


@pytest.mark.parametrize("extension", ["aac", "flac", "m4a", "mka", "webm"])
def test_sound_that_ffmpeg_has_written_is_audio(extension: str) -> None:
    """Its index names the list of tracks before the list itself comes."""
    sample = Path(__file__).parents[1] / "samples/media" / f"sound.{extension}"
    assert detect(sample.read_bytes()[:HEAD_SIZE]).startswith("audio/")


# Text -------------------------------------------------------------------------------------------------------------

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

TEXTS = {
    "a word": ("word", "text/plain"),
    "prose": ("Once upon a time, there was\na file.\n", "text/plain"),
    "accents": ("Straße, œuvre, ¿qué?", "text/plain"),
    "spaces": (" \t\r\n\f ", "text/plain"),
    "a shell script": ("#!/bin/sh\nrm -rf /\n", "text/plain"),
    "begins like a bitmap": ("BMW builds cars", "text/plain"),
    "begins like a gif": ("GIFs are loud", "text/plain"),
    "begins like a program": ("MZ is short for Mark Zbikowski", "text/plain"),
    "begins like a tag of mp3": ("ID3 is a tag", "text/plain"),
    "begins like postscript": ("%!TEX root = main.tex\n", "text/plain"),
    "begins like pdf": ("%PDF is the magic number", "text/plain"),
    "a gif that is a script": ("GIF89a=1;alert(1)//", "text/plain"),
    "svg": (SVG, "image/svg+xml"),
    "svg, declared": ('<?xml version="1.0" encoding="UTF-8"?>\n' + SVG, "image/svg+xml"),
    "svg after a comment": ("<!-- Generator: Adobe -->\n" + SVG, "image/svg+xml"),
    "svg after a style sheet": ('<?xml version="1.0"?><?xml-stylesheet href="a"?>' + SVG, "image/svg+xml"),
    "svg with a doctype": (
        '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://x">' + SVG,
        "image/svg+xml",
    ),
    "svg with a prefix": ('<s:svg xmlns:s="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
    "svg in capitals": ("<SVG onload=alert(1)>", "image/svg+xml"),
    "svg after space": ("\n\n   " + SVG, "image/svg+xml"),
    "svg after a comment that does not end": ("<?xml version='1.0'?><!--" + "x" * HEAD_SIZE, "application/xml"),
    "html": ("<!DOCTYPE html><html><body>hi", "text/html"),
    "html in capitals": ("<!doctype HTML>\n", "text/html"),
    "html without a doctype": ("<html><body>hi", "text/html"),
    "a fragment of html": ("<p>hello</p>", "text/html"),
    "a script": ("<script>alert(1)</script>", "text/html"),
    "an image that fails": ("<img src=x onerror=alert(1)>", "text/html"),
    "a comment, as browsers take it": ("<!-- hello --> world", "text/html"),
    "xhtml": (
        '<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml">',
        "application/xhtml+xml",
    ),
    "xml": ('<?xml version="1.0"?><note><to>you</to></note>', "application/xml"),
    "xml without a declaration": ("<note><to>you</to></note>", "application/xml"),
    "xml after a comment": ("<!-- note --><note><to>you</to></note>", "application/xml"),
    "xml with a doctype": ("<!DOCTYPE plist PUBLIC 'a' 'b'><plist>", "application/xml"),
    "a declaration alone": ('<?xml version="1.0"', "application/xml"),
    "a name in angle brackets": ("<john> hi\n<mary> hello\n", "text/plain"),
    "an address": ("<john@example.com> wrote:\n", "text/plain"),
    "less than": ("<3 you\n", "text/plain"),
    "php": ("<?php system($_GET['c']); ?>", "application/x-httpd-php"),
    "php in short": ("<?= 1 ?>", "application/x-httpd-php"),
    "php after html": ("<!-- a --><?PHP echo 1;", "application/x-httpd-php"),
    "json, object": ('{"a": [1, -2.5e3, true, null, "x\\"y\\u00e9"]}', "application/json"),
    "json, array": ("[1, 2]\n", "application/json"),
    "json, empty": ("{}", "application/json"),
    "json, cut in a string": ('{"a": "bcd', "application/json"),
    "json, cut in an escape": ('{"a": "bcd\\', "application/json"),
    "json, cut in a word": ('[true, fal', "application/json"),
    "json, lines": ('{"a": 1}\n{"a": 2}\n', "application/json"),
    "not json: a link": ("[a link](http://example.com)", "text/plain"),
    "not json: a section": ("[section]\nkey = value\n", "text/plain"),
    "not json: a template": ("{{ name }}", "text/plain"),
    "not json: css": ("{ color: red }", "text/plain"),
    "csv": ("name,size\na.jpg,12\nb.jpg,13\n", "text/csv"),
    "csv, cut in a row": ("name,size,type\na.jpg,12,x\nb.j", "text/csv"),
    "csv, Windows": ("name;size\r\na.jpg;12\r\n", "text/csv"),
    "csv, quoted": ('name,note\n"a, b","two\nlines"\nc,d\n', "text/csv"),
    "not csv: a longer last row": ("a,b\nc,d\ne,f,g\n", "text/plain"),
    "not csv: one row": ("a,b,c\n", "text/plain"),
    "not csv: rows of different length": ("a,b\nc,d,e\nf\n", "text/plain"),
    "tsv": ("name\tsize\na\t1\nb\t2\n", "text/tab-separated-values"),
    "ics": ("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n", "text/calendar"),
    "vcf": ("BEGIN:VCARD\r\nVERSION:4.0\r\n", "text/vcard"),
    "vtt": ("WEBVTT\n\n00:01.000 --> 00:04.000\nHi\n", "text/vtt"),
}  # fmt: skip

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-be with a mark", "utf-32", "cp1252"]


def encoded(text: str, encoding: str) -> bytes:
    """The text in an encoding; those with a mark begin with it."""
    if encoding == "utf-16-be with a mark":
        return ("\ufeff" + text).encode("utf-16-be")
    return text.encode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_told_by_its_structure(name: str, encoding: str) -> None:
    """The kinds of text are the same in whatever encoding they come, and what a browser would run is never plain."""
    text, shown = TEXTS[name]
    assert detect(encoded(text, encoding)) == shown


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("ясно; текст", "cp1251"),  # begins with the frame of an AAC
        ("яблоко", "koi8-r"),
        ("日本語のテキスト", "shift_jis"),
        ("日本語のテキスト", "euc_jp"),
        ("简体中文", "gb18030"),
        ("תודה", "cp1255"),
    ],
)
def test_text_in_an_older_encoding_is_text(text: str, encoding: str) -> None:
    """Excel saves tables in the encoding of its Windows."""
    assert detect(text.encode(encoding)).startswith("text/")


@pytest.mark.parametrize("control", [0, 1, 7, 8, 0x0B, 0x0E, 0x1A, 0x1F])
def test_a_control_character_makes_a_text_binary(control: int) -> None:
    """The bytes that a browser takes for binary are no text here."""
    assert detect(b"some text" + bytes([control])) == OCTET_STREAM


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_a_character_that_the_end_of_the_head_cuts_is_no_fault(encoding: str) -> None:
    """The head ends where it ends."""
    data = ("x" + "😀" * HEAD_SIZE).encode(encoding)
    assert {detect(data[:cut]) for cut in range(64, 80)} == {"text/plain"}
    assert detect(data) == "text/plain"


def test_utf_16_that_is_not_valid_is_no_text() -> None:
    """Two bytes that look like a mark do not make text of what follows."""
    assert detect(b"\xff\xfe" + "a".encode("utf-16-le") + b"\x41\xd8\x41\x41") == OCTET_STREAM


# Promises ---------------------------------------------------------------------------------------------------------

MAGIC = sorted({head[:length] for head, _ in SIGNATURES.values() for length in (4, 12)} | {
    b"PK\x03\x04", OLE[:8], ftyp(b"isom"), ebml(b"webm")[:40], b"<", b"<?xml ", b"<!--", b"{", b"[", b"\xff\xfe",
    b"\x50\x2a\x4d\x18\x00\x00\x00\x00", b"\x00\x00\x00\x14ftyp", zipped(ZIPS["docx"][0])[:200],
})  # fmt: skip


@given(magic=st.sampled_from(MAGIC), rest=st.binary(max_size=300), pad=st.integers(0, 3))
def test_no_bytes_break_the_looking(magic: bytes, rest: bytes, pad: int) -> None:
    """Whatever the bytes, there is an answer, and it is a type of the tables."""
    for head in (rest, magic + rest, bytes(pad) + magic + rest, magic * 3 + rest):
        assert detect(head) in EXTENSIONS.keys() | {OCTET_STREAM}


@given(magic=st.sampled_from(MAGIC), first=st.integers(0, 255), rest=st.binary(max_size=300), pad=st.integers(0, 3))
def test_no_kind_begins_otherwise_than_is_said(magic: bytes, first: int, rest: bytes, pad: int) -> None:
    """Kinds that are not asked because of a file's first byte would have said no."""
    for head in (bytes(pad) + magic + rest, bytes([first]) + magic[1:] + rest):
        for kind, media_type in _KINDS:
            if head and kind.match(head):
                assert (kind, media_type) in _KINDS_BY_FIRST_BYTE[head[0]]


@given(st.text(alphabet="<!?->/a:x svghtml[]{},;\"'\\\n\t1"))
def test_no_text_breaks_the_looking(text: str) -> None:
    """Markup, JSON and tables that are broken in any way are some kind of text."""
    assert detect(text.encode()) in EXTENSIONS.keys() | {OCTET_STREAM}


def test_what_follows_the_head_is_not_looked_at() -> None:
    """The answer is the same however much of the file is given."""
    head = b"word, " * (HEAD_SIZE // 6 + 1)
    assert detect(head[:HEAD_SIZE]) == detect(head[:HEAD_SIZE] + b"\x00" * 1000)


def one_of_a_zip(name: str, data: bytes) -> bytes:
    """A zip file up to its directory, so that others can follow."""
    return zipped({name: data}).partition(b"PK\x01\x02")[0]


BOMB = zlib.compressobj(9, zlib.DEFLATED, -15)

HOSTILE = {
    "frames of zstd to be skipped": b"\x50\x2a\x4d\x18\x00\x00\x00\x00",
    "comments": b"<!---->",
    "comments that do not end": b"<!--",
    "instructions": b"<?a?>",
    "a name without end": b"<aaaaaaaa",
    "prefixes": b"<a:a:a:",
    "open brackets": b"[",
    "escapes": b'["\\"',
    "quotes": b'"a,b\n',
    "tabs": b"\t\n",
    "entries of a zip": b"PK\x03\x04" + bytes(26),
    "entries of unknown size": b"PK\x03\x04\x14\x00\x08\x00" + bytes(22),
    "headers of pdf": b"x\n%PDF-1.4\n%a\n",
    "comments of a pdf": b"%\n",
    "brands": ftyp(b"isom") + b"mp42",
    "boxes": box(b"ftyp", b"isom") + box(b"free"),
    "chunks of a png": b"\x89PNG\r\n\x1a\n" + bytes(12),
    "a bomb": b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(8) + b"\xff\xff\x00\x00" + bytes(4) + b"\x13\x00\x00\x00"
    + b"[Content_Types].xml" + BOMB.compress(bytes(8_000_000)) + BOMB.flush(),
    "many bombs": one_of_a_zip("META-INF/manifest.xml", b"<" + b"a" * 65000),
    "a manifest that says it again and again": one_of_a_zip("META-INF/manifest.xml", b"<" + b'full-path="/" ' * 4600),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_head_takes_no_longer_than_others(name: str) -> None:
    """Half a millisecond is usual; a hundred times that is nowhere near what anything but linear time would take."""
    head = (HOSTILE[name] * (HEAD_SIZE // len(HOSTILE[name]) + 1))[:HEAD_SIZE]
    swift(lambda: detect(head), 0.05)


def test_looking_loads_nothing_but_filetype() -> None:
    """The detection can be used where there is no event loop, and costs a program no optional package."""
    code = "import sys; before = set(sys.modules); import uploadkit.policy.accept; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    packages = {module.partition(".")[0] for module in done.stdout.split()}
    assert packages & {"asyncio", "mimetypes", "PIL", "magic", "socket", "ssl", "tempfile", "threading"} == set()
