"""Compound files written in the plainest way that [MS-CFB] allows: one table of sectors, and nothing in small ones."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

END, FREE, OF_TABLE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
SECTOR = 512


def compound_file(streams: Mapping[str, bytes], *, in_front: bytes = b"") -> bytes:
    """`streams` by their paths ("Macros/VBA/dir"); the folders come of themselves. `in_front` stands in sectors that
    are in no stream. A stream of less than 4096 bytes is filled up with zeros, so that it needs no small sectors.
    """
    names: list[tuple[str, ...]] = [()]
    for path in streams:
        parts = tuple(path.split("/"))
        names += [parts[:at] for at in range(1, len(parts) + 1) if parts[:at] not in names]
    content = {tuple(path.split("/")): data.ljust(4096, b"\0") for path, data in streams.items()}
    chunks = [_padded(in_front)]
    starts: dict[tuple[str, ...], int] = {}
    chains = [_count(in_front)]
    for place, data in content.items():
        starts[place] = sum(chains)
        chunks.append(_padded(data))
        chains.append(_count(data))
    directory_at = sum(chains)
    entries = [_entry(names, at, starts, content) for at in range(len(names))]
    directory = b"".join(entries).ljust(-(-len(entries) // 4) * SECTOR, b"\0")
    chains.append(_count(directory))
    return _header_and_table(chains, directory_at, b"".join(chunks) + directory)


def many_streams(count: int) -> bytes:
    """So many streams in one folder, whose names hang in a balanced tree. All of them are the same bytes."""
    entries = [b""] * (count + 1)

    def tree(low: int, high: int) -> int:
        if low >= high:
            return FREE
        middle = (low + high) // 2
        links = (tree(low, middle), tree(middle + 1, high), FREE)
        entries[middle] = entry(f"s{middle:07}", 2, first=0, size=4096, siblings=links)
        return middle

    entries[0] = entry("Root Entry", 5, first=END, siblings=(FREE, FREE, tree(1, count + 1)))
    directory = _padded(b"".join(entries))
    return _header_and_table([_count(directory)], 0, directory)


def entry(
    name: str, kind: int, *, first: int = 0, size: int = 0, siblings: tuple[int, int, int] = (FREE, FREE, FREE)
) -> bytes:
    """One of a directory: left, right and first child as numbers of entries."""
    field = name.encode("utf-16-le")
    return struct.pack("<64sHBBIII36xIQ", field.ljust(64, b"\0"), len(field) + 2, kind, 1, *siblings, first, size)


def _entry(
    names: Sequence[tuple[str, ...]],
    at: int,
    starts: Mapping[tuple[str, ...], int],
    content: Mapping[tuple[str, ...], bytes],
) -> bytes:
    """The children of a folder hang on each other's right, in the order of [MS-CFB]: shorter names first."""
    path = names[at]
    children = _children(names, path)
    siblings = _children(names, path[:-1]) if path else []
    right = siblings[siblings.index(at) + 1] if path and at != siblings[-1] else FREE
    links = (FREE, right, children[0] if children else FREE)
    if path in content:
        return entry(path[-1], 2, first=starts[path], size=len(content[path]), siblings=links)
    if path:
        return entry(path[-1], 1, siblings=links)
    return entry("Root Entry", 5, first=END, siblings=links)


def _children(names: Sequence[tuple[str, ...]], path: tuple[str, ...]) -> list[int]:
    found = [at for at, each in enumerate(names) if each and each[:-1] == path]
    return sorted(found, key=lambda at: (len(names[at][-1]), names[at][-1].upper()))


def _linked(chains: Sequence[int]) -> list[int]:
    numbers: list[int] = []
    for length in chains:
        numbers += [*range(len(numbers) + 1, len(numbers) + length), END][: length or 0]
    return numbers


def _header_and_table(chains: Sequence[int], directory: int, content: bytes) -> bytes:
    """A file of chains of these lengths, one behind the other."""
    tables = 1
    while tables * 128 < sum(chains) + tables:
        tables += 1
    table_at = sum(chains)
    numbers = [*_linked(chains), *[OF_TABLE] * tables]
    numbers += [FREE] * (tables * 128 - len(numbers))
    places = [*range(table_at, table_at + tables), *[FREE] * (109 - tables)]
    header = struct.pack(
        "<8s16xHHHHH6xIIIIIIIII109I",
        *(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6),
        *(0, tables, directory, 0, 4096, END, 0, END, 0, *places),
    )
    return header + content + struct.pack(f"<{len(numbers)}I", *numbers)


def _padded(data: bytes) -> bytes:
    return data.ljust(_count(data) * SECTOR, b"\0")


def _count(data: bytes) -> int:
    return -(-len(data) // SECTOR)
