"""What is printed: a table for every scenario as it is done, and all of them as Markdown for the docs."""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from .contestants import FLOOR, OURS, RIVAL, Contestant
from .measure import Cell
from .scenarios import GIB, KIB, MIB, Kind, Scenario
from .targets import Verdict

Results: TypeAlias = Mapping[str, Mapping[str, Cell]]
"""By the scenario's name, then by the contestant's."""


def machine() -> str:
    """Where this runs, in general terms."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{_cpu()}, {os.cpu_count()} cores, {platform.system()}, {python}"


def versions(contestants: Sequence[Contestant]) -> str:
    """The peers and their versions."""
    peers = [peer for peer in contestants if peer.distribution is not None]
    return ", ".join(f"{peer.name} {peer.version() or 'not installed'}" for peer in peers)


def table(scenario: Scenario, contestants: Sequence[Contestant], cells: Mapping[str, Cell]) -> str:
    """One scenario, as text."""
    lines = [f"{scenario.name}: {scenario.title}"]
    lines.append(f"  {'':20} {'MB/s':>8} {'spread':>7} {'x ' + RIVAL:>12} {'x floor':>8} {'a run':>9}")
    for contestant in contestants:
        cell = cells.get(contestant.name)
        if cell is None:
            lines.append(f"  {contestant.name:20} not installed")
        elif cell.failure is not None:
            lines.append(f"  {contestant.name:20} {cell.failure}")
        else:
            ratios = f"{_ratio(cell, cells.get(RIVAL)):>12} {_ratio(cell, cells.get(FLOOR)):>8}"
            spread = f"{cell.spread:.0%}"
            lines.append(f"  {contestant.name:20} {_speed(cell):>8} {spread:>7} {ratios} {_size(cell.size):>9}")
    return "\n".join(lines)


def markdown(
    scenarios: Sequence[Scenario], contestants: Sequence[Contestant], results: Results, verdicts: Sequence[Verdict]
) -> str:
    """All scenarios, by their kinds, and the targets."""
    sections = [f"{machine()}. {versions(contestants)}."]
    for kind in Kind:
        chosen = [scenario for scenario in scenarios if scenario.kind is kind]
        if chosen:
            sections.append(f"### {kind.value.capitalize()}, MB/s")
            sections.append(_speeds(chosen, contestants, results))
    sections += ["### uploadkit: spread and ratios", _ratios(scenarios, results)]
    sections += ["### Targets", judged(verdicts)]
    return "\n\n".join(sections)


def write(path: Path, name: str, text: str) -> None:
    """Writes `text` between two marks of this name; all else in the file stays. A file without them is replaced."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    whole = f"{begin}\n\n{text}\n\n{end}\n"
    if path.exists() and begin in (old := path.read_text(encoding="utf-8")) and end in old:
        whole = re.sub(rf"{begin}.*{end}\n", lambda _: whole, old, flags=re.DOTALL)
    path.write_text(whole, encoding="utf-8")


def rows(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table in Markdown. All columns but the first are flush right."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def told(verdicts: Sequence[Verdict]) -> str:
    """The targets, as text."""
    if not verdicts:
        return "targets: none that this run can judge"
    lines = [f"  {'met' if one.met else 'MISSED':6} {one.seen:6.2f}  {one.promise}" for one in verdicts]
    return "\n".join(["targets", *lines])


def judged(verdicts: Sequence[Verdict]) -> str:
    """The targets, in Markdown."""
    body = [[verdict.promise, f"{verdict.seen:.2f}", "met" if verdict.met else "missed"] for verdict in verdicts]
    return rows(["", "measured", ""], body)


def _speeds(scenarios: Sequence[Scenario], contestants: Sequence[Contestant], results: Results) -> str:
    body = []
    for scenario in scenarios:
        cells = [results[scenario.name].get(contestant.name) for contestant in contestants]
        body.append([scenario.title, *map(_outcome, cells)])
    return rows(["", *(contestant.name for contestant in contestants)], body)


def _ratios(scenarios: Sequence[Scenario], results: Results) -> str:
    body = []
    for scenario in scenarios:
        cells = results[scenario.name]
        ours = cells[OURS]
        ratios = (_ratio(ours, cells.get(RIVAL)), _ratio(ours, cells.get(FLOOR)))
        body.append([scenario.title, _outcome(ours), f"{ours.spread:.0%}", *ratios])
    return rows(["", "MB/s", "spread", f"x {RIVAL}", "x floor"], body)


def _outcome(cell: Cell | None) -> str:
    return "not installed" if cell is None else cell.failure or _speed(cell)


def _speed(cell: Cell) -> str:
    return f"{cell.speed:.0f}" if cell.speed >= 10 else f"{cell.speed:.1f}"


def _ratio(cell: Cell, other: Cell | None) -> str:
    ratio = cell.ratio(other)
    return "-" if math.isnan(ratio) else f"{ratio:.2f}"


def _size(size: int) -> str:
    for unit, called in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {called}"
    return f"{size} B"


def _cpu() -> str:
    try:
        described = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", described, re.MULTILINE)
    return found[1] if found else platform.machine()
