"""Connections of clients: how much one may send that is no body, and how long it may take before a request begins.

uvicorn bounds neither where httptools reads. A header that never ends is copied again with each piece of it, twenty
seconds of the event loop for 32 MB, long before anybody is asked who he is; and whoever begins no request holds his
connection for ever. What a body may be and take is no matter of this: there the limits of uploads hold.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..adapters.problem import problem_body, problem_headers
from .problems import Refused

__all__ = ["Bounded"]

HEAD_SIZE: Final = 64 << 10
"""Bytes, as many as h11 takes. Of nginx a head has 32 KiB at most; browsers send less than 1."""

HEAD_SECONDS: Final = 30.0
"""So long a connection may have no request: until its first, and from each answer to the next. Where the last one was
answered and the client sends nothing, uvicorn's own five seconds are over before."""


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol, with bounds."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._untold = 0  # bytes since the parser last told of anything
        self._is_asked = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A head, trailers, and what stands between chunks. At most one read of the server's own size is more."""
        self._untold += len(data)
        super().data_received(data)
        if self._untold > HEAD_SIZE and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        self._untold = 0
        self._is_asked = True
        self._expect_nothing()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._untold = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:  # and it was the last one
            self._is_asked = False
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
        if not self._is_asked:
            error = Refused(431, "head_too_large", f"the head of a request has more than {HEAD_SIZE} bytes")
            answer = problem_body(error)
            headers = problem_headers(error) | {"Content-Length": str(len(answer)), "Connection": "close"}
            lines = ["HTTP/1.1 431 Request Header Fields Too Large", *(f"{name}: {headers[name]}" for name in headers)]
            self.transport.write("\r\n".join([*lines, "", ""]).encode("ascii") + answer)
        self.transport.close()
