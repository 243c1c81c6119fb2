"""Limits, said once and for one field. Run it: python examples/setting_limits.py"""

from __future__ import annotations

from uploadkit import File, LimitExceeded, Limits, MemoryStorage, Text, Uploader, receive
from uploadkit.testing import FormBuilder

upload = Uploader(
    MemoryStorage(),
    limits=Limits(
        file_size="10 MB",  # one file
        files_size="40 MB",  # all files of a form
        body_size="41 MB",  # the request: the files, and a little more for the rest
        files=5,
        field_size="20 KB",  # one text value
    ),
)
application = upload.fields(
    File("portrait", required=True, max_size="500 KB"),  # in place of file_size
    File("annex", max_count=4),
    Text("letter", max_length=5000),  # in characters
)


def main() -> None:
    for form in (
        FormBuilder().file("portrait", bytes(600_000), filename="me.png"),
        FormBuilder().file("portrait", b"1", filename="me.png").file("portrait", b"2", filename="me.png"),
        FormBuilder().text("letter", "x" * 21_000).file("portrait", b"1", filename="me.png"),
    ):
        try:
            receive(application, form.content_type, [form.body])
        except LimitExceeded as error:
            print(error.status, error.limit, error.allowed, "-", error)


if __name__ == "__main__":
    main()
