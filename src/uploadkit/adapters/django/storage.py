"""A `Storage` of Django over a storage of uploadkit, so that a `FileField` can live in any of them."""

from __future__ import annotations

from functools import cached_property
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Self
from urllib.parse import quote

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import File
from django.core.files.storage import Storage
from django.utils.deconstruct import deconstructible
from django.utils.module_loading import import_string

from ...errors import ObjectExists, ObjectMissing
from ...policy.filenames import safe_filename
from ...storage import contract
from ...uploads import open_object

if TYPE_CHECKING:  # only the stubs are generic
    _File = File[bytes]
else:
    _File = File


@deconstructible(path="uploadkit.adapters.django.ObjectStorage")
class ObjectStorage(Storage):
    """Keeps the files of models in `storage`, under the names that Django gives them, as keys.

        media = DiskStorage("media")                                           # in project/uploads.py
        picture = FileField(storage=ObjectStorage("project.uploads.media"))    # in a model

    `storage` is a storage of uploadkit that never replaces an object, or where to import it from: a migration can
    only have the latter. `url` needs a `base_url`, `path` a storage with paths; dates and listings it has none.
    What cannot be done is `NotImplementedError`, as in every `Storage` of Django. Saving copies the bytes. A file that
    was received into this very storage needs no copy: `profile.picture = request.FILES["picture"].keep().key`.
    """

    def __init__(self, storage: contract.Storage | str, *, base_url: str | None = None) -> None:
        self._given = storage
        self._base_url = base_url
        if not isinstance(storage, str):
            _check(storage)

    @cached_property
    def storage(self) -> contract.Storage:
        """The storage of uploadkit, imported when it is first asked for."""
        if not isinstance(self._given, str):
            return self._given
        found: contract.Storage = import_string(self._given)
        _check(found)
        return found

    def get_valid_name(self, name: str) -> str:
        """`safe_filename`, which keeps every script. Raises `SuspiciousFileOperation` where it has nothing left."""
        try:
            return safe_filename(name)
        except ValueError as error:
            raise SuspiciousFileOperation(f"no file name can be made of {name!r}") from error

    def exists(self, name: str) -> bool:
        try:
            self.storage.stat(name)
        except ObjectMissing:
            return False
        return True

    def size(self, name: str) -> int:
        return self._stat(name).size

    def delete(self, name: str) -> None:
        if not name:
            raise ValueError("the name of a file that is to be deleted is not empty")
        self.storage.delete(name)

    def url(self, name: str | None) -> str:
        if self._base_url is None:
            raise NotImplementedError("this storage was given no base_url")
        return self._base_url + quote((name or "").lstrip("/"))

    def path(self, name: str) -> str:
        if not isinstance(self.storage, contract.LocalPaths):
            raise NotImplementedError(f"storage {self.storage.name!r} has no paths")
        return str(self.storage.path(name))

    def _stat(self, name: str) -> contract.StoredObject:
        try:
            return self.storage.stat(name)
        except ObjectMissing as error:
            raise FileNotFoundError(f"there is no file {name!r}") from error

    def _open(self, name: str, mode: str = "rb") -> _ObjectFile:
        _check_mode(mode)
        return _ObjectFile(self, name)

    def _opened(self, name: str) -> BinaryIO:
        return open_object(self.storage, self._stat(name))

    def _save(self, name: str, content: File[Any]) -> str:
        """Under `name`, or another one where somebody was faster. The object is visible whole or not at all."""
        while True:
            staged = self._staged(name, content)
            try:
                return staged.commit().key
            except ObjectExists:
                name = self.get_available_name(name)
            finally:
                staged.discard()

    def _staged(self, name: str, content: File[Any]) -> contract.Staged:
        content_type = getattr(content, "content_type", None) or "application/octet-stream"
        info = contract.ObjectInfo(content_type=content_type, filename=PurePosixPath(name).name)
        sink = self.storage.open(name, info)
        try:
            for chunk in content.chunks():
                sink.write(chunk.encode() if isinstance(chunk, str) else chunk)
            return sink.stage()
        except BaseException:
            sink.discard()
            raise


class _ObjectFile(_File):
    """An object that was opened. Closed, it may be opened again, where Django's own would look for its name on disk."""

    def __init__(self, storage: ObjectStorage, name: str) -> None:
        super().__init__(storage._opened(name), name)
        self._storage = storage
        self._key = name

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> Self:
        _check_mode(mode or "rb")
        if self.closed:
            self.file: IO[bytes] | None = self._storage._opened(self._key)
        self.seek(0)
        return self


def _check_mode(mode: str) -> None:
    if mode != "rb":
        raise ValueError(f"a file is opened for reading its bytes, with mode 'rb' and not {mode!r}")


def _check(storage: object) -> None:
    known = isinstance(storage, contract.ExclusiveCommit) and not isinstance(storage, type)
    if not known or not storage.exclusive_commit:  # type: ignore[attr-defined]  # mypy forgets what is known
        raise TypeError(f"{storage!r} is no storage of uploadkit that never replaces an object")
