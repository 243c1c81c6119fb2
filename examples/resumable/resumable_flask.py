"""Photos and films that come in as many requests as the network needs. Run it:

gunicorn --pythonpath examples/resumable --threads 16 resumable_flask:app
"""

from __future__ import annotations

from flask import Flask, Request, abort

from uploadkit import IMAGES, VIDEOS, DiskStorage, Limits, UploadedFile, Uploader
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.resumable import ResumableUploads
from uploadkit.resumable.flask import resumable_blueprint

app = Flask(__name__)
pipeline = Pipeline(Ledger())  # remembers in uploads.db how far each upload has come
upload = Uploader(DiskStorage("uploads"), pipeline=pipeline, limits=Limits(file_size="5 GB", files_size="5 GB"))
tokens = {"ada-1815": "ada", "grace-1906": "grace"}  # yours are in flask.session, or in a table
library: dict[str, dict[str, object]] = {}  # so are yours


def owner(request: Request) -> str:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return tokens[token] if token in tokens else abort(401)


def taken(file: UploadedFile) -> None:
    library[file.id] = {"filename": file.filename, "content_type": file.content_type, "size": file.size}


files = ResumableUploads(upload.single("file", accept=[IMAGES, VIDEOS]), handler=taken)
app.register_blueprint(resumable_blueprint(files, owner=owner), url_prefix="/files")


@app.get("/library/<upload>")
def show(upload: str) -> dict[str, object]:
    return library[upload]
