"""What is known of files: pictures, documents, audio, video. Run it: python examples/metadata.py photo.jpg film.mp4"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from uploadkit import MemoryStorage, UploadedFile, Uploader, receive
from uploadkit.content.documents import read_document
from uploadkit.content.images import image_info
from uploadkit.content.media import media_info
from uploadkit.testing import FormBuilder

upload = Uploader(MemoryStorage())


def known(file: UploadedFile) -> dict[str, object]:
    if file.content_type.startswith("image/"):
        return asdict(image_info(file))
    if file.content_type.startswith(("audio/", "video/")):
        return asdict(media_info(file))
    return asdict(read_document(file))


def main(paths: list[Path]) -> None:
    for path in paths:
        form = FormBuilder().file("file", path.read_bytes(), filename=path.name)
        file = receive(upload.single("file"), form.content_type, [form.body])
        facts = {name: value for name, value in known(file).items() if value}
        print(file.filename, file.content_type, facts)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
