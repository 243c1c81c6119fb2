"""uploadkit to S3, beside boto3 from memory and the usual way: `python -m bench.s3`.

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

from ..end_to_end import processes
from ..end_to_end.measure import Cell
from ..end_to_end.servers import version
from ..report import machine, told, write
from ..targets import Verdict
from .contestants import contestants
from .measure import measured
from .report import markdown, table, versions
from .scenarios import scenarios
from .targets import verdicts


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns 1 where a target is missed and `--check` was asked for, 2 where it cannot run."""
    given = _arguments(arguments)
    chosen = [one for one in scenarios(quick=given.quick).values() if _is_chosen(one.name, given.scenario)]
    lined_up = [one for one in contestants() if _is_chosen(one.name, given.contestant)]
    if given.list:
        print("\n".join(f"{scenario.name:20} {scenario.title}" for scenario in chosen))
        print("\n" + "\n".join(f"{one.name:20} {one.missing() or ''}".rstrip() for one in lined_up))
        return 0
    if not processes.available():
        print("CPU time and memory of a server are read from /proc, which only Linux has", file=sys.stderr)
        return 2
    missing = [name for one in chosen for name in one.store.distributions if version(name) is None]
    if missing:
        print(f"not installed: {missing[0]}", file=sys.stderr)
        return 2

    started = time.monotonic()
    print(machine())
    print(versions(lined_up))
    able = [one for one in lined_up if one.missing() is None]
    disk, memory = processes.file_system(given.folder), processes.file_system(given.store_folder)
    results: dict[str, dict[str, Cell]] = {}
    judged: list[Verdict] = []
    for done, scenario in enumerate(chosen, 1):
        rounds = given.rounds or scenario.rounds
        results[scenario.name] = measured(scenario, able, given.folder, given.store_folder, rounds=rounds)
        print(f"\n{table(scenario, lined_up, results[scenario.name])}", flush=True)
        judged = verdicts(chosen[:done], lined_up, results)
        if given.markdown is not None:  # each time: who ends it early has what was measured until then
            text = markdown(chosen[:done], lined_up, results, judged, disk=disk, memory=memory)
            write(given.markdown, "s3", text)
    print(f"\n{told(judged)}\n\n{time.monotonic() - started:.0f} s")
    return 1 if given.check and not all(verdict.met for verdict in judged) else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.s3", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a quarter of the bytes, one round")
    parser.add_argument(
        "--scenario", action="append", metavar="NAME", help="only this one; a pattern such as '*/null'; repeatable"
    )
    parser.add_argument(
        "--contestant", action="append", metavar="NAME", help="only this one; a pattern such as 'flask/*'; repeatable"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="runs of every contestant (default: 5; 1 with --quick)")
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        default=Path(tempfile.gettempdir()),
        help="a folder on the disk, for what servers spool (default: %(default)s)",
    )
    parser.add_argument(
        "--store-folder",
        type=Path,
        metavar="DIR",
        default=Path("/dev/shm"),
        help="a folder for what S3 stores (default: %(default)s)",
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables into FILE, between their marks")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--list", action="store_true", help="name scenarios and contestants and stop")
    given = parser.parse_args(arguments)
    for what, patterns, known in (
        ("scenario", given.scenario, list(scenarios())),
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


if __name__ == "__main__":
    sys.exit(main())
