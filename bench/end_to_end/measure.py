"""How a run goes: a new server, a warm-up, the page cache warmed, the load, and a look at what was stored.

In a round every contestant runs once, in another order each time, and ratios are those of runs in the same round.
CPU time and memory are those of the server's whole tree of processes. Whoever has not stored exactly what was sent
has failed, and has no speed.
"""

from __future__ import annotations

import hashlib
import math
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from .asker import asking
from .contestants import Contestant, Role
from .forms import KIB, MIB, Load
from .node import NotInstalledError
from .processes import cpu_seconds, family, forget_peak, peak, resident
from .scenarios import Scenario
from .sender import Sender, Sent, sending, sent
from .servers import NotServedError, Server, serving

_FIRST = Load(requests=100, size=10 * KIB, texts=True, connections=8)
"""What a server takes before it is measured: modules are imported then, and what compiles code has seen some."""

_SETTLE_SECONDS = 0.1
"""For what a server does after its last answer, such as to remove temporary files."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """`cpu` and `wall` are seconds, `growth` is the peak of memory over the idle server in bytes, `waits` are the
    seconds in which the other route answered meanwhile, `behind` those of CPU that what it stores in has taken."""

    cpu: float
    wall: float
    growth: int
    waits: tuple[float, ...] = ()
    behind: float = 0.0


Figure: TypeAlias = Callable[[Run], float]


def cpu(run: Run) -> float:
    return run.cpu


def wall(run: Run) -> float:
    return run.wall


def growth(run: Run) -> float:
    return run.growth


def behind(run: Run) -> float:
    return run.behind


def p50(run: Run) -> float:
    """Of the other route. NaN where nobody has asked for it."""
    return _percentile(run.waits, 50)


def p99(run: Run) -> float:
    """As `p50`."""
    return _percentile(run.waits, 99)


def _percentile(waits: Sequence[float], percent: int) -> float:
    """The shortest wait that so many of a hundred do not exceed."""
    if not waits:
        return math.nan
    return sorted(waits)[math.ceil(len(waits) * percent / 100) - 1]


@dataclass(kw_only=True)
class Cell:
    """What one contestant did in one scenario: a run for every round, or a failure."""

    runs: list[Run] = field(default_factory=list)
    failure: str | None = None

    def median(self, figure: Figure) -> float:
        """NaN for a failure."""
        return statistics.median(map(figure, self.runs)) if self._stands else math.nan

    def spread(self, figure: Figure) -> float:
        """Half the distance between the quartiles, as a part of the median."""
        if not self._stands or len(self.runs) < 2:
            return 0.0
        low, middle, high = statistics.quantiles(map(figure, self.runs), n=4, method="inclusive")
        return (high - low) / 2 / middle

    def ratio(self, other: Cell | None, figure: Figure) -> float:
        """How many times the figure of `other`: the median over the rounds. NaN where one of both has failed."""
        if other is None or not self._stands or not other._stands:
            return math.nan
        pairs = zip(self.runs, other.runs, strict=True)
        return statistics.median([figure(ours) / figure(theirs) for ours, theirs in pairs])

    @property
    def _stands(self) -> bool:
        return self.failure is None and bool(self.runs)


@dataclass(kw_only=True)
class Result:
    """Of one scenario: a cell for every contestant by its name, and what bare hashlib took in each round."""

    cells: dict[str, Cell]
    hashing: list[float]


def measured(scenario: Scenario, contestants: Sequence[Contestant], folder: Path, *, rounds: int) -> Result:
    """Runs every contestant once a round. What is stored lies below `folder`, and is removed after each run."""
    result = Result(cells={contestant.name: Cell() for contestant in contestants}, hashing=[])
    order = list(contestants)
    shuffle = random.Random(0).shuffle
    with sending(scenario.load) as sender:
        for _ in range(rounds):
            if any(contestant.digest for contestant in contestants):
                result.hashing.append(_hash_all(scenario.load))
            shuffle(order)
            for contestant in order:
                cell = result.cells[contestant.name]
                if cell.failure is None:
                    _enter(cell, scenario, contestant, folder, sender)
    return result


class FailedError(Exception):
    """Not everything was stored, or not as it was sent."""


def _enter(cell: Cell, scenario: Scenario, contestant: Contestant, folder: Path, sender: Sender) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-") as own:
        try:
            cell.runs.append(_run(scenario, contestant, Path(own), sender))
        except (FailedError, NotServedError) as error:
            cell.failure = str(error)
        except NotInstalledError as error:
            cell.failure = f"not installed: {error}"


def _run(scenario: Scenario, contestant: Contestant, folder: Path, sender: Sender) -> Run:
    stored = folder / "stored"
    stored.mkdir()
    environment = {**contestant.environment, "BENCH_FOLDER": str(stored)}
    is_floor = contestant.role is Role.FLOOR
    with serving(contestant.command, environment, folder) as server:
        first = sent(
            [list(_FIRST.request(number)) for number in range(_FIRST.requests)], _FIRST.connections, server.port
        )
        _expect(first, _FIRST, server, answers=not is_floor)
        _clear(stored)
        warm_page_cache(folder, 2 * scenario.load.size_of_all)
        asked = server.port if scenario.asks else None
        run, outcome = timed(server.pid, lambda: sender.send(server.port), asked=asked)
        _expect(outcome, scenario.load, server, answers=not is_floor)
    _expect_stored(stored, scenario.load.digests(bodies=is_floor))
    return run


def timed(pid: int, send: Callable[[], Sent], *, asked: int | None = None) -> tuple[Run, Sent]:
    """What the process and all that it has started take meanwhile. `asked` is the port of another route, if any is."""
    pids = family(pid)
    time.sleep(_SETTLE_SECONDS)
    idle = resident(pids)
    forget_peak(pids)
    before = cpu_seconds(pids)
    with asking(asked) as waits:
        outcome = send()
    time.sleep(_SETTLE_SECONDS)
    cpu = cpu_seconds(pids) - before
    return Run(cpu=cpu, wall=outcome.seconds, growth=peak(pids) - idle, waits=tuple(waits)), outcome


def _expect(outcome: Sent, load: Load, server: Server, *, answers: bool) -> None:
    if outcome.failure is not None:
        raise FailedError(f"failed: {outcome.failure}; its log ends with: {server.last_words()!r}")
    if answers and outcome.answers != [load.answer]:
        raise FailedError(f"wrong: the text values {outcome.answers}")


def _expect_stored(folder: Path, expected: list[str]) -> None:
    found = sorted(_digest(path) for path in folder.rglob("*") if path.is_file())
    if found != expected:
        right = len(expected) - (Counter(expected) - Counter(found)).total()
        raise FailedError(f"wrong: {right} of {len(expected)} files stored as they were sent, {len(found)} in all")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _clear(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()


def warm_page_cache(folder: Path, size: int) -> None:
    """Writes as much as the slowest contestant will, and removes it.

    Pages that a virtual machine has not touched yet come from its host one by one, and whoever writes first pays.
    """
    block = bytes(MIB)
    path = folder / "warm"
    with path.open("wb", buffering=0) as file:
        for _ in range(-(-size // MIB)):
            file.write(block)
    path.unlink()


def _hash_all(load: Load) -> float:
    """CPU seconds of SHA-256 over the same bytes, in the same pieces as uploadkit writes, and nothing else."""
    start = time.process_time()
    for number in range(load.requests):
        digest = hashlib.sha256()
        for piece in load.data(number):
            digest.update(piece)
        digest.digest()
    return time.process_time() - start
