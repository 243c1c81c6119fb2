"""Numbers for Prometheus: how jobs fare, what waits in their queues, and how many uploads there are in which state.

What happens in this process is counted where it happens. What a server knows, the queue's or the ledger's, is asked at
each scrape, in threads, for a bounded time: what does not answer is told as a number of its own, and holds up nobody.
No label has more than `MOST_LABELS` values.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from ..records.lifecycle import State
from ..storage.threads import in_thread
from .observing import Attempted
from .queue import CONCURRENCY, Counts, Queue

try:
    from prometheus_client import (
        REGISTRY,
        CollectorRegistry,
        Counter,
        Histogram,
        generate_latest,
        start_http_server,
    )
    from prometheus_client.core import GaugeMetricFamily, Metric
    from prometheus_client.multiprocess import MultiProcessCollector
    from prometheus_client.registry import Collector
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "uploadkit.processing.metrics needs prometheus-client: pip install 'pyuploadkit[metrics]'", name=_missing.name
    ) from _missing

if TYPE_CHECKING:
    from ..records.ledger import Ledger

__all__ = ["CONTENT_TYPE", "MOST_LABELS", "Metrics", "MetricsServer"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `Metrics.text` returns."""

MOST_LABELS = 100
"""So many names of queues, and of processors, are told apart; further ones are "other". Each is a series for ever."""

_WAITING = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14400)  # seconds: a night's backlog is seen too
_PROCESSING = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)  # up to what a job may take

_log = logging.getLogger("uploadkit.processing")


class Metrics:
    """Is an `Observer`. Its series are registered with `registry`, by default prometheus_client's own, once: a second
    one there is a `ValueError`. What is asked at a scrape has `answer_seconds` to answer.

    Where `PROMETHEUS_MULTIPROC_DIR` is set, the processes that share the folder count together, and `text` and `serve`
    of each tell of all.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, answer_seconds: float = 2) -> None:
        registry = REGISTRY if registry is None else registry
        self._registry = registry
        self._queues = _Labels()
        self._processors = _Labels()
        of_job = ("queue", "processor")
        self._waiting = Histogram(
            "uploadkit_job_waiting_seconds",
            "How long jobs waited from when they might have begun to their first attempt.",
            ("queue",),
            buckets=_WAITING,
            registry=registry,
        )
        self._processing = Histogram(
            "uploadkit_job_processing_seconds",
            "How long attempts took, but for those that were put off or cancelled.",
            of_job,
            buckets=_PROCESSING,
            registry=registry,
        )
        self._attempts = Counter(
            "uploadkit_job_attempts_total",
            "Attempts at jobs, by how they ended.",
            (*of_job, "outcome"),
            registry=registry,
        )
        self._failures = Counter(
            "uploadkit_job_failures_total", "Attempts that failed, the last ones too.", of_job, registry=registry
        )
        self._bytes = Counter(
            "uploadkit_job_bytes_total",
            "Sizes of the uploads whose jobs were done, which refused and quarantined ones are.",
            of_job,
            registry=registry,
        )
        self._asked = _Asked(answer_seconds)
        registry.register(self._asked)

    def observe(self, attempted: Attempted) -> None:
        """Counts it. It may be called in any thread."""
        queue, processor = self._queues.bounded(attempted.queue), self._processors.bounded(attempted.processor)
        self._attempts.labels(queue, processor, attempted.outcome).inc()
        if attempted.waited_seconds is not None:
            self._waiting.labels(queue).observe(attempted.waited_seconds)
        if attempted.outcome not in ("put_off", "cancelled"):
            self._processing.labels(queue, processor).observe(attempted.seconds)
        if attempted.outcome in ("again", "dead"):
            self._failures.labels(queue, processor).inc()
        if attempted.outcome in ("done", "refused", "quarantined") and attempted.size is not None:
            self._bytes.labels(queue, processor).inc(attempted.size)

    def watch(self, queue: Queue, *, queues: Iterable[str] = CONCURRENCY) -> None:
        """Has the jobs of these queues counted at each scrape, as `uploadkit_queue_jobs`. `uploadkit_queue_up` is 0
        where the queue does not answer. One is watched: a second call is a `RuntimeError`."""
        names = tuple(dict.fromkeys(queues))
        self._asked.add(_Source("queue", lambda: _jobs(asyncio.run(_counts(queue, names)))))

    def watch_ledger(self, ledger: Ledger) -> None:
        """Has the uploads counted at each scrape, by their states, as `uploadkit_uploads`. `uploadkit_ledger_up` is 0
        where the ledger does not answer. One is watched: a second call is a `RuntimeError`."""
        self._asked.add(_Source("ledger", lambda: _uploads(ledger.count())))

    def text(self) -> bytes:
        """What Prometheus scrapes, of the type `CONTENT_TYPE`: all of the registry, the application's own series too.
        It blocks while the queue and the ledger are asked."""
        return generate_latest(self._shown())

    async def atext(self) -> bytes:
        """The async twin of `text`."""
        return await in_thread(self.text)

    def serve(self, port: int, host: str = "127.0.0.1") -> MetricsServer:
        """Answers Prometheus over HTTP, in threads, from now on: for workers, which have no server of their own. Port 0
        is any that is free. Raises `OSError` where the port is taken."""
        server, thread = start_http_server(port, host, registry=self._shown())
        return MetricsServer(server, thread)

    def _shown(self) -> CollectorRegistry:
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return self._registry
        registry = CollectorRegistry()
        _Processes(registry)  # type: ignore[no-untyped-call]
        registry.register(self._asked)
        return registry


class _Processes(MultiProcessCollector):
    """All that share the folder. One that begins just now has an empty file for a moment, at which prometheus_client
    fails, and with it the scrape."""

    def collect(self) -> Iterable[Metric]:
        files = []
        for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("*.db"):
            with suppress(FileNotFoundError):  # that of a process which has ended
                if file.stat().st_size:
                    files.append(str(file))
        return self.merge(files, accumulate=True)  # type: ignore[no-untyped-call, no-any-return]


class MetricsServer:
    """Answers at `port` until it is closed, at the end of a `with` block or of the process."""

    def __init__(self, server: WSGIServer, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread

    @property
    def port(self) -> int:
        """On which it listens."""
        return self._server.server_port

    def close(self) -> None:
        """Returns when nobody listens any more. May be called again."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> MetricsServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Labels:
    """The first names that come stay apart."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def bounded(self, name: str) -> str:
        if name not in self._seen:
            if len(self._seen) >= MOST_LABELS:
                return "other"
            self._seen.add(name)  # two threads may add one too many
        return name


class _Source:
    """What is asked at a scrape: in a thread, and not again while one waits for its answer, so that threads do not pile
    up where nobody answers."""

    def __init__(self, name: str, ask: Callable[[], Metric]) -> None:
        self.name = name
        self._ask = ask
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._answer: Future[Metric] | None = None
        self._was_up = True

    def begin(self) -> Future[Metric]:
        with self._lock:
            answer = self._answer
            if answer is None or answer.done() or self._process != os.getpid():  # a fork has no threads
                answer = self._answer = Future()
                self._process = os.getpid()
                try:
                    threading.Thread(target=self._wait, args=[answer], name="uploadkit-metrics", daemon=True).start()
                except RuntimeError as error:  # the process ends, or may have no further one
                    answer.set_exception(error)
            return answer

    def end(self, answer: Future[Metric], seconds: float) -> Iterator[Metric]:
        """What it told, where it did so in time, and whether it did."""
        up = _up(self.name)
        try:
            told = [answer.result(seconds)]
        except Exception as error:
            if self._was_up:
                _log.warning("the %s cannot be counted: %s: %s", self.name, type(error).__name__, error)
            told = []
        self._was_up = bool(told)
        up.add_metric((), self._was_up)
        yield from (*told, up)

    def _wait(self, answer: Future[Metric]) -> None:
        try:
            answer.set_result(self._ask())
        except BaseException as error:
            answer.set_exception(error)


class _Asked(Collector):
    """All sources at a time, and never an error: a scrape tells what there is to tell."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sources: dict[str, _Source] = {}

    def add(self, source: _Source) -> None:
        if source.name in self._sources:
            raise RuntimeError(f"a {source.name} is watched already")
        self._sources[source.name] = source

    def describe(self) -> Iterable[Metric]:
        """Nobody is asked when this is registered."""
        return _jobs({}), _uploads({}), _up("queue"), _up("ledger")

    def collect(self) -> Iterable[Metric]:
        until = time.monotonic() + self._seconds
        begun = [(source, source.begin()) for source in list(self._sources.values())]
        for source, answer in begun:
            yield from source.end(answer, max(0.0, until - time.monotonic()))


async def _counts(queue: Queue, names: Sequence[str]) -> Mapping[str, Counts]:
    return await queue.counts(names)


def _jobs(found: Mapping[str, Counts]) -> Metric:
    jobs = GaugeMetricFamily("uploadkit_queue_jobs", "Jobs in queues, by their state.", labels=("queue", "state"))
    for queue, counts in found.items():
        # No more than a few of those that are done are kept, to be looked at: that is no number to show.
        for state in ("waiting", "delayed", "active", "failed"):
            jobs.add_metric((queue, state), getattr(counts, state))
    return jobs


def _uploads(found: Mapping[State, int]) -> Metric:
    uploads = GaugeMetricFamily("uploadkit_uploads", "Uploads in the ledger, by their state.", labels=("state",))
    for state in State:
        uploads.add_metric((state.value,), found.get(state, 0))
    return uploads


def _up(name: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"uploadkit_{name}_up", f"Whether the {name} answers.")
