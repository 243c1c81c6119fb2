"""What a verdict costs: `python -m bench.adversaries`. Needs what the tests need, and Linux.

Every sample of the tests, bad ones and good ones, is received by the blocking driver, stored on disk and looked at by
the checks of its field; what is counted is the whole of that, from the first byte of the form to the refusal or the
file. The child that decodes is warm, as it is in a server. Runs alternate; without clamd its samples are left out.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.content import clamd
from tests.content.adversaries import BAD, GOOD, Sample, fields

from uploadkit import DiskStorage, FileRefused, Spec, Submission, Uploader, receive
from uploadkit.content.sandbox import Sandbox
from uploadkit.testing import FormBuilder

from .report import judged, machine, rows, told, write
from .targets import Verdict

SECONDS, MEMORY = 0.5, 16
CHUNK_SIZE = 2**16
SHOWN = 10
SAMPLES = BAD | GOOD


@dataclass(kw_only=True)
class Cost:
    """Of one sample. `seconds` are on the clock and `processor` of this process and its children, for each round;
    `memory` is the most that Python's allocator has held at once, `resident` by how much the process grew, in MiB."""

    size: int = 0
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    memory: float = 0.0
    resident: float = 0.0

    @property
    def took(self) -> float:
        """The median, on the clock."""
        return statistics.median(self.seconds)

    @property
    def worked(self) -> float:
        """The median, of the processor."""
        return statistics.median(self.processor)


class Door:
    """One application for all samples, with one child and one daemon."""

    def __init__(self, folder: Path, sandbox: Sandbox, daemon: str | None) -> None:
        upload = Uploader(DiskStorage(folder))
        self._sandbox = sandbox
        self._specs: dict[str, Spec[Submission]] = {
            f"{rule.name}": upload.fields(rule) for rule in fields(sandbox, daemon)
        }

    def takes(self, sample: Sample) -> bool:
        """False where there is no daemon."""
        return sample.field in self._specs

    def measure(self, sample: Sample, cost: Cost) -> None:
        """One run, for the time that it takes."""
        with self._sent(sample, cost) as send:
            began, before = time.perf_counter(), self._processor_seconds()
            send()
            cost.seconds.append(time.perf_counter() - began)
            cost.processor.append(self._processor_seconds() - before)

    def weigh(self, sample: Sample, cost: Cost) -> None:
        """Two runs, for what the process holds beside the form."""
        with self._sent(sample, cost) as send:
            Path("/proc/self/clear_refs").write_text("5")  # the most that was resident begins anew
            before = _status("VmRSS")
            send()
            cost.resident = (_status("VmHWM") - before) / 2**20
        with self._sent(sample, cost) as send:
            tracemalloc.start()
            send()
            cost.memory = tracemalloc.get_traced_memory()[1] / 2**20
            tracemalloc.stop()

    @contextmanager
    def _sent(self, sample: Sample, cost: Cost) -> Iterator[_Send]:
        data = sample.make()
        form = FormBuilder().file(sample.field, data, filename=sample.filename, content_type=sample.declared)
        body, cost.size = form.body, len(data)
        chunks = [body[at : at + CHUNK_SIZE] for at in range(0, len(body), CHUNK_SIZE)]
        send = _Send(self._specs[sample.field], form.content_type, chunks)
        gc.collect()
        yield send
        if send.refused_by not in (sample.refused_by or (None,)):
            raise SystemExit(f"a verdict is wrong: {sample} was refused by {send.refused_by}")

    def _processor_seconds(self) -> float:
        ticks = 0
        for pid in self._sandbox.pids:
            spent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(spent[11]) + int(spent[12])
        return sum(os.times()[:4]) + ticks / os.sysconf("SC_CLK_TCK")


class _Send:
    def __init__(self, spec: Spec[Submission], content_type: str, chunks: list[bytes]) -> None:
        self._spec, self._content_type, self._chunks = spec, content_type, chunks
        self.refused_by: str | None = None

    def __call__(self) -> None:
        try:
            submission = receive(self._spec, self._content_type, self._chunks)
        except FileRefused as refused:
            self.refused_by = refused.filter
        else:
            submission.discard()


def _status(what: str) -> int:
    """Of this process, in bytes."""
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


@contextmanager
def _daemon(folder: Path) -> Iterator[str | None]:
    if clamd.CLAMD is None:
        yield None
        return
    with clamd.running(folder) as running:
        yield running.unix


def measured(rounds: int) -> dict[str, Cost]:
    """What each sample costs, by its name."""
    sandbox = Sandbox(processes=1)
    with tempfile.TemporaryDirectory() as name, _daemon(Path(name, "clamd")) as daemon:
        door = Door(Path(name, "uploads"), sandbox, daemon)
        costs = {name: Cost() for name, sample in SAMPLES.items() if door.takes(sample)}
        for name, cost in costs.items():
            door.weigh(SAMPLES[name], cost)
        for _ in range(rounds):
            for name, cost in costs.items():
                door.measure(SAMPLES[name], cost)
        with suppress(OSError):
            sandbox.close()
    return costs


def table(costs: dict[str, Cost]) -> str:
    """The dearest, by time and by memory."""
    by_time = sorted(costs, key=lambda name: costs[name].took, reverse=True)[:SHOWN]
    by_memory = sorted(costs, key=lambda name: costs[name].memory, reverse=True)[:SHOWN]
    body = [[name, *_row(costs[name])] for name in dict.fromkeys([*by_time, *by_memory])]
    head = ["", "bytes", "ms on the clock", "ms of CPU", "MiB of Python's", "MiB more resident"]
    return rows(head, body)


def _row(cost: Cost) -> list[str]:
    figures = (f"{cost.took * 1e3:.0f}", f"{cost.worked * 1e3:.0f}", f"{cost.memory:.1f}", f"{cost.resident:.1f}")
    return [f"{cost.size}", *figures]


def verdicts(costs: dict[str, Cost]) -> list[Verdict]:
    """Whether the dearest of all keep what is promised."""
    seconds = max(cost.took for cost in costs.values())
    memory = max(cost.memory for cost in costs.values())
    return [
        Verdict(promise=f"at most {SECONDS} s on the clock", seen=seconds, met=seconds <= SECONDS),
        Verdict(promise=f"at most {MEMORY} MiB in the parent", seen=memory, met=memory <= MEMORY),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns 1 where a target is missed and `--check` was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.adversaries", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="runs of each (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table between its marks in FILE")
    given = parser.parse_args(arguments)
    costs = measured(given.rounds)
    found, seen = table(costs), verdicts(costs)
    count = f"{len(BAD.keys() & costs.keys())} bad and {len(GOOD.keys() & costs.keys())} good files"
    print(f"{machine()}; {count}, every verdict is right\n\n{found}\n\n{told(seen)}")
    if given.markdown is not None:
        write(given.markdown, "adversaries", f"{machine()}. {count}.\n\n{found}\n\n{judged(seen)}")
    return 1 if given.check and not all(verdict.met for verdict in seen) else 0


if __name__ == "__main__":
    sys.exit(main())
