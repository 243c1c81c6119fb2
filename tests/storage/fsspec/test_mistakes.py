"""What a programmer is told who makes a storage of fsspec the wrong way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from uploadkit.storage.contract import ObjectInfo
from uploadkit.storage.fsspec import FsspecStorage


def test_a_url_has_its_root_in_itself() -> None:
    """Two roots would be one too many."""
    with pytest.raises(TypeError, match="the root is a part of the URL"):
        FsspecStorage("memory://", "root")


def test_a_filesystem_needs_a_root_and_has_its_options(tmp_path: Path) -> None:
    """Nobody means the whole disk."""
    with pytest.raises(TypeError, match="needs a root"):
        FsspecStorage(LocalFileSystem())
    with pytest.raises(TypeError, match="has its options"):
        FsspecStorage(LocalFileSystem(), str(tmp_path), options={})


def test_numbers_are_more_than_nothing() -> None:
    """No connections could do nothing, and no age would sweep live uploads of others."""
    for wrong in ({"connections": 0}, {"stale_seconds": 0}):
        with pytest.raises(ValueError, match="more than 0"):
            FsspecStorage("memory://", **wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_an_unknown_protocol_is_said_at_once() -> None:
    """With fsspec's own words."""
    with pytest.raises(ValueError, match="Protocol not known: nowhere"):
        FsspecStorage("nowhere://root")


def test_an_option_that_the_filesystem_does_not_know_is_a_type_error() -> None:
    """And not an answer of 503: it is said by the first call, since nothing is connected before."""
    storage = FsspecStorage("sftp://127.0.0.1/root", options={"unknown": 1})
    with pytest.raises(TypeError, match="unknown"):
        storage.open("key", ObjectInfo())


def test_a_filesystem_that_cannot_move_a_file_is_refused() -> None:
    """Nothing would appear whole there."""
    with pytest.raises(TypeError, match="DataFileSystem cannot move a file"):
        FsspecStorage("data:text/plain,root")


def test_without_fsspec_the_name_says_what_to_install() -> None:
    """`import uploadkit` needs none; the storage does."""
    code = "import sys; sys.modules['fsspec'] = None; import uploadkit; uploadkit.FsspecStorage('memory://root')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last == "ModuleNotFoundError: FsspecStorage needs fsspec: pip install 'pyuploadkit[fsspec]'"
