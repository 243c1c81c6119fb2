"""What uploadkit promises about S3, and whether a run shows it.

Speed is judged where S3 takes the bytes at a speed of its own, memory everywhere. Who is not there, or has failed, is
not compared with; one of ours that has failed has missed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from ..end_to_end.forms import MIB
from ..end_to_end.measure import Cell, growth, wall
from ..targets import Verdict
from .contestants import FROM_MEMORY, Contestant, Role
from .scenarios import Scenario
from .stores import NULL

OF_MEMORY = 0.9
OF_USUAL = 1.5


def verdicts(
    scenarios: Sequence[Scenario], contestants: Sequence[Contestant], results: Mapping[str, Mapping[str, Cell]]
) -> list[Verdict]:
    """Every promise that these results can judge."""
    return [
        verdict
        for scenario in scenarios
        for contestant in contestants
        if contestant.role is Role.OURS and contestant.name in results[scenario.name]
        for verdict in _of(scenario, contestant, results[scenario.name])
    ]


def _of(scenario: Scenario, contestant: Contestant, cells: Mapping[str, Cell]) -> Iterator[Verdict]:
    what, cell = f"{scenario.name}, {contestant.name}", cells[contestant.name]
    if cell.failure is not None:
        yield Verdict(promise=f"{what}: {cell.failure}", seen=math.nan, met=False)
        return
    for name in contestant.rivals:
        rival = cells.get(name)
        if scenario.store is not NULL and rival is not None and rival.failure is None:
            bound = OF_MEMORY if name == FROM_MEMORY else OF_USUAL
            times = rival.ratio(cell, wall)
            yield Verdict(promise=f"{what}: at least {bound} x the MiB/s of {name}", seen=times, met=times >= bound)
    grown = cell.median(growth) / MIB
    yield Verdict(
        promise=f"{what}: memory grows by less than {scenario.growth_mib} MiB",
        seen=grown,
        met=grown < scenario.growth_mib,
    )
