"""ASF: wmv and wma. Objects of a GUID, a size and data or further objects.

"Advanced Systems Format Specification", revision 01.20.05, whose sections are named below
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from uuid import UUID

from .facts import Facts
from .window import Window

# Section 10
_FILE = UUID("8CABDCA1-A947-11CF-8EE4-00C00C205365").bytes_le
_STREAM = UUID("B7DC0791-A9B7-11CF-8EE6-00C00C205365").bytes_le
_AUDIO = UUID("F8699E40-5B4D-11CF-A8FD-00805F5C442B").bytes_le
_VIDEO = UUID("BC19EFC0-5B4D-11CF-A8FD-00805F5C442B").bytes_le

_BROADCAST = 1  # its times are not valid


def read_asf(file: Window, facts: Facts) -> None:
    """The objects of the header: 3.1, 3.2, 3.3, 9.2."""
    for kind, at in _objects(file, 30, file.little(8, at=16)):
        if kind == _FILE:
            units, _, preroll, flags = struct.unpack("<QQQI", file.exactly(28, at=at + 64))
            if not flags & _BROADCAST:
                facts.lasts(units / 1e7 - preroll / 1e3)
        elif kind == _STREAM:
            stream = file.exactly(16, at=at + 24)
            facts.audio = facts.audio or stream == _AUDIO
            if stream == _VIDEO:
                facts.video = True
                facts.shows(*struct.unpack("<II", file.exactly(8, at=at + 78)))


def _objects(file: Window, at: int, end: int) -> Iterator[tuple[bytes, int]]:
    while at + 24 <= end:
        kind, size = struct.unpack("<16sQ", file.exactly(24, at=at))
        if size < 24:
            return
        yield kind, at
        at += size
