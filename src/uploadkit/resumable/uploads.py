"""Uploads that come in several requests, whatever protocol they come by. Knows no protocol, no framework and no socket.

What is asked of an upload is a generator of the steps of `intake.steps`, which both drivers carry out: what is decided
is decided once. Each holds the upload's lock in the ledger while it is at it. The plan of `intake` judges the file, at
its first bytes and when all have come, as it judges the file of a form: see `policy` and `arriving`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial as bound
from inspect import GEN_CLOSED, getgeneratorstate, iscoroutinefunction
from typing import Any, Final, TypeVar

from ..errors import (
    ChecksumMismatch,
    KeyRefused,
    LengthConflict,
    MalformedUpload,
    ObjectExists,
    ObjectMissing,
    OffsetConflict,
    QuotaExceeded,
    RecordError,
    RecordMissing,
    SenderError,
    StorageError,
    UploadError,
    UploadGone,
    UploadLocked,
)
from ..intake.landing import Landing
from ..intake.plan import shown_name
from ..intake.spec import Received, Spec, check_spec
from ..intake.steps import (
    END,
    READ,
    Accept,
    Ask,
    Commit,
    Discard,
    Do,
    Keep,
    Open,
    Refuse,
    Stage,
    Steps,
    Write,
    releasing,
    undoing,
)
from ..policy.filters import IncomingFile
from ..policy.media_types import OCTET_STREAM
from ..policy.signatures import HEAD_SIZE
from ..processing.pipeline import Pipeline
from ..records.ledger import Said
from ..records.lifecycle import GONE, State
from ..records.record import Quota, UploadRecord
from ..records.resumable import DIRECT, Resumable
from ..storage.contract import ObjectInfo, PartialObject, Storage, StoredObject
from ..uploads import FieldValues, Submission
from .arriving import Published
from .checksums import Checksum, Spool
from .holding import Held, taking
from .policy import UNNAMED, Policy, keeper
from .sources import Beginning, Body, Replay, Source, Spooled
from .work import Announced, Standing, Tail, Unjudged, Work, standing_of

__all__ = ["Announced", "ResumableUploads", "Standing"]

T = TypeVar("T")

EXPIRES_SECONDS: Final = 24 * 60 * 60

WAIT_SECONDS: Final = 10.0
"""So long a request waits for another one to let go of the upload that both want."""

_log = logging.getLogger("uploadkit")


class ResumableUploads:
    """Takes the one file of `spec` in any number of requests, under all its rules.

    The spec is that of an `Uploader` with a pipeline, whose ledger remembers how far an upload has come. Bytes wait in
    the storage of the spec, or in `staging` where that cannot keep what is not whole. `handler` is called with what the
    spec promises when all has come, and may be async; what it raises is answered, and leaves no upload. An upload of
    which nothing more has come for `expires_seconds` is removed by a sweep. With a `quota` an owner has no more than
    that; where it is one of bytes, every upload is announced with its length. A file is kept for `keep_seconds` after
    its upload was begun, None for ever. `words` says from the text values what the ledger is told of an upload, and may
    refuse them. Another request that is at an upload is waited for, at most `wait_seconds`.
    """

    def __init__(
        self,
        spec: Spec[T],
        *,
        staging: Storage | None = None,
        handler: Callable[[T], object] | None = None,
        expires_seconds: int = EXPIRES_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
        quota: Quota | None = None,
        keep_seconds: float | None = None,
        words: Callable[[FieldValues], Said] | None = None,
    ) -> None:
        """Raises `TypeError` for a spec without a pipeline, or of several files, and for a storage that keeps nothing
        that is not whole."""
        check_spec(spec, taker="ResumableUploads", example="upload.single('video')")
        if not isinstance(spec.register, Pipeline):
            raise TypeError("resumable uploads are remembered in a ledger: Uploader(..., pipeline=Pipeline(Ledger()))")
        if expires_seconds < 1:
            raise ValueError(f"expires_seconds is at least 1: {expires_seconds}")
        self.spec: Spec[Any] = spec
        self.pipeline: Pipeline = spec.register
        self.expires_seconds: int = expires_seconds
        self._policy = Policy(spec, self.pipeline, staging=staging, words=words)
        self._ledger = self.pipeline.ledger
        self._handler: Callable[[Any], object] | None = handler
        self._wait_seconds = wait_seconds
        self._quota = quota
        self._keep_seconds = keep_seconds
        self.pipeline.knows(self._policy.storage)
        stale_seconds = getattr(self._policy.storage, "stale_seconds", None)
        if stale_seconds is not None and stale_seconds < expires_seconds:
            raise ValueError(
                f"storage {self._policy.storage.name!r} removes what is not whole after {stale_seconds:.0f} seconds, "
                f"and uploads may rest for {expires_seconds}: give it more stale_seconds"
            )

    @property
    def max_size(self) -> int | None:
        """How many bytes an upload may have, None where nothing says so."""
        return self._policy.max_size

    @property
    def min_size(self) -> int:
        """How many bytes an upload has at least."""
        return self._policy.rule.min_size

    @property
    def asks_async(self) -> bool:
        """Whether the handler, or what the spec asks, is async: then a blocking driver could not."""
        return self.spec.form.asks_async or is_async(self._handler)

    def check_blocking(self) -> None:
        """Raises `TypeError` where it `asks_async`."""
        self.spec.check_blocking()
        if is_async(self._handler):
            raise TypeError("an async handler needs an async application; elsewhere it is a plain function")

    # What may be asked of an upload

    def create(self, announced: Announced, *, owner: str | None) -> Steps[Standing]:
        """Begins an upload. Raises what no bytes could mend: a length that is too long, a name or a type that the field
        does not accept, text values that break a rule; and `QuotaExceeded`."""
        standing = yield from self._created(announced, owner)
        if standing.length != 0 or announced.is_piece or announced.needs_last:
            return standing
        ending = self._at(standing.upload, owner, None, self._ended)
        return (yield from undoing(ending, bound(self._reject, standing.upload)))

    def receive(
        self,
        announced: Announced,
        *,
        owner: str | None,
        body_length: int | None = None,
        is_last: bool = False,
        checksum: Checksum | None = None,
        interrupt: Callable[[], None] | None = None,
    ) -> Steps[Standing]:
        """Begins an upload by a request that brings its first bytes. Raises what `create` and `append` raise: nothing
        is left then, since nobody was told where the upload is."""
        if body_length is not None:
            self._policy.check_room(announced.length, body_length)
        standing = yield from self._created(announced, owner)
        appending = self.append(
            standing.upload,
            owner=owner,
            offset=0,
            body_length=body_length,
            is_last=is_last,
            checksum=checksum,
            interrupt=interrupt,
        )
        return (yield from undoing(appending, bound(self._reject, standing.upload)))

    def find(self, upload: str, *, owner: str | None, interrupt: Callable[[], None] | None = None) -> Steps[Standing]:
        """How far an upload has come. A request that is at it is asked to let go, and is waited for: its client has
        come back. One of which all bytes are there and which was not finished is finished first.

        Raises `RecordMissing` where there is none, or it is another owner's, `UploadGone`, `UploadLocked`, and where it
        is finished now what that raises.
        """
        return (yield from self._at(upload, owner, interrupt, self._ended))

    def append(
        self,
        upload: str,
        *,
        owner: str | None,
        offset: int,
        body_length: int | None = None,
        length: int | None = None,
        is_last: bool = False,
        checksum: Checksum | None = None,
        ends_too_long: bool = False,
        interrupt: Callable[[], None] | None = None,
    ) -> Steps[Standing]:
        """Adds the body of a request, which begins at `offset`, and finishes the upload where that is all of it.

        `length` is what its client has not said before; after one that `is_last` nothing more comes. What has arrived
        is kept, also where the client goes away in the middle; with a `checksum` all of the body or nothing. Where it
        brings more than the upload is to have, that is given up if it `ends_too_long`. `interrupt` is called, from any
        thread, where another request wants the upload: the body is then to raise `UploadLocked`.

        Raises `OffsetConflict`, `ChecksumMismatch`, what `find` raises, and what `receive` raises of a file: then
        nothing is left of it.
        """
        adding = _Adding(offset, body_length, length, is_last, checksum, ends_too_long)
        return (yield from self._at(upload, owner, interrupt, bound(self._add, adding)))

    def terminate(self, upload: str, *, owner: str | None, interrupt: Callable[[], None] | None = None) -> Steps[None]:
        """Gives up an upload, or deletes one that is finished: nothing is left of it. Raises what `find` raises."""
        yield from self._at(upload, owner, interrupt, self._give_up)

    def concatenate(self, announced: Announced, pieces: Sequence[str], *, owner: str | None) -> Steps[Standing]:
        """Makes one upload of finished pieces, in their order, which are used up when it is accepted, or is refused by
        what they are. Raises what `create` and `append` raise, and `MalformedUpload` where a piece is none, or is not
        finished. After every `ServiceError` the pieces are there, and it may be called again."""
        works: dict[str, Work] = {}
        putting_together = self._put_together(announced, pieces, works, owner)
        return (yield from releasing(putting_together, bound(_release, works.values())))

    def _created(self, announced: Announced, owner: str | None) -> Steps[Standing]:
        announced = yield Do(self._policy.checked, (announced,))
        if announced.length is None and owner is not None and self._quota is not None and self._quota.bytes is not None:
            raise MalformedUpload("there is a quota of bytes: say how many the upload has", status=411)
        standing: Standing = yield Do(self._begin, (announced, owner))
        return standing

    # While the lock is held

    def _at(
        self,
        upload: str,
        owner: str | None,
        interrupt: Callable[[], None] | None,
        act: Callable[[Work], Steps[None]],
    ) -> Steps[Standing]:
        work = yield from self._taken(upload, owner, interrupt)
        try:
            yield from releasing(act(work), work.release)
        except StorageError:
            if not work.is_over:  # who has deleted it meanwhile has taken the bytes from beneath
                yield Do(self._look, (upload, owner))
            raise
        return work.standing()

    def _taken(self, upload: str, owner: str | None, interrupt: Callable[[], None] | None) -> Steps[Work]:
        yield Do(self._look, (upload, owner))  # nobody who may not ask waits, or has others interrupted
        wait_seconds, on_wanted = self._wait_seconds, interrupt or _nothing
        held = yield from taking(self._ledger, upload, wait_seconds=wait_seconds, on_wanted=on_wanted)
        return (yield from undoing(self._opened(upload, owner, held), lambda _: held.release()))

    def _opened(self, upload: str, owner: str | None, held: Held) -> Steps[Work]:
        work: Work = yield Do(self._open, (upload, owner, held))
        return work

    def _add(self, adding: _Adding, work: Work) -> Steps[None]:
        if work.row.told["is_put_together"]:
            raise MalformedUpload("what was put together of pieces takes no bytes of its own", status=403)
        if adding.offset != work.size:
            raise OffsetConflict(expected=work.size, provided=adding.offset)
        if adding.length is not None:
            self._say_length(work, adding.length)
        if adding.body_length is not None:
            self._policy.check_room(work.length, adding.offset + adding.body_length)
        if work.is_finished:
            return
        if adding.is_last and work.length is not None:
            work.needs_last = False  # should this request break off: with what is missing it is whole
        if work.has_news:
            yield Do(work.remember)
        body = Body(adding.offset, bound(self._policy.check_room, work.length), work.waiting)
        try:
            yield from self._take_in(adding, work, body)
        except GeneratorExit:
            raise
        except BaseException:
            if adding.ends_too_long and body.is_too_long and not work.is_over:
                yield from self._give_up(work)
            raise
        if adding.is_last and not work.is_finished:
            self._end(work)
        yield from self._ended(work)

    def _take_in(self, adding: _Adding, work: Work, body: Source) -> Steps[None]:
        if adding.checksum is not None:
            body = yield from self._verified(adding.checksum, body)
        if work.is_piece or work.size >= HEAD_SIZE:
            taking = self._append(work, body)
        else:
            taking = self._begin_to_judge(work, body, is_last=adding.is_last)
        yield from releasing(taking, body.close)

    def _append(self, work: Work, body: Source) -> Steps[None]:
        """What comes goes to the end of what is there. Nothing of it is looked at before all has come."""
        tail = Tail(work.partial)
        try:
            while (chunk := (yield from body.read())) is not None:
                yield Write(tail, chunk)
        except GeneratorExit:
            raise
        except BaseException as error:
            yield from _kept(tail, error)
            if body.is_too_long and work.length is None:
                yield Do(self._refuse, (work, error), settles=True)
            raise
        yield Keep(tail)

    def _begin_to_judge(self, work: Work, body: Source, *, is_last: bool) -> Steps[None]:
        """The first bytes are judged as soon as they are there; where all comes in this request, all of it is."""
        kept: bytes = (yield Do(work.partial.head, (HEAD_SIZE,))) if work.size else b""
        length = None if work.needs_last else work.length
        beginning = Beginning(kept, body, length=length, is_last=is_last and work.length is None)
        received = yield from self._judge(work, beginning, len(kept))
        if received is not None:
            work.length, work.needs_last = beginning.size, False
            yield from self._accept(work, received)

    def _ended(self, work: Work) -> Steps[None]:
        """Judges all of a file, where all of it is there and nobody has."""
        if not work.is_all_there:
            return
        yield Do(work.partial.complete)
        replay: Replay = yield Do(Replay, (work.partial,))
        received = yield from releasing(self._judge(work, replay, work.size), replay.close)
        if received is not None:
            yield from self._accept(work, received)

    def _judge(self, work: Work, source: Source, replayed: int) -> Steps[Received[Any] | None]:
        """Has a plan judge what comes from `source`, of which the first bytes are there. None where not all of the file
        has come; what has come is kept then, and where anything fails but the file itself."""
        steps, landing, failed, is_staged = self._policy.plan(work, replayed), None, False, False
        try:
            step = next(steps)
            while True:
                if step is READ:
                    try:
                        chunk = yield from source.read()
                    except SenderError as error:
                        if not source.is_too_long or work.length is not None:
                            raise
                        step = steps.throw(error)
                    else:
                        if chunk is None and not source.is_whole:
                            raise _Unfinished
                        step = steps.send(END if chunk is None else chunk)
                elif failed and (isinstance(step, Refuse) or (isinstance(step, Discard) and not is_staged)):
                    step = steps.send(None)  # what has come is kept; what was made of it in another storage goes
                else:
                    if isinstance(step, Commit) and self._is_copied(work):
                        step = Do(self._commit, (work, step.landing))
                    try:
                        answer = yield step
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        failed = failed or not _is_verdict(error)
                        step = steps.throw(error)
                    else:
                        landing = answer if isinstance(step, Open) else landing
                        is_staged = is_staged or isinstance(step, Stage)
                        step = steps.send(answer)
        except StopIteration as done:
            received: Received[Any] = done.value
            return received
        except GeneratorExit:
            raise
        except BaseException as error:
            is_open = getgeneratorstate(steps) != GEN_CLOSED
            if is_open:
                _drop(steps, error)
            if is_open or failed:
                yield from _kept(landing or Unjudged(work.partial, source.unwritten), error)
            elif _is_verdict(error):
                yield Do(self._refuse, (work, error), settles=True)
            if isinstance(error, _Unfinished):
                return None
            raise

    def _accept(self, work: Work, received: Received[Any]) -> Steps[None]:
        """All is published: the application has its say, and the pipeline takes it."""
        submission = received.submission
        yield from undoing(self._handle(work, received), bound(self._unhandled, work, submission))
        yield from undoing(self._accept_now(work, submission), bound(self._unaccepted, work, submission))
        work.is_finished = True
        if self._is_copied(work):
            yield Do(self._discard_waiting, (work,), settles=True)

    def _handle(self, work: Work, received: Received[Any]) -> Steps[None]:
        if work.sha256 is not None and received.submission.files[0].sha256 != work.sha256:
            raise ChecksumMismatch(algorithm="sha256")
        if self._handler is not None:
            work.expect()
            work.answer = yield Ask(self._handler, (received.given,))

    def _accept_now(self, work: Work, submission: Submission) -> Steps[None]:
        """Whatever has happened: a cancellation comes too late for what is published, and was handled."""
        yield Do(work.confirm, settles=True)
        # The pieces of what was put together are still counted beside it.
        is_asked = work.record.owner is not None and not work.row.told["is_put_together"]
        quota = self._quota if is_asked else None
        said = yield Do(self._policy.said, (submission.fields,), settles=True)
        accept, aaccept = self.pipeline.accept, self.pipeline.aaccept
        yield Accept(
            bound(accept, submission.files, quota=quota, **said),
            bound(aaccept, submission.files, quota=quota, **said),
        )

    def _verified(self, checksum: Checksum, body: Source) -> Steps[Source]:
        """All of a body, when it is what was sent: before that nothing of it is added to the upload."""
        spool = Spool(checksum)
        return (yield from undoing(self._spooled(spool, body), lambda _: spool.close()))

    def _spooled(self, spool: Spool, body: Source) -> Steps[Source]:
        while (chunk := (yield from body.read())) is not None:
            yield Write(spool, chunk)
        yield Keep(spool)
        spool.check()
        return Spooled(spool)

    def _put_together(
        self, announced: Announced, pieces: Sequence[str], works: dict[str, Work], owner: str | None
    ) -> Steps[Standing]:
        if len(set(pieces)) != len(pieces):
            raise MalformedUpload("a piece is named once: what is put together has no more bytes than were sent")
        for piece in sorted(pieces):
            works[piece] = yield from self._taken(piece, owner, None)
            yield Do(works[piece].set_aside)  # its lock is held, and no more: there may be a thousand of them
        if any(not work.is_piece or work.size != work.length for work in works.values()):
            raise MalformedUpload("what is put together are pieces, of which all bytes are there")
        size = sum(work.size for work in works.values())
        announced = yield Do(self._policy.checked, (replace(announced, length=size, is_put_together=True),))
        standing: Standing = yield Do(self._begin, (announced, owner))
        used = [works[piece] for piece in pieces]
        using = self._at(standing.upload, owner, None, bound(self._use, used))
        return (yield from undoing(using, bound(self._take_apart, standing.upload, used)))

    def _use(self, pieces: Sequence[Work], work: Work) -> Steps[None]:
        yield from undoing(self._extended(work, pieces), bound(self._refuse, work))
        used_up = Do(self._use_up, (pieces, work), settles=True)
        try:
            yield from self._ended(work)
        except GeneratorExit:
            raise
        except BaseException as error:
            if _is_verdict(error):
                yield used_up
            raise
        yield used_up

    def _extended(self, work: Work, pieces: Sequence[Work]) -> Steps[None]:
        for piece in pieces:
            yield Do(self._extend, (work, piece))
        yield Do(work.partial.keep)

    def _give_up(self, work: Work) -> Steps[None]:
        yield Do(self._delete, (work, "given up"), settles=True)

    # What may block

    def _begin(self, announced: Announced, owner: str | None) -> Standing:
        """The record stands before anything else is there, and the row before anybody knows of the upload."""
        policy, upload, key = self._policy, self.spec.new_key(""), self.spec.new_key("")
        incoming = IncomingFile(
            id=upload,
            field=policy.field,
            filename=shown_name(announced.filename or UNNAMED, OCTET_STREAM),
            client_filename=announced.filename,
            content_type=OCTET_STREAM,  # nobody has looked
            declared_type=announced.declared_type,
            head=b"",
            fields=tuple(announced.fields),
        )
        self.pipeline.add(
            incoming,
            storage=policy.rule.storage,
            key=key if policy.rule.key_maker is None else None,
            batch=self.spec.new_key(""),
            owner=owner,
            quota=self._quota if owner is not None else None,
            reserved=0 if announced.is_put_together else announced.length,  # of its pieces all is counted
            expires_at=None if self._keep_seconds is None else _from_now(self._keep_seconds),
        )
        told = {
            **announced.told,
            "key": key,
            "filename": announced.filename,
            "declared_type": announced.declared_type,
            "fields": [list(pair) for pair in announced.fields],
            "is_piece": announced.is_piece,
            "needs_last": announced.needs_last,
            "sha256": announced.sha256,
            "is_put_together": announced.is_put_together,
            "offset": 0,
        }
        kept: str | None = None
        try:
            most = policy.max_size if announced.length is None else announced.length
            kept = keeper(policy.storage).begin_partial(upload, ObjectInfo(max_size=most))
            row = self._ledger.resumables.add(
                upload,
                length=announced.length,
                storage=policy.storage.name,
                kept=kept,
                told=told,
                expires_at=self._expiry(),
            )
        except BaseException as error:
            with suppress(UploadError):
                if kept is not None:  # without a row nobody else would know of it
                    keeper(policy.storage).partial(upload, kept).discard()
            with suppress(UploadError):
                self.pipeline.refuse([upload], error)
            raise
        return standing_of(row, 0)

    def _open(self, upload: str, owner: str | None, held: Held) -> Work:
        record, row = self._look(upload, owner)
        _expect_time(record, row)  # who was at it until now has given it more, perhaps
        partial = self._partial(record, row) if record.state is State.RECEIVING else None
        return Work(record, row, held, partial, self._expiry)

    def _look(self, upload: str, owner: str | None) -> tuple[UploadRecord, Resumable]:
        """What is another's is not told apart from what is not there."""
        record, row = self._ledger.get_with_resumable(upload)
        if row is not None and DIRECT in row.told:  # it goes from its client straight into the storage
            row = None
        if record.owner != owner or (row is None and record.state not in GONE):
            raise RecordMissing("there is no such upload", upload=upload)
        if row is None or record.state in GONE:
            raise UploadGone(f"this upload is {record.state}{f': {record.reason}' if record.reason else ''}")
        return record, row

    def _partial(self, record: UploadRecord, row: Resumable) -> PartialObject:
        """What has arrived. Where all of it was published by a request that did not come to its end, that."""
        storages = self.pipeline.storages
        with suppress(ObjectMissing):
            return keeper(storages[row.storage]).partial(row.upload, row.kept)
        with suppress(ObjectMissing):
            if record.storage is not None and record.key is not None:
                return Published(storages[record.storage], record.key)
        raise UploadGone("nothing is left of this upload; begin it again")

    def _extend(self, work: Work, piece: Work) -> None:
        piece.expect()
        with closing(self._partial(piece.record, piece.row)) as partial:
            partial.complete()
            if partial.size != piece.size:
                raise UploadGone(f"piece {piece.record.id} has changed; send it again")
            work.partial.extend(partial)

    def _refuse(self, work: Work, error: BaseException) -> None:
        self._discard(work)
        self._reject(work.record.id, error)

    def _reject(self, upload: str, error: BaseException) -> None:
        """Nothing came of it, and its client is told so, also where it was accepted and only an answer got lost. A
        request that is broken off when it was accepted is told nothing, and it stays."""
        if isinstance(error, Exception):
            self.pipeline.refuse([upload], error)
        else:
            self.pipeline.refuse([upload], error, since={State.RECEIVING})

    def _take_apart(self, upload: str, pieces: Sequence[Work], error: BaseException) -> None:
        """While its pieces are there they are put together again, to another upload, also where it was accepted and
        nobody could say so. When they are used up it stays."""
        if not any(piece.is_over for piece in pieces):
            self.pipeline.refuse([upload], error)

    def _commit(self, work: Work, landing: Landing) -> StoredObject:
        """Under a key that no other upload has. Where nothing more was to come, what lies there was copied from staging
        by a request that did not come to its end: nobody was told of it."""
        key = work.record.key
        if key is not None and not work.has_grown:
            work.expect()
            self._policy.rule.storage.delete(key)
        return landing.commit()

    def _is_copied(self, work: Work) -> bool:
        """Whether it waits in a storage in which it does not stay."""
        return self._policy.rule.staging is not None and not work.is_published

    def _unhandled(self, work: Work, submission: Submission, error: BaseException) -> None:
        """The handler has raised, or was broken off: then the next request has it called again, where that can find
        what is published, and where it has not accepted that itself, by `Pipeline.run`."""
        is_refused = isinstance(error, Exception) and not isinstance(error, UploadLocked)
        if is_refused or not self._is_found_again or self._ledger.get(work.record.id).state is not State.RECEIVING:
            self._take_back(work, submission, error)

    def _unaccepted(self, work: Work, submission: Submission, error: BaseException) -> None:
        """The pipeline does not take it. Where it could not, the next request goes on from here."""
        if isinstance(error, QuotaExceeded | RecordError) or not self._is_found_again:
            self._take_back(work, submission, error)

    @property
    def _is_found_again(self) -> bool:
        """Whether the next request finds what is published: under a name of the application's own nobody would."""
        return self._policy.rule.key_maker is None

    def _take_back(self, work: Work, submission: Submission, error: BaseException) -> None:
        if self._is_found_again:  # else it is nobody's but this request's, also when the lock is lost
            work.confirm()
        for file in submission.files:
            try:
                file.storage.delete(file.key)
            except StorageError as also:
                error.add_note(f"and the file could not be removed: {also!r}")
        self._discard(work)
        self.pipeline.refuse([work.record.id], error)  # also one that the handler has accepted by `Pipeline.run`

    def _discard(self, work: Work) -> None:
        work.confirm()
        try:
            work.partial.discard()
        except StorageError:
            _log.warning("what had come of upload %s stays for now", work.record.id, exc_info=True)
        work.is_over = True

    def _discard_waiting(self, work: Work) -> None:
        """What was copied from there. A sweep removes what stays."""
        with suppress(StorageError, UploadLocked):
            work.partial.discard()

    def _use_up(self, pieces: Sequence[Work], work: Work) -> None:
        """What they were put together to is judged: a piece that stays now expires by itself."""
        for piece in pieces:
            try:
                self._delete(piece, f"it is part of {work.record.id}")
            except UploadError:
                piece.is_over = True
                _log.warning("what had come of upload %s stays for now", piece.record.id, exc_info=True)

    def _delete(self, work: Work, reason: str) -> None:
        work.confirm()
        self.pipeline.delete(work.record.id, reason=reason)
        work.is_over = True

    def _say_length(self, work: Work, length: int) -> None:
        if work.length is not None:
            if work.length != length:
                raise LengthConflict(f"the upload was announced with {work.length} bytes, and not with {length}")
            return
        if length < work.size:
            raise LengthConflict(f"{work.size} bytes have arrived, and the upload is to have {length}")
        # One that is too short is judged, and refused, when it is whole.
        self._policy.check_length(length, may_grow=True)
        work.length = length

    def _end(self, work: Work) -> None:
        """Its last bytes have come. Whether they are enough is for the rules to say, when it is judged."""
        if work.length is not None and work.length != work.size:
            raise LengthConflict(f"the upload was announced with {work.length} bytes, and ends after {work.size}")
        work.length, work.needs_last = work.size, False

    def _expiry(self) -> datetime:
        return _from_now(self.expires_seconds)


@dataclass(frozen=True, slots=True)
class _Adding:
    """What a request brings."""

    offset: int
    body_length: int | None
    length: int | None
    is_last: bool
    checksum: Checksum | None
    ends_too_long: bool


class _Unfinished(Exception):
    """Not all of the file has come."""


def _expect_time(record: UploadRecord, row: Resumable) -> None:
    if record.state is State.RECEIVING and row.expires_at <= datetime.now(UTC):
        raise UploadGone("the time of this upload is over; begin it again")


def is_async(call: Callable[..., Any] | None) -> bool:
    """Whether a callable of the application is a coroutine function, or an object of which the call is one."""
    return call is not None and (iscoroutinefunction(call) or iscoroutinefunction(type(call).__call__))


def _is_verdict(error: BaseException) -> bool:
    """Whether it says that the file is none that is taken, and not that it could not be taken now. Under a key that is
    taken, or that is none, it is never stored."""
    return isinstance(error, SenderError | ObjectExists | KeyRefused) and not isinstance(error, UploadLocked)


def _kept(target: Landing | Tail, error: BaseException) -> Steps[None]:
    """What has come before an error stays. What could not be kept is noted on it: it is sent once more."""
    try:
        yield Keep(target)
    except GeneratorExit:
        raise
    except Exception as also:
        error.add_note(f"and not all that has come was kept: {also!r}")


def _drop(steps: Steps[Any], error: BaseException) -> None:
    """Ends a plan of which nothing is to be done any more: what it has opened is kept."""
    try:
        steps.throw(error)
        while True:
            steps.send(None)
    except BaseException as raised:
        if raised is not error:
            raise


def _release(works: Iterable[Work]) -> None:
    """All of them, also where one cannot be closed."""
    with ExitStack() as releasing:
        for work in works:
            releasing.callback(work.release)


def _from_now(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def _nothing() -> None:
    return
