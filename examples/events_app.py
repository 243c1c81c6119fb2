"""Facts of an upload, from the ledger to three subscribers that know nothing of each other."""

from __future__ import annotations

import logging
import time

from uploadkit.events.bus import Events
from uploadkit.events.facts import FileUploaded
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State

ledger = Ledger("sqlite:///uploads.db")
events = Events()

searched: set[str] = set()
letters: dict[str, str] = {}
bills: dict[str, int] = {}


@events.on("file.uploaded")
def index(fact: FileUploaded) -> None:
    """To do it twice changes nothing."""
    searched.add(fact.filename)


@events.on("file.uploaded")
async def thank(fact: FileUploaded) -> None:
    """To do it twice would be two letters: it is done once for the fact's id."""
    letters.setdefault(fact.id, f"Thank you, {fact.owner}!")


@events.on("file.uploaded", retried=True)
def bill(fact: FileUploaded) -> None:
    """Fails the first time. What it raises is raised by `publish`, so that the ledger tells the fact again."""
    if bills.setdefault(fact.upload, 0) == 0:
        bills[fact.upload] = fact.size
        raise ConnectionError("the other service is down")


def main() -> None:
    upload, size = "u1", 2_000_000
    ledger.add(upload, field="photo", filename="photo.jpg", content_type="image/jpeg", owner="Ann")
    uploaded = FileUploaded(
        upload=upload,
        owner="Ann",
        filename="photo.jpg",
        content_type="image/jpeg",
        size=size,
        storage="disk",
        key="photo.jpg",
    )
    # The fact is written in the transaction that moves the record: both are there, or none.
    ledger.move(upload, State.STAGED, size=size, storage="disk", key="photo.jpg", facts=[uploaded])

    while ledger.untold():  # a service does this all the time
        ledger.forward(events.publish)
        time.sleep(0.1)
    print("searched", sorted(searched))
    print("letters", list(letters.values()))
    print("bills", bills)


if __name__ == "__main__":
    logging.disable()  # this once: what `bill` raises stands in the log
    main()
