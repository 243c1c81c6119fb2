"""What lies in the staging of a bucket: which headers it has, how it is read, and how it becomes an object."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import BinaryIO

from ..contract import ObjectInfo, StoredObject
from ..reading import seekable
from .client import Client
from .copying import copied
from .parts import Budget
from .writing import TOKEN, Writing

# What of the headers of every object holds for staged ones too. They are private.
OF_STAGED = ("ServerSideEncryption", "SSEKMSKeyId")


class HasStaging(ABC):
    """What the sides of `S3Storage` share that keep something in staging."""

    name: str
    _client: Client
    _prefix: str
    _sent_with_each: dict[str, str]

    @property
    @abstractmethod
    def _budget(self) -> Budget: ...

    @abstractmethod
    def _writing(self, key: str, info: ObjectInfo) -> Writing: ...

    @abstractmethod
    def _listed(self, prefix: str) -> Iterator[StoredObject]: ...

    def _place(self, name: str) -> dict[str, str]:
        return {"Bucket": self._client.bucket, "Key": name}

    def _sent_with_staged(self) -> dict[str, str]:
        return {name: value for name, value in self._sent_with_each.items() if name in OF_STAGED}

    def _staging_of(self, name: str) -> Writing:
        """What is to be the object `name` in staging."""
        return Writing(self._client, "", name, self.name, self._sent_with_staged(), {})


class StagedObject:
    """A whole object in staging, as it was when it was `found`: what is put in its place is another one."""

    def __init__(self, staging: HasStaging, name: str, *, etag: str, size: int) -> None:
        self._staging = staging
        self.name = name
        self.etag = etag
        self._size = size

    @classmethod
    def found(cls, staging: HasStaging, name: str) -> StagedObject:
        """Raises `ObjectMissing`, `StorageFailed`."""
        head = staging._client.call("head_object", "look at a file", None, Key=name)
        return cls(staging, name, etag=head["ETag"], size=head["ContentLength"])

    @property
    def size(self) -> int:
        return self._size

    def open(self) -> BinaryIO:
        return seekable(self.blocks, self._size)

    def blocks(self, start: int, end: int | None = None) -> Iterator[bytes]:
        """Its bytes up to and without `end`, in blocks of at most 1 MiB."""
        end = self._size if end is None else end
        return self._staging._client.blocks(self.name, self.name, start, end, self.etag)

    def publish(self, key: str, info: ObjectInfo, *, word: str | None = None) -> StoredObject:
        """Makes it visible under `key`, whole or not at all; it stays. With a `word`, which is its own, the same once
        more is no error."""
        writing = self._staging._writing(key, info)
        if word is not None:
            writing.own_metadata[TOKEN] = word
        copied(writing, self._staging._budget, self._staging._place(self.name), self.etag, self._size)
        return StoredObject(key=key, size=self._size)
