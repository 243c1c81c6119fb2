"""Roots on filesystems of fsspec, each empty and cleared away, and storages over them, each closed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from tests.storage.fsspec.sftp import SftpServer, sftp_server

from uploadkit.storage.fsspec import FsspecStorage


@dataclass
class Place:
    """Where storages are made. `seen` is the filesystem as the test sees it, below `path`."""

    arguments: dict[str, Any]
    seen: AbstractFileSystem
    path: str
    made: list[FsspecStorage] = field(default_factory=list)

    def storage(self, **options: Any) -> FsspecStorage:
        """Another storage over the same root."""
        self.made.append(FsspecStorage(**self.arguments, **options))
        return self.made[-1]

    def files(self) -> list[str]:
        """Every file below the root, staged ones too, relative to it."""
        with suppress(FileNotFoundError):
            return sorted(str(path)[len(self.path) + 1 :] for path in self.seen.find(self.path))
        return []

    def staged(self) -> list[str]:
        """The names in staging."""
        return [path for path in self.files() if path.startswith(".staging/")]


Locate = Callable[[], Place]
"""A new place of one kind."""


@pytest.fixture(scope="session")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    """OpenSSH's server, for tests that do not kill it."""
    with sftp_server(tmp_path_factory.mktemp("sftp") / "ssh") as server:
        yield server


KINDS = [
    "memory",
    "memory, given",
    "local",
    "a folder of another",
    pytest.param("sftp", marks=pytest.mark.needs("sshd")),
]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The name of each kind of place."""
    name: str = request.param
    return name


@pytest.fixture
def locate(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Locate]:
    """Makes places of each kind, and closes what was made in them."""
    numbers, places = itertools.count(), []

    def new() -> Place:
        place = place_of(kind, tmp_path / str(next(numbers)), lambda: request.getfixturevalue("sftp"))
        places.append(place)
        return place

    yield new
    for place in places:
        for storage in place.made:
            storage.close()
        if kind.startswith("memory"):
            with suppress(FileNotFoundError):
                place.seen.rm(place.path, recursive=True)


@pytest.fixture
def place(locate: Locate) -> Place:
    """One."""
    return locate()


def place_of(kind: str, folder: Path, sftp: Callable[[], SftpServer]) -> Place:
    """A new place of a kind."""
    if kind.startswith("memory"):
        memory, path = MemoryFileSystem(), f"/{token_hex(16)}"  # all of a process have one store
        given = {"url_or_filesystem": memory, "root": path}
        return Place(given if kind == "memory, given" else {"url_or_filesystem": f"memory:/{path}"}, memory, path)
    here, path = LocalFileSystem(), str(folder)
    if kind == "local":
        return Place({"url_or_filesystem": f"file://{path}"}, here, path)
    if kind == "a folder of another":
        return Place({"url_or_filesystem": DirFileSystem(str(folder.parent), here), "root": folder.name}, here, path)
    server = sftp()
    return Place({"url_or_filesystem": server.url(folder), "options": server.options}, here, path)
