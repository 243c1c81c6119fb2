"""How far an upload has come, as a value for who asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..records.lifecycle import State
from ..records.record import UploadRecord

__all__ = ["Status"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`percent` is how far its processing has come, from 0 to 100, and `note` what the processor at work says of it.
    `results` is what each processor has told, by its name. `received` is how many bytes have come of an upload that
    comes in several requests, as its last request has left it; None of every other, and when all have come."""

    record: UploadRecord
    percent: int
    note: str | None
    results: Mapping[str, Mapping[str, Any]]
    received: int | None = None

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def state(self) -> State:
        return self.record.state

    @property
    def reason(self) -> str | None:
        """Why it is in its state, where there is something to say: why it failed, for example."""
        return self.record.reason

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.record.is_settled

    def as_json(self) -> dict[str, Any]:
        """What a sender may see of it, as JSON has it: nothing of storages but what the results say, and a reason where
        it was rejected alone. Why something failed, or what a scan has found, is for who looks after the program."""
        record = self.record
        return {
            "id": record.id,
            "state": str(record.state),
            "percent": self.percent,
            "note": self.note,
            "reason": record.reason if record.state is State.REJECTED else None,
            "filename": record.filename,
            "content_type": record.content_type,
            "size": record.size,
            "received": self.received,
            "sha256": record.sha256,
            "tags": dict(record.tags),
            "created_at": record.created_at.isoformat(),
            "changed_at": record.changed_at.isoformat(),
            "results": {name: dict(told) for name, told in self.results.items() if told},
        }
