"""Facts in OpenTelemetry: a subscriber that counts them, and notes them in the span of who publishes.

It needs opentelemetry-api alone; where the figures go is up to the SDK that the application has set up.
"""

from __future__ import annotations

from opentelemetry import metrics, trace

from uploadkit.events.facts import Fact, FileProcessed, FileRejected, FileUploaded

meter = metrics.get_meter("uploadkit")
facts_told = meter.create_counter("uploadkit.facts", description="Facts of uploads, by their name")
sizes = meter.create_histogram("uploadkit.upload.size", unit="By", description="Sizes of stored files")


def observe(fact: Fact) -> None:
    """A subscriber: `events.on()(observe)`. What senders choose, such as file names, is no attribute of a metric: each
    value of one is a series of its own."""
    facts_told.add(1, {"event": fact.name} | _why(fact))
    if isinstance(fact, FileUploaded):
        sizes.record(fact.size, {"content_type": fact.content_type})
    nanoseconds = int(fact.at.timestamp()) * 10**9 + fact.at.microsecond * 1000
    trace.get_current_span().add_event(fact.name, {"upload": fact.upload, "fact": fact.id}, nanoseconds)
    if isinstance(fact, FileProcessed):
        trace.get_current_span().set_attribute("uploadkit.processors", sorted(fact.results))


def _why(fact: Fact) -> dict[str, str]:
    return {"code": fact.code} if isinstance(fact, FileRejected) else {}
