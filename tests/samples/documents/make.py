"""Makes the documents of this folder anew, by the tools that people have. The tests read `documents.tar.xz`.

    apt-get install --no-install-recommends libreoffice-writer libreoffice-calc libreoffice-impress python3-uno qpdf
    pip install cryptography msoffcrypto-tool olefile pillow pypdf reportlab xlsxwriter
    python -m tests.samples.documents.make vbaProject.bin

vbaProject.bin is the one among the examples of XlsxWriter's source: VBA that Excel has written. What no tool here can
write is made of what one has written: the macros of a Word document, of a presentation and of Excel 4.0.
"""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import msoffcrypto.format.ooxml
import olefile
import xlsxwriter
from PIL import Image
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import FreeText
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, TextStringObject
from reportlab.lib import pdfencrypt
from reportlab.pdfgen import canvas
from tests.content.compound_files import compound_file

HERE = Path(__file__).parent


def main(vba: Path) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with xlsxwriter.Workbook(folder / "macro.xlsm") as book:
            book.add_worksheet().write(0, 0, "hello")
            book.add_vba_project(vba)
        subprocess.run(["/usr/bin/python3", HERE / "office.py", folder], check=True)
        office(folder, vba)
        pdfs(folder)
        # In one: they have a font and much else in common, and alone they take three times the room.
        with tarfile.open(HERE / "documents.tar.xz", "w:xz", preset=9) as kept:
            for path in sorted(path for path in folder.iterdir() if path.is_file()):
                kept.add(path, path.name, filter=plain)


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """As if nobody had made it, and at no time."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


# Office files


def office(folder: Path, vba: Path) -> None:
    of_word, of_powerpoint = "ms-word.document", "ms-powerpoint.presentation"
    zip_with_macros(folder / "letter.docx", folder / "macro.docm", vba, "word/document.xml", of_word)
    zip_with_macros(folder / "slides.pptx", folder / "macro.pptm", vba, "ppt/presentation.xml", of_powerpoint)
    for name in ("letter.docx", "table.xlsx"):
        with (folder / name).open("rb") as plain, (folder / f"locked.{name[-4:]}").open("wb") as locked:
            msoffcrypto.format.ooxml.OOXMLFile(plain).encrypt("secret", locked)
    with olefile.OleFileIO(vba) as project:
        macros = {f"Macros/{path}": data for path, data in streams(project).items()}
    with olefile.OleFileIO(folder / "letter.doc") as letter:
        (folder / "macro.doc").write_bytes(compound_file(streams(letter) | macros))
    (folder / "macro.ppt").write_bytes(presentation_with(folder / "slides.ppt", vba.read_bytes()))
    for state, name in enumerate(("shown", "hidden", "very-hidden")):
        (folder / f"excel4-{name}.xls").write_bytes(excel_4(folder / "table.xls", state))


def zip_with_macros(source: Path, target: Path, vba: Path, main: str, kind: str) -> None:
    """As Office lays them out: the part, its type, and what leads to it."""
    folder, name = main.split("/")
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for part in given.namelist():
            text = given.read(part)
            if part == "[Content_Types].xml":
                types = f"\\g<1>application/vnd.{kind}.macroEnabled.main+xml"
                text = re.sub(f'(PartName="/{main}" ContentType=")[^"]*', types, text.decode()).encode()
                text = text.replace(b"</Types>", OVERRIDE % folder.encode() + b"</Types>")
            elif part == f"{folder}/_rels/{name}.rels":
                text = text.replace(b"</Relationships>", RELATION + b"</Relationships>")
            made.writestr(part, text)
        made.write(vba, f"{folder}/vbaProject.bin")


OVERRIDE = b'<Override PartName="/%b/vbaProject.bin" ContentType="application/vnd.ms-office.vbaProject"/>'
RELATION = (
    b'<Relationship Id="rIdVba" Target="vbaProject.bin" '
    b'Type="http://schemas.microsoft.com/office/2006/relationships/vbaProject"/>'
)


def streams(file: olefile.OleFileIO) -> dict[str, bytes]:
    return {"/".join(path): file.openstream(path).read() for path in file.listdir()}


def presentation_with(source: Path, project: bytes) -> bytes:
    """An ExOleObjStgCompressedAtom ([MS-PPT] 2.10.36) behind the others."""
    packed = struct.pack("<I", len(project)) + zlib.compress(project)
    with olefile.OleFileIO(source) as slides:
        parts = streams(slides)
    parts["PowerPoint Document"] += struct.pack("<HHI", 0x0010, 0x1011, len(packed)) + packed
    return compound_file(parts)


def excel_4(source: Path, state: int) -> bytes:
    """The second sheet becomes one of macros: the workbook says so, and the sheet itself."""
    with olefile.OleFileIO(source) as table:
        parts = streams(table)
    book, at, sheets = bytearray(parts["Workbook"]), 0, []
    while True:
        record, size = struct.unpack_from("<HH", book, at)
        if record == 0x0085:
            sheets.append(at + 4)
        if record == 0x000A:
            break
        at += 4 + size
    [place] = struct.unpack_from("<I", book, sheets[1])
    book[sheets[1] + 4 : sheets[1] + 6] = bytes([state, 1])
    book[place + 6 : place + 8] = b"\x40\x00"
    return compound_file(parts | {"Workbook": bytes(book)})


# PDFs


def pdfs(folder: Path) -> None:
    letter = folder / "letter.pdf"
    Image.new("RGB", (40, 30), "teal").save(folder / "picture.pdf")
    report(folder / "report.pdf")
    report(
        folder / "report-locked-for-changes.pdf", pdfencrypt.StandardEncryption("", "owner", canPrint=0, strength=40)
    )
    report(folder / "report-locked.pdf", pdfencrypt.StandardEncryption("secret", "owner", strength=128))
    changes: dict[str, Callable[[PdfWriter], object]] = {
        "javascript": named_script,
        "javascript-on-opening": lambda writer: opening(writer, "JavaScript", JS="app.alert(1)"),
        "javascript-in-a-note": note_with_script,
        "launch": lambda writer: opening(writer, "Launch", F="cmd.exe"),
        "attachment": lambda writer: writer.add_attachment("invoice.xml", b"<invoice/>"),
    }
    for name, change in changes.items():
        writer = PdfWriter(clone_from=letter)
        change(writer)
        writer.write(folder / f"{name}.pdf")
    for name in ("letter", "javascript", "launch", "attachment"):
        qpdf("--object-streams=generate", folder / f"{name}.pdf", folder / f"{name}-packed.pdf")
    for name, words in {"for-changes": [""], "": ["secret"]}.items():
        for source in ("letter", "javascript-packed"):
            target = folder / "-".join(filter(None, (source, "aes-locked", name)))
            locking = ["--encrypt", *words, "owner", "256", "--"]
            qpdf(*locking, folder / f"{source}.pdf", target.with_name(target.name + ".pdf"))
    qpdf("--linearize", letter, folder / "letter-linearized.pdf")
    updated(letter, folder / "letter-updated.pdf", "Text")
    updated(letter, folder / "javascript-updated.pdf", "JavaScript")
    (folder / "letter-behind-junk.pdf").write_bytes(b"\r\n%junk of a mail gateway\r\n" * 20 + letter.read_bytes())
    escaped = (folder / "javascript-on-opening.pdf").read_bytes()
    (folder / "javascript-escaped.pdf").write_bytes(escaped.replace(b"/JavaScript", b"/J#61v#61Script"))


def report(path: Path, lock: pdfencrypt.StandardEncryption | None = None) -> None:
    page = canvas.Canvas(str(path), encrypt=lock)
    page.setTitle("A report")
    page.drawString(100, 700, "About JavaScript, launching, and /EF")
    page.acroForm.textfield(name="name", x=100, y=600)
    page.bookmarkPage("top")
    page.addOutlineEntry("Top", "top")
    page.linkURL("https://example.org/", (100, 690, 200, 710))
    page.showPage()
    page.save()


def qpdf(*words: str | Path) -> None:
    subprocess.run(["qpdf", *words], check=True)


def action(kind: str, **entries: str) -> DictionaryObject:
    made = DictionaryObject({NameObject("/S"): NameObject(f"/{kind}")})
    made.update({NameObject(f"/{key}"): TextStringObject(value) for key, value in entries.items()})
    return made


def opening(writer: PdfWriter, kind: str, **entries: str) -> None:
    writer.root_object[NameObject("/OpenAction")] = writer._add_object(action(kind, **entries))


def named_script(writer: PdfWriter) -> None:
    """In the tree of names, from which all run when the document is opened."""
    script = writer._add_object(action("JavaScript", JS="app.alert(1)"))
    names = DictionaryObject({NameObject("/Names"): ArrayObject([TextStringObject("first"), script])})
    tree = DictionaryObject({NameObject("/JavaScript"): writer._add_object(names)})
    writer.root_object[NameObject("/Names")] = tree


def note_with_script(writer: PdfWriter) -> None:
    note = FreeText(text="a note", rect=(50, 50, 200, 100))
    note[NameObject("/A")] = action("JavaScript", JS="app.alert(1)")
    writer.add_annotation(0, note)


def updated(source: Path, target: Path, kind: str) -> None:
    """What is new stands behind the end of the old."""
    writer = PdfWriter(PdfReader(source), incremental=True)
    if kind == "JavaScript":
        opening(writer, "JavaScript", JS="app.alert(1)")
    else:
        writer.add_annotation(0, FreeText(text="a note", rect=(50, 50, 200, 100)))
    out = io.BytesIO()
    writer.write(out)
    target.write_bytes(out.getvalue())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
