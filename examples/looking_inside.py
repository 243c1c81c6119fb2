"""What archives and documents hold, before they are published. Run it: python examples/looking_inside.py"""

from __future__ import annotations

import io
import zipfile

from uploadkit import File, MemoryStorage, SenderError, Uploader, receive
from uploadkit.content.archives import ArchiveCheck
from uploadkit.content.documents import DocumentCheck, read_document
from uploadkit.testing import FormBuilder

upload = Uploader(MemoryStorage())
claim = upload.fields(
    File("photos", accept=".zip", check=ArchiveCheck(unpacked_size="1 GiB", entries=500, depth=1)),
    File("letter", accept=[".pdf", ".docx", ".docm"], check=[ArchiveCheck(), DocumentCheck(embedded="refuse")]),
    File("backup", check=ArchiveCheck(links="accept", encrypted="accept")),
)


def zipped(**entries: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


BOMB = zipped(zeros=bytes(20_000_000))
SLIP = zipped(**{"../../.ssh/authorized_keys": b"ssh-ed25519 AAAA"})
MACROS = zipped(**{"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w/>", "word/vbaProject.bin": b"Sub"})
PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>>>endobj
2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj
trailer<</Root 1 0 R/Size 3>>
startxref
0
%%EOF
"""


def main() -> None:
    for form in (
        FormBuilder().file("photos", zipped(one=b"a picture", two=b"another"), filename="photos.zip"),
        FormBuilder().file("photos", BOMB, filename="photos.zip"),
        FormBuilder().file("photos", zipped(more=zipped(one=b"a picture")), filename="photos.zip"),
        FormBuilder().file("backup", SLIP, filename="backup.zip"),
        FormBuilder().file("letter", MACROS, filename="letter.docm"),
        FormBuilder().file("letter", PDF, filename="letter.pdf"),
    ):
        try:
            [file] = receive(claim, form.content_type, [form.body]).files
        except SenderError as error:
            print(error.status, error)
        else:
            print("stored", file.filename, file.size)

    found = read_document(io.BytesIO(PDF))
    print(found.pages, sorted(flag.value for flag in found.flags))


if __name__ == "__main__":
    main()
