"""Every kind of storage that has to keep the contract, and what each would leave behind if it did not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from uploadkit.storage.contract import ObjectInfo, Staged, Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FailingStorage, leftovers


class NamedDiskStorage(DiskStorage):
    """A DiskStorage as it is where a file without a name cannot be linked: on macOS, NFS, many FUSE file systems."""

    def _links_nameless(self) -> bool:
        return False


DISKS: dict[str, type[DiskStorage]] = {"nameless": DiskStorage, "named": NamedDiskStorage}


@dataclass(frozen=True)
class Kind:
    """`make` is given a folder of its own; `leftovers` is what `check_storage` takes."""

    make: Callable[[Path], Storage]
    leftovers: Callable[[Storage], Iterable[str]]


KINDS = {
    "memory": Kind(lambda _: MemoryStorage(), leftovers),
    "disk": Kind(DiskStorage, leftovers),
    "disk, named staging": Kind(NamedDiskStorage, leftovers),
    "disk, durable": Kind(lambda root: DiskStorage(root, durable=True), leftovers),
    "disk, durable, named staging": Kind(lambda root: NamedDiskStorage(root, durable=True), leftovers),
    "failing, but not yet": Kind(lambda _: FailingStorage(MemoryStorage(), after=10**9, on="write"), leftovers),
}


def staged(storage: Storage, key: str, data: bytes = b"data") -> Staged:
    """An object that only has to be committed."""
    sink = storage.open(key, ObjectInfo())
    sink.write(data)
    return sink.stage()


def put(storage: Storage, key: str, data: bytes = b"data") -> str:
    """An object that is visible; its key."""
    staged(storage, key, data).commit()
    return key


def get(storage: Storage, key: str) -> bytes:
    """All of an object."""
    return b"".join(storage.read(key))


def files_below(root: Path) -> set[str]:
    """Every file under a folder, staged ones too, as paths relative to it."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def descriptors() -> int:
    """How many files this process has open. They may become fewer: what others have left is collected."""
    return len(os.listdir("/dev/fd"))
