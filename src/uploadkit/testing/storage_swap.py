"""Another storage for an application that is under test: what it made when it was imported stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from ..policy.fields import FileRule
from ..storage.contract import ExclusiveCommit, ReadsStaged, Storage
from ..uploader import Uploader

S = TypeVar("S", bound=Storage)


@contextmanager
def swap_storage(upload: Uploader, storage: S) -> Iterator[S]:
    """Within the block every file that a spec of `upload` takes goes into `storage`, which the block is given.

    That holds for specs that were made before and within, in whatever framework and thread they are used, and for
    fields that have a storage of their own. Afterwards all is as it was. A block begins and ends between requests.
    Raises `TypeError` where a rule needs what `storage` cannot do.
    """
    before = [(rule, rule.storage) for rule in upload._made.values()]
    for rule, _ in before:
        _check_fits(rule, storage)
    own = upload._storage
    upload._storage = storage
    for rule, _ in before:
        _put(storage, rule)
    try:
        yield storage
    finally:
        upload._storage = own
        for rule in upload._made.values():
            if rule.storage is storage:  # it was made within the block
                _put(own, rule)
        for rule, its_own in before:
            _put(its_own, rule)


def _put(storage: Storage, rule: FileRule) -> None:
    object.__setattr__(rule, "storage", storage)  # it is frozen for everybody else


def _check_fits(rule: FileRule, storage: Storage) -> None:
    if rule.staged_checks and not (isinstance(storage, ReadsStaged) and storage.reads_staged):
        raise TypeError(f"a check reads the staged file, and storage {storage.name!r} cannot read what is staged")
    if rule.key_maker is not None and not (isinstance(storage, ExclusiveCommit) and storage.exclusive_commit):
        raise TypeError(f"filename= needs a storage that never replaces an object, and {storage.name!r} may")
