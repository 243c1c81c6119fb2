"""Compound files: doc, xls, ppt, and office files with a password. Looked at in the child process of a sandbox.

Each function takes the descriptor of a file and returns values of JSON. `scan` looks at every place at which an entry
of the directory can stand, so that no table has to be believed. `read` follows the tables to the streams that tell
more; the tree of the directory, which may have any shape, is of no interest: every entry is looked at.

[MS-CFB] describes the container, [MS-XLS], [MS-DOC] and [MS-PPT] what is in it.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from typing import Any, BinaryIO, Final, NamedTuple

from .child import Placed, opened
from .documents import COMPOUND, Flag

BLOCK_SIZE: Final = 2**16
"""So many bytes are looked at at a time: a multiple of an entry's."""

UNPACKED_SIZE: Final = 64 * 2**20
"""The most that is unpacked of the objects in one presentation."""

MOST_RECORDS: Final = 500_000
"""In front of the sheets of a workbook: fonts, styles, names, texts. Excel writes some thousands."""


class Damaged(Exception):
    """The file is not what it says of itself."""


def scan(files: Sequence[int]) -> dict[str, Any]:
    """What its names say, whether or not a table leads there."""
    with opened(files[0]) as file:
        return _told(_in_names(iter(lambda: file.read(BLOCK_SIZE), b"")))


def read(files: Sequence[int]) -> dict[str, Any]:
    """What its streams hold. A workbook may also be the file itself, as it was before there were containers."""
    found: set[Flag] = set()
    with opened(files[0]) as file:
        try:
            in_container = file.read(len(COMPOUND)) == COMPOUND
            streams = _Container(file).streams(_LOOK) if in_container else [("workbook", file)]
            for name, stream in streams:
                stream.seek(0)
                found.update(_LOOK[name](stream))
        except (Damaged, struct.error):
            found.add(Flag.UNREADABLE)
    return _told(found)


def _told(found: set[Flag]) -> dict[str, Any]:
    return {"flags": sorted(flag.value for flag in found)}


# Names

_ENTRY = struct.Struct("<64sHB49xII4x")  # name, its size, type, first sector, size: 128 bytes at a multiple of that
_STORAGE, _STREAM, _ROOT = 1, 2, 5

_NAMES = {
    **dict.fromkeys(("_vba_project_cur", "_vba_project", "macros", "vba"), Flag.MACROS),
    **dict.fromkeys(("\x01ole10native", "objectpool"), Flag.EMBEDDED),
    **dict.fromkeys(("encryptedpackage", "encryptedsummary"), Flag.UNREADABLE),
}
_object_in_excel = re.compile("mbd[0-9a-f]{8}").fullmatch


def _in_names(blocks: Iterable[bytes]) -> set[Flag]:
    """`blocks` are full but for the last."""
    return {flag for block in blocks for name in _names(block) if (flag := _flag_of(name)) is not None}


def _flag_of(name: str) -> Flag | None:
    return Flag.EMBEDDED if _object_in_excel(name) else _NAMES.get(name)


def _names(block: bytes) -> Iterator[str]:
    """Of whatever could be an entry, and begins with a Latin letter."""
    for at in range(0, len(block) - _ENTRY.size + 1, _ENTRY.size):
        if block[at + 1] == 0 and block[at + 66] in (_STORAGE, _STREAM):
            yield _name(block[at : at + 64])


def _name(field: bytes) -> str:
    """In lower case: Windows finds a stream by its name in either."""
    return field.decode("utf-16-le", "replace").partition("\0")[0].lower()


# The container

_HEADER = struct.Struct("<30xHH14xI4xII4xI4x109I")
_NO_SECTOR = 0xFFFFFFFA
"""From here on numbers mean something else, such as the end of a chain."""


class _Entry(NamedTuple):
    name: str
    kind: int
    first: int
    size: int


class _Container:
    """Streams by the tables of a compound file. Tables that cannot be right are `Damaged`."""

    def __init__(self, file: BinaryIO) -> None:
        length = file.seek(0, io.SEEK_END)
        file.seek(0)
        shift, small, directory, cutoff, small_table, more, *tables = _HEADER.unpack(file.read(_HEADER.size))
        if (shift, small, cutoff) not in ((9, 6, _SMALL), (12, 6, _SMALL)):
            raise Damaged
        self._size = 1 << shift
        self._large = _Sectors(partial(_read, file), self._size, self._size, length)
        self._large.follow(self._numbers(self._table_sectors(tables, more, length)))
        self._entries = [*self._listed(self._large.chain(directory))]
        whole = [self._large.opened(entry.first, entry.size) for entry in self._entries if entry.kind == _ROOT][:1]
        self._small = _Sectors(partial(_read, whole[0] if whole else io.BytesIO()), 64, 0, length)
        self._small.follow(self._numbers(self._large.chain(small_table)))

    def streams(self, names: Container[str]) -> Iterator[tuple[str, BinaryIO]]:
        """Those with one of the names, wherever in the tree they are."""
        for entry in self._entries:
            if entry.kind == _STREAM and entry.name in names:
                sectors = self._small if entry.size < _SMALL else self._large
                yield entry.name, sectors.opened(entry.first, entry.size)

    def _table_sectors(self, numbers: list[int], more: int, length: int) -> list[int]:
        """Where the table of all sectors lies: its first 109 are in the header, the others in a chain of sectors."""
        most = length * 4 // self._size**2 + self._size
        while more < _NO_SECTOR and len(numbers) <= most:
            *further, more = self._numbers([more])
            numbers += further
        if len(numbers) > most:
            raise Damaged
        return [number for number in numbers if number < _NO_SECTOR]

    def _numbers(self, sectors: Iterable[int]) -> array[int]:
        numbers = array("I")
        for sector in sectors:
            numbers.extend(struct.unpack(f"<{self._size // 4}I", self._large.sector(sector)))
        return numbers

    def _listed(self, sectors: Iterable[int]) -> Iterator[_Entry]:
        for sector in sectors:
            for name, _, kind, first, size in _ENTRY.iter_unpack(self._large.sector(sector)):
                yield _Entry(_name(name), kind, first, size)


_SMALL = 4096
"""A stream of fewer bytes lies in small sectors, and those in a stream of the root."""


class _Sectors:
    """Sectors of one size, and the table that says of each which one comes next."""

    def __init__(self, read: Callable[[int, int], bytes], size: int, before: int, length: int) -> None:
        self._read = read
        self._size = size
        self._before = before  # bytes that are in none
        self._left = length // size + 1  # that can be in a chain yet: each is in one
        self._next: Sequence[int] = ()

    def follow(self, table: Sequence[int]) -> None:
        self._next = table

    def sector(self, number: int) -> bytes:
        return self._read(self._before + number * self._size, self._size)

    def chain(self, first: int) -> array[int]:
        """The numbers of the sectors of a stream, in their order."""
        chain = array("I")
        while first < _NO_SECTOR:
            self._left -= 1
            if first >= len(self._next) or self._left < 0:
                raise Damaged
            chain.append(first)
            first = self._next[first]
        return chain

    def opened(self, first: int, size: int) -> BinaryIO:
        return io.BufferedReader(Placed(partial(self._in_chain, self.chain(first)), size))

    def _in_chain(self, chain: array[int], place: int, size: int) -> bytes:
        number, within = divmod(place, self._size)
        if number >= len(chain):
            return b""
        start = self._before + chain[number] * self._size + within
        return self._read(start, min(size, self._size - within))


def _read(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


# Workbooks

_RECORD = struct.Struct("<HH")  # its type, and how many bytes follow
_BEGINS = frozenset({0x0009, 0x0209, 0x0409, 0x0809})  # a workbook or a sheet, in Excel 2, 3, 4, and from 5 on
_END, _SHEET, _LOCKED = 0x000A, 0x0085, 0x002F
_OF_MACROS = frozenset({0x0006, 0x0040})  # a module of Excel 5, a sheet of Excel 4
_SAID_OF_MACROS = frozenset({0x06, 0x01})  # the same two, in the list of sheets


def _in_workbook(stream: BinaryIO) -> Iterator[Flag]:
    """Each sheet says at its beginning what it is, and since Excel 5 a list says so in front of them, and where they
    begin. Both are looked at. Whether a sheet is hidden says nothing."""
    begin, _ = first = _record(stream)
    if begin not in _BEGINS:
        raise Damaged
    has_list = begin == 0x0809
    places: list[int] = []
    for record, data in islice(chain([first], iter(lambda: _record(stream), _NOTHING)), MOST_RECORDS):
        if record in _BEGINS:
            yield from _of_macros(data)
        elif record == _SHEET:
            place, _, kind = struct.unpack_from("<IBB", data)
            places.append(place)
            if kind in _SAID_OF_MACROS:
                yield Flag.MACROS
        elif record == _LOCKED:  # from here on the list is encrypted, but for the places
            yield Flag.UNREADABLE
        elif record == _END and has_list:
            break
    else:
        if has_list:  # it has no end
            raise Damaged
    for place in places:
        stream.seek(place)
        record, data = _record(stream)
        if record not in _BEGINS:
            raise Damaged
        yield from _of_macros(data)


def _of_macros(begin: bytes) -> Iterator[Flag]:
    _, kind = struct.unpack_from("<HH", begin)
    if kind in _OF_MACROS:
        yield Flag.MACROS


_NOTHING = (-1, b"")


def _record(stream: BinaryIO) -> tuple[int, bytes]:
    """The next one; `_NOTHING` at the end."""
    if not (head := stream.read(_RECORD.size)):
        return _NOTHING
    record, size = _RECORD.unpack(head)
    data = stream.read(size)
    if len(data) < size:
        raise Damaged
    return record, data


# Texts and presentations


def _in_text(stream: BinaryIO) -> Iterator[Flag]:
    (flags,) = struct.unpack("<10xH", stream.read(12))
    if flags & 0x0100:  # fEncrypted of the FibBase
        yield Flag.UNREADABLE


def _in_current_user(stream: BinaryIO) -> Iterator[Flag]:
    (token,) = struct.unpack("<12xI", stream.read(16))
    if token == 0xF3D1C4DF:  # headerToken of the CurrentUserAtom: "is encrypted"
        yield Flag.UNREADABLE


# A record of type 0x1011, ExternalOleObjectStg, and its length; then a compound file, or its size and it deflated.
_TYPE_AND_LENGTH, _SIZE = 6, 4
_objects = re.compile(rb"(?=\x11\x10.{4}(?:%b|.{4}\x78))" % re.escape(COMPOUND), re.DOTALL).finditer

_HOSTS = frozenset({"workbook", "book", "worddocument", "powerpoint document", "package"})


def _in_presentation(stream: BinaryIO) -> Iterator[Flag]:
    """Its macros are a compound file of their own, as each object in it is. They are looked for at every place."""
    left = UNPACKED_SIZE
    for place in dict.fromkeys(_places(stream)):
        names: set[str] = set()
        blocks = 0
        for block in _of_entries(_object(stream, place)):
            names.update(_names(block))
            blocks += 1
            left -= len(block)
            if left < 0:
                raise Damaged
        found = {flag for name in names if (flag := _flag_of(name)) is not None}
        yield from found
        if blocks and (Flag.MACROS not in found or names & _HOSTS):
            yield Flag.EMBEDDED


def _places(stream: BinaryIO) -> Iterator[int]:
    start, rest = 0, b""
    while block := stream.read(BLOCK_SIZE):
        yield from (start - len(rest) + match.start() for match in _objects(rest + block))
        start += len(block)
        rest = block[-13:]


def _object(stream: BinaryIO, place: int) -> Iterator[bytes]:
    """The bytes of the compound file, if it is one, to its end or to where it is damaged."""
    stream.seek(place)
    head = stream.read(_TYPE_AND_LENGTH + len(COMPOUND))
    (length,) = struct.unpack_from("<2xI", head)
    if head.endswith(COMPOUND):
        yield COMPOUND
        length -= len(COMPOUND)
        while length > 0 and (block := stream.read(min(length, BLOCK_SIZE))):
            yield block
            length -= len(block)
        return
    stream.seek(place + _TYPE_AND_LENGTH + _SIZE)
    unpacker = zlib.decompressobj()
    wanted = len(COMPOUND)
    with suppress(zlib.error):
        while not unpacker.eof and (data := unpacker.unconsumed_tail or stream.read(2**12)):
            part = unpacker.decompress(data, wanted)
            if wanted == len(COMPOUND) and part != COMPOUND:
                return
            yield part
            wanted = BLOCK_SIZE


def _of_entries(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, in pieces of whole entries."""
    rest = b""
    for part in parts:
        rest += part
        whole = len(rest) // _ENTRY.size * _ENTRY.size
        yield rest[:whole]
        rest = rest[whole:]


# Each stream that tells more than its name
_LOOK: Final[dict[str, Callable[[BinaryIO], Iterator[Flag]]]] = {
    "workbook": _in_workbook,
    "book": _in_workbook,
    "worddocument": _in_text,
    "current user": _in_current_user,
    "powerpoint document": _in_presentation,
}
