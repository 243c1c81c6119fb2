"""`promote`: a file is in one of the two storages at any moment, and the same promotion can be made again."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.intake.receiving import left_in
from tests.storage.kinds import descriptors, get, put
from tests.storage.processes import in_a_fork

from uploadkit import apromote, promote
from uploadkit.errors import KeyRefused, ObjectExists, ObjectMissing, StorageFailed
from uploadkit.promotion import copy_file
from uploadkit.storage.contract import ObjectInfo, Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.fsspec import FsspecStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import Corruption, FailingStorage, Hang
from uploadkit.testing.storage_faults import Call
from uploadkit.uploads import UploadedFile

DATA = bytes(range(256)) * 5_000
KEY = "3f/object.png"


def uploaded(storage: Storage, data: bytes = DATA, *, sha256: str | None = "") -> UploadedFile:
    """A file that was uploaded into a storage."""
    put(storage, KEY, data)
    return UploadedFile(
        id="id",
        field="photo",
        filename="photo.png",
        client_filename="C:\\photo.png",
        content_type="image/png",
        declared_type="image/png",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest() if sha256 == "" else sha256,
        key=KEY,
        storage=storage,
    )


@pytest.fixture(autouse=True)
def _no_descriptor_is_lost() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() <= before


MAKE: dict[str, Callable[[Path], tuple[Storage, Storage]]] = {
    "by the storages": lambda folder: (DiskStorage(folder / "staging"), DiskStorage(folder / "media")),
    "streamed": lambda folder: (DiskStorage(folder / "staging"), MemoryStorage()),
}
"""Where a file is, and where it goes."""


@pytest.fixture(params=MAKE)
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Storage, Storage]:
    """Staging and media."""
    return MAKE[request.param](tmp_path)


@pytest.mark.parametrize("check_digest", [True, False])
@pytest.mark.parametrize("sha256", ["", None], ids=["digest", "no digest"])
def test_a_file_is_moved_and_stays_the_same_upload(
    places: tuple[Storage, Storage], check_digest: bool, sha256: str | None
) -> None:
    """Only its place is another. The old object is gone."""
    staging, media = places
    file = uploaded(staging, sha256=sha256)
    promoted = promote(file, to=media, check_digest=check_digest)
    assert promoted == replace(file, storage=media)
    assert promoted.read() == DATA
    assert (left_in(staging), left_in(media)) == ([], [KEY])


def test_a_file_gets_another_key_and_its_async_twin_does_the_same(places: tuple[Storage, Storage]) -> None:
    """A file that nothing is known of is moved by its key alone."""
    staging, media = places
    promoted = asyncio.run(apromote(uploaded(staging), to=media, key="2026/photo.png"))
    assert (promoted.key, promoted.storage) == ("2026/photo.png", media)
    assert (left_in(staging), left_in(media)) == ([], ["2026/photo.png"])


def test_what_is_known_of_a_file_goes_with_it(tmp_path: Path) -> None:
    """Its type and its name, as at its upload."""

    class Told(MemoryStorage):
        told: ObjectInfo | None = None

        def open(self, key: str, info: ObjectInfo) -> Any:
            self.told = info
            return super().open(key, info)

    media = Told()
    promote(uploaded(DiskStorage(tmp_path)), to=media)
    assert media.told == ObjectInfo(content_type="image/png", filename="photo.png", max_size=len(DATA))


# What goes wrong on the way


@pytest.mark.parametrize("call", ["open", "write", "stage", "commit", "copy", "stat"])
@pytest.mark.parametrize("fault", [None, KeyboardInterrupt()], ids=["fails", "interrupted"])
def test_whatever_fails_the_file_stays_where_it_is(
    places: tuple[Storage, Storage], call: Any, fault: BaseException | None
) -> None:
    """Nothing of it is left in the other place, and the next promotion goes well."""
    staging, media = places
    file = uploaded(staging)
    failing = FailingStorage(media, after=0, on=call, fault=fault)
    try:
        promote(file, to=failing)
    except (StorageFailed, KeyboardInterrupt):
        assert (left_in(staging), left_in(media)) == ([KEY], [])
        promote(file, to=failing)
    else:
        assert not failing.failed, "a copy by the storages opens nothing"
    assert (left_in(staging), left_in(media)) == ([], [KEY])


@pytest.mark.parametrize("corruption", Corruption)
def test_bytes_that_are_not_those_of_the_upload_are_not_published(corruption: Corruption, tmp_path: Path) -> None:
    """Streamed: they are compared before the commit, in length and by the digest."""
    disk, media = DiskStorage(tmp_path), MemoryStorage()
    file = uploaded(disk)
    staging = FailingStorage(disk, after=0, on="read", fault=corruption)
    with pytest.raises(StorageFailed, match=r"gave other bytes than it was given|gave \d+ of \d+ bytes"):
        promote(replace(file, storage=staging), to=media)
    assert (left_in(disk), left_in(media)) == ([KEY], [])


def test_a_copy_that_was_announced_is_left_to_who_announced_it(tmp_path: Path) -> None:
    """Another worker may be about to use it: `copy_file` removes nothing, and takes what stands there and is equal."""
    staging, media = DiskStorage(tmp_path / "staging"), DiskStorage(tmp_path / "media")
    file = uploaded(staging)
    (tmp_path / "staging" / KEY).write_bytes(DATA[:-1] + b"?")
    for error in (StorageFailed, ObjectExists):
        with pytest.raises(error):
            copy_file(file, to=media, key=KEY)
        assert (left_in(staging), left_in(media)) == ([KEY], [KEY])
    (tmp_path / "media" / KEY).write_bytes(DATA)
    copy_file(file, to=media, key=KEY)


@pytest.mark.parametrize("damage", [b"other", DATA[:-1] + b"?"], ids=["short", "changed"])
def test_a_copy_that_differs_is_removed_before_the_file_is(damage: bytes, tmp_path: Path) -> None:
    """Copied by the storages: it is read back. Who does not want that has the size compared."""
    staging, media = DiskStorage(tmp_path / "staging"), DiskStorage(tmp_path / "media")
    file = uploaded(staging)
    (tmp_path / "staging" / KEY).write_bytes(damage)  # by somebody, or by the disk
    with pytest.raises(StorageFailed, match=r"copied other bytes than were uploaded|copied 5 of \d+ bytes"):
        promote(file, to=media)
    assert (left_in(staging), left_in(media)) == ([KEY], [])
    if len(damage) == len(DATA):
        assert promote(file, to=media, check_digest=False).read() == damage


@pytest.mark.parametrize("fault", [None, KeyboardInterrupt()], ids=["fails", "interrupted"])
def test_a_copy_that_cannot_be_read_back_is_removed(fault: BaseException | None, tmp_path: Path) -> None:
    """Nobody knows then what it is."""
    staging, media = DiskStorage(tmp_path / "staging"), DiskStorage(tmp_path / "media")
    file = uploaded(staging)
    with pytest.raises(KeyboardInterrupt if fault else StorageFailed):
        promote(file, to=FailingStorage(media, after=0, on="read", fault=fault))
    assert (left_in(staging), left_in(media)) == ([KEY], [])


def test_a_copy_is_not_removed_when_it_is_all_that_is_left(tmp_path: Path) -> None:
    """Two workers promote one file. The other one is done, and has deleted it, when this one cannot read back."""
    staging, media = DiskStorage(tmp_path / "staging"), DiskStorage(tmp_path / "media")
    file = uploaded(staging)

    class Overtaken(DiskStorage):
        def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
            promote(file, to=media)
            raise StorageFailed("the network", storage=self.name, key=key)

    with pytest.raises(StorageFailed, match="the network") as raised:
        promote(file, to=Overtaken(tmp_path / "media"))
    assert (left_in(staging), left_in(media)) == ([], [KEY])
    assert "could not be removed" in raised.value.__notes__[0]
    assert promote(file, to=media).read() == DATA


def test_a_cancelled_promotion_is_waited_for(tmp_path: Path) -> None:
    """It stands, and made again it gives the file."""
    staging, media = DiskStorage(tmp_path / "staging"), MemoryStorage()
    file, hang = uploaded(staging), Hang()
    slow = FailingStorage(media, after=0, on="commit", fault=hang)

    async def main() -> UploadedFile:
        task = asyncio.create_task(apromote(file, to=slow))
        await asyncio.to_thread(hang.reached.wait, 5)
        task.cancel()
        hang.let_go()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await apromote(file, to=media)

    assert asyncio.run(main()) == replace(file, storage=media)
    assert (left_in(staging), left_in(media)) == ([], [KEY])


# Made again


@pytest.mark.parametrize("sha256", ["", None], ids=["digest", "no digest"])
def test_a_promotion_whose_file_could_not_be_deleted_is_made_again(
    places: tuple[Storage, Storage], sha256: str | None
) -> None:
    """It stands and says so; the second one copies nothing, and deletes the file."""
    staging, media = places
    failing = FailingStorage(staging, after=0, on="delete")
    file = replace(uploaded(staging, sha256=sha256), storage=failing)
    with pytest.raises(StorageFailed, match="fail at delete 1") as raised:
        promote(file, to=media)
    assert raised.value.__notes__ == ["the file is in its new place: promote it again, and only this is done"]
    assert (left_in(staging), left_in(media)) == ([KEY], [KEY])
    uncopied = FailingStorage(media, after=0, on="open")
    assert promote(file, to=uncopied) == replace(file, storage=uncopied)
    assert not uncopied.failed
    assert (left_in(staging), left_in(media)) == ([], [KEY])


def test_a_promotion_that_was_made_gives_the_same_file_again(places: tuple[Storage, Storage]) -> None:
    """As a job that ran twice needs it: the old object is gone, and the new one is compared with the digest."""
    staging, media = places
    file = uploaded(staging)
    assert promote(file, to=media) == promote(file, to=media)
    assert left_in(media) == [KEY]


class Kill(Hang):
    """A fault: the process is killed at the call."""

    def _hold(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("target", "call", "published"),
    [
        *(("disk", "copy", False), ("disk", "read", True), ("disk", "delete", True)),
        *(("fsspec", "write", False), ("fsspec", "stage", False), ("fsspec", "commit", False)),
        ("fsspec", "delete", True),
    ],
)
def test_a_process_that_is_killed_leaves_a_promotion_that_can_be_made_again(
    target: str, call: Call, published: bool, tmp_path: Path
) -> None:
    """Wherever it dies nobody sees half a file, the old one is still there, and the next promotion ends well."""
    staging = DiskStorage(tmp_path / "staging")
    media = DiskStorage(tmp_path / "media") if target == "disk" else FsspecStorage(f"file://{tmp_path}/media")
    file = uploaded(staging)

    def killed() -> str:
        if call == "delete":
            dying = FailingStorage(staging, after=0, on=call, fault=Kill())
            return repr(promote(replace(file, storage=dying), to=media))
        return repr(promote(file, to=FailingStorage(media, after=0, on=call, fault=Kill())))

    assert in_a_fork(killed) == ""
    assert [(each.key, each.size) for each in media.list()] == ([(KEY, len(DATA))] if published else [])
    assert get(staging, KEY) == DATA
    assert promote(file, to=media).read() == DATA
    assert ([each.key for each in media.list()], left_in(staging)) == ([KEY], [])


@pytest.mark.parametrize("data", [b"another", DATA[:-1] + b"?"], ids=["of another size", "of the same size"])
@pytest.mark.parametrize("sha256", ["", None], ids=["digest", "no digest"])
def test_another_object_under_the_key_is_not_replaced_and_not_taken_for_the_file(
    places: tuple[Storage, Storage], data: bytes, sha256: str | None
) -> None:
    """Whatever is known of the file."""
    staging, media = places
    file = uploaded(staging, sha256=sha256)
    put(media, KEY, data)
    with pytest.raises(ObjectExists):
        promote(file, to=media, check_digest=False)
    assert (get(staging, KEY), get(media, KEY)) == (DATA, data)


def test_nothing_is_replaced_where_a_commit_would(tmp_path: Path) -> None:
    """A storage that does not refuse a key which is taken is looked at first."""
    media = FsspecStorage("memory://promotion")
    file = uploaded(DiskStorage(tmp_path))
    put(media, KEY, b"another")
    try:
        with pytest.raises(ObjectExists):
            promote(file, to=media)
        assert get(media, KEY) == b"another"
    finally:
        media.delete(KEY)


def test_a_key_that_is_taken_in_between_is_looked_at(tmp_path: Path) -> None:
    """By the same promotion in another process, or by another object."""
    for data, kept in ((DATA, []), (b"another", [KEY])):
        staging, inner = DiskStorage(tmp_path / f"{len(data)}"), MemoryStorage()
        file = uploaded(staging)

        class Overtaken(FailingStorage):
            def open(self, key: str, info: ObjectInfo, data: bytes = data) -> Any:
                put(self.inner, key, data)
                return super().open(key, info)

        media = Overtaken(inner, after=99, on="open")
        if kept:
            with pytest.raises(ObjectExists):
                promote(file, to=media)
        else:
            promote(file, to=media)
        assert (left_in(staging), inner.objects) == (kept, {KEY: data})


# One place under two names


@pytest.mark.parametrize("sha256", ["", None], ids=["digest", "no digest"])
def test_a_file_that_is_promoted_to_where_it_is_stays(sha256: str | None, tmp_path: Path) -> None:
    """Two storages may be one place: over the same root, over a folder of it, or one around the other."""
    disk = DiskStorage(tmp_path)
    file = uploaded(disk, sha256=sha256)
    folder, name = KEY.split("/")
    for other, key in (
        (disk, KEY),
        (DiskStorage(tmp_path), KEY),
        (FailingStorage(disk, after=0, on="commit"), KEY),
        (FsspecStorage(f"file://{tmp_path}"), KEY),
        (DiskStorage(tmp_path / folder), name),
        (DiskStorage(tmp_path.parent), f"{tmp_path.name}/{KEY}"),
    ):
        assert promote(file, to=other, key=key) == replace(file, storage=other, key=key)
        assert get(disk, KEY) == DATA
        assert left_in(disk) == [KEY]


def test_a_file_is_renamed_in_its_own_storage(tmp_path: Path) -> None:
    """That is a promotion too."""
    for storage in (MemoryStorage(), DiskStorage(tmp_path)):
        promoted = promote(uploaded(storage), to=storage, key="photo.png")
        assert promoted.read() == DATA
        assert left_in(storage) == ["photo.png"]


# What cannot be promoted


def test_a_file_that_is_gone_is_missing_and_a_hostile_key_is_refused(places: tuple[Storage, Storage]) -> None:
    """Nothing is made in either case."""
    staging, media = places
    file = uploaded(staging)
    for key in ("../photo.png", "/etc/passwd", "a//b", ""):
        with pytest.raises(KeyRefused):
            promote(file, to=media, key=key)
    file.delete()
    with pytest.raises(ObjectMissing) as raised:
        promote(file, to=media)
    assert raised.value.storage == staging.name
    assert (left_in(staging), left_in(media)) == ([], [])
