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


@dataclass(frozen=True, kw_only=True)
class _Charted:
    """A chart to be: `of` is the figure of a cell, `form` how it is written."""

    file: str
    what: str
    of: Callable[[Cell], float]
    form: str = ".0f"
    more_is_better: bool = True


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
    disk: str,
    charts: str | None,
) -> str:
    """All scenarios and the targets.

    `disk` is its file system, `charts` their folder as the page names it; None where none are drawn.
    """
    rounds = max((len(cell.runs) for result in results.values() for cell in result.cells.values()), default=0)
    sections = [f"{machine()}, {disk}. {versions(contestants)}. {rounds} round{'s' * (rounds != 1)}."]
    for scenario in scenarios:
        result = results[scenario.name]
        sections.append(f"### {_title(scenario)}")
        if charts is not None:
            sections += [f"![{one.title}]({charts}/{one.file})" for one in pictures(scenario, contestants, result)]
        sections.append(_markdown_table(scenario, contestants, result))
    return "\n\n".join([*sections, "### Targets of whole uploads", judged(verdicts)])


def pictures(scenario: Scenario, contestants: Sequence[Contestant], result: Result) -> list[Picture]:
    """The charts of one scenario, the best first. Of the variants only those without a framework are drawn."""
    drawn = [one for one in scenario.racing(contestants) if not (one.is_variant and one.distributions)]
    found = []
    for charted in _charted(scenario):
        values = {one: charted.of(result.cells[one.name]) for one in drawn if one.name in result.cells}
        bars = [
            Bar(label=one.name, value=value, text=format(value, charted.form), kind=one.role.value)
            for one, value in values.items()
            if not math.isnan(value)
        ]
        bars.sort(key=lambda bar: bar.value, reverse=charted.more_is_better)
        title = f"{charted.what}, {'more' if charted.more_is_better else 'less'} is better: {scenario.title}"
        if bars:
            found.append(Picture(file=f"{charted.file}.svg", title=title, svg=chart(title, bars)))
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


def _charted(scenario: Scenario) -> list[_Charted]:
    load, file = scenario.load, scenario.name.replace("/", "-")
    if scenario.small:
        return [_Charted(file=file, what="Requests a second", of=lambda cell: load.requests / cell.median(wall))]
    total, speed = load.size_of_all / MIB, "MiB for each second of CPU"
    charted = [_Charted(file=file, what=speed, of=lambda cell: total / cell.median(cpu))]
    if scenario.asks:
        charted += [
            _Charted(
                file=f"{file}-memory",
                what="MiB of memory over the idle server",
                of=lambda cell: cell.median(growth) / MIB,
                form=".1f",
                more_is_better=False,
            ),
            _Charted(
                file=f"{file}-p99",
                what="p99 of another route in ms",
                of=lambda cell: cell.median(p99) * 1e3,
                form=".1f",
                more_is_better=False,
            ),
        ]
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
