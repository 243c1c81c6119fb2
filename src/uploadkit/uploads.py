"""What a handler holds: `Submission`, `UploadedFile` and `FieldValues`. They come from bytes that are stored whole.

`read`, `url`, `delete` and `discard` have async twins whose names begin with `a` and which do not block the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, BinaryIO, Protocol, runtime_checkable

from .policy.filters import IncomingFile
from .policy.nesting import Nested, nested
from .storage.contract import LocalPaths, PublicUrls, SignsUrls, Storage, StoredObject
from .storage.reading import seekable
from .storage.threads import in_thread

_SHOWN = ("id", "field", "filename", "content_type", "size", "sha256", "key")
"""What a sender may see of a file. Not the client's own words, and nothing of the storage but the key."""


@runtime_checkable
class Register(Protocol):
    """What remembers uploads, and is told of each at four moments. A pipeline is one.

    Calls may block, and may raise `ServiceError`s. An upload that was begun is accepted or refused, once; it is refused
    too where `accept` has raised.
    """

    def knows(self, storage: Storage) -> None:
        """Files will come to lie in this storage. Called when a spec is built. Raises `ValueError` where another
        storage has its name."""
        ...

    def begin(self, file: IncomingFile, *, storage: Storage, key: str | None, batch: str) -> None:
        """The first byte of a file is about to be stored, where `key` says; None where the user has chosen the key,
        under which somebody else's object may lie. `batch` is the same for all files of a request. Where this raises,
        nothing is stored, and nothing more is told of the file: what was noted of it all the same is swept."""
        ...

    def accept(self, files: Sequence[UploadedFile]) -> None:
        """The handler has returned: from here nothing of these is lost. Files that were deleted meanwhile are passed
        over. Where this raises, the files are removed, and then refused."""
        ...

    async def aaccept(self, files: Sequence[UploadedFile]) -> None:
        """The async twin of `accept`. It is waited for where the request is cancelled, in a task of its own."""
        ...

    def refuse(self, uploads: Sequence[str], error: BaseException) -> None:
        """Uploads that were begun came to nothing: the caller has removed what was stored, or has noted on the `error`
        what could not be removed. Uploads that were deleted meanwhile are passed over."""
        ...

    def delete(self, file: UploadedFile, /) -> None:
        """Removes an upload, with all that was made of it. Idempotent."""
        ...


@runtime_checkable
class Forgets(Protocol):
    """A register whose storages may go, as those of tests do."""

    def forgets(self, storage: Storage) -> None:
        """No more files will come to lie in this storage: its name is free."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile:
    """A file that was uploaded and is stored.

    `filename` is safe to show and to save; `client_filename` is what the client sent. `content_type` is what the
    file's own bytes show, `application/octet-stream` where they show nothing known; `declared_type` is the client's
    word, None where it said nothing. `size` is in bytes, `sha256` in lower-case hex, None where no digest was made of
    the file. `id` names the upload, `key` the object in `storage`, `register` what remembers it.
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
    register: Register | None = dataclass_field(default=None, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """The SHA-256 in lower-case hex. Raises `TypeError` where none was made."""
        if self.sha256 is None:
            raise TypeError("no digest was made of this file: that is digest= of its Uploader, or of its DirectUploads")
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

    def url(self, *, expires_seconds: int = 3600, inline: bool = False) -> str:
        """An address at which everybody who has it can fetch the file, for `expires_seconds` from now.

        A browser saves the file under its `filename`; `inline` has it show the file where it can. That, and the type
        that was detected, are inside the signature. Raises `TypeError` where the storage signs no addresses.
        """
        if not isinstance(self.storage, SignsUrls):
            raise TypeError(
                f"storage {self.storage.name!r} signs no addresses; give the file out by a route of your own"
            )
        return self.storage.sign_url(
            self.key,
            expires_seconds=expires_seconds,
            filename=self.filename,
            content_type=self.content_type,
            inline=inline,
        )

    async def aurl(self, *, expires_seconds: int = 3600, inline: bool = False) -> str:
        """The async twin of `url`: a storage may have to ask for its credentials."""
        return await in_thread(self.url, expires_seconds=expires_seconds, inline=inline)

    def public_url(self) -> str:
        """The address that the file has for everybody, for ever, as on a CDN in front of its bucket.

        Raises `TypeError` where the storage knows of none.
        """
        url = self.storage.public_url(self.key) if isinstance(self.storage, PublicUrls) else None
        if url is None:
            raise TypeError(
                f"storage {self.storage.name!r} knows of no public address, as by S3Storage(public_url=...)"
            )
        return url

    def delete(self) -> None:
        """Removes the stored file; what a pipeline has made of it too. Idempotent."""
        if self.register is None:
            self.storage.delete(self.key)
        else:
            self.register.delete(self)

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
        _try_all(UploadedFile.discard, self.files)

    async def adiscard(self) -> None:
        """The async twin of `discard`."""
        await in_thread(self.discard)


def remove_stored(files: Iterable[UploadedFile]) -> None:
    """Removes what is stored of these, and nothing that a register remembers. Tries all of them before it raises the
    first error. Idempotent."""
    _try_all(lambda file: file.storage.delete(file.key), files)


def _try_all(call: Callable[[UploadedFile], None], files: Iterable[UploadedFile]) -> None:
    first: Exception | None = None
    for file in files:
        try:
            call(file)
        except Exception as error:
            first = first or error
    if first is not None:
        raise first


def open_object(storage: Storage, stored: StoredObject) -> BinaryIO:
    """An object of `storage`, for reading and seeking; the caller closes it. Holds nothing before the first read."""
    return seekable(lambda start: storage.read(stored.key, start), stored.size)
