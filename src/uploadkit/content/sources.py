"""Where a content that is to be looked at is read from: a file, a path, or what was uploaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, TypeAlias

from ..storage.contract import LocalPaths
from ..uploads import UploadedFile

__all__ = ["Source"]

Source: TypeAlias = BinaryIO | str | os.PathLike[str] | UploadedFile
"""A file that can be sought, a path, or what was uploaded. It is left as it is."""


@contextmanager
def opened_source(source: Source) -> Iterator[BinaryIO]:
    """The whole of it as a file, which is closed again unless it is the caller's. Raises what opening it raises."""
    if isinstance(source, UploadedFile):
        if not isinstance(source.storage, LocalPaths):
            with source.open() as file:
                yield file
            return
        source.storage.stat(source.key)  # raises ObjectMissing
        source = source.path
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            yield file
        return
    yield source
