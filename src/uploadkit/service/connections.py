"""Connections of clients: how much one may send that is no body, how long it may take before a request begins, and how
long nothing of an answer may be taken.

uvicorn bounds none of them where httptools reads. A header that never ends is copied again with each piece of it,
twenty seconds of the event loop for 32 MB, long before anybody is asked who he is; and whoever begins no request, or
reads no answer, holds his connection for ever. What a body may be and take is no matter of this: there the limits of
uploads hold.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections import deque
from contextlib import suppress
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ..adapters.problem import problem_body, problem_headers
from .problems import Refused

if sys.platform != "win32":
    import fcntl
    import termios

__all__ = ["Bounded"]

HEAD_SIZE: Final = 64 << 10
"""Bytes, as many as h11 takes. Of nginx a head has 32 KiB at most; browsers send less than 1."""

HEAD_SECONDS: Final = 30.0
"""So long a connection may have no request: until its first, and from each answer to the next. Where the last one was
answered and the client sends nothing, uvicorn's own five seconds are over before."""

TAKE_SECONDS: Final = 60.0
"""So long a client may take nothing of an answer, as nginx has it. It is looked that often: up to twice as long."""

_RESET: Final = struct.pack("ii", 1, 0)


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol, with bounds."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._untold = 0  # bytes since the parser last told of anything
        self._asked: deque[RequestResponseCycle] = deque()  # the first one runs, the others wait for its answer
        self._deadline: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._untaken: int | None = None  # bytes, at the last look, since which nothing was added

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """uvicorn tells the last request alone, and the one that runs would write to what is closed."""
        self._expect_nothing()
        if self._looking is not None:
            self._looking.cancel()
        self.pipeline.clear()
        for cycle in self._asked:
            cycle.disconnected = True
            cycle.message_event.set()
        self._asked.clear()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._untaken = None
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """A head, trailers, and what stands between chunks. At most one read of the server's own size is more."""
        self._untold += len(data)
        super().data_received(data)
        if self._untold > HEAD_SIZE and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        self._untold = 0
        self._expect_nothing()
        super().on_headers_complete()
        self._asked.append(self.cycle)

    def on_body(self, body: bytes) -> None:
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._untold = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._asked.popleft()
        super().on_response_complete()
        if not self._asked:
            self._expect_request()

    def _expect_request(self) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self) -> None:
        """Who is being answered already hears no more: the answer cannot be told from another one."""
        if not self._asked:
            error = Refused(431, "head_too_large", f"the head of a request has more than {HEAD_SIZE} bytes")
            answer = problem_body(error)
            headers = problem_headers(error) | {"Content-Length": str(len(answer)), "Connection": "close"}
            lines = ["HTTP/1.1 431 Request Header Fields Too Large", *(f"{name}: {headers[name]}" for name in headers)]
            self.transport.write("\r\n".join([*lines, "", ""]).encode("ascii") + answer)
        self.transport.close()

    def _look(self) -> None:
        """Ends whoever has taken nothing since the last look, of an answer that waits for him or of what is left when
        the connection is about to end. Nothing is added meanwhile, so what there is becomes less where he takes any.
        """
        untaken = self._count_untaken() if self.flow.write_paused or self.transport.is_closing() else None
        if untaken is not None and self._untaken is not None and untaken >= self._untaken:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()  # with that the kernel too forgets what it has
            return
        self._untaken = untaken
        self._looking = self.loop.call_later(TAKE_SECONDS, self._look)

    def _count_untaken(self) -> int:
        """With what is in the kernel's buffer, where it tells that: a megabyte of it has to go before it takes more,
        which a slow client may not have read in the time."""
        told = bytes(4)
        if sys.platform != "win32":
            with suppress(OSError):  # of a socket only Linux knows it
                told = fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, told)
        return self.transport.get_write_buffer_size() + int.from_bytes(told, sys.byteorder)
