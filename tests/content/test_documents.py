"""`DocumentCheck` and `read_document`: what documents hold that does something, and a reader that is bounded."""

from __future__ import annotations

import asyncio
import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pypdf import PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, StreamObject, TextStringObject
from tests.content.compound_files import compound_file, many_streams
from tests.content.hostile_archives import zipped
from tests.intake.receiving import Drive, left_in

from uploadkit.content.documents import Document, DocumentCheck, Flag, aread_document, read_document
from uploadkit.content.sandbox import Sandbox
from uploadkit.content.sources import Source
from uploadkit.errors import FileRefused
from uploadkit.intake.blocking import receive
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder, assert_no_leaks
from uploadkit.uploader import Uploader

MACROS, JAVASCRIPT, LAUNCH, EMBEDDED, UNREADABLE = Flag


def flags_of(data: bytes) -> set[Flag]:
    return set(read_document(io.BytesIO(data)).flags)


def pdf(change: Callable[[PdfWriter], object] = lambda writer: None) -> bytes:
    """One page, and what `change` makes of it."""
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def action(kind: str, **entries: str) -> DictionaryObject:
    """An action of a PDF."""
    made = DictionaryObject({NameObject("/S"): NameObject(f"/{kind}")})
    for key, value in entries.items():
        made[NameObject(f"/{key}")] = TextStringObject(value)
    return made


def opening(what: DictionaryObject) -> Callable[[PdfWriter], object]:
    """It happens when the document is opened."""

    def change(writer: PdfWriter) -> None:
        writer.root_object[NameObject("/OpenAction")] = writer._add_object(what)

    return change


def on_a_page(writer: PdfWriter) -> None:
    """It happens when a page is shown, and stands in the page itself."""
    writer.pages[0][NameObject("/AA")] = DictionaryObject({NameObject("/O"): action("JavaScript", JS="app.alert(1)")})


def linking(writer: PdfWriter) -> None:
    """To pages about scripts and launching."""
    for page in ("Web/JavaScript/Guide", "Launch", "EmbeddedFiles/EF"):
        writer._add_object(action("URI", URI=f"https://example.org/docs/{page}"))


def launching_afar(writer: PdfWriter) -> None:
    """What kind of action it is stands in an object of its own."""
    launch = action("", F="cmd.exe")
    launch[NameObject("/S")] = writer._add_object(NameObject("/Launch"))
    opening(launch)(writer)


def in_a_form(writer: PdfWriter) -> None:
    """XFA: XML with a script, in two pieces."""
    part = StreamObject()
    part.set_data(b"<template><script>app.alert(1)</script></template>")
    parts = ArrayObject([TextStringObject("template"), writer._add_object(part)])
    writer.root_object[NameObject("/AcroForm")] = DictionaryObject({NameObject("/XFA"): parts})


def locked(password: str) -> Callable[[PdfWriter], object]:
    """Encrypted, with a script inside."""

    def change(writer: PdfWriter) -> None:
        opening(action("JavaScript", JS="app.alert(1)"))(writer)
        writer.encrypt(password, "of the owner", algorithm="RC4-128")

    return change


def packed_script(*, name: bytes = b"/JavaScript", table: bytes = b"<</Type/Nothing>>") -> bytes:
    """A PDF whose script stands in a packed stream of objects: not a word of it can be read in the file."""
    inside = [
        b"<</Type/Catalog/Pages 2 0 R/OpenAction 3 0 R>>",
        b"<</Type/Pages/Kids[]/Count 0>>",
        b"<</S%b/X(app.alert(1))>>" % name,
    ]
    places = [sum(len(each) + 1 for each in inside[:at]) for at in range(3)]
    index = b" ".join(b"%d %d" % pair for pair in zip((1, 2, 3), places, strict=True)) + b" "
    packed = zlib.compress(index + b" ".join(inside))
    out = b"%PDF-1.5\n"
    at_objects = len(out)
    out += b"4 0 obj<</Type/ObjStm/N 3/First %d/Length %d/Filter/FlateDecode>>stream\n" % (len(index), len(packed))
    out += packed + b"\nendstream endobj\n"
    at_other = len(out)
    out += b"6 0 obj" + table + b"endobj\n"
    at_table = len(out)
    rows = [(0, 0, 65535), (2, 4, 0), (2, 4, 1), (2, 4, 2), (1, at_objects, 0), (1, at_table, 0), (1, at_other, 0)]
    listed = b"".join(struct.pack(">BIH", *row) for row in rows)
    out += b"5 0 obj<</Type/XRef/Size 7/W[1 4 2]/Root 1 0 R/Length %d>>stream\n" % len(listed)
    return out + listed + b"\nendstream endobj\nstartxref\n%d\n%%%%EOF" % at_table


def office(*parts: tuple[str, bytes], types: bytes = b"<Types/>") -> bytes:
    """A docx, or one of its kin."""
    return zipped(("[Content_Types].xml", types), ("word/document.xml", b"<document/>"), *parts)


def opendocument(*parts: tuple[str, bytes]) -> bytes:
    """An odt."""
    return zipped(("mimetype", b"application/vnd.oasis.opendocument.text"), ("content.xml", b"<x/>"), *parts)


def doc(**streams: bytes) -> bytes:
    """A text of Word 97 with more streams."""
    return compound_file({"WordDocument": struct.pack("<HH6xH", 0xA5EC, 0xC1, 0), "1Table": b"", **streams})


def xls(*sheets: bytes, name: str = "Workbook", more: Mapping[str, bytes] = MappingProxyType({})) -> bytes:
    """A workbook of Excel 97 of these, each made by `sheet`, with more streams."""
    return compound_file({name: workbook(*sheets), **more})


def workbook(*sheets: bytes, locked: bool = False, end: bool = True, shift: int = 0) -> bytes:
    """The list of sheets, each of which says what it is, and then the sheets. `shift` is a lie about where they are."""
    front = record(0x0809, struct.pack("<HH12x", 0x0600, 0x0005)) + (record(0x002F, bytes(6)) if locked else b"")
    at = len(front) + len(sheets) * len(record(0x0085, bytes(9))) + (4 if end else 0)
    for sheet in sheets:
        front += record(0x0085, struct.pack("<IBB", at + shift, *sheet[:2]) + b"\1\0A")
        at += len(sheet) - 2
    return front + (record(0x000A) if end else b"") + b"".join(sheet[2:] for sheet in sheets)


def sheet(said: int = 0, kind: int = 0x0010, *, state: int = 0) -> bytes:
    """What is said of it in front, and what it says itself: 1 and 0x0040 are one of macros."""
    return bytes([state, said]) + record(0x0809, struct.pack("<HH12x", 0x0600, kind)) + record(0x000A)


def record(kind: int, data: bytes = b"") -> bytes:
    """One of a workbook."""
    return struct.pack("<HH", kind, len(data)) + data


def ppt(*objects: bytes, packed: bool = True) -> bytes:
    """Slides with these compound files in them."""
    stream = struct.pack("<HHI", 0xF, 0x03E8, 0)
    for each in objects:
        data = struct.pack("<I", len(each)) + zlib.compress(each) if packed else each
        stream += struct.pack("<HHI", 0x10 if packed else 0, 0x1011, len(data)) + data
    user = struct.pack("<HHIII", 0, 0x0FF6, 20, 20, 0xE391C05F)
    return compound_file({"Current User": user, "PowerPoint Document": stream})


def renamed(data: bytes, old: str, new: str, *, garbage: bytes = b"") -> bytes:
    """A compound file in which an entry has another name of the same length, with something behind its end."""
    before, after = old.encode("utf-16-le"), new.encode("utf-16-le")
    at = data.index(before)
    return data[:at] + after + b"\0\0" + garbage + data[at + len(before) + 2 + len(garbage) :]


def circling(table: int) -> bytes:
    """An xls of macros with a table that leads back to itself: that of all sectors, or the list of its sectors."""
    data = bytearray(xls(sheet(), more={"_VBA_PROJECT_CUR/VBA/dir": b"x"}))
    if table:
        data[68:72] = struct.pack("<I", 0)  # a sector that is full of it
        data[512:1024] = struct.pack("<128I", *[0] * 128)
        return bytes(data)
    [place] = struct.unpack_from("<I", data, 76)
    data[512 * (place + 1) : 512 * (place + 1) + 4] = struct.pack("<I", 0)
    return bytes(data)


VBA_TYPE = b'<Types><Override ContentType="application/vnd.ms-office.vbaProject"/></Types>'
SHEET = ("word/embeddings/Microsoft_Excel_Sheet.xlsx", b"PK")

DOCUMENTS: dict[str, tuple[Callable[[], bytes], set[Flag]]] = {
    "pdf": (pdf, set()),
    "pdf with a script": (lambda: pdf(opening(action("JavaScript", JS="app.alert(1)"))), {JAVASCRIPT}),
    "pdf with a script on a page": (lambda: pdf(on_a_page), {JAVASCRIPT}),
    "pdf with a script in a form": (lambda: pdf(in_a_form), {JAVASCRIPT}),
    "pdf with a packed script": (packed_script, {JAVASCRIPT}),
    "pdf with a script, locked for changes": (lambda: pdf(locked("")), {JAVASCRIPT}),
    "pdf with a script by another name": (
        lambda: pdf(opening(action("JavaScript", JS="x"))).replace(b"/JavaScript", b"/J#61vaScrip#74"),
        {JAVASCRIPT},
    ),
    "pdf with a script in the open, and no table": (
        lambda: b"%PDF-1.7\n" + b"1 0 obj<</#53 % kind\r\n\t/Java#53cript>>endobj\n" + bytes(99),
        {JAVASCRIPT, UNREADABLE},
    ),
    "pdf with a packed script by another name": (lambda: packed_script(name=b"/J#61vaScrip#74"), {JAVASCRIPT}),
    "pdf with a packed script that no table names": (
        lambda: packed_script()[9:700].partition(b"5 0 obj")[0] + pdf(),
        {JAVASCRIPT},
    ),
    "pdf with a packed script behind an object that is damaged": (
        lambda: packed_script(table=b"[" * 3000),
        {JAVASCRIPT, UNREADABLE},
    ),
    "pdf with more packed than is looked at": (lambda: packed_script(name=b" " * 9 * 2**20), {UNREADABLE}),
    "pdf of deep lists": (lambda: packed_script(name=b"/Nothing" + b"[" * 9000), {UNREADABLE}),
    "pdf with links": (lambda: pdf(linking), set()),
    "pdf whose kind of action is an object": (lambda: pdf(launching_afar), {LAUNCH}),
    "pdf that launches": (lambda: pdf(opening(action("Launch", F="cmd.exe"))), {LAUNCH}),
    "pdf with a file": (lambda: pdf(lambda writer: writer.add_attachment("a.xml", b"<x/>")), {EMBEDDED}),
    "pdf that is encrypted": (lambda: pdf(locked("secret")), {JAVASCRIPT, UNREADABLE}),
    "pdf that is cut": (lambda: b"%PDF-1.7\n1 0 obj", {UNREADABLE}),
    "pdf behind junk": (lambda: b"junk\n" * 10 + pdf(), set()),
    "docx": (office, set()),
    "docm": (lambda: office(("word/vbaProject.bin", b"x"), types=VBA_TYPE), {MACROS}),
    "docm whose macros have another name": (lambda: office(("word/harmless.bin", b"x"), types=VBA_TYPE), {MACROS}),
    "docm whose types are UTF-16": (lambda: office(types=VBA_TYPE.decode().encode("utf-16")), {MACROS}),
    "docm whose types are numbers": (lambda: office(types=VBA_TYPE.replace(b"vba", b"v&#98;&#x61;")), {MACROS}),
    "docm without its type": (lambda: office(("word/VBAPROJECT.BIN", b"x")), {MACROS}),
    "xlsm with macros of Excel 4": (lambda: office(("xl/macrosheets/sheet1.xml", b"<x/>")), {MACROS}),
    "docx with a table": (lambda: office(SHEET), {EMBEDDED}),
    "docx with ActiveX": (lambda: office(("word/activeX/activeX1.bin", b"x")), {EMBEDDED}),
    "docx with an entity": (lambda: office(types=b"<!DOCTYPE x [<!ENTITY a 'vba'>]><Types/>"), {UNREADABLE}),
    "docx with huge types": (lambda: office(types=b" " * (2 << 20)), {UNREADABLE}),
    "docx that is cut": (lambda: office()[:-40], {UNREADABLE}),
    "odt": (opendocument, set()),
    "odt with macros": (lambda: opendocument(("Basic/Standard/Module1.xml", b"<x/>")), {MACROS}),
    "odt with scripts": (lambda: opendocument(("Scripts/python/a.py", b"x")), {MACROS}),
    "odt with an object": (lambda: opendocument(("Object 1/content.xml", b"<x/>")), {EMBEDDED}),
    "docx whose types are in an encoding of old": (
        lambda: office(types=b'<?xml version="1.0" encoding="UTF-7"?><Types/>'),
        {UNREADABLE},
    ),
    "odt that is encrypted": (
        lambda: opendocument(("META-INF/manifest.xml", b"<m:encryption-data/>")),
        {UNREADABLE},
    ),
    "doc": (doc, set()),
    "doc with macros": (lambda: doc(**{"Macros/VBA/dir": b"x"}), {MACROS}),
    "doc with macros in another case": (lambda: renamed(doc(**{"Macros/x": b""}), "Macros", "mAcRoS"), {MACROS}),
    "doc with macros and garbage": (
        lambda: renamed(doc(**{"Macros/x": b""}), "Macros", "Macros", garbage=b"xyz"),
        {MACROS},
    ),
    "doc with an object": (lambda: doc(**{"ObjectPool/_1/\x01Ole10Native": b"x"}), {EMBEDDED}),
    "doc with a workbook with macros": (
        lambda: doc(**{"ObjectPool/_1/Workbook": workbook(sheet(1))}),
        {EMBEDDED, MACROS},
    ),
    "doc that is encrypted": (lambda: compound_file({"WordDocument": struct.pack("<10xH", 0x0100)}), {UNREADABLE}),
    "doc that only tells of macros": (
        lambda: doc(Other=bytes(128) + "x_VBA_PROJECT\0Macros\0".encode("utf-16-le")),
        set(),
    ),
    "doc that is cut": (lambda: doc()[:-700], {UNREADABLE}),
    "docx that is encrypted": (lambda: compound_file({"EncryptionInfo": b"", "EncryptedPackage": b""}), {UNREADABLE}),
    "xls": (lambda: xls(sheet(), sheet(state=1), sheet(0x02, 0x0020)), set()),
    "xls of Excel 95": (lambda: xls(sheet(), name="Book"), set()),
    "xls with macros, far behind": (
        lambda: compound_file({"Workbook": workbook(sheet()), "_VBA_PROJECT_CUR/x": b""}, in_front=bytes(99_999)),
        {MACROS},
    ),
    "xls with macros of Excel 4": (lambda: xls(sheet(), sheet(1, 0x0040)), {MACROS}),
    "xls with macros of Excel 4, hidden": (lambda: xls(sheet(1, 0x0040, state=1)), {MACROS}),
    "xls with macros of Excel 4, very hidden": (lambda: xls(sheet(1, 0x0040, state=2)), {MACROS}),
    "xls with macros of Excel 4, as the list says": (lambda: xls(sheet(1)), {MACROS}),
    "xls with macros of Excel 4, as the sheet says": (lambda: xls(sheet(0, 0x0040)), {MACROS}),
    "xls with macros of Excel 5": (lambda: xls(sheet(6, 0x0006), name="Book"), {MACROS}),
    "xls with an object": (lambda: xls(sheet(), more={"MBD0018A2F0/Ole": b""}), {EMBEDDED}),
    "xls that is encrypted": (lambda: compound_file({"Workbook": workbook(sheet(), locked=True)}), {UNREADABLE}),
    "xls whose macros are encrypted": (
        lambda: compound_file({"Workbook": workbook(sheet(0x77, 0x0040), locked=True)}),
        {MACROS, UNREADABLE},
    ),
    "xls without an end": (lambda: compound_file({"Workbook": workbook(end=False)}), {UNREADABLE}),
    "xls whose sheets are elsewhere": (lambda: compound_file({"Workbook": workbook(sheet(), shift=2)}), {UNREADABLE}),
    "xls whose sheets are nowhere": (
        lambda: compound_file({"Workbook": workbook(sheet(), shift=1 << 30)}),
        {UNREADABLE},
    ),
    "xls with macros, whose table circles": (lambda: circling(0), {MACROS, UNREADABLE}),
    "xls with macros, whose list of tables circles": (lambda: circling(1), {MACROS, UNREADABLE}),
    "doc of many streams": (lambda: many_streams(20_000), set()),
    "xls without a container": (lambda: workbook(sheet()), set()),
    "xls without a container, with macros": (lambda: workbook(sheet(1)), {MACROS}),
    "xls of Excel 4": (lambda: record(0x0409, struct.pack("<HHH", 0, 0x0010, 0)) + record(0x000A), set()),
    "xls of Excel 4 with macros": (
        lambda: record(0x0409, struct.pack("<HHH", 0, 0x0040, 0)) + record(0x000A),
        {MACROS},
    ),
    "xls of Excel 2 with macros": (lambda: record(0x0009, struct.pack("<HH", 2, 0x0040)) + record(0x000A), {MACROS}),
    "xls of Excel 4 with macros behind a sheet": (
        lambda: b"".join(record(0x0409, struct.pack("<HHH", 0, kind, 0)) + record(0x000A) for kind in (0x0100, 0x0040)),
        {MACROS},
    ),
    "ppt": (ppt, set()),
    "ppt with macros": (lambda: ppt(compound_file({"VBA/dir": b"x", "PROJECT": b""})), {MACROS}),
    "ppt with macros, not packed": (lambda: ppt(compound_file({"VBA/dir": b"x"}), packed=False), {MACROS}),
    "ppt with a table": (lambda: ppt(xls(sheet())), {EMBEDDED}),
    "ppt with a table that has macros": (lambda: ppt(doc(), xls(sheet(), more={"VBA/x": b""})), {EMBEDDED, MACROS}),
    "ppt with no object, but such bytes": (lambda: ppt(b"no compound file"), set()),
    "ppt with a bomb": (lambda: ppt(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(70 << 20)), {UNREADABLE}),
    "ppt that is encrypted": (
        lambda: compound_file({"Current User": struct.pack("<12xI", 0xF3D1C4DF)}),
        {UNREADABLE},
    ),
    "rtf": (lambda: b"{\\rtf1 hello}", set()),
    "rtf with an object": (lambda: b"{\\rtf1 " + b"x" * 65_524 + b"{\\object\\objemb{\\*\\objdata 01}}}", {EMBEDDED}),
    "word in one XML": (lambda: b'<?xml?><?mso-application progid="Word.Document"?><w:t>module</w:t>', set()),
    "word in one XML with macros": (
        lambda: b'<?mso-application progid="Word.Document"?>' + bytes(70_000) + b'<w:binData w:name="editdata.mso">',
        {MACROS},
    ),
    "word in one XML with macros, as numbers": (
        lambda: (
            b'<?mso-application progid="Word.Document"?><part type="application/vnd.ms-office.&#x0076;&#98;aProject">'
        ),
        {MACROS},
    ),
    "web page with macros": (lambda: b"MIME-Version: 1.0\r\n\r\nQWN0aXZlTWltZQAAAfAEAAAA", {MACROS}),
    "letter by mail": (lambda: b"MIME-Version: 1.0\r\n\r\nThe C++ is: import :module", set()),
    "odt in one XML with macros, UTF-16": (
        lambda: '<o:document xmlns:o="urn:oasis:names:tc:opendocument"><z:module z:name="M">'.encode("utf-16"),
        {MACROS},
    ),
    "XML": (lambda: b"<?xml?><project><module>uploads</module></project>", set()),
    "zip": (lambda: zipped(("a", b"x")), set()),
    "text": (lambda: b"hello", set()),
    "nothing": (lambda: b"", set()),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_a_document_holds_is_flagged(name: str) -> None:
    """That, and nothing else."""
    make, flags = DOCUMENTS[name]
    assert flags_of(make()) == flags


def test_pages_and_title_of_a_pdf_are_read() -> None:
    """The title is printable and short, whatever its author wrote."""

    def change(writer: PdfWriter) -> None:
        writer.add_blank_page(100, 100)
        writer.add_metadata({"/Title": "A\x1b[2J\nreport " + "x" * 500})

    found = read_document(io.BytesIO(pdf(change)))
    assert (found.pages, found.flags) == (2, frozenset())
    assert found.title is not None
    assert found.title.startswith("A [2J report xxx")
    assert len(found.title) == 200
    assert read_document(io.BytesIO(pdf())).title is None


def test_a_flag_is_refused_by_its_rule(drive: Drive) -> None:
    """The sender is told what it is, and nothing is left. What is accepted comes in."""

    def sent(data: bytes, **rules: Any) -> MemoryStorage:
        storage = MemoryStorage()
        form = FormBuilder().file("file", data, filename="a")
        try:
            drive(Uploader(storage, check=DocumentCheck(**rules)).any(), form.content_type, [form.body])
        except FileRefused:
            assert left_in(storage) == []
            raise
        return storage

    for name, reason in (("docm", "has macros"), ("docx that is cut", "is damaged or encrypted")):
        with pytest.raises(FileRefused, match=f"the document in field 'file' {reason}") as caught:
            sent(DOCUMENTS[name][0]())
        assert (caught.value.status, caught.value.filter) == (422, "DocumentCheck")
    script = DOCUMENTS["pdf with a script"][0]()
    with pytest.raises(FileRefused, match="has JavaScript"):
        sent(script)
    assert len(left_in(sent(script, javascript="accept"))) == 1
    assert len(left_in(sent(DOCUMENTS["docm"][0](), macros="accept"))) == 1
    assert len(left_in(sent(office(SHEET)))) == 1
    with pytest.raises(FileRefused, match="has files embedded"):
        sent(office(SHEET), embedded="refuse")
    assert len(left_in(sent(b"no document"))) == 1


@pytest.mark.needs("linux")
@pytest.mark.parametrize(
    ("inside", "limits"),
    [
        (b"/Nothing[" + b"0 " * 3_000_000 + b"]", {"cpu_seconds": 0.1}),
        (b"/Nothing" + b" " * 40 * 2**20, {"memory": "24 MiB"}),
        (b"/Nothing", {"seconds": 0.001}),
    ],
    ids=["processor", "memory", "time"],
)
def test_a_reader_that_takes_too_much_is_ended(inside: bytes, limits: dict[str, Any]) -> None:
    """The document is unreadable, this process is well, and the next document is read by another child. What stands in
    the open is told all the same: who accepts what cannot be read still refuses scripts.
    """
    hostile = packed_script(name=inside) + b"\n9 0 obj<</S/JavaScript>>endobj"
    sandbox = Sandbox(processes=1, **limits)
    with assert_no_leaks():
        found = read_document(io.BytesIO(hostile), sandbox=sandbox).flags
        if "seconds" in limits:  # within that not even a child starts
            assert found == {UNREADABLE}
        else:
            assert found == {JAVASCRIPT, UNREADABLE}
            assert read_document(io.BytesIO(pdf()), sandbox=sandbox) == Document(pages=1)
        sandbox.close()


class TakenOver(Sandbox):
    """Its children say whatever they like."""

    def __init__(self, answer: object) -> None:
        super().__init__(processes=1)
        self._answer = answer

    def call(self, function: str, arguments: Mapping[str, Any], files: Sequence[int] = ()) -> Any:
        return self._answer


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"flags": None}, {"flags": ["harmless"]}, {"flags": [["macros"]]}, {"flags": [], "pages": "\x1b"}],
    ids=repr,
)
def test_a_child_that_was_taken_over_is_not_believed_much(answer: object) -> None:
    """What is no answer is a document that cannot be read; a number is one, and a title is printable."""
    found = read_document(io.BytesIO(pdf()), sandbox=TakenOver(answer))
    if answer != {"flags": [], "pages": "\x1b"}:
        assert found == Document(flags=frozenset({UNREADABLE}))
    assert found.pages is None
    lied = read_document(io.BytesIO(pdf()), sandbox=TakenOver({"flags": [], "title": "\x1b]0;" + "x" * 10**6}))
    assert lied.title == " ]0;" + "x" * 196


def test_documents_are_read_by_few_processes_that_stay() -> None:
    """However many come at once, and of whatever kind."""
    sandbox = Sandbox(processes=2)
    kinds = [pdf(), packed_script(), xls(sheet(1)), b"{\\rtf1 \\objdata"]
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda at: read_document(io.BytesIO(kinds[at % 4]), sandbox=sandbox).flags, range(40))]
    assert found == [set(), {JAVASCRIPT}, {MACROS}, {EMBEDDED}] * 10
    assert 1 <= len(sandbox.pids) <= 2
    sandbox.close()


def test_a_document_is_read_wherever_it_is(tmp_path: Path) -> None:
    """A file, a path, what was uploaded to a disk and to a storage without files: each by both twins."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf())
    form = FormBuilder().file("file", pdf(), filename="a.pdf")
    uploaded = [
        receive(Uploader(storage).single("file"), form.content_type, [form.body])
        for storage in (DiskStorage(tmp_path / "uploads"), MemoryStorage())
    ]
    with path.open("rb") as file:
        file.seek(7)
        sources: list[Source] = [file, io.BytesIO(pdf()), path, str(path), *uploaded]
        for source in sources:
            assert read_document(source) == asyncio.run(aread_document(source)) == Document(pages=1)


def test_without_pypdf_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the check is made, not at the first PDF."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"needs pypdf: pip install 'pyuploadkit\[documents\]'"):
        DocumentCheck()


def test_wrong_use_is_told_when_the_check_is_made() -> None:
    """With what to write in its place."""
    with pytest.raises(ValueError, match='macros is "refuse" or "accept"'):
        DocumentCheck(macros="strip")  # type: ignore[arg-type]
