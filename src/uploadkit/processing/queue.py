"""The port to a queue of jobs: what a job is, and what a queue promises. No I/O.

A queue is told which processor is to do its work on which upload, and sees to it that a worker does, also when workers
die. It may do it twice: that an effect happens once is the ledger's business, which is claimed by upload, processor and
digest. `inline` and `bullmq` are queues.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias, runtime_checkable

from ..policy.accept import AUDIO, DOCUMENTS, IMAGES, VIDEOS

__all__ = [
    "CONCURRENCY",
    "KEPT_COMPLETED",
    "KEPT_FAILED",
    "MAX_DEATHS",
    "Backoff",
    "Counts",
    "DeadJob",
    "Failed",
    "GivenUp",
    "Handler",
    "Job",
    "Later",
    "OnDead",
    "Priority",
    "Progress",
    "Queue",
    "Running",
    "queue_for",
]

CONCURRENCY: Final[Mapping[str, int]] = MappingProxyType({"images": 5, "documents": 3, "videos": 1, "bulk": 2})
"""The queues, and how many jobs of each a worker does at a time: the longer a job of its kind takes, the fewer."""

KEPT_COMPLETED = 10
"""So many jobs that are done are kept in each queue, to be looked at."""

KEPT_FAILED = 5
"""So many jobs that have failed for good are kept in each queue, to be looked at and redriven."""

MAX_DEATHS = 5
"""A job during which more workers than this have died is not begun again: it is taken for what kills them. Fewer
would fail jobs that were there by chance while their machine was restarted a few times."""

_QUEUES = (("images", IMAGES), ("documents", DOCUMENTS), ("videos", VIDEOS), ("videos", AUDIO))
_FAMILIES = {"image": "images", "text": "documents", "video": "videos", "audio": "videos"}


def queue_for(content_type: str) -> str:
    """The queue for a file of this detected type. What belongs to none of the others goes to "bulk"."""
    for queue, group in _QUEUES:
        if content_type in group.types:
            return queue
    return _FAMILIES.get(content_type.partition("/")[0], "bulk")


class Priority(IntEnum):
    """A smaller number comes first."""

    URGENT = 1
    HIGH = 5
    NORMAL = 10
    LOW = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long a job waits before it is tried again: `seconds` after the first attempt, `factor` times as long after
    each further one, at most `most_seconds`. Of that a part of up to `jitter` is taken off by chance, so that jobs that
    failed together do not come again together."""

    seconds: float = 1.0
    factor: float = 2.0
    most_seconds: float = 300.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        if self.seconds < 0 or self.factor < 1 or self.most_seconds < 0 or not 0 <= self.jitter <= 1:
            raise ValueError(f"waits are not negative and do not shrink, and jitter is a part of 1: {self}")

    def wait(self, attempts: int, *, chance: Callable[[], float] = random.random) -> float:
        """Seconds to wait when `attempts` were made. `chance` gives a number from 0 to 1."""
        try:
            whole = min(self.most_seconds, self.seconds * self.factor ** (attempts - 1))
        except OverflowError:
            whole = self.most_seconds
        return whole * (1 - self.jitter * chance())


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done. `digest` is that of what the processor was told to make. `delay_seconds` is from now.
    `is_begun` says that something else was done to the upload before: what was begun comes before what is as urgent.
    """

    upload: str
    processor: str
    digest: str
    queue: str
    priority: Priority = Priority.NORMAL
    attempts: int = 3
    backoff: Backoff = field(default_factory=Backoff)
    delay_seconds: float = 0
    is_begun: bool = False

    def __post_init__(self) -> None:
        if not (self.upload and self.processor and self.queue):
            raise ValueError(f"a job names its upload, its processor and its queue: {self}")
        if ":" in self.queue:  # a broker takes it apart there
            raise ValueError(f"the name of a queue has no ':', and {self.queue!r} has one")
        if self.attempts < 1 or self.delay_seconds < 0:
            raise ValueError(f"a job is tried at least once, and not before it was added: {self}")

    @property
    def id(self) -> str:
        """The same work has the same id: while a job waits or is being done, it is not added to its queue again. When
        it has ended, well or badly, it may be."""
        return f"{self.upload}-{self.processor}-{self.digest}"

    @property
    def rank(self) -> int:
        """Of jobs that wait, the one with the lowest is done first."""
        return int(self.priority) - self.is_begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job has come, from 0 to 100, and in words where its handler has some."""

    percent: int
    note: str | None = None


class Running(Protocol):
    """A job that is being done, as its handler sees it."""

    @property
    def job(self) -> Job: ...

    @property
    def attempt(self) -> int:
        """From 1. An attempt that was not ended, since its worker died or handed the job back, is not counted."""
        ...

    @property
    def deaths(self) -> int:
        """How many workers have died in the middle of it before."""
        ...

    @property
    def waited_seconds(self) -> float | None:
        """How long the job has waited since it might have begun: since it was added, and its delay was over. By the
        clocks of the one who added it and of the one who does it. None where it was begun before, or nobody knows."""
        ...

    @property
    def is_cancelled(self) -> bool:
        """Whether the job was taken back, or the worker's time to end is over. The handler is cancelled at the same
        moment, as tasks of asyncio are; this is for work in a thread, which looks now and then and ends."""
        ...

    async def progress(self, percent: int, note: str | None = None) -> None:
        """Tells how far it has come, from 0 to 100."""
        ...


class GivenUp(Exception):
    """Raised by a handler: another attempt would end in the same way."""


class Failed(Exception):
    """Raised by a handler: a failed attempt, of which its text says all, whatever the name of its class."""


class Later(Exception):
    """Raised by a handler: not now. The job is begun again after so many seconds, and this was no attempt. `ValueError`
    where they are negative or endless."""

    def __init__(self, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise ValueError(f"a job is put off by some seconds, and not by {seconds}")
        super().__init__(f"to be begun again in {seconds} s")
        self.seconds = seconds


Handler: TypeAlias = Callable[[Running], Awaitable[None]]
"""Does a job. What it raises is a failed attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many jobs of a queue wait, wait for their time, are being done, and were kept when they had ended."""

    waiting: int = 0
    delayed: int = 0
    active: int = 0
    completed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadJob:
    """A job that has failed for good, after so many attempts. `key` is the queue's own name for it: the same work may
    have died more than once."""

    job: Job
    reason: str
    attempts: int
    key: str


OnDead: TypeAlias = Callable[[DeadJob], Awaitable[None]]
"""Is told of a job that has failed for good, before the queue puts it aside. Where it raises a `ServiceError` or an
`OSError`, which may pass, or `Later`, the job is begun once more later, so that nobody misses it. Any other error is
logged."""


@runtime_checkable
class Queue(Protocol):
    """Takes jobs and has them done. The twins in `a` do not block an event loop. What cannot be done because nobody
    answers is a `QueueFailed`, within a bounded time."""

    def add(self, *jobs: Job) -> None:
        """Returns when the jobs are safe: none of them is lost from then on. Raises `QueueFailed`: then some of them
        may have been added all the same, and to add all of them again doubles none that still waits."""
        ...

    async def aadd(self, *jobs: Job) -> None: ...

    async def cancel(self, job: Job) -> bool:
        """Takes back a job that waits, or asks the one who does it to end: its handler is cancelled, and nothing of it
        is tried again or kept. Whether there was one."""
        ...

    async def progress(self, job: Job) -> Progress | None:
        """What was told last of a job that waits or is being done, 0 % before that. None where there is no such job."""
        ...

    async def counts(self, queues: Sequence[str]) -> Mapping[str, Counts]: ...

    async def dead(self, queue: str, *, limit: int = 100) -> Sequence[DeadJob]:
        """The last that have failed, the newest first."""
        ...

    async def redrive(self, dead: DeadJob) -> None:
        """Adds it once more, at once and with all its attempts, and lists it no longer."""
        ...

    async def work(
        self,
        handler: Handler,
        *,
        concurrency: Mapping[str, int] = CONCURRENCY,
        until: asyncio.Event,
        grace_seconds: float = 20,
        on_dead: OnDead | None = None,
    ) -> None:
        """Has the jobs of these queues done by `handler`, at most so many of each at a time, until `until` is set. Then
        no other one is begun; those that are not done after `grace_seconds` are cancelled and handed back, to be begun
        elsewhere at once. Where this call is cancelled, that happens without grace."""
        ...

    def close(self) -> None:
        """Lets the connections of this process go. A later call makes new ones."""
        ...
