"""What each server was seen to do with two writers of one key, as data: the tests hold it, and the documents show it.

Each writer says `If-None-Match: *`. AWS promises that one of them wins in every way; it cannot be asked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Outcome: TypeAlias = Literal["one wins", "both may win", "it replaces"]
"""Where both win, the object is that of the later one, whole. Who comes late, when the other one has finished, is told
`ObjectExists`; but where "it replaces" nobody looks at the condition, and the later one always wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """With an object of one call, of several parts, and with a copy that the server makes."""

    version: str
    put: Outcome
    complete: Outcome
    copy: Outcome


SEEN = {
    "SeaweedFS": Seen(version="4.48 (weed mini)", put="one wins", complete="both may win", copy="one wins"),
    "moto": Seen(version="5.2.5", put="one wins", complete="both may win", copy="it replaces"),
}

SEEN_BY_HAND = {
    "Ceph RGW": Seen(version="16.2.15", put="one wins", complete="it replaces", copy="it replaces"),
    "JuiceFS gateway": Seen(version="1.4.2", put="it replaces", complete="it replaces", copy="it replaces"),
    "rclone serve s3": Seen(version="1.75.2", put="it replaces", complete="it replaces", copy="it replaces"),
}
"""No test has them: each was looked at once, thirty races in each way."""
