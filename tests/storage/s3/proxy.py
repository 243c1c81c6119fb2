"""Stands between a client and an S3 server on 127.0.0.1, and lets go wrong what a test wants to go wrong.

It knows which operation of S3 each request is, and keeps a list of all. Requests go on as they came, the Host header
too, which a signature is over: the server is told the proxy's address, and takes it for its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from tests.storage.s3.server import S3Server

BLOCK_SIZE = 2**18

SLOW_BLOCK_SIZE, SLOW_BUFFER_SIZE = 2**14, 2**16
"""Where reading is slow it is in small steps, and the kernel takes no more than this ahead."""

LATE_SECONDS = 0.02
"""By so much a step may have been late that those after it make up for."""

HEAD_SIZE = 2**16

REFUSAL = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{}</Code><Message>as a test wants it</Message></Error>"


@dataclass(frozen=True)
class Refusal:
    """The answer is an error of S3. The request is read and not passed on."""

    status: int
    code: str


class Fault(Enum):
    """What else can happen to a request."""

    RESET = "the connection is reset when the head has come"
    RESET_HALFWAY = "half of the body is passed on, then both connections are reset"
    RESET_AFTER = "all of the body is read, nothing is passed on, and the connection is reset"
    CUT = "the server does it, and the connection is reset in the middle of its answer"
    LOST = "the server does it, and the connection is closed before its answer"
    LOST_SILENTLY = "the server does it, and its answer never comes"
    SILENT = "all of the body is read, nothing is passed on, and no answer comes"
    STALLED = "nothing of the body is read, and no answer comes"


class Hold:
    """The request is read, and passed on when the test lets it go, whether its client still waits or not."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.over = threading.Event()
        self._let_go = threading.Event()

    def let_go(self) -> None:
        """It is passed on, and so are those that come later."""
        self._let_go.set()

    async def _hold(self) -> None:
        self.reached.set()
        while not self._let_go.is_set():  # noqa: ASYNC110  # it is set in another thread
            await asyncio.sleep(0.002)


INTERNAL_ERROR, SLOW_DOWN = Refusal(500, "InternalError"), Refusal(503, "SlowDown")

Wrong: TypeAlias = Refusal | Fault | Hold


@dataclass(eq=False)
class Call:
    """A request that has come. `status` is that of the server's own answer, None where it has not given one."""

    operation: str
    key: str
    part: int | None = None
    status: int | None = None


@dataclass(eq=False)
class _Rule:
    operation: str
    wrong: Wrong
    part: int | None
    after: int
    times: int | None
    met: int = 0

    def meets(self, call: Call) -> bool:
        if call.operation != self.operation or self.part not in (None, call.part):
            return False
        self.met += 1
        return self.met > self.after and (self.times is None or self.met <= self.after + self.times)


@dataclass(frozen=True)
class _Request:
    head: bytes
    method: str
    headers: dict[str, str]
    call: Call


@dataclass(eq=False)
class Proxy:
    """In front of `server`, in a thread of its own, from `with` to its end.

    `calls` are all requests that have come. `most_at_once` counts, by operation, how many were under way at the same
    time. `bytes_per_second`, where it is set, is how fast the bodies of all requests together are read.
    """

    server: S3Server
    bytes_per_second: float | None = None
    calls: list[Call] = field(default_factory=list)
    most_at_once: Counter[str] = field(default_factory=Counter)
    _rules: list[_Rule] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _under_way: Counter[str] = field(default_factory=Counter)
    _free_at: float = 0.0

    def fail(
        self, operation: str, wrong: Wrong, *, part: int | None = None, after: int = 0, times: int | None = None
    ) -> None:
        """Lets `after` calls of an operation through; of those that follow `times` go wrong, or all of them."""
        self._rules.append(_Rule(operation, wrong, part, after, times))

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        self._rules.clear()

    def count(self, operation: str) -> int:
        """How many calls of an operation have come."""
        return sum(call.operation == operation for call in self.calls)

    def disconnect(self) -> None:
        """Ends every connection, those that wait for their next request as well."""
        self._do(self._disconnect())

    def __enter__(self) -> Proxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_SIZE)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._listener, limit=HEAD_SIZE)

    async def _close(self) -> None:
        self._server.close()
        # A connection that is just being accepted begins its task only now: until there is none.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_asyncgens()

    async def _disconnect(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    # One connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(OSError, EOFError):
                while await self._serve_one(reader, writer):
                    pass
        except asyncio.CancelledError:  # the proxy is closed
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            await _closed(writer)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may have another request."""
        request = _request(await reader.readuntil(b"\r\n\r\n"))
        call = request.call
        self.calls.append(call)
        self._under_way[call.operation] += 1
        self.most_at_once[call.operation] = max(self.most_at_once[call.operation], self._under_way[call.operation])
        try:
            wrong = next((rule.wrong for rule in list(self._rules) if rule.meets(call)), None)
            return await self._answer(request, wrong, reader, writer)
        finally:
            self._under_way[call.operation] -= 1

    async def _answer(
        self, request: _Request, wrong: Wrong | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if wrong is Fault.RESET:
            return _reset(writer)
        if "100-continue" in request.headers.get("expect", ""):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if wrong is Fault.STALLED:
            await writer.wait_closed()  # by `disconnect`: who reads nothing does not see that the client gives up
        body = self._paced(_body(reader, request.headers))
        if wrong is Fault.RESET_HALFWAY:
            await self._pass_half(request, body)
            return _reset(writer)
        if wrong in (None, Fault.CUT):
            return await self._pass(request, body, writer, cut=wrong is Fault.CUT)
        whole = b"".join([block async for block in body])
        if isinstance(wrong, Refusal):
            writer.write(_refusal(wrong, request.method))
            await writer.drain()
            return True
        if isinstance(wrong, Hold):
            await wrong._hold()
            try:
                return await self._pass(request, _blocks(whole), writer)
            finally:
                wrong.over.set()
        if wrong in (Fault.LOST, Fault.LOST_SILENTLY):
            await self._pass(request, _blocks(whole), None)
        if wrong in (Fault.LOST_SILENTLY, Fault.SILENT):
            await reader.read()  # until the client gives up
        return _reset(writer) if wrong is Fault.RESET_AFTER else False

    async def _pass(
        self, request: _Request, body: AsyncIterator[bytes], client: asyncio.StreamWriter | None, *, cut: bool = False
    ) -> bool:
        """The server does it, and its answer goes to the client, if it is to have one."""
        async with self._connected() as (reader, writer):
            writer.write(request.head)
            async for block in body:
                writer.write(block)
                await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            while head.startswith(b"HTTP/1.1 1"):  # it may go on, which it was told already
                head = await reader.readuntil(b"\r\n\r\n")
            answer = [head]
            request.call.status = int(head.split(b" ", 2)[1])
            headers = _headers(head)
            if request.method != "HEAD" and request.call.status not in (204, 304):
                answer += [block async for block in _body(reader, headers)]
        if client is not None and cut:
            whole = b"".join(answer)
            client.write(whole[: (len(head) + len(whole)) // 2])
            await client.drain()
            return _reset(client)
        if client is not None:
            client.writelines(answer)
            await client.drain()
        return headers.get("connection", "").lower() != "close"

    async def _pass_half(self, request: _Request, body: AsyncIterator[bytes]) -> None:
        rest = int(request.headers.get("content-length", "0")) // 2
        async with self._connected() as (_, writer):
            writer.write(request.head)
            async for block in body:
                writer.write(block[:rest])
                await writer.drain()
                rest -= len(block)
                if rest <= 0:
                    break
            _reset(writer)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        where = urlsplit(self.server.url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=HEAD_SIZE)
        try:
            yield reader, writer
        finally:
            await _closed(writer)

    async def _paced(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for block in body:
            while block:
                now, rate = time.monotonic(), self.bytes_per_second
                some = block if rate is None else block[:SLOW_BLOCK_SIZE]
                block = block[len(some) :]
                if rate is not None:
                    self._free_at = max(self._free_at, now - LATE_SECONDS) + len(some) / rate
                    await asyncio.sleep(max(0, self._free_at - now))
                yield some


# HTTP


def _request(head: bytes) -> _Request:
    method, target, _ = head.decode("latin-1").split(" ", 2)
    headers = _headers(head)
    return _Request(head, method, headers, _call(method, target, headers))


def _headers(head: bytes) -> dict[str, str]:
    lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:-2]]
    return {name.lower(): value.strip() for name, _, value in lines}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    """As it is on the wire."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        size = -1
        while size != 0:
            yield (line := await reader.readuntil(b"\r\n"))
            size = int(line.split(b";")[0], 16)
            if size:
                yield await reader.readexactly(size + 2)
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            yield line
        yield line
        return
    rest = int(headers.get("content-length", "0"))
    while rest:
        block = await reader.read(min(rest, BLOCK_SIZE))
        if not block:
            raise EOFError
        rest -= len(block)
        yield block


async def _blocks(whole: bytes) -> AsyncIterator[bytes]:
    if whole:
        yield whole


def _refusal(refusal: Refusal, method: str) -> bytes:
    text = REFUSAL.format(refusal.code).encode()
    head = f"HTTP/1.1 {refusal.status} as a test wants it\r\nContent-Type: application/xml\r\n"
    head += f"Content-Length: {len(text)}\r\n\r\n"
    return head.encode() + (b"" if method == "HEAD" else text)


def _reset(writer: asyncio.StreamWriter) -> bool:
    """Ends a connection so that the other end is told that it was reset; it has no other request."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError, asyncio.CancelledError):  # cancelled by the end of the proxy
        await writer.wait_closed()


# S3

_OF_A_BUCKET = [
    ("GET", "uploads", "ListMultipartUploads"),
    ("GET", "list-type", "ListObjectsV2"),
    ("POST", "delete", "DeleteObjects"),
    ("PUT", "", "CreateBucket"),
    ("HEAD", "", "HeadBucket"),
    ("POST", "", "PostObject"),
    ("GET", "", "ListObjects"),
]

_OF_AN_OBJECT = [
    ("POST", "uploads", "CreateMultipartUpload"),
    ("POST", "uploadId", "CompleteMultipartUpload"),
    ("DELETE", "uploadId", "AbortMultipartUpload"),
    ("GET", "uploadId", "ListParts"),
    ("PUT", "partNumber", "UploadPart"),
    ("PUT", "", "PutObject"),
    ("GET", "", "GetObject"),
    ("HEAD", "", "HeadObject"),
    ("DELETE", "", "DeleteObject"),
]

_COPIES = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}


def _call(method: str, target: str, headers: dict[str, str]) -> Call:
    """Which operation it is, as the first row says that fits."""
    where = urlsplit(target)
    query = parse_qs(where.query, keep_blank_values=True)
    _, _, key = unquote(where.path).lstrip("/").partition("/")
    rows = _OF_AN_OBJECT if key else _OF_A_BUCKET
    name = next((name for verb, word, name in rows if verb == method and word in ("", *query)), f"{method} {target}")
    if "x-amz-copy-source" in headers:
        name = _COPIES[name]
    return Call(name, key, int(query["partNumber"][0]) if "partNumber" in query else None)
