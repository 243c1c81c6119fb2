"""`ArchiveCheck`: what is refused, with what reason, in how much time and memory; and what is not refused."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import shutil
import subprocess
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.content.hostile_archives import (
    HOSTILE,
    LINK,
    SLIPS,
    ZEROS,
    encrypted,
    lying,
    many_entries,
    nested,
    of_kind,
    overlapping,
    quoting,
    tarred,
    with_mode,
    with_wide_end,
    zipped,
)
from tests.intake.receiving import Drive, left_in
from tests.punctual import swift

from uploadkit.content.archives import ArchiveCheck, Unpacked
from uploadkit.errors import FileRefused
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader

NO_LIMITS: dict[str, Any] = {"unpacked_size": None, "ratio": None, "entries": None, "seconds": None}


def measured(data: bytes, **rules: Any) -> Unpacked:
    return ArchiveCheck(**rules).measure(io.BytesIO(data))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused(name: str) -> None:
    """With its reason, in half a second of this thread and 16 MiB of memory, zlib's own included."""
    make, reason = HOSTILE[name]
    staged = io.BytesIO(make())

    def refuse() -> None:
        with pytest.raises(FileRefused, match=reason):
            ArchiveCheck().measure(staged)

    swift(refuse, 0.5)
    tracemalloc.start()
    try:
        refuse()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * 2**20


@pytest.mark.parametrize("name", ["zip bomb", "gzips in gzips", "zip with '../evil'", "zip behind a picture", "7z"])
def test_what_is_refused_leaves_nothing(drive: Drive, tmp_path: Path, name: str) -> None:
    """It is staged and not published, whatever its form holds beside. The sender is told the field and the reason."""
    make, reason = HOSTILE[name]
    for storage in (MemoryStorage(), DiskStorage(tmp_path)):
        form = FormBuilder().file("fine", zipped(("a", b"x")), filename="a.zip").file("file", make(), filename="b")
        with pytest.raises(FileRefused, match=reason) as caught:
            drive(Uploader(storage, check=ArchiveCheck()).any(), form.content_type, [form.body])
        assert (caught.value.status, caught.value.filter, caught.value.field) == (422, "ArchiveCheck", "file")
        assert str(caught.value).startswith("the file in field 'file' was refused: ")
        assert left_in(storage) == []


@pytest.mark.parametrize("make", [overlapping, quoting])
def test_entries_that_overlap_are_refused_without_any_limit(make: Callable[[], bytes]) -> None:
    """Before a byte of them is unpacked."""
    with pytest.raises(FileRefused, match="overlap"):
        measured(make(), **NO_LIMITS)


def deflated_stream(data: bytes) -> bytes:
    """As a writer leaves a zip that cannot go back: sizes stand behind the data."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError("no place")

    out = Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a", "w", force_zip64=True) as entry:
            entry.write(data)
        archive.writestr("b/", b"")
        archive.writestr("b/c", data)
    return out.getvalue()


NOISE = os.urandom(100_000)
FOLDER = (of_kind("b", tarfile.DIRTYPE), b"")

GOOD: dict[str, tuple[Callable[[], bytes], Unpacked]] = {
    "zip": (lambda: zipped(("a", NOISE), ("b/c", b"x" * 999)), Unpacked(entries=2, size=100_999, depth=1)),
    "zip that is stored": (
        lambda: zipped(("a", NOISE), method=zipfile.ZIP_STORED),
        Unpacked(entries=1, size=100_000, depth=1),
    ),
    "zip with bzip2": (
        lambda: zipped(("a", NOISE), method=zipfile.ZIP_BZIP2),
        Unpacked(entries=1, size=100_000, depth=1),
    ),
    "zip of nothing": (lambda: zipped(), Unpacked(entries=0, size=0, depth=1)),
    "zip with a comment": (lambda: zipped(("a", b"x"), comment=b"hello"), Unpacked(entries=1, size=1, depth=1)),
    "zip from a stream": (lambda: deflated_stream(NOISE), Unpacked(entries=3, size=200_000, depth=1)),
    "zip with a record of 64 bits, without need": (
        lambda: with_wide_end(zipped(("a", NOISE)), entries=1),
        Unpacked(entries=1, size=100_000, depth=1),
    ),
    "zip in a zip": (
        lambda: zipped(("a.zip", zipped(("b", NOISE), method=zipfile.ZIP_STORED)), method=zipfile.ZIP_STORED),
        Unpacked(entries=2, size=200_000 + 100, depth=2),
    ),
    "gzip": (lambda: gzip.compress(NOISE), Unpacked(entries=1, size=100_000, depth=1)),
    "gzip of two streams, padded": (
        lambda: gzip.compress(NOISE) + gzip.compress(b"x") + bytes(70_000),
        Unpacked(entries=2, size=100_001, depth=1),
    ),
    "xz": (lambda: lzma.compress(NOISE), Unpacked(entries=1, size=100_000, depth=1)),
    "tar": (lambda: tarred(FOLDER, ("b/a", NOISE)), Unpacked(entries=2, size=100_000, depth=1)),
    "tar of GNU": (
        lambda: tarred(("a/" * 90 + "b", NOISE), format=tarfile.GNU_FORMAT),
        Unpacked(entries=1, size=100_000, depth=1),
    ),
    "tar with long names": (
        lambda: tarred(("ä/" * 90 + "b", NOISE), ("c", b"")),
        Unpacked(entries=2, size=100_000, depth=1),
    ),
    "tar.gz": (lambda: gzip.compress(tarred(("a", NOISE))), Unpacked(entries=2, size=10 * 10_240, depth=2)),
    "tar of nothing": (lambda: tarred(), Unpacked(entries=0, size=0, depth=0)),
    "very packed, and small": (lambda: zipped(("a", ZEROS * 9)), Unpacked(entries=1, size=9 << 20, depth=1)),
    "10,000 entries": (lambda: many_entries(10_000), Unpacked(entries=10_000, size=0, depth=1)),
    "no archive": (lambda: NOISE, Unpacked(entries=0, size=0, depth=0)),
    "text": (lambda: b"PK is how a zip begins, and \x1f\x8b a gzip", Unpacked(entries=0, size=0, depth=0)),
    "nothing": (lambda: b"", Unpacked(entries=0, size=0, depth=0)),
    "dots in names": (
        lambda: zipped(("..a", b""), ("a..", b""), (".hidden/...x", b""), ("a. .b", b"")),
        Unpacked(entries=4, size=0, depth=1),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_archive_is_measured(name: str) -> None:
    """To the byte: nothing of it is refused."""
    make, expected = GOOD[name]
    assert measured(make()) == expected


@pytest.mark.parametrize("block", [1, 7, 511, 513])
def test_the_outcome_does_not_depend_on_how_much_a_read_gives(block: int) -> None:
    """A staged file may give fewer bytes than were asked for."""

    class Short(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 64 * block) if size and size > 64 * block else size)

    data = gzip.compress(tarred(("a", NOISE), ("b", b"x" * 1000)))
    assert ArchiveCheck().measure(Short(data)) == measured(data)


def test_each_limit_is_where_it_says() -> None:
    """What is exactly reached is fine."""
    data = zipped(("a", ZEROS * 11), ("b", b"x"))
    assert measured(data, unpacked_size=(11 << 20) + 1, ratio=None).size == (11 << 20) + 1
    with pytest.raises(FileRefused, match="more than 11 MiB"):
        measured(data, unpacked_size="11 MiB", ratio=None)
    ratio = ((11 << 20) + 1) / len(data)
    assert measured(data, ratio=ratio + 1).entries == 2
    with pytest.raises(FileRefused, match="times its size"):
        measured(data, ratio=ratio - 1)
    assert measured(data, entries=2, ratio=None).entries == 2
    with pytest.raises(FileRefused, match="more than 1 entries"):
        measured(data, entries=1, ratio=None)
    deep = nested(3, gzip.compress)
    assert measured(deep, depth=3).depth == 3
    with pytest.raises(FileRefused, match="more than 2 deep"):
        measured(deep, depth=2)
    with pytest.raises(FileRefused, match="larger than it says"):
        measured(lying(says=100), **NO_LIMITS)
    with pytest.raises(FileRefused, match=r"takes longer than 1e-09 seconds"):
        measured(data, ratio=None, seconds=1e-9)


def test_rules_accept_what_they_name() -> None:
    """And nothing beside."""
    link = zipped((with_mode("a", LINK), b"b"))
    links = tarred((of_kind("a", tarfile.SYMTYPE, "b"), b""), (of_kind("c", tarfile.LNKTYPE, "a"), b""))
    seven = b"7z\xbc\xaf\x27\x1c" + bytes(99)
    lzma_zip = zipped(("a", NOISE), method=zipfile.ZIP_LZMA)
    assert measured(link, links="accept").entries == 1
    assert measured(links, links="accept").entries == 2
    assert measured(encrypted(), encrypted="accept") == Unpacked(entries=1, size=16, depth=1)
    assert measured(seven, unread="accept") == Unpacked(entries=0, size=0, depth=0)
    assert measured(lzma_zip, unread="accept").size == 100_000
    for data, rules in (
        (link, {"encrypted": "accept"}),
        (encrypted(), {"unread": "accept"}),
        (seven, {"links": "accept"}),
    ):
        with pytest.raises(FileRefused):
            measured(data, **rules)
    for name in SLIPS:
        with pytest.raises(FileRefused):
            measured(zipped((with_mode(name, LINK), b"b")), links="accept")


def test_a_name_in_unicode_beside_the_name_is_judged_too() -> None:
    """Info-ZIP's extra field: an unpacker that knows it takes that name."""
    info = zipfile.ZipInfo("harmless")
    path = b"\1" + bytes(4) + b"../evil"
    info.extra = b"\x75\x70" + len(path).to_bytes(2, "little") + path
    with pytest.raises(FileRefused, match="leads out"):
        measured(zipped((info, b"x")))


def test_what_the_storage_raises_goes_on(tmp_path: Path) -> None:
    """A disk that fails is no damage of the archive."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        ArchiveCheck().measure(Failing(b"data"))


@pytest.mark.parametrize(
    "command", ["zip -qr - .", "tar -cf - .", "tar -czf - .", "tar --format=v7 -cf - .", "bzip2 -c a"]
)
def test_archives_of_real_tools_are_good(tmp_path: Path, command: str) -> None:
    """What is installed here is tried."""
    words = command.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"there is no {words[0]}")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").write_bytes(NOISE)
    (tmp_path / "folder" / "b").write_bytes(b"x" * 10_000)
    data = subprocess.run(words, cwd=tmp_path, capture_output=True, check=True).stdout
    assert measured(data).size >= 100_000


def test_wrong_use_is_told_when_the_check_is_made() -> None:
    """With what to write in its place."""
    with pytest.raises(ValueError, match='links is "refuse" or "accept"'):
        ArchiveCheck(links="follow")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="entries is greater than 0, or None"):
        ArchiveCheck(entries=0)
    with pytest.raises(ValueError, match="depth is from 1 to 32"):
        ArchiveCheck(depth=33)
    with pytest.raises(ValueError, match="MB"):
        ArchiveCheck(unpacked_size="much")


@pytest.mark.parametrize(
    "name", ["zip", "zip from a stream", "zip with bzip2", "tar with long names", "tar of GNU", "tar.gz"]
)
@given(data=st.data())
@settings(max_examples=60)
def test_damage_is_refused_and_never_an_error(name: str, data: st.DataObject) -> None:
    """Bytes that were changed, cut out or doubled: an archive is measured or refused, and nothing else is raised."""
    damaged = bytearray(SMALL[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=8))
        damaged = damaged or bytearray(b"P")
    try:
        size = measured(bytes(damaged)).size
    except FileRefused:
        size = 0
    assert size <= 256 * 2**20


SMALL = {
    "zip": zipped(("a", b"x" * 300), ("b/c", b"")),
    "zip from a stream": deflated_stream(b"x" * 300),
    "zip with bzip2": zipped(("a", b"x" * 300), method=zipfile.ZIP_BZIP2),
    "tar with long names": tarred(("ä/" * 90 + "b", b"x" * 300), ("c", b""))[:6144],
    "tar of GNU": tarred(("a/" * 90 + "b", b"x" * 300), format=tarfile.GNU_FORMAT)[:4096],
    "tar.gz": gzip.compress(tarred(("a", b"x" * 300))),
}
