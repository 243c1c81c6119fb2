"""One upload in plain WSGI, without a framework. Run it: gunicorn --pythonpath examples wsgi_app:app"""

from __future__ import annotations

import json
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, Limits, UploadedFile, Uploader
from uploadkit.adapters.wsgi import receive

upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="5 MB"))


@receive(upload.single("avatar", accept=[IMAGES, DOCUMENTS]))
def app(environ: WSGIEnvironment, start_response: StartResponse, avatar: UploadedFile) -> Iterable[bytes]:
    answer = {
        "filename": avatar.filename,
        "content_type": avatar.content_type,
        "size": avatar.size,
        "sha256": avatar.digest,
    }
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
