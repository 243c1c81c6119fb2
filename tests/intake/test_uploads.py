"""What a handler holds: files that are read like any file, values that are read like any mapping."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.intake.called import CalledStorage
from tests.intake.receiving import Drive, left_in
from tests.storage.kinds import descriptors, put

from uploadkit.errors import ObjectMissing, StorageFailed
from uploadkit.storage.contract import Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import BLOCK_SIZE, MemoryStorage
from uploadkit.testing import FailingStorage, FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import FieldValues, Submission, UploadedFile

TEXT = "first line\nzweite Zeile: äöü €\n\nlast, without an end"


@pytest.fixture(params=["memory", "disk"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """A storage, which in the end has no file open."""
    before = descriptors()
    yield MemoryStorage() if request.param == "memory" else DiskStorage(tmp_path)
    assert descriptors() <= before


def uploaded(
    storage: Storage, data: bytes = TEXT.encode(), *, key: str = "folder/key", field: str = "f"
) -> UploadedFile:
    """A file that was uploaded."""
    return UploadedFile(
        id="id",
        field=field,
        filename="name",
        client_filename="name",
        content_type="text/plain",
        declared_type=None,
        size=len(data),
        sha256="",
        key=put(storage, key, data),
        storage=storage,
    )


def test_a_file_is_read_whole(storage: Storage) -> None:
    """By `read`, by `aread` in a thread, and by the way of `open`."""
    file = uploaded(storage)
    assert file.read() == TEXT.encode()
    assert asyncio.run(file.aread()) == TEXT.encode()
    with file.open() as opened:
        assert opened.read() == TEXT.encode()
        assert opened.read() == b""


def test_an_open_file_is_a_file_that_can_be_read_and_sought(storage: Storage) -> None:
    """And not written."""
    with uploaded(storage, b"0123456789").open() as opened:
        assert (opened.readable(), opened.seekable(), opened.writable()) == (True, True, False)
        assert (opened.read(3), opened.tell()) == (b"012", 3)
        assert (opened.seek(-2, io.SEEK_END), opened.read()) == (8, b"89")
        assert (opened.seek(2), opened.seek(3, io.SEEK_CUR), opened.read(2)) == (2, 5, b"56")
        assert (opened.seek(100), opened.read(), opened.tell()) == (100, b"", 100)
        buffer = bytearray(4)
        opened.seek(8)
        assert (cast(Any, opened).readinto(buffer), bytes(buffer)) == (2, b"89\0\0")
        for offset, whence in [(-1, io.SEEK_SET), (-11, io.SEEK_END), (0, 9)]:
            with pytest.raises(ValueError):  # noqa: PT011  io's own words
                opened.seek(offset, whence)
        with pytest.raises(io.UnsupportedOperation):
            opened.write(b"x")


def test_an_open_file_gives_lines(storage: Storage) -> None:
    """One by one, all, and by iteration."""
    file = uploaded(storage)
    lines = TEXT.encode().splitlines(keepends=True)
    with file.open() as opened:
        assert opened.readline() == lines[0]
        assert opened.readlines() == lines[1:]
    with file.open() as opened:
        assert list(opened) == lines


def test_an_open_file_may_be_read_as_text(storage: Storage) -> None:
    """`csv`, `json` and whoever else reads lines of text take it so."""
    with io.TextIOWrapper(uploaded(storage).open(), encoding="utf-8") as text:
        assert list(text) == TEXT.splitlines(keepends=True)
        text.seek(0)
        assert text.read() == TEXT


def test_readers_do_not_disturb_each_other(storage: Storage) -> None:
    """Each has its own place."""
    file = uploaded(storage, b"0123456789")
    with file.open() as one, file.open() as other:
        one.seek(5)
        assert (other.read(2), one.read(2), other.read(2)) == (b"01", b"56", b"23")


def test_a_closed_file_holds_nothing_open(storage: Storage) -> None:
    """Also in the middle of it, and while somebody still holds the closed one."""
    before = descriptors()
    opened = uploaded(storage, bytes(3 * BLOCK_SIZE)).open()
    opened.read(10)
    opened.close()
    opened.close()
    assert descriptors() <= before
    assert opened.closed
    for use in (opened.read, opened.tell, opened.readline):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_the_raw_reader_may_be_used_without_its_buffer(storage: Storage) -> None:
    """`open` wraps it; `detach` gives it back."""
    raw = cast(Any, uploaded(storage, b"0123456789").open()).detach()
    assert (raw.read(3), raw.tell(), raw.seek(8), raw.readall()) == (b"012", 3, 8, b"89")
    raw.close()
    for use in (lambda: raw.read(1), raw.tell, lambda: raw.seek(0), raw.readall):
        with pytest.raises(ValueError, match="closed"):
            use()


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, BLOCK_SIZE + 10)),
        st.tuples(st.just("seek"), st.integers(0, 2 * BLOCK_SIZE + 100)),
        st.tuples(st.just("readline"), st.integers(-1, 1000)),
    ),
    max_size=10,
)


@given(MOVES)
def test_an_open_file_behaves_like_the_bytes_in_it(moves: list[tuple[str, int]]) -> None:
    """Over more than one block, wherever it is read from."""
    data = LINES
    expected = io.BytesIO(data)
    with uploaded(MemoryStorage(), data).open() as opened:
        for move, number in moves:
            assert getattr(opened, move)(number) == getattr(expected, move)(number)
            assert opened.tell() == expected.tell()


LINES = b"".join(b"%d\n" % number for number in range(250_000))


def test_a_file_that_is_gone_is_missing(storage: Storage) -> None:
    """`open` says so at once, and `read` too."""
    file = uploaded(storage)
    file.delete()
    for use in (file.open, file.read, lambda: asyncio.run(file.aread())):
        with pytest.raises(ObjectMissing):
            use()


@pytest.mark.parametrize("name", ["delete", "discard", "adelete", "adiscard"])
def test_a_file_can_be_removed_more_than_once(storage: Storage, name: str) -> None:
    """What is gone is gone."""
    file = uploaded(storage)
    for _ in range(2):
        removing = getattr(file, name)()
        if name.startswith("a"):
            asyncio.run(removing)
        assert left_in(storage) == []


def test_the_path_of_a_file_on_disk_is_where_it_lies(tmp_path: Path) -> None:
    """A text, as handlers put it into answers and templates."""
    file = uploaded(DiskStorage(tmp_path))
    assert file.path == os.path.join(tmp_path, "folder", "key")
    assert Path(file.path).read_bytes() == TEXT.encode()


def test_a_file_in_memory_has_no_path() -> None:
    """And says what to use instead."""
    file = uploaded(MemoryStorage())
    with pytest.raises(TypeError, match=r"storage 'memory' has no paths; use open\(\) or read\(\)"):
        _ = file.path


class Bucket(MemoryStorage):
    """Has addresses that say what was signed, and public ones where it was told of a CDN."""

    cdn: str | None = None
    threads: set[int]

    def sign_url(
        self,
        key: str,
        *,
        expires_seconds: int = 3600,
        filename: str | None = None,
        content_type: str | None = None,
        inline: bool = False,
    ) -> str:
        self.threads = {threading.get_ident()}
        return f"https://bucket/{key}?{expires_seconds}&{filename}&{content_type}&{inline}"

    def public_url(self, key: str) -> str | None:
        return self.cdn and f"{self.cdn}/{key}"


def test_an_address_is_signed_with_the_name_and_the_type_of_the_file() -> None:
    """Those that are shown: what was detected, and never the client's words."""
    bucket = Bucket()
    file = replace(uploaded(bucket), filename="safe.txt", client_filename="../x", declared_type="text/html")
    assert file.url() == "https://bucket/folder/key?3600&safe.txt&text/plain&False"
    assert file.url(expires_seconds=60, inline=True) == "https://bucket/folder/key?60&safe.txt&text/plain&True"
    assert asyncio.run(file.aurl(inline=True)) == file.url(inline=True)
    asyncio.run(file.aurl())
    assert threading.get_ident() not in bucket.threads


def test_a_public_address_is_that_of_the_storage() -> None:
    """It is never the one that is signed: who wants it asks for it."""
    bucket = Bucket()
    file = uploaded(bucket)
    with pytest.raises(TypeError, match="storage 'memory' knows of no public address"):
        file.public_url()
    bucket.cdn = "https://cdn"
    assert file.public_url() == "https://cdn/folder/key"


def test_where_nobody_signs_there_is_no_address(storage: Storage) -> None:
    """And the text says what to do instead."""
    file = uploaded(storage)
    with pytest.raises(TypeError, match=f"storage '{storage.name}' signs no addresses; give the file out by a route"):
        file.url()
    with pytest.raises(TypeError, match=f"storage '{storage.name}' knows of no public address"):
        file.public_url()


def test_the_async_methods_leave_the_event_loop() -> None:
    """All of them, whatever the storage."""
    threads: set[int] = set()
    storage = CalledStorage(lambda call: threads.add(threading.get_ident()), may_block=False)

    async def main() -> None:
        file = uploaded(storage)
        threads.clear()
        await file.aread()
        await file.adelete()
        await file.adiscard()
        await Submission([file]).adiscard()

    asyncio.run(main())
    assert threads
    assert threading.get_ident() not in threads


def test_a_file_is_a_value() -> None:
    """Equal where all is equal, and it does not change. Its repr has no storage in it, which may know secrets."""
    storage = MemoryStorage()
    file = uploaded(storage)
    assert file == replace(file)
    assert file != replace(file, key="other")
    assert "storage" not in repr(file)
    with pytest.raises(FrozenInstanceError):
        file.key = "other"  # type: ignore[misc]  # what a type checker says too


VALUES = FieldValues([("tag", "a"), ("title", "T"), ("tag", "b"), ("", "")])


def test_values_are_a_mapping_of_the_last_ones() -> None:
    """As frameworks do it."""
    assert isinstance(VALUES, Mapping)
    assert (VALUES["tag"], VALUES["title"], VALUES[""]) == ("b", "T", "")
    assert (VALUES.get("tag"), VALUES.get("none"), VALUES.get("none", "x")) == ("b", None, "x")
    assert (len(VALUES), list(VALUES), dict(VALUES)) == (3, ["tag", "title", ""], {"tag": "b", "title": "T", "": ""})
    assert "tag" in VALUES
    assert "none" not in VALUES
    with pytest.raises(KeyError, match="none"):
        VALUES["none"]


def test_values_have_all_that_was_sent() -> None:
    """In the order in which it came."""
    assert (VALUES.getlist("tag"), VALUES.getlist("none")) == (["a", "b"], [])
    assert VALUES.multi_items() == (("tag", "a"), ("title", "T"), ("tag", "b"), ("", ""))
    assert repr(VALUES) == "FieldValues((('tag', 'a'), ('title', 'T'), ('tag', 'b'), ('', '')))"


def test_values_cannot_be_changed() -> None:
    """Neither by a mapping's methods nor through a list that was given out."""
    VALUES.getlist("tag").append("c")
    assert VALUES.getlist("tag") == ["a", "b"]
    assert not isinstance(VALUES, MutableMapping)
    assert not hasattr(VALUES, "__dict__")
    with pytest.raises(TypeError):
        hash(VALUES)


def test_values_are_equal_where_all_of_them_are() -> None:
    """To others of their kind. To a plain dict, which has one value of each, by the last ones."""
    assert FieldValues(VALUES.multi_items()) == VALUES
    assert FieldValues([("tag", "b"), ("title", "T"), ("", "")]) != VALUES
    assert VALUES == {"tag": "b", "title": "T", "": ""}
    assert VALUES != {"tag": "a", "title": "T", "": ""}
    assert VALUES != 5
    assert Submission(fields=VALUES) != Submission(fields=FieldValues([("tag", "b"), ("title", "T"), ("", "")]))


def test_a_submission_has_its_files_in_every_way() -> None:
    """The first, all in the order of arrival, and those of each field."""
    storage = MemoryStorage()
    one, two, three = (uploaded(storage, key=key, field=field) for key, field in [("1", "b"), ("2", "a"), ("3", "b")])
    submission = Submission([one, two, three], VALUES)
    assert submission.file is one
    assert submission.files_by_field == {"b": [one, three], "a": [two]}
    assert list(submission.files_by_field) == ["b", "a"]
    assert (Submission().file, Submission().files, Submission().files_by_field) == (None, (), {})
    assert submission == Submission([one, two, three], VALUES)


def discarding(submission: Submission, how: str) -> Callable[[], None]:
    """`discard`, or `adiscard` run."""
    return submission.discard if how == "discard" else lambda: asyncio.run(submission.adiscard())


@pytest.mark.parametrize("how", ["discard", "adiscard"])
def test_discarding_a_submission_removes_all_of_its_files(storage: Storage, how: str) -> None:
    """Once and again, and where one of them is gone already."""
    submission = Submission([uploaded(storage, key=key) for key in "123"])
    submission.files[1].delete()
    for _ in range(2):
        discarding(submission, how)()
        assert left_in(storage) == []


@pytest.mark.parametrize("how", ["discard", "adiscard"])
def test_discarding_tries_every_file_before_it_raises_the_first_error(storage: Storage, how: str) -> None:
    """The second and the third cannot be removed: the fourth is gone all the same."""
    failing = FailingStorage(FailingStorage(storage, after=1, on="delete"), after=2, on="delete")
    submission = Submission([uploaded(failing, key=key) for key in "1234"])
    with pytest.raises(StorageFailed, match="delete 2") as caught:
        discarding(submission, how)()
    assert caught.value.key == "2"
    assert left_in(storage) == ["2", "3"]


def test_open_says_what_it_gives() -> None:
    """A `BinaryIO`, as type checkers are told."""
    opened: BinaryIO = uploaded(MemoryStorage()).open()
    assert isinstance(opened, io.BufferedIOBase)
    opened.close()


def test_without_digests_none_is_made(drive: Drive) -> None:
    """Who asks for one all the same learns why there is none."""
    form = FormBuilder(boundary="b").file("f", b"data", filename="x.bin")
    file = drive(Uploader(MemoryStorage(), digest=False).single("f"), form.content_type, [form.body])
    assert file.sha256 is None
    with pytest.raises(TypeError, match="no digest was made of this file"):
        _ = file.digest
    file = drive(Uploader(MemoryStorage()).single("f"), form.content_type, [form.body])
    assert file.digest == file.sha256 == hashlib.sha256(b"data").hexdigest()
