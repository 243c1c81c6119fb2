"""A file is stored, has a row in a database, and is answered with its address. Run it: uvicorn row_and_url:app"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse

from uploadkit import DiskStorage, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger

pipeline = Pipeline(Ledger("sqlite:///uploads.db"))
upload = Uploader(DiskStorage("files"), pipeline=pipeline)
file_form = upload.single("file", required=True)

app = FastAPI()
install(app)


@app.post("/files", status_code=201)
async def add_file(request: Request, file: Annotated[UploadedFile, receive(file_form)]) -> dict[str, str]:
    record = await pipeline.adescribe(file.id, owner="ann", tags={"album": "summer"})
    return {"id": record.id, "url": str(request.url_for("show", upload=record.id))}


@app.get("/files/{upload}")
def show(upload: str) -> FileResponse:
    file = pipeline.file(upload)
    nosniff = {"X-Content-Type-Options": "nosniff"}
    return FileResponse(file.path, media_type=file.content_type, filename=file.filename, headers=nosniff)
