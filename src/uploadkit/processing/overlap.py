"""Where other storages of a pipeline have the objects of one: under another name an object may be an upload's.

Two storages have one root where a storage was given another name and the old one stays known, and one may have a folder
of the other. Nothing is written to find that out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from ..errors import ObjectMissing
from ..storage.contract import ListsObjects, Storage, StoredObject
from .pipeline import Pipeline

__all__ = ["Overlap"]

_SAME: Final = timedelta(seconds=2)
"""Storages tell the time of one object more or less exactly, by how they are asked."""

_Way: TypeAlias = tuple[str, str, str]
"""To another storage: its name, what is taken off the beginning of a key, and what is put there instead."""


class Overlap:
    """Of one storage with the others that the pipeline or its ledger knows. What has changed since `older` may be about
    to be somebody's."""

    def __init__(self, pipeline: Pipeline, storage: Storage, older: datetime) -> None:
        self._ledger = pipeline.ledger
        self._storage = storage
        self._older = older
        self._others = {name: other for name, other in pipeline.storages.items() if name != storage.name}
        self._names = sorted(self._ledger.storages().union(self._others) - {storage.name})
        self._above: Sequence[_Way] | None = None
        self._proven: set[_Way] = set()

    def unknown(self, found: Sequence[StoredObject]) -> list[str]:
        """The keys of those of the storage's objects that belong to no upload in another storage either."""
        if found and self._above is None:
            self._above = self._look_above(found)
        if self._above is None:  # all of them are gone
            return []
        known: set[str] = set()
        for name in self._names:
            asked = [(each, way) for each in found for way in self._ways(name, each.key)]
            there = self._ledger.known_keys(name, {_along(way, each.key) for each, way in asked})
            known.update(each.key for each, way in asked if _along(way, each.key) in there and self._leads(way, each))
        return [each.key for each in found if each.key not in known]

    def _look_above(self, found: Sequence[StoredObject]) -> Sequence[_Way] | None:
        """Into the storages that have this one in a folder: there a key of this one is the end of another. None where
        none of these objects is there any more: others may remove them meanwhile."""
        for key in (each.key for each in found):
            if self._is_there(key):
                ways = [
                    (name, "", other_key.removesuffix(key))
                    for name, other in self._others.items()
                    if isinstance(other, ListsObjects)
                    for other_key in (each.key for each in other.list())
                    if other_key.endswith(f"/{key}")
                ]
                if self._is_there(key):
                    return ways
        return None

    def _ways(self, name: str, key: str) -> Iterator[_Way]:
        yield (name, "", "")
        yield from ((name, key[: at + 1], "") for at, character in enumerate(key) if character == "/")
        yield from (way for way in self._above or () if way[0] == name)

    def _leads(self, way: _Way, found: StoredObject) -> bool:
        """Whether the object there may be this one, and no other under an equal key. What lies in a storage that the
        pipeline does not know may be."""
        other = self._others.get(way[0])
        if other is None or way in self._proven:
            return True
        try:
            there = other.stat(_along(way, found.key))
        except ObjectMissing:
            return False
        if there.modified is None or found.modified is None or there.modified >= self._older:
            return True
        is_same = there.size == found.size and abs(there.modified - found.modified) < _SAME
        if is_same:
            self._proven.add(way)
        return is_same

    def _is_there(self, key: str) -> bool:
        try:
            self._storage.stat(key)
        except ObjectMissing:
            return False
        return True


def _along(way: _Way, key: str) -> str:
    _, off, on = way
    return f"{on}{key.removeprefix(off)}"
