"""What is done to an upload by one processor: the protocol that each keeps, and what it has while it works."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO, Protocol, TypeAlias, cast, runtime_checkable

from ..events.facts import Fact, json_bytes, json_value
from ..policy.filenames import random_key
from ..policy.media_types import extension_of
from ..records.record import UploadRecord
from ..storage.contract import ObjectInfo, Storage
from ..storage.threads import in_own_thread
from ..storage.transfer import commit_whole, stage_blocks
from ..uploads import UploadedFile

__all__ = ["JobContext", "Made", "Processor", "Quarantined"]


@runtime_checkable
class Processor(Protocol):
    """Does one thing to an upload. One object serves many uploads at once."""

    @property
    def name(self) -> str:
        """Names it within a pipeline, and in the ledger: another name is other work."""
        ...

    @property
    def digest(self) -> str:
        """Of what it was told to make, at most 64 characters and the same in every process. What was made under
        another digest is stale."""
        ...

    def process(self, job: JobContext) -> None:
        """Blocks until it is done. What it raises is a failed attempt; a `SenderError`, such as `FileRefused`, has the
        upload rejected, and `Quarantined` has it quarantined, without another attempt; `GivenUp` is the last attempt.

        It may be called again after whatever error or death of the process: what was announced by `JobContext.intend`
        until then is removed before. Where it puts something into storages of its own, an attribute `storages` has
        them.
        """
        ...


class Quarantined(Exception):
    """The upload is infected. `signature` is what was found. `moved` is where its bytes stand as well, and where it
    lies from then on, by the name of the storage and the key; None where they are to be deleted."""

    def __init__(self, signature: str | None, *, moved: tuple[str, str] | None = None) -> None:
        super().__init__(f"infected: {signature}")
        self.signature = signature
        self.moved = moved


Made: TypeAlias = tuple[Storage, str]
"""An object that a processor makes: its storage, and its key there."""


class JobContext:
    """What a processor has while it works on an upload. Calls block, and may be made in any thread; `aprogress` and
    `astore` are for async functions.

    `attempt` is from 1. `is_first` says that nobody has claimed this work before who may still be at it: a key that
    does not change from attempt to attempt is this one's alone. `storage` is where what is made of the upload goes.
    `results` is what was added, `objects` and `shared` what was announced by `intend`. `facts` are told when the work
    is finished, in the same transaction.
    """

    def __init__(
        self,
        *,
        record: UploadRecord,
        file: UploadedFile,
        attempt: int,
        storage: Storage,
        intend: Callable[[Sequence[Made]], None],
        change: Callable[[UploadRecord, Storage, str], UploadRecord],
        tell: Callable[[int, str | None], None],
        is_cancelled: Callable[[], bool],
        is_first: bool = False,
    ) -> None:
        self.record: UploadRecord = record
        self.file: UploadedFile = file
        self.attempt: int = attempt
        self.storage: Storage = storage
        self.is_first: bool = is_first
        self.results: dict[str, Any] = {}
        self.objects: list[Made] = []
        self.shared: list[Made] = []
        self.facts: list[Fact] = []
        self._intend = intend
        self._change = change
        self._tell = tell
        self._is_cancelled = is_cancelled
        self._lock = threading.Lock()  # who announces first must not be the last to write

    @property
    def is_cancelled(self) -> bool:
        """Whether the job was taken back, or the upload is gone: what is made now is made in vain."""
        return self._is_cancelled()

    def open(self) -> BinaryIO:
        """The upload's bytes, for reading and seeking; the caller closes it."""
        return self.file.open()

    def progress(self, percent: int, note: str | None = None) -> None:
        """Tells how far it has come, from 0 to 100."""
        if not 0 <= percent <= 100:
            raise ValueError(f"progress goes from 0 to 100, and is not {percent}")
        self._tell(percent, note)

    async def aprogress(self, percent: int, note: str | None = None) -> None:
        """The async twin of `progress`."""
        await in_own_thread(self.progress, percent, note)

    def add(self, results: Mapping[str, Any]) -> None:
        """What is known by this processor: it stands in the status of the upload. Raises `TypeError` for what JSON
        cannot hold; tuples become lists."""
        try:
            told = json_value(json_bytes(dict(results)))
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"results are a mapping that JSON can hold: {error}") from error
        self.results.update(cast(dict[str, Any], told))

    def intend(self, *made: Made, shared: bool = False) -> None:
        """These objects are about to be made. From here they belong to the upload: they are removed with it, and where
        this attempt comes to nothing.

        Their keys are random, so that they are of this attempt alone, also when another one has taken over. `shared`
        is the one in which the upload lies, and is to lie no longer: other attempts have it too. It is removed at the
        end of the attempt, however it ends, and one that was taken over leaves it to the other. The object in which the
        upload lies then is never removed.
        """
        with self._lock:
            (self.shared if shared else self.objects).extend(made)
            self._intend([*self.objects, *self.shared])

    def forget(self, *made: Made) -> None:
        """These objects that were announced are gone again, or were never made."""
        with self._lock:
            for each in made:
                for announced in (self.objects, self.shared):
                    if each in announced:
                        announced.remove(each)
            self._intend([*self.objects, *self.shared])

    def store(self, data: bytes, *, content_type: str = "application/octet-stream", filename: str | None = None) -> str:
        """Stores something that was made of the upload, under a new key, which is returned."""
        key = random_key(extension_of(content_type))
        self.intend((self.storage, key))
        info = ObjectInfo(content_type=content_type, filename=filename)
        sha256 = hashlib.sha256(data).hexdigest()
        staged = stage_blocks(
            [data], key, info, target=self.storage, size=len(data), sha256=sha256, source=self.storage.name
        )
        commit_whole(staged, key, target=self.storage, size=len(data))
        return key

    async def astore(
        self, data: bytes, *, content_type: str = "application/octet-stream", filename: str | None = None
    ) -> str:
        """The async twin of `store`."""
        return await in_own_thread(self.store, data, content_type=content_type, filename=filename)

    def move(self, storage: Storage, key: str) -> None:
        """The upload's bytes stand under `key` of another storage: from here it lies there, and `file` is that one.
        Compares and sets, together with the claim: raises `UploadChanged` where somebody else has moved it, or has
        taken this work over. The object that it lay in is the caller's to delete."""
        self.record = self._change(self.record, storage, key)
        self.file = replace(self.file, storage=storage, key=key)
