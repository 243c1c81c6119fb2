"""The fifty kinds of files by which detection is judged, and the samples of each, which `build.py` has made.

A kind is right where every one of its samples is: as different programs write it, with its entries in another order, in
other encodings, after junk. Left out are kinds that everybody knows by four bytes, such as FLV, xz or WOFF.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_OFFICE = "application/vnd.openxmlformats-officedocument."
_OASIS = "application/vnd.oasis.opendocument."

KINDS: Final[Mapping[str, str]] = {
    # The name that IANA has for it or, where it has none, that is mostly used.
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "heic": "image/heic",
    "heif": "image/heif",
    "tiff": "image/tiff",
    "bmp": "image/bmp",
    "ico": "image/vnd.microsoft.icon",
    "svg": "image/svg+xml",
    "mp4": "video/mp4",
    "m4v": "video/x-m4v",
    "mov": "video/quicktime",
    "3gp": "video/3gpp",
    "avi": "video/x-msvideo",
    "webm": "video/webm",
    "mkv": "video/matroska",
    "mpeg": "video/mpeg",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "pdf": "application/pdf",
    "docx": _OFFICE + "wordprocessingml.document",
    "xlsx": _OFFICE + "spreadsheetml.sheet",
    "pptx": _OFFICE + "presentationml.presentation",
    "odt": _OASIS + "text",
    "ods": _OASIS + "spreadsheet",
    "odp": _OASIS + "presentation",
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "rtf": "application/rtf",
    "epub": "application/epub+zip",
    "zip": "application/zip",
    "jar": "application/java-archive",
    "apk": "application/vnd.android.package-archive",
    "gzip": "application/gzip",
    "7z": "application/x-7z-compressed",
    "tar": "application/x-tar",
    "html": "text/html",
    "xml": "application/xml",
    "json": "application/json",
    "csv": "text/csv",
    "plain": "text/plain",
    "elf": "application/x-executable",
    "exe": "application/vnd.microsoft.portable-executable",
}

_SAME: Final[Mapping[str, frozenset[str]]] = {
    # Other names of the same, by which other detectors call it.
    "png": frozenset({"image/apng"}),
    "ico": frozenset({"image/x-icon"}),
    "mkv": frozenset({"video/x-matroska"}),
    "m4a": frozenset({"audio/x-m4a"}),
    "aac": frozenset({"audio/x-hx-aac-adts"}),
    "flac": frozenset({"audio/x-flac"}),
    "wav": frozenset({"audio/x-wav"}),
    "rtf": frozenset({"text/rtf"}),
    "xml": frozenset({"text/xml"}),
    "elf": frozenset({"application/x-sharedlib", "application/x-pie-executable", "application/x-executable-elf"}),
    "exe": frozenset({"application/x-msdownload", "application/x-dosexec"}),
}

_FOLDER = Path(__file__).parent / "kinds"


def samples(kind: str) -> dict[str, bytes]:
    """The first bytes of each sample of a kind, as many as a detector is given, by its file's name."""
    return {path.name: path.read_bytes() for path in sorted((_FOLDER / kind).iterdir())}


def is_right(kind: str, answer: str | None) -> bool:
    """Whether this media type is a name of the kind."""
    return answer == KINDS[kind] or answer in _SAME.get(kind, ())
