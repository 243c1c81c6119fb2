"""A picture that is processed in the request, and its variants in the answer. Run it: uvicorn at_once:app"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI

from uploadkit import IMAGES, DiskStorage, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive
from uploadkit.content.variants import cover
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processor import JobContext
from uploadkit.processing.processors import Variants
from uploadkit.records.ledger import Ledger
from uploadkit.records.record import UploadRecord

pipeline = Pipeline(Ledger("sqlite:///uploads.db"))
pipeline.process(IMAGES, Variants(thumbnail=cover(200, 200)))


@pipeline.process(IMAGES)
def greet(record: UploadRecord, job: JobContext) -> dict[str, Any]:
    """A step of your own: what it returns stands in the results."""
    return {"text": f"{record.owner} sends {record.filename}"}


app = FastAPI()
install(app)
photo_form = Uploader(DiskStorage("photos"), pipeline=pipeline).single("photo", accept=IMAGES, required=True)


@app.post("/photos")
async def add_photo(photo: Annotated[UploadedFile, receive(photo_form)]) -> dict[str, Any]:
    await pipeline.adescribe(photo.id, owner="ann")
    return (await pipeline.arun(photo)).as_json()
