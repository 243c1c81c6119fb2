"""Fixtures for pytest, which finds them by itself where uploadkit is installed. `-p no:uploadkit` turns them off.

Every run of pytest imports this module, so it loads names only; what a fixture needs is loaded when it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Literal, Protocol

import pytest

if TYPE_CHECKING:
    from ..storage.memory import MemoryStorage
    from ..uploader import Uploader
    from .forms import FormBuilder
    from .storage_faults import Call, FailingStorage, Fault


class UploadsInMemory(Protocol):
    """What the fixture `uploads_in_memory` is: called with an application's uploaders, it returns their storage."""

    def __call__(self, *uploads: Uploader) -> MemoryStorage: ...


class UploadsFail(Protocol):
    """What the fixture `uploads_fail` is: called with an uploader and the call that fails, see `FailingStorage`."""

    def __call__(
        self,
        upload: Uploader,
        *,
        on: Call | Literal["any"],
        after: int = 0,
        fault: Fault | None = None,
        retryable: bool = False,
    ) -> FailingStorage: ...


@pytest.fixture
def memory_storage() -> MemoryStorage:
    """An empty `MemoryStorage`, the same for all fixtures of a test.

    `memory_storage.objects` has what was stored, by key.
    """
    from ..storage.memory import MemoryStorage

    return MemoryStorage()


@pytest.fixture
def memory_uploader(memory_storage: MemoryStorage) -> Uploader:
    """An `Uploader` without rules over `memory_storage`, for a route that the test makes itself."""
    from ..uploader import Uploader

    return Uploader(memory_storage)


@pytest.fixture
def uploads_in_memory(memory_storage: MemoryStorage) -> Iterator[UploadsInMemory]:
    """Puts the files of an application into memory until the test ends: `storage = uploads_in_memory(app.upload)`.

    Takes any number of uploaders, returns `memory_storage`. All else about their specs stays as it is.
    """
    from .storage_swap import swap_storage

    with ExitStack() as swapped:

        def swap(*uploads: Uploader) -> MemoryStorage:
            for upload in uploads:
                swapped.enter_context(swap_storage(upload, memory_storage))
            return memory_storage

        yield swap


@pytest.fixture
def uploads_fail(memory_storage: MemoryStorage) -> Iterator[UploadsFail]:
    """Makes the storage of an application fail until the test ends: `uploads_fail(app.upload, on="commit")`.

    What does not fail goes into `memory_storage`. `after=2` fails the third call of that kind; for `fault` see
    `uploadkit.testing.FailingStorage`, which is returned.
    """
    from .storage_faults import FailingStorage
    from .storage_swap import swap_storage

    with ExitStack() as swapped:

        def swap(
            upload: Uploader,
            *,
            on: Call | Literal["any"],
            after: int = 0,
            fault: Fault | None = None,
            retryable: bool = False,
        ) -> FailingStorage:
            failing = FailingStorage(memory_storage, after=after, on=on, fault=fault, retryable=retryable)
            return swapped.enter_context(swap_storage(upload, failing))

        yield swap


@pytest.fixture
def upload_form() -> FormBuilder:
    """An empty `FormBuilder`: `upload_form.text("title", "Sea").sample("photo", "image/png")`."""
    from .forms import FormBuilder

    return FormBuilder()


@pytest.fixture
def no_upload_leaks(
    request: pytest.FixtureRequest, memory_storage: MemoryStorage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Fails the test where it leaves open descriptors, temporary files, threads, or files half way to `memory_storage`.

    It waits up to five seconds for them to go. What has failed already is not looked at. With
    `@pytest.mark.usefixtures("no_upload_leaks")` it also sees what the test's own fixtures leave.
    """
    from .leaks import assert_no_leaks

    tmp_path_factory.getbasetemp()  # pytest's own folder is made at its first use, and is no leak
    request.node.stash[_failed] = False
    with suppress(_Failed), assert_no_leaks(memory_storage):
        yield
        if request.node.stash[_failed]:  # its traceback may hold anything open
            raise _Failed


class _Failed(Exception):
    """Leaves the watch for leaks without a comparison."""


_failed = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[object]) -> None:
    """Remembers that a test has failed, for `no_upload_leaks`. The report itself is made by pytest."""
    if call.excinfo is not None:
        item.stash[_failed] = True
