"""Copies that S3 makes by itself: in one call, or in parts where an object is large."""

from __future__ import annotations

from collections.abc import Mapping

from .parts import MAX_PARTS, Budget, Parts
from .writing import Writing

LARGEST_COPY = 2**29
"""Bytes that are copied in one call. S3 takes ten times as much, but is silent for long then."""

PART_SIZE = 2**28


def copied(writing: Writing, budget: Budget, place: Mapping[str, str], etag: str, size: int) -> None:
    """Makes the object at `place` visible as another, with the headers of `writing`, if it is still that of `etag`.

    Raises `StorageFailed` where it is not, and what a commit raises; nothing is left then.
    """
    source = {"CopySource": dict(place), "CopySourceIfMatch": etag}
    if size <= LARGEST_COPY:
        how = {**source, **writing.arguments, **budget.condition, "MetadataDirective": "REPLACE"}
        try:
            writing.publish("copy_object", **how)
        except BaseException:
            writing.withdraw()
            raise
        return
    parts = Parts(writing, budget)
    part_size = max(PART_SIZE, -(-size // MAX_PARTS))
    try:
        for start in range(0, size, part_size):
            parts.copy(start, min(start + part_size, size), **source)
        parts.finish()
        parts.complete()
    except BaseException:
        parts.abort()
        raise
