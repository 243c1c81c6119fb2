"""What a storage of fsspec is not given."""

from __future__ import annotations

from uploadkit import FsspecStorage

FsspecStorage()  # E: a URL or a filesystem
FsspecStorage("memory://", None, {"username": "u"})  # E: options are named
FsspecStorage("memory://", connections="4")  # E: a number
FsspecStorage("memory://").path("key")  # E: its objects are no files of this machine
