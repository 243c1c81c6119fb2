"""Names that clients send, and keys under which files lie. Run it: python examples/naming.py"""

from __future__ import annotations

from uploadkit import DiskStorage, File, IncomingFile, ObjectExists, Uploader, receive, safe_filename
from uploadkit.testing import FormBuilder


def by_album(file: IncomingFile) -> str:
    """Proposes a key from a text field that came before the file. The storage refuses what would leave its root."""
    album = dict(file.fields).get("album", "none")
    return f"albums/{safe_filename(album)}/{file.filename}"


storage = DiskStorage("uploads")
upload = Uploader(storage)
by_id = upload.single("photo")
by_name = upload.fields(File("photo", filename=by_album))


def main() -> None:
    form = FormBuilder().text("album", "../../etc").file("photo", b"1", filename="../../Räuber: con.JPG")
    photo = receive(by_id, form.content_type, [form.body])
    print("sent", photo.client_filename)
    print("safe", photo.filename)
    print("key ", photo.key)
    photo.delete()

    [photo] = receive(by_name, form.content_type, [form.body]).files
    print("key ", photo.key)
    try:
        receive(by_name, form.content_type, [form.body])
    except ObjectExists as error:
        print(error.status, error)
    photo.delete()


if __name__ == "__main__":
    main()
