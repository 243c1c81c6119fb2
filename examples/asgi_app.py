"""One upload in plain ASGI, without a framework. Run it: uvicorn --app-dir examples asgi_app:app"""

from __future__ import annotations

import json

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, Limits, UploadedFile, Uploader
from uploadkit.adapters.asgi import Receive, Scope, Send, receive

upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="5 MB"))


@receive(upload.single("avatar", accept=[IMAGES, DOCUMENTS]))
async def app(scope: Scope, _: Receive, send: Send, avatar: UploadedFile) -> None:
    answer = {
        "filename": avatar.filename,
        "content_type": avatar.content_type,
        "size": avatar.size,
        "sha256": avatar.digest,
    }
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
