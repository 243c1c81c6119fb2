"""Objects from one storage to another: by the storages themselves where they can, else block by block.

No more than one block is held, nothing is visible before it is whole, and nothing stays behind of what fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol, TypeGuard

from ..errors import StorageFailed
from .contract import CopiesObjects, ObjectInfo, Sink, Staged, Storage, StoredObject

_UNKNOWN = ObjectInfo()


def copy_object(
    key: str, new_key: str | None = None, *, source: Storage, target: Storage, info: ObjectInfo = _UNKNOWN
) -> StoredObject:
    """Makes an object of `source` visible in `target` too, under `new_key` or its own key, whole or not at all.

    Where `target` copies from `source` by itself, no byte comes here, and the copy has what the object was stored with;
    else the bytes are streamed, and `info` is what they are stored with. Raises what the two storages raise.
    """
    new_key = key if new_key is None else new_key
    if copies_itself(target, source):
        return target.copy(key, new_key, source=source)
    return stream_object(key, new_key, source=source, target=target, info=info, size=source.stat(key).size)


class CopyingStorage(Storage, CopiesObjects, Protocol):
    """A storage that copies by itself."""


def copies_itself(target: Storage, source: Storage) -> TypeGuard[CopyingStorage]:
    """Whether `target` copies objects of `source` without their bytes coming here."""
    return isinstance(target, CopiesObjects) and target.copies_from(source)


def stream_object(
    key: str,
    new_key: str,
    *,
    source: Storage,
    target: Storage,
    info: ObjectInfo,
    size: int,
    sha256: str | None = None,
) -> StoredObject:
    """`copy_object` through this process. Raises `StorageFailed` before anything is visible where the object has not so
    many bytes, or not this digest in lower-case hex."""
    blocks = source.read(key)
    try:
        staged = stage_blocks(blocks, new_key, info, target=target, size=size, sha256=sha256, source=source.name)
    finally:
        close_blocks(blocks)
    return commit_whole(staged, new_key, target=target, size=size)


def stage_blocks(
    blocks: Iterable[bytes],
    key: str,
    info: ObjectInfo,
    *,
    target: Storage,
    size: int,
    sha256: str | None,
    source: str,
) -> Staged:
    """A staged object of `target` with these bytes. Raises `StorageFailed`, in the name of the `source` that gave them,
    where they are not so many, or have not this digest."""
    begun: Sink | Staged
    begun = sink = target.open(key, replace(info, max_size=size))
    digest, seen = hashlib.sha256(), 0
    try:
        for block in blocks:
            seen += len(block)
            if sha256 is not None:
                digest.update(block)
            sink.write(block)
        if seen != size:
            raise StorageFailed(f"the storage gave {seen} of {size} bytes", storage=source, key=key)
        if sha256 is not None and digest.hexdigest() != sha256:
            raise StorageFailed("the storage gave other bytes than it was given", storage=source, key=key)
        begun = sink.stage()
        return begun
    except BaseException as error:
        discard_after(error, begun)
        raise


def commit_whole(staged: Staged, key: str, *, target: Storage, size: int) -> StoredObject:
    """Commits it. Nothing stays behind where that fails, or where the storage then says that it has other bytes."""
    try:
        stored = staged.commit()
    except BaseException as error:
        discard_after(error, staged)
        raise
    if stored.size != size:
        target.delete(key)
        raise StorageFailed(f"the storage kept {stored.size} of {size} bytes", storage=target.name, key=key)
    return stored


def discard_after(error: BaseException, *begun: Sink | Staged) -> None:
    """Leaves nothing of these behind. What could not be removed is noted on the error that is the reason."""
    for each in begun:
        try:
            each.discard()
        except Exception as also:
            error.add_note(f"and what was staged could not be removed: {also!r}")


def close_blocks(blocks: Iterable[bytes]) -> None:
    """Ends a reading before its end: a file that it holds open is closed now, and not with the traceback."""
    close = getattr(blocks, "close", None)
    if close is not None:
        close()
