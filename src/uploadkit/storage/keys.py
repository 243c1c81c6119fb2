"""Which keys an object may have: one rule for every storage, so that an object can move from any to any other.

A key is a relative path of `/`-separated names. Whatever could mean something else than itself somewhere (`..`, an
absolute path, a backslash, a control character, a letter in pieces) is refused, never repaired. The rule reads the text
alone: links and folders that stand in a key's way are for the storage to see.
"""

from __future__ import annotations

import re
import unicodedata

from ..errors import KeyRefused

KEY_SIZE = 1024
"""Bytes of a key in UTF-8: what S3 takes."""

NAME_SIZE = 255
"""Bytes of one name between slashes in UTF-8: what Linux file systems take."""

STAGING = ".staging"
"""The folder that is reserved for what is not visible yet."""

PARTIAL = "partial-"
"""How names in it begin of objects that come in several goes; the name of the upload follows."""

# Neither a dot nor a slash: what a storage adds to such a name is never part of another.
_is_upload = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}").fullmatch

# What nearly every key is, and nothing is wrong with it.
_plain = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]{0,63}").fullmatch

# Control characters, the backslash (a separator elsewhere), and surrogates, which no encoding takes.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")


def check_key(key: str, *, storage: str) -> None:
    """Raises `KeyRefused` for a key that no storage takes. `storage` is the name of the storage that asks."""
    if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's callable may have made it
        raise TypeError(f"a key is a str, not {key!r}")
    fault = None if _plain(key) else _fault(key)
    if fault is not None:
        raise KeyRefused(f"the storage key {fault}", storage=storage, key=key)


def is_key(text: str) -> bool:
    """Whether a storage takes it."""
    return _plain(text) is not None or _fault(text) is None


def check_upload(upload: str) -> None:
    """Raises `ValueError` for what is no name of an object that comes in several goes."""
    if not _is_upload(upload):
        raise ValueError("an upload is called by letters, digits, '-' and '_', 128 at most: secrets.token_hex(16)")


def _fault(key: str) -> str | None:
    if not key:
        return "is empty"
    if _FORBIDDEN.search(key):
        return "has a control character, a backslash or a surrogate"
    if not unicodedata.is_normalized("NFC", key):  # HFS+ takes both of such twins for one name
        return "is not in Unicode's composed form (NFC)"
    if len(key.encode()) > KEY_SIZE:
        return f"has more than {KEY_SIZE} bytes"
    names = key.split("/")
    if any(name in ("", ".", "..") for name in names):
        return "is absolute or has an empty, '.' or '..' name"
    if any(len(name.encode()) > NAME_SIZE for name in names):
        return f"has a name of more than {NAME_SIZE} bytes"
    if _as_seen_by_a_mac(names[0]) == STAGING:
        return f"is in the reserved folder {STAGING!r}"
    return None


def _as_seen_by_a_mac(name: str) -> str:
    """HFS+ and APFS do not tell the case of letters apart, and HFS+ drops invisible characters."""
    if name.isascii():
        return name.lower()
    return "".join(char for char in name if unicodedata.category(char) != "Cf").casefold()
