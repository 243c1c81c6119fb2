"""The tutorial, first step, in Flask."""

from __future__ import annotations

from flask import Flask

from uploadkit import DiskStorage, UploadedFile, Uploader
from uploadkit.adapters.flask import receive

app = Flask(__name__)
upload = Uploader(DiskStorage("uploads"))
photo_form = upload.single("photo")


@app.post("/photos")
@receive(photo_form)
def add(photo: UploadedFile) -> dict[str, object]:
    return {"filename": photo.filename, "content_type": photo.content_type, "size": photo.size}
