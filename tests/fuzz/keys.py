"""Storage keys: a plain relative path, or a `KeyRefused`."""

from __future__ import annotations

from tests.storage.promises import check_plain
from tests.storage.test_keys import NAMES

from uploadkit.errors import KeyRefused
from uploadkit.storage.keys import check_key

from .choices import text_of

WORDS = tuple(name.encode() for name in (*NAMES, "/", "../", ".STAGING", "\u200b", "\u017f") if name)
SEEDS = tuple(f"{first}/{second}".encode() for first in NAMES for second in NAMES)


def check(data: bytes) -> None:
    """A key that a callable of a user has made of a client's name."""
    key = text_of(data)
    try:
        check_key(key, storage="any")
    except KeyRefused:
        return
    check_plain(key)
