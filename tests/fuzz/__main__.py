"""Fuzzes the targets one after the other: `python -m tests.fuzz [--minutes N] [TARGET...]`.

What is found lies in `.fuzz/found/TARGET`, and `python -m tests.fuzz --replay FILE TARGET` runs it again, without
atheris. What was learnt stays in `.fuzz/corpus/TARGET`, and the next run goes on from there.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .targets import TARGETS, Target

HOME = Path(".fuzz")
REPORT_SECONDS = 20
INPUT_SECONDS = 10
"""What takes longer is a finding: a target's largest input takes some milliseconds."""
MEMORY_MIB = 1024

_progress = re.compile(r"#(\d+)\s.*\bcov: (\d+)").match
_executed = re.compile(r"stat::number_of_executed_units:\s*(\d+)").match


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one target went. `code` is the fuzzer's: 0 where nothing was found."""

    name: str
    code: int
    seconds: float
    executions: int
    found: tuple[Path, ...]


def main() -> int:
    """1 where something was found, and its data and the way to run them again are shown."""
    options = _options()
    if options.replay is not None:
        [name] = options.targets
        TARGETS[name].check(options.replay.read_bytes())
        print(f"{options.replay} breaks no promise of {name}")
        return 0
    share = options.minutes * 60 / sum(TARGETS[name].share for name in options.targets)
    runs = [fuzz(name, share * TARGETS[name].share) for name in options.targets]
    print(f"\n{'target':12}{'seconds':>9}{'executions':>12}{'per second':>12}  findings")
    for run in runs:
        rate = run.executions / max(run.seconds, 1)
        print(f"{run.name:12}{run.seconds:9.0f}{run.executions:12}{rate:12.0f}  {len(run.found)}")
    found = [(run.name, path) for run in runs for path in run.found]
    for name, path in found:
        print(f"\n{path} breaks a promise of {name}. Run it again, and keep it in tests/fuzz/found/{name} when mended:")
        print(f"    python -m tests.fuzz --replay {path} {name}")
    for run in runs:
        if run.code != 0 and not run.found:
            print(f"\n{run.name} ended with code {run.code} and left no input: see what it said above")
    return int(any(run.code != 0 for run in runs))


def fuzz(name: str, seconds: float) -> Run:
    """One target for that long, or until something is found. Tells how far it is from time to time."""
    corpus, seeds, found = (_folder(HOME / kind / name) for kind in ("corpus", "seeds", "found"))
    before = set(found.iterdir())
    start = time.monotonic()
    process = subprocess.Popen(_command(name, TARGETS[name], seconds, corpus, seeds, found), stderr=subprocess.PIPE)
    executions = _watch(name, start, process)
    return Run(
        name=name,
        code=process.wait(),
        seconds=time.monotonic() - start,
        executions=executions,
        found=tuple(sorted(set(found.iterdir()) - before)),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="for all targets together (default: 10)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one input again, of one target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no target is called {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    if options.replay is not None and len(options.targets) != 1:
        parser.error("--replay FILE needs the one target that the input is of")
    options.targets = options.targets or list(TARGETS)
    return options


def _command(name: str, target: Target, seconds: float, corpus: Path, seeds: Path, found: Path) -> list[str]:
    for seed in target.seeds:
        (seeds / hashlib.sha256(seed).hexdigest()).write_bytes(seed)
    words = HOME / f"{name}.words"
    words.write_text("".join(map(_word, filter(None, target.words))), encoding="ascii")
    limits = (f"-timeout={INPUT_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={target.largest}")
    return [
        *(sys.executable, "-m", "tests.fuzz.engine", name),
        *(f"-max_total_time={max(1, round(seconds))}", "-print_final_stats=1", *limits),
        *(f"-dict={words}", f"-artifact_prefix={found}/", str(corpus), str(seeds)),
    ]


def _watch(name: str, start: float, process: subprocess.Popen[bytes]) -> int:
    """Waits until it has ended, tells from time to time how far it is, and returns how many inputs it has run."""
    said = _Said()
    reader = threading.Thread(target=said.read, args=(process.stderr,))
    reader.start()
    while reader.is_alive():
        reader.join(REPORT_SECONDS)
        if reader.is_alive():
            seconds = time.monotonic() - start
            print(f"{name:12}{seconds:6.0f} s, {said.executions} executions or more, {said.places} places", flush=True)
    if process.wait() != 0:
        print("".join(said.others[-60:]), file=sys.stderr, flush=True)
    return said.executions


class _Said:
    """What libFuzzer has said so far: the count, at powers of two and where something is new, and all other lines."""

    def __init__(self) -> None:
        self.executions = self.places = 0
        self.others: list[str] = []

    def read(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            text = line.decode("utf-8", "replace")
            if match := _progress(text):
                self.executions, self.places = int(match[1]), int(match[2])
            elif match := _executed(text):
                self.executions = int(match[1])
            elif not text.startswith("INFO:"):
                self.others.append(text)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _word(word: bytes) -> str:
    r"""A line of libFuzzer's dictionaries, every byte as `\xAB`."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n'


if __name__ == "__main__":
    sys.exit(main())
