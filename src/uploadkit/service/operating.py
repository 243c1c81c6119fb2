"""For operators: numbers for Prometheus, and whether the service lives and can work.

A scrape, or a question for health, waits for nobody longer than `ANSWER_SECONDS`, and asks nothing of ledger, queue and
storages that it was not told a second ago: however often somebody asks, the service has the same to do.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from ..errors import ObjectMissing, RecordMissing
from ..processing.metrics import CONTENT_TYPE, MOST_LABELS, Metrics
from ..processing.pipeline import Pipeline
from ..processing.worker import shares_of
from ..storage.contract import ObjectInfo, Storage
from ..storage.threads import in_own_thread
from .draining import may_have_body
from .exchange import Exchange
from .problems import Refused, not_found
from .safety import is_loopback

if TYPE_CHECKING:
    from .parts import Parts

__all__ = ["ANSWER_SECONDS", "Numbers", "Readiness", "healthz", "metrics", "readyz"]

ANSWER_SECONDS: Final = 2.0
"""So long ledger, queue and storages may take to answer a question for health."""

KEPT_SECONDS: Final = 1.0
"""So long their answer is told to whoever asks."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # up to a large file, sent slowly
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_log = logging.getLogger("uploadkit.service")


class Numbers:
    """Of one process, and through `PROMETHEUS_MULTIPROC_DIR` of all that share the folder.

    Whoever makes one has every attempt of the pipeline counted. No label has values without end: a path is the template
    of its route, and whatever a client may choose is "other".
    """

    def __init__(self, pipeline: Pipeline) -> None:
        """Raises `OSError` where the shared folder has no room."""
        _make_room()
        registry = CollectorRegistry()  # one process may have several services, as tests do
        self._metrics = Metrics(registry, answer_seconds=ANSWER_SECONDS)
        pipeline.observe(self._metrics)
        self._metrics.watch_ledger(pipeline.ledger)
        if pipeline.queue is not None:
            self._metrics.watch(pipeline.queue, queues=shares_of(pipeline))
        counter = partial(Counter, registry=registry)
        self._requests = counter(
            "uploadkit_http_requests_total", "Requests, by what they were answered.", ("method", "route", "status")
        )
        self._seconds = Histogram(
            "uploadkit_http_request_seconds",
            "How long requests took, from their head to the end of their answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._received = counter("uploadkit_http_received_bytes_total", "Bytes of bodies that came in.", ("route",))
        self._sent = counter("uploadkit_http_sent_bytes_total", "Bytes of bodies that were given out.", ("route",))
        self._refusals = counter("uploadkit_http_refusals_total", "Answers with an error, by its code.", ("code",))
        self._under_way = Gauge(
            "uploadkit_http_under_way",
            "Requests that are not answered yet: uploads have a body, others have none.",
            ("kind",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._codes: set[str] = set()

    @contextmanager
    def under_way(self, scope: Scope) -> Iterator[None]:
        """Counts a request as one that is not answered yet."""
        with self._under_way.labels("upload" if may_have_body(scope) else "other").track_inprogress():
            yield

    def count(self, exchange: Exchange) -> None:
        """Counts a request that is over."""
        route = exchange.route or "other"
        method = exchange.method if exchange.method in _METHODS else "other"
        self._requests.labels(method, route, exchange.status).inc()
        self._seconds.labels(method, route).observe(exchange.seconds)
        self._received.labels(route).inc(exchange.received)
        self._sent.labels(route).inc(exchange.sent)
        if exchange.code is not None:
            self._refusals.labels(self._bounded(exchange.code)).inc()

    async def atext(self) -> bytes:
        """What Prometheus scrapes: of all processes that share their numbers."""
        return await self._metrics.atext()

    def _bounded(self, code: str) -> str:
        """There are some dozens; functions of the application's own may have others."""
        if len(self._codes) < MOST_LABELS:
            self._codes.add(code)
        return code if code in self._codes else "other"


SHARED: Final = ("counter", "histogram", "gauge_livesum")
"""What numbers are of which processes share a file each."""

SHARED_SIZE: Final = 1 << 20
"""Bytes of such a file: all labels that there can be take half of it."""


def _make_room() -> None:
    """Writes the files of this process in which its numbers stand before they are mapped into memory. They would have
    holes, and whoever writes into a hole is ended by SIGBUS where the disk is full."""
    if (folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR")) is None:
        return
    for kind in SHARED:
        with open(os.path.join(folder, f"{kind}_{os.getpid()}.db"), "ab") as file:
            if not file.tell():
                file.write(bytes(SHARED_SIZE))


class Readiness:
    """Whether uploads can be taken now: asks the ledger, the queue, and each storage of a pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._checks: dict[str, Callable[[], Awaitable[object]]] = {"ledger": partial(_ask_ledger, pipeline)}
        if (queue := pipeline.queue) is not None:
            self._checks["queue"] = partial(queue.counts, list(shares_of(pipeline))[:1])
        for name, storage in pipeline.storages.items():
            self._checks[f"storage {name}"] = partial(_ask_storage, storage)
        self._pending: dict[str, asyncio.Task[object]] = {}  # an answer that does not come is waited for once
        self._failing: frozenset[str] = frozenset()
        self._answer: asyncio.Task[frozenset[str]] | None = None
        self._kept_until = 0.0
        self.is_draining: bool = False

    def drain(self) -> None:
        """From here on the service is about to end, and takes nothing new."""
        self.is_draining = True

    async def failing(self) -> frozenset[str]:
        """The names of what does not answer."""
        answer = self._answer
        if answer is None or (answer.done() and (answer.cancelled() or monotonic() >= self._kept_until)):
            answer = self._answer = asyncio.create_task(self._ask())
        return await asyncio.shield(answer)

    async def _ask(self) -> frozenset[str]:
        for name, check in self._checks.items():
            if name not in self._pending:
                self._pending[name] = asyncio.create_task(_asked(check))
        asked = dict(self._pending)
        await asyncio.wait(asked.values(), timeout=ANSWER_SECONDS)
        failing = frozenset(name for name, task in asked.items() if self._fails(name, task))
        for name in self._failing - failing:
            _log.info("the %s answers again", name)
        self._failing = failing
        self._kept_until = monotonic() + KEPT_SECONDS
        return failing

    def _fails(self, name: str, task: asyncio.Task[object]) -> bool:
        error: BaseException | None = TimeoutError(f"nothing in {ANSWER_SECONDS:g} s")
        if task.done():
            del self._pending[name]
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None and name not in self._failing:
            _log.warning("the %s does not answer: %s: %s", name, type(error).__name__, error)
        return error is not None


async def metrics(request: Request) -> Response:
    """Numbers, as Prometheus has them: for who has the token of the settings. Where there is none they are for this
    machine, and a service that others reach tells nobody."""
    parts: Parts = request.app.state.parts
    if (token := parts.settings.metrics_token) is not None:
        scheme, _, told = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(told.strip().encode(), token.encode()):
            text = "numbers are for who has the token of them"
            raise Refused(401, "unauthenticated", text, headers={"WWW-Authenticate": "Bearer"})
    elif not _is_for_this_machine(parts):
        raise not_found()
    return Response(await parts.numbers.atext(), headers={"Content-Type": CONTENT_TYPE, **_NOT_KEPT})


async def healthz(request: Request) -> Response:
    """Whether this process lives."""
    return JSONResponse({"status": "ok"}, headers=_NOT_KEPT)


async def readyz(request: Request) -> Response:
    """Whether it can take uploads: 503 where it cannot, and why."""
    parts: Parts = request.app.state.parts
    if parts.readiness.is_draining:
        return JSONResponse({"status": "draining"}, status_code=503, headers=_NOT_KEPT)
    if failing := await parts.readiness.failing():
        return JSONResponse({"status": "failing", "failing": sorted(failing)}, status_code=503, headers=_NOT_KEPT)
    return JSONResponse({"status": "ok"}, headers=_NOT_KEPT)


_NOT_KEPT: Final[Mapping[str, str]] = {"Cache-Control": "no-store"}


def _is_for_this_machine(parts: Parts) -> bool:
    """Whether nobody has to say who he is, and none but this machine's programs are meant: `hosts` are a proxy's."""
    settings = parts.settings
    return parts.callers.is_open and is_loopback(settings.host) and not settings.open and not settings.hosts


async def _asked(check: Callable[[], Awaitable[object]]) -> object:
    return await check()


async def _ask_ledger(pipeline: Pipeline) -> None:
    with suppress(RecordMissing):
        await in_own_thread(pipeline.ledger.get, "nobody's")


async def _ask_storage(storage: Storage) -> None:
    await in_own_thread(_try, storage)


def _try(storage: Storage) -> None:
    """For an object that is not there; and whether it takes a byte, of which nothing is left."""
    key = token_hex(16)
    with suppress(ObjectMissing):
        storage.stat(key)
    sink = storage.open(key, ObjectInfo(max_size=1))
    try:
        sink.write(b"?")
    finally:
        sink.discard()
