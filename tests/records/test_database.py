"""What goes wrong below a ledger: it says so as `LedgerFailed`, and goes on when it has passed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread, Timer

import pytest
from sqlalchemy.exc import SQLAlchemyError
from tests.postgres import PostgresServer
from tests.records.ledgers import Place, add
from tests.small_disk import small_disk

from uploadkit import LedgerFailed
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a ledger in SQLite is kept."""
    return tmp_path / "uploads.db"


def failure(call: Callable[[], object]) -> LedgerFailed:
    """That of a call, with the database's own words for it beneath."""
    with pytest.raises(LedgerFailed) as caught:
        call()
    assert (caught.value.code, caught.value.status) == ("ledger_failed", 503)
    assert isinstance(caught.value.__cause__, SQLAlchemyError)
    return caught.value


# URLs


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("uploads.db", "this is no URL of a database, such as sqlite:///uploads.db"),
        ("mysql://host/uploads", "a ledger is kept in SQLite or PostgreSQL, not in mysql"),
        ("sqlite://", "a ledger in memory is lost with its connection"),
        ("sqlite:///:memory:", "a ledger in memory is lost with its connection"),
        ("sqlite:///file::memory:?uri=true", "a ledger in memory is lost with its connection"),
        ("postgresql+asyncpg://host/uploads", "postgresql and sqlite are the names to write"),
        ("sqlite+aiosqlite:///uploads.db", "postgresql and sqlite are the names to write"),
    ],
)
def test_a_url_of_something_else_is_refused(url: str, reason: str) -> None:
    """When the ledger is made, and not at the first upload."""
    with pytest.raises(ValueError, match=reason):
        Ledger(url)


@pytest.mark.needs("postgres")
def test_a_url_says_what_services_write(postgres: PostgresServer) -> None:
    """`postgres://`, which SQLAlchemy itself has given up, and no driver."""
    database = postgres.create()
    ledger = Ledger(postgres.url(database).replace("postgresql+psycopg://", "postgres://"))
    try:
        ledger.migrate()
        assert ledger.count() == {}
    finally:
        ledger.close()
        postgres.drop(database)


# SQLite


def test_a_writer_waits_for_another_one(file: Path) -> None:
    """As long as it was told to; who only reads does not wait."""
    ledger = Ledger(f"sqlite:///{file}", wait_seconds=30)
    add(ledger, "u")
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = Timer(0.1, lambda: other.execute("COMMIT"))
    timer.start()
    try:
        assert ledger.get("u").state is State.RECEIVING
        assert ledger.move("u", State.STAGED).state is State.STAGED
    finally:
        timer.join()
        other.close()
        ledger.close()


def test_a_writer_that_has_waited_says_that_it_is_busy(file: Path) -> None:
    """It may try again, and when the other one has ended it is done."""
    ledger = Ledger(f"sqlite:///{file}", wait_seconds=0.05)
    add(ledger, "u")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    error = failure(lambda: ledger.move("u", State.STAGED))
    assert error.retryable
    assert str(error) == "the ledger does not answer, or is busy; try again later"
    other.execute("ROLLBACK")
    other.close()
    assert ledger.move("u", State.STAGED).state is State.STAGED
    ledger.close()


def test_a_thread_that_has_waited_for_its_turn_says_so_too(file: Path) -> None:
    """Behind another one of its own process, which stands in line for the file."""
    ledger = Ledger(f"sqlite:///{file}", wait_seconds=0.1)
    add(ledger, "u")
    with ledger._database.writing(), pytest.raises(LedgerFailed) as caught:
        ledger.move("u", State.STAGED)
    assert caught.value.retryable
    assert ledger.move("u", State.STAGED).state is State.STAGED
    ledger.close()


@pytest.mark.needs("tmpfs")
def test_a_full_disk_loses_nothing_that_was_there(tmp_path: Path) -> None:
    """Nobody helps by trying again; when there is room again it goes on."""
    with small_disk(tmp_path, "size=1m"):
        ledger = Ledger(f"sqlite:///{tmp_path}/uploads.db")
        add(ledger, "u")
        (tmp_path / "filler").write_bytes(bytes(300_000))
        added: list[str] = []

        def fill() -> None:
            for number in range(10_000):
                add(ledger, f"u{number}", tags={"text": "x" * 10_000})
                added.append(f"u{number}")

        error = failure(fill)
        assert not error.retryable
        assert str(error) == "the ledger cannot do what it was asked"
        assert "full" in str(error.__cause__)
        assert {each.id for each in ledger.find(limit=10_000)} == {"u", *added}
        (tmp_path / "filler").unlink()
        assert ledger.move("u", State.STAGED).state is State.STAGED
        ledger.close()


def test_a_file_that_cannot_be_is_told(tmp_path: Path) -> None:
    """A folder that there is not, and a file that is something else: the sender is told no path."""
    (tmp_path / "picture.db").write_bytes(b"\x89PNG" * 1000)
    for name in ("no/such/folder/uploads.db", "picture.db"):
        ledger = Ledger(f"sqlite:///{tmp_path}/{name}")
        error = failure(lambda ledger=ledger: add(ledger, "u"))  # type: ignore[misc]
        assert not error.retryable
        assert str(error) == "the ledger cannot do what it was asked"
        ledger.close()


# PostgreSQL


@pytest.mark.needs("postgres")
def test_a_server_that_was_restarted_is_connected_to_again(postgres: PostgresServer) -> None:
    """While it is away each call says so; the first one after that is answered, over connections that were there."""
    database = postgres.create()
    place = Place(url=postgres.url(database), server=postgres, database=database)
    with place.closed():
        ledger = place.ledger(wait_seconds=2)
        ledger.migrate()
        add(ledger, "u")
        try:
            postgres.stop()
            for call in (lambda: ledger.get("u"), lambda: add(ledger, "v"), ledger.migrate, place.ledger().count):
                error = failure(call)
                assert error.retryable
                assert str(error) == "the ledger does not answer, or is busy; try again later"
        finally:
            postgres.start()
        assert ledger.get("u").state is State.RECEIVING
        postgres.stop()
        postgres.start()
        assert ledger.move("u", State.STAGED).state is State.STAGED, "nobody had noticed that it was away"
    postgres.drop(database)


@pytest.mark.needs("postgres")
def test_a_connection_that_is_cut_in_a_call_is_told(postgres: PostgresServer) -> None:
    """In the middle of a transaction: what it was to do is not done, and the next call is answered."""
    database = postgres.create()
    place = Place(url=postgres.url(database), server=postgres, database=database)
    with place.closed():
        ledger, other = place.ledger(), place.ledger()
        ledger.migrate()
        add(ledger, "u")
        errors: list[LedgerFailed] = []
        with postgres.connect(database) as holder, holder.transaction():
            holder.execute("SELECT 1 FROM uploadkit_uploads WHERE id = 'u' FOR UPDATE")
            waiter = Thread(target=lambda: errors.append(failure(lambda: other.move("u", State.STAGED))))
            waiter.start()
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while not postgres.execute(cut):
                assert waiter.is_alive()
            waiter.join(30)
        assert [error.retryable for error in errors] == [True]
        assert ledger.get("u").state is State.RECEIVING
        assert other.move("u", State.STAGED).state is State.STAGED
    postgres.drop(database)


@pytest.mark.needs("postgres")
def test_a_database_that_there_is_not_is_told(postgres: PostgresServer) -> None:
    """By what libpq says, beneath."""
    ledger = Ledger(postgres.url("nothing"), wait_seconds=2)
    assert 'database "nothing" does not exist' in str(failure(lambda: ledger.count()).__cause__)
    ledger.close()


# Forks


@pytest.mark.needs("linux")
def test_no_child_uses_a_connection_of_its_parent(ledger: Ledger, place: Place) -> None:
    """Neither one that nobody used at the fork, which is closed before, nor one that was in use. Both go on after."""
    add(ledger, "u")
    command = [sys.executable, "-W", "error", "-m", "tests.records.forked", place.url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert [move.after for move in ledger.history("u")] == [
        State.RECEIVING,
        State.STAGED,  # by the parent, whose transaction was open at the fork
        State.PROCESSING,  # by the child
        State.COMPLETED,  # by the parent, when the child had ended
    ]


@pytest.mark.needs("linux")
def test_closing_leaves_no_file_open(file: Path) -> None:
    """The next call opens it again."""
    ledger = Ledger(f"sqlite:///{file}")
    add(ledger, "u")
    ledger.close()
    assert not [name for name in map(os.path.realpath, Path("/proc/self/fd").iterdir()) if str(file) in name]
    assert ledger.get("u").id == "u"
    ledger.close()
    assert sorted(each.name for each in file.parent.iterdir()) == ["uploads.db"], "the last one has cleared away"
