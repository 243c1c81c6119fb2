"""The ledger: what is remembered of every upload, in SQLite or PostgreSQL. Every change is one transaction.

A move is one compare-and-set, `UPDATE ... WHERE id = ? AND state IN (...)`: of those that race for it one wins, and the
others are told by `UploadChanged`. The facts of a move are written in its transaction, into an outbox, and forwarded
from there at least once and in their order for each upload. That something was done to an upload is a row of its own,
which is claimed before and finished after: so that it is done once, however often it is asked for. What it makes is
named there before it exists, so that no object is nobody's.

SQLAlchemy is imported in this package and nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from secrets import token_hex
from typing import Any, Concatenate, Final, ParamSpec, TypedDict, TypeVar, Unpack

try:
    from sqlalchemy import (
        ColumnElement,
        Connection,
        Row,
        Select,
        Table,
        Update,
        and_,
        bindparam,
        delete,
        func,
        insert,
        or_,
        select,
        true,
        union,
        update,
    )
    from sqlalchemy.exc import IntegrityError
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.records.ledger needs SQLAlchemy: pip install 'pyuploadkit[records]'", name=_missing.name
    ) from _missing

from ..errors import LedgerFailed, QuotaExceeded, RecordExists, RecordMissing, UploadChanged
from ..events.facts import Fact, FileUploaded, as_json, from_json
from ..storage.threads import in_thread
from .database import Database
from .lifecycle import GONE, State, states_before
from .record import Accepted, Leftover, Move, Quota, Result, UploadRecord, Usage, WorkerRecord, concerning
from .resumable import Resumable
from .resumables import FREE, Resumables
from .schema import ID_LENGTH, KEY_LENGTH, may_be, moves, objects, outbox, resumables, uploads, workers
from .schema import results as done

__all__ = ["Changes", "Claim", "Ledger"]

P = ParamSpec("P")
T = TypeVar("T")

_logger = logging.getLogger("uploadkit")

_RECORD = [column for column in uploads.columns if column.name not in ("previous", "reserved")]

_RECORD_OF = select(*_RECORD).where(uploads.c.id == bindparam("of"))

# What an upload that is to be accepted may have become meanwhile, without anything being wrong.
_PASSED_OVER = frozenset(State) - {State.RECEIVING, State.REJECTED, State.EXPIRED}

_ADDING = 8_250_119
"""Those who add for one owner wait for each other in PostgreSQL, by this number and the owner's."""

# How many keys one statement asks for. Databases take some 32 000 values in one; these are 1 MB at the most.
_KEYS_AT_ONCE = 1000


class Changes(TypedDict, total=False):
    """What may become known of an upload after its record was made."""

    filename: str
    content_type: str
    size: int | None
    sha256: str | None
    storage: str | None
    key: str | None
    owner: str | None
    idempotency_key: str | None
    priority: int | None
    tags: Mapping[str, str]
    expires_at: datetime | None


class Said(TypedDict, total=False):
    """What a request says of its uploads."""

    priority: int | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to do something to an upload, until it is finished, given back, or its time is over.

    `attempts` is how often it was claimed, this time included. `left` is what whoever had it before was about to make,
    as told by `intend`, and may have made: it is removed before anything else is intended. None where that is nothing.
    """

    upload: str
    processor: str
    digest: str
    attempts: int
    token: str
    left: Mapping[str, Any] | None = None


def _twin(call: Callable[Concatenate[Ledger, P], T]) -> Callable[Concatenate[Ledger, P], Coroutine[Any, Any, T]]:
    @wraps(call)
    async def twin(self: Ledger, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(call, self, *args, **kwargs)

    return twin


class Ledger:
    """Remembers uploads at a URL of SQLAlchemy: `sqlite:///uploads.db`, `postgresql://host/database`.

    A ledger in SQLite makes its tables itself, and brings them up to date; in PostgreSQL that is `migrate`, and a
    ledger whose tables are not those of this version says so at its first use, by `RuntimeError`. `wait_seconds` is how
    long a call waits for another one that writes to SQLite, for a connection, or for a server to be connected to. `now`
    is the clock, in UTC: those of several machines should agree to the second, since claims end by it.

    It is used by any number of threads and processes, also after a fork. Calls block; each has an async twin, as `aget`
    is that of `get`, which waits in a worker thread. Every call may raise `LedgerFailed`. Text with a NUL, or longer
    than its column, is a `ValueError`: 64 characters for ids and batches, 255 for owners and idempotency keys.

    `resumables` remembers what else is to be known of uploads that come in several requests.
    """

    def __init__(
        self,
        url: str = "sqlite:///uploads.db",
        *,
        wait_seconds: float = 30,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Connects to nothing yet. Raises `ValueError` for a URL of another kind of database."""
        self._database = Database(url, wait_seconds=wait_seconds)
        self._now = now
        self.resumables: Final = Resumables(self._database, now)

    # Records

    def add(
        self,
        upload: str,
        *,
        field: str,
        filename: str,
        content_type: str,
        client_filename: str = "",
        declared_type: str | None = None,
        storage: str | None = None,
        key: str | None = None,
        batch: str | None = None,
        owner: str | None = None,
        idempotency_key: str | None = None,
        priority: int | None = None,
        tags: Mapping[str, str] | None = None,
        expires_at: datetime | None = None,
        reserved: int | None = None,
        quota: Quota | None = None,
    ) -> UploadRecord:
        """A record in state `receiving`, before anything of the file is stored.

        `storage` and `key` say where it will lie, where that is known: what a crash leaves there is found by them.
        `reserved` is how many bytes count as the owner's until the upload's size is known, as of all files of a request
        for its first one. Raises `RecordExists` where the id, or the idempotency key of this owner, has a record: its
        `upload` is the id of that one; and `QuotaExceeded` where the owner would have more than the `quota`, however
        many add at the same time.
        """
        if quota is not None and owner is None:
            raise ValueError("a quota is an owner's: add(owner=...)")
        now = self._now()
        values = {
            "id": upload,
            "state": State.RECEIVING,
            "created_at": now,
            "changed_at": now,
            "field": field,
            "filename": filename,
            "client_filename": client_filename,
            "content_type": content_type,
            "declared_type": declared_type,
            "storage": storage,
            "key": key,
            "batch": batch,
            "owner": owner,
            "idempotency_key": idempotency_key,
            "priority": priority,
            "tags": dict(tags or {}),
            "expires_at": expires_at,
            "reserved": reserved,
        }
        added = self._database.insert(uploads).values(values).on_conflict_do_nothing().returning(*_RECORD)
        with self._database.writing() as connection:
            row = connection.execute(added).one_or_none()
            if row is None:
                raise _exists(connection, upload, owner, idempotency_key)
            if quota is not None and owner is not None:
                self._check_quota(connection, quota, owner)
            _note(connection, upload, None, State.RECEIVING, now, None)
        return _record(row)

    def accept(
        self, files: Sequence[Accepted], *, quota: Quota | None = None, **said: Unpack[Said]
    ) -> list[UploadRecord]:
        """All of these files are stored: takes their records from `receiving` to `staged`, all of them or none.

        What is `said` is written of each, and with each a `FileUploaded` of the record's owner and batch. Passed over
        are those that were deleted meanwhile, or were staged before. Returns the records that were moved, in the order
        of `files`. Raises `UploadChanged` where one was rejected, is expired, or has failed before it was stored,
        `RecordMissing` where there is none, and `QuotaExceeded` where an owner of theirs would have more than the
        `quota`, since more has come than was reserved: then nothing has changed.
        """
        if not files:
            return []
        now, accepted, changes = self._now(), {}, _checked(said)
        with self._database.writing() as connection:
            for file in sorted(files, key=lambda file: file.upload):  # two requests that meet do so in one order
                if (record := _accept(connection, file, now, changes)) is not None:
                    accepted[file.upload] = record
            records = [
                accepted[upload] for upload in dict.fromkeys(file.upload for file in files) if upload in accepted
            ]
            if quota is not None:
                for owner in sorted({record.owner for record in records if record.owner is not None}):
                    self._check_quota(connection, quota, owner)
            _write_facts(connection, map(_uploaded, records))
        return records

    def move(
        self,
        upload: str,
        state: State,
        *,
        since: Collection[State] | None = None,
        reason: str | None = None,
        facts: Iterable[Fact] = (),
        expired_at: datetime | None = None,
        **changes: Unpack[Changes],
    ) -> UploadRecord:
        """Takes an upload to `state`, from one of `since`, or from every state from which it may go there.

        `changes` are of what is known of it, such as `size=` or `key=`. `facts` are written with the move, or not at
        all. With `expired_at` it is moved only where its time is over then. Raises `UploadChanged` where it is in
        another state, or has more time, `RecordMissing` where there is none, `RecordExists` where another upload has
        the idempotency key that it would have of its owner, and `ValueError` where no upload goes from one of `since`
        to `state`.
        """
        before = states_before(state)
        if since is not None and not before.issuperset(since):
            raise ValueError(f"no upload becomes {state} that is {' or '.join(sorted(set(since) - before))}")
        _check_id(upload)
        now = self._now()
        values = {"previous": uploads.c.state, "state": state, "changed_at": now, "reason": reason}
        moved = (
            update(uploads)
            .where(uploads.c.id == upload, uploads.c.state.in_(sorted(before if since is None else since)))
            .values(values | _checked(changes))
            .returning(*_RECORD, uploads.c.previous)
        )
        if expired_at is not None:
            moved = moved.where(uploads.c.expires_at <= expired_at)
        with self._database.writing() as connection:
            row = _updated(connection, upload, moved, changes)
            if row is None:
                found = _state(connection, upload)
                raise UploadChanged(f"the upload is {found}, and does not become {state}", upload=upload, state=found)
            _note(connection, upload, State(row.previous), state, now, reason)
            _write_facts(connection, facts)
        return _record(row)

    def change(
        self,
        record: UploadRecord,
        *,
        claim: Claim | None = None,
        facts: Iterable[Fact] = (),
        **changes: Unpack[Changes],
    ) -> UploadRecord:
        """Changes what is known of an upload that stays in its state, and lies where `record` says.

        That is how a file goes from one storage to another. With a `claim` it happens under that, or not at all. Raises
        `UploadChanged` where the upload is in another state by now, or lies elsewhere, or the claim is somebody else's,
        `RecordMissing` where there is none, and `RecordExists` as `move` does.
        """
        changed = (
            update(uploads)
            .where(
                uploads.c.id == record.id,
                uploads.c.state == record.state,
                uploads.c.storage.is_not_distinct_from(record.storage),
                uploads.c.key.is_not_distinct_from(record.key),
            )
            .values({"changed_at": self._now()} | _checked(changes))
            .returning(*_RECORD)
        )
        with self._database.writing() as connection:
            row = _updated(connection, record.id, changed, changes)
            if row is None:
                found = _state(connection, record.id)
                text = "lies elsewhere by now" if found == record.state else f"is {found} by now"
                raise UploadChanged(f"the upload {text}", upload=record.id, state=found)
            if claim is not None:
                _change(connection, claim, attempts=done.c.attempts)  # which holds it
            _write_facts(connection, facts)
        return _record(row)

    def get(self, upload: str) -> UploadRecord:
        """Raises `RecordMissing`, also for a text that can be no id: it may come from an address."""
        _check_id(upload)
        with self._database.reading() as connection:
            return _found(connection, upload)

    def get_with_resumable(self, upload: str) -> tuple[UploadRecord, Resumable | None]:
        """As `get`, with what `resumables.get` knows, in one transaction."""
        _check_id(upload)
        with self._database.reading() as connection:
            return _found(connection, upload), self.resumables.found(connection, upload)

    def find(
        self,
        *,
        state: State | Collection[State] | None = None,
        field: str | None = None,
        owner: str | None = None,
        batch: str | None = None,
        idempotency_key: str | None = None,
        storage: str | None = None,
        key: str | None = None,
        key_known: bool | None = None,
        resumable: bool | None = None,
        has_results: bool | None = None,
        changed_before: datetime | None = None,
        expired_at: datetime | None = None,
        after: UploadRecord | None = None,
        limit: int = 100,
    ) -> list[UploadRecord]:
        """The records for which all of this holds, the newest first; the next page begins `after` the last record.

        `key_known` asks whether a record has any key: one that is gone and has one still has bytes to be removed.
        `resumable` asks whether `resumables` knows of it: then what has arrived of it may wait in a storage.
        `has_results` asks whether there are `results` of it. What is added meanwhile moves no record from one page to
        another. A text that can be no `batch` has no records: it may come from an address.
        """
        if batch is not None and not may_be(batch, ID_LENGTH):
            return []
        asked = select(*_RECORD).order_by(uploads.c.created_at.desc(), uploads.c.id.desc()).limit(limit)
        if state is not None:
            asked = asked.where(uploads.c.state.in_([state] if isinstance(state, State) else sorted(state)))
        for column, value in (
            (uploads.c.field, field),
            (uploads.c.owner, owner),
            (uploads.c.batch, batch),
            (uploads.c.idempotency_key, idempotency_key),
            (uploads.c.storage, storage),
            (uploads.c.key, key),
        ):
            asked = asked if value is None else asked.where(column == value)
        if key_known is not None:
            asked = asked.where(uploads.c.key.is_not(None) if key_known else uploads.c.key.is_(None))
        if resumable is not None:
            known = select(resumables.c.upload)  # there are few of them, beside all that is over
            asked = asked.where(uploads.c.id.in_(known) if resumable else uploads.c.id.not_in(known))
        if has_results is not None:
            finished = select(done.c.upload).where(done.c.upload == uploads.c.id, done.c.done_at.is_not(None)).exists()
            asked = asked.where(finished if has_results else ~finished)
        if changed_before is not None:
            asked = asked.where(uploads.c.changed_at < changed_before)
        if expired_at is not None:
            asked = asked.where(uploads.c.expires_at <= expired_at)
        if after is not None:
            asked = _behind(asked, after)
        with self._database.reading() as connection:
            return [_record(row) for row in connection.execute(asked)]

    def history(self, upload: str) -> list[Move]:
        """Every move of an upload, the first one first."""
        asked = select(moves).where(moves.c.upload == upload).order_by(moves.c.id)
        with self._database.reading() as connection:
            return [
                Move(
                    upload=row.upload,
                    before=None if row.before is None else State(row.before),
                    after=State(row.after),
                    at=row.at,
                    reason=row.reason,
                )
                for row in connection.execute(asked)
            ]

    def forget(self, upload: str) -> None:
        """Removes a record with its history, its results and its claims; what is still to be told of it stays. No error
        where there is none."""
        with self._database.writing() as connection:
            connection.execute(delete(uploads).where(uploads.c.id == upload))

    def usage(self, owner: str) -> Usage:
        """What an owner has: every upload whose bytes are not gone, or going."""
        with self._database.reading() as connection:
            return _usage(connection, owner)

    def count(self) -> dict[State, int]:
        """How many uploads are in each state; states in which there is none are left out."""
        asked = select(uploads.c.state, func.count()).group_by(uploads.c.state)
        with self._database.reading() as connection:
            return {State(state): number for state, number in connection.execute(asked)}

    # What was done

    def claim(self, upload: str, processor: str, digest: str, *, seconds: float, steal: bool = False) -> Claim | None:
        """The right to do this to an upload, for so many seconds.

        None where it was done, or somebody is at it. `steal` takes it from whoever is at it, as from one who is known
        to be dead. Raises `RecordMissing` where there is no such upload.
        """
        now, token = self._now(), token_hex(16)
        claimed = {"token": token, "claimed_until": now + timedelta(seconds=seconds)}
        free = true() if steal else or_(done.c.token.is_(None), done.c.claimed_until <= now)
        taken = (
            self._database.insert(done)
            .values(upload=upload, processor=processor, digest=digest, attempts=1, **claimed)
            .on_conflict_do_update(
                index_elements=[done.c.upload, done.c.processor, done.c.digest],
                set_={**claimed, "attempts": done.c.attempts + 1},
                where=done.c.done_at.is_(None) & free,
            )
            .returning(done.c.attempts, done.c.told)
        )
        with self._database.writing() as connection:
            _state(connection, upload, held=True)  # it is not forgotten meanwhile
            row = connection.execute(taken).one_or_none()
        if row is None:
            return None
        return Claim(
            upload=upload, processor=processor, digest=digest, attempts=row.attempts, token=token, left=row.told
        )

    def extend(self, claim: Claim, *, seconds: float) -> None:
        """Keeps a claim for so many more seconds from now. Raises `UploadChanged` where it is somebody else's."""
        with self._database.writing() as connection:
            _change(connection, claim, claimed_until=self._now() + timedelta(seconds=seconds))

    def intend(self, claim: Claim, told: Mapping[str, Any]) -> None:
        """What is about to be made, before it is. Whoever claims it next, where this one does not finish, has it as
        `left` of his claim. Each time replaces what was intended before.

        `told["objects"]`, where it is there, are pairs of a storage's name and a key: from here the ledger knows these
        objects. Raises `UploadChanged` as `finish` does.
        """
        with self._database.writing() as connection:
            _hold(connection, claim)
            _write_told(connection, claim, told)

    def finish(self, claim: Claim, told: Mapping[str, Any], *, facts: Iterable[Fact] = ()) -> None:
        """It is done, and is not done again; `told` is kept as JSON, in the place of what was intended. Of its
        `objects` see `intend`.

        Raises `UploadChanged` where the claim is somebody else's by now, or the upload is over: rejected, expired or
        deleted. Then whatever was made is one too many, and the caller's to remove. Whoever takes an upload away and
        asks for its `results` after that sees all that there will ever be.
        """
        with self._database.writing() as connection:
            _hold(connection, claim)
            _write_told(connection, claim, told, token=None, claimed_until=None, done_at=self._now())
            _write_facts(connection, facts)

    def give_back(self, claim: Claim) -> None:
        """It was not done, and may be claimed at once. What was intended stays, for the next one to remove."""
        with suppress(UploadChanged), self._database.writing() as connection:
            _change(connection, claim, token=None, claimed_until=self._now())

    def drop(self, claim: Claim) -> None:
        """It is not done at all, and nothing is left of it: it is as if it had never been claimed. No error where the
        claim is somebody else's by now."""
        with self._database.writing() as connection:
            connection.execute(delete(done).where(_is_of(done, claim), done.c.token == claim.token))

    def leftovers(
        self, older: datetime | None = None, limit: int = 100, *, upload: str | None = None
    ) -> list[Leftover]:
        """What was begun and not finished, and nobody is at it: their claims were over before `older`, or are by now.
        Those that are longest over come first. Of one `upload`, or of all.

        Whoever removes what one of them has left claims it first, so that nobody finishes it meanwhile; removes what
        is named in `left` of that claim; and drops it.
        """
        now = self._now()
        until = now if older is None else min(older, now)
        asked = (
            select(done)
            .where(done.c.done_at.is_(None), done.c.claimed_until <= until)
            .order_by(done.c.claimed_until, done.c.upload, done.c.processor, done.c.digest)
            .limit(limit)
        )
        if upload is not None:
            asked = asked.where(done.c.upload == upload)
        with self._database.reading() as connection:
            return [
                Leftover(
                    upload=row.upload,
                    processor=row.processor,
                    digest=row.digest,
                    attempts=row.attempts,
                    told=row.told,
                    claimed_until=row.claimed_until,
                )
                for row in connection.execute(asked)
            ]

    def known_keys(self, storage: str, keys: Collection[str]) -> set[str]:
        """Those of `keys` under which in this storage an object lies, or may come to lie, that belongs to an upload:
        in its record, in the `objects` of one of its results, or in those that are intended by a claim.

        An object that was listed before, and whose key is not among these, is nobody's: others announce their objects
        before they make them.
        """
        asked, known = sorted(filter(_may_be_kept, keys)), set[str]()
        for begin in range(0, len(asked), _KEYS_AT_ONCE):
            some = asked[begin : begin + _KEYS_AT_ONCE]
            # One statement sees one moment: a key that goes from a claim to the record meanwhile is not missed.
            found = union(
                *(
                    select(table.c.key).where(table.c.storage == storage, table.c.key.in_(some))
                    for table in (uploads, objects)
                )
            )
            with self._database.reading() as connection:
                known.update(connection.execute(found).scalars())
        return known

    def is_claimed(self, upload: str) -> bool:
        """Whether somebody is at something that is done to an upload."""
        at_it = done.c.token.is_not(None) & (done.c.claimed_until > self._now())
        asked = select(select(done.c.upload).where(done.c.upload == upload, done.c.done_at.is_(None), at_it).exists())
        with self._database.reading() as connection:
            return bool(connection.execute(asked).scalar_one())

    def storages(self) -> set[str]:
        """The names of all storages in which an object lies, or may come to lie, that belongs to an upload."""
        found = union(*(select(table.c.storage).where(table.c.storage.is_not(None)) for table in (uploads, objects)))
        with self._database.reading() as connection:
            return set(connection.execute(found).scalars())

    def results(self, upload: str) -> list[Result]:
        """What was done to an upload, in the order in which it was."""
        asked = (
            select(done)
            .where(done.c.upload == upload, done.c.done_at.is_not(None))
            .order_by(done.c.done_at, done.c.processor)
        )
        with self._database.reading() as connection:
            return [
                Result(upload=row.upload, processor=row.processor, digest=row.digest, told=row.told, at=row.done_at)
                for row in connection.execute(asked)
            ]

    def undo(self, result: Result) -> None:
        """What was made is gone, and may be made again. No error where there is no such result."""
        undone = delete(done).where(
            done.c.upload == result.upload,
            done.c.processor == result.processor,
            done.c.digest == result.digest,
            done.c.done_at.is_not(None),
        )
        with self._database.writing() as connection:
            connection.execute(undone)

    # Who works

    def beat(self, worker: WorkerRecord) -> WorkerRecord:
        """Writes down that a worker is alive: that it was seen now, whatever its `seen_at`."""
        seen = replace(worker, seen_at=self._now())
        values = asdict(seen) | {"queues": list(seen.queues)}
        beaten = self._database.insert(workers).values(values)
        rest = {name: beaten.excluded[name] for name in values if name != "id"}
        with self._database.writing() as connection:
            connection.execute(beaten.on_conflict_do_update(index_elements=[workers.c.id], set_=rest))
        return seen

    def workers(self, seen_since: datetime | None = None) -> list[WorkerRecord]:
        """The workers that have said they are alive and have not retired, the oldest first; those that were seen since
        then, where it is given."""
        asked = select(workers).order_by(workers.c.began_at, workers.c.id)
        if seen_since is not None:
            asked = asked.where(workers.c.seen_at >= seen_since)
        with self._database.reading() as connection:
            rows = [row._asdict() for row in connection.execute(asked)]
        return [WorkerRecord(**{**row, "queues": tuple(row["queues"])}) for row in rows]

    def retire(self, worker_id: str) -> None:
        """A worker has ended, or is known to be dead. No error where there is none of this id."""
        with self._database.writing() as connection:
            connection.execute(delete(workers).where(workers.c.id == worker_id))

    # What is to be told

    def tell(self, facts: Iterable[Fact]) -> None:
        """Writes facts that belong to no move."""
        with self._database.writing() as connection:
            _write_facts(connection, facts)

    def forward(self, deliver: Callable[[Fact], object], *, limit: int = 100, seconds: float = 60) -> int:
        """Hands out what is to be told, at most so many facts; returns how many were delivered. Those of one upload go
        in their order, and others do not wait for them.

        A fact is delivered at least once: whoever must not hear it twice knows it again by its `id`. Where `deliver`
        raises, which is logged, it is told again after a second, then two, and so on up to `seconds`. `deliver` may
        take `seconds`; where it takes longer another process may deliver the same fact. What a process had taken that
        has died is told by another one after twice that time. Any number of processes may forward at the same time.
        """
        if seconds <= 0:  # nothing would ever be delivered in time
            raise ValueError(f"seconds is more than 0: {seconds}")
        handed_out = delivered = 0
        while handed_out < limit and (taken := self._take(limit - handed_out, seconds)):
            handed_out += len(taken)
            waiting = {each.number for each in taken}
            try:
                for each in taken:
                    if self._now() + timedelta(seconds=seconds) <= each.until:  # else it is about to be another's
                        delivered += self._deliver(each, deliver, seconds)
                        waiting.discard(each.number)
            finally:
                if waiting:  # this process is ending, or was slow
                    with suppress(LedgerFailed):
                        self._let_go(waiting, taken[0].until)
        return delivered

    def untold(self) -> int:
        """How many facts are still to be told."""
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(outbox)).scalar_one()

    def untold_since(self) -> datetime | None:
        """When what waits longest to be told has happened. None where nothing waits."""
        first = select(outbox.c.fact).order_by(outbox.c.id).limit(1)
        with self._database.reading() as connection:
            fact = connection.execute(first).scalar_one_or_none()
        return None if fact is None else datetime.fromisoformat(fact["at"])

    # Deaths

    def release(self, began: datetime | None = None) -> None:
        """All claims, all holds of resumable uploads, and all facts that somebody is about to tell, may be taken at
        once. For who knows that those who had taken them have died: nobody waits until their time is over. Of one who
        lives the claim or the hold is lost, and the fact is told twice. Holds that were taken, or extended, when this
        process `began` or later are not touched: requests may have come already."""
        with self._database.writing() as connection:
            connection.execute(update(outbox).where(outbox.c.taken_until.is_not(None)).values(taken_until=None))
            undone = done.c.done_at.is_(None) & done.c.token.is_not(None)
            connection.execute(update(done).where(undone).values(token=None, claimed_until=self._now()))
            held = resumables.c.token.is_not(None) & (true() if began is None else resumables.c.held_at < began)
            connection.execute(update(resumables).where(held).values(dict(FREE)))

    # The database

    def migrate(self) -> None:
        """Makes the tables, or brings them up to date."""
        self._database.migrate()

    def version(self) -> str | None:
        """That of the tables, None where there are none; `schema.VERSION` is up to date. Changes nothing. Raises
        `RuntimeError` where they are of a newer version of uploadkit."""
        return self._database.version()

    def server_time(self) -> datetime | None:
        """What the clock of the database's server says. None for SQLite: there it is this machine's."""
        return self._database.server_time()

    def close(self) -> None:
        """Closes the connections of this process that are not in use. The next call opens others."""
        self._database.close()

    # For an event loop

    aadd: Final = _twin(add)
    aaccept: Final = _twin(accept)
    amove: Final = _twin(move)
    achange: Final = _twin(change)
    aget: Final = _twin(get)
    aget_with_resumable: Final = _twin(get_with_resumable)
    afind: Final = _twin(find)
    ahistory: Final = _twin(history)
    aforget: Final = _twin(forget)
    ausage: Final = _twin(usage)
    acount: Final = _twin(count)
    aclaim: Final = _twin(claim)
    aextend: Final = _twin(extend)
    aintend: Final = _twin(intend)
    afinish: Final = _twin(finish)
    agive_back: Final = _twin(give_back)
    adrop: Final = _twin(drop)
    aleftovers: Final = _twin(leftovers)
    aknown_keys: Final = _twin(known_keys)
    ais_claimed: Final = _twin(is_claimed)
    astorages: Final = _twin(storages)
    aresults: Final = _twin(results)
    aundo: Final = _twin(undo)
    abeat: Final = _twin(beat)
    aworkers: Final = _twin(workers)
    aretire: Final = _twin(retire)
    atell: Final = _twin(tell)
    aforward: Final = _twin(forward)
    auntold: Final = _twin(untold)
    auntold_since: Final = _twin(untold_since)
    aversion: Final = _twin(version)
    aserver_time: Final = _twin(server_time)

    def _check_quota(self, connection: Connection, quota: Quota, owner: str) -> None:
        """Raises `QuotaExceeded`. Whoever adds for the same owner is seen, or waits until this is committed."""
        if not self._database.is_sqlite:  # where one writes at a time
            connection.execute(select(func.pg_advisory_xact_lock(_ADDING, func.hashtext(owner))))
        _expect_room(quota, _usage(connection, owner))

    def _take(self, limit: int, seconds: float) -> list[_Taken]:
        """The first fact of as many uploads as `limit`, which nobody else gets for twice so many seconds."""
        now = self._now()
        until = now + timedelta(seconds=2 * seconds)
        earlier = outbox.alias()
        free = or_(outbox.c.taken_until.is_(None), outbox.c.taken_until <= now)
        is_first = ~select(earlier.c.id).where(earlier.c.upload == outbox.c.upload, earlier.c.id < outbox.c.id).exists()
        first = (
            select(outbox.c.id)
            .where(free, is_first)
            .order_by(outbox.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte()  # PostgreSQL may run a subquery more than once, and lock more than the limit
        )
        taken = (
            update(outbox)
            .where(outbox.c.id.in_(select(first.c.id)))
            .values(taken_until=until, attempts=outbox.c.attempts + 1)
            .returning(outbox.c.id, outbox.c.upload, outbox.c.fact, outbox.c.attempts)
        )
        with self._database.writing() as connection:
            rows = connection.execute(taken).all()
        fresh_first = sorted(rows, key=lambda row: (row.attempts, row.id))  # others may take long again
        return [_Taken(row.id, row.upload, row.fact, row.attempts, until) for row in fresh_first]

    def _deliver(self, taken: _Taken, deliver: Callable[[Fact], object], seconds: float) -> bool:
        try:
            deliver(from_json(taken.fact))
        except Exception:
            name = taken.fact.get("name")
            _logger.exception("%s of upload %s could not be told, and will be again", name, taken.upload)
            again = min(seconds, 2.0 ** min(taken.attempts - 1, 30))
            self._let_go({taken.number}, taken.until, again=self._now() + timedelta(seconds=again))
            return False
        with self._database.writing() as connection:
            connection.execute(delete(outbox).where(outbox.c.id == taken.number))
        return True

    def _let_go(self, numbers: Collection[int], until: datetime, *, again: datetime | None = None) -> None:
        mine = outbox.c.id.in_(sorted(numbers)) & (outbox.c.taken_until == until)
        with self._database.writing() as connection:
            connection.execute(update(outbox).where(mine).values(taken_until=again))


@dataclass(frozen=True, slots=True)
class _Taken:
    """A fact that this process may tell until then."""

    number: int
    upload: str
    fact: dict[str, Any]
    attempts: int
    until: datetime


def _checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := changes.keys() - Changes.__annotations__.keys():
        raise TypeError(f"of an upload this does not change: {', '.join(sorted(unknown))}")
    return {**changes, "tags": dict(changes["tags"])} if "tags" in changes else dict(changes)


def _check_id(upload: str) -> None:
    if not may_be(upload, ID_LENGTH):
        raise RecordMissing("there is no such upload", upload=upload)


def _may_be_kept(key: str) -> bool:
    """Whether the ledger takes such a key: a storage may list what somebody else has put there."""
    return bool(key) and may_be(key, KEY_LENGTH)


def _accept(connection: Connection, file: Accepted, at: datetime, changes: Mapping[str, Any]) -> UploadRecord | None:
    """None where it is passed over."""
    known = {name: value for name, value in asdict(file).items() if name != "upload"} | dict(changes)
    moved = (
        update(uploads)
        .where(uploads.c.id == file.upload, uploads.c.state == State.RECEIVING)
        .values(known | {"previous": State.RECEIVING, "state": State.STAGED, "changed_at": at, "reason": None})
        .returning(*_RECORD)
    )
    row = connection.execute(moved).one_or_none()
    if row is not None:
        _note(connection, file.upload, State.RECEIVING, State.STAGED, at, None)
        return _record(row)
    asked = select(uploads.c.state, uploads.c.previous).where(uploads.c.id == file.upload)
    found = connection.execute(asked).one_or_none()
    if found is None:
        raise RecordMissing("there is no such upload", upload=file.upload)
    never_stored = found.state == State.FAILED and found.previous == State.RECEIVING
    if found.state not in _PASSED_OVER or never_stored:
        text = f"the upload is {found.state}, and does not become staged"
        raise UploadChanged(text, upload=file.upload, state=State(found.state))
    return None


def _uploaded(record: UploadRecord) -> FileUploaded:
    if record.size is None or record.storage is None or record.key is None:
        raise RuntimeError("an upload that is accepted lies somewhere")
    return FileUploaded(
        **concerning(record),
        filename=record.filename,
        content_type=record.content_type,
        size=record.size,
        sha256=record.sha256,
        storage=record.storage,
        key=record.key,
    )


def _updated(connection: Connection, upload: str, changed: Update, changes: Mapping[str, Any]) -> Row[Any] | None:
    """The row of an upload after it was changed, None where it was not as was expected."""
    if changes.keys().isdisjoint({"owner", "idempotency_key"}):
        return connection.execute(changed).one_or_none()
    try:
        with connection.begin_nested():  # else PostgreSQL answers nothing more in this transaction
            return connection.execute(changed).one_or_none()
    except IntegrityError:
        other = _with_its_key(connection, upload, changes)
        if other is None:
            raise
        raise RecordExists("another upload has this idempotency key", upload=other) from None


def _with_its_key(connection: Connection, upload: str, changes: Mapping[str, Any]) -> str | None:
    """The other upload that has the owner and the idempotency key which this one would have."""
    mine = select(uploads.c.owner, uploads.c.idempotency_key).where(uploads.c.id == upload)
    row = connection.execute(mine).one_or_none()
    if row is None:
        return None
    would = row._asdict() | dict(changes)
    theirs = select(uploads.c.id).where(
        uploads.c.id != upload,
        uploads.c.owner.is_not_distinct_from(would["owner"]),
        uploads.c.idempotency_key == would["idempotency_key"],
    )
    return connection.execute(theirs).scalars().first()


def _usage(connection: Connection, owner: str) -> Usage:
    sizes = func.coalesce(func.sum(func.coalesce(uploads.c.size, uploads.c.reserved, 0)), 0)
    asked = select(func.count(), sizes).where(uploads.c.owner == owner, uploads.c.state.not_in(sorted(GONE)))
    files, size = connection.execute(asked).one()
    return Usage(files=files, bytes=int(size))


def _expect_room(quota: Quota, usage: Usage) -> None:
    if quota.files is not None and usage.files > quota.files:
        text = f"of {quota.files} files that may be kept there would be {usage.files}"
        raise QuotaExceeded(text, limit="files", allowed=quota.files, seen=usage.files)
    if quota.bytes is not None and usage.bytes > quota.bytes:
        text = f"of {quota.bytes} bytes that may be kept there would be {usage.bytes}"
        raise QuotaExceeded(text, limit="bytes", allowed=quota.bytes, seen=usage.bytes)


def _exists(connection: Connection, upload: str, owner: str | None, idempotency_key: str | None) -> RecordExists:
    keyed = uploads.c.owner.is_not_distinct_from(owner) & (uploads.c.idempotency_key == idempotency_key)
    found = connection.execute(select(uploads.c.id).where(or_(uploads.c.id == upload, keyed))).scalars().first()
    return RecordExists("there is such an upload already", upload=found or upload)


def _state(connection: Connection, upload: str, *, held: bool = False) -> State:
    """The state that an upload is in, and stays in until the end of the transaction where it is `held`."""
    asked = select(uploads.c.state).where(uploads.c.id == upload)
    found = connection.execute(asked.with_for_update(read=True) if held else asked).scalar_one_or_none()
    if found is None:
        raise RecordMissing("there is no such upload", upload=upload)
    return State(found)


def _change(connection: Connection, claim: Claim, **values: Any) -> None:
    changed = update(done).where(_is_of(done, claim), done.c.token == claim.token).values(values)
    if connection.execute(changed).rowcount == 0:
        raise _lost(claim)


def _is_of(table: Table, claim: Claim) -> ColumnElement[bool]:
    return and_(table.c.upload == claim.upload, table.c.processor == claim.processor, table.c.digest == claim.digest)


def _hold(connection: Connection, claim: Claim) -> None:
    """The upload is not over, and will not be before the end of the transaction."""
    with _as_lost(claim):
        found = _state(connection, claim.upload, held=True)
    if found in GONE:
        raise UploadChanged(f"the upload is {found} by now", upload=claim.upload, state=found)


def _write_told(connection: Connection, claim: Claim, told: Mapping[str, Any], **values: Any) -> None:
    named = [
        {"upload": claim.upload, "processor": claim.processor, "digest": claim.digest, "storage": storage, "key": key}
        for storage, key in _objects(told)
    ]
    _change(connection, claim, told=dict(told), **values)
    connection.execute(delete(objects).where(_is_of(objects, claim)))
    if named:
        connection.execute(insert(objects), named)


def _objects(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    wrong = ValueError("objects are pairs, each of the name of a storage and a key")
    try:
        pairs: list[tuple[str, str]] = [(storage, key) for storage, key in told.get("objects", ())]
    except (TypeError, ValueError):
        raise wrong from None
    if not all(isinstance(part, str) for pair in pairs for part in pair):
        raise wrong
    return pairs


def _lost(claim: Claim) -> UploadChanged:
    text = "what was to be done to the upload was claimed by somebody else, or the upload is gone"
    return UploadChanged(text, upload=claim.upload, state=None)


@contextmanager
def _as_lost(claim: Claim) -> Iterator[None]:
    try:
        yield
    except RecordMissing as error:
        raise _lost(claim) from error


def _write_facts(connection: Connection, facts: Iterable[Fact]) -> None:
    rows = [{"upload": fact.upload, "fact": as_json(fact), "attempts": 0} for fact in facts]
    if rows:
        connection.execute(insert(outbox), rows)


def _note(
    connection: Connection, upload: str, before: State | None, after: State, at: datetime, reason: str | None
) -> None:
    connection.execute(insert(moves).values(upload=upload, before=before, after=after, at=at, reason=reason))


def _found(connection: Connection, upload: str) -> UploadRecord:
    row = connection.execute(_RECORD_OF, {"of": upload}).one_or_none()
    if row is None:
        raise RecordMissing("there is no such upload", upload=upload)
    return _record(row)


def _record(row: Row[Any]) -> UploadRecord:
    told = row._asdict()
    told.pop("previous", None)
    return UploadRecord(state=State(told.pop("state")), **told)


def _behind(asked: Select[Any], record: UploadRecord) -> Select[Any]:
    created, name = uploads.c.created_at, uploads.c.id
    return asked.where(or_(created < record.created_at, (created == record.created_at) & (name < record.id)))
