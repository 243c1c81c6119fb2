"""A storage of fsspec as users write it."""

from __future__ import annotations

from typing import assert_type

from uploadkit import FsspecStorage, Storage, UploadedFile, Uploader
from uploadkit.adapters import flask
from uploadkit.storage.contract import ExclusiveCommit, ReadsStaged, SweepsStaging

storage = FsspecStorage(
    "sftp://files.example/srv/uploads", options={"username": "u"}, connections=2, stale_seconds=3600, name="files"
)
upload = Uploader(storage)
assert_type(storage.sweep(), int)
assert_type(storage.exclusive_commit, bool)


def offered(storage: FsspecStorage) -> tuple[Storage, ExclusiveCommit, ReadsStaged, SweepsStaging]:
    return storage, storage, storage, storage


@flask.receive(upload.single("avatar"))
def view(avatar: UploadedFile) -> str:
    return avatar.key


storage.close()
