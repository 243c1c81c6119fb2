"""uploadkit beside its peers, whole uploads over real sockets: `python -m bench.end_to_end`.

Every contestant takes the same requests and stores their files; whoever stores anything else has no speed.
`docs/benchmarks.md` says how to read what is printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ..report import machine
from . import processes
from .contestants import Contestant, contestants
from .measure import Result, measured
from .report import table, versions
from .scenarios import Scenario, scenarios


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns 1 where a target is missed and `--check` was asked for."""
    given = _arguments(arguments)
    chosen = [one for one in scenarios(quick=given.quick).values() if _is_chosen(one.name, given.scenario)]
    lined_up = [one for one in contestants() if _is_chosen(one.name, given.contestant)]
    if given.list:
        _list(chosen, lined_up)
        return 0
    if not processes.available():
        print("memory and CPU time of a server are read from /proc, which only Linux has", file=sys.stderr)
        return 2

    started = time.monotonic()
    print(machine())
    print(versions(lined_up), flush=True)
    results: dict[str, Result] = {}
    for scenario in chosen:
        racing = [one for one in lined_up if scenario.variants or not one.is_variant]
        able = [one for one in racing if one.missing() is None]
        folder = given.tmpfs if scenario.in_memory else given.folder
        results[scenario.name] = measured(scenario, able, folder, rounds=given.rounds or scenario.rounds)
        print(f"\n{table(scenario, racing, results[scenario.name])}", flush=True)
    print(f"\n{time.monotonic() - started:.0f} s")
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.end_to_end", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a quarter of the bytes, one round")
    parser.add_argument(
        "--scenario", action="append", metavar="NAME", help="only this one; a pattern such as 'forms*'; repeatable"
    )
    parser.add_argument(
        "--contestant", action="append", metavar="NAME", help="only this one; a pattern such as 'uvicorn/*'; repeatable"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="runs of every contestant (default: 5; 1 with --quick)")
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        default=Path(tempfile.gettempdir()),
        help="a folder on the disk, for what is stored (default: %(default)s)",
    )
    parser.add_argument(
        "--tmpfs",
        type=Path,
        metavar="DIR",
        default=Path("/dev/shm"),
        help="a folder in memory, for the scenarios that say so (default: %(default)s)",
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--list", action="store_true", help="name scenarios and contestants and stop")
    given = parser.parse_args(arguments)
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds is at least 1")
    return given


def _is_chosen(name: str, patterns: Sequence[str] | None) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _list(chosen: Sequence[Scenario], lined_up: Sequence[Contestant]) -> None:
    for scenario in chosen:
        print(f"{scenario.name:32} {scenario.title}")
    print()
    for contestant in lined_up:
        print(f"{contestant.name:32} {contestant.missing() or ''}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
