"""uploadkit beside its peers, whole uploads over real sockets: `python -m bench.end_to_end`.

Every contestant takes the same requests and stores their files; whoever stores anything else has no speed.
`docs/benchmarks.md` says how to read what is printed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ..report import machine, told, write
from . import processes
from .contestants import Contestant, contestants
from .measure import Result, measured
from .report import markdown, pictures, table, versions
from .scenarios import Scenario, scenarios
from .targets import verdicts


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns 1 where a target is missed and `--check` was asked for, 2 where it cannot run."""
    given = _arguments(arguments)
    chosen = [one for one in scenarios(quick=given.quick).values() if _is_chosen(one.name, given.scenario)]
    lined_up = [one for one in contestants() if _is_chosen(one.name, given.contestant)]
    if given.list:
        _list(chosen, lined_up)
        return 0
    if (reason := _obstacle(given.folder)) is not None:
        print(reason, file=sys.stderr)
        return 2

    started = time.monotonic()
    print(machine())
    print(versions(lined_up))
    if not _is_in_memory(given.tmpfs):
        chosen = [scenario for scenario in chosen if not scenario.in_memory]
        print(f"{given.tmpfs} is no tmpfs: what would be stored there is left out")
    results: dict[str, Result] = {}
    for scenario in chosen:
        able = [one for one in scenario.racing(lined_up) if one.missing() is None]
        folder = given.tmpfs if scenario.in_memory else given.folder
        results[scenario.name] = measured(scenario, able, folder, rounds=given.rounds or scenario.rounds)
        print(f"\n{table(scenario, lined_up, results[scenario.name])}", flush=True)
    judged = verdicts(chosen, lined_up, results)
    print(f"\n{told(judged)}\n\n{time.monotonic() - started:.0f} s")

    if given.charts is not None:
        given.charts.mkdir(parents=True, exist_ok=True)
        for picture in [one for scenario in chosen for one in pictures(scenario, lined_up, results[scenario.name])]:
            (given.charts / picture.file).write_text(picture.svg, encoding="utf-8")
    if given.markdown is not None:
        charts = given.charts and Path(os.path.relpath(given.charts, given.markdown.parent)).as_posix()
        disk = processes.file_system(given.folder)
        write(given.markdown, "end-to-end", markdown(chosen, lined_up, results, judged, disk=disk, charts=charts))
    return 1 if given.check and not all(verdict.met for verdict in judged) else 0


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
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables into FILE, between their marks")
    parser.add_argument("--charts", type=Path, metavar="DIR", help="draw charts into DIR, and name them in the FILE")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--list", action="store_true", help="name scenarios and contestants and stop")
    given = parser.parse_args(arguments)
    for what, patterns, known in (
        ("scenario", given.scenario, scenarios()),
        ("contestant", given.contestant, [one.name for one in contestants()]),
    ):
        for pattern in patterns or ():
            if not any(fnmatchcase(name, pattern) for name in known):
                parser.error(f"no {what} is called {pattern}; --list names them")
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds is at least 1")
    return given


def _is_chosen(name: str, patterns: Sequence[str] | None) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _obstacle(folder: Path) -> str | None:
    """Why nothing can be measured here."""
    if not processes.available():
        return "CPU time and memory of a server are read from /proc, which only Linux has"
    if _is_in_memory(folder):
        return f"{folder} is in memory: --folder names one on a disk"
    return None


def _is_in_memory(folder: Path) -> bool:
    return folder.is_dir() and processes.file_system(folder) == "tmpfs"


def _list(chosen: Sequence[Scenario], lined_up: Sequence[Contestant]) -> None:
    for scenario in chosen:
        print(f"{scenario.name:32} {scenario.title}")
    print()
    for contestant in lined_up:
        print(f"{contestant.name:32} {contestant.missing() or ''}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
