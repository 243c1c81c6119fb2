"""What a handler holds: `Submission`, `UploadedFile` and `FieldValues`. They come from bytes that are stored whole.

`read`, `delete` and `discard` have async twins whose names begin with `a` and which do not block the event loop.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, BinaryIO, cast

from .policy.nesting import Nested, nested
from .storage.contract import LocalPaths, Storage, StoredObject
from .storage.threads import in_thread

_SHOWN = ("id", "field", "filename", "content_type", "size", "sha256", "key")
"""What a sender may see of a file. Not the client's own words, and nothing of the storage but the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile:
    """A file that was uploaded and is stored.

    `filename` is safe to show and to save; `client_filename` is what the client sent. `content_type` is what the
    file's own bytes show, `application/octet-stream` where they show nothing known; `declared_type` is the client's
    word, None where it said nothing. `size` is in bytes, `sha256` in lower-case hex, None where the `Uploader` makes no
    digests. `id` names the upload, `key` the object in `storage`.
    """

    id: str
    field: str
    filename: str
    client_filename: str
    content_type: str
    declared_type: str | None
    size: int
    sha256: str | None
    key: str
    storage: Storage = dataclass_field(repr=False)

    @property
    def digest(self) -> str:
        """The SHA-256 in lower-case hex. Raises `TypeError` where the `Uploader` makes no digests."""
        if self.sha256 is None:
            raise TypeError("there is no digest: the Uploader was told digest=False")
        return self.sha256

    @property
    def path(self) -> str:
        """Where the file lies. Raises `TypeError` where the storage has no paths."""
        if not isinstance(self.storage, LocalPaths):
            raise TypeError(f"storage {self.storage.name!r} has no paths; use open() or read()")
        return str(self.storage.path(self.key))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> dict[str, Any]:
        """For pydantic a file is itself: a field of a typed form has one, and an answer shows what is known of it."""
        shown = {"type": "function-plain", "function": cls._shown}
        return {"type": "is-instance", "cls": cls, "serialization": shown}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: Any) -> dict[str, Any]:
        """Of what is sent, or of what is shown of it."""
        if handler.mode == "validation":
            return {"type": "string", "format": "binary"}
        properties: dict[str, Any] = {name: {"type": "string"} for name in _SHOWN}
        properties |= {"size": {"type": "integer"}, "sha256": {"type": ["string", "null"]}}
        return {"type": "object", "title": "UploadedFile", "properties": properties, "required": list(_SHOWN)}

    def _shown(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in _SHOWN}

    def open(self) -> BinaryIO:
        """The stored file, for reading and seeking; the caller closes it. Raises `ObjectMissing`, `StorageFailed`."""
        return open_object(self.storage, self.storage.stat(self.key))

    def read(self) -> bytes:
        """All bytes of the file. For files of unknown size use `open`."""
        return b"".join(self.storage.read(self.key))

    async def aread(self) -> bytes:
        """The async twin of `read`."""
        return await in_thread(self.read)

    def delete(self) -> None:
        """Removes the stored file. Idempotent."""
        self.storage.delete(self.key)

    async def adelete(self) -> None:
        """The async twin of `delete`."""
        await in_thread(self.delete)

    def discard(self) -> None:
        """Takes the upload back, as a handler does that refuses a file after all. Idempotent."""
        self.delete()

    async def adiscard(self) -> None:
        """The async twin of `discard`."""
        await in_thread(self.discard)


class FieldValues(Mapping[str, str]):
    """The text values of a form. A field may have many values: `values["tag"]` is the last, as in Django and
    Starlette (Flask's `request.form` has the first); `getlist` has all."""

    __slots__ = ("_items", "_lists")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items = tuple(items)
        self._lists: dict[str, list[str]] = {}
        for name, value in self._items:
            self._lists.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._lists[name][-1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lists)

    def __len__(self) -> int:
        return len(self._lists)

    def getlist(self, name: str) -> list[str]:
        """All values of a field in the order they were sent; empty where there is none."""
        return list(self._lists.get(name, ()))

    def nested(self) -> dict[str, Nested]:
        """The values as a tree: `pet[name]` is a key of `pet`, `kids[]` an item of `kids`, as in W3C HTML JSON forms.

        Raises `FieldRefused` where a name goes deeper than 32 steps or names an index above 1000.
        """
        return nested(self._items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FieldValues):  # as a Mapping alone it would be equal where only the last values are
            return self._items == other._items
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # as that of every Mapping

    def multi_items(self) -> tuple[tuple[str, str], ...]:
        """Every name and value in the order they were sent."""
        return self._items

    def __repr__(self) -> str:
        return f"FieldValues({self._items!r})"


@dataclass(frozen=True, slots=True)
class Submission:
    """A form that was received whole: its files, in the order of their arrival, and its text values."""

    files: Sequence[UploadedFile] = ()
    fields: FieldValues = dataclass_field(default_factory=FieldValues)

    @property
    def file(self) -> UploadedFile | None:
        """The first file, None where there is none."""
        return self.files[0] if self.files else None

    @property
    def files_by_field(self) -> dict[str, list[UploadedFile]]:
        """The files of each field that has some."""
        by_field: dict[str, list[UploadedFile]] = {}
        for file in self.files:
            by_field.setdefault(file.field, []).append(file)
        return by_field

    def discard(self) -> None:
        """Removes every file of the form. Tries all of them before it raises the first error. Idempotent."""
        first: Exception | None = None
        for file in self.files:
            try:
                file.discard()
            except Exception as error:
                first = first or error
        if first is not None:
            raise first

    async def adiscard(self) -> None:
        """The async twin of `discard`."""
        await in_thread(self.discard)


def open_object(storage: Storage, stored: StoredObject) -> BinaryIO:
    """An object of `storage`, for reading and seeking; the caller closes it. Holds nothing before the first read."""
    return cast(BinaryIO, io.BufferedReader(_ObjectReader(storage, stored), buffer_size=1 << 16))


class _ObjectReader(io.RawIOBase):
    """Reads an object in blocks; after a seek it asks the storage again from there."""

    def __init__(self, storage: Storage, stored: StoredObject) -> None:
        self._storage = storage
        self._stored = stored
        self._at = 0
        self._blocks: Iterator[bytes] | None = None
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer is from Python 3.12
        self._check_open()
        if self._blocks is None:
            self._blocks = self._storage.read(self._stored.key, self._at)
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._at += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check_open()
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._stored.size}[whence]
        if start + offset < 0:
            raise ValueError(f"a position is not negative: {start + offset}")
        if start + offset != self._at:
            self._at, self._blocks, self._rest = start + offset, None, memoryview(b"")
        return self._at

    def tell(self) -> int:
        self._check_open()
        return self._at

    def close(self) -> None:
        self._blocks = None  # an iterator over a file on disk holds it open
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the file is closed")
