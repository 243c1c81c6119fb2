"""The client: sends one file by one of the doors, in a process that does nothing else.

`python -m bench.resumable.doors` reads one line of JSON, what to do, and answers with one: what came of it.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Final, Self

from ..service.forms import MIB, film

SILENT_SECONDS = 600

PIECE: Final = 5 * MIB
"""What clients send at once where they are told to cut: the least that S3 takes as a part."""

_VERSION = {"Tus-Resumable": "1.0.0"}
_BYTES = {**_VERSION, "Content-Type": "application/offset+octet-stream"}


@dataclass(frozen=True, kw_only=True)
class Errand:
    """`size` bytes by a door, or `requests` small ones of a kind."""

    port: int
    door: str
    size: int = 0
    requests: int = 0


@dataclass(frozen=True, kw_only=True)
class Done:
    """From the first byte that was sent to the last one of the last answer."""

    seconds: float
    requests: int


def done(errand: Errand) -> Done:
    """Runs it in a process of its own. Raises `RuntimeError` where an answer is not what it is to be."""
    command = [sys.executable, "-m", __name__]
    ended = subprocess.run(command, input=json.dumps(asdict(errand)), capture_output=True, text=True)
    if ended.returncode != 0:
        raise RuntimeError(f"{errand.door}: {ended.stderr}")
    return Done(**json.loads(ended.stdout))


class Connection:
    """One that is kept for the next request."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), SILENT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests = 0

    def close(self) -> None:
        self._socket.close()

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], pieces: Sequence[memoryview] = (), *, status: int
    ) -> Mapping[str, str]:
        """The headers of the answer, by their names in lower case. Raises `ValueError` for another status."""
        lines = {"Host": "127.0.0.1", "Content-Length": str(sum(map(len, pieces))), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.send(memoryview(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1")), pieces)
        return self.answer(status)

    def send(self, head: memoryview, pieces: Sequence[memoryview]) -> None:
        if pieces and len(pieces[0]) < MIB:  # a small request is one packet
            head, pieces = memoryview(bytes(head) + bytes(pieces[0])), pieces[1:]
        self._socket.sendall(head)
        for piece in pieces:
            self._socket.sendall(piece)
        self.requests += 1

    def answer(self, status: int) -> Mapping[str, str]:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        left = int(headers.get("content-length", 0)) - len(body)
        while left > 0:
            left -= len(self._more())
        if not re.match(rf"HTTP/1\.1 {status}\b", first):
            raise ValueError(f"answered {first}, and not {status}: {body[:300]!r}")
        return headers

    def _more(self) -> bytes:
        more = self._socket.recv(1 << 16)
        if not more:
            raise EOFError("the connection was closed without an answer")
        return more

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# The same file, by each door


def _form(connection: Connection, size: int) -> None:
    request = film(size)
    connection.send(memoryview(request.head), request.pieces)
    connection.answer(200)


def _one_patch(connection: Connection, size: int) -> None:
    _patched(connection, _created(connection, size), _bytes_of(size), 0)


def _patches(connection: Connection, size: int) -> None:
    address, offset = _created(connection, size), 0
    for pieces in _cut(_bytes_of(size), PIECE):
        offset = _patched(connection, address, pieces, offset)


def _one_post(connection: Connection, size: int) -> None:
    headers = _BYTES | {"Upload-Length": str(size)}
    expect(connection.ask("POST", "/tus/", headers, _bytes_of(size), status=201), size)


def _ietf(connection: Connection, size: int) -> None:
    headers = {"Upload-Complete": "?1", "Upload-Draft-Interop-Version": "8", "Content-Type": "video/mp4"}
    expect(connection.ask("POST", "/tus/", headers, _bytes_of(size), status=201), size)


def _created(connection: Connection, size: int) -> str:
    return connection.ask("POST", "/tus/", _VERSION | {"Upload-Length": str(size)}, status=201)["location"]


def _patched(connection: Connection, address: str, pieces: Sequence[memoryview], offset: int) -> int:
    end = offset + sum(map(len, pieces))
    expect(connection.ask("PATCH", address, _BYTES | {"Upload-Offset": str(offset)}, pieces, status=204), end)
    return end


def expect(headers: Mapping[str, str], offset: int) -> None:
    """Raises `ValueError` where an answer has another offset."""
    if headers.get("upload-offset") != str(offset):
        raise ValueError(f"the offset is {headers.get('upload-offset')}, and not {offset}")


def _bytes_of(size: int) -> Sequence[memoryview]:
    """The film of the form, without the form."""
    return film(size).pieces[1:-1]


def _cut(pieces: Sequence[memoryview], size: int) -> Iterator[list[memoryview]]:
    taken, room = list[memoryview](), size
    for piece in pieces:
        left = piece
        while left:
            taken.append(left[:room])
            left, room = left[room:], room - len(taken[-1])
            if not room:
                yield taken
                taken, room = [], size
    if taken:
        yield taken


# Small requests


def _small_forms(connection: Connection, requests: int) -> Iterator[None]:
    request = film(32)
    for _ in range(requests):
        connection.send(memoryview(request.head + b"".join(request.pieces)), ())
        connection.answer(200)
        yield


def _creations(connection: Connection, requests: int) -> Iterator[None]:
    for _ in range(requests):
        _created(connection, 10**6)
        yield


def _first_bytes(connection: Connection, requests: int) -> Iterator[None]:
    """One byte after the other, of an upload that has none yet: each time the first ones are looked at."""
    yield from _one_by_one(connection, requests, 0)


def _later_bytes(connection: Connection, requests: int) -> Iterator[None]:
    yield from _one_by_one(connection, requests, 2 * MIB)


def _heads(connection: Connection, requests: int) -> Iterator[None]:
    address = _created(connection, 10**6)
    yield
    for _ in range(requests):
        expect(connection.ask("HEAD", address, _VERSION, status=200), 0)
        yield


def _one_by_one(connection: Connection, requests: int, begin: int) -> Iterator[None]:
    address, byte = _created(connection, 10**8), memoryview(b"x")
    if begin:
        _patched(connection, address, [memoryview(bytes(begin))], 0)
    yield
    for number in range(requests):
        _patched(connection, address, [byte], begin + number)
        yield


FILES: Final[Mapping[str, Callable[[Connection, int], None]]] = {
    "form": _form,
    "tus, one PATCH": _one_patch,
    "tus, PATCHes of 5 MiB": _patches,
    "tus, one POST": _one_post,
    "IETF, one POST": _ietf,
}
"""The ways of one file."""

SMALL: Final[Mapping[str, Callable[[Connection, int], Iterator[None]]]] = {
    "a form with 32 bytes": _small_forms,
    "an upload is created": _creations,
    "PATCH, one of the first bytes": _first_bytes,
    "PATCH, one of the later bytes": _later_bytes,
    "HEAD": _heads,
}


def main() -> None:
    """The process itself."""
    errand = Errand(**json.loads(sys.stdin.readline()))
    with closing(Connection(errand.port)) as connection:
        if errand.door in FILES:
            film(errand.size)
            begin = time.perf_counter()
            FILES[errand.door](connection, errand.size)
        else:
            asking = SMALL[errand.door](connection, errand.requests)
            if errand.door not in ("a form with 32 bytes", "an upload is created"):
                next(asking)
            begin = time.perf_counter()
            for _ in asking:
                pass
        seconds = time.perf_counter() - begin
    print(json.dumps(asdict(Done(seconds=seconds, requests=connection.requests))))


if __name__ == "__main__":
    main()
