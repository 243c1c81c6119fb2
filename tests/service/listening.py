"""An application behind a real socket, in a thread of this process: uvicorn as the service runs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

READY_SECONDS = 20


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup()
        self.listens.set()


@contextmanager
def listening(app: ASGIApp, *, grace_seconds: int | None = None) -> Iterator[int]:
    """The port on 127.0.0.1 at which `app` answers, until the block ends. What is under way then is waited for, but not
    longer than `grace_seconds`."""
    config = uvicorn.Config(
        app,
        port=0,
        http="httptools",
        loop="uvloop",
        log_level="critical",
        timeout_graceful_shutdown=grace_seconds,
    )
    server = _Server(config)
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        assert server.listens.wait(READY_SECONDS)
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(READY_SECONDS)
        assert not thread.is_alive()
