"""What is to be done with which kind of upload: a list of rules, in the order in which their steps are made. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..policy.accept import Accept
from ..records.record import Result, UploadRecord
from .processor import Processor
from .queue import Backoff, Job, Priority, queue_for

__all__ = ["Rule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One processor, and the uploads that it is for: those of a type that `accept` admits, all where it is None.

    `queue` None is the one for the upload's type. An attempt may take `seconds`, and, where it runs in a process of its
    own (`is_apart`), so many bytes of `memory` beyond what the program has itself; None is no limit.
    """

    processor: Processor
    accept: Accept | None = None
    queue: str | None = None
    attempts: int = 3
    backoff: Backoff = field(default_factory=Backoff)
    seconds: float = 300
    memory: int | None = None
    is_apart: bool = False

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"a step is tried at least once, and not {self.attempts} times")
        if self.seconds <= 0 or (self.memory is not None and self.memory <= 0):
            raise ValueError("seconds and memory are more than 0")
        if not 1 <= len(self.processor.name) <= 200 or not 1 <= len(self.processor.digest) <= 64:
            raise ValueError("a processor has a name of at most 200 characters, and a digest of at most 64")

    def is_for(self, record: UploadRecord) -> bool:
        return self.accept is None or self.accept.admits(record.content_type)

    def job(self, record: UploadRecord, *, is_begun: bool = False) -> Job:
        """To do this to the upload, of which a step may have been made before."""
        return Job(
            upload=record.id,
            processor=self.processor.name,
            digest=self.processor.digest,
            queue=self.queue or queue_for(record.content_type),
            priority=_priority(record.priority),
            attempts=self.attempts,
            backoff=self.backoff,
            is_begun=is_begun,
        )


def _priority(number: int | None) -> Priority:
    """A record may have been written by another version, or by hand: then the next one that is not more urgent."""
    if number is None:
        return Priority.NORMAL
    return min((each for each in Priority if each >= number), default=Priority.LOW)


class Rules:
    """The rules of a pipeline. `last` are those that come behind all others, whenever they were added."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._last: list[Rule] = []

    def add(self, rule: Rule, *, last: bool = False) -> None:
        """Raises `ValueError` where another processor has this name: the ledger could not tell them apart."""
        for other in self:
            if other.processor.name == rule.processor.name and other.processor is not rule.processor:
                text = f"two processors are called {rule.processor.name!r}: give one of them another name"
                raise ValueError(text)
        (self._last if last else self._rules).append(rule)

    def __iter__(self) -> Iterator[Rule]:
        return iter([*self._rules, *self._last])

    def of(self, record: UploadRecord) -> list[Rule]:
        """The steps of an upload, in their order: each processor once."""
        steps: dict[str, Rule] = {}
        for rule in self:
            if rule.is_for(record):
                steps.setdefault(rule.processor.name, rule)
        return list(steps.values())

    def undone(self, record: UploadRecord, results: Iterable[Result]) -> list[Rule]:
        """The steps of an upload that are still to be made, given what was: one by another digest was not."""
        done = {(result.processor, result.digest) for result in results}
        return [rule for rule in self.of(record) if (rule.processor.name, rule.processor.digest) not in done]

    def step(self, record: UploadRecord, processor: str, digest: str) -> Rule | None:
        """The step of an upload that this processor makes by this digest. None where there is none any more."""
        for rule in self.of(record):
            if (rule.processor.name, rule.processor.digest) == (processor, digest):
                return rule
        return None
