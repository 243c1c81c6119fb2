"""Typed forms with the kit for tests: the same breaks, the same answers, and files that go elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest

from uploadkit import (
    DiskStorage,
    File,
    InvalidForm,
    Limits,
    MemoryStorage,
    UploadedFile,
    Uploader,
    UploadError,
    receive,
)
from uploadkit.testing import BrokenForm, FormBuilder, sample, swap_storage


@dataclass
class Album:
    """A text and two kinds of files."""

    year: int
    cover: Annotated[UploadedFile, File(accept="image/*")]
    photos: list[UploadedFile]


LIMITS = Limits(file_size="10 kB", files_size="40 kB")
FORM = FormBuilder().text("year", "1999").sample("cover", "image/png").sample("photos", "image/jpeg")

upload = Uploader(DiskStorage("never made"), limits=LIMITS)
album = upload.form(Album)


def test_the_files_of_a_typed_form_go_into_the_other_storage() -> None:
    """Those of every field."""
    with swap_storage(upload, MemoryStorage()) as memory:
        given = receive(album, FORM.content_type, [FORM.body])
        assert (given.year, given.cover.read()) == (1999, sample("image/png"))
    assert [*memory.objects.values()] == [sample("image/png"), sample("image/jpeg")]


@pytest.mark.parametrize("broken", [*FORM.all_broken(), *FORM.over(LIMITS)], ids=str)
def test_a_typed_form_that_is_broken_is_refused_as_it_says(broken: BrokenForm) -> None:
    """With its status; the code of an error that is about one field stands among those of all fields."""
    with swap_storage(upload, MemoryStorage()) as memory, pytest.raises(UploadError) as refused:
        receive(album, broken.content_type, [broken.body])
    error = refused.value
    codes = [each.code for each in error.errors] if isinstance(error, InvalidForm) else [error.code]
    assert (codes, error.status) == ([broken.code], broken.status)
    assert (memory.objects, memory.unfinished) == ({}, [])
