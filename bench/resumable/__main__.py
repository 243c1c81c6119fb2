"""Uploads in several requests beside the same bytes in a form: `python -m bench.resumable`.

    file     1 GiB by each door: CPU of the server's process, time, memory
    memory   a tenth of that: memory does not grow with the file
    small    what a request costs that brings a byte, or none
    s3       an eighth of that into an S3 that keeps it

`docs/benchmarks.md` has what was found.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..end_to_end.processes import available, file_system
from ..report import judged, machine, rows, told, write
from ..s3.stores import WEED, standing
from ..service.forms import MIB
from ..targets import Verdict
from .doors import FILES, SMALL
from .measure import Cell, measured

CPU_OF_FORM: Mapping[str, float] = {
    "tus, one PATCH": 1.2,
    "tus, PATCHes of 5 MiB": 2.0,
    "tus, one POST": 1.2,
    "IETF, one POST": 1.2,
}
"""So many times the CPU of the form, at most."""

GROWN_MIB = 8.0
"""By so much more a server may grow with a file of ten times the size."""

SCENARIOS = ("file", "memory", "small", "s3")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns 1 where a target is missed and `--check` was asked for, 2 where it cannot run."""
    given = _arguments(arguments)
    if not available():
        print("CPU time and memory are read from /proc, which only Linux has", file=sys.stderr)
        return 2
    size, rounds = (128 if given.quick else 1024) * MIB, given.rounds or (1 if given.quick else 5)
    print(f"{machine()}; files on {file_system(given.folder)}")
    found: dict[str, dict[str, Cell]] = {}
    tables: list[str] = []
    for scenario in given.scenario or SCENARIOS:
        with tempfile.TemporaryDirectory(dir=given.folder, prefix="bench-resumable-") as own:
            folder = Path(own)
            if scenario == "small":
                requests = 100 if given.quick else 500
                found[scenario] = measured([*SMALL], folder, requests=requests, rounds=rounds)
                tables.append(_of_requests(found[scenario]))
            elif scenario == "s3":
                with standing(WEED, folder) as store:
                    less = size // 8
                    found[scenario] = measured([*FILES], folder, size=less, rounds=rounds, told=store.environment)
                tables.append(_of_files(f"{less // MIB} MiB into S3", found[scenario]))
            else:
                less = size // 10 if scenario == "memory" else size
                found[scenario] = measured([*FILES], folder, size=less, rounds=rounds)
                tables.append(_of_files(f"{less // MIB} MiB", found[scenario]))
        print(f"\n{tables[-1]}", flush=True)
    verdicts = _verdicts(found)
    print(f"\n{told(verdicts)}")
    if given.markdown is not None:
        write(given.markdown, "resumable", "\n\n".join([f"{machine()}.", *tables, judged(verdicts)]))
    return 1 if given.check and not all(verdict.met for verdict in verdicts) else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.resumable", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="only this; repeatable")
    parser.add_argument("--quick", action="store_true", help="an eighth of the bytes, one round")
    parser.add_argument("--rounds", type=int, metavar="N", help="runs of every door (default: 5; 1 with --quick)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), metavar="DIR", help="on the disk")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables into FILE, between their marks")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    given = parser.parse_args(arguments)
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds is at least 1")
    return given


def _verdicts(found: Mapping[str, Mapping[str, Cell]]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    if (cells := found.get("file")) is not None:
        for door, bound in CPU_OF_FORM.items():
            seen = cells[door].ratio(cells["form"])
            promise = f"{door}: at most {bound} x the CPU of the form"
            verdicts.append(Verdict(promise=promise, seen=seen, met=seen <= bound))
    if "file" in found and "memory" in found:
        for door, cell in found["file"].items():
            more = (_grown(cell) - _grown(found["memory"][door])) / MIB
            promise = f"{door}: a file of ten times the size takes less than {GROWN_MIB:g} MiB more memory"
            verdicts.append(Verdict(promise=promise, seen=more, met=more < GROWN_MIB))
    return verdicts


def _of_files(title: str, cells: Mapping[str, Cell]) -> str:
    head = [title, "requests", "CPU, s", "x form", "time, s", "memory, MiB"]
    body = [
        [
            door,
            f"{cell.runs[0].requests}",
            f"{cell.median(lambda run: run.cpu):.2f}",
            f"{cell.ratio(cells['form']):.2f}",
            f"{cell.median(lambda run: run.seconds):.2f}",
            f"{_grown(cell) / MIB:.1f}",
        ]
        for door, cell in cells.items()
    ]
    return rows(head, body)


def _of_requests(cells: Mapping[str, Cell]) -> str:
    head = ["small requests, one after the other", "CPU of one, ms", "requests/s"]
    body = [
        [
            kind,
            f"{cell.median(lambda run: run.cpu_a_request) * 1e3:.2f}",
            f"{cell.median(lambda run: run.requests / run.seconds):.0f}",
        ]
        for kind, cell in cells.items()
    ]
    return rows(head, body)


def _grown(cell: Cell) -> float:
    return cell.median(lambda run: run.grown)


if __name__ == "__main__":
    sys.exit(main())
