"""One run: a new server, a file or many small requests by one door, and what the server's process took for it.

In a round every door has its run, in another order each time, and ratios are those of runs of the same round: what else
the machine does meanwhile is the same for all of them.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..end_to_end.processes import cpu_seconds, forget_peak, peak, resident
from ..service.running import SERVER, listening_port, process
from .doors import Errand, done

WARM = 10**6


@dataclass(frozen=True, kw_only=True)
class Run:
    """`cpu` is user and system time of the server's process, `grown` how many bytes more it had at its peak than when
    nothing was sent."""

    cpu: float
    seconds: float
    requests: int
    grown: int

    @property
    def cpu_a_request(self) -> float:
        return self.cpu / self.requests


@dataclass(kw_only=True)
class Cell:
    """The runs of one door, a run for each round."""

    runs: list[Run] = field(default_factory=list)

    def median(self, of: Callable[[Run], float]) -> float:
        return statistics.median(map(of, self.runs))

    def ratio(self, other: Cell) -> float:
        """How many times the CPU of another one, of runs of the same round."""
        pairs = zip(self.runs, other.runs, strict=True)
        return statistics.median(mine.cpu / its.cpu for mine, its in pairs)


def measured(
    doors: Sequence[str],
    folder: Path,
    *,
    size: int = 0,
    requests: int = 0,
    rounds: int,
    told: Mapping[str, str] | None = None,
) -> dict[str, Cell]:
    """A file of so many bytes by each door, or so many small requests."""
    cells, shuffled, order = {door: Cell() for door in doors}, list(doors), random.Random(0)
    for _ in range(rounds):
        order.shuffle(shuffled)
        for door in shuffled:
            cells[door].runs.append(_run(door, folder, size, requests, told or {}))
    return cells


def _run(door: str, folder: Path, size: int, requests: int, told: Mapping[str, str]) -> Run:
    with serving(folder, told) as (port, pid):
        done(Errand(port=port, door=door, size=WARM, requests=2))  # it has imported all, and made its tables
        before = resident([pid])
        forget_peak([pid])
        cpu = cpu_seconds([pid])
        sent = done(Errand(port=port, door=door, size=size, requests=requests))
        return Run(
            cpu=cpu_seconds([pid]) - cpu,
            seconds=sent.seconds,
            requests=sent.requests,
            grown=max(0, peak([pid]) - before),
        )


@contextmanager
def serving(folder: Path, told: Mapping[str, str] | None = None) -> Iterator[tuple[int, int]]:
    """A server with an empty folder: its port, and its process."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        log = Path(own, "web.log")
        with process(
            ["uvicorn", "bench.resumable.app:app", *SERVER], log, {"BENCH_FOLDER": own, **(told or {})}
        ) as web:
            yield listening_port(web, log), web.pid
