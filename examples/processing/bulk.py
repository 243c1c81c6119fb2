"""Many files of many kinds in one request: the kind chooses the queue, the field of the form how urgent it is.

uvicorn bulk:app
uploadkit worker --app bulk:pipeline --concurrency images=5,documents=3,videos=1,bulk=2
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI

from uploadkit import DiskStorage, File, Submission, Uploader
from uploadkit.adapters.fastapi import install, receive
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processor import JobContext
from uploadkit.processing.queue import Priority, queue_for
from uploadkit.records.ledger import Ledger
from uploadkit.records.record import UploadRecord

pipeline = Pipeline(Ledger("sqlite:///uploads.db"), queue=BullMQQueue())


@pipeline.process("*")
def archive(record: UploadRecord, job: JobContext) -> dict[str, Any]:
    """Whatever is to be done with it."""
    return {"by": queue_for(record.content_type)}


upload = Uploader(DiskStorage("files"), pipeline=pipeline)
PRIORITIES = {priority.name.lower(): priority for priority in Priority}  # urgent, high, normal, low
bulk_form = upload.fields(*(File(name, max_count=20) for name in PRIORITIES))

app = FastAPI()
install(app)


@app.post("/bulk", status_code=202)
async def add_files(submission: Annotated[Submission, receive(bulk_form)]) -> dict[str, list[str]]:
    for file in submission.files:
        await pipeline.adescribe(file.id, priority=PRIORITIES[file.field])
    return {"uploads": [file.id for file in submission.files]}
