"""Filters, checks and names of your own. Run it: python examples/rules.py"""

from __future__ import annotations

from uploadkit import (
    DOCUMENTS,
    File,
    FileRefused,
    IncomingFile,
    Limits,
    MemoryStorage,
    SenderError,
    Text,
    Uploader,
    receive,
)
from uploadkit.testing import FormBuilder


def not_a_draft(file: IncomingFile) -> bool:
    """A filter is asked when a file's first bytes are there, and says True or False. It may be async under ASGI."""
    return not file.filename.startswith("draft")


class NoSecrets:
    """A check sees every byte as it passes. One that has `examine(file, staged)` reads the whole staged file."""

    def begin(self, file: IncomingFile) -> Search:
        return Search(file.field)


class Search:
    def __init__(self, field: str) -> None:
        self.field = field
        self.tail = b""

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        window = self.tail + bytes(data)
        if b"SECRET" in window:
            raise FileRefused("the file holds a secret", field=self.field, filter="secrets")
        self.tail = window[-5:]

    def end(self) -> None:
        pass


upload = Uploader(MemoryStorage(), limits=Limits(file_size="5 MB", files=10), filter=not_a_draft)
report = upload.fields(
    File("report", required=True, accept=DOCUMENTS, check=NoSecrets()),
    File("annex", max_count=3, max_size="1 MB", filename=lambda file: f"annexes/{file.id}/{file.filename}"),
    Text("title", required=True, max_length=80),
)


def main() -> None:
    for text, name in ((b"all is well\n", "report.txt"), (b"a SECRET\n", "report.txt"), (b"not yet\n", "draft.txt")):
        form = FormBuilder().text("title", "July").file("report", text, filename=name)
        form.file("annex", b"1;2\n", filename="table.csv")
        try:
            submission = receive(report, form.content_type, [form.body])
        except SenderError as error:
            print(error.status, error.code, error)
        else:
            print(submission.fields["title"], [file.filename for file in submission.files])


if __name__ == "__main__":
    main()
