"""Names: the client's, made safe to show and to save, and the keys that the library makes itself.

Reads no folder and opens nothing. A safe name is one name in one folder on every system, however often it is
decoded, normalized or compared without case on its way; what cannot be made so is refused.
"""

from __future__ import annotations

import re
import secrets
import unicodedata

NAME_SIZE = 255
"""Bytes of a name in UTF-8: what file systems take."""


def safe_filename(name: str) -> str:
    """The client's name for a file as it may be shown and saved, in whatever script it is written.

    It is the last part of a path of either system, in NFC, of 1 to 255 bytes in UTF-8, and keeps its extension when
    it is cut. It has no separator (encoded ones and those that NFKC would make included), no reserved, control,
    format or bidi character and no surrogate, does not begin with `.`, `-`, `~` or a space, does not end in a dot
    or a space, and is no device of Windows. A safe name stays as it is. Raises `ValueError` where nothing is left.
    """
    if _plain(name) and not _is_device(name):
        return name
    while (safer := _safer(name)) != name:  # what one step takes away may uncover work for another
        name = safer
    if not name:
        raise ValueError("nothing is left of the file name")
    return name


def extension_of_name(name: str) -> str:
    """The last extension of a file's name, such as ".jpg", in lower case; "" where there is none.

    It is that of the safe name, so that the extension that is judged is the one that is shown. What has a space in
    it or is a number ends a sentence or a version, and is none.
    """
    try:
        stem, dot, extension = safe_filename(name).rpartition(".")
    except ValueError:
        return ""
    return "" if not stem or extension.isdecimal() or " " in extension else dot + extension.lower()


def random_key(extension: str) -> str:
    """A storage key that nobody can guess and that no other meets: 128 random bits in hexadecimal, and `extension`."""
    return secrets.token_hex(16) + extension


# What nearly every name is, and nothing has to be done to.
_plain = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_. -]{0,62}[A-Za-z0-9_-])?").fullmatch

# Replaced by "_": what Windows reserves, and the characters in which NFKC finds a slash or a backslash.
_RESERVED = re.compile(r'[<>:"/\\|?*／＼﹨℀℁℅℆]')  # noqa: RUF001  the lookalikes are meant

# Dropped: controls, format and bidi characters, surrogates, separators of lines and paragraphs.
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# Names that Windows keeps for devices, with any extension: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
)

_ENCODED = re.compile(r"%([0-9a-f]{2})", re.IGNORECASE | re.ASCII)
_UNSAFE_DECODED = frozenset('<>:"/\\|?*\x7f').union(map(chr, range(32)))
_PERCENT = re.compile(r"[%％﹪]")  # noqa: RUF001  the lookalikes are meant

_EXTENSION_SIZE = 32
"""Bytes: what is longer is no extension, and is cut like the rest of the name."""


def _safer(name: str) -> str:
    name = unicodedata.normalize("NFC", _last_part(name))
    name = "".join(_safe_character(char) for char in name)
    name = _RESERVED.sub("_", unicodedata.normalize("NFC", name))
    if _hides_a_separator(name):
        name = _PERCENT.sub("_", name)
    name = _cut(_trimmed(name))
    return "_" + name if _is_device(name) else name


def _last_part(name: str) -> str:
    """Browsers have sent whole paths, of Windows too; what comes before is the client's own affair."""
    return name.replace("\\", "/").rpartition("/")[2]


def _safe_character(char: str) -> str:
    category = unicodedata.category(char)
    return " " if category == "Zs" else "" if category in _DROPPED else char


def _hides_a_separator(name: str) -> bool:
    """Whether decoding the name, however often, would give a separator or another reserved character."""
    name = unicodedata.normalize("NFKC", name)
    decoded = ""
    while decoded != name:
        decoded, name = name, _ENCODED.sub(lambda code: chr(int(code[1], 16)), name)
        if not _UNSAFE_DECODED.isdisjoint(name):
            return True
    return False


def _trimmed(name: str) -> str:
    start, end = 0, len(name)
    while start < end and unicodedata.normalize("NFKC", name[start])[0] in ".-~ ":
        start += 1
    while end > start and unicodedata.normalize("NFKC", name[end - 1])[-1] in ". ":
        end -= 1
    return name[start:end]


def _cut(name: str) -> str:
    if len(name.encode()) <= NAME_SIZE:
        return name
    stem, dot, extension = name.rpartition(".")
    ending = (dot + extension).encode()
    if not stem or len(ending) > _EXTENSION_SIZE:
        stem, ending = name, b""
    return stem.encode()[: NAME_SIZE - len(ending)].decode(errors="ignore") + ending.decode()


def _is_device(name: str) -> bool:
    return _compared(name).partition(".")[0].rstrip(" ") in _DEVICES


def _compared(name: str) -> str:
    return name.lower() if name.isascii() else unicodedata.normalize("NFKC", name).casefold()
