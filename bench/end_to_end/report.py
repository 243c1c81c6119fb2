"""What is printed: a table for every scenario as it is done, all of them as Markdown for the docs, and the charts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..report import judged, machine, rows
from ..targets import Verdict
from .charts import Bar, chart
from .contestants import Contestant
from .forms import MIB
from .measure import Cell, Result, cpu, growth, p50, p99, wall
from .scenarios import Scenario


@dataclass(frozen=True, kw_only=True)
class Column:
    """`of` shows a contestant's cell, beside that of its floor."""

    head: str
    of: Callable[[Cell, Cell | None], str]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A chart and the name of its file."""

    file: str
    title: str
    svg: str


def versions(contestants: Sequence[Contestant]) -> str:
    """Of the servers and peers."""
    found = {name: version for one in contestants for name, version in one.versions.items()}
    return ", ".join(f"{name} {version or 'not installed'}" for name, version in sorted(found.items()))


def table(scenario: Scenario, contestants: Sequence[Contestant], result: Result) -> str:
    """One scenario, as text."""
    lines = [f"{scenario.name}: {scenario.title}"]
    lines.append(f"  {'':33}" + "".join(f"{column.head:>14}" for column in _columns(scenario)))
    for name, shown in _rows(scenario, contestants, result):
        text = f" {shown[0]}" if len(shown) == 1 else "".join(f"{figure:>14}" for figure in shown)
        lines.append(f"  {name:33}{text}")
    if result.hashing:
        lines.append(f"  bare hashlib: {statistics.median(result.hashing):.2f} CPU s")
    return "\n".join(lines)


def markdown(
    scenarios: Sequence[Scenario],
    contestants: Sequence[Contestant],
    results: Mapping[str, Result],
    verdicts: Sequence[Verdict],
    *,
    charts: str | None,
) -> str:
    """All scenarios and the targets. `charts` is their folder, as the page names it; None where none are drawn."""
    sections = [f"{machine()}. {versions(contestants)}."]
    for scenario in scenarios:
        result = results[scenario.name]
        sections.append(f"### {_title(scenario)}")
        if charts is not None:
            sections += [f"![{one.title}]({charts}/{one.file})" for one in pictures(scenario, contestants, result)]
        sections.append(_markdown_table(scenario, contestants, result))
    return "\n\n".join([*sections, "### Targets of whole uploads", judged(verdicts)])


def pictures(scenario: Scenario, contestants: Sequence[Contestant], result: Result) -> list[Picture]:
    """The charts of one scenario. Of the variants only those without a framework are drawn: the others do the same."""
    drawn = [one for one in scenario.racing(contestants) if not (one.is_variant and one.distributions)]
    found = []
    for suffix, unit, figure, form in _charted(scenario):
        values = {one: figure(result.cells[one.name]) for one in drawn if one.name in result.cells}
        bars = [
            Bar(label=one.name, value=value, text=format(value, form), kind=one.role.value)
            for one, value in values.items()
            if not math.isnan(value)
        ]
        file = f"{scenario.name.replace('/', '-')}{suffix}.svg"
        title = f"{unit}: {scenario.title}"
        if bars:
            found.append(Picture(file=file, title=title, svg=chart(title, bars)))
    return found


def _rows(scenario: Scenario, contestants: Sequence[Contestant], result: Result) -> list[tuple[str, list[str]]]:
    """By contestant its figures in the order of the columns, or one reason why there are none."""
    found = []
    for contestant in scenario.racing(contestants):
        cell = result.cells.get(contestant.name)
        reason = contestant.missing() if cell is None else cell.failure
        if cell is None or reason is not None:
            found.append((contestant.name, [(reason or "not run").replace("|", "/")]))  # a table has its own
        else:
            floor = result.cells.get(contestant.floor)
            found.append((contestant.name, [column.of(cell, floor) for column in _columns(scenario)]))
    return found


def _columns(scenario: Scenario) -> list[Column]:
    if scenario.small:
        count = scenario.load.requests
        speed = Column(head="requests/s", of=lambda cell, floor: _shown(count / cell.median(wall), ".0f"))
        cost = Column(head="CPU ms each", of=lambda cell, floor: _shown(cell.median(cpu) / count * 1e3, ".2f"))
        spread = Column(head="spread", of=lambda cell, floor: _shown(cell.spread(wall), ".0%"))
    else:
        total = scenario.load.size_of_all / MIB
        speed = Column(head="MiB/CPU s", of=lambda cell, floor: _shown(total / cell.median(cpu), ".0f"))
        cost = Column(head="CPU s", of=lambda cell, floor: _shown(cell.median(cpu), ".2f"))
        spread = Column(head="spread", of=lambda cell, floor: _shown(cell.spread(cpu), ".0%"))
    columns = [
        *(speed, cost, spread),
        Column(head="CPU x floor", of=lambda cell, floor: _shown(cell.ratio(floor, cpu), ".2f")),
        Column(head="wall s", of=lambda cell, floor: _shown(cell.median(wall), ".2f")),
        Column(head="RSS +MiB", of=lambda cell, floor: _shown(cell.median(growth) / MIB, ".1f")),
    ]
    if scenario.asks:
        columns.append(Column(head="p50 ms", of=lambda cell, floor: _shown(cell.median(p50) * 1e3, ".1f")))
        columns.append(Column(head="p99 ms", of=lambda cell, floor: _shown(cell.median(p99) * 1e3, ".1f")))
    return columns


def _charted(scenario: Scenario) -> list[tuple[str, str, Callable[[Cell], float], str]]:
    """Of each chart the end of its name, what it shows, how that comes from a cell, and how it is written."""
    load = scenario.load
    if scenario.small:
        return [("", "requests/s, more is better", lambda cell: load.requests / cell.median(wall), ".0f")]
    speed = "MiB for each second of CPU, more is better"
    charted = [("", speed, lambda cell: load.size_of_all / MIB / cell.median(cpu), ".0f")]
    if scenario.asks:
        memory = "MiB of memory over the idle server, less is better"
        charted.append(("-memory", memory, lambda cell: cell.median(growth) / MIB, ".1f"))
        waits = "p99 of another route in ms, less is better"
        charted.append(("-p99", waits, lambda cell: cell.median(p99) * 1e3, ".1f"))
    return charted


def _markdown_table(scenario: Scenario, contestants: Sequence[Contestant], result: Result) -> str:
    columns = _columns(scenario)
    body = [[name, *shown, *[""] * (len(columns) - len(shown))] for name, shown in _rows(scenario, contestants, result)]
    text = rows(["", *(column.head for column in columns)], body)
    if result.hashing:
        text += f"\n\nBare hashlib: {statistics.median(result.hashing):.2f} CPU s for the same bytes."
    return text


def _title(scenario: Scenario) -> str:
    return scenario.title[0].upper() + scenario.title[1:]


def _shown(figure: float, form: str) -> str:
    return "-" if math.isnan(figure) else format(figure, form)
