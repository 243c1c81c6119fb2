"""What a key that is taken promises, as the property tests and the fuzz targets check it."""

from __future__ import annotations

import os

from uploadkit.storage.keys import KEY_SIZE, NAME_SIZE


def check_plain(key: str) -> None:
    """A key that was taken is a relative path on every system, and stays below the root."""
    assert os.path.normpath(key) == key
    assert not os.path.isabs(key)
    names = key.split("/")
    assert {"", ".", ".."}.isdisjoint(names)
    assert all(len(name.encode()) <= NAME_SIZE for name in names)
    assert not any(ord(char) < 32 or char == "\\" for char in key)
    assert len(key.encode()) <= KEY_SIZE
    assert names[0].casefold() != ".staging"
