"""What type a file has, by its first bytes: `python -m bench.detection`.

Four detectors are given the same first bytes of the samples by which the tests judge ours: fifty kinds of files,
written by the programs that people write them with. Counted is who is right, and CPU time a call in rounds in which
each of them looks at all samples. The targets are in `docs/benchmarks.md`.
"""

from __future__ import annotations

import argparse
import importlib
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TypeAlias

from tests.samples.catalogue import KINDS, is_right, samples

from uploadkit.policy.signatures import detect

from .report import judged, machine, rows, told, write
from .targets import Verdict

KINDS_TARGET = 46
TIME_TARGET = 4.0
SECONDS = 0.05  # of one detector in a round, at least

OURS, RIVAL = "uploadkit", "filetype"

Detect: TypeAlias = Callable[[bytes], str | None]
Heads: TypeAlias = Mapping[str, Mapping[str, bytes]]
"""By the kind, then by the sample's name."""


@dataclass(frozen=True, kw_only=True)
class Detector:
    """`make` raises `ImportError` where it is not installed."""

    name: str
    make: Callable[[], tuple[str, Detect]]  # its version as well


def detectors() -> tuple[Detector, ...]:
    """All of them, in the order of the report."""
    return (
        Detector(name=OURS, make=lambda: ("", detect)),
        Detector(name=RIVAL, make=_filetype),
        Detector(name="libmagic", make=_libmagic),
        Detector(name="magika", make=_magika),
    )


def _filetype() -> tuple[str, Detect]:
    return metadata.version("filetype"), importlib.import_module("filetype").guess_mime


def _libmagic() -> tuple[str, Detect]:
    try:
        magic = importlib.import_module("magic")
    except ImportError:  # the system has no libmagic; this package brings one
        importlib.import_module("pylibmagic")
        magic = importlib.import_module("magic")
    return f"{magic.version() / 100:.2f}", partial(magic.from_buffer, mime=True)


def _magika() -> tuple[str, Detect]:
    model = importlib.import_module("magika").Magika()
    return metadata.version("magika"), lambda head: str(model.identify_bytes(head).output.mime_type)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one detector has said, and how long it took in each round."""

    version: str
    wrong: Mapping[str, Mapping[str, str | None]]  # by kind and sample, where it is wrong
    seconds: Sequence[float]  # of CPU for all samples


def installed(candidates: Sequence[Detector]) -> dict[str, tuple[str, Detect]]:
    """The detectors that can run here, with their versions."""
    found = {}
    for candidate in candidates:
        try:
            found[candidate.name] = candidate.make()
        except ImportError:
            continue
    return found


def mistakes(look: Detect, heads: Heads) -> dict[str, dict[str, str | None]]:
    """What it says of the samples of which it is not right."""
    wrong: dict[str, dict[str, str | None]] = {}
    for kind, by_name in heads.items():
        for name, head in by_name.items():
            if not is_right(kind, answer := look(head)):
                wrong.setdefault(kind, {})[name] = answer
    return wrong


def measured(
    lined_up: Mapping[str, tuple[str, Detect]], heads: Heads, *, rounds: int, seconds: float
) -> dict[str, Answers]:
    """All of them over the same samples, each once a round and in another order each time."""
    every = [head for by_name in heads.values() for head in by_name.values()]
    times = {name: max(1, round(seconds / _timed(look, every))) for name, (_, look) in lined_up.items()}
    took: dict[str, list[float]] = {name: [] for name in lined_up}
    order = [*lined_up]
    shuffled = random.Random(1)
    for _ in range(rounds):
        shuffled.shuffle(order)
        for name in order:
            look = lined_up[name][1]
            took[name].append(sum(_timed(look, every) for _ in range(times[name])) / times[name])
    return {
        name: Answers(version=version, wrong=mistakes(look, heads), seconds=took[name])
        for name, (version, look) in lined_up.items()
    }


def _timed(look: Detect, heads: Sequence[bytes]) -> float:
    start = time.process_time()
    for head in heads:
        look(head)
    return max(time.process_time() - start, 1e-9)


def table(answers: Mapping[str, Answers], heads: Heads) -> str:
    """Who is right, and how fast, in Markdown."""
    count = sum(map(len, heads.values()))
    body = []
    for name, answer in answers.items():
        right = count - sum(map(len, answer.wrong.values()))
        microseconds = statistics.median(answer.seconds) / count * 1e6
        figure = f"{microseconds:.0f}" if microseconds >= 100 else f"{microseconds:.1f}"
        kinds = len(heads) - len(answer.wrong)
        ratio = f"{_ratio(answer, answers[RIVAL]):.2f}" if RIVAL in answers else "-"
        body.append([f"{name} {answer.version}".strip(), f"{kinds}", f"{right}", figure, ratio])
    return rows(
        ["", f"kinds right, of {len(heads)}", f"samples, of {count}", "microseconds a call", f"x {RIVAL}"], body
    )


def by_kind(answers: Mapping[str, Answers], heads: Heads) -> str:
    """How many samples are right of each kind with which anybody has trouble, in Markdown."""
    body = []
    for kind, by_name in heads.items():
        right = [len(by_name) - len(answer.wrong.get(kind, {})) for answer in answers.values()]
        if min(right) < len(by_name):
            body.append([kind, f"{len(by_name)}", *map(str, right)])
    return rows(["kind", "samples", *answers], body)


def judge(answers: Mapping[str, Answers], heads: Heads) -> list[Verdict]:
    """The targets that this run can judge."""
    ours = answers[OURS]
    right = len(heads) - len(ours.wrong)
    promise = f"at least {KINDS_TARGET} of {len(heads)} kinds are right"
    verdicts = [Verdict(promise=promise, seen=right, met=right >= KINDS_TARGET)]
    if RIVAL in answers:
        seen = _ratio(ours, answers[RIVAL])
        promise = f"at most {TIME_TARGET:.0f} times the time of {RIVAL}"
        verdicts.append(Verdict(promise=promise, seen=seen, met=seen <= TIME_TARGET))
    return verdicts


def _ratio(one: Answers, other: Answers) -> float:
    """Of the times in the same rounds, the median."""
    return statistics.median([mine / its for mine, its in zip(one.seconds, other.seconds, strict=True)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns 1 where a target is missed and `--check` was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.detection", description=__doc__.partition("\n")[0])
    names = [one.name for one in detectors()]
    parser.add_argument(
        "--detector", action="append", metavar="NAME", choices=names, help="uploadkit and only this one; repeatable"
    )
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="runs of each (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="three short rounds")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables between their marks in FILE")
    given = parser.parse_args(arguments)
    rounds, seconds = (3, 0.001) if given.quick else (given.rounds, SECONDS)
    heads = {kind: samples(kind) for kind in KINDS}
    lined_up = [one for one in detectors() if one.name in (OURS, *(given.detector or names))]
    answers = measured(installed(lined_up), heads, rounds=rounds, seconds=seconds)
    for name, answer in answers.items():
        print(f"{name} {answer.version}".strip() + (" is wrong of" if answer.wrong else " is wrong of nothing"))
        for kind, wrong in answer.wrong.items():
            for sample, said in wrong.items():
                print(f"  {kind + '/' + sample:44} {said}")
    verdicts = judge(answers, heads)
    print(f"\n{machine()}\n\n{table(answers, heads)}\n\n{told(verdicts)}")
    if given.markdown is not None:
        text = [f"{machine()}.", table(answers, heads), by_kind(answers, heads), judged(verdicts)]
        write(given.markdown, "detection", "\n\n".join(text))
    return 1 if given.check and not all(verdict.met for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
