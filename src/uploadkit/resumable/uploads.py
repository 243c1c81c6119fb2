"""Uploads that come in several requests, whatever protocol they come by. Knows no protocol, no framework and no socket.

What is asked of an upload is a generator of the steps of `intake.steps`, which both drivers carry out: what is decided
is decided once. Each holds the upload's lock in the ledger while it is at it. The plan of `intake` judges the file, at
its first bytes and when all have come, as it judges the file of a form: see `arriving`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial as bound
from typing import IO, Any, BinaryIO, Protocol, TypeAlias, TypeVar

from ..errors import (
    FieldMissing,
    FileRefused,
    InvalidForm,
    LimitExceeded,
    MalformedUpload,
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
    quoted,
)
from ..intake.landing import Landing
from ..intake.plan import Steps, plan, shown_name
from ..intake.spec import Received, Spec, check_spec
from ..intake.steps import END, READ, Ask, Discard, Do, Keep, Open, Refuse, Step, Write
from ..multipart.events import PartBegin
from ..multipart.headers import declared_type
from ..policy.accept import foresee
from ..policy.accounting import exceeded
from ..policy.fields import FileRule, FormRules
from ..policy.filters import IncomingFile
from ..policy.media_types import OCTET_STREAM
from ..policy.rules import largest
from ..policy.signatures import HEAD_SIZE
from ..processing.pipeline import Pipeline
from ..records.ledger import Said
from ..records.lifecycle import GONE, State
from ..records.record import Quota, UploadRecord
from ..records.resumable import Resumable
from ..storage.contract import Buffer, KeepsPartial, ObjectInfo, PartialObject, Storage
from ..uploads import FieldValues, Submission, UploadedFile
from .arriving import Arriving, OneFile, Published
from .checksums import Checksum, Spool
from .holding import Held, take

__all__ = ["Announced", "ResumableUploads", "Standing"]

T = TypeVar("T")

BLOCK_SIZE = 2**20

EXPIRES_SECONDS = 24 * 60 * 60

WAIT_SECONDS = 10.0
"""So long a request waits for another one to let go of the upload that both want."""

_UNNAMED = "file"
"""What a file is called whose client did not say: `tuspy` does not by itself."""

_log = logging.getLogger("uploadkit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What a client says of an upload before its first byte. `length` is in bytes, None where it is told later.

    `fields` are the text values beside the file, `told` is what its protocol wants to know again, as JSON. One that
    `is_piece` is no upload by itself: it is made part of another one, and judged then.
    """

    length: int | None
    filename: str = ""
    declared_type: str | None = None
    fields: Sequence[tuple[str, str]] = ()
    is_piece: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far an upload has come: `offset` of `length` bytes. Of one that `is_finished` nothing more is taken, and
    `answer` is what the application's handler has returned to the request that finished it."""

    upload: str
    offset: int
    length: int | None
    expires_at: datetime
    is_piece: bool = False
    is_finished: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)
    answer: object = None


class ResumableUploads:
    """Takes the one file of `spec` in any number of requests, under all its rules.

    The spec is that of an `Uploader` with a pipeline, whose ledger remembers how far an upload has come. Bytes wait in
    the storage of the spec, or in `staging` where that cannot keep what is not whole. `handler` is called with what the
    spec promises when all has come, and may be async; what it raises is answered, and leaves no upload. An upload of
    which nothing more has come for `expires_seconds` is removed by a sweep. With a `quota` an owner has no more than
    that. `words` says from the text fields what the ledger is told of an upload, and may refuse them.
    """

    def __init__(
        self,
        spec: Spec[Any],
        *,
        staging: Storage | None = None,
        handler: Callable[..., Any] | None = None,
        expires_seconds: int = EXPIRES_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
        quota: Quota | None = None,
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
        self.field, rule = _only_file(spec.form)
        self._rule: FileRule = _keeping(rule, staging)
        self._storage: Storage = self._rule.lands_in
        self._keeps: KeepsPartial = _keeper(self._storage)
        self._ledger = self.pipeline.ledger
        self._handler = handler
        self._wait_seconds = wait_seconds
        self._quota = quota
        self._words = words
        self.pipeline.knows(self._storage)

    @property
    def max_size(self) -> int | None:
        """How many bytes an upload may have, None where nothing says so."""
        sizes = [largest(self._rule, self.spec.limits), self.spec.limits.files_size]
        return min((size for size in sizes if size is not None), default=None)

    # What may be asked of an upload

    def create(self, announced: Announced, *, owner: str | None) -> Steps[Standing]:
        """Begins an upload. Raises what no bytes could mend: a length that is too long, a name or a type that the field
        does not accept, text values that break a rule; and `QuotaExceeded`."""
        announced = self._checked(announced)
        standing: Standing = yield Do(self._begin, (announced, owner))
        if announced.length == 0 and not announced.is_piece:
            return (yield from self._at(standing.upload, owner, None, self._ended))
        return standing

    def find(self, upload: str, *, owner: str | None, interrupt: Callable[[], object] | None = None) -> Steps[Standing]:
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
        interrupt: Callable[[], object] | None = None,
    ) -> Steps[Standing]:
        """Adds the body of a request, which begins at `offset`, and finishes the upload where that is all of it.

        `length` is what its client has not said before; after one that `is_last` nothing more comes. What has arrived
        is kept, also where the client goes away in the middle; with a `checksum` all of the body or nothing. Raises
        `OffsetConflict`, `ChecksumMismatch`, what `find` raises, and what `receive` raises of a file: then nothing is
        left of it. `interrupt` is called, from any thread, where another request wants the upload: the body is then to
        raise `UploadLocked`.
        """
        adding = _Adding(offset, body_length, length, is_last, checksum)
        return (yield from self._at(upload, owner, interrupt, bound(self._add, adding)))

    def terminate(
        self, upload: str, *, owner: str | None, interrupt: Callable[[], object] | None = None
    ) -> Steps[None]:
        """Gives up an upload, or deletes one that is finished: nothing is left of it. Raises what `find` raises."""
        yield from self._at(upload, owner, interrupt, self._delete)

    def concatenate(self, announced: Announced, pieces: Sequence[str], *, owner: str | None) -> Steps[Standing]:
        """Makes one upload of finished pieces, in their order, which are used up by it. Raises what `create` and
        `append` raise, and `MalformedUpload` where a piece is none, or is not finished."""
        works: list[_Work] = []
        try:
            for piece in sorted(set(pieces)):
                works.append((yield Do(self._open, (piece, owner, None))))
            by_id = {work.record.id: work for work in works}
            ordered = [by_id[piece] for piece in pieces]
            for work in ordered:
                if not work.is_piece or work.size != work.length:
                    raise MalformedUpload("what is put together are pieces, of which all bytes are there")
            announced = self._checked(replace(announced, length=sum(work.size for work in ordered)))
            standing: Standing = yield Do(self._begin, (announced, owner, False))
            standing = yield from self._at(standing.upload, owner, None, bound(self._put_together, ordered))
        except GeneratorExit:
            raise
        except BaseException:
            yield Do(_release_all, (works,), settles=True)
            raise
        yield Do(_release_all, (works,), settles=True)
        return standing

    # An upload, while its lock is held

    def _at(
        self,
        upload: str,
        owner: str | None,
        interrupt: Callable[[], object] | None,
        act: Callable[[_Work], Steps[None]],
    ) -> Steps[Standing]:
        work: _Work = yield Do(self._open, (upload, owner, interrupt))
        yield from _closing(act(work), work.release)
        return work.standing()

    def _add(self, adding: _Adding, work: _Work) -> Steps[None]:
        if adding.offset != work.size:
            raise OffsetConflict(expected=work.size, provided=adding.offset)
        if adding.length is not None:
            self._say_length(work, adding.length)
        if work.is_finished:
            if adding.body_length:
                self._check_room(work, adding.offset + adding.body_length)
            return
        check = bound(self._check_room, work)
        if adding.body_length is not None:
            check(adding.offset + adding.body_length)
        body: _Source = _Body(adding.offset, check)
        if adding.checksum is not None:
            body = yield from self._verified(adding.checksum, body)
        take_in = self._append if work.is_piece or work.size >= HEAD_SIZE else self._judge_while_it_comes
        yield from _closing(take_in(work, body, adding.is_last), body.close)
        yield from self._ended(work)

    def _append(self, work: _Work, body: _Source, is_last: bool) -> Steps[None]:
        """What comes goes to the end of what is there. Nothing of it is looked at before all has come."""
        tail = _Tail(work)
        try:
            while (chunk := (yield from body.read())) is not None:
                yield Write(tail, chunk)
        except GeneratorExit:
            raise
        except BaseException as error:
            yield from self._kept(tail, error)
            if body.is_too_long and work.length is None:
                yield Do(self._refuse, (work, error), settles=True)
            raise
        yield Keep(tail)
        if is_last:
            self._say_length(work, work.size)

    def _judge_while_it_comes(self, work: _Work, body: _Source, is_last: bool) -> Steps[None]:
        """The first bytes are judged as soon as they are there; where all comes in this request, all of it is."""
        head: bytes = (yield Do(work.partial.head, (HEAD_SIZE,))) if work.size else b""
        coming = _Coming(head, body, work, is_last)
        received = yield from self._planned(work, coming, len(head))
        if received is not None:
            yield from self._accept(work, received)

    def _ended(self, work: _Work) -> Steps[None]:
        """Judges all of a file, where all of it is there and nobody has."""
        if work.is_finished or work.is_piece or work.length is None or work.size != work.length:
            return
        yield Do(work.partial.complete)
        replay: _Replay = yield Do(_Replay, (work.partial,))
        received = yield from _closing(self._planned(work, replay, work.size), replay.close)
        if received is not None:
            yield from self._accept(work, received)

    def _planned(self, work: _Work, source: _Source, replayed: int) -> Steps[Received[Any] | None]:
        """Has the plan of a form judge what comes from `source`, of which the first bytes are `replayed`. None where
        not all of the file has come, and what has come is kept."""
        work.arrives(self._rule, replayed)
        steps = plan(self._spec_of(work), None, parser=OneFile(*self._form_of(work)))
        landing: Landing | None = None
        failed = False
        try:
            step = next(steps)
            while True:
                if step is READ:
                    try:
                        chunk = yield from source.read()
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        if not source.is_too_long or work.length is not None:
                            _give_up(steps, error)
                            yield from self._kept(landing or _Held(work, source.unwritten), error)
                            raise
                        step = steps.throw(error)
                        continue
                    if chunk is None and not source.is_whole:
                        _give_up(steps, _Unfinished())
                        yield Keep(landing or _Held(work, source.unwritten))
                        return None
                    step = steps.send(END if chunk is None else chunk)
                    continue
                if failed and isinstance(step, Discard | Refuse):
                    step = steps.send(None)
                    continue
                try:
                    answer = yield step
                except GeneratorExit:
                    raise
                except BaseException as error:
                    failed = failed or not _is_verdict(error)
                    step = steps.throw(error)
                else:
                    if isinstance(step, Open):
                        landing = answer
                    step = steps.send(answer)
        except StopIteration as done:
            received: Received[Any] = done.value
            return received
        except GeneratorExit:
            raise
        except BaseException as error:
            if not failed and _is_verdict(error):
                yield Do(self._refuse, (work, error), settles=True)
            elif failed and landing is not None:
                yield from self._kept(landing, error)
            raise

    def _kept(self, target: Landing | _Tail | _Held, error: BaseException) -> Steps[None]:
        """What has come before an error stays. What could not be kept is noted on it: it is sent once more."""
        try:
            yield Keep(target)
        except GeneratorExit:
            raise
        except Exception as also:
            error.add_note(f"and not all that has come was kept: {also!r}")

    def _accept(self, work: _Work, received: Received[Any]) -> Steps[None]:
        """All is published: the application has its say, and the pipeline takes it. Where the ledger does not answer,
        the next request goes on from here."""
        if self._handler is not None:
            try:
                work.answer = yield Ask(self._handler, (received.given,))
            except GeneratorExit:
                raise
            except Exception as error:
                yield Do(self._take_back, (work, received.submission, error), settles=True)
                raise
        yield Do(self._accept_now, (work, received.submission), settles=True)

    def _verified(self, checksum: Checksum, body: _Source) -> Generator[Step, Any, _Source]:
        """All of a body, when it is what was sent: before that nothing of it is added to the upload."""
        spool = Spool(checksum)
        try:
            while (chunk := (yield from body.read())) is not None:
                yield Write(spool, chunk)
            yield Keep(spool)
            spool.check()
        except GeneratorExit:
            raise
        except BaseException:
            yield Do(spool.close, (), settles=True)
            raise
        return _Spooled(spool)

    def _put_together(self, pieces: Sequence[_Work], work: _Work) -> Steps[None]:
        try:
            for piece in pieces:
                yield Do(piece.partial.complete)
                yield Do(work.partial.extend, (piece.partial,))
            yield Do(work.partial.keep)
        except GeneratorExit:
            raise
        except BaseException as error:
            yield Do(self._refuse, (work, error), settles=True)
            raise
        for piece in {piece.record.id: piece for piece in pieces}.values():
            yield Do(self._use_up, (piece, work.record.id), settles=True)
        yield from self._ended(work)

    def _delete(self, work: _Work) -> Steps[None]:
        yield Do(self._remove, (work,), settles=True)

    # What may block

    def _begin(self, announced: Announced, owner: str | None, is_reserved: bool = True) -> Standing:
        """The record stands before anything else is there, and the row before anybody knows of the upload."""
        upload, key = self.spec.new_key(""), self.spec.new_key("")
        own_key = key if self._rule.key_maker is None else None
        filename = announced.filename or _UNNAMED
        incoming = IncomingFile(
            id=upload,
            field=self.field,
            filename=shown_name(filename, OCTET_STREAM),
            client_filename=announced.filename,
            content_type=OCTET_STREAM,  # nobody has looked
            declared_type=announced.declared_type,
            head=b"",
            fields=tuple(announced.fields),
        )
        self.pipeline.add(
            incoming,
            storage=self._rule.storage,
            key=own_key,
            batch=self.spec.new_key(""),
            owner=owner,
            quota=self._quota if owner is not None else None,
            reserved=announced.length if is_reserved else None,
        )
        told = {
            **announced.told,
            "key": key,
            "filename": announced.filename,
            "declared_type": announced.declared_type,
            "fields": [list(pair) for pair in announced.fields],
            "is_piece": announced.is_piece,
        }
        try:
            most = self.max_size if announced.length is None else announced.length
            kept = self._keeps.begin_partial(upload, ObjectInfo(max_size=most))
            row = self._ledger.resumables.add(
                upload,
                length=announced.length,
                storage=self._storage.name,
                kept=kept,
                told=told,
                expires_at=self._expiry(),
            )
        except BaseException as error:
            with suppress(UploadError):
                self.pipeline.refuse([upload], error)
            raise
        return _standing(row, 0)

    def _open(self, upload: str, owner: str | None, interrupt: Callable[[], object] | None) -> _Work:
        self._look(upload, owner)
        held = take(self._ledger, upload, wait_seconds=self._wait_seconds, on_wanted=interrupt or (lambda: None))
        try:
            record, row = self._look(upload, owner)
            is_finished = record.state is not State.RECEIVING
            partial = None if is_finished else self._partial(record, row)
        except BaseException:
            held.release()
            raise
        return _Work(record, row, held, partial, self._expiry)

    def _look(self, upload: str, owner: str | None) -> tuple[UploadRecord, Resumable]:
        """Whose it is comes first: what is another's is not told apart from what is not there."""
        record = self._ledger.get(upload)
        row = self._ledger.resumables.get(upload) if record.owner == owner else None
        if record.owner != owner or (row is None and record.state not in GONE):
            raise RecordMissing("there is no such upload", upload=upload)
        is_over = row is None or record.state in GONE
        if is_over or (record.state is State.RECEIVING and row is not None and row.expires_at <= datetime.now(UTC)):
            raise UploadGone(_gone(record))
        if row is None:  # as is_over says
            raise RecordMissing("there is no such upload", upload=upload)
        return record, row

    def _partial(self, record: UploadRecord, row: Resumable) -> PartialObject:
        storage = self._storage if row.storage == self._storage.name else self.pipeline.storages[row.storage]
        try:
            return _keeper(storage).partial(row.upload, row.kept)
        except ObjectMissing:
            if record.storage is None or record.key is None:
                raise UploadGone("nothing is left of this upload; begin it again") from None
            with suppress(ObjectMissing):
                return Published(self.pipeline.storages[record.storage], record.key)
            raise UploadGone("nothing is left of this upload; begin it again") from None

    def _refuse(self, work: _Work, error: BaseException) -> None:
        try:
            work.partial.discard()
        except StorageError:
            _log.warning("what had come of upload %s stays for now", work.record.id, exc_info=True)
        self.pipeline.refuse([work.record.id], error)
        work.is_over = True

    def _take_back(self, work: _Work, submission: Submission, error: BaseException) -> None:
        for file in submission.files:
            try:
                file.storage.delete(file.key)
            except StorageError as also:
                error.add_note(f"and the file could not be removed: {also!r}")
        self._refuse(work, error)

    def _accept_now(self, work: _Work, submission: Submission) -> None:
        said = Said() if self._words is None else self._words(submission.fields)
        quota = self._quota if work.record.owner is not None else None
        try:
            self.pipeline.accept(submission.files, quota=quota, **said)
        except (QuotaExceeded, RecordError) as error:
            self._take_back(work, submission, error)
            raise
        with suppress(StorageError):  # where it was moved on from staging; a sweep removes what stays
            if self._rule.staging is not None:
                work.partial.discard()
        work.is_finished = True

    def _use_up(self, piece: _Work, upload: str) -> None:
        self.pipeline.delete(piece.record.id, reason=f"it is part of {upload}")
        piece.is_over = True

    def _remove(self, work: _Work) -> None:
        self.pipeline.delete(work.record.id, reason="given up")
        work.is_over = True

    # What is known of an upload

    def _checked(self, announced: Announced) -> Announced:
        """What the client announces, when no rule is against it. Of a piece nothing is known but its length."""
        if announced.length is not None:
            self._check_length(announced.length, is_piece=announced.is_piece)
        if announced.is_piece:
            return announced
        filename = _in_no_form.sub("\ufffd", announced.filename) or _UNNAMED
        limit = self.spec.limits.filename_size
        if limit is not None and (seen := len(filename.encode(errors="replace"))) > limit:
            text = f"the name of a file has more than {limit} bytes"
            raise LimitExceeded(text, limit="filename_size", allowed=limit, seen=seen, field=self.field)
        declared = declared_type(announced.declared_type) if announced.declared_type else None
        foresee(field=self.field, filename=filename, declared_type=declared, accept=self._rule.accept)
        checked = replace(announced, filename=filename if announced.filename else "", declared_type=declared)
        self._check_fields(checked)
        return checked

    def _check_fields(self, announced: Announced) -> None:
        """All text values are here already: what is missing will not come."""
        file = PartBegin(name=self.field, filename=announced.filename or _UNNAMED)
        steps = plan(replace(self.spec, register=None), None, parser=OneFile(file, announced.fields))
        next(steps)
        try:
            steps.send(b"")
        finally:
            steps.close()
        names = {name for name, _ in announced.fields}
        for name, text in self.spec.form.texts.items():
            if text.required and name not in names:
                raise FieldMissing(f"field {quoted(name)} is missing", field=name)
        if self.spec.typed is not None and (errors := self.spec.typed.errors(announced.fields, ended=True)):
            raise InvalidForm(errors)
        if self._words is not None:
            self._words(FieldValues(announced.fields))

    def _check_length(self, length: int, *, is_piece: bool = False) -> None:
        rule, limits = self._rule, self.spec.limits
        allowed = largest(rule, limits)
        if allowed is not None and length > allowed:
            raise exceeded("file_size" if rule.max_size is None else "max_size", allowed, length, self.field)
        if limits.files_size is not None and length > limits.files_size:
            raise exceeded("files_size", limits.files_size, length, self.field)
        if length < rule.min_size and not is_piece:
            text = f"the file in field {quoted(self.field)} has fewer than {rule.min_size} bytes"
            raise FileRefused(text, field=self.field, filter="min_size")

    def _check_room(self, work: _Work, seen: int) -> None:
        """Raises `LimitExceeded` where so many bytes are more than the upload may have."""
        if work.length is None:
            self._check_length(seen, is_piece=True)  # there may be more to come
        elif seen > work.length:
            text = f"the upload was announced with {work.length} bytes, and more are sent"
            raise LimitExceeded(text, limit="upload_length", allowed=work.length, seen=seen, field=self.field)

    def _say_length(self, work: _Work, length: int) -> None:
        if work.length is not None:
            if work.length != length:
                raise MalformedUpload(f"the upload was announced with {work.length} bytes, and not with {length}")
            return
        if length < work.size:
            raise MalformedUpload(f"{work.size} bytes have arrived, and the upload is to have {length}")
        self._check_length(length, is_piece=work.is_piece)
        work.length = length

    def _spec_of(self, work: _Work) -> Spec[Any]:
        """The spec as it is for this one upload: its names are known, and so is the record."""
        rule = replace(self._rule, arriving=work.arriving)
        form = self.spec.form
        one = replace(form, files={self.field: rule}) if form.any_file is None else replace(form, any_file=rule)
        return replace(
            self.spec,
            form=one,
            limits=replace(self.spec.limits, body_size=None),
            register=_Known(self.pipeline, work),
            new_key=_Names(work.record.id, str(work.row.told["key"])),
        )

    def _form_of(self, work: _Work) -> tuple[PartBegin, Sequence[tuple[str, str]]]:
        told = work.row.told
        filename, declared = str(told["filename"]) or _UNNAMED, told["declared_type"]
        file = PartBegin(name=self.field, filename=filename, content_type=declared)
        return file, [(name, value) for name, value in told["fields"]]

    def _expiry(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.expires_seconds)


@dataclass(slots=True)
class _Adding:
    """What a request brings."""

    offset: int
    body_length: int | None
    length: int | None
    is_last: bool
    checksum: Checksum | None


class _Work:
    """An upload whose lock is held. `partial` has what has arrived; of one that is finished there is none."""

    def __init__(
        self,
        record: UploadRecord,
        row: Resumable,
        held: Held,
        partial: PartialObject | None,
        expiry: Callable[[], datetime],
    ) -> None:
        self.record: UploadRecord = record
        self.row: Resumable = row
        self.held: Held = held
        self.length: int | None = row.length
        self.is_finished: bool = partial is None
        self.is_over: bool = False  # nothing is left of it: there is nothing to let go of
        self.answer: object = None
        self.arriving: Arriving | None = None
        self._partial = partial
        self._expiry = expiry

    @property
    def partial(self) -> PartialObject:
        if self._partial is None:
            raise RuntimeError("a finished upload has no bytes that are still to be judged")
        return self._partial

    @property
    def size(self) -> int:
        return (self.length or 0) if self._partial is None or self.is_finished else self._partial.size

    @property
    def is_piece(self) -> bool:
        return bool(self.row.told["is_piece"])

    def arrives(self, rule: FileRule, replayed: int) -> None:
        self.arriving = Arriving(rule.lands_in, _Fenced(self.partial, self.held), replayed)

    def release(self) -> None:
        """Lets go of the lock, and says how far the upload has come."""
        told = {**self.row.told, "offset": self.size}
        try:
            if self._partial is not None:
                self._partial.close()
        finally:
            if self.is_over:
                self.held.release()
            else:
                self.row = replace(self.row, length=self.length, told=told, expires_at=self._expiry())
                self.held.release(length=self.length, told=told, expires_at=self.row.expires_at)

    def standing(self) -> Standing:
        return replace(
            _standing(self.row, self.size),
            length=self.length,
            is_finished=self.is_finished,
            answer=self.answer,
        )


def _standing(row: Resumable, offset: int) -> Standing:
    return Standing(
        upload=row.upload,
        offset=offset,
        length=row.length,
        expires_at=row.expires_at,
        is_piece=bool(row.told["is_piece"]),
        told=row.told,
    )


class _Fenced:
    """A partial object to which nothing is added when the lock is lost."""

    def __init__(self, partial: PartialObject, held: Held) -> None:
        self._partial = partial
        self._held = held

    def append(self, data: Buffer) -> None:
        self._held.expect()
        self._partial.append(data)

    def commit(self, key: str, info: ObjectInfo) -> Any:
        self._held.expect()
        return self._partial.commit(key, info)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._partial, name)


class _Tail:
    """Takes what is added to an upload whose beginning was judged before."""

    def __init__(self, work: _Work) -> None:
        self.may_block: bool = True
        self._work = work

    def write(self, data: Buffer) -> None:
        self._work.held.expect()
        self._work.partial.append(data)

    def keep(self) -> None:
        self._work.partial.keep()


class _Held:
    """Takes, when no more comes for now, what the plan holds until it has enough of it to judge."""

    def __init__(self, work: _Work, unwritten: Sequence[bytes]) -> None:
        self.may_block: bool = True
        self._work = work
        self._unwritten = unwritten

    def write(self, data: Buffer) -> None:
        raise RuntimeError("the plan holds what is not judged")

    def keep(self) -> None:
        for chunk in self._unwritten:
            self._work.held.expect()
            self._work.partial.append(chunk)
        self._work.partial.keep()


# Where bytes come from: the body of a request, what was verified of it, and what was kept of earlier ones.

_Read: TypeAlias = Generator[Step, Any, bytes | None]


class _Source(Protocol):
    """`unwritten` is what came, and which no landing has taken. `is_whole` is whether its end is that of the file."""

    is_too_long: bool
    is_whole: bool
    unwritten: Sequence[bytes]

    def read(self) -> _Read:
        """The next chunk, None at the end."""
        ...

    def close(self) -> None: ...


class _Body:
    """The body of a request, of which no more is taken than the upload may have."""

    is_whole: bool = False
    unwritten: Sequence[bytes] = ()

    def __init__(self, offset: int, check: Callable[[int], None]) -> None:
        self._come = offset
        self._check = check
        self.is_too_long: bool = False

    def read(self) -> _Read:
        chunk = yield READ
        if chunk is END:
            return None
        self._come += len(chunk)
        try:
            self._check(self._come)
        except SenderError:
            self.is_too_long = True
            raise
        return bytes(chunk)

    def close(self) -> None:
        return


class _Spooled:
    """A body that was verified."""

    is_too_long: bool = False
    is_whole: bool = False
    unwritten: Sequence[bytes] = ()

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def read(self) -> _Read:
        block: bytes = yield Do(self._spool.read, (BLOCK_SIZE,))
        return block or None

    def close(self) -> None:
        self._spool.close()


class _Coming:
    """What was kept of the beginning, and then a body. What the plan holds of that is known here until it lands."""

    def __init__(self, head: bytes, body: _Source, work: _Work, is_last: bool) -> None:
        self._head = head
        self._body = body
        self._work = work
        self._is_last = is_last
        self._size = len(head)
        self._held: list[bytes] = []
        self._ended = False

    @property
    def is_too_long(self) -> bool:
        return self._body.is_too_long

    @property
    def is_whole(self) -> bool:
        return self._ended and (self._is_last or self._size == self._work.length)

    @property
    def unwritten(self) -> Sequence[bytes]:
        return self._held if self._size < HEAD_SIZE else ()

    def read(self) -> _Read:
        if self._head:
            head, self._head = self._head, b""
            return head
        chunk = yield from self._body.read()
        if chunk is None:
            self._ended = True
            if self._is_last and self._work.length is None:
                self._work.length = self._size
            return None
        self._size += len(chunk)
        if self._size < HEAD_SIZE:
            self._held.append(chunk)
        return chunk

    def close(self) -> None:
        self._body.close()


class _Replay:
    """All that has arrived, once more."""

    is_too_long: bool = False
    is_whole: bool = True
    unwritten: Sequence[bytes] = ()

    def __init__(self, partial: PartialObject) -> None:
        self._file: IO[bytes] | BinaryIO = partial.open()

    def read(self) -> _Read:
        block: bytes = yield Do(self._file.read, (BLOCK_SIZE,))
        return block or None

    def close(self) -> None:
        self._file.close()


# What the plan is told of an upload that has a record


class _Known:
    """The register of an upload that was begun by an earlier request, or by this one before its bytes."""

    def __init__(self, pipeline: Pipeline, work: _Work) -> None:
        self._pipeline = pipeline
        self._work = work

    def knows(self, storage: Storage) -> None:
        """See `Register`."""
        self._pipeline.knows(storage)

    def begin(self, file: IncomingFile, *, storage: Storage, key: str | None, batch: str) -> None:
        """What its first bytes have shown becomes known of it."""
        record = self._work.record
        known = (record.filename, record.content_type, record.key)
        if known == (file.filename, file.content_type, key):
            return
        where = {} if key is None else {"storage": storage.name, "key": key}
        self._work.record = self._pipeline.ledger.change(
            record, filename=file.filename, content_type=file.content_type, **where
        )

    def accept(self, files: Sequence[UploadedFile]) -> None:
        """See `Register`."""
        self._pipeline.accept(files)

    async def aaccept(self, files: Sequence[UploadedFile]) -> None:
        """The async twin of `accept`."""
        await self._pipeline.aaccept(files)

    def refuse(self, uploads: Sequence[str], error: BaseException) -> None:
        """Whoever holds the upload says what becomes of it."""

    def delete(self, file: UploadedFile, /) -> None:
        """See `Register`."""
        self._pipeline.delete(file)


class _Names:
    """Gives the plan the names of an upload that it would make: its id first, then its key."""

    def __init__(self, upload: str, key: str) -> None:
        self._upload = upload
        self._key = key
        self._asked = 0

    def __call__(self, extension: str) -> str:
        self._asked += 1
        return self._key + extension if self._asked == 2 else self._upload


# Controls but the tab, which base64 can bring and a form cannot.
_in_no_form = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


class _Unfinished(Exception):
    """Not all of the file has come."""


def _is_verdict(error: BaseException) -> bool:
    """Whether it says that the file is none that is taken, and not that it could not be taken now."""
    return isinstance(error, SenderError) and not isinstance(error, UploadLocked)


def _closing(steps: Steps[T], close: Callable[[], None]) -> Steps[T]:
    """These steps, and then the one that gives back what they had, whatever has happened."""
    try:
        result = yield from steps
    except GeneratorExit:
        raise
    except BaseException:
        yield Do(close, (), settles=True)
        raise
    yield Do(close, (), settles=True)
    return result


def _release_all(works: Sequence[_Work]) -> None:
    for work in works:
        work.release()


def _give_up(steps: Generator[Step, Any, Any], error: BaseException) -> None:
    """Ends a plan of which nothing is to be done any more: what it has opened is kept."""
    try:
        steps.throw(error)
        while True:
            steps.send(None)
    except BaseException as raised:
        if raised is not error:
            raise


def _only_file(form: FormRules) -> tuple[str, FileRule]:
    if form.any_file is not None and not form.files:
        return "file", form.any_file
    if len(form.files) == 1 and form.any_file is None:
        [(name, rule)] = form.files.items()
        return name, rule
    raise TypeError("a resumable upload is one file: a spec with one file field, as upload.single('video')")


def _keeping(rule: FileRule, staging: Storage | None) -> FileRule:
    """The rule with the storage in which bytes wait. Where that is the one in which they stay, it needs no other for
    its checks: what has arrived can be read."""
    if staging is not None:
        return replace(rule, staging=staging)
    return replace(rule, staging=None) if isinstance(rule.storage, KeepsPartial) else rule


def _keeper(storage: Storage) -> KeepsPartial:
    if not isinstance(storage, KeepsPartial):
        raise TypeError(
            f"storage {storage.name!r} keeps nothing that is not whole; say where bytes may wait meanwhile: "
            "ResumableUploads(..., staging=DiskStorage(...))"
        )
    return storage


def _gone(record: UploadRecord) -> str:
    if record.state is State.RECEIVING:
        return "the time of this upload is over; begin it again"
    return f"this upload is {record.state}" + (f": {record.reason}" if record.reason else "")
