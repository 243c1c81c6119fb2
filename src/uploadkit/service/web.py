"""One web process of `uploadkit serve`: `python -m uploadkit.service.web SOCKET CHANNEL`, which `tree` begins.

The socket is bound, and shared with the others; the settings are in the environment. When it is told to end it takes
nothing new, and ends when what it is at is over. What is not over after `grace_seconds` is cut: answered by 503, and
nothing of it is left.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from ..adapters.asgi import Answer
from ..errors import Overloaded
from .app import create_app
from .channel import Parent
from .connections import Bounded
from .lines import configure
from .problems import answered
from .settings import Settings

__all__ = ["main"]

ABORT_SECONDS: Final = 1.0
"""So long an answer of what was cut may take to go out."""

_log = logging.getLogger("uploadkit.service")


def main(listening: int, channel: int) -> int:
    """Returns the status to exit with."""
    parent = Parent(channel)
    settings = Settings.load()
    configure(settings)
    try:
        app = create_app(settings)
        app.state.parts.pipeline.ledger.migrate()
    except Exception as error:
        _log.debug("the service cannot begin", exc_info=True)
        parent.failed(error)
        return 2
    gc.freeze()  # what was imported stays: the collector need not look at it again, 1 s at the end of a busy machine
    server = _Server(_config(settings, app), begun=parent.ready)

    async def serve() -> None:
        loop = asyncio.get_running_loop()

        def end() -> None:
            app.state.parts.readiness.drain()
            server.end(settings.grace_seconds)

        parent.listen(
            on_end=lambda: loop.call_soon_threadsafe(end),
            on_gone=lambda: loop.call_soon_threadsafe(server.end, 0),
        )
        await server.serve(sockets=[socket.socket(fileno=listening)])

    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(serve())
    return 0


def _config(settings: Settings, app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        _Answered(app),
        loop="uvloop",
        http=Bounded,
        lifespan="on",
        ws="none",
        log_config=None,
        log_level="warning",  # that processes begin and end is said by the parent
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
    )


class _Server(uvicorn.Server):
    """One that ends when it is told so by `end`."""

    def __init__(self, config: uvicorn.Config, *, begun: Callable[[], object]) -> None:
        super().__init__(config)
        self._begun = begun
        self._is_told = False

    def end(self, grace_seconds: float) -> None:
        """In the loop. Called again it takes its time back."""
        if not self._is_told:
            self._is_told = True
            signal.raise_signal(signal.SIGTERM)  # streams of events, which do not end by themselves, hear of it
        asyncio.get_running_loop().call_later(grace_seconds, self._cut)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What is sent to the parent comes here too: it is the parent who says when to end."""
        if self._is_told:
            self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._begun()

    def _cut(self) -> None:
        if self.server_state.tasks:
            _log.warning("%d requests are cut: they were not over in time", len(self.server_state.tasks))
        for task in list(self.server_state.tasks):
            task.cancel()
        asyncio.get_running_loop().call_later(ABORT_SECONDS, self._abort)

    def _abort(self) -> None:
        for connection in list(self.server_state.connections):
            if (transport := connection.transport) is not None:
                transport.abort()


class _Answered:
    """Around the application: a request that is cut has an answer, where none had begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = Answer(send)
        try:
            await self._app(scope, receive, answer.send)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            if not answer.begun:
                told = answered(Overloaded("the service is about to end; try again later", retry_after=1))
                told.headers["Connection"] = "close"
                await told(scope, receive, send)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
