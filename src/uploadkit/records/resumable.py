"""What is remembered of uploads that come in several requests, beside their records: how long they are to be, where
their bytes wait, and who is at them now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypedDict

__all__ = ["DIRECT", "Hold", "Resumable", "ResumableChanges"]

DIRECT: Final = "direct"
"""Under this name a `Resumable` is told what was agreed of an upload that goes from its client straight into a storage:
its `upload` and its `parts` are what `AcceptsDirectUploads.abandon` asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumable:
    """An upload that comes in several requests.

    `length` is how many bytes it is to have, None while the client has not said. `storage` is the name of the storage
    in which its bytes wait, and `kept` what that wants to know of them. `told` is what else is to be known again, as
    JSON. `expires_at` is when it is given up where nothing more comes.
    """

    upload: str
    length: int | None
    storage: str
    kept: str
    told: Mapping[str, Any]
    expires_at: datetime


class ResumableChanges(TypedDict, total=False):
    """What may become another one of a `Resumable`."""

    length: int | None
    kept: str
    told: Mapping[str, Any]
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The right to add to an upload, until it is let go, or its time is over.

    `until` is by the clock of the ledger that gave it: when another one may have it, unless it was extended.
    """

    upload: str
    token: str
    until: datetime
