"""How much may come in. Every limit is finite unless the caller writes `None`; sizes are bytes.

A limit that is exactly reached is fine.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, overload

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_UNITS_SHOWN = {"TB": 10**12, "TiB": 2**40, "GB": 10**9, "GiB": 2**30}
_UNITS_SHOWN |= {"MB": 10**6, "MiB": 2**20, "KB": 10**3, "KiB": 2**10}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII | re.IGNORECASE)


def parse_size(size: int | str) -> int:
    """The bytes that `size` stands for: an int as it is, or a text such as "5 MB" (10**6) or "64 KiB" (2**10).

    Raises `ValueError` where the text is no size or the size is negative, and `TypeError` for other types.
    """
    if isinstance(size, bool) or not isinstance(size, int | str):
        raise TypeError(f"a size is an int or a text such as '5 MB', not {size!r}")
    if isinstance(size, int):
        if size < 0:
            raise ValueError(f"a size is not negative: {size}")
        return size
    match = _SIZE.fullmatch(size.strip())
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError(f"not a size: {size!r}; write bytes, or a number with one of B, KB, MB, GB, KiB, MiB, GiB")
    whole, _, fraction = match[1].partition(".")
    unit = _UNITS[match[2].lower()]
    return int(whole) * unit + int(fraction or "0") * unit // int(10 ** len(fraction))


def size_text(size: int) -> str:
    """A size as people write it, exact, and read by `parse_size` again: "5 MB", "1.5 MB", "64 KiB", "1234 B"."""
    for unit, factor in _UNITS_SHOWN.items():
        tenths, rest = divmod(size * 10, factor)
        if tenths >= 10 and not rest:
            return f"{tenths // 10}.{tenths % 10} {unit}".replace(".0 ", " ")
    return f"{size} B"


class Size:
    """A dataclass field that is given bytes or a text such as "5 MB", or None, and read as bytes or None.

    For type checkers alone: at run time it is its default, a plain attribute, which is read many times a request.
    """

    if TYPE_CHECKING:

        def __init__(self, default: int | None) -> None: ...
        @overload
        def __get__(self, instance: None, owner: type) -> int | None: ...
        @overload
        def __get__(self, instance: object, owner: type) -> int | None: ...
        def __get__(self, instance: object | None, owner: type) -> int | None: ...
        def __set__(self, instance: object, value: int | str | None) -> None: ...

    else:

        def __new__(cls, default: int | None) -> int | None:
            return default


_KIB = 2**10
_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one request. `None` in place of a number is "no limit", written out.

    Sizes may be given as text ("5 MB" is 5,000,000 bytes, "64 KiB" is 65,536) and are read as bytes.
    """

    body_size: Size = Size(256 * _MIB)
    """The whole body as it is on the wire."""
    file_size: Size = Size(64 * _MIB)
    """One file. A field's `max_size` takes its place."""
    files_size: Size = Size(256 * _MIB)
    """All files of a request together."""
    files: int | None = 100
    """How many files. All of a request's files are open at once until they are published."""
    fields: int | None = 1000
    """How many text values."""
    parts: int | None = 1100
    """How many parts: files, text values, and file inputs in which nothing was chosen."""
    field_size: Size = Size(_MIB)
    """One text value."""
    fields_size: Size = Size(8 * _MIB)
    """All text values together: they are held in memory."""
    field_name_size: Size = Size(1024)
    """A field's name, in UTF-8."""
    filename_size: Size = Size(1024)
    """A file's name as sent, in UTF-8. Four times what a file system takes, since browsers may send paths."""
    header_count: int | None = 16
    """Headers of a part. RFC 7578 knows 3, browsers send 2."""
    header_size: Size = Size(8 * _KIB)
    """All headers of a part together."""
    preamble_size: Size = Size(8 * _KIB)
    """What may stand before the first boundary. It is dropped."""
    epilogue_size: Size = Size(8 * _KIB)
    """What may stand after the last boundary. It is dropped. The line break that clients end a form with counts: 2."""
    idle_seconds: float | None = 30
    """How long no byte may arrive. A phone that changes its cell is silent for some seconds."""
    min_rate: Size = Size(_KIB)
    """Bytes a second, on the average of the time that is spent waiting for the client, after a grace of 10 seconds.
    The slowest mobile network sends ten times as many."""

    def __post_init__(self) -> None:
        for field in fields(self):
            size = getattr(self, field.name)
            if field.type == "Size" and size is not None:
                object.__setattr__(self, field.name, parse_size(size))
        for name in ("files", "fields", "parts", "header_count"):
            count = getattr(self, name)
            if count is None:
                continue
            if isinstance(count, bool) or not isinstance(count, int):
                raise TypeError(f"{name} is an int or None, not {count!r}")
            if count < 0:
                raise ValueError(f"{name} is not negative: {count}")
        idle = self.idle_seconds
        if idle is None:
            return
        if isinstance(idle, bool) or not isinstance(idle, int | float):
            raise TypeError(f"idle_seconds is a number or None, not {idle!r}")
        if not 0 < idle < math.inf:
            raise ValueError(f"idle_seconds is finite and more than 0: {idle}")
