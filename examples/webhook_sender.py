"""Who sends facts as webhooks, and tries again what was not taken."""

from __future__ import annotations

import os

from uploadkit.events.bus import Events
from uploadkit.events.facts import FileProcessed
from uploadkit.events.webhooks import Webhooks
from uploadkit.records.ledger import Ledger

ledger = Ledger("sqlite:///uploads.db")
events = Events()
webhooks = Webhooks(os.environ["WEBHOOK_URL"], os.environ["WEBHOOK_SECRET"], internal=True)

events.on("file.processed", retried=True)(webhooks.deliver)


def forward() -> int:
    """Called again and again, by a worker. What was not taken is told again 60 seconds later."""
    return ledger.forward(events.publish, seconds=60)


if __name__ == "__main__":
    ledger.tell([FileProcessed(upload="u1", results={"variants": {"thumbnail": "u1/thumbnail.webp"}})])
    print("taken", forward(), "left", ledger.untold())
