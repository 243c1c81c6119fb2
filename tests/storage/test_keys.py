"""Which keys are taken: the same on every storage, and none that leads anywhere else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.storage.kinds import DISKS, get, put
from tests.storage.promises import check_plain

from uploadkit.errors import KeyRefused, ObjectMissing
from uploadkit.storage.contract import ObjectInfo, Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.keys import NAME_SIZE, check_key
from uploadkit.storage.memory import MemoryStorage

# What one storage is likely to take apart, decode, or read as something else than another does.
NAMES = ("", ".", "..", "...", "a", "é", "\0", "\n", "\\", "~", " ", "%2e", ".staging", ".Staging", "x" * 255)
keys = st.text(max_size=40) | st.lists(st.sampled_from(NAMES) | st.text(max_size=5), max_size=6).map("/".join)


@given(key=keys)
@example(key="a/../../outside")
@example(key=".staging/a")
def test_a_key_is_refused_by_every_storage_or_by_none(key: str) -> None:
    """A storage takes exactly the keys that the shared rule takes, and on a disk they are files below its root."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "a", "b", "root")  # `..` has somewhere to lead to
        storages: list[Storage] = [MemoryStorage(), DiskStorage(root)]
        for storage in storages:
            if refused(key):
                with pytest.raises(KeyRefused):
                    storage.open(key, ObjectInfo())
                for ask in (storage.stat, storage.read, storage.delete):
                    with pytest.raises(KeyRefused):
                        ask(key)
            else:
                assert get(storage, put(storage, key, key.encode())) == key.encode()
        files = {path for path in Path(folder).rglob("*") if path.is_file()}
        assert files == (set() if refused(key) else {root / key})


@given(key=keys)
def test_a_key_that_is_taken_is_a_plain_relative_path(key: str) -> None:
    """Nothing in a key that is taken can be read as anything but a path below the root."""
    if not refused(key):
        check_plain(key)


@pytest.mark.parametrize(
    ("longest", "longer"),
    [("a" * NAME_SIZE, "a" * (NAME_SIZE + 1)), ("ab/" * 341 + "a", "ab/" * 341 + "ab"), ("é" * 127 + "a", "é" * 128)],
    ids=["a name", "a key", "a name in another script"],
)
def test_a_key_may_be_as_long_as_the_limit(longest: str, longer: str) -> None:
    """Limits are in bytes of UTF-8, and one that is exactly reached is fine."""
    assert not refused(longest)
    assert refused(longer)


@pytest.mark.parametrize("disk", DISKS.values(), ids=DISKS)
def test_the_longest_key_is_an_object(disk: type[DiskStorage], tmp_path: Path) -> None:
    """A key as long as keys get, with as many folders as it can have, can be written, read and deleted."""
    storage = disk(tmp_path)
    key = "a/" * 511 + "aa"
    assert get(storage, put(storage, key, b"deep")) == b"deep"
    storage.delete(key)
    with pytest.raises(ObjectMissing):
        storage.stat(key)


def test_a_key_that_is_no_text_is_wrong_use() -> None:
    """A callable that proposes a path or nothing is a mistake of the programmer, and is said as one."""
    with pytest.raises(TypeError, match=r"a key is a str, not PosixPath\('a'\)"):
        MemoryStorage().open(Path("a"), ObjectInfo())  # type: ignore[arg-type]  # the mistake


def test_a_refusal_does_not_show_the_key() -> None:
    """The text may reach the sender: it says what is wrong, and the key is an attribute."""
    with pytest.raises(KeyRefused) as raised:
        check_key("secret/../key", storage="disk")
    assert str(raised.value) == "the storage key is absolute or has an empty, '.' or '..' name"
    assert (raised.value.storage, raised.value.key) == ("disk", "secret/../key")


def refused(key: str) -> bool:
    """What the shared rule says."""
    try:
        check_key(key, storage="any")
    except KeyRefused:
        return True
    return False
