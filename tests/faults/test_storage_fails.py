"""A storage that fails at each of two hundred calls, in each way: nothing of the form is left, or all of it is."""

from __future__ import annotations

import errno
import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.intake.receiving import DRIVES, Drive
from tests.soak import scaled
from tests.storage.kinds import DISKS

from uploadkit.errors import UploadError
from uploadkit.intake.capacity import BUFFER_SIZE
from uploadkit.storage.contract import Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FailingStorage, FormBuilder, Hang, assert_no_leaks
from uploadkit.testing.storage_faults import Fault
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission

CALLS = 200

DATA = [b"%d" % number * (BUFFER_SIZE // 2 if number == 7 else 100) for number in range(50)]
"""Four calls each at least: open, write, stage, commit. One of them comes in more than one write."""

FORM = FormBuilder()
for number, data in enumerate(DATA):
    FORM.file("f", data, filename=f"{number}.bin")
BODY = FORM.body
CHUNKS = [BODY[at : at + (1 << 16)] for at in range(0, len(BODY), 1 << 16)]


class DiskInThreads(DiskStorage):
    """Is called as one that is durable, and does not wait for the disk."""

    @property
    def may_block(self) -> bool:
        return True


STORAGES: dict[str, Callable[[Path], Storage]] = {
    "memory": lambda _: MemoryStorage(),
    **DISKS,
    "called in threads": DiskInThreads,
}

FAULTS: dict[str, Callable[[], Fault | None]] = {
    "raises": lambda: None,
    "raises what the contract does not know": lambda: OSError(errno.EIO, "broken"),
    "hangs and raises": lambda: Hang(0.001, fails=True),
    "hangs and goes on": lambda: Hang(0.001),
}


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("make", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize("drive", DRIVES.values(), ids=DRIVES)
def test_a_storage_may_fail_at_any_call(
    drive: Drive, make: Callable[[Path], Storage], fault: Callable[[], Fault | None], tmp_path: Path
) -> None:
    """The first to the two hundredth call: whatever was opened is closed, whatever was visible is gone, or whole."""
    inner = make(tmp_path)
    receive(drive, inner)  # what is made once, such as folders and threads
    for after in sorted(random.Random(CALLS).sample(range(CALLS), scaled(CALLS))):
        with assert_no_leaks(inner):
            receive(drive, FailingStorage(inner, after=after, on="any", fault=fault()))


def receive(drive: Drive, storage: Storage) -> None:
    """Receives the form, which is stored and whole, or refused with nothing visible; and removes it."""
    inner = storage.inner if isinstance(storage, FailingStorage) else storage
    try:
        submission: Submission = drive(Uploader(storage).any(), FORM.content_type, CHUNKS)
    except (UploadError, OSError):
        assert isinstance(storage, FailingStorage)
        assert storage.failed
        assert visible(inner) == []
    else:
        assert sorted(visible(inner)) == sorted(hashlib.sha256(data).hexdigest() for data in DATA)
        submission.discard()


def visible(storage: Storage) -> list[str]:
    """The SHA-256 of every object."""
    if isinstance(storage, MemoryStorage):
        objects = list(storage.objects.values())
    else:
        assert isinstance(storage, DiskStorage)
        objects = [path.read_bytes() for path in storage.path("any").parent.glob("[!.]*")]
    return [hashlib.sha256(data).hexdigest() for data in objects]
