"""Which media type a file's first bytes show. The client's word is never taken for it.

Looks at no more than 8 KiB and opens nothing. `filetype` is asked for the plain signatures; our own tables take over
where it is blind: zip and OLE containers, ISO media, the tracks of media, text. Bytes that show nothing are
`application/octet-stream`.
"""

from __future__ import annotations

import codecs
import csv
import re
import struct
import zlib
from collections.abc import Collection, Iterator
from typing import Final

from filetype.types import TYPES as _FILETYPE_KINDS

from .media_types import OCTET_STREAM, OFFICE, PLAIN, ZIP, ZIP_KINDS, types_of

HEAD_SIZE: Final = 8192
"""How many of a file's first bytes are looked at."""

# Not asked of filetype: what is read by our own tables, and two signatures that are none: its Brotli has no magic
# number, and its Zstandard recurses once for every eight bytes of a hostile head.
_ZIP_AND_OLE = {"docx", "xlsx", "pptx", "odt", "ods", "odp", "epub", "doc", "xls", "ppt"}
_ISO_MEDIA = {"mp4", "m4v", "m4a", "mov", "3gp", "heic", "avif"}
_NOT_ASKED = _ZIP_AND_OLE | _ISO_MEDIA | {"br", "zst"}

_ANY_BYTE = bytes(range(256))

# The bytes with which each of its kinds can begin. The others, and what a newer filetype adds, may begin with any.
_FIRST_BYTES = {
    "dwg": b"A", "xcf": b"g", "jpg": b"\xff", "jpx": b"\x00", "apng": b"\x89", "png": b"\x89", "gif": b"G",
    "webp": b"R",
    "tif": b"IM", "cr2": b"IM", "bmp": b"B", "jxr": b"I", "psd": b"8", "ico": b"\x00", "aac": b"\xff", "midi": b"M",
    "mp3": b"I\xff", "ogg": b"O", "flac": b"f", "wav": b"R", "amr": b"#", "aiff": b"F", "mkv": b"\x1a", "avi": b"R",
    "wmv": b"0", "mpg": b"\x00", "webm": b"\x1a", "flv": b"F", "woff": b"w", "woff2": b"w", "ttf": b"\x00", "otf": b"O",
    "rpm": b"\xed", "zip": b"P", "rar": b"R", "gz": b"\x1f", "bz2": b"B", "7z": b"7", "pdf": b"%\xef", "exe": b"M",
    "swf": b"CF", "rtf": b"{", "nes": b"N", "crx": b"C", "cab": b"IM", "ps": b"%", "xz": b"\xfd", "sqlite": b"S",
    "deb": b"!", "ar": b"!", "Z": b"\x1f", "lzo": b"\x89", "lz": b"L", "elf": b"\x7f", "lz4": b"\x04", "wasm": b"\x00",
}  # fmt: skip

# Its names of media types are dated ("audio/x-wav", "application/font-woff" for WOFF 2), so that the type is looked up
# by its extension.
_KINDS = [
    (kind, media_type)
    for kind in _FILETYPE_KINDS
    if kind.extension not in _NOT_ASKED
    for media_type in types_of("." + kind.extension.lower())[:1]
]

# By the first byte: most files are asked of a few kinds and not of all sixty.
_KINDS_BY_FIRST_BYTE = [
    [(kind, media_type) for kind, media_type in _KINDS if byte in _FIRST_BYTES.get(kind.extension, _ANY_BYTE)]
    for byte in range(256)
]

# Where filetype is content with two or three letters.
_STRICTER = {
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/bmp": re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL),
    "image/vnd.microsoft.icon": re.compile(rb"\x00\x00\x01\x00(?!\x00\x00)..", re.DOTALL),
    "application/pdf": re.compile(rb"(?:\xef\xbb\xbf)?%PDF-"),
    "application/postscript": re.compile(rb"%!PS"),
    "application/vnd.sqlite3": re.compile(rb"SQLite format 3\x00"),
}

_SIGNATURES = (
    (b"\xff\x0a", "image/jxl"),
    (b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a", "image/jxl"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"\xff\xfa", "audio/mpeg"),
    (b"\xff\xe3", "audio/mpeg"),  # MPEG 2.5, for speech
    (b"II+\x00\x08\x00\x00\x00", "image/tiff"),  # BigTIFF
    (b"MM\x00+\x00\x08\x00\x00", "image/tiff"),
)

_CHUNKED = {
    # By the four bytes before and after a size.
    (b"RF64", b"WAVE"): "audio/wav",  # of more than 4 GB
    (b"RIFX", b"WAVE"): "audio/wav",  # big-endian
    (b"FORM", b"AIFC"): "audio/x-aiff",
}

_WRITTEN_AS_TEXT = frozenset({"application/pdf", "application/postscript", "application/rtf"})

# Two bytes, which are also the beginning of words: "яс" in windows-1251 is the frame of an AAC.
_FAINT = frozenset({"audio/aac", "audio/mpeg", "image/jxl"})


def detect(head: bytes) -> str:
    """The media type that a file's first bytes show; `application/octet-stream` where they show none.

    At most `HEAD_SIZE` bytes are looked at. Never raises, and the time it takes is linear in the bytes.
    """
    head = head[:HEAD_SIZE]
    text = _as_text(head)
    binary = _binary_kind(head)
    if not text:
        return binary or ("application/pdf" if _is_pdf_after_junk(head) else OCTET_STREAM)
    if binary is None or binary in _FAINT:
        kind = _text_kind(text)
        return "application/pdf" if kind in _WITHOUT_A_BEGINNING and _is_pdf_after_junk(head) else kind
    if binary in _WRITTEN_AS_TEXT or not head[:4].isascii():
        return binary
    return _text_kind(text)  # it only begins with the letters of a binary format: "BMW", "GIF89a=1;alert(1)"


def _binary_kind(head: bytes) -> str | None:
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(head)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _ole_kind(head)
    if head[4:8] in _FIRST_BOXES and (kind := _iso_media_kind(head)):
        return kind
    for magic, kind in _SIGNATURES:
        if head.startswith(magic):
            return kind
    if chunked := _CHUNKED.get((head[:4], head[8:12])):
        return chunked
    for matcher, kind in _KINDS_BY_FIRST_BYTE[head[0]] if head else ():
        if matcher.match(head) and (kind not in _STRICTER or _STRICTER[kind].match(head)):
            return _with_tracks(head, kind)
    return None


# PDF after bytes that are not its own. Readers search the first 1024 bytes for its header (ISO 32000-1, Annex H.3, note
# 13), since mail programs, printers and old Macs have put something there. So would the author of a page or a script
# that is to pass for a PDF, and nothing is taken for junk that a browser might run:
#
# - no markup begins in it, since it has no "<";
# - no script is valid with it. Zeros, escape characters and the header itself begin none. After text, which has no "*",
#   "`" or "\\", a script is past its comments and strings where the header's line ends, and "1 0 obj" is an error.

_PDF_HEADER = b"%PDF-"
_PDF_SEARCHED = 1024
_HARMLESS = rb"\t -)+-;=-\[\]-_a-\xff"  # printable, without * < \ `
_PDF_JUNK = re.compile(
    rb"(?:\xef\xbb\xbf)?[\x00\t\n\f\r ]*"
    rb"|\x1b%-12345X[\r\n" + _HARMLESS + rb"]*"  # the head of a printer's job
    rb"|\x00[\x01-\x3f][^*<\\`]{63}PDF .{59}",  # MacBinary: the length of the name, the name, the type; 128 bytes
    re.DOTALL,
)
_PDF_TEXT_JUNK = re.compile(rb"(?!#!|\xff\xfe|\xfe\xff)[\r\n" + _HARMLESS + rb"]*[\r\n]")
_PDF_BODY = re.compile(rb"%PDF-[12]\.\d[\t ]*[\r\n]\s*+(?:%[" + _HARMLESS + rb"]*+[\r\n]\s*+)*+\d+[\t ]+\d+[\t ]+obj\b")
_WITHOUT_A_BEGINNING = frozenset({PLAIN, "text/csv", "text/tab-separated-values"})


def _is_pdf_after_junk(head: bytes) -> bool:
    at = head.find(_PDF_HEADER, 0, _PDF_SEARCHED + len(_PDF_HEADER) - 1)
    if at < 0:
        return False
    if _PDF_JUNK.fullmatch(head, 0, at):
        return True
    return _PDF_TEXT_JUNK.fullmatch(head, 0, at) is not None and _PDF_BODY.match(head, at) is not None


# Zip containers

_MIMETYPE = b"mimetype"
_CONTENT_TYPES = b"[Content_Types].xml"
_TELLING = frozenset({_MIMETYPE, _CONTENT_TYPES, b"META-INF/manifest.xml"})

# The document itself in the manifest of OpenDocument, which has a type for every file.
_OASIS_ROOT = re.compile(rb'<(?>[^<>]*?full-path="/")[^<>]*+>')
_OASIS_TYPE = re.compile(rb'media-type="([a-z.+/-]+)"')

_ZIP_MAIN_PARTS = {
    # The content type that [Content_Types].xml of an Office document gives its main part.
    b"wordprocessingml.document.main+xml": OFFICE + "wordprocessingml.document",
    b"wordprocessingml.template.main+xml": OFFICE + "wordprocessingml.template",
    b"spreadsheetml.sheet.main+xml": OFFICE + "spreadsheetml.sheet",
    b"spreadsheetml.template.main+xml": OFFICE + "spreadsheetml.template",
    b"presentationml.presentation.main+xml": OFFICE + "presentationml.presentation",
    b"presentationml.slideshow.main+xml": OFFICE + "presentationml.slideshow",
    b"presentationml.template.main+xml": OFFICE + "presentationml.template",
    b"ms-word.document.macroEnabled.main+xml": "application/vnd.ms-word.document.macroenabled.12",
    b"ms-excel.sheet.macroEnabled.main+xml": "application/vnd.ms-excel.sheet.macroenabled.12",
    b"ms-powerpoint.presentation.macroEnabled.main+xml": "application/vnd.ms-powerpoint.presentation.macroenabled.12",
}

_ZIP_NAMES = (
    # Entries that tell what a zip file is, the surer ones first.
    (re.compile(rb"word/vbaProject\.bin"), "application/vnd.ms-word.document.macroenabled.12"),
    (re.compile(rb"xl/vbaProject\.bin"), "application/vnd.ms-excel.sheet.macroenabled.12"),
    (re.compile(rb"ppt/vbaProject\.bin"), "application/vnd.ms-powerpoint.presentation.macroenabled.12"),
    (re.compile(rb"word/.*\.(?:xml|rels)"), OFFICE + "wordprocessingml.document"),
    (re.compile(rb"xl/.*\.(?:xml|rels)"), OFFICE + "spreadsheetml.sheet"),
    (re.compile(rb"ppt/.*\.(?:xml|rels)"), OFFICE + "presentationml.presentation"),
    (re.compile(rb"META-INF/container\.xml"), "application/epub+zip"),
    (re.compile(rb"AndroidManifest\.xml|classes\d*\.dex|resources\.arsc"), "application/vnd.android.package-archive"),
    (re.compile(rb"META-INF/MANIFEST\.MF"), "application/java-archive"),
)

_LOCAL_HEADER = struct.Struct("<4s2xHH8xI4xHH")  # signature, flags, method, size, length of name, of extra field
_MIMETYPE_LETTERS = b"abcdefghijklmnopqrstuvwxyz.+-/"
_DEFLATED = 8
_SIZE_FOLLOWS_DATA = 0x08


def _zip_kind(head: bytes) -> str:
    """What the entries in the head tell, in whatever order they stand."""
    names: list[bytes] = []
    for name, method, data in _zip_entries(head):
        if name in _TELLING and name not in names:  # once: a zip of lists that unpack to 64 KiB each has work for long
            kind = _told_by_entry(name, _inflated(data) if method == _DEFLATED else data)
            if kind in ZIP_KINDS:
                return kind
        names.append(name)
    return zip_kind_of(names)


def zip_kind_of(names: Collection[bytes]) -> str:
    """What a zip archive with entries of these names is: `application/zip` where they tell no more."""
    for pattern, kind in _ZIP_NAMES:
        if any(pattern.fullmatch(name) for name in names):
            return kind
    if any(name.endswith(b".class") for name in names) and all(name.endswith((b".class", b"/")) for name in names):
        return "application/java-archive"  # classes beside other files are somebody's work
    return ZIP


def _told_by_entry(name: bytes, content: bytes) -> str | None:
    if name == _MIMETYPE:  # what follows the type may be a record of the size
        return content[: len(content) - len(content.lstrip(_MIMETYPE_LETTERS))].decode()
    if name == _CONTENT_TYPES:
        return next((kind for main_part, kind in _ZIP_MAIN_PARTS.items() if main_part in content), None)
    root = _OASIS_ROOT.search(content)
    told = _OASIS_TYPE.search(root[0]) if root else None
    return told[1].decode() if told else None


def _zip_entries(head: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Name, compression method and data, as far as it is there, of every entry whose local header is in the head."""
    at = 0
    while at + _LOCAL_HEADER.size <= len(head):
        signature, flags, method, size, name_length, extra_length = _LOCAL_HEADER.unpack_from(head, at)
        if signature != b"PK\x03\x04":
            return
        name = head[at + _LOCAL_HEADER.size : at + _LOCAL_HEADER.size + name_length]
        start = at + _LOCAL_HEADER.size + name_length + extra_length
        if flags & _SIZE_FOLLOWS_DATA and size == 0:
            found = head.find(b"PK\x03\x04", start)
            at = len(head) if found < 0 else found
        else:
            at = start + size
        if len(name) == name_length:
            yield name, method, head[start:at]


def _inflated(data: bytes) -> bytes:
    """The first 64 KiB of deflated data that may be cut short."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, 2**16)
    except zlib.error:
        return b""


# OLE containers: old Office documents. Their directory may lie anywhere in the file; where it lies in the head it has
# the name of the main stream. Else the stream that names the program tells (LibreOffice writes it first), or the first
# sector, where it holds the main stream's beginning.

_OLE_STREAMS = {
    "WordDocument".encode("utf-16-le"): "application/msword",
    "Workbook".encode("utf-16-le"): "application/vnd.ms-excel",
    "PowerPoint Document".encode("utf-16-le"): "application/vnd.ms-powerpoint",
    "__properties_version".encode("utf-16-le"): "application/vnd.ms-outlook",
}
_OLE_CLASSES = {
    # Identifiers of programs, as [MS-OLEDS] has them in the stream CompObj.
    bytes.fromhex("0609020000000000c000000000000046"): "application/msword",
    bytes.fromhex("2008020000000000c000000000000046"): "application/vnd.ms-excel",
    bytes.fromhex("108d81649b4fcf1186ea00aa00b929e8"): "application/vnd.ms-powerpoint",
}
_OLE_CLASS = re.compile(rb"\x01\x00\xfe\xff.{4}\xff{4}(.{16})", re.DOTALL)
_OLE_FIRST_SECTOR = {
    b"\xec\xa5\xc1\x00": "application/msword",
    b"\x09\x08\x10\x00": "application/vnd.ms-excel",
    b"\x00\x6e\x1e\xf0": "application/vnd.ms-powerpoint",
    b"\x0f\x00\xe8\x03": "application/vnd.ms-powerpoint",
    b"\xa0\x46\x1d\xf0": "application/vnd.ms-powerpoint",
}


def _ole_kind(head: bytes) -> str:
    for stream, kind in _OLE_STREAMS.items():
        if stream in head:
            return kind
    if (found := _OLE_CLASS.search(head)) and found[1] in _OLE_CLASSES:
        return _OLE_CLASSES[found[1]]
    return _OLE_FIRST_SECTOR.get(head[512:516], "application/x-ole-storage")


# ISO media: a `ftyp` box with a brand and the brands it is compatible with

_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide")

_BRANDS = {
    # By the whole brand, or by its first three letters.
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic"),
    **dict.fromkeys((b"mif1", b"mif2", b"msf1"), "image/heif"),
    b"crx ": "image/x-canon-cr3",
    b"qt  ": "video/quicktime",
    **dict.fromkeys((b"M4A", b"M4B", b"M4P", b"F4A", b"F4B"), "audio/mp4"),
    b"M4V": "video/x-m4v",
    **dict.fromkeys((b"iso", b"mp4", b"mp7", b"avc1", b"dash", b"MSNV", b"F4V"), "video/mp4"),
    **dict.fromkeys((b"3gp", b"3ge", b"3gg", b"3gr", b"3gs"), "video/3gpp"),
    b"3g2": "video/3gpp2",
}


def _iso_media_kind(head: bytes) -> str | None:
    size, first_box = int.from_bytes(head[:4], "big"), head[4:8]
    if first_box != b"ftyp":  # QuickTime files of before the brands
        return "video/quicktime" if head[0] == 0 and size != 0 else None
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)), 4))]
    kinds = [kind for brand in brands if (kind := _BRANDS.get(brand) or _BRANDS.get(brand[:3]))]
    if not kinds:
        return None
    if kinds[0] == "image/heif":  # a brand of structure: those after it tell the coding
        return next((kind for kind in kinds if kind in ("image/avif", "image/heic")), "image/heif")
    return _with_tracks(head, kinds[0])


# Media of which the tracks tell whether they have a picture


def _with_tracks(head: bytes, kind: str) -> str:
    """Audio in place of video where a whole list of tracks is in the head and has sound alone, and the reverse."""
    if kind == "video/mp4":
        tracks = _moov(head)
        return "audio/mp4" if b"soun" in tracks and b"vide" not in tracks else kind
    if kind in ("video/webm", "video/matroska"):
        tracks = _matroska_tracks(head)
        return kind.replace("video", "audio") if b"A_" in tracks and b"V_" not in tracks else kind
    if kind == "audio/ogg":
        return "video/ogg" if b"\x80theora" in head[:512] else kind
    return kind


def _moov(head: bytes) -> bytes:
    """The `moov` box of ISO media, or nothing where it is not whole."""
    at = 0
    while at + 8 <= len(head):
        size = int.from_bytes(head[at : at + 4], "big")
        if size < 8 or at + size > len(head):
            return b""
        if head[at + 4 : at + 8] == b"moov":
            return head[at : at + size]
        at += size
    return b""


_TRACKS = re.compile(rb"\x16\x54\xae\x6b(?=.)", re.DOTALL)
_TRACKS_BEGIN = (b"\xae", b"\xbf", b"\xec")  # with a track, with a checksum, or with room


def _matroska_tracks(head: bytes) -> bytes:
    """The Tracks element of Matroska, or nothing where it is not whole. Its size is a number of 1 to 8 bytes, of
    which the leading zero bits of the first tell how many. The index before it names the element, too."""
    for found in _TRACKS.finditer(head):
        at = found.end()
        width = 9 - head[at].bit_length()
        start = at + width
        if head[start : start + 1] not in _TRACKS_BEGIN:
            continue
        end = start + (int.from_bytes(head[at:start], "big") & ((1 << 7 * width) - 1))
        return head[start:end] if end <= len(head) else b""
    return b""


# Text

# The bytes that make a file binary for a browser: https://mimesniff.spec.whatwg.org/#binary-data-byte
_BINARY_BYTES = bytes([*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)])
_BINARY_CHARACTER = re.compile(f"[{_BINARY_BYTES.decode()}]")
_SPACE = "\ufeff \t\r\n\f"

_BYTE_ORDER_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "latin-1"),
)
_MARKS = tuple(mark for mark, _ in _BYTE_ORDER_MARKS)

_TEXT_BEGINNINGS = {
    "BEGIN:VCALENDAR": "text/calendar",
    "BEGIN:VCARD": "text/vcard",
    "WEBVTT": "text/vtt",
}


def _as_text(head: bytes) -> str | None:
    """The head as text, None where it is binary or empty.

    What has no mark of UTF-16 or UTF-32 is read as Latin-1: the structure that is looked for is ASCII in every
    encoding of the web, and a table that Excel saved in windows-1251 is text too.
    """
    if not head.startswith(_MARKS):
        is_binary = _has_binary_bytes(head[:64]) or _has_binary_bytes(head)  # most that are show it at once
        return None if is_binary else head.decode("latin-1")
    mark, encoding = next(mark for mark in _BYTE_ORDER_MARKS if head.startswith(mark[0]))
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head[len(mark) :])  # the last character may be cut
    except UnicodeDecodeError:
        return None
    return None if _BINARY_CHARACTER.search(text) else text


def _has_binary_bytes(data: bytes) -> bool:
    return len(data.translate(None, _BINARY_BYTES)) < len(data)  # four times as fast as a search by `re`


def _text_kind(text: str) -> str:
    text = text.lstrip(_SPACE)
    if text.startswith("<") and (markup := _markup_kind(text)):
        return markup
    for beginning, kind in _TEXT_BEGINNINGS.items():
        if text.startswith(beginning):
            return kind
    if text.startswith(("{", "[")) and _looks_like_json(text):
        return "application/json"
    for delimiter, kind in ((",", "text/csv"), (";", "text/csv"), ("\t", "text/tab-separated-values")):
        if delimiter in text and _looks_like_table(text, delimiter):
            return kind
    return PLAIN


_PROLOG = re.compile(r"(?:\s++|<!--.*?-->|<\?(?!php|=).*?\?>)*+", re.DOTALL | re.ASCII | re.IGNORECASE)
_PHP = re.compile(r"<\?(?:php|=)", re.IGNORECASE)
_XML_DECLARATION = re.compile(r"<\?xml\s", re.ASCII)
_ROOT = re.compile(r"<(?:!doctype\s++)?(?:[\w.-]+:)?([a-z_][\w.-]*+)(?=[\s/>\[]|\Z)", re.IGNORECASE)
_ELEMENT_GOES_ON = re.compile(r"</|/>|\sxmlns")

# With what browsers take for HTML: https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-unknown-mime-type
_HTML_TAG = re.compile(
    "html|head|script|iframe|h[1-6]|div|font|table|a|style|title|b|body|br|p"
    "|audio|base|center|details|form|frameset|img|input|link|main|meta|object|embed|ol|section|span|template|ul|video"
)


def _markup_kind(text: str) -> str | None:
    """The kind of a text that begins with "<", None where it is no markup."""
    is_xml = _XML_DECLARATION.match(text) is not None
    prolog = _PROLOG.match(text)
    rest = text[prolog.end() :] if prolog else text
    if _PHP.match(rest):
        return "application/x-httpd-php"
    root = _ROOT.match(rest)
    name = root[1].lower() if root else ""
    if name == "svg":
        return "image/svg+xml"
    if name == "html" and is_xml:
        return "application/xhtml+xml"
    if is_xml or rest.startswith("<?xml"):
        return "application/xml"
    if _HTML_TAG.fullmatch(name):
        return "text/html"
    if name and (rest[:2] == "<!" or _ELEMENT_GOES_ON.search(rest)):
        return "application/xml"
    return "text/html" if text.startswith("<!--") else None


# Tokens of JSON up to the end of the text, where one may be cut.
_JSON = re.compile(
    r"""(?:\{\s*+(?=["}]|\Z)|(?!\{)) (?:
        [\s,:\[\]{}] | "(?:[^"\\\x00-\x1f]|\\.)*+(?:"|\\?\Z) | -?\d[\d.eE+-]*+ | true | false | null
    )*+ (?:-|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?)?""",
    re.VERBOSE | re.ASCII,
)


def _looks_like_json(text: str) -> bool:
    text = text.strip(_SPACE)
    return bool(text) and _JSON.fullmatch(text) is not None


def _looks_like_table(text: str, delimiter: str) -> bool:
    """Whether the text has at least two rows of as many cells, at least two. The last of more may be cut short."""
    try:
        rows = [len(row) for row in csv.reader(text.replace("\r\n", "\n").split("\n"), delimiter=delimiter) if row]
    except csv.Error:
        return False
    whole = rows if len(rows) < 3 else rows[:-1]
    return len(whole) > 1 and len(set(whole)) == 1 and whole[0] > 1 and rows[-1] <= whole[0]
