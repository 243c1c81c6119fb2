"""What is sent, and what has to be stored for it: forms of one file and a few text values.

Sender and judge make the same bytes by themselves. All files are windows into one ring of random bytes whose length
is no multiple of anything that reads or writes, so that data which lies at the wrong place is not what was sent.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

KIB, MIB, GIB = 2**10, 2**20, 2**30

BOUNDARY = b"----the-boundary-of-the-bench-0123456789"
TEXTS = {"title": "A day at the sea", "author": "Ada Lovelace", "note": "The third of three text values, in one line."}
ANSWER = "|".join(TEXTS.values())

_RING_SIZE = 8 * MIB + 4093
_STEP = 1_000_003  # from one file's beginning in the ring to the next one's


@dataclass(frozen=True, kw_only=True)
class Load:
    """`requests` forms, each a file of `size` bytes and, with `texts`, three text values, on `connections`."""

    requests: int
    size: int
    texts: bool = False
    connections: int = 1

    @property
    def size_of_all(self) -> int:
        """Of all files together."""
        return self.requests * self.size

    @property
    def answer(self) -> str:
        """What every request is answered with by a server that has read the form."""
        return ANSWER if self.texts else "||"

    def request(self, number: int) -> Iterator[memoryview]:
        """The bytes of one request, head first."""
        opening, closing = self._opening(number), b"\r\n--" + BOUNDARY + b"--\r\n"
        length = len(opening) + self.size + len(closing)
        head = (
            b"POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: multipart/form-data; boundary=%b\r\nContent-Length: %d\r\n\r\n" % (BOUNDARY, length)
        )
        data = _window(number, self.size)
        if self.size < MIB:
            yield memoryview(b"".join([head, opening, *data, closing]))
        else:
            yield memoryview(head + opening)
            yield from data
            yield memoryview(closing)

    def data(self, number: int) -> Iterator[memoryview]:
        """The bytes of one file, in pieces of at most 1 MiB."""
        for data in _window(number, self.size):
            yield from (data[at : at + MIB] for at in range(0, len(data), MIB))

    def digests(self, *, bodies: bool) -> list[str]:
        """The SHA-256 of everything that is to be stored, sorted: of whole bodies, or of their files."""
        return list(_bodies(self) if bodies else _files(self))

    def _opening(self, number: int) -> bytes:
        texts = TEXTS if self.texts else {}
        parts = [
            f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in texts.items()
        ]
        parts.append(
            f'Content-Disposition: form-data; name="file"; filename="file-{number}.bin"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode()
        )
        return b"".join(b"--" + BOUNDARY + b"\r\n" + part for part in parts)


@functools.cache
def _ring() -> memoryview:
    return memoryview(random.Random(1).randbytes(_RING_SIZE))


def _window(number: int, size: int) -> Iterator[memoryview]:
    ring, at = _ring(), number * _STEP % _RING_SIZE
    while size:
        data = ring[at : at + size]
        yield data
        size -= len(data)
        at = 0


@functools.cache
def _bodies(load: Load) -> list[str]:
    return sorted(_digest(_body(load.request(number))) for number in range(load.requests))


@functools.cache
def _files(load: Load) -> list[str]:
    return sorted(_digest(load.data(number)) for number in range(load.requests))


def _body(request: Iterator[memoryview]) -> Iterator[memoryview]:
    """A request without its head, which ends in the first piece."""
    first = next(request)
    yield first[bytes(first).index(b"\r\n\r\n") + 4 :]
    yield from request


def _digest(data: Iterator[memoryview]) -> str:
    digest = hashlib.sha256()
    for piece in data:
        digest.update(piece)
    return digest.hexdigest()
