"""What is known of media types, in tables: their extensions, their other names, and which are told apart by what.

Holds no signatures: what a file's bytes show is `signatures`. The names here are those of IANA where it has one, and
every type that the signatures can show is in `EXTENSIONS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OCTET_STREAM: Final = "application/octet-stream"
PLAIN: Final = "text/plain"
ZIP: Final = "application/zip"

OFFICE: Final = "application/vnd.openxmlformats-officedocument."
OASIS: Final = "application/vnd.oasis.opendocument."

EXTENSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    # The extensions that agree with a type; the first is the one that keys are made with. Where two types share an
    # extension the first type is what the extension stands for.
    "image/jpeg": (".jpg", ".jpeg", ".jfif", ".jpe", ".pjp", ".pjpeg"),
    "image/png": (".png", ".apng"),  # an animated PNG is a PNG to every reader of PNG
    "image/gif": (".gif",),
    "image/webp": (".webp",),
    "image/avif": (".avif", ".avifs"),
    "image/heic": (".heic", ".heif", ".heics"),
    "image/heif": (".heif", ".heic", ".heifs"),
    "image/tiff": (".tiff", ".tif"),
    "image/bmp": (".bmp", ".dib"),
    "image/vnd.microsoft.icon": (".ico",),
    "image/jp2": (".jp2", ".jpx"),
    "image/jxl": (".jxl",),
    "image/jxr": (".jxr", ".wdp", ".hdp"),
    "image/vnd.adobe.photoshop": (".psd",),
    "image/vnd.dwg": (".dwg",),
    "image/x-canon-cr2": (".cr2",),
    "image/x-canon-cr3": (".cr3",),
    "image/x-xcf": (".xcf",),
    "image/svg+xml": (".svg",),
    "video/mp4": (".mp4", ".mpg4"),
    "video/x-m4v": (".m4v",),
    "video/quicktime": (".mov", ".qt"),
    "video/webm": (".webm",),
    "video/matroska": (".mkv",),
    "video/mpeg": (".mpg", ".mpeg", ".mpe"),
    "video/3gpp": (".3gp", ".3gpp"),
    "video/3gpp2": (".3g2",),
    "video/x-msvideo": (".avi",),
    "video/x-ms-wmv": (".wmv", ".asf"),
    "video/x-flv": (".flv",),
    "audio/mpeg": (".mp3", ".mpga"),
    "audio/mp4": (".m4a", ".m4b", ".mp4"),
    "audio/ogg": (".ogg", ".oga", ".opus", ".spx"),
    "video/ogg": (".ogv", ".ogg"),
    "audio/wav": (".wav",),
    "audio/flac": (".flac",),
    "audio/aac": (".aac",),
    "audio/webm": (".weba", ".webm"),
    "audio/matroska": (".mka",),
    "audio/midi": (".mid", ".midi"),
    "audio/amr": (".amr",),
    "audio/x-aiff": (".aiff", ".aif", ".aifc"),
    "audio/x-ms-wma": (".wma",),
    "application/pdf": (".pdf",),
    OFFICE + "wordprocessingml.document": (".docx",),
    OFFICE + "wordprocessingml.template": (".dotx",),
    OFFICE + "spreadsheetml.sheet": (".xlsx",),
    OFFICE + "spreadsheetml.template": (".xltx",),
    OFFICE + "presentationml.presentation": (".pptx",),
    OFFICE + "presentationml.slideshow": (".ppsx",),
    OFFICE + "presentationml.template": (".potx",),
    "application/vnd.ms-word.document.macroenabled.12": (".docm",),
    "application/vnd.ms-excel.sheet.macroenabled.12": (".xlsm",),
    "application/vnd.ms-powerpoint.presentation.macroenabled.12": (".pptm",),
    OASIS + "text": (".odt",),
    OASIS + "spreadsheet": (".ods",),
    OASIS + "presentation": (".odp",),
    OASIS + "graphics": (".odg",),
    "application/msword": (".doc", ".dot"),
    "application/vnd.ms-excel": (".xls", ".xlt"),
    "application/vnd.ms-powerpoint": (".ppt", ".pps", ".pot"),
    "application/vnd.ms-outlook": (".msg",),
    "application/x-ole-storage": (),  # a container of old Office documents, installers and more
    "application/rtf": (".rtf",),
    "application/epub+zip": (".epub",),
    "application/postscript": (".ps", ".eps", ".ai"),
    "text/plain": (".txt", ".text", ".log", ".ini", ".cfg", ".conf"),
    "text/csv": (".csv",),
    "text/tab-separated-values": (".tsv", ".tab"),
    "text/markdown": (".md", ".markdown"),
    "text/calendar": (".ics",),
    "text/vcard": (".vcf",),
    "text/vtt": (".vtt",),
    "text/css": (".css",),
    "text/javascript": (".js", ".mjs"),
    "text/html": (".html", ".htm"),
    "application/xhtml+xml": (".xhtml", ".xht", ".html", ".htm"),
    "application/xml": (".xml", ".xsd", ".xsl", ".xslt", ".rss", ".atom", ".kml", ".gpx"),
    "application/json": (".json",),
    "application/geo+json": (".geojson",),
    "application/x-ndjson": (".ndjson", ".jsonl"),
    "application/yaml": (".yaml", ".yml"),
    "application/toml": (".toml",),
    "application/sql": (".sql",),
    "application/x-httpd-php": (),  # never an extension that a web server would run
    "application/zip": (".zip", ".cbz", ".kmz", ".whl"),
    "application/java-archive": (".jar", ".war", ".ear"),
    "application/vnd.android.package-archive": (".apk",),
    "application/vnd.rar": (".rar", ".cbr"),
    "application/x-7z-compressed": (".7z",),
    "application/x-tar": (".tar",),
    "application/gzip": (".gz", ".tgz", ".svgz"),
    "application/x-bzip2": (".bz2", ".tbz2"),
    "application/x-xz": (".xz", ".txz"),
    "application/zstd": (".zst",),
    "application/x-lz4": (".lz4",),
    "application/x-lzip": (".lz",),
    "application/x-lzop": (".lzo",),
    "application/x-compress": (".z",),
    "application/x-archive": (".ar", ".a"),
    "application/vnd.debian.binary-package": (".deb",),
    "application/x-rpm": (".rpm",),
    "application/vnd.ms-cab-compressed": (".cab",),
    "application/x-chrome-extension": (".crx",),
    "application/vnd.microsoft.portable-executable": (".exe", ".dll"),
    "application/x-executable": (".elf",),
    "application/wasm": (".wasm",),
    "application/vnd.adobe.flash.movie": (".swf",),
    "application/vnd.sqlite3": (".sqlite", ".sqlite3", ".db"),
    "application/dicom": (".dcm",),
    "application/x-nes-rom": (".nes",),
    "font/woff": (".woff",),
    "font/woff2": (".woff2",),
    "font/ttf": (".ttf",),
    "font/otf": (".otf",),
    "application/vnd.ms-fontobject": (".eot",),
}

ALIASES: Final[Mapping[str, str]] = {
    # Other names that clients declare, and the name in EXTENSIONS that they mean.
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/jfif": "image/jpeg",
    "image/x-png": "image/png",
    "image/apng": "image/png",
    "image/vnd.mozilla.apng": "image/png",
    "image/x-webp": "image/webp",
    "image/heic-sequence": "image/heic",
    "image/heif-sequence": "image/heif",
    "image/avif-sequence": "image/avif",
    "image/tif": "image/tiff",
    "image/x-tiff": "image/tiff",
    "image/x-bmp": "image/bmp",
    "image/x-ms-bmp": "image/bmp",
    "image/ico": "image/vnd.microsoft.icon",
    "image/x-icon": "image/vnd.microsoft.icon",
    "image/jpx": "image/jp2",
    "image/vnd.ms-photo": "image/jxr",
    "image/x-photoshop": "image/vnd.adobe.photoshop",
    "application/photoshop": "image/vnd.adobe.photoshop",
    "application/x-photoshop": "image/vnd.adobe.photoshop",
    "image/svg": "image/svg+xml",
    "video/m4v": "video/x-m4v",
    "video/x-matroska": "video/matroska",
    "video/avi": "video/x-msvideo",
    "video/msvideo": "video/x-msvideo",
    "video/vnd.avi": "video/x-msvideo",
    "video/x-ms-asf": "video/x-ms-wmv",
    "application/vnd.ms-asf": "video/x-ms-wmv",
    "audio/mp3": "audio/mpeg",
    "audio/mpeg3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/x-mpeg": "audio/mpeg",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/opus": "audio/ogg",
    "audio/x-ogg": "audio/ogg",
    "audio/vorbis": "audio/ogg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/x-pn-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/aacp": "audio/aac",
    "audio/x-aac": "audio/aac",
    "audio/vnd.dlna.adts": "audio/aac",
    "audio/x-matroska": "audio/matroska",
    "audio/mid": "audio/midi",
    "audio/x-midi": "audio/midi",
    "audio/aiff": "audio/x-aiff",
    "application/x-pdf": "application/pdf",
    "application/x-rtf": "application/rtf",
    "text/rtf": "application/rtf",
    "application/excel": "application/vnd.ms-excel",
    "application/x-msexcel": "application/vnd.ms-excel",
    "application/mspowerpoint": "application/vnd.ms-powerpoint",
    "application/csv": "text/csv",
    "text/x-csv": "text/csv",
    "text/comma-separated-values": "text/csv",
    "text/tsv": "text/tab-separated-values",
    "text/x-markdown": "text/markdown",
    "text/x-log": "text/plain",
    "text/x-vcard": "text/vcard",
    "text/directory": "text/vcard",
    "text/xml": "application/xml",
    "text/json": "application/json",
    "application/x-json": "application/json",
    "application/jsonl": "application/x-ndjson",
    "application/ndjson": "application/x-ndjson",
    "application/x-yaml": "application/yaml",
    "text/yaml": "application/yaml",
    "text/x-yaml": "application/yaml",
    "text/x-sql": "application/sql",
    "application/x-sql": "application/sql",
    "application/javascript": "text/javascript",
    "application/x-javascript": "text/javascript",
    "application/ecmascript": "text/javascript",
    "application/x-zip": "application/zip",
    "application/x-zip-compressed": "application/zip",
    "application/x-java-archive": "application/java-archive",
    "application/x-rar": "application/vnd.rar",
    "application/x-rar-compressed": "application/vnd.rar",
    "application/x-gzip": "application/gzip",
    "application/x-gtar": "application/x-tar",
    "application/x-compressed-tar": "application/gzip",
    "application/bzip2": "application/x-bzip2",
    "application/xz": "application/x-xz",
    "application/x-zstd": "application/zstd",
    "application/x-msdownload": "application/vnd.microsoft.portable-executable",
    "application/x-msdos-program": "application/vnd.microsoft.portable-executable",
    "application/x-shockwave-flash": "application/vnd.adobe.flash.movie",
    "application/x-sqlite3": "application/vnd.sqlite3",
    "application/font-woff": "font/woff",
    "application/x-font-ttf": "font/ttf",
    "application/x-font-otf": "font/otf",
    # What says nothing: S3 clients, some browsers on Windows, download managers.
    "binary/octet-stream": OCTET_STREAM,
    "application/unknown": OCTET_STREAM,
    "application/force-download": OCTET_STREAM,
    "application/x-download": OCTET_STREAM,
}

ACTIVE: Final = frozenset(
    {
        # What a browser or server runs or applies: no wildcard and no group ever means these.
        "image/svg+xml",
        "text/html",
        "text/css",
        "text/javascript",
        "application/xml",
        "application/xhtml+xml",
        "application/x-httpd-php",
    }
)

ZIP_KINDS: Final = frozenset(
    {
        "application/epub+zip",
        "application/java-archive",
        "application/vnd.android.package-archive",
        "application/vnd.ms-word.document.macroenabled.12",
        "application/vnd.ms-excel.sheet.macroenabled.12",
        "application/vnd.ms-powerpoint.presentation.macroenabled.12",
        *(media_type for media_type in EXTENSIONS if media_type.startswith((OFFICE, OASIS))),
    }
)
"""The types of files that are zip archives inside."""

MAY_BE_MORE: Final[Mapping[str, frozenset[str]]] = {
    ZIP: ZIP_KINDS,
    # What is signed for Android begins with the manifest of every jar, which names each file and may be long.
    "application/java-archive": frozenset({"application/vnd.android.package-archive"}),
}
"""What an archive may turn out to be whose first entries show no more than this."""

_OLE_KINDS = frozenset(
    {"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint", "application/vnd.ms-outlook"}
)
_TEXT_KINDS = frozenset(
    {
        PLAIN,
        "text/csv",
        "text/tab-separated-values",
        "text/markdown",
        "text/css",
        "text/javascript",
        "application/yaml",
        "application/toml",
        "application/sql",
    }
)
_JSON_KINDS = frozenset({"application/json", "application/geo+json", "application/x-ndjson"})
_TEXTS_WITH_A_BEGINNING = frozenset({"text/calendar", "text/vcard", "text/vtt"})

_TOLD_BY_EXTENSION: Final[Mapping[str, frozenset[str]]] = {
    # Where the first bytes show a family, the extension of the file's name may say which of its kinds it is.
    PLAIN: _TEXT_KINDS,
    "text/csv": _TEXT_KINDS,
    "text/tab-separated-values": _TEXT_KINDS,
    "application/json": _TEXT_KINDS | _JSON_KINDS,
    **dict.fromkeys(_TEXTS_WITH_A_BEGINNING, _TEXT_KINDS),
    "application/x-ole-storage": _OLE_KINDS,
    # Recorders write the same brands for all of these, and the list of tracks may lie at the file's end.
    "video/mp4": frozenset({"audio/mp4", "video/x-m4v", "video/quicktime", "video/3gpp"}),
    "video/x-m4v": frozenset({"video/mp4"}),
    "video/webm": frozenset({"audio/webm"}),
    "video/matroska": frozenset({"audio/matroska"}),
    "video/x-ms-wmv": frozenset({"audio/x-ms-wma"}),
}

_DECLARED_ALIKE: Final = (
    # Types that clients declare for each other's content: a statement of one does not contradict another.
    _TEXT_KINDS | _JSON_KINDS | _TEXTS_WITH_A_BEGINNING,
    frozenset({"video/mp4", "audio/mp4", "video/x-m4v", "video/quicktime", "video/3gpp", "video/3gpp2"}),
    frozenset({"video/webm", "audio/webm", "video/matroska", "audio/matroska"}),
    frozenset({"video/ogg", "audio/ogg", "application/ogg"}),
    frozenset({"video/x-ms-wmv", "audio/x-ms-wma"}),
    frozenset({"image/heic", "image/heif"}),
    frozenset({"application/xml", "image/svg+xml", "application/xhtml+xml"}),
)

_DECLARED_FOR: Final[Mapping[str, frozenset[str]]] = {
    # Types that clients declare for other content, never the reverse.
    "application/vnd.ms-excel": frozenset({"text/csv", "text/tab-separated-values"}),  # on Windows with Excel
    "application/msword": frozenset({"application/rtf"}),  # on Windows with Word
    ZIP: ZIP_KINDS,
}


def canonical(media_type: str) -> str:
    """The name that this package has for a media type: lower-case, without parameters, aliases resolved."""
    bare = media_type.partition(";")[0].strip().lower()
    return ALIASES.get(bare, bare)


def extension_of(media_type: str) -> str:
    """The extension that keys of this type are made with, such as ".jpg"; "" where there is none."""
    return next(iter(EXTENSIONS.get(media_type, ())), "")


def types_of(extension: str) -> tuple[str, ...]:
    """The types that a lower-case extension such as ".jpg" agrees with; empty where it is not known."""
    return _TYPES.get(extension, ())


def told_by_extension(media_type: str, extension: str) -> str:
    """The kind within the family of `media_type` that `extension` says, or `media_type` itself.

    A text may be called Markdown or CSV by its name, and an ISO medium audio. A text that is not shown to be JSON
    is not called so.
    """
    kinds = _TOLD_BY_EXTENSION.get(media_type)
    if kinds is None or extension in EXTENSIONS[media_type]:
        return media_type
    return next((kind for kind in types_of(extension) if kind in kinds), media_type)


def contradicts(declared_type: str, media_type: str) -> bool:
    """Whether a client that declares `declared_type` denies that the file is a `media_type`."""
    declared = canonical(declared_type)
    if declared in ("", OCTET_STREAM, media_type) or media_type in _DECLARED_FOR.get(declared, ()):
        return False
    if media_type == OCTET_STREAM:  # nothing was recognised, which denies only the types that would have been
        return declared in EXTENSIONS
    return not any(declared in alike and media_type in alike for alike in _DECLARED_ALIKE)


def _types_by_extension() -> dict[str, tuple[str, ...]]:
    types: dict[str, tuple[str, ...]] = {}
    for media_type, extensions in EXTENSIONS.items():
        for extension in extensions:
            types[extension] = (*types.get(extension, ()), media_type)
    return types


_TYPES: Final = _types_by_extension()
