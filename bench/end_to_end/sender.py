"""The client: precomputed requests over plain sockets, in a process that does nothing else.

Started with a load on its command line, it says "ready" when all bytes are made. Then every line of its input is a
port: it sends the load there and answers with one line of JSON. One loop serves all connections, each of which has
one request under way and is kept for the next; what the server says is read as soon as a request was sent.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from .forms import Load

SILENT_SECONDS = 600
"""A server that neither takes nor sends a byte for so long is given up. One may have it all, and store it elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """How long a load took, from the first byte sent to the last one answered, and each different answer."""

    seconds: float
    failure: str | None
    answers: list[str]


class Sender:
    """The process, from the caller's side."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def send(self, port: int) -> Sent:
        """Sends the whole load and waits for the end of it."""
        assert self._process.stdin is not None
        print(port, file=self._process.stdin, flush=True)
        return Sent(**json.loads(self._line()))

    def wait_until_ready(self) -> None:
        """Returns when all bytes are made."""
        self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the sender has ended")
        return line


@contextmanager
def sending(load: Load) -> Iterator[Sender]:
    """A sender of this load that is ready."""
    command = [sys.executable, "-m", __name__, json.dumps(asdict(load))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        sender = Sender(process)
        try:
            sender.wait_until_ready()
            yield sender
        finally:
            process.kill()


def main() -> None:
    """The process itself."""
    load = Load(**json.loads(sys.argv[1]))
    requests = [list(load.request(number)) for number in range(load.requests)]
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(sent(requests, load.connections, int(line)))), flush=True)


def sent(requests: list[list[memoryview]], connections: int, port: int) -> Sent:
    """Sends every request once. What follows upon a failure is not sent."""
    left = iter(requests)
    answers: set[str] = set()
    failure = None
    start = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        open_ones = {_Connection(port, selector) for _ in range(min(connections, len(requests)))}
        try:
            for connection in list(open_ones):
                connection.begin(next(left))
            while open_ones:
                events = selector.select(SILENT_SECONDS)
                if not events:
                    raise _FailedError("the server is silent")
                for key, _ in events:
                    connection = key.data
                    answer = connection.go_on()
                    if answer is None:
                        continue
                    answers.add(answer)
                    if (request := next(left, None)) is not None:
                        connection.begin(request)
                    else:
                        connection.close()
                        open_ones.discard(connection)
        except (_FailedError, OSError) as error:
            failure = str(error)
        finally:
            seconds = time.perf_counter() - start
            for connection in open_ones:
                connection.close()
    return Sent(seconds=seconds, failure=failure, answers=sorted(answers))


class _FailedError(Exception):
    pass


class _Connection:
    """One socket: writes a request as fast as it is taken, then reads the answer."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self._port = port
        self._selector = selector
        self._is_closed = False
        self._left: list[memoryview] = []
        self._answer = b""
        self._socket = self._connect()

    def begin(self, request: list[memoryview]) -> None:
        if self._is_closed:
            self._socket = self._connect()
            self._is_closed = False
        self._left = request[::-1]
        self._answer = b""
        self._wait_for(selectors.EVENT_WRITE)

    def go_on(self) -> str | None:
        """Sends or reads what can be sent or read now. Returns the answer's body when it is there whole."""
        if self._left:
            self._send()
            return None
        return self._read()

    def close(self) -> None:
        if not self._is_closed:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._is_closed = True

    def _connect(self) -> socket.socket:
        connected = socket.create_connection(("127.0.0.1", self._port), SILENT_SECONDS)
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(connected, selectors.EVENT_WRITE, self)
        return connected

    def _wait_for(self, event: int) -> None:
        self._selector.modify(self._socket, event, self)

    def _send(self) -> None:
        piece = self._left.pop()
        try:
            count = self._socket.send(piece)
        except BlockingIOError:
            count = 0
        except ConnectionError as error:
            raise _FailedError("the server has closed the connection in the middle of a body") from error
        if count < len(piece):
            self._left.append(piece[count:])
        if not self._left:
            self._wait_for(selectors.EVENT_READ)

    def _read(self) -> str | None:
        data = self._socket.recv(65536)
        if not data:
            raise _FailedError("the server has closed the connection without an answer")
        self._answer += data
        head, end_of_head, body = self._answer.partition(b"\r\n\r\n")
        if not end_of_head:
            return None
        length = _content_length(head)
        if length is None:
            raise _FailedError("an answer without Content-Length")
        if len(body) < length:
            return None
        if not _ok(head):
            raise _FailedError(f"answered {head[9:12].decode('latin-1')}: {body[:100].decode('latin-1')}")
        if _closes(head):
            self.close()
        return body.decode("latin-1")


_ok = re.compile(rb"HTTP/1\.1 200\b").match
_closes = re.compile(rb"\r\nconnection:\s*close", re.IGNORECASE).search


def _content_length(head: bytes) -> int | None:
    found = re.search(rb"\r\ncontent-length:\s*(\d+)", head, re.IGNORECASE)
    return int(found[1]) if found else None


if __name__ == "__main__":
    main()
