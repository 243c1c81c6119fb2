"""A service behind a real socket, with its server in a thread of this process: quicker to begin than one of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import uvicorn
from starlette.applications import Starlette

READY_SECONDS = 30


class Listening(uvicorn.Server):
    """Its port is chosen by the system."""

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self.server_state.connections)


@contextmanager
def listening(app: Starlette, *, http: str = "httptools") -> Iterator[Listening]:
    """Returns when it listens; at the end all its connections are closed."""
    config = uvicorn.Config(app, port=0, http=http, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = Listening(config)
    thread = Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        until = time.monotonic() + READY_SECONDS
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < until
            time.sleep(0.005)
        yield server
    finally:
        server.should_exit = True
        thread.join(READY_SECONDS)
    assert not thread.is_alive()
