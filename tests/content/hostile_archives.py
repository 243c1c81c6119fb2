"""Archives of our own that are meant to do harm, made when they are asked for. None is larger than a few MiB."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import partial

ZEROS = bytes(1 << 20)


def zipped(
    *entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    """A zip of these entries, by Python's own writer."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive, warnings.catch_warnings(action="ignore"):  # of equal names
        for name, data in entries:
            info = zipfile.ZipInfo(name) if isinstance(name, str) else name  # of 1980, whenever it is made
            archive.writestr(info, data, method if isinstance(name, str) else None)
        archive.comment = comment
    return out.getvalue()


def tarred(*entries: tuple[str | tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of these entries."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for entry, data in entries:
            info = entry if isinstance(entry, tarfile.TarInfo) else tarfile.TarInfo(entry)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def of_kind(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """An entry of a tar that is no file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def with_mode(name: str, mode: int) -> zipfile.ZipInfo:
    """An entry of a zip that is no file."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def deflated(data: bytes, times: int = 1) -> bytes:
    """`data` so many times, packed without holding it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join([*(packer.compress(data) for _ in range(times)), packer.flush()])


def central(name: bytes, *, offset: int, packed: int, size: int, checksum: int, method: int = 8) -> bytes:
    """A header of the central directory."""
    fields = (20, 20, 0, method, 0, 0, checksum, packed, size, len(name), 0, 0, 0, 0, 0, offset)
    return b"PK\1\2" + struct.pack("<HHHHHHLLLHHHHHLL", *fields) + name


def local(name: bytes, *, packed: int, size: int, checksum: int, method: int = 8) -> bytes:
    """The header before an entry's bytes."""
    return b"PK\3\4" + struct.pack("<HHHHHLLLHH", 20, 0, method, 0, 0, checksum, packed, size, len(name), 0) + name


def ended(body: bytes, directory: bytes, count: int) -> bytes:
    """The entries with their directory."""
    return body + directory + b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, count, count, len(directory), len(body), 0)


def overlapping(files: int = 200) -> bytes:
    """David Fifield's: one kernel of zeros, which every entry of the directory names as its own bytes."""
    size, kernel = 12 << 20, deflated(ZEROS, 12)
    checksum = 0
    for _ in range(12):
        checksum = zlib.crc32(ZEROS, checksum)
    facts = {"packed": len(kernel), "size": size, "checksum": checksum}
    body = local(b"0", **facts) + kernel
    directory = b"".join(central(b"%d" % at, offset=0, **facts) for at in range(files))
    return ended(body, directory, files)


def quoting(files: int = 50) -> bytes:
    """Fifield's better one: each entry's bytes hold the next entry's header, as a stored block, and all behind it."""
    kernel = deflated(ZEROS, 8)
    checksum, size, body = zlib.crc32(ZEROS * 8), 8 << 20, kernel
    headers: list[tuple[bytes, dict[str, int], int]] = []
    for at in reversed(range(files)):
        name, facts = b"%03d" % at, {"packed": len(body), "size": size, "checksum": checksum}
        header = local(name, **facts)
        body = header + body
        headers.append((name, facts, len(body)))
        block = b"\0" + struct.pack("<HH", len(header), 0xFFFF ^ len(header))
        body, size = block + body, size + len(header)
        checksum = 0  # nobody gets as far as to compare it
    body = body[5:]
    directory = b"".join(central(name, offset=len(body) - behind, **facts) for name, facts, behind in reversed(headers))
    return ended(body, directory, files)


def lying(*, says: int) -> bytes:
    """An entry of 4 MiB that says to have another size."""
    packed = deflated(ZEROS, 4)
    facts = {"packed": len(packed), "size": says, "checksum": 0}
    return ended(local(b"a", **facts) + packed, central(b"a", offset=0, **facts), 1)


def contradicting() -> bytes:
    """The local header calls an entry by another name than the directory does."""
    facts = {"packed": 4, "size": 4, "checksum": zlib.crc32(b"data"), "method": 0}
    return ended(local(b"../evil!", **facts) + b"data", central(b"harmless", offset=0, **facts), 1)


def hiding(*, first: bool) -> bytes:
    """Who reads from the beginning finds an entry that is not in the directory."""
    facts = {"packed": 4, "size": 4, "checksum": zlib.crc32(b"data"), "method": 0}
    seen, hidden = local(b"seen", **facts) + b"data", local(b"../evil", **facts) + b"data"
    body = hidden + seen if first else seen + hidden
    return ended(body, central(b"seen", offset=len(hidden) if first else 0, **facts), 1)


def shifted() -> bytes:
    """A zip behind a picture, with every offset right."""
    picture = b"\x89PNG\r\n\x1a\n" + bytes(50)
    facts = {"packed": 4, "size": 4, "checksum": zlib.crc32(b"data"), "method": 0}
    body = picture + local(b"seen", **facts) + b"data"
    return ended(body, central(b"seen", offset=len(picture), **facts), 1)


def hiding_all() -> bytes:
    """A zip whose end says that there is nothing, behind entries that whoever reads from the beginning finds."""
    body = zipped(("zeros", ZEROS * 12))
    return ended(body, b"", 0)


def with_wide_end(archive: bytes, *, entries: int) -> bytes:
    """With a record of 64 bits at its end, as Java's writers of spreadsheets have it, beside the numbers in 32 bits."""
    end = archive.rfind(b"PK\5\6")
    size, start = struct.unpack_from("<LL", archive, end + 12)
    wide = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, size, start)
    return archive[:end] + wide + struct.pack("<4sLQL", b"PK\6\7", 0, end, 1) + archive[end:]


def nested(levels: int, make: Callable[[bytes], bytes], inside: bytes = b"at last") -> bytes:
    """An archive in an archive in an archive."""
    for _ in range(levels):
        inside = make(inside)
    return inside


def spreading(levels: int, copies: int = 16) -> bytes:
    """42.zip's kind: each level has the level below many times, and the lowest has zeros."""
    inside = zipped(("zeros", ZEROS * 4))
    for _ in range(levels):
        inside = zipped(*((f"{at}.zip", inside) for at in range(copies)))
    return inside


def encrypted() -> bytes:
    """As zip's own encryption leaves it: a flag, and twelve bytes before the data."""
    data = bytearray(zipped(("secret", b"x" * 16), method=zipfile.ZIP_STORED))
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)


def many_entries(count: int) -> bytes:
    """Empty ones."""
    return zipped(*((f"{at}", b"") for at in range(count)), method=zipfile.ZIP_STORED)


def claiming(count: int) -> bytes:
    """A directory that is nothing but entries, of no bytes at all."""
    facts = {"packed": 0, "size": 0, "checksum": 0, "method": 0}
    directory = b"".join(central(b"%d" % at, offset=0, **facts) for at in range(count))
    return ended(b"", directory, count & 0xFFFF)


def sparse() -> bytes:
    """A tar of one file that is all hole: a terabyte of it."""
    header = bytearray(tarred(("hole", b""), format=tarfile.GNU_FORMAT)[:512])
    header[156:157] = b"S"
    header[483:495] = b"%011o\0" % (1 << 32)
    return _summed(header) + bytes(1024)


def endless_pax() -> bytes:
    """Headers of one entry that have 2 MiB."""
    info = tarfile.TarInfo("a")
    info.pax_headers = {"comment": "x" * (2 << 20)}
    return tarred((info, b""))


def with_data(kind: bytes) -> bytes:
    """A link or a folder that has bytes behind its header, where some unpackers see an entry."""
    evil = tarred(("../evil", b"x"))[:1024]
    header = bytearray(of_kind("a", kind, "b").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"%011o\0" % len(evil)
    return _summed(header) + evil + bytes(1024)


def _summed(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def _holding(make: Callable[..., bytes], name: str) -> bytes:
    return make((name, b"x"))


SLIPS = [
    *(
        "../evil",
        "a/../../evil",
        "..",
        "a/..",
        "..\\evil",
        "a\\..\\..\\evil",
        "/etc/passwd",
        "\\\\host\\share",
        "C:\\evil",
    ),
    *("c:evil", "a/.. /evil", "a/.../evil", "a\nb", "a\x1bb"),
]
"""Names that lead out of the folder, on some system."""

LINK, PIPE, DEVICE = stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o600, stat.S_IFBLK | 0o600

# What is refused by the defaults, and a word of the reason.
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "zip bomb": (lambda: zipped(("zeros", ZEROS * 12)), "times its size"),
    "gzip bomb": (lambda: gzip.compress(ZEROS * 12), "times its size"),
    "bzip2 bomb": (lambda: bz2.compress(ZEROS * 12), "times its size"),
    "xz bomb": (lambda: lzma.compress(ZEROS * 12, preset=1), "times its size"),
    "tar.gz bomb": (lambda: gzip.compress(tarred(("zeros", ZEROS * 12))), "times its size"),
    "gzip in gzip in gzip bomb": (lambda: nested(3, gzip.compress, ZEROS * 12), "times its size"),
    "bomb with many levels": (lambda: spreading(2), "times its size"),
    "zip with entries that overlap": (overlapping, "times its size"),
    "zip with entries that quote each other": (quoting, "times its size"),
    "zip that says it is small": (lambda: lying(says=100), "larger than it says"),
    "zip that says it is huge": (lambda: lying(says=3 << 30), "unpacks to more than"),
    "zip whose headers contradict each other": (contradicting, "contradict"),
    "zip with a hidden first entry": (lambda: hiding(first=True), "hides"),
    "zip with a hidden last entry": (lambda: hiding(first=False), "hides"),
    "zip with hidden entries alone": (hiding_all, "hides"),
    "zip with two ends that contradict each other": (
        lambda: with_wide_end(zipped(("a", b"x")), entries=0),
        "contradict",
    ),
    "zip with two entries of one name": (lambda: zipped(("a", b"1"), ("a", b"2")), "two entries"),
    "zip with a link": (lambda: zipped((with_mode("a", LINK), b"/etc/passwd")), "is a link"),
    "zip with a pipe": (lambda: zipped((with_mode("a", PIPE), b"")), "is no file"),
    "zip with a device": (lambda: zipped((with_mode("a", DEVICE), b"")), "is no file"),
    "zip that is encrypted": (encrypted, "is encrypted"),
    "zip of many entries": (lambda: many_entries(10_001), "more than 10000 entries"),
    "zip that is all directory": (lambda: claiming(200_000), "entries"),
    "zip with another end in its comment": (lambda: zipped(("a", b"x"), comment=b"PK\5\6" + bytes(18)), "directory"),
    "zip with bytes behind its end": (lambda: zipped(("a", b"x")) + b"<script>", "behind its end"),
    "zip that is cut": (lambda: zipped(("a", b"x" * 500))[:-30], "damaged"),
    "zip with a wrong checksum": (
        lambda: zipped(("a", b"data"), method=zipfile.ZIP_STORED).replace(b"data", b"Data"),
        "not what it says",
    ),
    "zip with a bomb in a zip": (lambda: zipped(("a.zip", zipped(("zeros", ZEROS * 12)))), "times its size"),
    "zip with slip in a tar.gz": (lambda: zipped(("a", gzip.compress(tarred(("../evil", b""))))), "leads out"),
    "zips in zips": (lambda: nested(4, lambda inside: zipped(("a.zip", inside))), "more than 3 deep"),
    "gzips in gzips": (lambda: nested(40, gzip.compress), "more than 3 deep"),
    "tars in tars": (lambda: nested(4, lambda inside: tarred(("a.tar", inside))), "more than 3 deep"),
    "zip with a method that is not read": (
        lambda: zipped(("a", b"x" * 99), method=zipfile.ZIP_LZMA),
        "in a way that is not read",
    ),
    "zip with a 7z": (lambda: zipped(("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(99))), "in a way that is not read"),
    "7z": (lambda: b"7z\xbc\xaf\x27\x1c" + bytes(99), "in a way that is not read"),
    "zip behind a picture": (lambda: b"\x89PNG\r\n\x1a\n" + zipped(("a", b"x")), "not where it says"),
    "zip behind a picture that knows": (shifted, "hides entries before its first"),
    "gzip of many streams": (lambda: gzip.compress(b"") * 20_000, "more than 10000 entries"),
    "gzip with bytes behind its end": (lambda: gzip.compress(b"x") + b"<script>", "damaged"),
    "gzip that is cut": (lambda: gzip.compress(bytes(range(256)) * 99)[:-9], "ends too early"),
    "gzip with a wrong checksum": (lambda: gzip.compress(b"data")[:-8] + bytes(8), "damaged"),
    "bzip2 that is damaged": (lambda: bz2.compress(b"data" * 99)[:20] + bytes(99), "damaged"),
    "xz that wants much memory": (lambda: lzma.compress(b"data", preset=9), "of memory"),
    "xz in xz": (lambda: lzma.compress(lzma.compress(b"data")), "inside of an xz"),
    "tar with a symbolic link": (lambda: tarred((of_kind("a", tarfile.SYMTYPE, "/etc"), b"")), "is a link"),
    "tar with a hard link": (lambda: tarred((of_kind("a", tarfile.LNKTYPE, "b"), b"")), "is a link"),
    "tar with a device": (lambda: tarred((of_kind("a", tarfile.CHRTYPE), b"")), "is no file"),
    "tar with a pipe": (lambda: tarred((of_kind("a", tarfile.FIFOTYPE), b"")), "is no file"),
    "tar with a hole": (sparse, "is sparse"),
    "tar with long headers": (endless_pax, "headers of an entry"),
    "tar with a folder that has bytes": (lambda: with_data(tarfile.DIRTYPE), "has bytes"),
    "tar that is cut": (lambda: tarred(("a", b"x" * 9999))[:5000], "ends too early"),
    "tar that is damaged": (lambda: tarred(("a", b"x"), ("b", b"y")).replace(b"b\0\0\0", b"c\0\0\0", 1), "damaged"),
    "tar of many entries": (lambda: tarred(*((f"{at}", b"") for at in range(10_001))), "more than 10000 entries"),
    **{f"zip with {name!r}": (partial(_holding, zipped, name), "in the archive") for name in SLIPS},
    **{f"tar with {name!r}": (partial(_holding, tarred, name), "in the archive") for name in SLIPS},
    "tar of GNU with a long name": (
        lambda: tarred((f"{'a/' * 60}{'../' * 61}evil", b"x"), format=tarfile.GNU_FORMAT),
        "leads out",
    ),
}
