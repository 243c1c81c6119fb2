"""The fixtures for pytest in tests that are coroutines, as AnyIO's own plugin runs them."""

from __future__ import annotations

import pytest

TESTS = """
import pytest
from uploadkit import DiskStorage, Uploader, areceive
from uploadkit.testing import FormBuilder

FORM = FormBuilder().sample("photo", "image/png", size="3 MB")  # more than a buffer: a thread writes it

async def chunks():
    for at in range(0, len(FORM.body), 65536):
        yield FORM.body[at : at + 65536]

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture
async def other():
    yield

@pytest.mark.anyio
async def test_in_memory(no_upload_leaks, memory_uploader, memory_storage):
    photo = await areceive(memory_uploader.single("photo"), FORM.content_type, chunks())
    assert photo.size == len(memory_storage.objects[photo.key])

@pytest.mark.anyio
@pytest.mark.usefixtures("no_upload_leaks")
async def test_on_disk(tmp_path, other):
    await areceive(Uploader(DiskStorage(tmp_path)).single("photo"), FORM.content_type, chunks())

@pytest.mark.anyio
async def test_behind_another_fixture(other, no_upload_leaks, uploads_in_memory):
    upload = Uploader(DiskStorage("never made"))
    photo = upload.single("photo")
    storage = uploads_in_memory(upload)
    await areceive(photo, FORM.content_type, chunks())
    assert len(storage.objects) == 1
"""


def test_they_serve_coroutines(pytester: pytest.Pytester) -> None:
    """A loop, its descriptors and its threads are no leak, in whatever order the fixtures stand."""
    pytester.makepyfile(TESTS)
    pytester.runpytest_subprocess().assert_outcomes(passed=3)
