"""What is remembered of one upload, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as made_by
from datetime import datetime
from typing import Any, TypedDict

from .lifecycle import SETTLED, State

__all__ = ["Accepted", "Leftover", "Move", "Quota", "Result", "UploadRecord", "Usage", "WorkerRecord"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRecord:
    """An upload as the ledger knows it: what was sent, where it lies, whose it is, and how far it has come.

    `size` is in bytes; it and `sha256` are None until all of the file is stored. `storage` (a storage's name) and `key`
    say where the file lies, or in state `receiving` where it will lie, if that is known. `batch` is the same for the
    files of one request. `priority` is that of its jobs: one runs before twenty. `reason` is why the upload is in its
    state, where there is something to say. `tags` are the application's own, and nothing that is asked of the upload.
    """

    id: str
    state: State
    created_at: datetime
    changed_at: datetime
    field: str
    filename: str
    content_type: str
    client_filename: str = ""
    declared_type: str | None = None
    size: int | None = None
    sha256: str | None = None
    storage: str | None = None
    key: str | None = None
    batch: str | None = None
    owner: str | None = None
    idempotency_key: str | None = None
    priority: int | None = None
    tags: Mapping[str, str] = made_by(default_factory=dict)
    expires_at: datetime | None = None
    reason: str | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens by itself, but for the end of its time."""
        return self.state in SETTLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A file of which all is stored: what `Ledger.accept` writes into its record. `size` is in bytes, `storage` the
    storage's name."""

    upload: str
    filename: str
    content_type: str
    size: int
    sha256: str | None
    storage: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How much an owner may have at a time: so many `files`, and so many `bytes` in them. None is no limit."""

    files: int | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        if (self.files or 0) < 0 or (self.bytes or 0) < 0:
            raise ValueError(f"a quota is not negative: {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How much an owner has: what is reserved for uploads that are being received counts as `bytes`."""

    files: int
    bytes: int


class Concerning(TypedDict):
    """What every fact of an upload has."""

    upload: str
    owner: str | None
    batch: str | None


def concerning(record: UploadRecord) -> Concerning:
    """Of a fact of this upload: `FileFailed(**concerning(record), ...)`."""
    return Concerning(upload=record.id, owner=record.owner, batch=record.batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A change of state: `before` is None for the first."""

    upload: str
    before: State | None
    after: State
    at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a processor has made of an upload. `digest` is that of what it was told to make: another one is stale."""

    upload: str
    processor: str
    digest: str
    told: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """What was begun and not finished, and nobody is at it by now. `told` is what was about to be made, None where
    nothing was. `claimed_until` is when the last claim was over, or was given back."""

    upload: str
    processor: str
    digest: str
    attempts: int
    told: Mapping[str, Any] | None
    claimed_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """A process that works on jobs. `seen_at` is when it last said so."""

    id: str
    host: str
    pid: int
    queues: tuple[str, ...]
    began_at: datetime
    seen_at: datetime
