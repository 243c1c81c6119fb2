"""PDFs read by pypdf, in the child process of a sandbox. The only module that imports it.

Each function takes the descriptor of a PDF and returns values of JSON. `scan` looks at the bytes and believes no table;
`read` is what pypdf says. They are two, so that what stands in the open is told also where a reader does not end.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final

from pypdf import PdfReader
from pypdf.generic import IndirectObject, StreamObject

from .child import opened
from .documents import TITLE_LENGTH, Flag

logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)  # nobody reads here what it thinks, a line for each byte

WINDOW: Final = 2**20
"""So many bytes are looked at at a time."""

UNPACKED_SIZE: Final = 64 * 2**20
"""The most that is unpacked to look at: what half a million objects take, more than pypdf reads in time."""

UNPACKED_RATIO: Final = 50
"""For each byte of the file so many are unpacked, and 8 MiB at least. Objects are packed to a tenth."""

_OVERLAP = 256  # bytes: of two words, written as numbers, and what is between them
_DICTIONARY = 2048  # bytes between the type of packed objects and the objects


def scan(files: Sequence[int]) -> dict[str, Any]:
    """What stands in the open, or is packed among objects, whether or not a table leads there: each reader mends a
    damaged file in a way of its own. `last` is told where there is no use in `read`.
    """
    found: set[Flag] = set()
    packed: list[int] = []
    with opened(files[0]) as file:
        for start, window in _windows(file):
            found |= _said(window)
            packed += [start + match.end() for match in _packed(window)]
        left = min(max(8 * 2**20, UNPACKED_RATIO * file.tell()), UNPACKED_SIZE)
        for place in packed:
            for part in _unpacked(file, place):
                found |= _said(part)
                left -= len(part)
                if left < 0:
                    return _told(found | {Flag.UNREADABLE}) | {"last": True}
    return _told(found)


def read(files: Sequence[int]) -> dict[str, Any]:
    """What the objects hold, how many pages there are, and the title."""
    found: set[Flag] = set()
    pages, title = None, None
    with opened(files[0]) as file:
        try:
            reader = PdfReader(file)
            if reader.is_encrypted and not reader.decrypt(""):
                return _told({Flag.UNREADABLE})
            for flag in _in_objects(reader):
                found.add(flag)
            pages, title = len(reader.pages), _title(reader)
        except MemoryError:
            raise
        except Exception:  # whatever a reader has to say of odd input
            found.add(Flag.UNREADABLE)
    return _told(found) | {"pages": pages, "title": title}


def _told(found: set[Flag]) -> dict[str, Any]:
    return {"flags": sorted(flag.value for flag in found)}


def _title(reader: PdfReader) -> str | None:
    title = None if reader.metadata is None else reader.metadata.title
    return None if title is None else str(title)[:TITLE_LENGTH]


# The bytes


def _word(name: str) -> bytes:
    """A name of a PDF as a pattern: each of its characters may be written as #xx."""
    return b"/" + b"".join(b"(?:%b|#%02x|#%02X)" % (char.encode(), ord(char), ord(char)) for char in name)


# A word alone says little: it is in addresses of the web too. Here it is the kind of an action, or has a value.
_BETWEEN = rb"(?:[\0\t\n\f\r ]|%[^\r\n]{0,80}[\r\n]){0,80}"
_OF_ACTION = _word("S") + _BETWEEN
_VALUE = _BETWEEN + rb"(?:<<|\d+\s+\d+\s+R)"
_SAID = {
    Flag.JAVASCRIPT: re.compile(_OF_ACTION + _word("JavaScript") + rb"\b").search,
    Flag.LAUNCH: re.compile(_OF_ACTION + _word("Launch") + rb"\b").search,
    Flag.EMBEDDED: re.compile(_word("EF") + _VALUE + rb"|" + _word("EmbeddedFiles") + _VALUE).search,
}
_packed = re.compile(_word("ObjStm") + rb"\b").finditer


def _said(data: bytes) -> set[Flag]:
    return {flag for flag, search in _SAID.items() if search(data)}


def _windows(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """All of it, and where each window begins. A word that lies across the edge of one is whole in the next."""
    start, rest = 0, b""
    while data := file.read(WINDOW):
        yield start - len(rest), rest + data
        start += len(data)
        rest = data[-_OVERLAP:]


def _unpacked(file: BinaryIO, place: int) -> Iterator[bytes]:
    """The bytes of the stream whose dictionary is at that place, as far as they are deflated."""
    file.seek(place)
    begin = re.search(rb"stream\r?\n?", file.read(_DICTIONARY))
    if begin is None:
        return
    file.seek(place + begin.end())
    unpacker, rest = zlib.decompressobj(), b""
    try:
        while not unpacker.eof and (data := unpacker.unconsumed_tail or file.read(2**14)):
            part = unpacker.decompress(data, WINDOW)
            yield rest + part
            rest = part[-_OVERLAP:]
    except zlib.error:
        return


# The objects


def _in_objects(reader: PdfReader) -> Iterator[Flag]:
    """Every object that the tables name, packed ones included, whether or not a page leads there."""
    packed = sorted((place, number) for number, place in reader.xref_objStm.items())  # those of one stream together
    numbers = [(number, generation) for generation, those in reader.xref.items() for number in those]
    for number, generation in [*numbers, *((number, 0) for _, number in packed)]:
        try:
            value = reader.get_object(IndirectObject(number, generation, reader))
            yield from _in_value(value)
        except MemoryError:
            raise
        except Exception:  # the others are looked at all the same
            yield Flag.UNREADABLE
        reader.resolved_objects.pop((generation, number), None)  # or all of the file is in memory in the end
    yield from _in_value(reader.trailer)


def _in_value(value: Any) -> Iterator[Flag]:
    """Values inside of it are looked at, and what it only refers to is not: that is an object of its own."""
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            for key in value:
                entry = dict.__getitem__(value, key)  # as it is: a reference is not followed
                yield from _in_entry(str(key), entry, value)
                todo.append(entry)
        elif isinstance(value, list):
            todo.extend(list.__iter__(value))


def _in_entry(key: str, entry: Any, value: Any) -> Iterator[Flag]:
    kind = value["/S"] if key == "/S" else None  # which may be an object of its own
    if key in ("/JS", "/JavaScript") or kind == "/JavaScript":
        yield Flag.JAVASCRIPT
    elif kind == "/Launch":
        yield Flag.LAUNCH
    elif key in ("/EF", "/EmbeddedFiles") or (key == "/Type" and entry == "/EmbeddedFile"):
        yield Flag.EMBEDDED
    elif key == "/XFA" and any(_is_script(part.get_object()) for part in _parts(value["/XFA"])):
        yield Flag.JAVASCRIPT


def _parts(form: Any) -> list[Any]:
    """XFA is one stream, or a list of names and streams."""
    return list(form) if isinstance(form, list) else [form]


def _is_script(part: Any) -> bool:
    data = part.get_data().replace(b"\0", b"") if isinstance(part, StreamObject) else b""
    return b"<script" in data or b":script" in data
