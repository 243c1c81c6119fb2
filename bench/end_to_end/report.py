"""What is printed: a table for every scenario as it is done, and all of them as Markdown for the docs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from .contestants import Contestant
from .forms import MIB
from .measure import Cell, Result, Run
from .scenarios import Scenario


def versions(contestants: Sequence[Contestant]) -> str:
    """Of the servers and peers."""
    found = {name: version for one in contestants for name, version in one.versions.items()}
    return ", ".join(f"{name} {version or 'not installed'}" for name, version in sorted(found.items()))


def cpu(run: Run) -> float:
    return run.cpu


def growth(run: Run) -> float:
    return run.growth


def p50(run: Run) -> float:
    return _quantile(run, 50)


def p99(run: Run) -> float:
    return _quantile(run, 99)


def table(scenario: Scenario, contestants: Sequence[Contestant], result: Result) -> str:
    """One scenario, as text."""
    lines = [f"{scenario.name}: {scenario.title}"]
    head = ("CPU s", "spread", "MiB/CPU s", "wall s", "x floor", "RSS MiB", "p50 ms", "p99 ms")
    lines.append(f"  {'':32}" + "".join(f"{name:>11}" for name in head))
    for contestant in contestants:
        cell = result.cells.get(contestant.name)
        reason = contestant.missing() if cell is None else cell.failure
        if cell is None or reason is not None:
            lines.append(f"  {contestant.name:32} {reason}")
            continue
        floor = result.cells.get(contestant.floor)
        lines.append(f"  {contestant.name:32}" + "".join(f"{text:>11}" for text in _figures(scenario, cell, floor)))
    if result.hashing:
        lines.append(f"  {'bare hashlib':32}{statistics.median(result.hashing):>11.3f}")
    return "\n".join(lines)


def _figures(scenario: Scenario, cell: Cell, floor: Cell | None) -> list[str]:
    seconds = cell.median(cpu)
    return [
        f"{seconds:.3f}",
        f"{cell.spread(cpu):.0%}",
        f"{scenario.load.size_of_all / MIB / seconds:.0f}",
        f"{cell.median(lambda run: run.wall):.3f}",
        _shown(cell.ratio(floor, cpu), ".2f"),
        f"{cell.median(growth) / MIB:.1f}",
        _shown(cell.median(p50) * 1e3, ".1f"),
        _shown(cell.median(p99) * 1e3, ".1f"),
    ]


def _quantile(run: Run, percent: int) -> float:
    if len(run.waits) < 2:
        return math.nan
    return statistics.quantiles(run.waits, n=100, method="inclusive")[percent - 1]


def _shown(figure: float, form: str) -> str:
    return "-" if math.isnan(figure) else format(figure, form)
