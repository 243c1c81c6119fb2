"""A wire between a browser and a service, which can be cut: connections through it end, or their answers are lost."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType

CHUNK = 16_384
HEADS = 100_000  # bytes, at most, that a page asks with beside the files: a browser may ask for more than the page does


class Wire:
    """Listens on a port of its own, from `with` to its end, and passes on what comes to `port`.

    `passed` counts the bytes that went to the service. Small buffers keep it near to what the browser believes.
    """

    def __init__(self, port: int) -> None:
        self.leads_to = port  # a service that was begun again has another one
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._threads: list[threading.Thread] = []
        self._is_cut = False
        self.loses_answers = False  # those to uploads end on their way, when the service has done what it was asked
        self.may_lose = threading.Event()  # and wait there for this
        self.may_lose.set()
        self.bytes_per_second: int | None = None  # on the way to the service, of each connection
        self.passed = 0

    def cut(self) -> None:
        """Ends every connection, and each that comes, until it is mended."""
        self._is_cut = True
        with self._lock:
            for pair in self._pairs:
                _end(*pair)

    def mend(self) -> None:
        """From now on all is well."""
        self._is_cut = False

    def __enter__(self) -> Wire:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        _end(self._listener)
        self.may_lose.set()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                browser, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                _end(browser)
                continue
            try:
                service = socket.create_connection(("127.0.0.1", self.leads_to))
            except OSError:  # the service has ended
                _end(browser)
                continue
            pair = browser, service
            with self._lock:
                self._pairs.add(pair)
            asked = _Asked()
            self._start(self._pass, pair, browser, service, asked)
            self._start(self._pass, pair, service, browser, asked)

    def _pass(
        self, pair: tuple[socket.socket, socket.socket], source: socket.socket, to: socket.socket, asked: _Asked
    ) -> None:
        is_answer = source is pair[1]
        with suppress(OSError):
            while chunk := source.recv(CHUNK):
                if is_answer and self.loses_answers and asked.is_upload:
                    self.may_lose.wait(30)
                    break
                if not is_answer:
                    asked.see(chunk)
                    self.passed += len(chunk)
                    if self.bytes_per_second is not None:
                        time.sleep(len(chunk) / self.bytes_per_second)
                to.sendall(chunk)
        _end(*pair)
        with self._lock:
            self._pairs.discard(pair)


class _Asked:
    """What a connection was last asked for."""

    def __init__(self) -> None:
        self.is_upload = False

    def see(self, chunk: bytes) -> None:
        if chunk[:5] in (b"GET /", b"HEAD ", b"DELET"):
            self.is_upload = False
        elif chunk.startswith((b"POST /uploads", b"PATCH /tus/")):
            self.is_upload = True


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
