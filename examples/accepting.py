"""Which files come in: types, a filter, a check. Run it: python examples/accepting.py"""

from __future__ import annotations

import zipfile
from typing import BinaryIO

from uploadkit import (
    DOCUMENTS,
    IMAGES,
    File,
    FileRefused,
    IncomingFile,
    MemoryStorage,
    SenderError,
    Uploader,
    receive,
)
from uploadkit.testing import FormBuilder


def of_this_year(file: IncomingFile) -> bool:
    """A filter: it sees the names, the types, the first 8 KiB, and the text values that came before the file."""
    return ("year", "2026") in file.fields


class FewEntries:
    """A check of the whole file, before it is published."""

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        try:
            with zipfile.ZipFile(staged) as archive:
                if len(archive.infolist()) > 100:
                    raise FileRefused("the archive has more than 100 entries", field=file.field, filter="entries")
        except zipfile.BadZipFile as error:
            raise FileRefused("the archive is damaged", field=file.field, filter="entries") from error


upload = Uploader(MemoryStorage())
claim = upload.fields(
    File("photo", accept=IMAGES),  # a group
    File("invoice", accept=["application/pdf", ".docx"], filter=of_this_year),  # a type, and what an extension means
    File("proofs", accept="application/zip", check=FewEntries()),
    File("notes", accept=[DOCUMENTS, IMAGES]),
)

PDF = b"%PDF-1.7\n"


def main() -> None:
    for form in (
        FormBuilder().text("year", "2026").file("invoice", PDF, filename="invoice.pdf"),
        FormBuilder().text("year", "2019").file("invoice", PDF, filename="invoice.pdf"),
        FormBuilder().file("photo", PDF, filename="photo.jpg", content_type="image/jpeg"),
        FormBuilder().file("notes", PDF, filename="notes.txt"),
        FormBuilder().file("notes", b"<svg xmlns='http://www.w3.org/2000/svg'/>", filename="drawing.svg"),
        FormBuilder().file("proofs", b"PK\x03\x04 and no more", filename="proofs.zip"),
    ):
        try:
            [file] = receive(claim, form.content_type, [form.body]).files
        except SenderError as error:
            print(error.status, error)
        else:
            print("stored", file.filename, file.content_type)


if __name__ == "__main__":
    main()
