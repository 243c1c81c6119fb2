"""Three subscribers of one fact, none of which knows of the others. Run it: python three_subscribers.py"""

from __future__ import annotations

import logging
import os
import time

from uploadkit import DiskStorage, Uploader, receive
from uploadkit.events.facts import FileProcessed
from uploadkit.events.redis import RedisEvents
from uploadkit.processing.pipeline import Pipeline
from uploadkit.records.ledger import Ledger
from uploadkit.testing import FormBuilder

pipeline = Pipeline(Ledger("sqlite:///uploads.db"))
redis = RedisEvents(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
letter_form = Uploader(DiskStorage("letters"), pipeline=pipeline).single("letter")

told: list[str] = []


@pipeline.on("file.processed")
def index(fact: FileProcessed) -> None:
    """Fails, which stands in the log. The others hear the fact all the same."""
    raise ConnectionError("the search engine is down")


@pipeline.on("file.processed")
async def thank(fact: FileProcessed) -> None:
    told.append(f"thanks for {pipeline.ledger.get(fact.upload).filename}")


pipeline.on("file.processed")(redis.publish)  # to other processes


def main() -> None:
    form = FormBuilder().file("letter", b"Dear all", filename="letter.txt")
    receive(letter_form, form.content_type, [form.body])
    while pipeline.ledger.untold():  # a thread of the pipeline's own tells it; a server would go on serving
        time.sleep(0.01)
    print(told)


if __name__ == "__main__":
    logging.disable()  # this once: what `index` raises stands in the log
    main()
