"""Files of Django's models in a storage of uploadkit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import storages
from django.db import connection, models
from django.db.migrations.writer import MigrationWriter
from django.test import override_settings
from tests.adapters.django_project import PROJECT
from tests.adapters.expectations import AVATAR

from uploadkit.adapters.django import ObjectStorage, StoredFile
from uploadkit.errors import KeyRefused, StorageFailed
from uploadkit.intake.blocking import receive
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FailingStorage
from uploadkit.uploader import Uploader

shared = MemoryStorage()
"""What the model below is told by its path."""

SHARED = f"{__name__}.shared"


class Picture(models.Model):
    """A model whose file lives in a storage of uploadkit."""

    file = models.FileField(upload_to="pictures/", max_length=60, storage=ObjectStorage(SHARED, base_url="/media/"))

    class Meta:
        app_label = "storage_of_django"


@pytest.fixture(params=["memory", "disk"])
def below(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryStorage | DiskStorage:
    """The storage of uploadkit."""
    return MemoryStorage() if request.param == "memory" else DiskStorage(tmp_path / "media")


@pytest.fixture
def table() -> Iterator[None]:
    """A database with the model, and an empty storage."""
    with connection.schema_editor() as editor:
        editor.create_model(Picture)
    yield
    with connection.schema_editor() as editor:
        editor.delete_model(Picture)
    for key in shared.objects:
        shared.delete(key)


def test_what_is_saved_is_there_whole(below: MemoryStorage | DiskStorage) -> None:
    """Under its name as the key, to be read, asked for its size, and deleted, twice without complaint."""
    storage = ObjectStorage(below)
    name = storage.save("reports/2026/été.txt", ContentFile(b"data"))
    assert (name, storage.exists(name), storage.size(name)) == ("reports/2026/été.txt", True, 4)
    assert b"".join(below.read(name)) == b"data"
    with storage.open(name) as file:
        assert (file.name, file.size, file.read(), file.seek(2), file.read()) == (name, 4, b"data", 2, b"ta")
    for _ in range(2):
        storage.delete(name)
    assert not storage.exists(name)


def test_text_is_saved_as_utf_8(below: MemoryStorage | DiskStorage) -> None:
    """As by Django's own storages."""
    storage = ObjectStorage(below)
    with storage.open(storage.save("note.txt", ContentFile("Été"))) as file:
        assert file.read() == "Été".encode()


def test_nothing_is_ever_replaced(below: MemoryStorage | DiskStorage) -> None:
    """A second file of the same name gets another one."""
    storage = ObjectStorage(below)
    first, second = (storage.save("a.txt", ContentFile(data)) for data in (b"1", b"2"))
    assert first == "a.txt" != second
    assert (b"".join(below.read(first)), b"".join(below.read(second))) == (b"1", b"2")


def test_of_two_that_race_for_a_name_both_are_saved(below: MemoryStorage | DiskStorage) -> None:
    """Somebody takes it after it was found free."""
    storage = ObjectStorage(below)

    class Overtaken(ContentFile):  # type: ignore[type-arg]  # only its stubs are generic
        def chunks(self, chunk_size: int | None = None) -> Iterator[Any]:
            if not storage.exists("a.txt"):
                storage.save("a.txt", ContentFile(b"first"))
            return super().chunks(chunk_size)

    second = storage.save("a.txt", Overtaken(b"second"))
    assert second != "a.txt"
    assert (b"".join(below.read("a.txt")), b"".join(below.read(second))) == (b"first", b"second")


def test_a_save_that_fails_leaves_nothing() -> None:
    """Neither the object nor what was written of it."""
    for step in ("write", "stage", "commit"):
        below = MemoryStorage()
        with pytest.raises(StorageFailed):
            ObjectStorage(FailingStorage(below, after=0, on=step)).save("a.txt", ContentFile(b"data"))
        assert (below.objects, below.unfinished) == ({}, [])


def test_what_is_missing_is_said_in_pythons_words(below: MemoryStorage | DiskStorage) -> None:
    """`FileNotFoundError`, as by Django's own storages; nothing can be written through `open`."""
    storage = ObjectStorage(below)
    with pytest.raises(FileNotFoundError):
        storage.open("missing.txt")
    with pytest.raises(FileNotFoundError):
        storage.size("missing.txt")
    with pytest.raises(ValueError, match="'rb'"):
        storage.open("missing.txt", "wb")
    with pytest.raises(ValueError, match="not empty"):
        storage.delete("")


def test_a_name_that_leads_out_is_refused(below: MemoryStorage | DiskStorage) -> None:
    """By Django where it makes names, and by the storage wherever one comes from."""
    storage = ObjectStorage(below)
    with pytest.raises(SuspiciousFileOperation):
        storage.save("../a.txt", ContentFile(b"data"))
    for use in (storage.exists, storage.size, storage.open, storage.delete):
        with pytest.raises(KeyRefused):
            use("../a.txt")
    assert storage.get_valid_name("../.Übung<1>.txt") == "Übung_1_.txt"
    with pytest.raises(SuspiciousFileOperation):
        storage.get_valid_name("...")


def test_a_url_and_a_path_are_there_where_they_can_be(tmp_path: Path) -> None:
    """Else it is `NotImplementedError`, which Django expects."""
    disk = ObjectStorage(DiskStorage(tmp_path), base_url="/media/")
    assert disk.url("a b/é.txt") == "/media/a%20b/%C3%A9.txt"
    assert disk.path("a.txt") == str(tmp_path / "a.txt")
    memory = ObjectStorage(MemoryStorage())
    for ask in (memory.url, memory.path, memory.get_modified_time, memory.listdir):
        with pytest.raises(NotImplementedError):
            ask("a.txt")


def test_a_storage_that_may_replace_objects_is_no_place_for_names() -> None:
    """It is told at once, or when it is imported."""

    class Replacing(MemoryStorage):
        exclusive_commit = False

    for wrong in (Replacing(), MemoryStorage, None):
        with pytest.raises(TypeError, match="never replaces"):
            ObjectStorage(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="never replaces"):
        ObjectStorage("pathlib.Path").exists("a.txt")


def test_it_may_be_the_storage_of_a_project(tmp_path: Path) -> None:
    """As an entry of `STORAGES`, with the storage of uploadkit itself or with its path."""
    backend = "uploadkit.adapters.django.ObjectStorage"
    for given in (DiskStorage(tmp_path), SHARED):
        entry = {"BACKEND": backend, "OPTIONS": {"storage": given, "base_url": "/media/"}}
        with override_settings(**PROJECT, STORAGES={"mine": entry}):
            assert isinstance(storages["mine"], ObjectStorage)
            assert storages["mine"].url("a.txt") == "/media/a.txt"


def test_a_migration_can_have_it(below: MemoryStorage | DiskStorage) -> None:
    """By the path of the storage, from which the same one is made again."""
    code, imports = MigrationWriter.serialize(Picture._meta.get_field("file"))
    storage = f"uploadkit.adapters.django.ObjectStorage('{SHARED}', base_url='/media/')"
    assert f"storage={storage}" in code
    assert "import uploadkit.adapters.django" in imports
    made: dict[str, Any] = {}
    exec("\n".join([*imports, f"again = {storage}"]), made)
    assert made["again"].storage is shared


@pytest.mark.usefixtures("table")
def test_a_model_keeps_its_files_there() -> None:
    """Saved, read, named apart and removed through the field, as in any storage."""
    first, second = (Picture(file=ContentFile(data, name="cat.png")) for data in (b"1", b"2"))
    for picture in (first, second):
        picture.save()
    assert shared.objects == {first.file.name: b"1", second.file.name: b"2"}
    again = Picture.objects.get(pk=first.pk)
    assert (again.file.name, again.file.url, again.file.size) == ("pictures/cat.png", "/media/pictures/cat.png", 1)
    with again.file.open() as file:
        assert isinstance(file, File)
        assert file.read() == b"1"
    again.file.delete()
    assert shared.objects == {second.file.name: b"2"}


@pytest.mark.usefixtures("table")
def test_a_file_that_was_closed_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the storage: not from the folder of the process, where Django would look for its name."""
    picture = Picture.objects.create(file=ContentFile(b"data", name="cat.png"))
    picture = Picture.objects.get(pk=picture.pk)
    monkeypatch.chdir(tmp_path)
    [key] = shared.objects
    Path(key).parent.mkdir()
    Path(key).write_bytes(b"not this one")
    for _ in range(2):
        with picture.file.open() as file:
            assert (file.read(2), file.open().read()) == (b"da", b"data")
        assert picture.file.closed
    with pytest.raises(ValueError, match="'rb'"):
        picture.file.open("wb")
    shared.delete(key)
    with pytest.raises(FileNotFoundError):
        picture.file.open()


@pytest.mark.usefixtures("table")
def test_a_file_that_was_received_there_is_taken_without_a_copy() -> None:
    """The model is given the key under which it lies."""
    upload = receive(Uploader(shared).single("avatar"), AVATAR.content_type, [AVATAR.body])
    file = StoredFile(upload)
    picture = Picture.objects.create(file=file.keep().key)
    file.close()
    assert shared.objects == {picture.file.name: b"data"}
    with Picture.objects.get(pk=picture.pk).file.open() as saved:
        assert saved.read() == b"data"
