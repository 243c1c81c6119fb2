"""Uploads that come in several requests, in the ledger: what is to be known of each, and who may add to it.

That somebody may is a compare-and-set, which holds until he lets go or its time is over: of those that race for it one
wins, whichever processes and machines they are in. What is changed under a hold, is changed by who has it or not at
all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from secrets import token_hex
from types import MappingProxyType
from typing import Any, Final, Unpack

from sqlalchemy import (
    Connection,
    Executable,
    Row,
    and_,
    bindparam,
    case,
    delete,
    false,
    literal,
    or_,
    select,
    update,
)

from ..errors import RecordExists, RecordMissing, UploadChanged
from .database import Database
from .resumable import Hold, Resumable, ResumableChanges
from .schema import ID_LENGTH, may_be, resumables, uploads

__all__ = ["Resumables"]

_RESUMABLE = [resumables.c[name] for name in Resumable.__annotations__]

FREE: Final[Mapping[str, Any]] = {"token": None, "held_at": None, "held_until": None, "wanted": False}
"""The values of one that nobody holds."""

# What every request asks is made once: to make a statement takes as long as to carry it out.

_RESUMABLE_OF = select(*_RESUMABLE).where(resumables.c.upload == bindparam("of"))

_THEIRS = and_(
    resumables.c.upload.in_(bindparam("uploads", expanding=True)),
    resumables.c.token.in_(bindparam("tokens", expanding=True)),
)
"""Those that are still held by these. A token is of one hold alone; the rows are found by the uploads."""

_WANTED = select(resumables.c.token, resumables.c.wanted).where(_THEIRS)


def _holding(*, asks: bool) -> Executable:
    row = resumables.c
    free = or_(row.token.is_(None), row.held_until <= bindparam("free_at"))
    return (  # who waits writes once
        update(resumables)
        .where(row.upload == bindparam("of"), or_(free, row.wanted == false()) if asks else free)
        .values(
            token=case((free, bindparam("by", type_=row.token.type)), else_=row.token),
            held_at=case((free, bindparam("since", type_=row.held_at.type)), else_=row.held_at),
            held_until=case((free, bindparam("until", type_=row.held_until.type)), else_=row.held_until),
            wanted=case((free, False), else_=True),
        )
        .returning(row.token)
    )


_HOLDING: Final[Mapping[bool, Executable]] = {asks: _holding(asks=asks) for asks in (False, True)}
"""By whether somebody else is told that it is wanted."""

# How many holds one statement asks for: each is two of the values of which databases take some 32 000.
_HOLDS_AT_ONCE = 1000


class Resumables:
    """What a ledger knows of uploads that come in several requests: `Ledger.resumables`.

    Each has a record in state `receiving`, and is forgotten with it. Every call is one transaction, blocks, and may
    raise `LedgerFailed`.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def add(
        self,
        upload: str,
        *,
        length: int | None,
        storage: str,
        kept: str,
        told: Mapping[str, Any],
        expires_at: datetime,
    ) -> Resumable:
        """Of an upload that has a record. Nobody holds it yet. Raises `RecordMissing` where it has none, and
        `RecordExists` where this is known of it already."""
        _check_id(upload)
        values = {"length": length, "storage": storage, "kept": kept, "told": dict(told), "expires_at": expires_at}
        added = (
            self._database.insert(resumables)
            .values(upload=upload, **values, **FREE)
            .on_conflict_do_nothing()
            .returning(*_RESUMABLE)
        )
        with self._database.writing() as connection:
            _keep_record(connection, upload)
            row = connection.execute(added).one_or_none()
        if row is None:
            raise RecordExists("there is such an upload already", upload=upload)
        return _resumable(row)

    def get(self, upload: str) -> Resumable | None:
        """None where there is none, also for a text that can be no id: it may come from an address."""
        if not may_be(upload, ID_LENGTH):
            return None
        with self._database.reading() as connection:
            return self.found(connection, upload)

    def found(self, connection: Connection, upload: str) -> Resumable | None:
        """As `get`, in a transaction of the ledger's."""
        row = connection.execute(_RESUMABLE_OF, {"of": upload}).one_or_none()
        return None if row is None else _resumable(row)

    def hold(self, upload: str, *, seconds: float, asks: bool = True) -> Hold | None:
        """The right to add to it, for so many seconds. None where somebody else has it: then he is told that it is
        wanted, when he extends it, unless nobody `asks` him for it. Raises `RecordMissing` where there is no such
        upload."""
        _check_id(upload)
        now, token = self._now(), token_hex(16)
        until = now + timedelta(seconds=seconds)
        values = {"of": upload, "free_at": now, "by": token, "since": now, "until": until}
        with self._database.writing() as connection:
            found = connection.execute(_HOLDING[asks], values).scalar_one_or_none()
            if found is None:
                _expect(connection, upload)
        return Hold(upload=upload, token=token, until=until) if found == token else None

    def extend_all(
        self, holds: Collection[Hold], *, seconds: float, expires: Mapping[str, datetime] = MappingProxyType({})
    ) -> dict[str, bool]:
        """Keeps them for so many more seconds from now: by their tokens, whether somebody else wants them. Those that
        are another's by now, or of which the upload is gone, are not among them. `expires` is, by tokens too, when some
        of the uploads are given up from now on."""
        now = self._now()
        extending = {"held_at": now, "held_until": now + timedelta(seconds=seconds)}
        found = dict[str, bool]()
        with self._database.writing() as connection:
            for these in _some(holds):
                extended = update(resumables).where(_THEIRS).values(extending | _expiring(these, expires))
                found.update(_wanted(connection, extended.returning(resumables.c.token, resumables.c.wanted), these))
        return found

    def wanted(self, holds: Collection[Hold]) -> dict[str, bool]:
        """As `extend_all`, and changes nothing."""
        found = dict[str, bool]()
        with self._database.reading() as connection:
            for these in _some(holds):
                found.update(_wanted(connection, _WANTED, these))
        return found

    def change(self, hold: Hold, **changes: Unpack[ResumableChanges]) -> Resumable:
        """Changes what is known of it, under the hold or not at all. Raises `UploadChanged` where that is another's by
        now, or the upload is gone."""
        values = _checked(changes) | {"token": hold.token}  # of no changes too
        changed = update(resumables).where(_THEIRS).values(values)
        with self._database.writing() as connection:
            row = connection.execute(changed.returning(*_RESUMABLE), _of([hold])).one_or_none()
        if row is None:
            raise _lost(hold)
        return _resumable(row)

    def let_go(self, hold: Hold, **changes: Unpack[ResumableChanges]) -> None:
        """Changes what is known of it, and may be held by others at once. Nothing happens where it is another's by
        now."""
        freed = update(resumables).where(_THEIRS).values({**_checked(changes), **FREE})
        with self._database.writing() as connection:
            connection.execute(freed, _of([hold]))

    def forget(self, upload: str) -> None:
        """Its record stays. No error where there is none. Who holds it has lost it."""
        with self._database.writing() as connection:
            connection.execute(delete(resumables).where(resumables.c.upload == upload))

    def expired(self, at: datetime, *, after: Resumable | None = None, limit: int = 100) -> list[Resumable]:
        """Those whose time is over then, and that nobody holds. What is over longest comes first; the next page begins
        `after` the last one."""
        free = or_(resumables.c.token.is_(None), resumables.c.held_until <= at)
        asked = (
            select(*_RESUMABLE)
            .where(resumables.c.expires_at <= at, free)
            .order_by(resumables.c.expires_at, resumables.c.upload)
            .limit(limit)
        )
        if after is not None:
            time, name = resumables.c.expires_at, resumables.c.upload
            asked = asked.where(or_(time > after.expires_at, and_(time == after.expires_at, name > after.upload)))
        with self._database.reading() as connection:
            return list(map(_resumable, connection.execute(asked)))


def _check_id(upload: str) -> None:
    if not may_be(upload, ID_LENGTH):
        raise _missing(upload)


def _missing(upload: str) -> RecordMissing:
    return RecordMissing("there is no such upload", upload=upload)


def _lost(hold: Hold) -> UploadChanged:
    return UploadChanged("the upload is held by somebody else by now, or is gone", upload=hold.upload, state=None)


def _keep_record(connection: Connection, upload: str) -> None:
    """It is not forgotten before the end of the transaction."""
    asked = select(uploads.c.id).where(uploads.c.id == upload).with_for_update(read=True)
    if connection.execute(asked).one_or_none() is None:
        raise _missing(upload)


def _expect(connection: Connection, upload: str) -> None:
    if connection.execute(select(resumables.c.upload).where(resumables.c.upload == upload)).one_or_none() is None:
        raise _missing(upload)


def _checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := changes.keys() - ResumableChanges.__annotations__.keys():
        raise TypeError(f"of a resumable upload this does not change: {', '.join(sorted(unknown))}")
    return {**changes, "told": dict(changes["told"])} if "told" in changes else dict(changes)


def _some(holds: Collection[Hold]) -> Iterator[list[Hold]]:
    every = list(holds)
    for begin in range(0, len(every), _HOLDS_AT_ONCE):
        yield every[begin : begin + _HOLDS_AT_ONCE]


def _of(holds: Collection[Hold]) -> dict[str, Any]:
    """Whose `_THEIRS` are."""
    return {"uploads": [hold.upload for hold in holds], "tokens": [hold.token for hold in holds]}


def _expiring(holds: Collection[Hold], expires: Mapping[str, datetime]) -> dict[str, Any]:
    column = resumables.c.expires_at
    known = {hold.token: literal(expires[hold.token], column.type) for hold in holds if hold.token in expires}
    return {"expires_at": case(known, value=resumables.c.token, else_=column)} if known else {}


def _wanted(connection: Connection, asked: Executable, holds: Collection[Hold]) -> dict[str, bool]:
    return {row.token: row.wanted for row in connection.execute(asked, _of(holds))}


def _resumable(row: Row[Any]) -> Resumable:
    return Resumable(**row._asdict())
