"""What uploadkit's parser promises about its speed, and whether a run of the bench shows it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .contestants import FLOOR, OURS, RIVAL
from .measure import Cell
from .scenarios import Kind, Scenario

# How many times as fast as `multipart`, the fastest of the peers on forms. A twentieth below is noise.
AT_LEAST = {"repeated": 3.0, "fresh": 1.5, "small-files": 1.25}
AT_LEAST_ELSEWHERE = 0.95

# How much of the floor's speed remains: files cost at most half as much again, worst cases twice as much.
OF_FLOOR = {"1GiB/64KiB": 1 / 1.5}
OF_FLOOR_IN_WORST_CASES = 1 / 2

LINEAR = 4.5  # times the CPU time for four times the bytes


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`promise` holds the bound; `seen` is what was measured, NaN where uploadkit itself has failed."""

    promise: str
    seen: float
    met: bool


def verdicts(
    scenarios: Iterable[Scenario], results: Mapping[str, Mapping[str, Cell]], linear: Mapping[str, float]
) -> list[Verdict]:
    """Every promise that these results can judge. A peer that has failed or is not there is not compared with."""
    found: list[Verdict] = []
    for scenario in scenarios:
        cells = results[scenario.name]
        ours = cells[OURS]
        if ours.failure is not None:
            found.append(Verdict(promise=f"{scenario.name}: {ours.failure}", seen=math.nan, met=False))
            continue
        rival = cells.get(RIVAL)
        if rival is not None and rival.failure is None:
            bound = AT_LEAST.get(scenario.name, AT_LEAST_ELSEWHERE)
            found.append(_at_least(f"{scenario.name}: at least {bound:.2f} x {RIVAL}", ours.ratio(rival), bound))
        share = OF_FLOOR_IN_WORST_CASES if scenario.kind is Kind.WORST else OF_FLOOR.get(scenario.name)
        if share is not None and FLOOR in cells:
            found.append(_at_least(f"{scenario.name}: at least {share:.2f} x floor", ours.ratio(cells[FLOOR]), share))
    for name, times in linear.items():
        promise = f"{name}: four times the bytes take at most {LINEAR:.1f} times the time"
        found.append(Verdict(promise=promise, seen=times, met=times <= LINEAR))
    return found


def _at_least(promise: str, seen: float, bound: float) -> Verdict:
    return Verdict(promise=promise, seen=seen, met=seen >= bound)
