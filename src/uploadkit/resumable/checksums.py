"""What a client says the bytes of one request are, and where they wait until that is known to be true."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Final, Protocol, cast

from ..errors import ChecksumMismatch, MalformedUpload, StorageFailed
from ..storage.contract import Buffer

__all__ = ["ALGORITHMS", "Checksum", "Spool", "sha256_in"]

_IN_MEMORY = 2**20
"""Bytes of a body that wait in memory; more of them wait in a temporary file."""


class _Hash(Protocol):
    def update(self, data: Buffer, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


_MAKERS: dict[str, Callable[[], _Hash]] = {
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "crc32": _Crc32,
}

ALGORITHMS: Final = tuple(_MAKERS)
"""sha1 is what every server of tus has to know; crc32 is in the order of the network."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """The `digest` of the bytes of one request by `algorithm`, one of `ALGORITHMS`."""

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """Of `sha1 BASE64`, as tus has it. Raises `MalformedUpload`."""
        algorithm, _, encoded = text.strip().partition(" ")
        if algorithm not in _MAKERS:
            raise MalformedUpload(f"a checksum is one of {', '.join(ALGORITHMS)}")
        try:
            digest = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            raise MalformedUpload("the checksum is no base64") from None
        if len(digest) != len(_MAKERS[algorithm]().digest()):
            raise MalformedUpload(f"the checksum is none of {algorithm}")
        return cls(algorithm, digest)


def sha256_in(digests: str) -> bytes | None:
    """The SHA-256 in a Content-Digest or a Repr-Digest (RFC 9530). None where it has none that can be read: there are
    other algorithms, and no receiver has to know them."""
    found = [match[1] for member in digests.split(",") if (match := _sha256_member(member.strip()))]
    if not found:
        return None
    try:
        digest = base64.b64decode(found[-1], validate=True)  # of one key the last one counts (RFC 9651, 4.2.2)
    except binascii.Error:
        return None
    return digest if len(digest) == hashlib.sha256().digest_size else None


_sha256_member = re.compile(r"sha-256=:([0-9A-Za-z+/=]*):(?:;.*)?").fullmatch


class Spool:
    """Holds the body of one request until its checksum is known to be right."""

    def __init__(self, checksum: Checksum) -> None:
        self.may_block: bool = True
        self._checksum = checksum
        self._hash = _MAKERS[checksum.algorithm]()
        self._file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115  # `close` closes it

    def write(self, data: Buffer) -> None:
        """Raises `StorageFailed` where the disk is full."""
        self._hash.update(data)
        try:
            self._file.write(data)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else "unknown reason"
            raise StorageFailed(f"a body could not be held: {reason}", storage="temporary files") from error

    def keep(self) -> None:
        """All has come, and is read from its beginning."""
        self._file.seek(0)

    def check(self) -> None:
        """Raises `ChecksumMismatch`."""
        if self._hash.digest() != self._checksum.digest:
            raise ChecksumMismatch(algorithm=self._checksum.algorithm)

    def read(self, size: int) -> bytes:
        """The next bytes."""
        return self._file.read(size)

    def close(self) -> None:
        """Nothing of it is left. Idempotent."""
        self._file.close()
