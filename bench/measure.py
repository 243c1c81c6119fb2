"""How a speed is measured: CPU time, in rounds in which every contestant runs once, each count checked.

CPU time, since nobody here waits for anything, and what other processes take of the machine is left out of it. Within
a round the contestants run one after the other, so that a machine that is slow for a while is slow for all of them,
and ratios are those of runs in the same round; runs are short, so that those of a round are close to each other. The
collector of cyclic garbage is on, as in a server, and begins every run with nothing to look at.
"""

from __future__ import annotations

import gc
import itertools
import math
import random
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from .contestants import FLOOR, OURS, RIVAL, Parse
from .scenarios import KIB, MIB, Form, Scenario, worst_case

# The bytes of a chunk, None for the whole body as one, and of the smaller body. A chunk of many MiB is copied into
# memory that the kernel has yet to hand out, page by page: that cost is not the parser's, and is left out.
_LINEAR = ((KIB, MIB), (64 * KIB, 4 * MIB), (None, MIB))


@dataclass(kw_only=True)
class Cell:
    """What one contestant did in one scenario: a speed for every round, in MB of body a second, or a failure."""

    size: int = 0  # bytes of all bodies of a run together
    speeds: list[float] = field(default_factory=list)
    failure: str | None = None

    @property
    def speed(self) -> float:
        """The median; 0 for a failure."""
        return statistics.median(self.speeds) if self.failure is None and self.speeds else 0.0

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a part of the median."""
        if self.failure is not None or len(self.speeds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.speeds, n=4, method="inclusive")
        return (high - low) / 2 / self.speed

    def ratio(self, other: Cell | None) -> float:
        """How many times as fast as `other`: the median over the rounds. NaN where one of both has failed."""
        if other is None or self.failure is not None or other.failure is not None:
            return math.nan
        return statistics.median([ours / theirs for ours, theirs in zip(self.speeds, other.speeds, strict=True)])


def measured(
    scenario: Scenario, parsers: Mapping[str, Parse], *, rounds: int | None = None, seconds: float | None = None
) -> dict[str, Cell]:
    """A cell for each of `parsers`. One that is slow gets less to do: as much as fits into the time of a run.

    The three that targets compare have the same to do.
    """
    seconds = scenario.seconds if seconds is None else min(seconds, scenario.seconds)
    cells = {name: Cell() for name in parsers}
    names = list(parsers)
    shuffle = random.Random(0).shuffle
    with _frozen():
        amounts = {name: _amount(scenario, parse, cells[name], seconds) for name, parse in parsers.items()}
        compared = [name for name in (OURS, RIVAL, FLOOR) if name in cells and cells[name].failure is None]
        amounts |= dict.fromkeys(compared, min((amounts[name] for name in compared), default=0))
        for _ in range(rounds or scenario.rounds):
            shuffle(names)  # who runs behind whom decides what is left in the cache
            for name in names:
                if cells[name].failure is None:
                    _run(scenario, amounts[name], parsers[name], cells[name])
    return cells


def linearity(name: str, parse: Parse) -> float:
    """How many times the CPU time four times the bytes of a worst case take: the worst of three sizes of chunks."""
    with _frozen():
        return max(_linearity(name, parse, chunk_size, size) for chunk_size, size in _LINEAR)


def _amount(scenario: Scenario, parse: Parse, cell: Cell, seconds: float) -> int:
    """The largest amount that fits, found from below; the runs on the way warm the parser up."""
    amounts = sorted(scenario.amounts)
    for amount, larger in itertools.pairwise(amounts):
        took = _run(scenario, amount, parse, cell)
        cell.speeds.clear()
        if cell.failure is not None or took * larger / amount > seconds:
            return amount
    return amounts[-1]


def _run(scenario: Scenario, amount: int, parse: Parse, cell: Cell) -> float:
    """One run, entered into the cell. Returns its seconds."""
    forms = scenario.make(amount)
    try:
        took = _timed(parse, forms)
    except _WrongCountError as error:
        cell.failure = str(error)
        return 0.0
    except Exception as error:  # every parser has errors of its own
        cell.failure = f"refused: {type(error).__name__}"
        return 0.0
    cell.size = sum(form.size for form in forms)
    cell.speeds.append(cell.size / took / 1e6)
    return took


class _WrongCountError(Exception):
    pass


def _timed(parse: Parse, forms: list[Form]) -> float:
    found = []
    gc.collect()
    gc.freeze()
    start = time.process_time()
    for form in forms:
        found.append(parse(form))
    took = time.process_time() - start
    for form, (parts, data) in zip(forms, found, strict=True):
        if parts != form.parts:
            raise _WrongCountError(f"wrong: {parts} parts of {form.parts}")
        if data != form.data:
            raise _WrongCountError(f"wrong: {data} bytes of {form.data}")
    return max(took, 1e-9)


@contextmanager
def _frozen() -> Iterator[None]:
    """Whatever the collector is told inside to leave alone it looks at again afterwards."""
    try:
        yield
    finally:
        gc.unfreeze()


def _linearity(name: str, parse: Parse, chunk_size: int | None, size: int) -> float:
    """Of the fastest runs: whatever slows a run down is not the bytes."""
    small, large = [worst_case(name, size, chunk_size)], [worst_case(name, 4 * size, chunk_size)]
    pairs = [(_timed(parse, small), _timed(parse, large)) for _ in range(7)]
    return min(took for _, took in pairs) / min(took for took, _ in pairs)
