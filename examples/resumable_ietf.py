"""Films that come by the IETF's resumable uploads, and by tus, at one address. Run it:

uvicorn --app-dir examples resumable_ietf:app
"""

from __future__ import annotations

import json

from fastapi import FastAPI

from uploadkit import VIDEOS, DiskStorage, Limits, UploadedFile, Uploader
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.resumable import Answer, ResumableApp, ResumableUploads

app = FastAPI()
pipeline = Pipeline(Ledger())  # remembers in uploads.db how far each upload has come
upload = Uploader(DiskStorage("uploads"), pipeline=pipeline, limits=Limits(file_size="5 GB", files_size="5 GB"))


async def taken(film: UploadedFile) -> Answer:
    """All of a film is there: what a client of the IETF's draft is answered then."""
    told = {"id": film.id, "name": film.client_filename, "size": film.size, "sha256": film.digest}
    return Answer(status=201, headers={"Content-Type": "application/json"}, body=json.dumps(told).encode())


films = ResumableUploads(upload.single("film", accept=VIDEOS), handler=taken, expires_seconds=60 * 60)
app.mount("/films", ResumableApp(films))
