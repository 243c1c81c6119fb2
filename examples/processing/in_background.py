"""A worker does what is to be done, and another service is told when it is. Run both:

uvicorn in_background:app
uploadkit worker --app in_background:pipeline
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Annotated, Any

from fastapi import FastAPI

from uploadkit import DiskStorage, UploadedFile, Uploader
from uploadkit.adapters.fastapi import install, receive
from uploadkit.events.facts import FileProcessed
from uploadkit.events.webhooks import Webhooks
from uploadkit.processing.bullmq import BullMQQueue
from uploadkit.processing.pipeline import Pipeline
from uploadkit.processing.processor import JobContext
from uploadkit.processing.queue import Backoff
from uploadkit.records.ledger import Ledger
from uploadkit.records.record import UploadRecord

pipeline = Pipeline(Ledger("sqlite:///uploads.db"), queue=BullMQQueue())
webhooks = Webhooks(os.environ["WEBHOOK_URL"], os.environ["WEBHOOK_SECRET"], internal=True, timeout_seconds=5)


@pipeline.process("text/plain", seconds=60, memory="500 MB", attempts=3, backoff=Backoff(seconds=2))
def words(record: UploadRecord, job: JobContext) -> dict[str, Any]:
    """Runs in a process of its own, which may take 60 seconds and 500 MB."""
    found: Counter[str] = Counter()
    with job.open() as file:
        for line in file:
            found.update(line.decode(errors="replace").lower().split())
    job.progress(90, "counted")
    return {"most": found.most_common(1)}


@pipeline.on("file.processed", retried=True)
def notify(fact: FileProcessed) -> None:
    """Where it raises, it is told again later."""
    webhooks.deliver(fact)


app = FastAPI()
install(app)
text_form = Uploader(DiskStorage("texts"), pipeline=pipeline).single("text", accept="text/plain", required=True)


@app.post("/texts", status_code=202)
async def add_text(text: Annotated[UploadedFile, receive(text_form)]) -> dict[str, str]:
    return {"id": text.id}


@app.get("/status/{upload}")
async def status(upload: str) -> dict[str, Any]:
    return (await pipeline.astatus(upload)).as_json()
