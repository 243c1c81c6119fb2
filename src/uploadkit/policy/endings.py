"""What a file's last bytes tell against its first, where a field has said what it accepts. No I/O.

Most formats are read from their beginning, zip archives from their end: a file may be a picture for one reader and an
archive for the next. And what a zip archive is may stand in entries that come late. So a file that was accepted by its
first bytes is judged once more when the last ones are there, before it is published.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ..storage.contract import Buffer
from .accept import Accept, not_accepted
from .filters import IncomingFile
from .media_types import MAY_BE_MORE, OFFICE, ZIP, ZIP_KINDS
from .signatures import HEAD_SIZE, detect, zip_kind_of

END_SIZE: Final = 2**16 + 22
"""Bytes in which the end of an archive stands: its last record, and a comment of 64 KiB."""

ZIP_END_SIZE: Final = 2 * END_SIZE
"""Bytes of what is a zip archive anyway: with a directory of about a thousand entries."""

UNPROVEN_END_SIZE: Final = 2**20
"""The same where the directory has to show what the first entries did not: with one of about ten thousand. Packages for
Android have some thousands, and what tells is at the beginning."""

MARKUP: Final = re.compile(
    rb"""<(?=[a-zA-Z?])(?:
    [sS][cC][rR][iI][pP][tT][\s/>] | [iI][fF][rR][aA][mM][eE][\s/>] | [hH][tT][mM][lL][\s>] | [bB][oO][dD][yY][\s>]
    | [a-zA-Z][a-zA-Z0-9]{0,15}[\s/](?:[\t\n\f\r -;=?-~]{0,200}?[\s/"'])?[oO][nN][a-zA-Z]{3,20}\s{0,9}=
    | \?(?:[pP][hH][pP]\s | =[\t\n\r -~]{11} | \s[\t\n\r -~]{16})
    )""",
    re.VERBOSE,
)
"""What makes a server or a browser run the rest: so long that no picture, sound or film has it by chance."""


def end_size(file: IncomingFile, accept: Accept | None) -> int:
    """How many last bytes of a file are to be looked at; 0 where they would say nothing."""
    if accept is None:
        return 0
    if _is_zip(file.content_type):
        return UNPROVEN_END_SIZE if _is_unproven(file) else ZIP_END_SIZE
    return END_SIZE if _is_media(file.content_type) or _is_document(file.content_type) else 0


def check_head(file: IncomingFile, accept: Accept | None) -> None:
    """Judges a file of which the head is all there is. Raises `FileRefused` with status 415."""
    if _is_all(file) and end_size(file, accept):
        check_ending(file, file.head, len(file.head))


def ending_of(file: IncomingFile, accept: Accept | None) -> Ending | None:
    """What holds the last bytes of a file that goes on behind its head; None where they are not to be looked at."""
    size = 0 if _is_all(file) else end_size(file, accept)
    return Ending(size) if size else None


class Ending:
    """Holds the last bytes of a file that is passing, at least `size`, in whatever pieces they come."""

    __slots__ = ("_held", "_passed", "_size")

    def __init__(self, size: int) -> None:
        self._held = bytearray()
        self._passed = 0
        self._size = size

    def feed(self, data: Buffer) -> None:
        """The next bytes, of which a copy is held."""
        self._passed += len(data)
        if len(data) >= self._size:
            self._held.clear()  # what follows upon it is not what is held
        self._held += data[-self._size :]
        if len(self._held) >= 2 * self._size:
            del self._held[: -self._size]

    def check(self, file: IncomingFile) -> None:
        """The file is complete. Raises `FileRefused` with status 415."""
        check_ending(file, bytes(self._held), self._passed)


def check_ending(file: IncomingFile, ending: bytes, size: int) -> None:
    """Raises `FileRefused` with status 415 where the last bytes of a file of `size` bytes say that it is something else
    as well. `ending` has at least `end_size` of them, or all."""
    archive = _archive(ending, size)
    kind = file.content_type
    if _is_zip(kind):
        _check_zip(file, archive)
    elif _is_media(kind):
        if archive is not None:
            raise not_accepted(file.field, f"is {kind}, and an archive as well", kind)
        if MARKUP.search(ending):
            raise not_accepted(file.field, f"is {kind}, and has a script in it", kind)
    elif _is_document(kind):
        if archive is not None and not (kind in _MAY_HOLD_ARCHIVES and _goes_on(kind, ending[archive.end :])):
            raise not_accepted(file.field, f"is {kind}, and an archive as well", kind)
        if kind == _PDF and MARKUP.search(ending, max(0, ending.rfind(b"%%EOF"))):
            raise not_accepted(file.field, f"is {kind}, and followed by a script", kind)


def is_archive(ending: bytes, size: int) -> bool:
    """Whether a reader of zip archives, which begins at the end, finds a directory there."""
    return _archive(ending, size) is not None


_PDF = "application/pdf"

_DOCUMENTS = frozenset(
    {
        _PDF,
        "application/json",
        "application/msword",
        "application/postscript",
        "application/rtf",
        "application/vnd.ms-excel",
        "application/vnd.ms-outlook",
        "application/vnd.ms-powerpoint",
        "application/xml",
        "application/xhtml+xml",
        "image/svg+xml",
    }
)


_MAY_HOLD_ARCHIVES = frozenset(
    {
        _PDF,
        "application/msword",
        "application/postscript",
        "application/rtf",
        "application/vnd.ms-excel",
        "application/vnd.ms-outlook",
        "application/vnd.ms-powerpoint",
    }
)
"""As they are: an archive in a text is one in letters."""


def _goes_on(kind: str, rest: bytes) -> bool:
    """Whether the rest of the document follows an archive that is embedded in it."""
    return b"%%EOF" in rest if kind == _PDF else bool(rest)


def _is_all(file: IncomingFile) -> bool:
    return len(file.head) < HEAD_SIZE


def _is_zip(kind: str) -> bool:
    return kind == ZIP or kind in ZIP_KINDS


def _is_media(kind: str) -> bool:
    return kind.startswith(("image/", "audio/", "video/")) and kind not in _DOCUMENTS


def _is_document(kind: str) -> bool:
    return kind.startswith("text/") or kind in _DOCUMENTS


# Zip archives: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.12 to 4.3.16

_END_RECORD = struct.Struct("<4s8xLLH")  # signature, size and offset of the directory, length of the comment
_END_RECORD_64 = struct.Struct("<4s36xQQ")  # signature, size and offset of the directory
_LOCATOR_SIZE = 20
_ENTRY = struct.Struct("<4s24xHHH8xL")  # signature; lengths of name, extra field and comment; offset
_UNSAID = 0xFFFFFFFF  # the number stands in the record of 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class _Archive:
    names: frozenset[bytes]
    before: int
    """How many bytes of the file are before the first that belongs to the archive; 0 where the directory is longer than
    what is known of it."""
    end: int
    """Where its comment ends, in the last bytes; behind them where it says so."""


def _archive(ending: bytes, size: int) -> _Archive | None:
    """The archive that the last bytes of a file are the directory of, None where they are not."""
    record = _end_record(ending, size)
    if record < 0:
        return None
    _, length, offset, comment = _END_RECORD.unpack_from(ending, record)
    behind = record
    # Its record of 64 bits stands before it where a number needs so many, and where a writer could not know that none
    # would: Info-ZIP writes both when it packs a pipe.
    if _has_locator(ending, record) and (wide := ending.rfind(b"PK\6\6", 0, record - _LOCATOR_SIZE)) >= 0:
        _, length, offset = _END_RECORD_64.unpack_from(ending, wide)
        behind = wide
    first = behind - length
    missing = size - len(ending)
    entries = [*_entries(ending, max(first, 0), behind)]
    if length and not entries and (first >= 0 or not _is_neat(ending, record)):
        return None  # the letters of the record are there by chance, or nobody can read it
    before = 0
    if first >= 0:
        starts = [start for _, start in entries if start != _UNSAID]
        # macOS writes the last 32 bits of a place beyond 4 GiB, and no more.
        before = max(missing + first - offset, 0) % 2**32 or min(starts, default=0 if entries else missing + first)
    return _Archive(
        names=frozenset(name for name, _ in entries),
        before=before,
        end=record + _END_RECORD.size + comment,
    )


def _is_neat(ending: bytes, record: int) -> bool:
    """Whether the numbers of disks and entries are those of an archive on one disk. A directory with long names may
    stand out of sight."""
    disks, here, entries = ending[record + 4 : record + 8], ending[record + 8 :][:2], ending[record + 10 :][:2]
    return disks == bytes(4) and here == entries


def _has_locator(ending: bytes, record: int) -> bool:
    """Whether the place of a record of 64 bits is told before this one: 4.3.15"""
    return record >= _LOCATOR_SIZE and ending.startswith(b"PK\6\7", record - _LOCATOR_SIZE)


def _end_record(ending: bytes, size: int) -> int:
    """Where the last record of an archive's end stands that can be one, negative where there is none: its four letters
    may also stand in a comment behind it, from where some readers look on."""
    first = max(0, len(ending) - 2**16 - _END_RECORD.size)
    at = ending.rfind(b"PK\5\6", first, len(ending) - _END_RECORD.size + 4)
    while at >= 0 and not _can_end(ending, at, size):
        at = ending.rfind(b"PK\5\6", first, at)
    return at


def _can_end(ending: bytes, at: int, size: int) -> bool:
    """Letters alone are there by chance. The first numbers behind them are those of disks, of which there is one; not
    every reader cares, but each looks for a directory before the record."""
    length = _END_RECORD.unpack_from(ending, at)[1]
    fits = length <= size - len(ending) + at or _has_locator(ending, at)
    return fits or ending[at + 4 : at + 8] in (b"\0\0\0\0", b"\xff\xff\xff\xff")


def _entries(ending: bytes, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """Name and offset of the entries of a directory, of which the beginning may be missing."""
    at = ending.find(b"PK\1\2", start, end)
    while 0 <= at <= end - _ENTRY.size:
        signature, *lengths, offset = _ENTRY.unpack_from(ending, at)
        if signature != b"PK\1\2":
            return
        yield ending[at + 46 : at + 46 + lengths[0]], offset
        at += 46 + sum(lengths)


def _is_unproven(file: IncomingFile) -> bool:
    """Whether so far only its name said what it is."""
    return file.content_type in MAY_BE_MORE.get(detect(file.head), ())


def _check_zip(file: IncomingFile, archive: _Archive | None) -> None:
    kind = file.content_type
    unproven = _is_unproven(file)
    if archive is None:
        if unproven:
            shown = detect(file.head)
            raise not_accepted(file.field, f"is {shown}, and has no directory that would show more", shown)
        return
    if archive.before:
        raise not_accepted(file.field, f"is {kind}, and has something else before its entries", kind)
    told = zip_kind_of(archive.names)
    if told.startswith(OFFICE) and b"[Content_Types].xml" not in archive.names:
        told = ZIP  # a folder that is called "word"
    if told == ZIP and not unproven:
        return
    if not _is_kind_of(kind, told):
        raise not_accepted(file.field, f"is {kind} by its beginning, and {told} by its directory", told)


_MACROS = {
    "application/vnd.ms-word.document.macroenabled.12": "wordprocessingml",
    "application/vnd.ms-excel.sheet.macroenabled.12": "spreadsheetml",
    "application/vnd.ms-powerpoint.presentation.macroenabled.12": "presentationml",
}


def _is_kind_of(kind: str, told: str) -> bool:
    """Names tell a document and macros, and no more: a template is a document too, and what may have macros need not
    have one."""
    return kind == told or (told not in _MACROS and _application(kind) == _application(told) != "")


def _application(kind: str) -> str:
    if kind in _MACROS:
        return _MACROS[kind]
    return kind.removeprefix(OFFICE).partition(".")[0] if kind.startswith(OFFICE) else ""
