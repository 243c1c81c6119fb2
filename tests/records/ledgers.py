"""Where ledgers are made, and what stands in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.postgres import PostgresServer

from uploadkit.events.facts import Fact, FileDeleted
from uploadkit.records.ledger import Ledger
from uploadkit.records.record import UploadRecord

FILE: dict[str, Any] = {"field": "photo", "filename": "me.png", "content_type": "image/png"}
"""What every record says of its file, where a test asks nothing of it."""


class Clock:
    """Stands still, until it is set forward."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass(eq=False, kw_only=True)
class Place:
    """A database that nobody else uses; `server` and `database` where it is one of PostgreSQL."""

    url: str
    server: PostgresServer | None = None
    database: str = ""
    _made: list[Ledger] = field(default_factory=list)

    @property
    def is_sqlite(self) -> bool:
        return self.server is None

    def ledger(self, **options: Any) -> Ledger:
        """Another one over the database, with connections of its own."""
        self._made.append(Ledger(self.url, **options))
        return self._made[-1]

    @contextmanager
    def closed(self) -> Iterator[Place]:
        """All that were made are closed."""
        try:
            yield self
        finally:
            for each in self._made:
                each.close()


def add(ledger: Ledger, *uploads: str, **more: Any) -> list[UploadRecord]:
    """Records, one after the other."""
    return [ledger.add(upload, **FILE | more) for upload in uploads]


def fact(upload: str, what: str = "deleted") -> Fact:
    """One of no consequence, which a test knows again by `what`."""
    return FileDeleted(upload=upload, reason=what)
