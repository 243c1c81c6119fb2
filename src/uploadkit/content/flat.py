"""Documents that are one text: RTF, OpenDocument and Word in one XML, a web page with its parts. Looked at in the child
process of a sandbox, since they may be long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .child import opened
from .documents import HEAD_SIZE, Flag, unescaped

BLOCK_SIZE: Final = 2**16

_OVERLAP = 256  # bytes: a word of 20 letters, each as a number of a dozen

# Word's package in one XML; Word 2003; and "ActiveMime" in base64, as which Office packs macros into a text.
_OF_OFFICE: Final[Mapping[bytes, Flag]] = {
    **dict.fromkeys((b"vbaproject", b"macroenabled", b"editdata.mso", b"qwn0axzltwlt"), Flag.MACROS),
    **dict.fromkeys((b"w:object", b"oleobject", b"oledata.mso"), Flag.EMBEDDED),
}
# A module of Basic, whatever prefix its name has.
_OF_OPENDOCUMENT: Final[Mapping[bytes, Flag]] = {
    **dict.fromkeys((b"<module", b":module", b"<source-code", b":source-code"), Flag.MACROS),
    b"draw:object": Flag.EMBEDDED,
}
_OF_RTF: Final[Mapping[bytes, Flag]] = dict.fromkeys(
    (rb"\objdata", rb"\objclass", rb"\objemb", rb"\objocx", rb"\objupdate", rb"\objautlink"), Flag.EMBEDDED
)


def scan(files: Sequence[int]) -> dict[str, Any]:
    """What its words say."""
    found: set[Flag] = set()
    with opened(files[0]) as file:
        words = _words(file.read(HEAD_SIZE).replace(b"\0", b""))
        file.seek(0)
        rest = b""
        while block := file.read(BLOCK_SIZE):
            text = unescaped((rest + block).replace(b"\0", b"")).lower()  # of UTF-16 the letters are left
            found.update(flag for word, flag in words.items() if word in text)
            rest = block[-_OVERLAP:]
    return {"flags": sorted(flag.value for flag in found)}


def _words(head: bytes) -> Mapping[bytes, Flag]:
    if head.startswith(b"{\\rt"):
        return _OF_RTF
    return _OF_OPENDOCUMENT if b"opendocument" in head else _OF_OFFICE
