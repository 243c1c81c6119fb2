"""Whether a client sends fast enough. Reads no clock: who waits for the client says how long that took.

Only waiting counts: while a storage is slow, nobody waits for the client. Time is kept as credit, in seconds. An
upload begins with `GRACE_SECONDS`, every byte earns what it may take at `min_rate`, and waiting uses it up. What was
sent fast earns at most one `idle_seconds` more, so that a fast beginning does not pay for an endless end.
"""

from __future__ import annotations

import math

from ..errors import UploadTooSlow
from .limits import Limits

GRACE_SECONDS = 10.0
"""So long a client may be slower than `Limits.min_rate`: a handshake, a page that still reads its file from a disk."""


class Pace:
    """The pace of one request's body."""

    def __init__(self, limits: Limits, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self._idle = math.inf if limits.idle_seconds is None else limits.idle_seconds
        self._rate = limits.min_rate or 0
        self._credit = grace_seconds if self._rate else math.inf
        self._most = grace_seconds + self._idle
        self._waited = 0.0
        self._received = 0

    @property
    def patience(self) -> float | None:
        """How many seconds the next byte may take; None: any number."""
        patience = min(self._idle, self._credit)
        return None if patience == math.inf else patience

    def count(self, waited: float, size: int) -> None:
        """The next `size` bytes have come after so many seconds. Raises `UploadTooSlow`."""
        self._waited += waited
        self._received += size
        if waited > self._idle or waited > self._credit:
            raise self._too_slow(waited, silent=waited > self._idle)
        if self._rate:
            self._credit = min(self._credit - waited + size / self._rate, self._most)

    def give_up(self, waited: float) -> UploadTooSlow:
        """The error where nothing has come for so many seconds: `patience`, or what a clock makes of it."""
        self._waited += waited
        return self._too_slow(waited, silent=self._idle <= self._credit)

    def _too_slow(self, waited: float, *, silent: bool) -> UploadTooSlow:
        if silent:
            text = f"the client sent nothing for more than {self._idle:g} seconds"
            return UploadTooSlow(text, limit="idle_seconds", allowed=self._idle, seen=round(waited, 1))
        text = f"the client sent fewer than {self._rate} bytes a second"
        seen = int(self._received / self._waited) if self._waited else 0
        return UploadTooSlow(text, limit="min_rate", allowed=self._rate, seen=seen)
