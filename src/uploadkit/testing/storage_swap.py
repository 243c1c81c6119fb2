"""Another storage for an application that is under test: what it made when it was imported stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from ..policy.fields import FileRule, staging_for
from ..storage.contract import ExclusiveCommit, Storage
from ..uploader import Uploader
from ..uploads import Forgets

S = TypeVar("S", bound=Storage)


@contextmanager
def swap_storage(upload: Uploader, storage: S) -> Iterator[S]:
    """Within the block every file that a spec of `upload` takes goes into `storage`, which the block is given.

    That holds for specs that were made before and within, in whatever framework and thread they are used, and for
    fields that have a storage of their own. The uploader's `staging` is used where `storage` needs it. Afterwards all
    is as it was. A block begins and ends between requests. The uploader's pipeline knows `storage` within the block.
    Raises `TypeError` where a rule needs what `storage` cannot do, and `ValueError` where the pipeline knows another
    storage by its name.
    """
    before = [(rule, rule.storage) for rule in upload._made.values()]
    for rule, _ in before:
        _check_fits(rule, storage, upload._staging)
    register = upload._register
    if register is not None:
        register.knows(storage)
    own = upload._storage
    upload._storage = storage
    for rule, _ in before:
        _put(storage, rule, upload._staging)
    try:
        yield storage
    finally:
        upload._storage = own
        for rule in upload._made.values():
            if rule.storage is storage:  # it was made within the block
                _put(own, rule, upload._staging)
        for rule, its_own in before:
            _put(its_own, rule, upload._staging)
        if register is not None and not any(rule.storage is storage for rule in upload._made.values()):
            _forget(register, storage)


def _put(storage: Storage, rule: FileRule, staging: Storage | None) -> None:
    # It is frozen for everybody else.
    object.__setattr__(rule, "storage", storage)
    object.__setattr__(rule, "staging", staging_for(rule.staged_checks, storage, staging))


def _forget(register: object, storage: Storage) -> None:
    if isinstance(register, Forgets):
        register.forgets(storage)


def _check_fits(rule: FileRule, storage: Storage, staging: Storage | None) -> None:
    staging_for(rule.staged_checks, storage, staging)
    if rule.key_maker is not None and not (isinstance(storage, ExclusiveCommit) and storage.exclusive_commit):
        raise TypeError(f"filename= needs a storage that never replaces an object, and {storage.name!r} may")
