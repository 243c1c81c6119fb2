"""One upload in Flask. Run it: flask --app examples/flask_app.py run"""

from __future__ import annotations

from flask import Flask

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, Limits, UploadedFile, Uploader
from uploadkit.adapters.flask import receive

app = Flask(__name__)
upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="5 MB"))


@app.post("/profile")
@receive(upload.single("avatar", accept=[IMAGES, DOCUMENTS]))
def profile(avatar: UploadedFile) -> dict[str, object]:
    return {
        "filename": avatar.filename,
        "content_type": avatar.content_type,
        "size": avatar.size,
        "sha256": avatar.digest,
    }
