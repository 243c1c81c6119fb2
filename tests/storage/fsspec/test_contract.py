"""The contract over filesystems of fsspec: memory, local files, a wrapper, and SFTP on OpenSSH's own server."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.storage.fsspec.conftest import Locate, Place
from tests.storage.kinds import get, staged

from uploadkit.errors import ObjectExists
from uploadkit.storage.contract import (
    CopiesObjects,
    ExclusiveCommit,
    ListsObjects,
    LocalPaths,
    ReadsStaged,
    Storage,
    SweepsStaging,
)
from uploadkit.testing import STORAGE_CHECKS, StorageCheck


@pytest.mark.parametrize("check", STORAGE_CHECKS, ids=str)
def test_a_filesystem_keeps_the_promise(check: StorageCheck, locate: Locate) -> None:
    """Each promise of the contract holds on each kind of filesystem, and nothing stays behind in staging."""
    places: dict[Storage, Place] = {}

    def make() -> Storage:
        place = locate()
        storage = place.storage()
        places[storage] = place
        return storage

    check(make, leftovers=lambda storage: places[storage].staged())


def test_what_a_storage_offers_is_what_its_filesystem_keeps(kind: str, place: Place) -> None:
    """All can read what is staged, list and sweep; a name that is taken is refused by local files and SFTP alone, and
    SFTP alone copies nothing by itself."""
    storage = place.storage()
    assert isinstance(storage, ReadsStaged)
    assert storage.reads_staged
    assert isinstance(storage, SweepsStaging)
    assert isinstance(storage, ExclusiveCommit)
    assert not isinstance(storage, LocalPaths)
    assert isinstance(storage, ListsObjects)
    assert isinstance(storage, CopiesObjects)
    assert storage.copies_from(storage) == (kind != "sftp")
    assert storage.exclusive_commit == (kind in ("local", "sftp"))
    assert storage.may_block


@pytest.mark.parametrize("kind", ["local", pytest.param("sftp", marks=pytest.mark.needs("sshd"))], indirect=True)
def test_of_two_storages_that_race_for_a_key_one_wins(place: Place) -> None:
    """As two servers would, each with connections of its own."""
    storages = [place.storage(), place.storage()]
    for turn in range(10):
        both = [staged(storage, f"folder/{turn}", b"%d" % number) for number, storage in enumerate(storages)]
        gate = threading.Barrier(2)

        def commit(number: int, both: list[Any] = both, gate: threading.Barrier = gate) -> bool:
            gate.wait()
            try:
                both[number].commit()
            except ObjectExists:
                both[number].discard()
                return False
            return True

        with ThreadPoolExecutor(2) as threads:
            won = list(threads.map(commit, range(2)))
        assert sorted(won) == [False, True]
        assert get(storages[0], f"folder/{turn}") == b"%d" % won.index(True)
    assert place.staged() == []


@pytest.mark.parametrize("kind", ["memory", "memory, given", "a folder of another"], indirect=True)
def test_a_commit_replaces_what_is_there_where_the_ability_is_not_offered(place: Place) -> None:
    """Whole, and never half of it: that is what `exclusive_commit = False` says."""
    storage = place.storage()
    assert not storage.exclusive_commit
    for data in (b"first", b"second"):
        staged(storage, "key", data).commit()
    assert get(storage, "key") == b"second"
    assert place.files() == ["key"]
