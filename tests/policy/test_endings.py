"""What the last bytes of a file say against the first: archives at the end of something else, scripts, and directories
of zip archives. The archives are made by `zipfile`, which knows nothing of the code here.
"""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadkit.errors import FileRefused
from uploadkit.policy.accept import Accept, resolve
from uploadkit.policy.endings import END_SIZE, ZIP_END_SIZE, Ending, check_ending, end_size
from uploadkit.policy.filters import IncomingFile
from uploadkit.policy.media_types import EXTENSIONS, OCTET_STREAM
from uploadkit.policy.signatures import HEAD_SIZE
from uploadkit.testing import SAMPLE_TYPES, sample

OFFICE = "application/vnd.openxmlformats-officedocument."
DOCX, XLSX = OFFICE + "wordprocessingml.document", OFFICE + "spreadsheetml.sheet"
PPTX = OFFICE + "presentationml.presentation"
DOTX = OFFICE + "wordprocessingml.template"
DOCM = "application/vnd.ms-word.document.macroenabled.12"
ODT = "application/vnd.oasis.opendocument.text"
PDF, DOC = "application/pdf", "application/msword"
ZIP, JAR, EPUB = "application/zip", "application/java-archive", "application/epub+zip"
APK = "application/vnd.android.package-archive"
EVERY_TYPE = Accept(frozenset({*EXTENSIONS, OCTET_STREAM}))

LONG = ("first.bin", bytes(3 * HEAD_SIZE))
"""An entry behind which nothing is seen of the others."""

TYPES = ("[Content_Types].xml", b"?")
WORD = ("word/document.xml", b"?")
MACROS = ("word/vbaProject.bin", b"?")


PNG = b"\x89PNG\r\n\x1a\n" + bytes(20_000)


PDF_BYTES = b"%PDF-1.7\n" + bytes(20_000) + b"%%EOF\n"
DOC_BYTES = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(20_000)


def zipped(
    *entries: tuple[str, bytes], comment: bytes = b"", mode: str = "w", before: bytes = b"", disks: int = 1
) -> bytes:
    """A zip archive. In mode "a" it is put behind what was there before, and knows it. Of more than one disk it is the
    last."""
    held = io.BytesIO(before)
    with zipfile.ZipFile(held, mode) as archive:  # type: ignore[call-overload]  # the modes that it knows
        archive.comment = comment
        for name, data in entries:
            archive.writestr(name, data)
    whole = held.getvalue()
    end = len(whole) - len(comment) - 22
    return whole[: end + 4] + struct.pack("<HH", disks - 1, disks - 1) + whole[end + 8 :]


def zip_of_a_pipe(*entries: tuple[str, bytes]) -> bytes:
    """As `zip a.zip -` writes it: with a record of 64 bits, and every number in the one of 32 bits all the same."""
    data = zipped(*entries)
    end = data.rfind(b"PK\5\6")
    count, size, offset = struct.unpack_from("<HLL", data, end + 10)
    wide = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    return data[:end] + wide + locator + data[end:]


def zip_of_nothing_behind(data: bytes) -> bytes:
    """An end without entries, which knows its place."""
    return data + struct.pack("<4s8xLLH", b"PK\5\6", 0, len(data), 0)


def incoming(data: bytes, content_type: str) -> IncomingFile:
    """As a filter sees it."""
    return IncomingFile(
        id="1",
        field="f",
        filename="x",
        client_filename="x",
        content_type=content_type,
        declared_type=None,
        head=data[:HEAD_SIZE],
    )


def judge(data: bytes, content_type: str, *, chunk_size: int = 2**16) -> None:
    """A file that was found to be of this type by its first bytes, and then all of it passed in chunks."""
    file = incoming(data, content_type)
    size = end_size(file, EVERY_TYPE)
    if not size:
        return
    ending = Ending(size)
    for at in range(0, len(data), chunk_size):
        ending.feed(memoryview(data)[at : at + chunk_size])
    ending.check(file)


AGREEING = {
    "zip": (zipped(LONG, ("a.txt", b"a")), ZIP),
    "zip with a comment": (zipped(("a.txt", b"a"), comment=b"c" * 65_535), ZIP),
    "zip, cut before its directory": (zipped(LONG)[: 2 * HEAD_SIZE], ZIP),
    "zip of a pipe, by Info-ZIP": (zip_of_a_pipe(("-", b"hi")), ZIP),
    "zip of nothing": (b"PK\5\6" + bytes(18), ZIP),
    "zip with a folder called word": (zipped(LONG, ("word/list.xml", b"a")), ZIP),
    "zip of more entries than are seen": (zipped(*[(f"{number:0200}", b"") for number in range(3000)]), ZIP),
    "docx": (zipped(TYPES, WORD, LONG), DOCX),
    "docx, its parts last": (zipped(LONG, TYPES, WORD), DOCX),
    "dotx, whose names are those of a document": (zipped(TYPES, WORD, LONG), DOTX),
    "docm with its macros last": (zipped(TYPES, WORD, LONG, MACROS), DOCM),
    "docm without macros": (zipped(TYPES, WORD, LONG), DOCM),
    "pptx of many pictures, whose parts are named first": (
        zipped(LONG, TYPES, ("ppt/presentation.xml", b"?"), *[(f"ppt/{number:0200}", b"") for number in range(999)]),
        PPTX,
    ),
    "docx with a workbook in it": (zipped(TYPES, WORD, ("word/embeddings/a.xlsx", zipped(TYPES))), DOCX),
    "odt": (zipped(("mimetype", ODT.encode()), LONG, ("content.xml", b"?")), ODT),
    "epub": (zipped(("mimetype", EPUB.encode()), LONG, ("META-INF/container.xml", b"?")), EPUB),
    "pdf with an archive in it": (b"%PDF-1.7\n" + bytes(HEAD_SIZE) + zipped(WORD) + b"\nendstream\n%%EOF\n", PDF),
    "doc with an archive in it": (DOC_BYTES + zipped(WORD) + bytes(300), DOC),
    "pdf about scripts": (b"%PDF-1.7\n" + bytes(HEAD_SIZE) + b"(<script >) Tj\n%%EOF\n", PDF),
    "a text about scripts": (b"words " * 2000 + b"<script src='a.js'>", "text/plain"),
    "svg with a script, which is taken by name alone": (b"<svg>" + b" " * 9000 + b"<script >", "image/svg+xml"),
    "a program that unpacks itself": (
        b"MZ" + bytes(HEAD_SIZE) + zipped(WORD),
        "application/vnd.microsoft.portable-executable",
    ),
    "tar with a zip in it": (bytes(HEAD_SIZE) + zipped(WORD), "application/x-tar"),
    "jpeg with the letters of an archive by chance": (
        b"\xff\xd8\xff\xe0" + bytes(20_000) + b"PK\5\6" + b"\xa5" * 40_000,
        "image/jpeg",
    ),
    "mp4 in which the letters of a record stand by chance": (
        b"\0\0\0\x10ftypisom" + bytes(20_000) + b"PK\5\6" + b"\1\2\3\4\5\6\7\0\x10\x20\0\0" + bytes(900),
        "video/mp4",
    ),
    "jpeg with another behind it": (b"\xff\xd8\xff\xe0" + bytes(20_000) + b"\xff\xd8\xff\xe1", "image/jpeg"),
}  # fmt: skip


@pytest.mark.parametrize("name", AGREEING)
def test_a_file_whose_end_agrees_comes_in(name: str) -> None:
    """Whole files as programs write them, and what is embedded in them."""
    judge(*AGREEING[name])


@pytest.mark.parametrize("content_type", SAMPLE_TYPES)
@pytest.mark.parametrize("size", [None, 300_000])
def test_a_sample_of_every_type_comes_in(content_type: str, size: int | None) -> None:
    """Those of the testing kit, small and large."""
    judge(sample(content_type) if size is None else sample(content_type, size=size), content_type)


DISAGREEING = {
    "docx in a zip's clothes": (zipped(LONG, TYPES, WORD), ZIP, DOCX),
    "jar in a zip's clothes": (zipped(LONG, ("META-INF/MANIFEST.MF", b"?")), ZIP, JAR),
    "docx with macros at its end": (zipped(TYPES, WORD, LONG, MACROS), DOCX, DOCM),
    "dotx with macros at its end": (zipped(TYPES, WORD, LONG, MACROS), DOTX, DOCM),
    "docx that is a workbook by its directory": (zipped(LONG, TYPES, ("xl/workbook.xml", b"?")), DOCX, XLSX),
    "a zip that is called docx": (zipped(LONG, ("a.txt", b"a")), DOCX, ZIP),
    "a zip without a directory that is called docx": (zipped(LONG)[: 2 * HEAD_SIZE], DOCX, ZIP),
    "docx with a jar behind it": (
        zipped(TYPES, WORD, LONG) + zipped(("META-INF/MANIFEST.MF", b"?")),
        DOCX,
        DOCX,
    ),
    "docx with an end that says that there is nothing": (
        zip_of_nothing_behind(zipped(TYPES, WORD, LONG, MACROS)),
        DOCX,
        DOCX,
    ),
    "docx with another behind it that knows its place": (
        zipped(TYPES, WORD, before=b"PK\3\4" + bytes(20_000), mode="a"),
        DOCX,
        DOCX,
    ),
    "png with an archive behind it": (b"\x89PNG\r\n\x1a\n" + bytes(20_000) + zipped(WORD), "image/png", "image/png"),
    "gif with an archive and a comment behind it": (
        b"GIF89a" + bytes(20_000) + zipped(WORD, comment=b"c" * 65_535),
        "image/gif",
        "image/gif",
    ),
    "mp4 with an archive and more behind it": (
        b"\0\0\0\x10ftypisom" + bytes(20_000) + zipped(WORD) + bytes(1000),
        "video/mp4",
        "video/mp4",
    ),
    "mp3 with PHP behind it": (b"ID3\4" + bytes(20_000) + b"<?php system(1)", "audio/mpeg", "audio/mpeg"),
    "jpeg with a script behind it": (b"\xff\xd8\xff\xe0" + bytes(90_000) + b"<SCRIPT>", "image/jpeg", "image/jpeg"),
    "pdf with an archive behind it": (
        b"%PDF-1.7\n" + bytes(20_000) + b"%%EOF" + zipped(WORD),
        PDF,
        PDF,
    ),
    "pdf with an archive and a line behind it": (PDF_BYTES + zipped(WORD) + b"\n", PDF, PDF),
    "pdf with an archive behind it whose comment is said to be longer": (
        PDF_BYTES + zipped(WORD)[:-2] + b"\1\0",
        PDF,
        PDF,
    ),
    "doc with an archive behind it whose comment is said to be longer": (
        DOC_BYTES + zipped(WORD)[:-2] + b"\1\0",
        DOC,
        DOC,
    ),
    "a text with an archive and a line behind it": (
        b"a,b\nc,d\n" * 3000 + zipped(WORD) + b"\n",
        "text/csv",
        "text/csv",
    ),
    "pdf with PHP behind it": (
        b"%PDF-1.7\n" + bytes(20_000) + b"%%EOF\n<?php system(1)",
        PDF,
        PDF,
    ),
    **{
        f"png with {markup!r} behind it": (PNG + markup, "image/png", "image/png")
        for markup in (
            b"<svg onload=alert(1)>",
            b"<svg/onload=alert(1)>",
            b"<svg\fonload=alert(1)>",
            b"<h1 id=a onclick=alert(1)>",
            b"<img src='a'onerror=alert(1)>",
            b"<animateTransform onbegin=alert(1)>",
        )
    },
    "a picture with an archive that says it is of two disks": (PNG + zipped(WORD, disks=2), "image/png", "image/png"),
    "a picture with an archive whose comment begins like its end": (
        PNG + zipped(WORD, comment=b"PK\5\6"),
        "image/png",
        "image/png",
    ),
    "a picture with an archive whose comment looks like its end": (
        PNG + zipped(WORD, comment=b"PK\5\6" + b"x" * 40),
        "image/png",
        "image/png",
    ),
    "a text with an archive behind it": (b"a,b\nc,d\n" * 3000 + zipped(WORD), "text/csv", "text/csv"),
}

CHUNK_SIZES = [1000, 2**16, 2**30]


@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
@pytest.mark.parametrize("name", DISAGREEING)
def test_a_file_whose_end_says_something_else_is_refused(name: str, chunk_size: int) -> None:
    """With what was found, and in whatever chunks it came."""
    data, content_type, detected = DISAGREEING[name]
    with pytest.raises(FileRefused) as refused:
        judge(data, content_type, chunk_size=chunk_size)
    assert (refused.value.status, refused.value.filter, refused.value.detected) == (415, "accept", detected)


@cache
def late_jar() -> bytes:
    """It has more entries than 16 bits can count, and the last of them tells what it is. It takes a second to make."""
    return zipped(*[(str(number), b"") for number in range(70_000)], ("META-INF/MANIFEST.MF", b"?"))


def test_a_directory_of_64_bits_is_read() -> None:
    """To its last entry."""
    with pytest.raises(FileRefused, match="java-archive by its directory"):
        judge(late_jar(), ZIP)


@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
def test_an_archive_of_64_bits_behind_a_picture_is_found(chunk_size: int) -> None:
    """As a smaller one is."""
    with pytest.raises(FileRefused) as refused:
        judge(b"\x89PNG\r\n\x1a\n" + late_jar(), "image/png", chunk_size=chunk_size)
    assert (refused.value.status, refused.value.filter, refused.value.detected) == (415, "accept", "image/png")


def test_what_is_signed_for_android_begins_like_a_jar() -> None:
    """Its manifest names each file, so that nothing else may be in the head. The directory has the rest."""
    manifest = ("META-INF/MANIFEST.MF", bytes(2 * HEAD_SIZE))
    accept = Accept.of(".apk")
    apk = zipped(manifest, ("AndroidManifest.xml", b"?"))
    assert resolve(apk[:HEAD_SIZE], field="f", filename="a.apk", accept=accept) == APK
    judge(apk, APK)
    with pytest.raises(FileRefused) as refused:
        judge(zipped(manifest, ("A.class", b"?")), APK)
    assert refused.value.detected == JAR
    with pytest.raises(FileRefused):
        resolve(apk[:HEAD_SIZE], field="f", filename="a.docx", accept=Accept.of(".docx"))


def test_a_place_beyond_4_gib_may_be_written_in_32_bits() -> None:
    """macOS cuts it off, and needs no other record to find its way."""
    archive = zipped(LONG, ("a.txt", b"a"))
    check_ending(incoming(archive, ZIP), archive, len(archive) + 2**32)
    with pytest.raises(FileRefused):
        check_ending(incoming(archive, ZIP), archive, len(archive) + 2**31)


def test_nothing_is_looked_at_where_nothing_was_demanded() -> None:
    """Without `accept`, and of types whose end says nothing."""
    data = b"\x89PNG\r\n\x1a\n" + zipped(WORD)
    assert end_size(incoming(data, "image/png"), None) == 0
    assert end_size(incoming(data, OCTET_STREAM), EVERY_TYPE) == 0
    assert end_size(incoming(data, "image/png"), EVERY_TYPE) == END_SIZE
    assert end_size(incoming(data, DOCX), EVERY_TYPE) == ZIP_END_SIZE


def test_a_name_is_believed_until_the_directory_is_there() -> None:
    """What a zip is may stand behind the head. Where all of it is in the head, nothing more can come."""
    accept = Accept.of(".docx")
    assert resolve(zipped(LONG)[:HEAD_SIZE], field="f", filename="a.docx", accept=accept) == DOCX
    with pytest.raises(FileRefused) as refused:
        resolve(zipped(("a.txt", b"a")), field="f", filename="a.docx", accept=accept)
    assert refused.value.detected == ZIP
    with pytest.raises(FileRefused):
        resolve(zipped(LONG)[:HEAD_SIZE], field="f", filename="a.zip", accept=accept)


@given(
    blocks=st.lists(st.binary(max_size=40), max_size=30),
    size=st.integers(min_value=1, max_value=100),
)
def test_an_ending_holds_the_last_bytes(blocks: list[bytes], size: int) -> None:
    """All of them, whatever the chunks, and never many more."""
    ending = Ending(size)
    for block in blocks:
        ending.feed(block)
    held, whole = bytes(ending._held), b"".join(blocks)
    assert whole.endswith(held)
    assert len(held) >= min(size, len(whole))
    assert len(held) < 2 * size


def test_bytes_that_drip_take_no_more_memory() -> None:
    """Each piece would have a header of its own, larger than what is in it."""
    size = 4096
    ending = Ending(size)
    tracemalloc.start()
    try:
        for number in range(2 * size):
            ending.feed(number.to_bytes(3))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * size  # with headers it is seventy times; other threads of the tests have something, too


@given(data=st.binary(max_size=300), content_type=st.sampled_from([ZIP, DOCX, "image/png", PDF]))
def test_no_bytes_break_it(data: bytes, content_type: str) -> None:
    """Whatever stands where lengths and places are read: the file comes in, or is refused."""
    for ending in (data, zipped(WORD) + data, b"PK\1\2" + data + b"PK\5\6" + bytes(8) + data[:14].ljust(14, b"\xff")):
        with suppress(FileRefused):
            check_ending(incoming(ending, content_type), ending[-END_SIZE:], len(ending))
