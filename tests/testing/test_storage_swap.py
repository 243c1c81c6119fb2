"""An application's specs over another storage: all of them, for as long as a block lasts, and nothing else of them."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from typing import BinaryIO

import pytest

from uploadkit import DiskStorage, File, FileRefused, MemoryStorage, Spec, Submission, UploadedFile, Uploader, receive
from uploadkit.policy.filters import IncomingFile, StagedCheck
from uploadkit.testing import FailingStorage, FormBuilder, sample, swap_storage

PHOTO = FormBuilder().sample("photo", "image/png")
DATA = [sample("image/png")]


class Plain(MemoryStorage):
    """A storage without abilities."""

    reads_staged = False
    exclusive_commit = False


class Looks:
    """A check that reads the staged file."""

    def examine(self, file: IncomingFile, staged: BinaryIO) -> None:
        staged.read()


def store(spec: Spec[UploadedFile] | Spec[Submission], form: FormBuilder = PHOTO) -> None:
    """One upload."""
    receive(spec, form.content_type, [form.body])


def stored(storage: MemoryStorage) -> list[bytes]:
    """What is visible."""
    return [*storage.objects.values()]


def test_a_spec_that_was_made_before_stores_elsewhere_within_the_block(tmp_path: Path) -> None:
    """The folder of the application is not even made; afterwards it is used as before."""
    folder = tmp_path / "uploads"
    upload = Uploader(DiskStorage(folder))
    spec = upload.single("photo")
    with swap_storage(upload, MemoryStorage()) as memory:
        store(spec)
        assert stored(memory) == DATA
        assert not folder.exists()
    store(spec)
    assert stored(memory) == DATA
    assert [path.read_bytes() for path in folder.iterdir() if path.is_file()] == DATA


def test_a_file_has_a_path_where_the_other_storage_has_paths(tmp_path: Path) -> None:
    """In memory it has none: a handler that asks for it is tested over a folder of the test's own."""
    upload = Uploader(DiskStorage(tmp_path / "uploads"))
    spec = upload.single("photo")
    with swap_storage(upload, MemoryStorage()):
        photo = receive(spec, PHOTO.content_type, [PHOTO.body])
        with pytest.raises(TypeError, match="storage 'memory' has no paths"):
            assert photo.path
    with swap_storage(upload, DiskStorage(tmp_path / "of the test")):
        photo = receive(spec, PHOTO.content_type, [PHOTO.body])
    assert Path(photo.path).parent == tmp_path / "of the test"
    assert not (tmp_path / "uploads").exists()


def test_every_kind_of_spec_and_field_is_meant() -> None:
    """Fields with a storage of their own too."""
    own, others = MemoryStorage("own"), MemoryStorage("others")
    upload = Uploader(own)
    specs: list[Spec[UploadedFile] | Spec[Submission]] = [
        upload.single("photo"),
        upload.any(),
        upload.fields(File("photo", storage=others)),
    ]
    with swap_storage(upload, MemoryStorage()) as memory:
        for spec in specs:
            store(spec)
    assert (stored(memory), stored(own), stored(others)) == (3 * DATA, [], [])
    for spec in specs:
        store(spec)
    assert (stored(memory), stored(own), stored(others)) == (3 * DATA, 2 * DATA, DATA)


def test_a_spec_that_is_made_within_the_block_goes_over_to_the_application_after_it() -> None:
    """An application that is imported in the middle of a test is no different afterwards."""
    own = MemoryStorage()
    upload = Uploader(own)
    with swap_storage(upload, MemoryStorage()) as memory:
        spec = upload.single("photo")
        store(spec)
    assert (stored(memory), stored(own)) == (DATA, [])
    store(spec)
    assert (stored(memory), stored(own)) == (DATA, DATA)


def test_a_block_that_raises_puts_all_back() -> None:
    """A test that fails does not make the next one fail."""
    own = MemoryStorage()
    upload = Uploader(own)
    spec = upload.single("photo")
    with pytest.raises(LookupError), swap_storage(upload, MemoryStorage()):
        raise LookupError
    store(spec)
    assert stored(own) == DATA


def test_blocks_may_lie_in_one_another() -> None:
    """Each puts back what it found, the same storage as well."""
    own, first = MemoryStorage(), MemoryStorage()
    upload = Uploader(own)
    spec = upload.single("photo")
    with swap_storage(upload, first):
        with swap_storage(upload, MemoryStorage()) as second, swap_storage(upload, second):
            store(spec)
        store(spec)
        assert (stored(own), stored(first), stored(second)) == ([], DATA, DATA)
    store(spec)
    assert (stored(own), stored(first), stored(second)) == (DATA, DATA, DATA)


def test_other_uploaders_are_left_alone() -> None:
    """Also one over the same storage."""
    own = MemoryStorage()
    upload, other = Uploader(own), Uploader(own)
    specs = upload.single("photo"), other.single("photo")
    with swap_storage(upload, MemoryStorage()) as memory:
        for spec in specs:
            store(spec)
    assert (stored(memory), stored(own)) == (DATA, DATA)


def test_rules_hold_within_the_block() -> None:
    """It is another place, and nothing else."""
    upload = Uploader(DiskStorage("never made"), accept="image/*")
    spec = upload.single("photo")
    page = FormBuilder().sample("photo", "text/html")
    with swap_storage(upload, MemoryStorage()) as memory, pytest.raises(FileRefused):
        store(spec, page)
    assert stored(memory) == []


def test_other_threads_store_there_too() -> None:
    """A server of the test's own runs in one."""
    upload = Uploader(MemoryStorage())
    spec = upload.single("photo")
    with swap_storage(upload, MemoryStorage()) as memory:
        thread = Thread(target=store, args=[spec])
        thread.start()
        thread.join()
    assert stored(memory) == DATA


def test_a_storage_that_cannot_do_what_a_rule_needs_is_a_mistake() -> None:
    """It is found before anything is swapped."""
    own = MemoryStorage()
    for upload, text in (
        (Uploader(own, check=Looks()), "cannot read what is staged"),
        (Uploader(own, filename=lambda file: file.id), "never replaces an object, and 'memory' may"),
    ):
        spec = upload.single("photo")
        with pytest.raises(TypeError, match=text), swap_storage(upload, Plain()):
            pass
        store(spec)
    assert stored(own) == 2 * DATA
    assert isinstance(Looks(), StagedCheck)


def test_it_may_be_one_that_fails() -> None:
    """What can go wrong with an application's storage goes wrong in a test of it."""
    upload = Uploader(MemoryStorage())
    spec = upload.single("photo")
    failing = FailingStorage(MemoryStorage(), after=0, on="write", fault=LookupError())
    with swap_storage(upload, failing), pytest.raises(LookupError):
        store(spec)
    assert failing.failed


def test_an_uploader_keeps_no_spec_that_nobody_else_keeps() -> None:
    """One may be made for each request."""
    upload = Uploader(MemoryStorage())
    kept = upload.single("photo")
    for _ in range(100):
        upload.fields(File("a"), File("b"))
    assert [*upload._made.values()] == [*kept.form.files.values()]
