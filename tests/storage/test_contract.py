"""Every storage keeps the contract, promise by promise, and leaves nothing behind."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from tests.storage.kinds import KINDS, Kind

from uploadkit.storage.disk import DiskStorage
from uploadkit.testing import STORAGE_CHECKS, StorageCheck, check_storage, leftovers


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("check", STORAGE_CHECKS, ids=str)
def test_a_storage_keeps_the_promise(kind: Kind, check: StorageCheck, tmp_path: Path) -> None:
    """Each promise of the contract holds for each kind of storage."""
    numbers = itertools.count()
    check(lambda: kind.make(tmp_path / str(next(numbers))), leftovers=kind.leftovers)


def test_the_parts_of_the_suite_can_share_a_folder_that_is_in_use(tmp_path: Path) -> None:
    """The suite uses random keys and removes its objects: it can run against a storage that holds others."""
    storage = DiskStorage(tmp_path)
    names = check_storage(lambda: storage, leftovers=leftovers, part_size=100)
    assert names == tuple(map(str, STORAGE_CHECKS))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
