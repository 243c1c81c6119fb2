"""What the service is compared with: an application of the core that stores a file and says how large it is.

It is `examples/fastapi_app.py` with the types and sizes of the service, over a disk that is durable as the service's
is, or not: `BENCH_DURABLE` is 1 or 0.
"""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import FastAPI

from uploadkit import DiskStorage, Limits, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive
from uploadkit.service.parts import USUAL

app = FastAPI()
install(app)
storage = DiskStorage(os.environ["BENCH_FOLDER"], durable=os.environ["BENCH_DURABLE"] == "1")
upload = Uploader(storage, limits=Limits(body_size="4 GB", file_size="2 GB", files_size="4 GB"), accept=USUAL)


@app.post("/uploads")
async def take(file: Annotated[UploadedFile, receive(upload.single("file"))]) -> dict[str, object]:
    return {"filename": file.filename, "content_type": file.content_type, "size": file.size, "sha256": file.digest}


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}
