"""A proxy that cuts connections off: each after so many bytes of what the client sends, or of what it is answered.

It notes what is told of offsets on its way. Every connection is closed at the end of the block that runs it.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_RESET = struct.pack("ii", 1, 0)  # what is sent at the end is no FIN
_offset = re.compile(rb"^upload-offset: (\d+)\r$", re.IGNORECASE | re.MULTILINE).findall

Budget = Callable[[], "tuple[int | None, int | None]"]
"""How many bytes the next connection may send, and be answered; None is any number."""


@dataclass
class Cutting:
    """Where it listens, how often it has cut, and what was told of offsets, in the order of the answers."""

    port: int
    cuts: int = 0
    offsets: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def cutting(port: int, budget: Budget) -> Iterator[Cutting]:
    """In front of a server at `port`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Cutting(listener.getsockname()[1])
        pairs: list[_Pair] = []
        accepting = threading.Thread(target=_accept, args=(listener, port, budget, proxy, pairs))
        accepting.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(10)
            for pair in pairs:
                pair.end()


def _accept(listener: socket.socket, port: int, budget: Budget, proxy: Cutting, pairs: list[_Pair]) -> None:
    with suppress(OSError):  # it was shut down
        while True:
            client, _ = listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", port), timeout=10)
            except OSError:  # there is none at the moment
                client.close()
                continue
            server.settimeout(None)
            pairs.append(_Pair(client, server, *budget(), proxy))


class _Pair:
    """One connection and that to the server."""

    def __init__(
        self, client: socket.socket, server: socket.socket, sends: int | None, hears: int | None, proxy: Cutting
    ) -> None:
        self._sockets = (client, server)
        self._proxy = proxy
        self._is_cut = threading.Event()
        self._threads = [
            threading.Thread(target=self._pump, args=(client, server, sends, False)),
            threading.Thread(target=self._pump, args=(server, client, hears, True)),
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._cut()
        for thread in self._threads:
            thread.join(10)
        for each in self._sockets:
            each.close()

    def _pump(self, source: socket.socket, target: socket.socket, left: int | None, answers: bool) -> None:
        told = b""
        with suppress(OSError):
            while data := source.recv(65536):
                if answers:
                    told = self._heard(told + data)
                target.sendall(data if left is None else data[:left])
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        self._proxy.cuts += 1
                        self._cut()
                        return
            target.shutdown(socket.SHUT_WR)

    def _heard(self, told: bytes) -> bytes:
        """Notes the offsets of the heads that are whole. They are short, and so are their bodies."""
        head, end, rest = told.rpartition(b"\r\n\r\n")
        if end:
            with self._proxy.lock:
                self._proxy.offsets.extend(map(int, _offset(head + b"\r\n")))
            return rest
        return told

    def _cut(self) -> None:
        if self._is_cut.is_set():
            return
        self._is_cut.set()
        for each in self._sockets:
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
