"""What a tree of processes takes: its memory over time, where what they share is counted once (PSS), and CPU time, of
those that have ended meanwhile too."""

from __future__ import annotations

import os
import re
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..end_to_end.processes import cpu_seconds, family

EVERY_SECONDS = 0.5


@dataclass(kw_only=True)
class Held:
    """Bytes, at so many seconds since the beginning."""

    samples: list[tuple[float, int]] = field(default_factory=list)

    def between(self, begin: float, end: float) -> float:
        """The median of a time. NaN where nothing was seen then."""
        seen = [size for at, size in self.samples if begin <= at <= end]
        return statistics.median(seen) if seen else float("nan")

    def slope(self, begin: float, end: float) -> float:
        """Bytes a second, of the straight line that is nearest to what was seen."""
        seen = [(at, size) for at, size in self.samples if begin <= at <= end]
        return statistics.linear_regression(*zip(*seen, strict=True)).slope if len(seen) > 2 else float("nan")

    @property
    def most(self) -> int:
        return max((size for _, size in self.samples), default=0)


@contextmanager
def watched(pids: Sequence[int], *, with_children: bool = True) -> Iterator[Held]:
    """Looks twice a second, until the block ends."""
    held, ended, began = Held(), threading.Event(), time.monotonic()

    def look() -> None:
        while not ended.wait(EVERY_SECONDS):
            members = [each for pid in pids for each in (family(pid) if with_children else [pid])]
            held.samples.append((time.monotonic() - began, sum(map(_pss, members))))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield held
    finally:
        ended.set()
        thread.join()


def spent(pid: int) -> float:
    """Seconds of CPU, of the process and all that it has started, also of those that have ended."""
    return cpu_seconds(family(pid)) + sum(map(_of_the_dead, family(pid)))


def _of_the_dead(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")  # cutime and cstime


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has ended meanwhile
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
