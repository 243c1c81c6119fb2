"""What uploadkit promises about whole uploads, and whether a run shows it.

A contestant that is not there is not judged; one of ours that has failed has missed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

from ..targets import Verdict
from .contestants import DIGEST, Contestant, Role
from .forms import MIB
from .measure import Cell, Result, cpu, growth, p99, wall
from .scenarios import Scenario

CPU_OF_FLOOR = 0.6
CPU_OF_TUNED_FLOOR = 1.2
CPU_OF_HASHLIB = 1.3
GROWTH_MIB = 8.0
GROWTH_MIB_AT_ONCE = 3.0
P99_MS = 20.0

_JUDGED_ON = ("uvicorn", "gunicorn")
_SMALL = "uvicorn/uploadkit-starlette"
_AT_LEAST = ("uvicorn/starlette-form",)
_MORE_THAN = ("gunicorn/flask", "gunicorn/django", "uvicorn/django", "node/express-multer")


def verdicts(
    scenarios: Sequence[Scenario], contestants: Sequence[Contestant], results: Mapping[str, Result]
) -> list[Verdict]:
    """Every promise that these results can judge."""
    return [
        verdict for scenario in scenarios for verdict in _of_scenario(scenario, contestants, results[scenario.name])
    ]


def _of_scenario(scenario: Scenario, contestants: Sequence[Contestant], result: Result) -> Iterator[Verdict]:
    for contestant in contestants:
        cell = result.cells.get(contestant.name)
        if contestant.role is not Role.OURS or contestant.server.name not in _JUDGED_ON or cell is None:
            continue
        what = f"{scenario.name}, {contestant.name}"
        if cell.failure is not None:
            yield Verdict(promise=f"{what}: {cell.failure}", seen=math.nan, met=False)
        elif contestant.digest:
            yield from _digest(what, contestant, cell, result)
        else:
            yield from _plain_or_tuned(scenario, what, contestant, cell, result)


def _digest(what: str, contestant: Contestant, cell: Cell, result: Result) -> Iterator[Verdict]:
    """By how much the digest makes it dearer, in each round, as a part of what hashing alone took in that round."""
    without = result.cells.get(contestant.name.removesuffix(DIGEST))
    if without is None or without.failure is not None:
        return
    rounds = zip(cell.runs, without.runs, result.hashing, strict=True)
    added = statistics.median([(run.cpu - other.cpu) / bare for run, other, bare in rounds])
    yield _at_most(f"{what}: adds at most {CPU_OF_HASHLIB} x the CPU of bare hashlib", added, CPU_OF_HASHLIB)


def _plain_or_tuned(
    scenario: Scenario, what: str, contestant: Contestant, cell: Cell, result: Result
) -> Iterator[Verdict]:
    floor = result.cells.get(contestant.floor)
    bound = CPU_OF_TUNED_FLOOR if contestant.tuned else CPU_OF_FLOOR
    if scenario.load.requests == 1 and floor is not None and floor.failure is None:
        yield _at_most(f"{what}: at most {bound} x the CPU of {contestant.floor}", cell.ratio(floor, cpu), bound)
    if contestant.tuned:
        return
    if scenario.small:
        if contestant.name == _SMALL:
            yield from _against_peers(what, cell, result)
    elif scenario.asks:
        uploads = scenario.load.connections
        allowed = GROWTH_MIB if uploads == 1 else GROWTH_MIB_AT_ONCE
        each = "" if uploads == 1 else " an upload"
        grown = cell.median(growth) / MIB / uploads
        yield _less_than(f"{what}: memory grows by less than {allowed:.0f} MiB{each}", grown, allowed)
        waited = cell.median(p99) * 1e3
        yield _less_than(f"{what}: p99 of the other route under {P99_MS:.0f} ms", waited, P99_MS)


def _against_peers(what: str, cell: Cell, result: Result) -> Iterator[Verdict]:
    """Requests a second: how many times those of the peer."""
    for name in (*_AT_LEAST, *_MORE_THAN):
        peer = result.cells.get(name)
        if peer is None or peer.failure is not None:
            continue
        times = peer.ratio(cell, wall)
        if name in _AT_LEAST:
            yield Verdict(promise=f"{what}: at least the requests/s of {name}", seen=times, met=times >= 1)
        else:
            yield Verdict(promise=f"{what}: more requests/s than {name}", seen=times, met=times > 1)


def _at_most(promise: str, seen: float, bound: float) -> Verdict:
    return Verdict(promise=promise, seen=seen, met=seen <= bound)


def _less_than(promise: str, seen: float, bound: float) -> Verdict:
    return Verdict(promise=promise, seen=seen, met=seen < bound)
