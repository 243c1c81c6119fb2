"""Tests of uploads, as users write them."""

from __future__ import annotations

from typing import assert_type

import pytest

from uploadkit import DiskStorage, Limits, MemoryStorage, Uploader
from uploadkit.testing import HOSTILE_FILENAMES, Break, BrokenForm, FailingStorage, FormBuilder, sample, swap_storage
from uploadkit.testing.pytest_plugin import UploadsFail, UploadsInMemory

upload = Uploader(DiskStorage("uploads"))
FORM = FormBuilder().text("title", "Sea").sample("photo", "image/png", size="5 MB").sample("table", "text/csv")

assert_type(FORM, FormBuilder)
assert_type(FORM.broken("name twice"), BrokenForm)
assert_type(FORM.all_broken(), list[BrokenForm])
assert_type(FORM.over(Limits(file_size="5 MB")), list[BrokenForm])
assert_type(FORM.cut(7).status, int)
assert_type(sample("image/png", size=5), bytes)
assert_type(HOSTILE_FILENAMES, tuple[str, ...])


def broken_by_name(how: Break) -> str:
    return FORM.broken(how).code


@pytest.mark.parametrize("broken", FORM.all_broken(), ids=str)
def test_it(broken: BrokenForm, uploads_in_memory: UploadsInMemory, uploads_fail: UploadsFail) -> None:
    assert_type(uploads_in_memory(upload, upload), MemoryStorage)
    assert_type(uploads_fail(upload, on="any", after=2, fault=OSError()), FailingStorage)


def test_elsewhere() -> None:
    with swap_storage(upload, MemoryStorage()) as memory, swap_storage(upload, DiskStorage("other")) as disk:
        assert_type(memory, MemoryStorage)
        assert_type(disk, DiskStorage)
