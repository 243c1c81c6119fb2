"""Direct uploads that a pipeline remembers: what `resumable.direct` asks its ledger, and tells it.

Each has a record before its client is told where to send, and beside it what has to be known again. Whoever goes on
with one names it by its id; whose it is the record says. Of those that finish one at once, one holds it; and where it
is taken from one that lives, one is let through to its commit, by a compare-and-set of where the file will lie: so an
upload has one object, and the ledger names it before it exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ..errors import LedgerFailed, ObjectExists, ObjectMissing, RecordMissing, UploadChanged, UploadGone, UploadLocked
from ..policy.filters import IncomingFile
from ..processing.owned import Owned
from ..processing.pipeline import Pipeline
from ..records.lifecycle import GONE, State
from ..records.record import UploadRecord
from ..records.resumable import DIRECT
from ..storage.contract import Storage
from ..uploads import Register, UploadedFile
from .holding import RETRY_SECONDS, Held, take

__all__ = ["Remembered"]


class Remembered:
    """Those of one `register`: a pipeline, or the uploads of one request, which know of one owner's alone."""

    def __init__(self, register: Register, storage: Storage) -> None:
        """Raises `TypeError` for a register that keeps nothing between requests."""
        if not isinstance(register, Pipeline | Owned):
            raise TypeError("DirectUploads takes the spec of an Uploader with a Pipeline, or with none")
        self.register: Final = register
        self._pipeline = register.pipeline if isinstance(register, Owned) else register
        self._is_owners = isinstance(register, Owned)
        self._owner = register.owner if isinstance(register, Owned) else None
        self._storage = storage

    def begin(self, file: IncomingFile, batch: str) -> None:
        """A record, before anything else. Raises what `Register.begin` raises."""
        self.register.begin(file, storage=self._storage, key=None, batch=batch)

    def keep(self, upload: str, told: Mapping[str, Any], *, length: int | None, expires: float) -> None:
        """What is to be known again, until then. Before this a sweep takes the record for one of a request."""
        self._pipeline.ledger.resumables.add(
            upload,
            length=length,
            storage=self._storage.name,
            kept="",
            told={DIRECT: dict(told)},
            expires_at=datetime.fromtimestamp(expires, UTC),
        )

    def find(self, upload: object, at: float) -> Mapping[str, Any]:
        """What was told of one that has not ended.

        Raises `RecordMissing` where there is none, or it is somebody else's, `ObjectExists` where it is finished
        already, and `UploadGone` where it was refused or given up, or its time is over at that moment.
        """
        record = self._record(upload)
        told = self._told(record.id)
        if record.state is not State.RECEIVING:
            raise self._ended(record)
        if told is None:
            raise _missing(record.id)
        if told["expires"] <= at:
            raise UploadGone("the time of the upload is over")
        return told

    def hold(self, upload: str) -> Held:
        """While somebody finishes it nobody else does, and no sweep takes it for over. Raises `UploadLocked`, and what
        `find` raises where it has ended."""
        try:
            return take(self._pipeline.ledger, upload, wait_seconds=0, on_wanted=lambda: None)
        except RecordMissing:
            record = self._record(upload)
            raise _missing(upload) if record.state is State.RECEIVING else self._ended(record) from None

    def stored(self, upload: str) -> UploadedFile | None:
        """The file of one that was judged and stored by somebody who has died before it was accepted."""
        record = self._record(upload)
        if record.key is None:
            return None
        try:
            self._storage.stat(record.key)
        except ObjectMissing:
            return None
        return self._pipeline.file(upload)

    def place(self, incoming: IncomingFile, key: str | None, size: int, sha256: str | None, seen: str | None) -> None:
        """The file is about to come to lie under `key`, where another one that finishes it has said `seen`, or nobody
        has. None is a key of the application's own, under which somebody else's object may lie.

        Raises `UploadLocked` where another one was faster, and what `find` raises where it has ended.
        """
        record = self._record(incoming.id)
        if record.state is State.RECEIVING and record.key == seen:
            try:
                self._pipeline.ledger.change(
                    record,
                    filename=incoming.filename,
                    content_type=incoming.content_type,
                    size=size,
                    sha256=sha256,
                    storage=None if key is None else self._storage.name,
                    key=key,
                )
            except UploadChanged:
                record = self._record(incoming.id)
            else:
                return
        if record.state is not State.RECEIVING:
            raise self._ended(record)
        raise UploadLocked(retry_after=RETRY_SECONDS)

    def seen(self, upload: str) -> str | None:
        """The key that was said of it so far: see `place`."""
        return self._record(upload).key

    def settle(self, file: UploadedFile) -> None:
        """It was accepted: nothing more is to be known of it. Where another one's file was, this one goes."""
        record = self._pipeline.ledger.get(file.id)
        if (record.storage, record.key) != (file.storage.name, file.key):
            file.storage.delete(file.key)
        self._pipeline.ledger.resumables.forget(file.id)

    def refuse(self, upload: str, error: BaseException) -> None:
        """It came to nothing. What could not be removed is noted on the `error`, and removed by a sweep."""
        try:
            self.register.refuse([upload], error)
        except LedgerFailed as also:
            error.add_note(f"and the ledger could not be told: {also!r}")

    def give_up(self, upload: str) -> None:
        """Nothing is left of it. Idempotent, and does nothing to one that is finished. Raises `RecordMissing`."""
        record = self._record(upload)
        if record.state is State.RECEIVING and self._told(record.id) is None:
            raise _missing(upload)
        if record.state is State.RECEIVING or record.state in GONE:
            self._pipeline.delete(record.id)

    def _told(self, upload: str) -> Mapping[str, Any] | None:
        """None where it comes otherwise, or nothing more is to be known of it."""
        found = self._pipeline.ledger.resumables.get(upload)
        told: Mapping[str, Any] | None = None if found is None else found.told.get(DIRECT)
        return told if found is not None and found.storage == self._storage.name else None

    def _record(self, upload: object) -> UploadRecord:
        if not isinstance(upload, str):
            raise _missing("")
        record = self._pipeline.ledger.get(upload)
        if self._is_owners and record.owner != self._owner:
            raise _missing(upload)
        return record

    def _ended(self, record: UploadRecord) -> Exception:
        if record.state in GONE or record.size is None:
            why = f": {record.reason}" if record.state is State.REJECTED and record.reason else ""
            return UploadGone(f"the upload is {record.state}{why}")
        return ObjectExists("the upload is finished already", storage=self._storage.name, key=record.key)


def _missing(upload: str) -> RecordMissing:
    return RecordMissing("there is no such upload", upload=upload)
