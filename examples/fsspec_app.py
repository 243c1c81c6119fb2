"""Uploads on a filesystem of fsspec. Run it: flask --app examples/fsspec_app.py run"""

from __future__ import annotations

import os

from flask import Flask

from uploadkit import IMAGES, FsspecStorage, UploadedFile, Uploader
from uploadkit.adapters.flask import receive

app = Flask(__name__)
storage = FsspecStorage(os.environ.get("UPLOADS", "file://uploads"))
upload = Uploader(storage)


@app.post("/photos")
@receive(upload.single("photo", accept=IMAGES))
def photo(photo: UploadedFile) -> dict[str, object]:
    stored = storage.stat(photo.key)
    return {"filename": photo.filename, "size": stored.size, "begins": next(storage.read(photo.key, 0, 3)).hex()}
