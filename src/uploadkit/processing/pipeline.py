"""`Pipeline`: what happens to uploads when they are stored. It remembers them, has them processed, and tells of it.

    pipeline = Pipeline(Ledger("sqlite:///uploads.db"), queue=BullMQQueue(), storage=S3Storage("s3://media"))
    pipeline.process(IMAGES, Variants(thumbnail=cover(200, 200)))
    upload = Uploader(DiskStorage("staging", name="staging"), pipeline=pipeline)

An upload has a record before its first byte is stored. When its handler has returned, one transaction makes it
"staged" and writes down that it is to be told; from there its steps are jobs, each of which takes effect once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from posixpath import splitext
from types import MappingProxyType
from typing import Final, TypedDict, TypeVar, Unpack, cast, overload

from ..errors import (
    FileRefused,
    LedgerFailed,
    ObjectMissing,
    QueueFailed,
    RecordMissing,
    StorageError,
    UploadChanged,
    UploadError,
    quoted,
)
from ..events.bus import Events
from ..events.facts import Fact, FileDeleted, FileRejected, FileUploaded
from ..policy.accept import Accept, AcceptRule
from ..policy.filters import IncomingFile
from ..policy.limits import parse_size
from ..policy.media_types import extension_of
from ..records.ledger import Changes, Claim, Ledger, Said
from ..records.lifecycle import GONE, State
from ..records.record import Accepted, Leftover, Quota, UploadRecord, concerning
from ..records.resumable import DIRECT
from ..storage import event_loop
from ..storage.contract import AcceptsDirectUploads, KeepsPartial, Storage
from ..storage.threads import Work, in_own_thread, in_thread
from ..uploads import UploadedFile
from .course import ALIVE, Course
from .forwarding import Forwarder
from .inline import InlineQueue
from .observing import Observer
from .processor import JobContext, Processor
from .processors import ProcessorFunction, Promote, function_processor
from .queue import CONCURRENCY, Backoff, Later, Priority, Queue, Running
from .rules import Rule, Rules
from .status import Status
from .steps import LEASE_SECONDS, Apart, Elsewhere, Steps, objects_of

__all__ = ["Description", "Pipeline", "StepOptions"]

F = TypeVar("F", bound=ProcessorFunction)

EVERY = "*"
"""In place of types: every upload."""

FORWARD_SECONDS = 20.0
"""So long one fact may take to be delivered; what a process had taken that has died is told after twice that time."""

MOST_SLOW = 10
"""So many facts may take longer in one process, each of them a task or a thread, before others wait for them."""

SOON_SECONDS = 0.1
"""How often a request looks whether a step is done that a worker is at."""

_PROCESSED = frozenset({State.COMPLETED, State.FAILED})
"""All steps of such an upload were tried: it is rejected no more."""

_NOT_GONE = frozenset(State) - GONE

_log = logging.getLogger("uploadkit.processing")


class StepOptions(TypedDict, total=False):
    """How a step is made. See `Pipeline.process`."""

    queue: str | None
    attempts: int
    backoff: Backoff
    seconds: float
    memory: int | str | None


class Beginning(TypedDict, total=False):
    """What may be known of an upload before its first byte. See `Ledger.add`."""

    owner: str | None
    idempotency_key: str | None
    expires_at: datetime | None
    reserved: int | None
    quota: Quota | None
    priority: int | None
    tags: Mapping[str, str]


class Description(TypedDict, total=False):
    """What an application says of an upload. See `Pipeline.describe`."""

    owner: str | None
    tags: Mapping[str, str]
    expires_at: datetime | None
    priority: Priority | None
    idempotency_key: str | None


class Pipeline:
    """Remembers uploads in `ledger`, and says what happens to each kind of file, in the order of declaration.

    `queue` is where the work waits for a worker (`uploadkit worker`). Without one all of it is done in the request,
    before the answer goes out; with `inline_below`, such as "5 MB", that of smaller files is. `storage` is where
    uploads stay, and where what is made of them goes: what was received into another one is promoted as the last step.
    Without it everything stays in the storage that received it. `storages` are further ones in which old uploads lie.
    Storages are remembered by their names, so two of one pipeline have different ones. A ledger is of one pipeline:
    all processes that share it declare the same steps, since each of them takes uploads on by its own.

    It is used by any number of threads, event loops and processes, also after a fork. Calls block; the twins in `a`
    do not. Each may raise `LedgerFailed`, and `RecordMissing` where there is no such upload.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        queue: Queue | None = None,
        storage: Storage | None = None,
        storages: Iterable[Storage] = (),
        events: Events | None = None,
        inline_below: int | str | None = None,
    ) -> None:
        """Connects to nothing yet."""
        self.ledger: Final = ledger
        self.queue: Final = queue
        self.events: Final = Events() if events is None else events
        self.on: Final = self.events.on
        self.rules: Final = Rules()
        self._storages: dict[str, Storage] = {}
        self.storages: Final[Mapping[str, Storage]] = MappingProxyType(self._storages)
        for each in [*storages, *([] if storage is None else [storage])]:
            self.knows(each)
        self._inline_below = 0 if inline_below is None else parse_size(inline_below)
        self._steps = Steps(ledger, self.storages, storage, self._file)
        self._course = Course(ledger, self.rules, self._steps, self.events, self.remove)
        self._here = InlineQueue(self._handle_here, on_dead=self._course.dead)
        self._slow: dict[str, asyncio.Task[None]] = {}
        self._forwarder = Forwarder(self.forward, ledger.untold)
        if storage is not None:
            self.rules.add(Rule(processor=Promote(storage)), last=True)

    # What happens

    @overload
    def process(
        self, accept: AcceptRule, /, *, name: str | None = ..., version: int | str = ..., **options: Unpack[StepOptions]
    ) -> Callable[[F], F]: ...
    @overload
    def process(self, accept: AcceptRule, /, *processors: Processor, **options: Unpack[StepOptions]) -> None: ...
    def process(
        self,
        accept: AcceptRule,
        /,
        *processors: Processor,
        name: str | None = None,
        version: int | str = 1,
        **options: Unpack[StepOptions],
    ) -> Callable[[F], F] | None:
        """Says what is done with uploads of the types that `accept` admits, or with all of them: "*".

        Given processors it declares them. Without, it decorates a function that is given the `UploadRecord` and a
        `JobContext`, sync or async, in an event loop of its own; what it returns, a mapping or None, is the result.
        Where a function does something else than it did, its `version` is counted up, and `uploadkit reprocess --stale`
        finds what is to be done again. `name` is the function's own unless it is given.

        `queue` is the one of the file's type ("images", "documents", "videos", "bulk") unless it is named. After
        `attempts`, with the waits of `backoff` between them, the upload is "failed". One attempt may take `seconds`;
        a function's own process, under a worker, may take so much `memory` (bytes, or such as "1 GiB").

        Raises `ValueError` where two processors have one name.
        """
        admitted = None if accept == EVERY else Accept.of(accept)
        declare = partial(self._declare, admitted, options)
        if processors:
            for processor in processors:
                declare(processor, is_apart=False)
            return None

        def decorate(function: F) -> F:
            declare(function_processor(function, name=name or function.__name__, version=version), is_apart=True)
            return function

        return decorate

    def observe(self, observer: Observer) -> None:
        """Has every attempt told to `observer`, such as `Metrics()`, in the process in which it was made."""
        self._course.observers.append(observer)

    @property
    def observers(self) -> Sequence[Observer]:
        """Who is told of every attempt."""
        return tuple(self._course.observers)

    # An upload

    def status(self, upload: str) -> Status:
        """How far an upload has come."""
        return event_loop.wait_for(self.astatus(upload))

    async def astatus(self, upload: str) -> Status:
        """The async twin of `status`."""
        record = await self.ledger.aget(upload)
        found = await self.ledger.aresults(upload)
        results = {result.processor: result.told["results"] for result in found}
        if record.state is not State.PROCESSING:
            percent = 100 if record.state is State.COMPLETED else 0
            received = await in_thread(self._received, upload) if record.state is State.RECEIVING else None
            return Status(record=record, percent=percent, note=None, results=results, received=received)
        steps, undone = len(self.rules.of(record)), self.rules.undone(record, found)
        percent, note = await self._progress(record, undone)
        percent = (100 * (steps - len(undone)) + percent) // max(1, steps)
        return Status(record=record, percent=percent, note=note, results=results)

    def file(self, upload: str) -> UploadedFile:
        """An upload's file, where it lies now. Raises `UploadChanged` where its bytes are gone."""
        return self._file(self.ledger.get(upload))

    async def afile(self, upload: str) -> UploadedFile:
        """The async twin of `file`."""
        return self._file(await self.ledger.aget(upload))

    def made(self, upload: str, name: str, *, processor: str = "variants") -> UploadedFile:
        """Something that was made of an upload, such as its variant "thumbnail", to be read or given out.

        Raises `RecordMissing` where it was not made, or not yet.
        """
        return self._made(self.status(upload), name, processor)

    async def amade(self, upload: str, name: str, *, processor: str = "variants") -> UploadedFile:
        """The async twin of `made`."""
        return self._made(await self.astatus(upload), name, processor)

    def run(self, file: UploadedFile) -> Status:
        """Accepts an upload, and does here and now what is to be done with it, for a handler that wants the results.

        Raises `FileRefused` where a step has rejected or quarantined it. One that has "failed" is a status like others:
        it can be tried again. Where the handler raises after that, the upload is deleted all the same.
        """
        self.ledger.accept([_accepted(file)])
        try:
            event_loop.wait_for(self._run_here([file.id]))
        finally:
            self._forwarder.wake()
        return _taken(self.status(file.id))

    async def arun(self, file: UploadedFile) -> Status:
        """The async twin of `run`."""
        try:
            await self.ledger.aaccept([_accepted(file)])
            await event_loop.awaited(self._run_here([file.id]))
        finally:
            self._forwarder.wake()
        return _taken(await self.astatus(file.id))

    def describe(self, upload: str, **said: Unpack[Description]) -> UploadRecord:
        """Says whose an upload is, and what the application knows of it. A handler does so before it returns: the
        facts of the upload have it then, and its jobs their priority.

        `owner` is for the application to choose, such as a user's id. An upload is expired when `expires_at` is over,
        by the next `uploadkit sweep`. Raises `RecordExists` where the owner has an upload with this idempotency key:
        its `upload` is the id of that one. `ValueError` for a number that is no `Priority`.
        """
        changes = cast(Changes, said)  # they are some of them
        if (priority := changes.get("priority")) is not None:
            changes["priority"] = Priority(priority)
        while True:
            try:
                return self.ledger.change(self.ledger.get(upload), **changes)
            except UploadChanged as error:
                if error.state in GONE:
                    raise

    async def adescribe(self, upload: str, **said: Unpack[Description]) -> UploadRecord:
        """The async twin of `describe`."""
        return await in_thread(partial(self.describe, upload, **said))

    def retry(self, upload: str) -> None:
        """Has a failed upload processed again, with all attempts. Raises `UploadChanged` where it has not failed."""
        self.ledger.move(upload, State.PROCESSING, since={State.FAILED})
        self.advance(upload)

    async def aretry(self, upload: str) -> None:
        """The async twin of `retry`."""
        await self.ledger.amove(upload, State.PROCESSING, since={State.FAILED})
        await self.aadvance(upload)

    def replace_others(self, upload: str) -> list[str]:
        """Deletes the older uploads of the same owner in the same form field, such as the profile pictures before this
        one. Called when this one is completed. Returns the ids of those that went.

        Of uploads that race the newest stays: where a newer one is completed already this one goes as well, and that is
        `UploadChanged`, as where this one is not completed. Raises `ValueError` where the upload has no owner.
        """
        record = self.ledger.get(upload)
        if record.owner is None:
            raise ValueError("an upload without an owner replaces nobody's: say whose it is by describe(owner=...)")
        if record.state is not State.COMPLETED:
            text = f"the upload is {record.state}, and replaces others when it is completed"
            raise UploadChanged(text, upload=upload, state=record.state)
        gone: list[str] = []
        find = partial(self.ledger.find, owner=record.owner, field=record.field)
        for newest in find(state=State.COMPLETED, limit=1):
            while older := find(state=set(State) - GONE, after=newest):
                for each in older:
                    self.delete(each.id)
                    gone.append(each.id)
        if upload in gone:
            raise UploadChanged("a newer upload has taken the place of this one", upload=upload, state=State.DELETED)
        return gone

    async def areplace_others(self, upload: str) -> list[str]:
        """The async twin of `replace_others`."""
        return await in_thread(partial(self.replace_others, upload))

    # What intake tells: `uploads.Register`

    def knows(self, storage: Storage) -> None:
        """Uploads lie in this storage. Raises `ValueError` where another one has its name."""
        known = self._storages.setdefault(storage.name, storage)
        if known is not storage:
            raise ValueError(
                f"two storages of the pipeline are called {storage.name!r}, and uploads are found by that name: "
                "give each its own, as in DiskStorage(..., name='media')"
            )

    def begin(self, file: IncomingFile, *, storage: Storage, key: str | None, batch: str) -> None:
        """A record, before the first byte is stored."""
        self.add(file, storage=storage, key=key, batch=batch)

    def add(
        self, file: IncomingFile, *, storage: Storage, key: str | None, batch: str, **said: Unpack[Beginning]
    ) -> UploadRecord:
        """As `begin`, with what is known of an upload before its first byte. Raises as `Ledger.add`."""
        return self.ledger.add(
            file.id,
            field=file.field,
            filename=file.filename,
            content_type=file.content_type,
            client_filename=file.client_filename,
            declared_type=file.declared_type,
            batch=batch,
            storage=None if key is None else storage.name,
            key=key,
            **said,
        )

    def accept(self, files: Sequence[UploadedFile], *, quota: Quota | None = None, **said: Unpack[Said]) -> None:
        """From here nothing of these uploads is lost. What is `said` of them is known to their facts and jobs. Raises
        `QuotaExceeded` as `Ledger.accept`."""
        if files:
            accepted = self.ledger.accept([_accepted(file) for file in files], quota=quota, **said)
            self._clear_gone(files, accepted)
            try:
                event_loop.wait_for(self._run_here(self._of_here(files)))
            finally:
                self._forwarder.wake()

    async def aaccept(self, files: Sequence[UploadedFile], *, quota: Quota | None = None, **said: Unpack[Said]) -> None:
        """The async twin of `accept`. Cancelled when it has begun, such as by a loop that ends, it goes on and returns:
        what is accepted stays, and who asks is not told otherwise."""
        if files:
            taking = partial(self.ledger.accept, [_accepted(file) for file in files], quota=quota, **said)
            accepted, _ = await Work(taking).finish()
            with suppress(asyncio.CancelledError):
                if len(accepted) < len(files):
                    await in_thread(self._clear_gone, files, accepted)
            try:
                with suppress(asyncio.CancelledError):
                    await event_loop.awaited(self._run_here(self._of_here(files)))
            finally:
                self._forwarder.wake()

    def forgets(self, storage: Storage) -> None:
        """Nothing lies in this storage any more."""
        if self._storages.get(storage.name) is storage:
            del self._storages[storage.name]

    def refuse(
        self, uploads: Sequence[str], error: BaseException, *, since: Collection[State] = ALIVE | {State.RECEIVING}
    ) -> None:
        """These uploads were not taken. What intake could not remove is removed here, or by a sweep. One that was
        processed meanwhile, by `run`, is deleted; one that is in no state of `since` is passed over else."""
        code, reason = (error.code, str(error)) if isinstance(error, UploadError) else ("failed", type(error).__name__)
        for upload in uploads:
            with _passing_over():
                record = self.ledger.get(upload)
                fact = FileRejected(**concerning(record), code=code, reason=reason)
                try:
                    moved = self.ledger.move(upload, State.REJECTED, since=since, reason=reason, facts=[fact])
                except UploadChanged as changed:
                    if changed.state not in _PROCESSED or ALIVE.isdisjoint(since):
                        raise
                    gone = FileDeleted(**concerning(record), reason=reason)
                    moved = self.ledger.move(upload, State.DELETED, since=_PROCESSED, reason=reason, facts=[gone])
                self._forwarder.wake()
                try:
                    self.remove(moved)
                except StorageError:
                    _log.warning("what was stored of upload %s stays for now", upload, exc_info=True)

    def delete(self, upload: str | UploadedFile, /, *, reason: str = "deleted") -> None:
        """Removes an upload's bytes and all that was made of it. Its record stays, and says so. Idempotent, also where
        there is no such upload. `reason` stands in the fact."""
        name = upload if isinstance(upload, str) else upload.id
        with _passing_over():
            record = self.ledger.get(name)
            if record.state is not State.DELETED:
                fact = FileDeleted(**concerning(record), reason=reason)
                told = [] if record.state is State.RECEIVING else [fact]  # nobody has heard of it
                self.ledger.move(name, State.DELETED, reason=reason, facts=told)
                self._cancel(record)
                self._forwarder.wake()
            self.remove(self.ledger.get(name))
        if isinstance(upload, UploadedFile):  # whose key was the user's own choice, while it was received
            self._delete_gone(upload.storage, upload.key)

    async def adelete(self, upload: str | UploadedFile, /, *, reason: str = "deleted") -> None:
        """The async twin of `delete`."""
        await in_thread(partial(self.delete, upload, reason=reason))

    # What workers and upkeep do

    def advance(self, upload: str) -> None:
        """Has the next step of an upload made, or takes it to its end. May be called at any time. Raises
        `QueueFailed`."""
        event_loop.wait_for(self.aadvance(upload))

    async def aadvance(self, upload: str) -> None:
        """The async twin of `advance`."""
        await self._course.advance(upload, self.queue or self._here)

    def forward(self, *, limit: int = 50) -> int:
        """Hands out what is to be told, at most so many facts: jobs to the queue, facts to subscribers. Returns how
        many were delivered."""
        return self.ledger.forward(_Round(self._deliver), limit=limit, seconds=FORWARD_SECONDS)

    async def aforward(self, *, limit: int = 50) -> int:
        """The async twin of `forward`."""
        return await in_own_thread(partial(self.forward, limit=limit))

    async def work(
        self,
        *,
        concurrency: Mapping[str, int] = CONCURRENCY,
        until: asyncio.Event,
        grace_seconds: float = 20,
        apart: Apart | None = None,
    ) -> None:
        """Does the jobs of these queues until `until` is set: see `Queue.work`. `apart` has users' functions done in
        other processes. Raises `TypeError` where the pipeline has no queue."""
        if self.queue is None:
            raise TypeError("the pipeline has no queue, and does everything in the request: Pipeline(..., queue=...)")
        queue, self._steps.apart = self.queue, apart
        try:
            await queue.work(
                lambda running: self._course.handle(running, queue),
                concurrency=concurrency,
                until=until,
                grace_seconds=grace_seconds,
                on_dead=self._course.dead,
            )
        finally:
            self._steps.apart = None

    def context(
        self,
        record: UploadRecord,
        claim: Claim,
        *,
        attempt: int,
        tell: Callable[[int, str | None], None],
        is_cancelled: Callable[[], bool],
    ) -> JobContext:
        """What a processor has while it works under a claim, in a process of its own."""
        return self._steps.context(record, claim, attempt=attempt, tell=tell, is_cancelled=is_cancelled)

    def remove(self, record: UploadRecord) -> None:
        """Removes what was made of an upload, and its own bytes where its state says that they are gone, those too that
        had arrived of one that comes in several requests. Idempotent: what could not be removed is removed by the next
        call."""
        for result in self.ledger.results(record.id):
            self._delete_objects(record, objects_of(result.told))
            self.ledger.undo(result)
        while leftovers := self.ledger.leftovers(upload=record.id):
            for each in leftovers:
                self.clear(each, seconds=LEASE_SECONDS)
        if record.state in GONE and record.storage is not None and record.key is not None:
            self._delete_gone(self._storage(record.storage), record.key)
            with _passing_over():
                self.ledger.change(record, storage=None, key=None)
        if record.state in GONE:
            self.discard_partial(record.id)

    def discard_partial(self, upload: str) -> None:
        """Removes what has arrived of an upload that comes in several requests, or straight into a storage, and forgets
        all that was known of it beside its record: who holds it has lost it. Idempotent; no error where there is
        nothing of it."""
        known = self.ledger.resumables.get(upload)
        if known is None:
            return
        storage, direct = self._storage(known.storage), known.told.get(DIRECT)
        if direct is not None and isinstance(storage, AcceptsDirectUploads):
            storage.abandon(direct["upload"], direct["parts"])
        elif isinstance(storage, KeepsPartial):
            # Where it is missing, it was committed, or a sweep of the storage was first.
            with suppress(ObjectMissing), closing(storage.partial(upload, known.kept)) as partial_object:
                partial_object.discard()
        else:
            raise LookupError(f"storage {known.storage!r} keeps no uploads that come in several requests")
        self.ledger.resumables.forget(upload)

    def clear(self, left: Leftover, *, seconds: float) -> bool:
        """Removes what a step has left that was begun and not finished. It is claimed meanwhile, for so many seconds,
        so that nobody finishes it; False where somebody is at it by now."""
        claim = self.ledger.claim(left.upload, left.processor, left.digest, seconds=seconds)
        if claim is None:
            return False
        try:
            self._delete_objects(self.ledger.get(left.upload), objects_of(claim.left))
        except BaseException:
            with suppress(LedgerFailed):
                self.ledger.give_back(claim)  # else whoever makes the step again would wait for its end
            raise
        self.ledger.drop(claim)
        return True

    def close(self) -> None:
        """Closes the connections of this process, and forwards nothing more in it. The next call makes new ones."""
        self._forwarder.stop()
        if self.queue is not None:
            self.queue.close()
        self.ledger.close()

    def _declare(self, accept: Accept | None, options: StepOptions, processor: Processor, *, is_apart: bool) -> None:
        memory = options.get("memory", "1 GiB")
        rule = Rule(
            accept=accept,
            processor=processor,
            queue=options.get("queue"),
            attempts=options.get("attempts", 3),
            backoff=options.get("backoff", Backoff()),
            seconds=options.get("seconds", 300),
            memory=None if memory is None else parse_size(memory),
            is_apart=is_apart,
        )
        for storage in getattr(processor, "storages", ()):
            self.knows(storage)
        self.rules.add(rule)

    def _clear_gone(self, files: Sequence[UploadedFile], accepted: Sequence[UploadRecord]) -> None:
        """Removes what is stored by now of uploads that were deleted while they came. The record says so first."""
        known = {record.id for record in accepted}
        for file in files:
            if file.id in known:
                continue
            with _passing_over():
                record = self.ledger.get(file.id)
                if record.state in GONE:
                    record = self.ledger.change(record, storage=file.storage.name, key=file.key)
                    try:
                        self.remove(record)
                    except StorageError:
                        _log.warning("what was stored of upload %s stays for now", file.id, exc_info=True)

    def _of_here(self, files: Sequence[UploadedFile]) -> list[str]:
        """Those that are processed in the request."""
        return [file.id for file in files if self.queue is None or file.size < self._inline_below]

    async def _handle_here(self, running: Running) -> None:
        """A worker may have been faster with a step. Who waits for an answer looks again soon."""
        try:
            await self._course.handle(running, self._here)
        except Elsewhere:
            raise Later(SOON_SECONDS) from None

    async def _run_here(self, uploads: Collection[str]) -> None:
        """Raises nothing: they are accepted, and what is not done here is done when they are told of."""
        for upload in uploads:
            try:
                await self._course.advance(upload, self._here)
                while self._here.is_at(upload):  # noqa: ASYNC110  # since it was told of it before: in any thread
                    await asyncio.sleep(SOON_SECONDS)
            except Exception:
                _log.exception("upload %s could not be processed at once", upload)

    def _deliver(self, fact: Fact) -> None:
        event_loop.wait_for(self._abegin_to_deliver(fact))

    async def _abegin_to_deliver(self, fact: Fact) -> None:
        """A subscriber that hangs, hangs once in each process, and keeps nobody from other facts: this raises
        `TimeoutError` when another process may deliver this one anyway, and at once as long as it still hangs."""
        loop = asyncio.get_running_loop()  # after a fork the tasks of the parent's are nobody's
        telling = self._slow.pop(fact.id, None)
        if telling is None or telling.get_loop() is not loop:
            self._slow = {
                name: task for name, task in self._slow.items() if not task.done() and task.get_loop() is loop
            }
            telling = asyncio.create_task(self._adeliver(fact))
            try:
                await asyncio.wait([telling], timeout=2 * FORWARD_SECONDS if len(self._slow) < MOST_SLOW else None)
            except asyncio.CancelledError:
                telling.cancel()
                raise
        if not telling.done():
            self._slow[fact.id] = telling
            raise TimeoutError("a subscriber still has not heard the fact")
        try:
            telling.result()
        finally:
            del telling  # its error has this frame: they would keep each other

    async def _adeliver(self, fact: Fact) -> None:
        if isinstance(fact, FileUploaded):
            if self.queue is not None:
                await self._course.advance(fact.upload, self.queue)
            else:  # the request that has accepted it is at it; where that has died, this takes its place
                event_loop.begin(self._run_here([fact.upload]))
        await self.events.apublish(fact)

    def _received(self, upload: str) -> int | None:
        known = self.ledger.resumables.get(upload)
        return None if known is None else known.told.get("offset")

    async def _progress(self, record: UploadRecord, steps: Sequence[Rule]) -> tuple[int, str | None]:
        """Of the step that is next."""
        queue = self.queue or self._here
        if steps:
            try:
                told = await queue.progress(steps[0].job(record))
            except QueueFailed:
                return 0, None
            if told is not None:
                return told.percent, told.note
        return 0, None

    def _file(self, record: UploadRecord) -> UploadedFile:
        if record.storage is None or record.key is None or record.size is None:
            raise UploadChanged(f"the upload is {record.state}, and has no bytes", upload=record.id, state=record.state)
        return UploadedFile(
            id=record.id,
            field=record.field,
            filename=record.filename,
            client_filename=record.client_filename,
            content_type=record.content_type,
            declared_type=record.declared_type,
            size=record.size,
            sha256=record.sha256,
            key=record.key,
            storage=self._storage(record.storage),
            register=self,
        )

    def _made(self, status: Status, name: str, processor: str) -> UploadedFile:
        made = status.results.get(processor, {}).get(name)
        if not isinstance(made, Mapping) or not {"key", "storage", "size", "content_type"} <= made.keys():
            raise RecordMissing(f"of the upload there is no {name!r}", upload=status.id)
        record = status.record
        return UploadedFile(
            id=record.id,
            field=record.field,
            filename=made_filename(record.filename, name, made["content_type"]),
            client_filename=record.client_filename,
            content_type=made["content_type"],
            declared_type=None,
            size=made["size"],
            sha256=None,
            key=made["key"],
            storage=self._storage(made["storage"]),
        )

    def _storage(self, name: str) -> Storage:
        storage = self._storages.get(name)
        if storage is None:
            text = (
                f"an upload lies in a storage called {name!r}, and the pipeline knows of none: Pipeline(storages=[...])"
            )
            raise LookupError(text)
        return storage

    def _cancel(self, record: UploadRecord) -> None:
        """Takes back what is still to be done with it: who does it hears of that at once, and not at its end."""
        queue = self.queue
        if queue is None or record.state not in ALIVE:
            return
        try:
            for rule in self.rules.of(record):
                event_loop.wait_for(queue.cancel(rule.job(record)))
        except QueueFailed:
            _log.warning("the jobs of upload %s could not be cancelled: they end by themselves", record.id)

    def _delete_gone(self, storage: Storage, key: str) -> None:
        """The bytes of an upload that is gone. A key of the application's own may be another upload's by now."""
        if not self.ledger.find(state=_NOT_GONE, storage=storage.name, key=key, limit=1):
            storage.delete(key)

    def _delete_objects(self, record: UploadRecord, objects: Iterable[tuple[str, str]]) -> None:
        """Not where the upload itself lies: a step may have come so far that it does."""
        for storage, key in objects:
            if (storage, key) != (record.storage, record.key):
                self._storage(storage).delete(key)


def made_filename(filename: str, name: str, content_type: str) -> str:
    """What something is called that was made of a file: "photo-thumbnail.jpg"."""
    stem, _ = splitext(filename)
    return f"{stem}-{name}{extension_of(content_type)}"


class _Round:
    """Delivers facts one after the other. When the queue does not answer to one, the others do not wait for it too."""

    def __init__(self, deliver: Callable[[Fact], None]) -> None:
        self._call = deliver
        self._failed: QueueFailed | None = None

    def __call__(self, fact: Fact) -> None:
        if self._failed is not None:
            raise self._failed
        try:
            self._call(fact)
        except QueueFailed as error:
            self._failed = error
            raise


def _accepted(file: UploadedFile) -> Accepted:
    return Accepted(
        upload=file.id,
        filename=file.filename,
        content_type=file.content_type,
        size=file.size,
        sha256=file.sha256,
        storage=file.storage.name,
        key=file.key,
    )


def _taken(status: Status) -> Status:
    """Raises what a handler is to answer where the upload was not taken after all."""
    record, is_refused = status.record, status.state is State.REJECTED
    if is_refused or status.state is State.QUARANTINED:
        text = (
            record.reason if is_refused and record.reason else f"the file in field {quoted(record.field)} is infected"
        )
        code = "processing" if is_refused else "scan"
        raise FileRefused(text, field=record.field, filter=code, detected=record.content_type)
    return status


def _passing_over() -> suppress:
    """Uploads that are gone, or are somebody else's to change by now."""
    return suppress(UploadChanged, RecordMissing)
