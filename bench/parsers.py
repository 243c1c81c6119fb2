"""uploadkit's parser beside its peers: `python -m bench.parsers`.

Every contestant parses the same forms in the same chunks and counts what it finds; a wrong count is shown as one and
has no speed. `docs/benchmarks.md` says how to read what is printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from .contestants import OURS, Contestant, Parse, contestants
from .measure import Cell, linearity, measured
from .report import machine, markdown, table, told, versions, write
from .scenarios import Kind, Scenario, scenarios
from .targets import verdicts

QUICK_ROUNDS = 5
QUICK_SECONDS = 0.02

_NAMES = [contestant.name for contestant in contestants()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns 1 where a target is missed and `--check` was asked for."""
    given = _arguments(arguments)
    chosen = _chosen(given.scenario)
    lined_up = [one for one in contestants() if one.name in (OURS, *(given.contestant or _NAMES))]
    if given.list:
        for scenario in chosen:
            print(f"{scenario.name:16} {scenario.title}")
        return 0

    started = time.monotonic()
    print(machine())
    print(versions(lined_up), flush=True)
    parsers = installed(lined_up)
    rounds = given.rounds or (QUICK_ROUNDS if given.quick else None)
    results: dict[str, Mapping[str, Cell]] = {}
    for scenario in chosen:
        cells = measured(scenario, parsers, rounds=rounds, seconds=QUICK_SECONDS if given.quick else None)
        results[scenario.name] = cells
        print(f"\n{table(scenario, lined_up, cells)}", flush=True)

    linear = {
        scenario.name: linearity(scenario.name, parsers[OURS]) for scenario in chosen if scenario.kind is Kind.WORST
    }
    judged = verdicts(chosen, results, linear)
    print(f"\n{told(judged)}")
    print(f"\n{time.monotonic() - started:.0f} s")
    if given.markdown is not None:
        write(given.markdown, "speeds", markdown(chosen, lined_up, results, judged))
    return 1 if given.check and not all(verdict.met for verdict in judged) else 0


def installed(candidates: Sequence[Contestant]) -> dict[str, Parse]:
    """The contestants that can run here."""
    return {candidate.name: candidate.make() for candidate in candidates if candidate.version() is not None}


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.parsers", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller runs, fewer rounds: under a minute in all")
    parser.add_argument(
        "--scenario", action="append", metavar="NAME", help="only this one; a pattern such as '1GiB/*'; repeatable"
    )
    parser.add_argument(
        "--contestant", action="append", metavar="NAME", choices=_NAMES, help="uploadkit and only this one; repeatable"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="runs of every contestant (default: 7 to 25)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables into FILE, between their marks")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--list", action="store_true", help="name the scenarios and stop")
    given = parser.parse_args(arguments)
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds is at least 1")
    unknown = [name for name in given.scenario or () if not any(fnmatchcase(known, name) for known in scenarios())]
    if unknown:
        parser.error(f"no scenario is called {', '.join(unknown)}; --list names them")
    return given


def _chosen(patterns: Sequence[str] | None) -> list[Scenario]:
    every = scenarios().values()
    if not patterns:
        return list(every)
    return [scenario for scenario in every if any(fnmatchcase(scenario.name, pattern) for pattern in patterns)]


if __name__ == "__main__":
    sys.exit(main())
