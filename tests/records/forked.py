"""A process that forks in the middle of a transaction: `python -m tests.records.forked URL`."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable

from sqlalchemy import Connection

from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State


def main(url: str) -> None:
    """Once with a connection that nobody uses, once with a transaction, and once while a thread writes."""
    ledger = Ledger(url)
    ledger.count()
    _is(len(_open(ledger)), 1)
    _wait(_forked(lambda: _is(_open(ledger), [])))

    go, begin = os.pipe()
    with ledger._database.reading() as connection:
        mine = _backend(ledger, connection)
        child = _forked(lambda: _in_child(ledger, mine, go))
    ledger.move("u", State.STAGED)
    os.write(begin, b"!")
    _wait(child)
    ledger.move("u", State.COMPLETED, since=[State.PROCESSING])
    if ledger._database.is_sqlite:
        _fork_beside_a_writer(ledger)
    ledger.close()
    _is(_open(ledger), [])


def _fork_beside_a_writer(ledger: Ledger) -> None:
    """What a thread has locked would be locked in the child for ever."""
    began = threading.Event()

    def write() -> None:
        with ledger._database.writing():
            began.set()
            time.sleep(0.2)

    writer = threading.Thread(target=write)
    writer.start()
    began.wait()
    with warnings.catch_warnings(action="ignore"):  # of a fork beside a thread
        child = _forked(lambda: ledger.retire("nobody"))
    _wait(child)
    writer.join()


def _in_child(ledger: Ledger, parents: object, go: int) -> None:
    os.read(go, 1)
    ledger.move("u", State.PROCESSING, since=[State.STAGED])
    with ledger._database.reading() as connection:
        _is(_backend(ledger, connection) == parents, False)
    ledger.close()


def _forked(call: Callable[[], object]) -> int:
    """A child that makes this call, and ends."""
    child = os.fork()
    if child:
        return child
    try:
        call()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _wait(child: int) -> None:
    _, status = os.waitpid(child, 0)
    _is(status, 0)


def _is(seen: object, expected: object) -> None:
    if seen != expected:  # no assert, which `python -O` leaves out
        raise AssertionError(seen)


def _backend(ledger: Ledger, connection: Connection) -> object:
    """What stands for a connection: in PostgreSQL its process there."""
    if ledger._database.is_sqlite:
        return id(connection.connection.dbapi_connection)
    return connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()


def _open(ledger: Ledger) -> list[str]:
    """Of the files of this process those that are connections."""
    kind = "/uploads.db" if ledger._database.is_sqlite else "socket:"
    names = [os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")]
    return [name for name in names if kind in name and not name.endswith(("-wal", "-shm"))]


if __name__ == "__main__":
    main(sys.argv[1])
