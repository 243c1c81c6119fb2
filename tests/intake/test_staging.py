"""`Uploader(staging=...)`: files are examined in one storage and published in another, all of a form or none."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated, Any, BinaryIO, cast

import pytest
from tests.intake.called import CalledStorage, TakingTicks, turns
from tests.intake.receiving import DRIVES, Drive, cut, left_in, refusal
from tests.intake.test_cancellation import CancelledAt
from tests.storage.kinds import descriptors

from uploadkit import DiskStorage, File, FileRefused, MemoryStorage, ObjectExists, StorageFailed, UploadedFile, Uploader
from uploadkit.intake.asynchronous import areceive
from uploadkit.intake.blocking import Pushed, kept_if_handled, receive
from uploadkit.intake.capacity import BUFFER_SIZE
from uploadkit.multipart.parser import MultipartParser
from uploadkit.policy.filters import IncomingFile
from uploadkit.storage.contract import ObjectInfo, Storage
from uploadkit.testing import Corruption, FailingStorage, FormBuilder, swap_storage
from uploadkit.testing.storage_faults import Call

LARGE = bytes(range(256)) * ((2 * BUFFER_SIZE + 100_000) // 256)
FORM = (
    FormBuilder(boundary="b")
    .file("scanned", b"one", filename="1.txt")
    .file("plain", b"plain", filename="2.txt")
    .file("scanned", LARGE, filename="3.bin")
    .file("scanned", b"", filename="4.txt")
)
CHUNKS = cut(FORM.body, [100, 700_000, 1_500_000])


class Media(MemoryStorage):
    """Where files stay: what is staged in it cannot be read, as in S3."""

    reads_staged = False

    def __init__(self) -> None:
        super().__init__(name="media")


class MediaFolder(DiskStorage):
    """The same on disk."""

    reads_staged = False


class Scan:
    """A check that reads the staged file, and refuses what it is told to."""

    def __init__(self, refused: bytes | None = None) -> None:
        self.seen: list[str] = []
        self.refused = refused

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        data = staged.read()
        if data == self.refused:
            raise FileRefused("it was found to be bad", filter="scan")
        self.seen.append(hashlib.sha256(data).hexdigest())


def uploader(media: Storage, staging: Storage | None, check: Scan | None = None, **options: Any) -> Any:
    """A spec of which one field is scanned, and another goes straight to media."""
    upload = Uploader(media, staging=staging, **options)
    return upload.fields(File("scanned", max_count=None, check=check or Scan()), File("plain"))


@pytest.fixture(params=["memory", "disk", "durable disk"])
def staging(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """Where files lie while they are scanned. The durable one is called in threads by the async driver."""
    before = descriptors()
    folder = tmp_path / "staging"
    yield MemoryStorage() if request.param == "memory" else DiskStorage(folder, durable="durable" in request.param)
    assert descriptors() <= before


def test_a_file_is_scanned_in_staging_and_stored_in_its_own_storage(drive: Drive, staging: Storage) -> None:
    """Nobody sees that it has been elsewhere: it is the same file, and nothing stays in staging."""
    media, scan = Media(), Scan()
    submission = drive(uploader(media, staging, scan), FORM.content_type, CHUNKS)
    files = submission.files
    assert [file.storage for file in files] == [media] * 4
    assert [file.read() for file in files] == [b"one", b"plain", LARGE, b""]
    assert scan.seen == [files[0].digest, files[2].digest, files[3].digest]
    assert sorted(media.objects) == sorted(file.key for file in files)
    assert media.unfinished == left_in(staging) == []


def test_without_a_digest_and_with_keys_of_the_users_it_is_the_same(drive: Drive, staging: Storage) -> None:
    """The key is that in the storage where the file stays."""
    media = Media()
    spec = uploader(media, staging, digest=False, filename=lambda file: f"2026/{file.filename}")
    submission = drive(spec, FORM.content_type, CHUNKS)
    assert media.objects == {"2026/1.txt": b"one", "2026/2.txt": b"plain", "2026/3.bin": LARGE, "2026/4.txt": b""}
    assert submission.files[0].sha256 is None
    with pytest.raises(ObjectExists):
        drive(spec, FORM.content_type, CHUNKS)
    assert (len(media.objects), media.unfinished, left_in(staging)) == (4, [], [])


def test_a_storage_is_told_how_large_the_file_is() -> None:
    """It chooses its parts by it."""
    told: list[ObjectInfo] = []

    class Told(Media):
        def open(self, key: str, info: ObjectInfo) -> Any:
            told.append(info)
            return super().open(key, info)

    receive(uploader(Told(), MemoryStorage()), FORM.content_type, [FORM.body])
    plain, *scanned = told
    assert [info.max_size for info in scanned] == [3, len(LARGE), 0]
    assert [info.filename for info in scanned] == ["1.txt", "3.bin", "4.txt"]
    assert plain.filename == "2.txt"


def test_files_without_such_a_check_and_storages_that_can_be_read_need_no_staging(drive: Drive, tmp_path: Path) -> None:
    """The folder is not even made."""
    staging = DiskStorage(tmp_path / "staging")
    drive(Uploader(Media(), staging=staging).any(), FORM.content_type, CHUNKS)
    drive(Uploader(MemoryStorage(), staging=staging).any(check=Scan()), FORM.content_type, CHUNKS)
    own = MemoryStorage()
    drive(Uploader(Media(), staging=staging).any(check=Scan(), storage=own), FORM.content_type, CHUNKS)
    assert len(own.objects) == 4
    assert not (tmp_path / "staging").exists()


def test_a_field_with_a_storage_of_its_own_goes_there(drive: Drive) -> None:
    """The staging is the uploader's, the storage the field's."""
    media, staging = Media(), MemoryStorage()
    spec = Uploader(MemoryStorage(), staging=staging).any(check=Scan(), storage=media)
    drive(spec, FORM.content_type, CHUNKS)
    assert (len(media.objects), left_in(staging)) == (4, [])


@dataclass
class Profile:
    """A form."""

    scanned: Annotated[list[UploadedFile], File(check=Scan())]
    plain: UploadedFile


def test_a_typed_form_is_staged_and_published_too(drive: Drive) -> None:
    """And where its validation fails nothing is in either place."""
    media, staging = Media(), MemoryStorage()
    profile = drive(Uploader(media, staging=staging).form(Profile), FORM.content_type, CHUNKS)
    assert [file.storage for file in profile.scanned] == [media] * 3
    assert (len(media.objects), left_in(staging)) == (4, [])
    incomplete = FormBuilder().file("scanned", b"one", filename="1.txt")
    refusal(drive, Uploader(media, staging=staging).form(Profile), incomplete, staging)
    assert (len(media.objects), media.unfinished) == (4, [])


def test_chunks_that_are_handed_in_are_staged_and_published_too() -> None:
    """As Django's upload handlers do it."""
    media, staging = Media(), MemoryStorage()
    spec = uploader(media, staging)
    form = Pushed(spec, MultipartParser(FORM.content_type, spec.limits))
    for chunk in CHUNKS:
        form.feed(chunk)
        assert media.objects == staging.objects == {}
    form.end()
    assert (len(media.objects), left_in(staging)) == (4, [])


# All or nothing


@pytest.mark.parametrize("refused", [b"one", LARGE, b""], ids=["first", "second", "third"])
def test_a_file_that_a_check_refuses_has_touched_nothing(drive: Drive, staging: Storage, refused: bytes) -> None:
    """Neither it nor the other files of its form; its own storage was not opened for it."""
    media = Media()
    calls: list[str] = []
    spec = uploader(Opaque(calls.append, media), staging, Scan(refused))
    assert refusal(drive, spec, FORM, staging, media).filter == "scan"
    assert calls.count("open") <= 1, "the one that is not scanned"


@pytest.mark.parametrize("call", ["open", "write", "stage", "commit"])
def test_whichever_call_of_the_storage_fails_nothing_is_left_in_either(
    drive: Drive, staging: Storage, call: Call
) -> None:
    """Of the four files of the form, scanned or not."""
    media = media_beside(staging) if isinstance(staging, DiskStorage) else Media()
    for after in range(count_of(drive, call)):
        failing = FailingStorage(media, after=after, on=call)
        assert refusal(drive, uploader(failing, staging), FORM, failing, staging).kind is StorageFailed
    failing = FailingStorage(media, after=count_of(drive, call), on=call)
    drive(uploader(failing, staging), FORM.content_type, [FORM.body]).discard()
    assert not failing.failed


@pytest.mark.parametrize("call", ["open", "write", "stage", "open staged", "discard"])
@pytest.mark.parametrize("after", range(3))
def test_whichever_call_of_the_staging_fails_nothing_is_left_in_either(
    drive: Drive, staging: Storage, call: Call, after: int
) -> None:
    """Also where it cannot remove what has gone on: that is tried again before the error is answered."""
    media = Media()
    failing = FailingStorage(staging, after=after, on=call)
    assert refusal(drive, uploader(media, failing), FORM, staging, media, chunks=CHUNKS).kind is StorageFailed
    assert failing.failed


@pytest.mark.parametrize("on", ["media", "staging"])
@pytest.mark.parametrize("after", range(18))
def test_an_interruption_at_any_call_leaves_nothing_in_either(on: str, after: int) -> None:
    """Ctrl-C under the blocking driver."""
    media, staging = Media(), MemoryStorage()
    places: dict[str, Storage] = {"media": media, "staging": staging}
    failing = places[on] = FailingStorage(places[on], after=after, on="any", fault=KeyboardInterrupt())
    try:
        submission = receive(uploader(places["media"], places["staging"]), FORM.content_type, CHUNKS)
    except KeyboardInterrupt:
        assert failing.failed
    else:
        assert not failing.failed
        for file in submission.files:
            media.delete(file.key)
    assert left_in(media) == left_in(staging) == []


@pytest.mark.parametrize("corruption", Corruption)
@pytest.mark.parametrize("after", [0, 1])
def test_bytes_that_staging_has_lost_or_changed_are_not_published(
    drive: Drive, corruption: Corruption, after: int
) -> None:
    """What comes out of it is compared with what went in."""
    media, staging = Media(), MemoryStorage(name="staging")
    failing = FailingStorage(staging, after=after, on="write", fault=corruption)
    with pytest.raises(StorageFailed, match=r"gave other bytes|gave \d+ of \d+ bytes") as caught:
        drive(uploader(media, failing), FORM.content_type, [FORM.body])
    assert caught.value.storage == "staging"
    assert left_in(media) == left_in(staging) == []


def test_a_staged_file_that_cannot_be_read_is_the_staging_failing(drive: Drive) -> None:
    """Its file raises what the system raises; who sent the form is told nothing of it."""

    class Broken(MemoryStorage):
        def open(self, key: str, info: ObjectInfo) -> Any:
            sink = super().open(key, info)
            stage = sink.stage

            def staged() -> Any:
                staged = stage()
                cast(Any, staged).open = lambda: cast(BinaryIO, BrokenFile())
                return staged

            cast(Any, sink).stage = staged
            return sink

    media, staging = Media(), Broken(name="staging")
    with pytest.raises(StorageFailed, match=r"^the storage could not read a staged file$") as caught:
        drive(uploader(media, staging, cast(Scan, Unread())), FORM.content_type, [FORM.body])
    assert isinstance(caught.value.__cause__, OSError)
    assert left_in(media) == left_in(staging) == []


def test_nothing_is_visible_before_all_files_have_gone_on(drive: Drive) -> None:
    """The last one does not reach its storage: none was published, not even for a moment."""
    calls: list[str] = []
    inner = Media()
    media = Opaque(calls.append, FailingStorage(inner, after=3, on="stage"))
    with pytest.raises(StorageFailed):
        drive(uploader(media, MemoryStorage()), FORM.content_type, CHUNKS)
    assert "commit" not in calls
    assert left_in(inner) == []


def test_when_a_handler_raises_the_published_files_go() -> None:
    """From where they are by then."""
    media, staging = Media(), MemoryStorage()
    spec = uploader(media, staging)
    submission = receive(spec, FORM.content_type, CHUNKS)
    with pytest.raises(LookupError), kept_if_handled(spec, submission):
        raise LookupError
    assert left_in(media) == left_in(staging) == []


def test_cancelled_at_any_place_nothing_is_left_in_either() -> None:
    """The call that runs is waited for, and nothing goes on afterwards."""

    async def cancelled_at(place: int) -> bool:
        ticks = TakingTicks()
        media, staging = Opaque(ticks, Media()), CalledStorage(ticks)
        receiving = CancelledAt(areceive(uploader(media, staging), FORM.content_type, slowly()), [place])
        try:
            await receiving
        except asyncio.CancelledError:
            assert ticks.running == 0
            assert left_in(media.inner) == left_in(staging.inner) == []
            return True
        assert receiving.reached <= place
        return False

    async def main() -> int:
        for place in count():
            if not await cancelled_at(place):
                return place
        raise AssertionError

    assert asyncio.run(main()) > 20


# Without blocking, with flat memory


def test_the_event_loop_is_not_held_up_while_a_file_goes_on() -> None:
    """Storages that do not block are called in the loop, but a file is read and written again in a thread."""
    threads: set[str] = set()
    loop = threading.current_thread().name

    def called(name: str) -> None:
        if name in ("write", "stage", "commit"):
            threads.add(threading.current_thread().name)

    media = Opaque(called, Media(), may_block=False)
    spec = Uploader(media, staging=MemoryStorage()).any(check=Scan())
    DRIVES["async"](spec, FORM.content_type, CHUNKS)
    assert threads
    assert loop not in threads


def test_memory_does_not_grow_with_a_file_that_goes_on(tmp_path: Path) -> None:
    """32 MiB go through three, from disk to disk."""
    form = FormBuilder(boundary="b").file("scanned", b"@", filename="1.bin")
    head, _, tail = form.body.partition(b"@")
    chunks = [head, *([bytes(2**20)] * 32), tail]
    spec = uploader(MediaFolder(tmp_path / "media"), DiskStorage(tmp_path / "staging"), cast(Scan, Unread()))
    tracemalloc.start()
    try:
        submission = receive(spec, form.content_type, chunks)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert submission.files[0].size == 2**25
    assert peak < 3 * 2**20


# Mistakes, and tests of applications


def test_a_storage_that_cannot_be_read_says_what_to_write() -> None:
    """When the spec is made, and for the uploader's own rules when that is made."""
    text = (
        "^field 'photo': Scan reads the staged file, and storage 'media' cannot read what is staged; say where it may "
        r"lie meanwhile: Uploader\(..., staging=DiskStorage\(...\)\)$"
    )
    with pytest.raises(TypeError, match=text):
        Uploader(Media()).single("photo", check=Scan())
    with pytest.raises(TypeError, match="cannot read what is staged"):
        Uploader(Media(), check=Scan())
    with pytest.raises(TypeError, match=r"^staging is read before a file is published, and storage 'media' cannot"):
        Uploader(Media(), staging=Media())
    with pytest.raises(TypeError, match="is no storage"):
        Uploader(Media(), staging=cast(Storage, "staging"))
    with pytest.raises(TypeError, match="is no storage"):
        Uploader(Media(), staging=cast(Storage, MemoryStorage))


def test_an_application_under_test_uses_staging_only_where_the_other_storage_needs_it(tmp_path: Path) -> None:
    """In memory nothing of it is touched; afterwards all is as it was, also for specs that were made within."""
    folder = tmp_path / "staging"
    media, staging = Media(), DiskStorage(folder)
    upload = Uploader(media, staging=staging, check=Scan())
    before = upload.any()
    with swap_storage(upload, MemoryStorage()) as memory:
        within = upload.any()
        for spec in (before, within):
            receive(spec, FORM.content_type, CHUNKS)
        assert (len(memory.objects), media.objects) == (8, {})
        assert not folder.exists()
    with swap_storage(upload, Media()) as other:
        receive(before, FORM.content_type, CHUNKS)
        assert (len(other.objects), media.objects) == (4, {})
    for spec in (before, within):
        receive(spec, FORM.content_type, CHUNKS)
    assert (len(media.objects), left_in(staging)) == (8, [])


class Opaque(CalledStorage):
    """Tells of its calls; what is staged in it cannot be read."""

    reads_staged = False


class Unread:
    """A check that reads nothing."""

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None: ...


class BrokenFile:
    """A file that cannot be read."""

    def __enter__(self) -> BrokenFile:
        return self

    def __exit__(self, *_: object) -> None: ...

    def read(self, size: int = -1) -> bytes:
        raise OSError(5, "EIO at /srv/secret")


def media_beside(staging: DiskStorage) -> MediaFolder:
    """Media beside a staging."""
    return MediaFolder(staging.path("x").parent.parent / "media")


def count_of(drive: Drive, call: Call) -> int:
    """How often a form calls it: the large scanned file is written in blocks of 1 MiB, the empty one not at all."""
    return 5 if call == "write" else 4


async def slowly() -> AsyncIterator[bytes]:
    """Chunks that have to be waited for."""
    for chunk in CHUNKS:
        await turns(2)
        yield chunk
