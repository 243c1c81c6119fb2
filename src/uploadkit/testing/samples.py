"""Files of many types, made when they are asked for, and names that are meant to do harm. A test needs no files of
its own on a disk.

Pictures can be decoded, archives and Office documents opened, a PDF read; of a video and of sound there is the frame,
and nothing to play. The same call makes the same bytes.
"""

from __future__ import annotations

import base64
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

from ..policy.limits import parse_size
from ..policy.media_types import OASIS, OFFICE, canonical


def sample(media_type: str, *, size: int | str = 0) -> bytes:
    """A file of one of `SAMPLE_TYPES`, or of another name for one, of at least `size` bytes ("5 MB").

    What makes it larger changes nothing of what a reader finds. Raises `ValueError` for other types.
    """
    make = _SAMPLES.get(canonical(media_type))
    if make is None:
        raise ValueError(f"there is no sample of {media_type!r}; there are {', '.join(SAMPLE_TYPES)}")
    wanted = parse_size(size)
    small = make(0)
    return small if len(small) >= wanted else make(wanted - len(small))


# Each is given how many bytes more than its fewest it has at least.


def _png(more: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    picture = chunk(b"IDAT", zlib.compress(b"\0\xff\0\0"))
    return b"\x89PNG\r\n\x1a\n" + head + picture + chunk(b"IEND", b"") + bytes(more)


def _encoded(text: str) -> Callable[[int], bytes]:
    """A picture that readers stop to read at its end."""
    return lambda more: base64.b64decode(text) + bytes(more)


_JPEG = _encoded(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEBEQCgwS"
    "ExIQEw8QEBD/wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AVN//2Q=="
)
_GIF = _encoded("R0lGODlhAQABAIAAAP8AAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==")
_WEBP = _encoded("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")


def _bmp(more: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 24, 0, 4, 2835, 2835, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 58, 0, 0, 54) + header + b"\0\0\xff\0" + bytes(more)


def _pdf(more: int) -> bytes:
    """One empty page. A comment makes it larger: readers look for the table of its objects at its end."""
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>",
    )
    body, places = b"%PDF-1.4\n%" + b" " * more + b"\n", []
    for number, written in enumerate(objects, 1):
        places.append(b"%010d 00000 n \n" % len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, written)
    table = b"xref\n0 4\n0000000000 65535 f \n" + b"".join(places)
    return body + table + b"trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(body)


def _zip(*files: tuple[str, str]) -> Callable[[int], bytes]:
    """An archive of these files, and of one that makes it larger."""

    def make(more: int) -> bytes:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w") as archive:
            for name, text in (*files, *([("padding.bin", "\0" * more)] if more else ())):
                archive.writestr(zipfile.ZipInfo(name), text)  # its date is always the same
        return held.getvalue()

    return make


def _office(main: str, content_type: str, text: str) -> Callable[[int], bytes]:
    """An Office document (ECMA-376): its types, what its main part is, and that."""
    declaration = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    schemas = "http://schemas.openxmlformats.org"
    return _zip(
        (
            "[Content_Types].xml",
            f'{declaration}<Types xmlns="{schemas}/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/{main}" ContentType="{OFFICE}{content_type}.main+xml"/></Types>',
        ),
        (
            "_rels/.rels",
            f'{declaration}<Relationships xmlns="{schemas}/package/2006/relationships"><Relationship Id="rId1" '
            f'Type="{schemas}/officeDocument/2006/relationships/officeDocument" Target="{main}"/></Relationships>',
        ),
        (main, declaration + text.replace("SCHEMAS", schemas)),
    )


_DOCX = _office(
    "word/document.xml",
    "wordprocessingml.document",
    '<w:document xmlns:w="SCHEMAS/wordprocessingml/2006/main"><w:body><w:p/></w:body></w:document>',
)
_XLSX = _office(
    "xl/workbook.xml",
    "spreadsheetml.sheet",
    '<workbook xmlns="SCHEMAS/spreadsheetml/2006/main"><sheets/></workbook>',
)
_PPTX = _office(
    "ppt/presentation.xml",
    "presentationml.presentation",
    '<p:presentation xmlns:p="SCHEMAS/presentationml/2006/main"/>',
)


def _text(text: str, padding: bytes = b"\n") -> Callable[[int], bytes]:
    return lambda more: text.encode() + padding * more


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + kind + data


def _iso_media(brand: bytes, *compatible: bytes) -> Callable[[int], bytes]:
    start = _box(b"ftyp", brand + bytes(4) + b"".join(compatible))
    return lambda more: start + _box(b"mdat", bytes(more))


def _wav(more: int) -> bytes:
    sound = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", more)
    return b"RIFF" + struct.pack("<I", 4 + len(sound) + more) + b"WAVE" + sound + b"\x80" * more


_SAMPLES: dict[str, Callable[[int], bytes]] = {
    "image/png": _png,
    "image/jpeg": _JPEG,
    "image/gif": _GIF,
    "image/webp": _WEBP,
    "image/bmp": _bmp,
    "image/svg+xml": _text('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'),
    "application/pdf": _pdf,
    OFFICE + "wordprocessingml.document": _DOCX,
    OFFICE + "spreadsheetml.sheet": _XLSX,
    OFFICE + "presentationml.presentation": _PPTX,
    OASIS + "text": _zip(("mimetype", OASIS + "text")),
    "application/zip": _zip(("readme.txt", "hello\n")),
    "application/gzip": lambda more: gzip.compress(b"hello\n", mtime=0) + bytes(more),
    "text/plain": _text("hello\n"),
    "text/csv": _text("name,size\nsea,1\nsky,2\n"),
    "text/html": _text("<!doctype html><html><title>hello</title><script>alert(1)</script></html>\n"),
    "application/xml": _text('<?xml version="1.0"?><a/>\n'),
    "application/json": _text('{"hello": "world"}\n'),
    "video/mp4": _iso_media(b"isom", b"isom", b"mp42"),
    "video/quicktime": _iso_media(b"qt  ", b"qt  "),
    "audio/wav": _wav,
    "application/vnd.microsoft.portable-executable": lambda more: b"MZ\x90\0" + bytes(60 + more),
    "application/octet-stream": lambda more: b"\0\x01\x02\x03" + bytes(more),
}

SAMPLE_TYPES: tuple[str, ...] = tuple(_SAMPLES)
"""What `sample` has files of."""

_HOSTILE = (
    # Out of the folder.
    *("../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", "C:\\Windows\\win.ini", "\\\\host\\share\\a.png"),
    *("....//....//a.png", "%2e%2e%2fa.png", "..%252fa.png", "..%c0%afa.png", "a/../../b.png"),
    *("\uff0e\uff0e\uff0fa.png", "a\u2215b.png", "C:a.png", "~/.ssh/authorized_keys", ".htaccess"),
    # Nothing is left of it, or it is no file.
    *(".", "..", "...", "/", " ", "\u200b", "con", "nul.png", "COM1.txt", "aux.tar.gz", "clock$", "lpt\u00b9.txt"),
    # It looks like another one, or ends otherwise than it seems to.
    *("photo\u202egnp.exe", "a\u200b.png", "a.png\u2029", "a.php%00.png", "a.png.", "a.png ", "a.php::$DATA"),
    *("a.asp;.png", "a.php", "\u0430.png", "a\u0300\u0301.png", "a.png/", "-rf", "--help", "a.png\u00a0"),
    # Too long: in bytes, in characters, and only its extension.
    *("a" * 256 + ".png", "\u00e9" * 200 + ".png", "a." + "x" * 300, "." * 300),
    # For whoever shows it, logs it or puts it into a command.
    *("<script>alert(1)</script>.png", "'; drop table files; --.png", "$(reboot).png", "`id`.png", "a|b&c.png"),
    *('a".png', "a\r\nSet-Cookie: x=1.png", "=1+1.csv", "%s%n.png", "{{7*7}}.png", "\U0001f4a9.png"),
)

HOSTILE_FILENAMES: tuple[str, ...] = _HOSTILE
"""File names that browsers could be made to send. A route takes each under a name that is safe, or refuses it.

For a test of code that saves or shows `UploadedFile.filename`. A name with a NUL is no form: see
`FormBuilder.broken("NUL in a filename")`.
"""
