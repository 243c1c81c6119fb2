"""What is done with files when they are there: rows that say what they are, and who removes both. Knows no request.

A row is written after its file is stored and removed before it: where the process dies in between, an object is left
that nobody can reach, and never a row without its file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from uploadkit import DiskStorage

from .uploads import NewFiles, storage


class NoSuchFile(LookupError):
    """There is no file of this id."""


@dataclass(frozen=True)
class FileRecord:
    """A row. `key` is where the storage has the file, and is nobody else's business."""

    id: str
    title: str
    filename: str
    content_type: str
    size: int
    sha256: str
    key: str


class FileLibrary:
    """The files that were uploaded, by their ids."""

    def __init__(self, database: str, storage: DiskStorage) -> None:
        self._database = database
        self._storage = storage

    def add(self, form: NewFiles) -> list[FileRecord]:
        """All of them or none: where this raises, `receive` removes the files that the form brought."""
        records = [
            FileRecord(file.id, form.title, file.filename, file.content_type, file.size, file.digest, file.key)
            for file in form.files
        ]
        with self._transaction() as rows:
            rows.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", map(astuple, records))
        return records

    def find(self, id: str) -> FileRecord:
        """Raises `NoSuchFile`."""
        with self._transaction() as rows:
            row = rows.execute("SELECT * FROM files WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise NoSuchFile(id)
        return FileRecord(*row)

    def path(self, record: FileRecord) -> Path:
        """Where the file lies."""
        return self._storage.path(record.key)

    def remove(self, id: str) -> None:
        """Raises `NoSuchFile`."""
        record = self.find(id)
        with self._transaction() as rows:
            rows.execute("DELETE FROM files WHERE id = ?", (id,))
        self._storage.delete(record.key)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._database)) as rows, rows:
            rows.execute(
                "CREATE TABLE IF NOT EXISTS files"
                " (id TEXT PRIMARY KEY, title TEXT, filename TEXT, content_type TEXT, size INT, sha256 TEXT, key TEXT)"
            )
            yield rows


library = FileLibrary("files.db", storage)
