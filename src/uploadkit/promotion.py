"""Uploaded files from the storage that took them to the one in which they stay: `promote`.

The bytes are in at least one of the two at any moment, and the old object goes last: whatever happens in between, the
same promotion can be made again, and comes to the same end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from secrets import token_hex
from typing import TypeAlias

from .errors import ObjectExists, ObjectMissing, StorageFailed
from .storage.contract import ObjectInfo, Storage, StoredObject
from .storage.threads import in_thread
from .storage.transfer import commit_whole, copies_itself, stream_object
from .uploads import UploadedFile, open_object

BLOCK_SIZE = 2**20


def promote(file: UploadedFile, *, to: Storage, key: str | None = None, check_digest: bool = True) -> UploadedFile:
    """Moves an uploaded file into another storage, under `key` or its own; returns it as it is there.

    It is copied, by the storages themselves where they can, its size and SHA-256 are compared with what was uploaded,
    it is published, and then the old object is deleted. What was copied by the storages is read back for that, which
    `check_digest=False` saves; of a file without a digest the size alone is compared. Where anything of it fails, the
    file stays where it was and nothing is left of the copy.

    It may be called again after whatever error or death of the process, also where only the old object could not be
    deleted, which is the `StorageFailed` of its storage: what has arrived is compared byte for byte and not copied
    again. Never replaces an object: another one under the key is `ObjectExists`. To promote a file to where it is does
    nothing. Raises `ObjectMissing`, `KeyRefused` and `StorageFailed`.
    """
    key = file.key if key is None else key
    sha256 = file.sha256 if check_digest else None
    try:
        there = to.stat(key)
    except ObjectMissing:
        try:
            _copy(file, to, key, sha256, undo=_remove_copy)
        except ObjectExists:  # made meanwhile, by the same promotion perhaps
            there = to.stat(key)
        else:
            return _moved(file, to, key)
    if is_itself(file, to, key):
        return replace(file, key=key, storage=to)
    _check_equal(file, to, there)
    return _moved(file, to, key)


async def apromote(
    file: UploadedFile, *, to: Storage, key: str | None = None, check_digest: bool = True
) -> UploadedFile:
    """The async twin of `promote`. Cancelled, it waits for the end first, and the promotion stands."""
    return await in_thread(promote, file, to=to, key=key, check_digest=check_digest)


def copy_file(file: UploadedFile, *, to: Storage, key: str) -> None:
    """The first half of `promote`: the file stands under `key` of `to` as well, and was compared.

    What stands there already is compared and not copied again. Nothing is ever removed: where this raises, a copy may
    be left, and is for whoever knows that nobody else has promoted the file to it. Never replaces an object: another
    one under the key is `ObjectExists`. Raises `ObjectMissing`, `KeyRefused` and `StorageFailed`.
    """
    try:
        there = to.stat(key)
    except ObjectMissing:
        try:
            _copy(file, to, key, file.sha256)
            return
        except ObjectExists:  # made meanwhile
            there = to.stat(key)
    _check_equal(file, to, there)


def is_itself(
    file: UploadedFile, to: Storage, key: str, *, announce: Callable[[Storage, str], object] = lambda _, __: None
) -> bool:
    """Whether the object is the file: two storages may have one root, or one the folder of another.

    An object with a random name beside the file is seen beside the other one too. It is made where the names are the
    same, and gone again when this returns; `announce` is told of it first.
    """
    if to is file.storage:
        return key == file.key
    folder, _, name = file.key.rpartition("/")
    other_folder, _, other_name = key.rpartition("/")
    if name != other_name:
        return False
    probe = token_hex(16)
    beside = f"{folder}/{probe}" if folder else probe
    announce(file.storage, beside)
    commit_whole(file.storage.open(beside, ObjectInfo()).stage(), beside, target=file.storage, size=0)
    try:
        to.stat(f"{other_folder}/{probe}" if other_folder else probe)
    except ObjectMissing:
        return False
    finally:
        file.storage.delete(beside)
    return True


def _moved(file: UploadedFile, to: Storage, key: str) -> UploadedFile:
    """The copy stands: the old object goes."""
    try:
        file.storage.delete(file.key)  # the object, and not the upload
    except Exception as error:
        error.add_note("the file is in its new place: promote it again, and only this is done")
        raise
    return replace(file, key=key, storage=to)


_Undo: TypeAlias = Callable[[BaseException, UploadedFile, Storage, str], None]


def _keep_copy(error: BaseException, file: UploadedFile, to: Storage, key: str) -> None:
    """It was announced, and somebody else may be about to use it."""


def _copy(file: UploadedFile, to: Storage, key: str, sha256: str | None, *, undo: _Undo = _keep_copy) -> None:
    """`undo` is called with a copy that the storages have made and that differs."""
    if not copies_itself(to, file.storage):
        info = ObjectInfo(content_type=file.content_type, filename=file.filename)
        stream_object(file.key, key, source=file.storage, target=to, info=info, size=file.size, sha256=sha256)
        return
    copied = to.copy(file.key, key, source=file.storage)
    try:
        _check_copy(to, copied, file.size, sha256)
    except BaseException as error:
        undo(error, file, to, key)
        raise


def _check_copy(to: Storage, copied: StoredObject, size: int, sha256: str | None) -> None:
    if copied.size != size:
        raise StorageFailed(f"the storage copied {copied.size} of {size} bytes", storage=to.name, key=copied.key)
    if sha256 is not None and _digest(to, copied.key) != sha256:
        raise StorageFailed("the storage copied other bytes than were uploaded", storage=to.name, key=copied.key)


def _remove_copy(error: BaseException, file: UploadedFile, to: Storage, key: str) -> None:
    """Not where the old object is gone: another process has promoted the file, and nothing else is left of it."""
    try:
        file.storage.stat(file.key)
        to.delete(key)
    except Exception as also:
        error.add_note(f"and the copy could not be removed: {also!r}")


def _check_equal(file: UploadedFile, to: Storage, there: StoredObject) -> None:
    if not _is_equal(file, to, there):
        raise ObjectExists("another object is under this key", storage=to.name, key=there.key)


def _is_equal(file: UploadedFile, to: Storage, there: StoredObject) -> bool:
    """Whether the object has the bytes of the file. Asked before the file is deleted for it, so nothing is trusted."""
    if there.size != file.size:
        return False
    if file.sha256 is not None:
        return _digest(to, there.key) == file.sha256
    with file.open() as one, open_object(to, there) as other:
        while block := one.read(BLOCK_SIZE):
            if other.read(len(block)) != block:
                return False
    return True


def _digest(storage: Storage, key: str) -> str:
    digest = hashlib.sha256()
    for block in storage.read(key):
        digest.update(block)
    return digest.hexdigest()
