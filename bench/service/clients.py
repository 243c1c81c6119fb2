"""The clients: a process that does nothing else, so that it takes as little as it can of what is measured.

`python -m bench.service.clients` reads one line of JSON, what to do, and answers with one: what came of it.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from .forms import Request, dripping, film, photo

MOST_SECONDS = 600
"""So long one request may take."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """`photos` clients send photos of `size` bytes, one after the other, for so many `seconds`; `dripping` ones send a
    byte a second, from the beginning, until they are ended; and one asks for another route all the time. `film` bytes
    are sent once instead, where they are given."""

    port: int
    seconds: float = 0
    photos: int = 0
    size: int = 5 * 10**6
    dripping: int = 0
    film: int = 0
    asks: bool = True


@dataclass(frozen=True, kw_only=True)
class Found:
    """`posts` are of each upload: when it was answered, after how many seconds, and by which status. `uploads` are the
    ids of all that were taken. `drips` are of each client that drips: after how many seconds it was ended, and how.
    `asked` are the seconds that the other route took. `errors` are what went wrong beside."""

    began: float
    seconds: float
    posts: list[tuple[float, float, int]]
    uploads: list[str]
    drips: list[tuple[float, int]]
    asked: list[float]
    errors: list[str]


def found(load: Load) -> Found:
    """Runs the clients in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-m", __name__], input=json.dumps(asdict(load)), capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return Found(**json.loads(done.stdout))


class Clients:
    """All of them, in one event loop."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._posts: list[tuple[float, float, int]] = []
        self._uploads: list[str] = []
        self._drips: list[tuple[float, int]] = []
        self._asked: list[float] = []
        self._errors: list[str] = []

    async def run(self) -> Found:
        load = self._load
        requests = [film(load.film)] if load.film else [photo(load.size)] if load.photos else []
        wall, self._began = time.time(), time.perf_counter()
        asking = asyncio.create_task(self._ask()) if load.asks else None
        if load.film:
            await self._tried(self._send(requests[0], once=True))
        senders = [self._tried(self._send(requests[0])) for _ in range(load.photos)]
        drippers = [self._tried(self._drip()) for _ in range(load.dripping)]
        await asyncio.gather(*senders, *drippers)
        seconds = time.perf_counter() - self._began
        if asking is not None:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        return Found(
            began=wall,
            seconds=seconds,
            posts=self._posts,
            uploads=self._uploads,
            drips=self._drips,
            asked=self._asked,
            errors=self._errors,
        )

    async def _tried(self, client: Any) -> None:
        try:
            await client
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self._errors.append(f"{type(error).__name__}: {error}")

    async def _send(self, request: Request, *, once: bool = False) -> None:
        connection = await self._connect()
        try:
            while once or time.perf_counter() - self._began < self._load.seconds:
                begin = time.perf_counter()
                async with asyncio.timeout(MOST_SECONDS):
                    for piece in (memoryview(request.head), *request.pieces):
                        await asyncio.get_running_loop().sock_sendall(connection, piece)
                    status, body = await _answer(connection)
                now = time.perf_counter()
                self._posts.append((now - self._began, now - begin, status))
                if status == 202:
                    self._uploads += [each["id"] for each in json.loads(body)["uploads"]]
                if once:
                    return
        finally:
            connection.close()

    async def _drip(self) -> None:
        """Bytes a second apart, each client at its own time of the second."""
        loop, connection = asyncio.get_running_loop(), await self._connect()
        request = dripping()
        begin = time.perf_counter()
        await loop.sock_sendall(connection, request.head + bytes(request.pieces[0]))
        answered = asyncio.create_task(_answer(connection))
        try:
            await asyncio.sleep(random.Random(id(connection)).random())
            while not answered.done():
                await loop.sock_sendall(connection, b"x")
                await asyncio.wait([answered], timeout=1)
            status, _ = await answered
        except (ConnectionError, EOFError):
            status = (await answered)[0] if answered.done() and answered.exception() is None else 0
        finally:
            answered.cancel()
            connection.close()
        self._drips.append((time.perf_counter() - begin, status))

    async def _ask(self) -> None:
        """Another route, some hundred times a second."""
        loop, connection, pauses = asyncio.get_running_loop(), await self._connect(), random.Random(2)
        try:
            while True:
                await asyncio.sleep(pauses.uniform(0.005, 0.01))
                begin = time.perf_counter()
                await loop.sock_sendall(connection, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                status, _ = await _answer(connection)
                self._asked.append(time.perf_counter() - begin)
                if status != 200:
                    self._errors.append(f"the other route is answered with {status}")
        finally:
            connection.close()

    async def _connect(self) -> socket.socket:
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self._load.port))
        return connection


async def _answer(connection: socket.socket) -> tuple[int, bytes]:
    loop, data = asyncio.get_running_loop(), b""
    while True:
        head, ended, body = data.partition(b"\r\n\r\n")
        if ended:
            lines = head.lower().split(b"\r\n")
            length = next(int(line[15:]) for line in lines[1:] if line.startswith(b"content-length:"))
            if len(body) >= length:
                return int(lines[0].split()[1]), body
        more = await loop.sock_recv(connection, 1 << 16)
        if not more:
            raise EOFError("the connection was closed without an answer")
        data += more


def main() -> None:
    """The process itself."""
    load = Load(**json.loads(sys.stdin.read()))
    print(json.dumps(asdict(asyncio.run(Clients(load).run()))))


if __name__ == "__main__":
    main()
