"""How many uploads a ledger remembers in a second: `python -m bench.ledger --postgres URL`.

Each call is a transaction of its own, which is on the disk when the call returns. Beside them the least that the same
database does for one: a row that is inserted and committed by its bare driver, with the same promise.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from secrets import token_hex

import psycopg
from sqlalchemy.engine import make_url

from uploadkit.events.facts import FileUploaded
from uploadkit.records.ledger import Ledger
from uploadkit.records.lifecycle import State

from .report import machine, rows, write

ROUNDS = 5
SECONDS = 0.5
THREADS = (1, 8)

Call = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A database, and `floor`: gives a call that inserts a row, for each thread one."""

    name: str
    url: str
    floor: Callable[[], Iterator[Call]]


def speed(make: Callable[[], Call], threads: int, seconds: float) -> float:
    """Calls in a second, of all threads together; each thread has a call of its own."""
    calls = [make() for _ in range(threads)]
    until = time.perf_counter() + seconds

    def run(call: Call) -> int:
        for number in count(1):
            call()
            if time.perf_counter() >= until:
                return number
        raise AssertionError

    begun = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(run, calls))
    return done / (time.perf_counter() - begun)


def add(ledger: Ledger) -> str:
    """A record."""
    upload = token_hex(16)
    ledger.add(upload, field="photo", filename="me.png", content_type="image/png", batch="b", owner="o")
    return upload


def adding(ledger: Ledger) -> Callable[[], Call]:
    return lambda: lambda: add(ledger)


def moving(ledger: Ledger) -> Callable[[], Call]:
    """Takes a record to and fro between two states, each time with a fact: it has been written before."""

    def make() -> Call:
        upload = add(ledger)
        ledger.move(upload, State.STAGED)
        states = (State.PROCESSING, State.COMPLETED)
        numbers = count()
        told = FileUploaded(upload=upload, filename="me.png", content_type="image/png", size=1, storage="disk", key="k")
        return lambda: ledger.move(upload, states[next(numbers) % 2], facts=[told])

    return make


def asking(ledger: Ledger) -> Callable[[], Call]:
    def make() -> Call:
        upload = add(ledger)
        return lambda: ledger.get(upload)

    return make


def forwarded(ledger: Ledger) -> float:
    """Facts in a second, one upload each, by one thread; `deliver` does nothing."""
    facts = [
        FileUploaded(upload=token_hex(16), filename="m", content_type="t/t", size=1, storage="s", key="k")
        for _ in range(300)
    ]
    ledger.tell(facts)
    begun = time.perf_counter()
    done = ledger.forward(lambda each: None, limit=len(facts))
    return done / (time.perf_counter() - begun)


def measured(kind: Kind, rounds: int, seconds: float) -> list[list[str]]:
    """The rows of one database: medians of the rounds, in which everything takes its turn."""
    with closing(Ledger(kind.url)) as ledger, contextmanager(kind.floor)() as floor:
        ledger.migrate()
        makers = {
            "a row, by the driver alone": lambda: floor,
            "`add`": adding(ledger),
            "`move`, with a fact": moving(ledger),
            "`get`": asking(ledger),
        }
        seen: dict[tuple[str, int], list[float]] = {}
        told = []
        for _ in range(rounds):
            for name, make in makers.items():
                for threads in THREADS if name != "a row, by the driver alone" else (1,):
                    seen.setdefault((name, threads), []).append(speed(make, threads, seconds))
            while ledger.forward(lambda each: None, limit=1000):  # those of the moves
                pass
            told.append(forwarded(ledger))
    medians = {key: f"{statistics.median(speeds):,.0f}" for key, speeds in seen.items()}
    table = [[kind.name, name, *(medians.get((name, threads), "") for threads in THREADS)] for name in makers]
    return [*table, [kind.name, "`forward`, a fact", f"{statistics.median(told):,.0f}", ""]]


def in_sqlite(folder: Path) -> Kind:
    def floor() -> Iterator[Call]:
        with closing(sqlite3.connect(folder / "floor.db", isolation_level=None, check_same_thread=False)) as connection:
            for pragma in ("journal_mode=WAL", "synchronous=FULL"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("CREATE TABLE floor (id TEXT PRIMARY KEY)")
            yield lambda: connection.execute("INSERT INTO floor VALUES (?)", (token_hex(16),))

    return Kind(name="SQLite", url=f"sqlite:///{folder}/uploads.db", floor=floor)


def in_postgres(url: str) -> Kind:
    def floor() -> Iterator[Call]:
        target = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(target, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS floor (id TEXT PRIMARY KEY)")
            yield lambda: connection.execute("INSERT INTO floor VALUES (%s)", (token_hex(16),))
            connection.execute("DROP TABLE floor")

    return Kind(name="PostgreSQL", url=url, floor=floor)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    described = "How many uploads a ledger remembers in a second."
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=described)
    parser.add_argument("--postgres", metavar="URL", help="an empty database of PostgreSQL, in which tables are left")
    parser.add_argument("--folder", type=Path, help="where SQLite's file is made, and removed")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table into FILE, between its marks")
    given = parser.parse_args(arguments)
    rounds, seconds = (1, 0.05) if given.quick else (ROUNDS, SECONDS)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        kinds = [in_sqlite(Path(folder)), *([in_postgres(given.postgres)] if given.postgres else [])]
        body = [row for kind in kinds for row in measured(kind, rounds, seconds)]
    head = ["database", "calls in a second", *(f"{threads} thread{'s' * (threads > 1)}" for threads in THREADS)]
    text = f"{machine()}.\n\n{rows(head, body)}"
    print(text)
    if given.markdown is not None:
        write(given.markdown, "ledger", text)


if __name__ == "__main__":
    main()
