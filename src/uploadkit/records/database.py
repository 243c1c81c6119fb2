"""A database as the ledger uses it: transactions in SQLite or PostgreSQL, and what goes wrong there as `LedgerFailed`.

Nobody outside sees an error of SQLAlchemy. A connection belongs to one process: none is taken over by a fork.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import Any
from weakref import WeakSet

from sqlalchemy import (
    Connection,
    Engine,
    String,
    Table,
    column,
    create_engine,
    event,
    exc,
    func,
    inspect,
    select,
    table,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from ..errors import LedgerFailed
from .schema import VERSION, VERSION_TABLE, Moment

# A number at random, by which those who migrate the same database wait for each other.
_MIGRATING = 0x75706C6F6164

# PostgreSQL's classes of errors, and errors, that pass by themselves: the connection, the transaction, somebody who
# intervenes, such as a server that is stopped; too many connections, and a lock. Not a full disk, which is 53100.
_PASSING_CLASSES = {"08", "40", "57"}
_PASSING = {"53300", "55P03"}

_BUSY = "the ledger does not answer, or is busy; try again later"
_CANNOT = "the ledger cannot do what it was asked"


class Database:
    """Connects when it is first used. In SQLite it makes the ledger's tables itself, and brings them up to date."""

    def __init__(self, url: str, *, wait_seconds: float) -> None:
        parsed = parsed_url(url)
        self.is_sqlite: bool = parsed.get_backend_name() == "sqlite"
        self._engine = _engine(parsed, wait_seconds)
        self._writer = self._engine.execution_options(writes=True)
        self._wait_seconds = wait_seconds
        self._turn = Lock()
        self._is_current = False
        _databases.add(self)

    def insert(self, into: Table) -> sqlite.Insert | postgresql.Insert:
        """One that can say what is done where there is such a row already."""
        return sqlite.insert(into) if self.is_sqlite else postgresql.insert(into)

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """A transaction that is committed at the end, unless something is raised in it."""
        with _translated(), self._a_turn():
            self._prepare()
            with self._writer.begin() as connection:
                yield connection

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """A transaction that changes nothing."""
        with _translated():
            self._prepare()
            with self._engine.connect() as connection:
                yield connection

    def migrate(self) -> None:
        """Makes the tables, or brings them up to date. Those who do so at once wait for each other."""
        with _translated(), self._writer.begin() as connection:
            if not self.is_sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
            if _version(connection) != VERSION:
                from .migrations import upgrade  # Alembic, which no process needs whose tables are there

                with _alembic:
                    upgrade(connection)
        self._is_current = True

    def version(self) -> str | None:
        """That of the tables, None where there are none. Makes nothing, no file either."""
        if self.is_sqlite and not os.path.exists(self._engine.url.database or ""):
            return None
        with _translated(), self._engine.connect() as connection:
            return _version(connection)

    def server_time(self) -> datetime | None:
        """What the clock of the database's server says, None where the database is a file."""
        if self.is_sqlite:
            return None
        with self.reading() as connection:
            return connection.execute(select(func.clock_timestamp(type_=Moment))).scalar_one()

    def close(self) -> None:
        """Closes the connections of this process that nobody uses."""
        self._engine.dispose()

    def hold_still(self) -> Callable[[], None] | None:
        """Before a fork waits until nobody in this process writes, and lets nobody begin before what it returns is
        called. None where that took too long."""
        turn = self._turn
        return turn.release if self.is_sqlite and turn.acquire(timeout=_FORK_SECONDS) else None

    def forget_parent(self) -> None:
        """In the child after a fork, which has none of the threads that had connections, or a turn."""
        self._engine.dispose(close=False)
        self._turn = Lock()

    @contextmanager
    def _a_turn(self) -> Generator[None]:
        """SQLite has one writer, and others ask again after ever longer pauses: threads of one process stand in line
        instead."""
        if not self.is_sqlite:
            yield
            return
        turn = self._turn
        if not turn.acquire(timeout=self._wait_seconds):
            raise LedgerFailed(_BUSY, retryable=True)
        try:
            yield
        finally:
            turn.release()

    def _prepare(self) -> None:
        if self._is_current:
            return
        with self._engine.connect() as connection:
            found = _version(connection)
        if found != VERSION and self.is_sqlite:
            self.migrate()
        elif found is None:
            raise RuntimeError("the database has no tables of a ledger: Ledger(url).migrate() makes them")
        elif found != VERSION:
            raise RuntimeError(
                f"the ledger is of an older version, {found}: Ledger(url).migrate() brings it up to date"
            )
        self._is_current = True


def parsed_url(url: str) -> URL:
    """That of a ledger. Raises `ValueError`, which does not show it."""
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise ValueError("this is no URL of a database, such as sqlite:///uploads.db") from error
    if parsed.drivername == "postgres":  # as services call it that rent out databases
        parsed = parsed.set(drivername="postgresql")
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise ValueError(f"a ledger is kept in SQLite or PostgreSQL, not in {kind}")
    if parsed.get_dialect().is_async:
        raise ValueError(
            f"{parsed.drivername} is for an event loop alone: postgresql and sqlite are the names to write"
        )
    if kind == "sqlite" and (parsed.database or ":memory:").removeprefix("file:").startswith(":memory:"):
        raise ValueError("a ledger in memory is lost with its connection: name a file, as in sqlite:///uploads.db")
    return parsed


def _engine(url: URL, wait_seconds: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, pool_timeout=wait_seconds, connect_args={"timeout": wait_seconds})
        event.listen(engine, "connect", _preparer_of_sqlite(wait_seconds))
        event.listen(engine, "begin", _begin_sqlite)
    else:
        if "connect_timeout" not in url.query:
            url = url.update_query_dict({"connect_timeout": str(max(2, round(wait_seconds)))})  # libpq's least is 2
        try:
            engine = create_engine(url, pool_timeout=wait_seconds, pool_pre_ping=True, isolation_level="READ COMMITTED")
        except ModuleNotFoundError as missing:
            text = "a ledger in PostgreSQL needs psycopg: pip install 'pyuploadkit[postgres]'"
            raise ModuleNotFoundError(text, name=missing.name) from missing
    _end_with_their_pool(engine)
    return engine


def _end_with_their_pool(engine: Engine) -> None:
    """A connection that is in use while its pool is closed is closed when it is given back, and not left to the
    garbage collector. The id of that pool is nobody else's: the connection holds it."""

    def remember(connection: object, record: ConnectionPoolEntry) -> None:
        record.info["pool"] = id(engine.pool)

    def close(connection: object, record: ConnectionPoolEntry) -> None:
        if record.info.get("pool") != id(engine.pool):
            record.invalidate()

    event.listen(engine, "connect", remember)
    event.listen(engine, "checkin", close)


def _preparer_of_sqlite(wait_seconds: float) -> Callable[[Any, object], None]:
    def prepare(connection: Any, record: object) -> None:
        connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        _use_wal(connection, time.monotonic() + wait_seconds)

    return prepare


def _use_wal(connection: Any, until: float) -> None:
    """Where others begin to use a new database at the same time, SQLite says at once that it is busy: for this its own
    time-out does not hold."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    """A transaction that begins by reading and goes on to write fails where another one has written meanwhile: who is
    going to write waits for its turn at the beginning."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _version(connection: Connection) -> str | None:
    """That of the tables, None where there are none. Raises `RuntimeError` where it is newer than this one."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    asked = select(column("version_num", String)).select_from(table(VERSION_TABLE))
    found = connection.execute(asked).scalar_one_or_none()
    if found is not None and found > VERSION:
        raise RuntimeError(f"the ledger is of a newer version of uploadkit: {found}, where this one knows {VERSION}")
    return found


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except exc.TimeoutError as error:  # no connection was given back in time
        raise LedgerFailed(_BUSY, retryable=True) from error
    except exc.DataError as error:
        raise ValueError("the database does not take a value") from error
    except exc.DBAPIError as error:
        passes = _passes(error)
        raise LedgerFailed(_BUSY if passes else _CANNOT, retryable=passes) from error
    except exc.StatementError as error:
        if isinstance(error.orig, (TypeError, ValueError)):  # a value that the schema, or JSON, does not take
            raise error.orig from None
        raise LedgerFailed(_CANNOT) from error


def _passes(error: exc.DBAPIError) -> bool:
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    state: str | None = getattr(cause, "sqlstate", None)
    if state is None:  # libpq could not connect, or has lost the connection
        return isinstance(error, exc.OperationalError) or error.connection_invalidated
    return state[:2] in _PASSING_CLASSES or state in _PASSING


# SQLite forbids even to close a connection of the parent. What nobody uses is closed before the fork; what a thread of
# the parent uses is in the child never touched. A lock of such a one would be held in the child for ever, by nobody: so
# no thread writes while the process forks.

_databases: WeakSet[Database] = WeakSet()

_held_still: list[Callable[[], None]] = []

_FORK_SECONDS = 5
"""So long a fork waits, at most, for a thread that writes."""


_alembic = Lock()
"""Alembic keeps what it is at in a variable of its module: one thread migrates at a time, whichever database."""


def _before_fork() -> None:
    for database in list(_databases):
        if (go_on := database.hold_still()) is not None:
            _held_still.append(go_on)
        database.close()


def _after_fork() -> None:
    while _held_still:
        _held_still.pop()()


def _forget_parent() -> None:
    global _alembic
    _alembic = Lock()
    _held_still.clear()
    for database in list(_databases):
        database.forget_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_forget_parent)
