"""What a pipeline promises a processor, in memory: one upload, its record, its claim, and what was announced.

A worker's `Life` counts every call that it makes of a storage or of the ledger. It ends before one of them, and then no
call of that worker does anything any more, clean-up included, as after `kill -9`; or it stands still before one while
others work, and then goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

from tests.storage.kinds import put

from uploadkit.errors import SenderError, UploadChanged
from uploadkit.events.facts import Fact
from uploadkit.processing.processor import JobContext, Made, Processor, Quarantined
from uploadkit.records.lifecycle import GONE, State
from uploadkit.records.record import UploadRecord
from uploadkit.storage.contract import CopiesObjects, Storage, StoredObject
from uploadkit.testing import FailingStorage
from uploadkit.uploads import UploadedFile

UPLOAD = "0123456789abcdef0123456789abcdef"


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Life:
    """A worker's. `then` is what happens in the world before call `at`, counted from 0: None ends it."""

    at: int = -1
    then: Callable[[], object] | None = None
    calls: list[str] = field(default_factory=list)
    is_over: bool = False

    def step(self, call: str) -> None:
        if self.is_over:
            raise Killed
        self.calls.append(call)
        if len(self.calls) - 1 != self.at:
            return
        if self.then is not None:
            self.then()
            return
        self.is_over = True
        raise Killed


class Mortal(FailingStorage):
    """A storage as one worker has it."""

    def __init__(self, inner: Storage, life: Life) -> None:
        super().__init__(inner, after=0, on="any")
        self._life = life

    def _meet(self, call: str, key: str) -> None:
        self._life.step(f"{call} in {self.name}")

    def _copies_from(self, source: Storage) -> bool:
        return cast(CopiesObjects, self.inner).copies_from(_inner(source))

    def _copy(self, key: str, new_key: str, *, source: Storage | None = None) -> StoredObject:
        self._meet("copy", new_key)
        return cast(CopiesObjects, self.inner).copy(key, new_key, source=None if source is None else _inner(source))


def _inner(storage: Storage) -> Storage:
    return storage.inner if isinstance(storage, Mortal) else storage


class Desk:
    """Has one upload, in `storages[0]` under `key`. What is made of it goes into the last of the storages."""

    def __init__(self, *storages: Storage, data: bytes, key: str, content_type: str = "image/png") -> None:
        self.storages = {storage.name: storage for storage in storages}
        self.data = data
        now = datetime.now(UTC)
        self.record = UploadRecord(
            id=UPLOAD,
            state=State.PROCESSING,
            created_at=now,
            changed_at=now,
            field="photo",
            filename="photo.png",
            client_filename="C:\\photo.png",
            content_type=content_type,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            storage=storages[0].name,
            key=key,
            batch="batch",
            owner="owner",
        )
        self.token = 0
        self.claims = 0
        self.announced: list[tuple[str, str]] = []
        self.done: dict[str, Any] | None = None
        self.facts: list[Fact] = []
        self.progress: list[int] = []
        put(storages[0], key, data)

    @property
    def place(self) -> tuple[str, str]:
        """Where the record says that the upload lies."""
        return cast(tuple[str, str], (self.record.storage, self.record.key))

    def file(self, storages: Mapping[str, Storage]) -> UploadedFile:
        record = self.record
        return UploadedFile(
            id=record.id,
            field=record.field,
            filename=record.filename,
            client_filename=record.client_filename,
            content_type=record.content_type,
            declared_type=record.declared_type,
            size=len(self.data),
            sha256=record.sha256,
            key=self.place[1],
            storage=storages[self.place[0]],
        )

    def work(self, processor_of: Callable[[Mapping[str, Storage]], Processor], life: Life | None = None) -> None:
        """One attempt of one worker, which takes the claim from whoever has it. Ends in the upload's state, or raises
        `Killed`, or what made the attempt fail."""
        life = life or Life()
        storages: dict[str, Storage] = {name: Mortal(inner, life) for name, inner in self.storages.items()}
        if self.done is not None:
            return
        self.token += 1
        self.claims += 1
        token, is_first = self.token, self.claims == 1
        self._remove(list(self.announced), storages)
        if self._is_held(token):
            self.announced = []
        if self.record.state is not State.PROCESSING:
            return
        job = self._job(token, life, storages, is_first)
        try:
            processor_of(storages).process(job)
            life.step("finish")
            self._finish(token, job)
        except (Killed, UploadChanged):
            if life.is_over:
                raise Killed from None
            self._fail(token, job, storages)
            raise
        except (SenderError, Quarantined) as error:
            self._over(token, job, error, storages, life)
        except Exception:
            self._fail(token, job, storages)
            raise

    def delete(self) -> None:
        """The upload is deleted by its owner."""
        made = [] if self.done is None else [*self.done["objects"]]
        self.record = replace(self.record, state=State.DELETED)
        for name, key in [self.place, *made]:
            self.storages[name].delete(key)

    def left(self) -> dict[str, list[str]]:
        """Every visible object, by its storage."""
        return {name: sorted(each.key for each in storage.list()) for name, storage in self._lists().items()}

    def _lists(self) -> dict[str, Any]:
        return dict(self.storages)

    def _job(self, token: int, life: Life, storages: Mapping[str, Storage], is_first: bool) -> JobContext:
        def intend(made: Sequence[Made]) -> None:
            life.step("announce")
            self._check(token)
            self.announced = [(storage.name, key) for storage, key in made]

        def change(record: UploadRecord, storage: Storage, key: str) -> UploadRecord:
            life.step("move")
            if self.record.state is not record.state or (record.storage, record.key) != self.place:
                raise UploadChanged("it lies elsewhere", upload=UPLOAD, state=self.record.state)
            self._check(token)
            self.record = replace(self.record, storage=storage.name, key=key)
            return self.record

        return JobContext(
            record=self.record,
            file=self.file(storages),
            attempt=token,
            storage=list(storages.values())[-1],
            intend=intend,
            change=change,
            tell=lambda percent, note: self.progress.append(percent),
            is_cancelled=lambda: False,
            is_first=is_first,
        )

    def _is_held(self, token: int) -> bool:
        return token == self.token

    def _check(self, token: int) -> None:
        if not self._is_held(token):
            raise UploadChanged("the claim is another's", upload=UPLOAD, state=None)

    def _finish(self, token: int, job: JobContext) -> None:
        self._check(token)
        if self.record.state in GONE:
            raise UploadChanged("it is gone", upload=UPLOAD, state=self.record.state)
        objects = [(storage.name, key) for storage, key in job.objects]
        assert job.shared == []
        self.done = {"results": job.results, "objects": objects}
        self.facts += job.facts
        self.announced = []
        self.token += 1

    def _over(
        self, token: int, job: JobContext, error: SenderError | Quarantined, storages: Mapping[str, Storage], life: Life
    ) -> None:
        life.step("over")
        if not self._is_held(token):
            self._fail(token, job, storages)
            raise error
        if isinstance(error, Quarantined):
            storage, key = error.moved or self.place
            self.record = replace(self.record, state=State.QUARANTINED, storage=storage, key=key)
        else:
            self.record = replace(self.record, state=State.REJECTED, reason=str(error))
        self._remove(list(self.announced), storages)
        self.announced = []

    def _fail(self, token: int, job: JobContext, storages: Mapping[str, Storage]) -> None:
        """Where it holds the claim to the end, and nobody had it before, it is then as if there had never been one."""
        self._remove([(storage.name, key) for storage, key in job.objects], storages)
        if self._is_held(token):
            self._remove([(storage.name, key) for storage, key in job.shared], storages)
        if self._is_held(token):
            self.announced = []
            self.token += 1
            if self.claims == 1:
                self.claims = 0

    def _remove(self, made: Sequence[tuple[str, str]], storages: Mapping[str, Storage]) -> None:
        for name, key in made:
            if (name, key) != self.place or self.record.state in GONE:
                storages[name].delete(key)


def again(desk: Desk, processor_of: Callable[[Mapping[str, Storage]], Processor], *, attempts: int = 3) -> None:
    """Attempts until one goes well, as a queue makes them."""
    for _ in range(attempts - 1):
        with suppress(Exception):
            desk.work(processor_of)
            return
    desk.work(processor_of)
