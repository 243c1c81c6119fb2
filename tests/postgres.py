"""A PostgreSQL server of the tests' own: in a folder of its own, on a unix socket, ended by its own process id.

It does not run as root: there it is started as Debian's `postgres`, or as `nobody`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from psycopg import Connection

READY_SECONDS = 30

# Not where a server of Debian's own listens; beside it in a socket's name.
PORT = 5432

# As small as it goes. Nobody here cuts the power, for which alone it would wait for the disk.
OPTIONS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "16MB",
    "max_wal_size": "64MB",
    "fsync": "off",
}

_AS_MADE = [("information_schema",), ("public",)]
"""The schemas of a database."""


def binaries() -> Path | None:
    """The folder of the newest PostgreSQL of this machine: Debian keeps its servers out of the PATH."""
    found = sorted(glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda path: int(Path(path).parents[1].name))
    command = found[-1] if found else shutil.which("postgres")
    return None if command is None else Path(command).resolve().parent


class PostgresServer:
    """Its files and its socket lie in `folder`, which is short: the name of a socket has at most 107 bytes."""

    def __init__(self, folder: Path) -> None:
        found = binaries()
        assert found is not None
        self._binaries = found
        self._folder = folder
        self._empty: list[str] = []
        self._user = _user()
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-D", str(folder / "data"), "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    def url(self, database: str) -> str:
        """Of a database of this server, for SQLAlchemy."""
        return f"postgresql+psycopg://tester@/{database}?host={self._folder}&port={PORT}"

    def create(self) -> str:
        """The name of a database in which nothing is, and nobody is connected to it."""
        if self._empty:
            return self._empty.pop()
        name = f"tests_{token_hex(8)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def drop(self, name: str) -> None:
        """Also where somebody is still connected. It is emptied for who asks next: to make one takes a second."""
        others = f"FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        self.execute(f"SELECT pg_terminate_backend(pid, 10000) {others}")
        if self.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1", name) != _AS_MADE:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")
            return
        self.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public", name)
        self._empty.append(name)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """The rows that it gives, where it gives some."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def connect(self, database: str) -> Connection[tuple[object, ...]]:
        """Each statement is a transaction of its own."""
        import psycopg  # not with this module: the tests of the bare core ask it whether there is a server

        return psycopg.connect(f"host={self._folder} port={PORT} user=tester dbname={database}", autocommit=True)

    def start(self) -> None:
        """Returns when it answers."""
        options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._folder / "data", "-k", self._folder, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **self._identity(),
            )
        until = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError((self._folder / "log").read_text())
            time.sleep(0.02)

    def stop(self) -> None:
        """Every connection is ended."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # "fast": it does not wait for its clients
        try:
            self._process.wait(READY_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)  # its children go with it, as they do not by SIGKILL
            self._process.wait(READY_SECONDS)

    def _answers(self) -> bool:
        from psycopg import OperationalError

        try:
            self.connect("postgres").close()
        except OperationalError:
            return False
        return True

    def _run(self, name: str, *words: str) -> None:
        done = subprocess.run(
            [self._binaries / name, *words], capture_output=True, text=True, cwd="/", **self._identity()
        )
        assert done.returncode == 0, done.stderr

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


def _user() -> pwd.struct_passwd | None:
    """Who runs the server, None for whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One for the whole session, in which a test has databases of its own. A test that stops it starts it again."""
    with tempfile.TemporaryDirectory(prefix="uploadkit-pg-", dir="/tmp") as folder:
        server = PostgresServer(Path(folder))
        try:
            yield server
        finally:
            server.stop()
