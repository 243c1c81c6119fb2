"""What an archive would unpack to, found out by reading it. `ArchiveCheck` is the check.

zip, tar, gzip, bzip2 and xz, also inside each other. Nothing is believed of what an archive says of itself: bytes are
unpacked, counted and dropped, block by block, until the end or a limit. Memory does not grow with the archive; a zip
inside of another archive is written to a temporary file, since it is read from its end. What two unpackers could read
in two ways (entries that overlap, headers that contradict each other) is refused and not repaired.
"""

from __future__ import annotations

import bz2
import lzma
import re
import stat
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import BinaryIO, Literal, Protocol, TypeAlias, TypedDict, cast

from ..errors import FileRefused, quoted
from ..policy.filters import IncomingFile
from ..policy.limits import parse_size, size_text

__all__ = [
    "ArchiveCheck",
    "ArchiveRules",
    "Rule",
    "Unpacked",
    "zip_parts",
]

BLOCK_SIZE = 2**16
"""So many bytes are read, or unpacked, at a time."""

RATIO_FROM = 10 * 2**20
"""An archive that unpacks to less is never refused for its ratio: it is no burden, and short texts pack well."""

XZ_MEMORY = 10 * 2**20
"""An xz that wants more, as of `xz -7` and above, is refused, and so is one inside of another."""

Rule: TypeAlias = Literal["refuse", "accept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """What an archive would unpack to: how many entries and bytes, with those of the archives inside of it, and how
    many archives lie inside each other. `depth` 0 is a file that is no archive."""

    entries: int
    size: int
    depth: int


class ArchiveRules(TypedDict, total=False):
    """What `ArchiveCheck` is told."""

    unpacked_size: int | str | None
    ratio: float | None
    entries: int | None
    depth: int
    seconds: float | None
    encrypted: Rule
    links: Rule
    unread: Rule


class ArchiveCheck:
    """A check that reads the whole staged archive before it is published. A file that is no archive passes.

    - `unpacked_size`: bytes in all, those of archives inside of archives included.
    - `ratio`: unpacked bytes for each byte that was uploaded. Counted above 10 MiB alone.
    - `entries`: in all.
    - `depth`: archives inside each other, at most 32; a `.tar.gz` is two, a `.docx` one.
    - `seconds`: how long it may take to look through.

    Each of them but the depth may be None, which is no limit. Always refused are names that lead out of the folder
    (`../`, absolute ones, drives), device files, entries that overlap or are hidden, headers that lie, damage, bytes
    behind the end, and a zip behind something else. The rest is up to rules, "refuse" or "accept":

    - `encrypted`: entries nobody can look into. Accepted, they count as large as they say.
    - `links`: symbolic and hard links.
    - `unread`: what is packed in a way that is not read here (7z, rar, zstd and others, methods of zip beyond store,
      deflate and bzip2): as the file itself, or inside of another.
    """

    def __init__(
        self,
        *,
        unpacked_size: int | str | None = "256 MiB",
        ratio: float | None = 100,
        entries: int | None = 10_000,
        depth: int = 3,
        seconds: float | None = 10,
        encrypted: Rule = "refuse",
        links: Rule = "refuse",
        unread: Rule = "refuse",
    ) -> None:
        for name, rule in (("encrypted", encrypted), ("links", links), ("unread", unread)):
            if rule not in ("refuse", "accept"):
                raise ValueError(f'{name} is "refuse" or "accept", not {rule!r}')
        for name, limit in (("ratio", ratio), ("entries", entries), ("seconds", seconds)):
            if limit is not None and limit <= 0:
                raise ValueError(f"{name} is greater than 0, or None for no limit")
        if not 1 <= depth <= 32:
            raise ValueError(f"depth is from 1 to 32, not {depth}")
        self._rules = _Rules(
            unpacked_size=None if unpacked_size is None else parse_size(unpacked_size),
            ratio=ratio,
            entries=entries,
            depth=depth,
            seconds=seconds,
            encrypted=encrypted == "accept",
            links=links == "accept",
            unread=unread == "accept",
        )

    def __repr__(self) -> str:
        return f"ArchiveCheck({', '.join(f'{name}={value!r}' for name, value in self._rules.written().items())})"

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        """Raises `FileRefused`."""
        self.count(file, staged)

    def count(self, file: IncomingFile, staged: BinaryIO) -> Unpacked:
        """`examine`, and what was counted. Raises `FileRefused`."""
        try:
            return self.measure(staged)
        except FileRefused as error:
            text = f"the file in field {quoted(file.field)} was refused: {error}"
            raise FileRefused(text, field=file.field, filter="ArchiveCheck", detected=file.content_type) from error

    def measure(self, file: BinaryIO) -> Unpacked:
        """What the archive would unpack to. `file` is seekable. Raises `FileRefused` as `examine` does."""
        size = file.seek(0, 2)
        count = _Count(self._rules, size)
        try:
            if _is_zip(_read_at(file, 0, 4)) or _ends_as_zip(file, size):
                count.enter(1)
                _Zip(file, size, count, 1).read()
            else:
                _look_inside(_blocks_of(file, 0, size), count, 0)
        except struct.error as error:  # fewer bytes than a header has
            raise _damaged("it ends too early") from error
        return Unpacked(entries=count.entries, size=count.unpacked, depth=count.deepest)


def zip_parts(file: BinaryIO, wanted: Callable[[str], bool], *, part_size: int) -> dict[str, bytes]:
    """The names in a zip, in the order of their bytes, with the bytes of those that are wanted.

    A part that is wanted has at most `part_size` bytes. Raises `FileRefused` as `ArchiveCheck.examine` does, where
    encrypted entries, links and methods that are not read are accepted; a wanted part is none of these.
    """
    size = file.seek(0, 2)
    rules = ArchiveCheck(encrypted="accept", links="accept", unread="accept", unpacked_size=None, ratio=None)._rules
    archive = _Zip(file, size, _Count(rules, size), 1)
    try:
        return {
            entry.shown_name: archive.part(entry, end, part_size) if wanted(entry.shown_name) else b""
            for entry, end in archive.entries()
        }
    except struct.error as error:
        raise _damaged("it ends too early") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    unpacked_size: int | None
    ratio: float | None
    entries: int | None
    depth: int
    seconds: float | None
    encrypted: bool
    links: bool
    unread: bool

    def written(self) -> dict[str, object]:
        """As `ArchiveCheck` takes them."""
        return {
            name: value if not isinstance(value, bool) else "accept" if value else "refuse"
            for name, value in asdict(self).items()
        }


class _Count:
    """What was seen of one upload, on every level together, against its limits."""

    def __init__(self, rules: _Rules, size: int) -> None:
        self.rules = rules
        self.entries = 0
        self.unpacked = 0
        self.deepest = 0
        self.in_xz = False
        self._end = None if rules.seconds is None else time.monotonic() + rules.seconds
        self._ratio_size = None if rules.ratio is None else max(RATIO_FROM, int(rules.ratio * size))

    def enter(self, depth: int) -> None:
        """An archive begins that lies inside of so many others, itself included."""
        if depth > self.rules.depth:
            raise _refused(f"archives lie inside each other more than {self.rules.depth} deep")
        self.deepest = max(self.deepest, depth)

    def entry(self) -> None:
        """One more of something that costs time by itself."""
        self.entries += 1
        if self.rules.entries is not None and self.entries > self.rules.entries:
            raise _refused(f"the archive has more than {self.rules.entries} entries")
        self._tick()

    def bytes(self, size: int) -> None:
        """So many more were unpacked."""
        self.check_room(size)
        self.unpacked += size
        self._tick()

    def check_room(self, size: int) -> None:
        """For so many more than were unpacked."""
        total = self.unpacked + size
        if self.rules.unpacked_size is not None and total > self.rules.unpacked_size:
            raise _refused(f"the archive unpacks to more than {size_text(self.rules.unpacked_size)}")
        if self._ratio_size is not None and total > self._ratio_size:
            raise _refused(f"the archive unpacks to more than {self.rules.ratio:g} times its size")

    def _tick(self) -> None:
        if self._end is not None and time.monotonic() > self._end:
            raise _refused(f"the archive takes longer than {self.rules.seconds:g} seconds to look through")


def _refused(text: str) -> FileRefused:
    return FileRefused(text, filter="ArchiveCheck")


def _damaged(what: str) -> FileRefused:
    return _refused(f"the archive is damaged: {what}")


# What is inside of what


def _look_inside(blocks: Iterator[bytes], count: _Count, depth: int) -> None:
    """Reads a file to its end, and into it where it is an archive. `depth` is how many archives it lies in."""
    head = b""
    while len(head) < _TAR_BLOCK and (block := next(blocks, None)) is not None:
        head += block
    blocks = chain([head], blocks)
    if head.startswith(_XZ):
        count.enter(depth + 1)
        if count.in_xz:
            raise _refused("an xz lies inside of an xz")
        count.in_xz = True
        _look_inside(_unpacked(blocks, _unxz, count), count, depth + 1)
        count.in_xz = False
    elif (make := _compressed(head)) is not None:
        count.enter(depth + 1)
        _look_inside(_unpacked(blocks, make, count), count, depth + 1)
    elif _is_zip(head):
        count.enter(depth + 1)
        with tempfile.SpooledTemporaryFile(max_size=_SPOOLED_SIZE) as spool:
            for block in blocks:
                spool.write(block)
            _Zip(cast(BinaryIO, spool), spool.tell(), count, depth + 1).read()
    elif _is_tar(head):
        count.enter(depth + 1)
        _read_tar(blocks, count, depth + 1)
    else:
        if _is_unread(head) and not count.rules.unread:
            raise _refused("it is packed, or holds something that is packed, in a way that is not read here")
        for _ in blocks:
            pass


_SPOOLED_SIZE = 2**20  # what is larger is on disk

_UNREAD = (
    *(b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\x1f\x9d", b"\x1f\xa0"),
    *(b"LZIP", b"MSCF", b"xar!", b"!<arch>\n", b"070701", b"070702", b"070707"),
    *(b"\x02\x21\x4c\x18", b"\x89LZO\0\r\n", b"\xed\xab\xee\xdb", b"\x60\xea", b"MSWIM\0\0\0", b"hsqs"),
)

# It has no beginning of its own: a byte of settings, the size of its dictionary, and that of what it unpacks to.
_is_lzma = re.compile(rb"\x5d\0\0.{2}(?:\xff{8}|.{5}\0\0\0)", re.DOTALL).match


def _is_unread(head: bytes) -> bool:
    if head.startswith(_UNREAD) or head[2:7] in (b"-lh0-", b"-lh1-", b"-lh5-", b"-lh6-", b"-lh7-"):
        return True
    return _is_lzma(head) is not None


def _is_zip(head: bytes) -> bool:
    return head[:4] in (_LOCAL, _END)


def _ends_as_zip(file: BinaryIO, size: int) -> bool:
    """Unpackers find a zip by its end, whatever it begins with."""
    tail = _read_at(file, max(0, size - _END_SIZE - _COMMENT_SIZE), _END_SIZE + _COMMENT_SIZE)
    at = tail.rfind(_END)
    return 0 <= at <= len(tail) - _END_SIZE and at + _END_SIZE + int.from_bytes(
        tail[at + 20 : at + 22], "little"
    ) == len(tail)


def _blocks_of(file: BinaryIO, start: int, size: int) -> Iterator[bytes]:
    """Its place is set before each read: others read from the same file meanwhile."""
    end = start + size
    while start < end:
        block = _read_at(file, start, min(BLOCK_SIZE, end - start))
        if not block:
            raise _damaged("it ends too early")
        start += len(block)
        yield block


def _read_at(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)


# Compressed streams


class _Stream(Protocol):
    """As the decompressors of bz2 and lzma are."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Inflate:
    """zlib's, as the others are."""

    def __init__(self, wbits: int) -> None:
        self._zlib = zlib.decompressobj(wbits)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail and not self._full

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        unpacked = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self._full = len(unpacked) == max_length
        return unpacked


def _compressed(head: bytes) -> Callable[[], _Stream] | None:
    if head.startswith(b"\x1f\x8b\x08"):
        return lambda: _Inflate(31)
    if head.startswith(b"BZh") and head[4:10] in (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"):
        return bz2.BZ2Decompressor
    return None


_XZ = b"\xfd7zXZ\0"


def _unxz() -> _Stream:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)


def _unpacked(blocks: Iterator[bytes], make: Callable[[], _Stream], count: _Count) -> Iterator[bytes]:
    """All streams that follow each other, each of which counts as an entry. Zeros may stand behind the last."""
    rest = next(blocks, b"")
    while rest:
        count.entry()
        stream = make()
        for block in _one_unpacked(stream, chain([rest], blocks)):
            count.bytes(len(block))
            yield block
        rest = stream.unused_data.lstrip(b"\0")
        while not rest and (more := next(blocks, b"")):
            rest = more.lstrip(b"\0")


def _one_unpacked(stream: _Stream, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Up to the end of the stream. Nothing is read beyond the block in which it ends."""
    data = b""
    while not stream.eof:
        if stream.needs_input:
            data = next(blocks, b"")
            if not data:
                raise _damaged("it ends too early")
        try:
            unpacked = stream.decompress(data, BLOCK_SIZE)
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:  # OSError is what bz2 raises
            if isinstance(error, lzma.LZMAError) and "emory" in str(error):
                raise _refused(f"it needs more than {size_text(XZ_MEMORY)} of memory to unpack") from error
            raise _damaged("what is packed is wrong") from error
        if unpacked:
            yield unpacked
        data = b""


# Names


_absolute = re.compile(r"[/\\]|[A-Za-z]:").match
_leads_out = re.compile(r"(?:^|[/\\])\.\.[ .]*(?:[/\\]|$)").search
_control = re.compile(r"[\x00-\x1f\x7f]").search


def _check_name(name: str) -> None:
    """A name may lead anywhere below the folder in which it is unpacked, on every system, and nowhere else."""
    if _absolute(name):
        raise _refused(f"the name {quoted(name)} in the archive is absolute")
    if _leads_out(name):
        raise _refused(f"the name {quoted(name)} in the archive leads out of its folder")
    if _control(name):
        raise _refused(f"the name {quoted(name)} in the archive has control characters")


def _check_link(name: str, count: _Count) -> None:
    if not count.rules.links:
        raise _refused(f"{quoted(name)} in the archive is a link")


# zip

_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_WIDE = b"PK\x06\x07"  # begins what says where the record of 64 bits is
_END_SIZE, _COMMENT_SIZE = 22, 0xFFFF
_ENCRYPTED, _LATER, _STRONG, _UTF8, _MASKED = 1 << 0, 1 << 3, 1 << 6, 1 << 11, 1 << 13
_STORED, _DEFLATED, _BZIP2 = 0, 8, 12
_ZIP64, _UNICODE_PATH, _AES = 0x0001, 0x7075, 0x9901
_NAMES_SIZE = 4 * 2**20  # of all names together, which are held
_EXTRAS = 64  # of an entry; writers have three or four
_TELLING = _ENCRYPTED | _LATER | _STRONG | _UTF8 | _MASKED  # the other flags only say how well it is packed


@dataclass(frozen=True, slots=True, order=True)
class _Entry:
    """As the central directory has it."""

    offset: int
    name: bytes
    flags: int
    method: int
    checksum: int
    packed: int
    size: int

    @property
    def encrypted(self) -> bool:
        return bool(self.flags & (_ENCRYPTED | _STRONG | _MASKED))

    @property
    def shown_name(self) -> str:
        return self.name.decode("utf-8" if self.flags & _UTF8 else "cp437", "replace")

    @property
    def least_end(self) -> int:
        """Of its bytes: the local header may have more beside the name."""
        return self.offset + 30 + len(self.name) + self.packed


class _Window:
    """A piece of a file that is read from many places near each other."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = 0
        self._held = b""

    def at(self, start: int, size: int) -> bytes:
        """Fewer bytes where the file has no more."""
        offset = start - self._start
        if not 0 <= offset <= len(self._held) - size:
            self._held, self._start, offset = _read_at(self._file, start, max(size, BLOCK_SIZE)), start, 0
        return self._held[offset : offset + size]


class _Zip:
    """Reads the directory first and judges all of it before a byte is unpacked."""

    def __init__(self, file: BinaryIO, size: int, count: _Count, depth: int) -> None:
        self._file = file
        self._at = _Window(file).at
        self._size = size
        self._count = count
        self._depth = depth

    def read(self) -> None:
        for entry, end in self.entries():
            self._read(entry, end)

    def part(self, entry: _Entry, end: int, most: int) -> bytes:
        """What an entry unpacks to."""
        start = self._data_start(entry)
        if entry.encrypted or entry.method not in (_STORED, _DEFLATED) or start + entry.packed > end:
            raise _refused(f"{quoted(entry.shown_name)} in the archive cannot be read")
        if entry.size > most:
            raise _refused(f"{quoted(entry.shown_name)} in the archive is too large")
        return b"".join(self._unpacked(entry, _blocks_of(self._file, start, entry.packed)))

    def entries(self) -> Sequence[tuple[_Entry, int]]:
        """Each, and where its bytes have to end: there the next begins, or the directory."""
        start, entries = self._directory()
        if (entries[0].offset if entries else start) != 0:
            raise _refused("the archive hides entries before its first")
        ends = [*(entry.offset for entry in entries[1:]), start]
        bounded = [*zip(entries, ends, strict=False)]
        if any(entry.least_end > end for entry, end in bounded):
            raise _refused("entries of the archive overlap")
        return bounded

    def _directory(self) -> tuple[int, list[_Entry]]:
        """Where it begins, and its entries in the order of their bytes."""
        tail_at = max(0, self._size - _END_SIZE - _COMMENT_SIZE)
        tail = _read_at(self._file, tail_at, _END_SIZE + _COMMENT_SIZE)
        at = tail.rfind(_END)
        if at < 0 or len(tail) - at < _END_SIZE:
            raise _damaged("it has no directory")
        disk, first_disk, _, total, size, start, comment = struct.unpack_from("<HHHHLLH", tail, at + 4)
        if at + _END_SIZE + comment != len(tail):
            raise _damaged("bytes stand behind its end")
        end = tail_at + at
        # Writers that cannot know how much will come write the wide record always, and the numbers in both.
        if 0xFFFF in (total, disk) or 0xFFFFFFFF in (size, start) or _read_at(self._file, max(0, end - 20), 4) == _WIDE:
            narrow = total, size, start
            disk, first_disk, total, size, start, end = self._end64(end)
            if any(
                one not in (other, 0xFFFF, 0xFFFFFFFF) for one, other in zip(narrow, (total, size, start), strict=True)
            ):
                raise _damaged("the records at its end contradict each other")
        if disk or first_disk:
            raise _refused("the archive has more than one volume")
        if start + size != end:
            raise _damaged("its directory is not where it says")
        if self._count.rules.entries is not None and total > self._count.rules.entries:
            raise _refused(f"the archive has more than {self._count.rules.entries} entries")
        entries = sorted(self._central(start, end))
        if len(entries) != total:
            raise _damaged("it has another number of entries than it says")
        return start, entries

    def _end64(self, end: int) -> tuple[int, int, int, int, int, int]:
        locator = _read_at(self._file, max(0, end - 20), 20)
        if locator[:4] != _WIDE:
            raise _damaged("it has no directory")
        [at] = struct.unpack_from("<Q", locator, 8)
        record = _read_at(self._file, at, 56)
        if record[:4] != b"PK\x06\x06":
            raise _damaged("it has no directory")
        length, disk, first_disk, _, total, size, start = struct.unpack_from("<Q4xLLQQQQ", record, 4)
        if at + 12 + length != end - 20:
            raise _damaged("its directory is not where it says")
        return disk, first_disk, total, size, start, at

    def _central(self, at: int, end: int) -> Iterator[_Entry]:
        names: set[bytes] = set()
        names_size = room = 0
        while at < end:
            self._count.entry()
            header = self._at(at, 46)
            if header[:4] != _CENTRAL:
                raise _damaged("its directory ends too early")
            fields = struct.unpack_from("<HHHHHHLLLHHHHHLL", header, 4)
            flags, method, checksum, packed, size = fields[2], fields[3], *fields[6:9]
            lengths, disk, attributes, offset = fields[9:12], fields[12], *fields[14:16]
            body = self._at(at + 46, lengths[0] + lengths[1])
            name, extra = body[: lengths[0]], body[lengths[0] :]
            at += 46 + sum(lengths)
            if at > end or disk not in (0, 0xFFFF):
                raise _damaged("its directory ends too early")
            extras = _extras(extra)
            size, packed, offset = _wide(extras.get(_ZIP64, b""), size, packed, offset)
            entry = _Entry(offset, name, flags, method, checksum, packed, size)
            self._judge(entry, extras, attributes)
            if name in names:
                raise _refused(f"the archive has two entries with the name {quoted(entry.shown_name)}")
            names.add(name)
            names_size += len(name)
            if names_size > _NAMES_SIZE:
                raise _refused("the names in the archive are too long")
            room += size
            self._count.check_room(room)
            yield entry

    def _judge(self, entry: _Entry, extras: dict[int, bytes], attributes: int) -> None:
        _check_name(entry.shown_name)
        if _UNICODE_PATH in extras:
            _check_name(extras[_UNICODE_PATH][5:].decode("utf-8", "replace"))
        kind = stat.S_IFMT(attributes >> 16)
        if kind == stat.S_IFLNK:
            _check_link(entry.shown_name, self._count)
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(f"{quoted(entry.shown_name)} in the archive is no file")
        if (entry.encrypted or _AES in extras) and not self._count.rules.encrypted:
            raise _refused(f"{quoted(entry.shown_name)} in the archive is encrypted")

    def _read(self, entry: _Entry, end: int) -> None:
        start = self._data_start(entry)
        if start + entry.packed > end:
            raise _refused("entries of the archive overlap")
        self._check_gap(start + entry.packed, end, later=bool(entry.flags & _LATER))
        if not (entry.packed or entry.size or entry.checksum):
            return
        packed = _blocks_of(self._file, start, entry.packed)
        if entry.encrypted:
            self._count.bytes(entry.size)
        elif entry.method in (_STORED, _DEFLATED, _BZIP2):
            _look_inside(self._unpacked(entry, packed), self._count, self._depth)
        elif self._count.rules.unread:
            self._count.bytes(entry.size)
        else:
            raise _refused(f"{quoted(entry.shown_name)} in the archive is packed in a way that is not read here")

    def _data_start(self, entry: _Entry) -> int:
        """Behind the local header, which says the same as the directory."""
        header = self._at(entry.offset, 30)
        if header[:4] != _LOCAL:
            raise _damaged("an entry is not where it says")
        flags, method, checksum, packed, size, name_size, extra_size = struct.unpack_from("<HH4xLLLHH", header, 6)
        body = self._at(entry.offset + 30, name_size + extra_size)
        extra = _extras(body[name_size:])
        size, packed, _ = _wide(extra.get(_ZIP64, b""), size, packed, 0)
        said, known = (checksum, packed, size), (entry.checksum, entry.packed, entry.size)
        later = bool(flags & _LATER) and all(one in (0, other) for one, other in zip(said, known, strict=True))
        same = body[:name_size] == entry.name and method == entry.method and not (flags ^ entry.flags) & _TELLING
        if not same or not (later or said == known or flags & _MASKED):
            raise _refused(f"the headers of {quoted(entry.shown_name)} in the archive contradict each other")
        return entry.offset + 30 + len(body)

    def _check_gap(self, start: int, end: int, *, later: bool) -> None:
        """Who reads an archive from its beginning would find an entry here that the directory does not have."""
        gap = self._at(start, min(end - start, 28))
        places = (0, 12, 16, 20, 24) if later else (0,)
        if any(gap[place : place + 4] == _LOCAL for place in places):
            raise _refused("the archive hides entries that are not in its directory")

    def _unpacked(self, entry: _Entry, packed: Iterator[bytes]) -> Iterator[bytes]:
        blocks = packed if entry.method == _STORED else _alone(entry.method, packed)
        checksum = size = 0
        for block in blocks:
            size += len(block)
            if size > entry.size:
                raise _refused(f"{quoted(entry.shown_name)} in the archive is larger than it says")
            checksum = zlib.crc32(block, checksum)
            self._count.bytes(len(block))
            yield block
        if size != entry.size or checksum != entry.checksum:
            raise _damaged(f"{quoted(entry.shown_name)} is not what it says")


def _alone(method: int, packed: Iterator[bytes]) -> Iterator[bytes]:
    """One stream, behind which nothing stands."""
    stream: _Stream = _Inflate(-15) if method == _DEFLATED else bz2.BZ2Decompressor()
    yield from _one_unpacked(stream, packed)
    if stream.unused_data or next(packed, b""):
        raise _damaged("bytes stand behind the end of an entry")


def _extras(data: bytes) -> dict[int, bytes]:
    """The extra fields by their ids. What is no field ends them: aligned archives are padded there."""
    fields: dict[int, bytes] = {}
    at = seen = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, at)
        if kind == length == 0:
            break
        seen += 1
        if seen > _EXTRAS:
            raise _refused("an entry of the archive has too many extra fields")
        fields.setdefault(kind, data[at + 4 : at + 4 + length])
        at += 4 + length
    return fields


def _wide(extra: bytes, *values: int) -> tuple[int, ...]:
    """The values, where those that are all ones stand in the zip64 field, in this order."""
    wide = []
    for value in values:
        if value == 0xFFFFFFFF:
            if len(extra) < 8:
                raise _damaged("a size is missing")
            value, extra = int.from_bytes(extra[:8], "little"), extra[8:]
        wide.append(value)
    return tuple(wide)


# tar

_TAR_BLOCK = 512
_TAR_HEADER_SIZE = 2**20
"""The most that a long name or the pax headers of an entry may have."""

_TAR_HEADERS = 64  # of an entry, with the lines of pax headers; writers have ten, and one for each attribute of a file


class _Reader:
    """Reads so many bytes from blocks of any size."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def upto(self, size: int) -> Iterator[bytes]:
        """In blocks; fewer where there are no more."""
        while size:
            if not self._rest:
                self._rest = memoryview(next(self._blocks, b""))
                if not self._rest:
                    return
            taken, self._rest = self._rest[:size], self._rest[size:]
            size -= len(taken)
            yield bytes(taken)

    def exactly(self, size: int) -> Iterator[bytes]:
        """In blocks."""
        for block in self.upto(size):
            size -= len(block)
            yield block
        if size:
            raise _damaged("it ends too early")


def _is_tar(head: bytes) -> bool:
    return len(head) >= _TAR_BLOCK and any(head[:_TAR_BLOCK]) and _sums_up(head[:_TAR_BLOCK])


def _sums_up(header: bytes) -> bool:
    said = header[148:156].strip(b" \0")
    if not re.fullmatch(rb"[0-7]{1,7}", said):
        return False
    return int(said, 8) == sum(header) - sum(header[148:156]) + 8 * 0x20


def _read_tar(blocks: Iterator[bytes], count: _Count, depth: int) -> None:
    reader = _Reader(blocks)
    told: dict[str, str] = {}  # of the next entry, by headers of their own
    told_of_all: dict[str, str] = {}
    headers = 0
    while header := b"".join(reader.upto(_TAR_BLOCK)):
        if not any(header):
            break
        if len(header) < _TAR_BLOCK or not _sums_up(header):
            raise _damaged("a header of an entry is wrong")
        kind = chr(header[156])
        size = _tar_number(header[124:136])
        if kind in "xgLK":
            if size > _TAR_HEADER_SIZE:
                raise _refused("the headers of an entry of the archive are too large")
            found, lines = _told(kind, b"".join(reader.exactly(size)))
            headers += 1 + lines
            if headers > _TAR_HEADERS:
                raise _refused("an entry of the archive has too many headers")
            (told_of_all if kind == "g" else told).update(found)
        else:
            count.entry()
            size = _judged(header, kind, size, told_of_all | told, count)
            told, headers = {}, 0
            data_blocks = reader.exactly(size)
            if not size:
                continue
            # One inside of another archive was counted when it was unpacked from there.
            _look_inside(_counted(data_blocks, count) if depth == 1 else data_blocks, count, depth)
        for _ in reader.exactly(-size % _TAR_BLOCK):
            pass
    for block in reader.upto(2**62):
        if any(block):  # some unpackers read on behind one block of zeros, or behind all
            raise _damaged("bytes stand behind its end")


def _counted(blocks: Iterator[bytes], count: _Count) -> Iterator[bytes]:
    for block in blocks:
        count.bytes(len(block))
        yield block


def _judged(header: bytes, kind: str, size: int, told: dict[str, str], count: _Count) -> int:
    """The size of the entry's data, whose name and kind are allowed."""
    name = told.get("path") or _tar_name(header)
    _check_name(name)
    if any(key.startswith("GNU.sparse") for key in told) or kind == "S":
        raise _refused(f"{quoted(name)} in the archive is sparse: it is larger than its bytes")
    if kind in "12":
        _check_link(name, count)
    elif kind not in "0\x0057":
        raise _refused(f"{quoted(name)} in the archive is no file")
    if "size" in told:
        if not re.fullmatch(r"[0-9]{1,19}", told["size"]):
            raise _damaged("a size is wrong")
        if size != int(told["size"]) < 2**33:  # what is smaller fits into both, and unpackers differ in which they read
            raise _refused(f"the headers of {quoted(name)} in the archive contradict each other")
        size = int(told["size"])
    if kind in "125" and size:  # unpackers differ in whether its bytes follow
        raise _refused(f"{quoted(name)} in the archive is no file, and has bytes")
    count.check_room(size)
    return size


def _tar_name(header: bytes) -> str:
    name = header[:100].split(b"\0")[0]
    prefix = header[345:500].split(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


def _tar_number(field: bytes) -> int:
    digits = field.split(b"\0")[0].strip(b" ")
    if field[0] == 0x80:
        return int.from_bytes(bytes(field[1:]), "big")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise _damaged("a size is wrong")
    return int(b"0" + digits, 8)


def _told(kind: str, data: bytes) -> tuple[dict[str, str], int]:
    """What changes an entry, and how many lines there are."""
    if kind == "L":
        return {"path": data.rstrip(b"\0").decode("utf-8", "replace")}, 0
    return ({}, 0) if kind == "K" else _pax(data)


def _pax(data: bytes) -> tuple[dict[str, str], int]:
    """`LENGTH KEY=VALUE` lines; the length is of the whole line. Only what changes an entry is kept."""
    told: dict[str, str] = {}
    at, end, lines = 0, len(data.rstrip(b"\0")), 0
    while at < end and lines <= _TAR_HEADERS:
        length, space, _ = data[at : at + 20].partition(b" ")
        if not space or not length.isdigit() or not 4 < int(length) <= len(data) - at:
            raise _damaged("the headers of an entry are wrong")
        key, _, value = data[at + len(length) + 1 : at + int(length)].rstrip(b"\n").partition(b"=")
        if key in (b"path", b"size") or key.startswith(b"GNU.sparse."):
            told[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        at += int(length)
        lines += 1
    return told, lines
