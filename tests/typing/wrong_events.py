"""Subscribers as nobody may write them."""

from __future__ import annotations

from uploadkit.events.bus import Events
from uploadkit.events.facts import Fact, FileFailed, FileProcessed, FileUploaded
from uploadkit.events.webhooks import Webhooks

events = Events()


def hears_processed(fact: FileProcessed) -> None: ...


def hears_nothing() -> None: ...


events.on("file.failed")(hears_processed)  # E: it is called with a FileFailed
events.on(FileUploaded)(hears_processed)  # E: it is called with a FileUploaded
events.on()(hears_processed)  # E: it is called with every fact
events.on("file.processed")(hears_nothing)  # E: it is called with a fact
events.on("file.procesed")  # E: no fact has this name
events.on(str)  # E: a class of facts
events.publish("file.processed")  # E: a fact, not its name
FileFailed(upload="u1", processor="scan", reason="no")  # E: attempts are missing
FileProcessed(upload="u1").upload = "u2"  # E: facts are frozen
events.on("file.processed")(lambda fact: fact.reason)  # E: a FileProcessed has no reason
Fact(upload="u1", at="now")  # E: a moment is a datetime
Webhooks("https://example.com/", "whsec_", True)  # E: a flag has a name
