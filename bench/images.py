"""Variants of a picture of 24 megapixels: `python -m bench.images`.

Beside them the same variants, each from a decode of its own, in the same run and by the same Pillow: CPU time is
counted, runs alternate. Then how long another route takes to answer while twenty such pictures are processed, beside
what it takes while as many other processes of the same niceness compute. The targets are in `docs/benchmarks.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import os
import queue
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

from PIL import Image, ImageOps

from uploadkit import MemoryStorage
from uploadkit.content import pillow
from uploadkit.content.sandbox import Sandbox
from uploadkit.content.variants import DEFAULT_VARIANTS, ORIGINAL, VariantSpec, make_variants

from .report import judged, machine, rows, told, write
from .targets import Verdict

SIDES = 6000, 4000
SPEED_TARGET, MEMORY_TARGET, P99_TARGET = 4.0, 120, 2.0
PICTURES = 20
CHILDREN = min(os.cpu_count() or 1, 4)
"""As many as a sandbox has by default; and as many other processes compute, for the comparison."""


def photograph() -> bytes:
    """A JPEG of 24 megapixels with as much detail as one of a camera: some 5 MB."""
    small = SIDES[0] // 4, SIDES[1] // 4
    channels = [Image.effect_mandelbrot(small, (-2, -1.5, 1 + at / 9, 1.5), 100) for at in range(2)]
    picture = Image.merge("RGB", [*channels, Image.effect_noise(small, 60)]).resize(SIDES, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88)
    return file.getvalue()


# How fast, and in how much memory


def ours(source: IO[bytes], variants: Mapping[str, VariantSpec]) -> None:
    """What a child does for `make_variants`."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in variants]
        asked = [asdict(spec) for spec in variants.values()]
        answer = pillow.render(
            [source.fileno(), *(file.fileno() for file in files)],
            variants=asked, formats=["JPEG"], max_pixels=50_000_000, max_frames=1,
        )  # fmt: skip
        assert len(answer["done"]) == len(variants), answer


def decoded_each(source: IO[bytes], variants: Mapping[str, VariantSpec]) -> None:
    """As it is mostly written: open, turn, shrink, save, for each variant."""
    for spec in variants.values():
        with Image.open(source.name) as picture:
            turned = ImageOps.exif_transpose(picture)
            _saved(_shrunk(turned, spec), spec)


def drafted_each(source: IO[bytes], variants: Mapping[str, VariantSpec]) -> None:
    """The same with Pillow's `draft`, for each variant."""
    for spec in variants.values():
        with Image.open(source.name) as picture:
            if spec.width and spec.height:
                picture.draft("RGB", (spec.width * 2, spec.height * 2))
            _saved(_shrunk(ImageOps.exif_transpose(picture), spec), spec)


def _shrunk(picture: Image.Image, spec: VariantSpec) -> Image.Image:
    if spec.width is None or spec.height is None:
        return picture
    sides = spec.width, spec.height
    return ImageOps.fit(picture, sides) if spec.fit == "cover" else ImageOps.contain(picture, sides)


def _saved(picture: Image.Image, spec: VariantSpec) -> None:
    picture.save(io.BytesIO(), "JPEG", quality=spec.quality or 85)


WAYS: dict[str, Callable[[IO[bytes], Mapping[str, VariantSpec]], None]] = {
    "uploadkit": ours,
    "a decode each": decoded_each,
    "a draft each": drafted_each,
}

CHAINS = {"the three smaller ones": DEFAULT_VARIANTS, "and the original": {**DEFAULT_VARIANTS, "original": ORIGINAL}}


def measured(source: IO[bytes], variants: Mapping[str, VariantSpec], rounds: int) -> dict[str, float]:
    """Seconds of CPU by way, the median of runs that alternate."""
    seen: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(rounds + 1):
        for name, way in WAYS.items():
            start = time.process_time()
            way(source, variants)
            if number:  # the first round warms up
                seen[name].append(time.process_time() - start)
    return {name: statistics.median(times) for name, times in seen.items()}


def memory(source: IO[bytes], variants: Mapping[str, VariantSpec]) -> int:
    """The most that a child had resident, in MiB."""
    sandbox = Sandbox(processes=1)
    make_variants(source.name, variants, into=MemoryStorage(), sandbox=sandbox)
    [pid] = sandbox.pids
    told_by_kernel = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    sandbox.close()
    assert told_by_kernel is not None
    return int(told_by_kernel[1]) // 1024


# How long others wait


@contextlib.contextmanager
def server() -> Iterator[int]:
    """`bench.image_app` on uvicorn, and its port."""
    command = [sys.executable, "-m", "uvicorn", "bench.image_app:app", "--port", "0", "--no-access-log"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        ports: queue.Queue[int] = queue.Queue()

        def read() -> None:
            for line in process.stderr or ():
                if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                    ports.put(int(found[1]))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield ports.get(timeout=30)
        finally:
            process.terminate()
            reader.join()


@contextlib.contextmanager
def computing() -> Iterator[None]:
    """As many processes as a sandbox has, and as nice, that do nothing but compute."""
    program = "import os; os.nice(10)\nwhile True: pass"
    others = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(CHILDREN)]
    try:
        yield
    finally:
        for process in others:
            process.kill()
            process.wait()


@contextlib.contextmanager
def processing(port: int, source: IO[bytes]) -> Iterator[threading.Event]:
    """Twenty pictures at once. The event is set when all are done."""
    done = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("POST", "/process", headers={"X-Picture": source.name})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"3")
        connection.close()

    def wait() -> None:
        for thread in threads:
            thread.join()
        done.set()

    threads = [threading.Thread(target=ask) for _ in range(PICTURES)]
    for thread in threads:
        thread.start()
    waiting = threading.Thread(target=wait)
    waiting.start()
    yield done
    waiting.join()


def pinged(port: int, until: Callable[[], bool]) -> list[float]:
    """How long the other route took to answer, each time, in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    seen = []
    while not until():
        start = time.perf_counter()
        connection.request("GET", "/ping")
        connection.getresponse().read()
        seen.append((time.perf_counter() - start) * 1000)
        time.sleep(0.002)
    connection.close()
    return seen


def p99(seen: Sequence[float]) -> float:
    return statistics.quantiles(seen, n=100)[98]


def waits(source: IO[bytes], rounds: int) -> tuple[float, float]:
    """p99 in milliseconds beside other processes that compute, and while pictures are processed."""
    beside, while_processing = [], []
    with server() as port:
        with processing(port, source):
            pass  # the children are warm
        for _ in range(rounds):
            with processing(port, source) as done:
                start = time.monotonic()
                while_processing.append(p99(pinged(port, done.is_set)))
                seconds = time.monotonic() - start
            with computing():
                end = time.monotonic() + seconds
                beside.append(p99(pinged(port, lambda end=end: time.monotonic() > end)))  # type: ignore[misc]  # no type is found for its `end`
    return statistics.median(beside), statistics.median(while_processing)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns 1 where a target is missed and `--check` was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.images", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="runs of each (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table between its marks in FILE")
    given = parser.parse_args(arguments)
    rounds = 2 if given.quick else given.rounds
    body, verdicts = [], []
    with tempfile.NamedTemporaryFile(suffix=".jpg") as source:
        source.write(photograph())
        source.flush()
        size = source.tell() / 1e6
        print(f"{machine()}; {SIDES[0]} x {SIDES[1]}, {size:.1f} MB")
        for title, variants in CHAINS.items():
            seen, peak = measured(source, variants, rounds), memory(source, variants)
            ratio = seen["a decode each"] / seen["uploadkit"]
            body.append([title, *(f"{seconds:.2f}" for seconds in seen.values()), f"{ratio:.1f}", f"{peak}"])
            print(f"  {title:24} {seen} ratio {ratio:.1f}, {peak} MiB", flush=True)
            if variants is DEFAULT_VARIANTS:
                promise = f"{title}: at least {SPEED_TARGET:.0f} times as fast as a decode each"
                verdicts.append(Verdict(promise=promise, seen=ratio, met=ratio >= SPEED_TARGET))
                promise = f"{title}: at most {MEMORY_TARGET} MiB in the child"
                verdicts.append(Verdict(promise=promise, seen=peak, met=peak <= MEMORY_TARGET))
        beside, while_processing = waits(source, max(rounds // 2, 1))
        print(f"  p99 of another route: {beside:.1f} ms beside others, {while_processing:.1f} ms while processing")
        promise = f"p99 of another route: at most {P99_TARGET:.0f} times that beside other processes"
        seen_ratio = while_processing / beside
        verdicts.append(Verdict(promise=promise, seen=seen_ratio, met=seen_ratio <= P99_TARGET))
    print(told(verdicts))
    if given.markdown is not None:
        head = ["seconds of CPU", *WAYS, "x a decode each", "MiB in the child"]
        waited = rows(
            ["p99 of another route, ms", "beside other processes", f"while {PICTURES} pictures are processed"],
            [["GET /ping, uvicorn", f"{beside:.1f}", f"{while_processing:.1f}"]],
        )
        text = f"{machine()}. {SIDES[0]} x {SIDES[1]} pixels, {size:.1f} MB."
        write(given.markdown, "images", f"{text}\n\n{rows(head, body)}\n\n{waited}\n\n{judged(verdicts)}")
    return 1 if given.check and not all(verdict.met for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
