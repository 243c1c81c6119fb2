"""Tests of uploads, as nobody may write them."""

from __future__ import annotations

from uploadkit import MemoryStorage, Uploader
from uploadkit.testing import FormBuilder, sample, swap_storage
from uploadkit.testing.pytest_plugin import UploadsFail, UploadsInMemory

upload = Uploader(MemoryStorage())
FORM = FormBuilder()

FORM.broken("gently")  # E: no way to break a form
FORM.over(5)  # E: limits are a Limits
FORM.cut("half")  # E: at is a number of bytes
FORM.sample("photo", "image/png", 5)  # E: a number without a name says nothing
sample(b"PNG")  # E: the name of a type
swap_storage(upload.single("photo"), MemoryStorage())  # E: an Uploader, not a spec
swap_storage(upload, MemoryStorage)  # E: a storage, not its class


def test_it(uploads_in_memory: UploadsInMemory, uploads_fail: UploadsFail) -> None:
    uploads_in_memory(MemoryStorage())  # E: an Uploader, not a storage
    uploads_fail(upload)  # E: which call fails has to be said
    uploads_fail(upload, on="publish")  # E: no call of a storage
