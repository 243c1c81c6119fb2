"""The uploads of one request, told to a pipeline as somebody's: whose they are is known before their first byte."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Unpack

from ..policy.filters import IncomingFile
from ..records.ledger import Said
from ..records.record import Quota
from ..storage.contract import Storage
from ..uploads import UploadedFile
from .pipeline import Pipeline

__all__ = ["Owned"]


class Owned:
    """A register for one request of an `owner`: `replace(spec, register=Owned(pipeline, owner="ann"))`.

    Its files belong to `owner` from before their first byte. With a `quota` a file is refused by `QuotaExceeded` that
    would be too much: `expected_size` bytes, such as the Content-Length, are the owner's from the first file on, until
    the sizes of all of them are known. `idempotency_key` is that of the request, and its first file has it: where the
    owner has used it before that is `RecordExists`. `batch` and `uploads` are what was begun so far.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        owner: str | None,
        quota: Quota | None = None,
        expected_size: int = 0,
        idempotency_key: str | None = None,
        expires_at: datetime | None = None,
    ) -> None:
        self.pipeline: Final = pipeline
        self.owner: Final = owner
        self._quota = quota
        self._expected_size = expected_size
        self._idempotency_key = idempotency_key
        self._expires_at = expires_at
        self._said = Said()
        self.batch: str | None = None
        self.uploads: list[str] = []

    def say(self, **said: Unpack[Said]) -> None:
        """What the request says of all its files, before they are accepted: that costs no transaction of its own. Said
        before they begin, it stands in their records from then on."""
        self._said = said

    def knows(self, storage: Storage) -> None:
        """See `Register`."""
        self.pipeline.knows(storage)

    def begin(self, file: IncomingFile, *, storage: Storage, key: str | None, batch: str) -> None:
        """See `Register`. Raises `QuotaExceeded` and `RecordExists`."""
        is_first = not self.uploads
        self.pipeline.add(
            file,
            storage=storage,
            key=key,
            batch=batch,
            owner=self.owner,
            quota=self._quota,
            reserved=self._expected_size if is_first else 0,
            idempotency_key=self._idempotency_key if is_first else None,
            expires_at=self._expires_at,
            **self._said,
        )
        self.batch = batch
        self.uploads.append(file.id)

    def accept(self, files: Sequence[UploadedFile]) -> None:
        """See `Register`."""
        self.pipeline.accept(files, quota=self._quota, **self._said)

    async def aaccept(self, files: Sequence[UploadedFile]) -> None:
        """The async twin of `accept`."""
        await self.pipeline.aaccept(files, quota=self._quota, **self._said)

    def refuse(self, uploads: Sequence[str], error: BaseException) -> None:
        """See `Register`."""
        self.pipeline.refuse(uploads, error)

    def delete(self, file: UploadedFile, /) -> None:
        """See `Register`."""
        self.pipeline.delete(file)
