"""Looks whether a pipeline can do its work: its packages, its ledger, its queue, its storages, clocks, and leftovers.

Changes nothing but its probes: an object in each storage, which it removes. Every look has a bounded time, whether
anybody answers or not, and what one of them finds, or does not, is no other one's affair.
"""

from __future__ import annotations

import re
import secrets
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from importlib import metadata
from itertools import islice
from typing import Final, Protocol, runtime_checkable

from ..errors import ObjectExists, ObjectMissing
from ..records.lifecycle import State
from ..records.record import UploadRecord
from ..records.schema import VERSION
from ..storage import event_loop
from ..storage.contract import ExclusiveCommit, LocalPaths, ObjectInfo, Storage, SweepsStaging
from ..storage.disk import DiskStorage
from ..storage.keys import STAGING
from ..storage.memory import MemoryStorage
from ..storage.transfer import discard_after, stage_blocks
from .inline import InlineQueue
from .pipeline import Pipeline
from .queue import CONCURRENCY, queue_for
from .upkeep import EXPIRING, STUCK_SECONDS, UNDER_WAY, is_stuck, pages, unended, unfinishable, unremoved

__all__ = ["Finding", "Level", "TellsTime", "doctor"]

LOOK_SECONDS: Final = 5.0
"""So long a look may take, at most."""

WARN_APART, FAIL_APART = 2.0, 10.0
"""Seconds between two clocks. A claim lasts 15 of them."""

LEAST_FREE: Final = 2**30
"""Bytes that should be free on a disk."""

WORKER_SECONDS: Final = 60
"""A worker that was not seen for so long is not there."""

UNENDED_SECONDS: Final = 86400

_MOST = 1000
_PROBE = b"uploadkit doctor"
_SWEEP = "uploadkit sweep --app MODULE:NAME"


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, and what was seen. `advice` says what to do, where there is something to do."""

    name: str
    level: Level
    text: str
    advice: str | None = None


@runtime_checkable
class TellsTime(Protocol):
    """A ledger, a queue or a storage that knows what the clock of its server says."""

    def server_time(self) -> datetime | None:
        """None where it has none, or the clock is this machine's."""
        ...


_Look = Callable[[], Iterable[Finding]]


def doctor(pipeline: Pipeline, *, seconds: float = LOOK_SECONDS) -> list[Finding]:
    """Every finding, those that are fine too, in the same order each time. Takes at most `seconds`, and little more.

    Blocks. Raises nothing for what it finds.
    """
    looks: list[tuple[str, _Look]] = [
        ("python", _python),
        ("packages", _packages),
        ("ledger", partial(_ledger, pipeline)),
        ("queue", partial(_queue, pipeline)),
        *((f"storage {name}", partial(_storage, storage)) for name, storage in pipeline.storages.items()),
        ("clocks", partial(_clocks, pipeline)),
        ("workers", partial(_workers, pipeline)),
        ("leftovers", partial(_leftovers, pipeline)),
    ]
    return [finding for patient in [_Patient(name, look) for name, look in looks] for finding in patient.seen(seconds)]


class _Patient:
    """A look in a thread of its own, which is left alone when its time is over."""

    def __init__(self, name: str, look: _Look) -> None:
        self._name = name
        self._look = look
        self._findings: list[Finding] = []
        self._began = datetime.now(UTC)
        self._thread = threading.Thread(target=self._run, name=f"uploadkit-doctor-{name}", daemon=True)
        self._thread.start()

    def seen(self, seconds: float) -> list[Finding]:
        self._thread.join(max(0.0, seconds - (datetime.now(UTC) - self._began).total_seconds()))
        findings = list(self._findings)
        if self._thread.is_alive():
            text = f"no answer within {seconds:g} s"
            findings.append(
                Finding(name=self._name, level=Level.FAILED, text=text, advice="is it reachable from here?")
            )
        return findings

    def _run(self) -> None:
        try:
            for finding in self._look():
                self._findings.append(finding)
        except Exception as error:
            why = f" ({error.__cause__})" if error.__cause__ is not None else ""
            text = f"{type(error).__name__}: {error}{why}"
            self._findings.append(Finding(name=self._name, level=Level.FAILED, text=text))


# What is installed


def _python() -> Iterator[Finding]:
    text = f"{sys.version.split()[0]}, uploadkit {_version_of('pyuploadkit') or '(not installed)'}"
    yield Finding(name="python", level=Level.OK, text=text)


def _packages() -> Iterator[Finding]:
    """Those of the extras that are there; what is not there nobody may need."""
    there: dict[str, str] = {}
    old: list[str] = []
    for name, least in _wanted():
        found = _version_of(name)
        if found is not None:
            there[name] = found
            if least is not None and _numbers(found) < _numbers(least):
                old.append(f"{name} {found} is older than {least}")
    text = ", ".join(f"{name} {version}" for name, version in sorted(there.items())) or "none beside the core"
    yield Finding(name="packages", level=Level.OK, text=text)
    for each in sorted(set(old)):
        yield Finding(name="packages", level=Level.WARNING, text=each, advice="pip install --upgrade pyuploadkit[...]")


_is_requirement = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?:>=([0-9.]+))?.*extra == [\"'](?!test)").match


def _wanted() -> Iterator[tuple[str, str | None]]:
    """The packages of the extras, and the least version of each."""
    try:
        requirements = metadata.requires("pyuploadkit") or []
    except metadata.PackageNotFoundError:
        return
    for requirement in requirements:
        if (found := _is_requirement(requirement)) is not None and found[1] != "pyuploadkit":
            yield found[1], found[2]


def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


# The ledger


def _ledger(pipeline: Pipeline) -> Iterator[Finding]:
    ledger = pipeline.ledger
    found = ledger.version()  # before all else: a ledger in SQLite would bring itself up to date
    if found != VERSION:
        text = "has no tables yet" if found is None else f"is of version {found}, and {VERSION} is up to date"
        advice = "uploadkit migrate --app MODULE:NAME"
        yield Finding(name="ledger", level=Level.FAILED, text=text, advice=advice)
        return
    ledger.forget(f"uploadkit-doctor-{secrets.token_hex(8)}")  # a transaction that writes, and finds nothing to write
    counts = ledger.count()
    text = ", ".join(f"{counts[state]:,} {state}" for state in State if state in counts) or "no uploads"
    yield Finding(name="ledger", level=Level.OK, text=f"version {found}, writable; {text}")


def _is_current(pipeline: Pipeline) -> bool:
    return pipeline.ledger.version() == VERSION


# The queue


def _queue(pipeline: Pipeline) -> Iterator[Finding]:
    queue = pipeline.queue
    if queue is None:
        yield Finding(name="queue", level=Level.OK, text="none: everything is done in the request")
        return
    names = sorted(CONCURRENCY.keys() | _needed(pipeline))
    counts = event_loop.wait_for(queue.counts(names))
    said = [f"{name} {each.waiting + each.delayed:,} + {each.active:,}" for name, each in counts.items()]
    yield Finding(name="queue", level=Level.OK, text=f"answers; waiting + being done: {', '.join(said)}")
    if isinstance(queue, InlineQueue):
        text = "jobs are in the memory of each process, and lost with it"
        yield Finding(name="queue", level=Level.WARNING, text=text, advice="give the pipeline a BullMQQueue")
    if dead := {name: each.failed for name, each in counts.items() if each.failed}:
        text = "jobs have failed for good: " + ", ".join(f"{name} {count:,}" for name, count in dead.items())
        advice = "Queue.dead() has their reasons, pipeline.retry(id) tries an upload again"
        yield Finding(name="queue", level=Level.WARNING, text=text, advice=advice)


def _needed(pipeline: Pipeline) -> set[str]:
    """The queues in which jobs of this pipeline may wait."""
    needed: set[str] = set()
    for rule in pipeline.rules:
        if rule.queue is not None:
            needed.add(rule.queue)
        elif rule.accept is not None:
            needed.update(map(queue_for, rule.accept.types))
        else:
            needed.update(CONCURRENCY)
    return needed


def _workers(pipeline: Pipeline) -> Iterator[Finding]:
    if pipeline.queue is None or not _is_current(pipeline):
        return
    workers = pipeline.ledger.workers(datetime.now(UTC) - timedelta(seconds=WORKER_SECONDS))
    advice = "uploadkit worker --app MODULE:NAME"
    if not workers:
        text = "none was seen in the last minute"
        yield Finding(name="workers", level=Level.WARNING, text=text, advice=advice)
        return
    hosts = {worker.host for worker in workers}
    yield Finding(name="workers", level=Level.OK, text=f"{len(workers):,} on {', '.join(sorted(hosts))}")
    if idle := sorted(_needed(pipeline) - {queue for worker in workers for queue in worker.queues}):
        text = f"no worker does the jobs of {', '.join(idle)}"
        advice = f"{advice} --queues {','.join(idle)}"
        yield Finding(name="workers", level=Level.WARNING, text=text, advice=advice)


# Storages


def _storage(storage: Storage) -> Iterator[Finding]:
    name = f"storage {storage.name}"
    found = partial(Finding, name=name)
    if isinstance(storage, MemoryStorage):
        text = "objects are in the memory of this process, and no worker sees them"
        yield found(level=Level.WARNING, text=text, advice="use it for tests alone")
    key = f"uploadkit-doctor-{secrets.token_hex(8)}"
    try:
        _put(storage, key)
        if b"".join(storage.read(key)) != _PROBE:
            yield found(level=Level.FAILED, text=f"what was written to {key!r} is not what is read from it")
        yield from _commits(storage, key, found)
    finally:
        storage.delete(key)
    try:
        storage.stat(key)
    except ObjectMissing:
        yield found(level=Level.OK, text="an object was written, read and deleted")
    else:
        yield found(level=Level.FAILED, text=f"an object, {key!r}, is still there after it was deleted")
    if isinstance(storage, LocalPaths):
        yield from _disk(storage, found)


def _put(storage: Storage, key: str) -> None:
    info, size = ObjectInfo(content_type="text/plain"), len(_PROBE)
    staged = stage_blocks([_PROBE], key, info, target=storage, size=size, sha256=None, source=storage.name)
    try:
        staged.commit()
    except BaseException as error:
        discard_after(error, staged)
        raise


def _commits(storage: Storage, key: str, found: Callable[..., Finding]) -> Iterator[Finding]:
    """Whether a second object takes the place of the first, and whether that is what the storage says."""
    says = isinstance(storage, ExclusiveCommit) and storage.exclusive_commit
    try:
        _put(storage, key)
    except ObjectExists:
        if not says:
            text = "a second object does not replace the first, and the storage does not promise that"
            yield found(level=Level.OK, text=text, advice="of S3 say exclusive=True, where it is so for two that race")
        return
    if says:
        text = "a second object has replaced the first, though the storage promises that none does"
        yield found(level=Level.FAILED, text=text, advice="of S3: the server does not heed If-None-Match")
    else:
        yield found(level=Level.OK, text="a second object replaces the first: keys have to be new each time")


def _disk(storage: LocalPaths, found: Callable[..., Finding]) -> Iterator[Finding]:
    root = storage.path("uploadkit").parent
    usage = shutil.disk_usage(root)
    text = f"{usage.free / 2**30:,.1f} GiB free of {usage.total / 2**30:,.1f} at {root}"
    level = Level.WARNING if usage.free < LEAST_FREE else Level.OK
    yield found(level=level, text=text, advice="make room" if level is Level.WARNING else None)
    staging = root / STAGING
    if isinstance(storage, DiskStorage) and staging.exists() and staging.stat().st_dev != root.stat().st_dev:
        text = f"{staging} is on another file system than {root}: no object becomes visible"
        yield found(level=Level.FAILED, text=text, advice="mount one file system for both")


# Clocks


def _clocks(pipeline: Pipeline) -> Iterator[Finding]:
    if not _is_current(pipeline):
        return
    tellers: Mapping[str, object] = {
        "ledger": pipeline.ledger,
        "queue": pipeline.queue,
        **{f"storage {name}": storage for name, storage in pipeline.storages.items()},
    }
    for name, teller in tellers.items():
        if isinstance(teller, TellsTime):
            before = datetime.now(UTC)
            there = teller.server_time()
            after = datetime.now(UTC)
            if there is not None:
                yield _apart(name, _distance(there, before, after))


def _distance(there: datetime, before: datetime, after: datetime) -> float:
    """Seconds by which a clock is ahead of this one, 0 where it said what it was some time in between. A server that
    tells whole seconds may be anywhere within this one."""
    if there.microsecond == 0:
        before = before - timedelta(seconds=1)
    if before <= there <= after:
        return 0.0
    return (there - (after if there > after else before)).total_seconds()


def _apart(name: str, seconds: float) -> Finding:
    level = Level.OK if abs(seconds) < WARN_APART else Level.WARNING if abs(seconds) < FAIL_APART else Level.FAILED
    way = "ahead of" if seconds > 0 else "behind"
    text = f"that of {name} is {abs(seconds):.1f} s {way} this machine's" if seconds else f"that of {name} agrees"
    advice = None if level is Level.OK else "set this machine's clock, and the server's, by NTP: claims end by them"
    return Finding(name="clocks", level=level, text=text, advice=advice)


# What is left


def _leftovers(pipeline: Pipeline) -> Iterator[Finding]:
    if not _is_current(pipeline):
        return
    now = datetime.now(UTC)
    old, stuck = now - timedelta(seconds=UNENDED_SECONDS), now - timedelta(seconds=STUCK_SECONDS)
    found: list[tuple[str, int]] = [
        ("uploads that began more than a day ago and never ended", _many(unended(pipeline, old))),
        ("uploads that are gone, and still have bytes", _many(unremoved(pipeline, stuck))),
        ("uploads whose time is over", _many(_expired(pipeline, now))),
        ("uploads that wait for a job that nobody has", _many_stuck(pipeline, stuck)),
    ]
    for name, storage in pipeline.storages.items():
        if isinstance(storage, SweepsStaging):
            count = len(storage.in_staging())
            if count:
                text = f"{count:,} objects in the staging of {name}, those of live and resting uploads included"
                yield Finding(name="leftovers", level=Level.OK, text=text)
    if resting := _many(pages(pipeline, state=State.RECEIVING, resumable=True)):
        text = f"{_counted(resting)} uploads that come in several requests are not whole yet"
        yield Finding(name="leftovers", level=Level.OK, text=text)
    for text, count in found:
        if count:
            yield Finding(name="leftovers", level=Level.WARNING, text=f"{_counted(count)} {text}", advice=_SWEEP)
    yield from _untold(pipeline, now)
    if not any(count for _, count in found):
        yield Finding(name="leftovers", level=Level.OK, text="nothing that is over is left")


def _untold(pipeline: Pipeline, now: datetime) -> Iterator[Finding]:
    since = pipeline.ledger.untold_since()
    if since is None:
        return
    waits = (now - since).total_seconds()
    level = Level.OK if waits < WORKER_SECONDS else Level.WARNING
    text = f"{pipeline.ledger.untold():,} facts are still to be told, for {max(0, waits):,.0f} s by now"
    advice = None if level is Level.OK else "is a worker running? Where subscribers fail, the log says why"
    yield Finding(name="leftovers", level=level, text=text, advice=advice)


def _many(found: Iterable[UploadRecord]) -> int:
    return sum(1 for _ in islice(found, _MOST))


def _counted(count: int) -> str:
    return f"{count:,}" if count < _MOST else f"{_MOST:,} or more"


def _expired(pipeline: Pipeline, now: datetime) -> Iterator[UploadRecord]:
    yield from pages(pipeline, state=EXPIRING, expired_at=now)
    yield from (record for record in unfinishable(pipeline, now) if record.state is State.RECEIVING)


def _many_stuck(pipeline: Pipeline, before: datetime) -> int:
    old = islice(pages(pipeline, state=UNDER_WAY, changed_before=before), _MOST)
    return sum(is_stuck(pipeline, record) for record in old)
