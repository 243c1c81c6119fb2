"""A service in a folder of its own, on a real socket of this machine, in a thread of the tests: as clients see it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp
from uvicorn.config import HTTPProtocolType

from uploadkit.service.app import create_app
from uploadkit.service.parts import Parts
from uploadkit.service.settings import Settings

from .conftest import quick_pipeline

ENDED_SECONDS = 20
"""It needs a tenth of one."""


def app_of(folder: Path, **settings: Any) -> Starlette:
    """With these settings."""
    return create_app(Settings(data=folder / "data", **settings), pipeline=quick_pipeline(folder))


class Listening(uvicorn.Server):
    """A server, and the port at which it listens."""

    def __init__(self, config: uvicorn.Config, port: int) -> None:
        super().__init__(config)
        self.port = port

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Whoever reads nothing would keep his connection, and uvloop does not close with one."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        while self.server_state.connections:  # noqa: ASYNC110  # the end of `listening` bounds it
            await asyncio.sleep(0.005)

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self.server_state.connections)


@contextmanager
def listening(
    app: ASGIApp,
    *,
    http: HTTPProtocolType | type[asyncio.Protocol] = "httptools",
    grace_seconds: int | None = 5,
) -> Iterator[Listening]:
    """It listens before the server has begun: whoever connects waits in its line. At the end of the block what is under
    way is waited for, but not longer than `grace_seconds`."""
    parts: Parts | None = getattr(getattr(app, "state", None), "parts", None)
    proxies = () if parts is None else parts.settings.trusted_proxies
    with socket.create_server(("127.0.0.1", 0), backlog=128) as door:
        config = uvicorn.Config(
            app,
            http=http,
            loop="uvloop",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
            timeout_graceful_shutdown=grace_seconds,
        )
        server = Listening(config, door.getsockname()[1])
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, name="listening")
        thread.start()
        try:
            yield server
        finally:
            server.should_exit = True
            thread.join(ENDED_SECONDS)
            assert not thread.is_alive()
