"""A typed form beside `fields(...)`: `python -m bench.typed`.

The same body goes to both specs, in the same chunks, through the same driver, into memory; both look at every value.
Runs of the two alternate, so that a ratio is that of neighbours, and CPU time is counted. The target is in
`docs/benchmarks.md`: at most 1.3 times.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel

from uploadkit import File, MemoryStorage, Spec, Submission, Text, UploadedFile, Uploader, areceive, receive
from uploadkit.testing import FormBuilder

from .report import judged, machine, rows, told, write
from .targets import Verdict

TARGET = 1.3


class Typed(BaseModel):
    """Two text fields, an optional file and a list, as a model."""

    title: str
    age: int
    avatar: Annotated[UploadedFile, File(max_size="2 MB")] | None = None
    photos: list[UploadedFile]


def untyped(upload: Uploader) -> Spec[Submission]:
    """The same fields without a model."""
    texts = Text("title", required=True, max_count=1), Text("age", required=True, max_count=1)
    return upload.fields(*texts, File("avatar", max_size="2 MB"), File("photos", max_count=None))


def form(size: int, *, photos: int) -> FormBuilder:
    """A form with one avatar and so many photos of `size` bytes."""
    built = FormBuilder().text("title", "Holiday").text("age", "30")
    for name in ("avatar", *["photos"] * photos):
        built.file(name, bytes(size), filename="a.bin")
    return built


SCENARIOS = {
    "two texts": (FormBuilder().text("title", "Holiday").text("age", "30"), 2000),
    "two texts and a file of 10 KiB": (form(10 << 10, photos=0), 1000),
    "two texts and ten files of 10 KiB": (form(10 << 10, photos=9), 200),
    "two texts and a file of 1 MiB": (form(1 << 20, photos=0), 100),
}
"""A form, and how often it is received in a run."""


@dataclass
class Pair:
    """Microseconds of CPU a form, in runs that were neighbours."""

    fields: list[float] = field(default_factory=list)
    typed: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return statistics.median([typed / fields for typed, fields in zip(self.typed, self.fields, strict=True)])


def measured(built: FormBuilder, count: int, *, rounds: int, asynchronous: bool) -> Pair:
    """Both, in turns; who goes first changes."""
    receiving = _areceiving if asynchronous else _receiving
    pair = Pair()

    def fields() -> None:
        pair.fields.append(_timed(lambda: receiving(untyped(Uploader(MemoryStorage())), built, count, _seen), count))

    def typed() -> None:
        pair.typed.append(_timed(lambda: receiving(Uploader(MemoryStorage()).form(Typed), built, count, _typed), count))

    for number in range(rounds + 1):
        for run in (fields, typed) if number % 2 else (typed, fields):
            run()
    return Pair(pair.fields[1:], pair.typed[1:])  # the first round warms up


def _seen(submission: Submission) -> tuple[str, int, int]:
    by_field = submission.files_by_field
    files = [*by_field.get("avatar", []), *by_field.get("photos", [])]
    return submission.fields["title"], int(submission.fields["age"]), sum(file.size for file in files)


def _typed(given: Typed) -> tuple[str, int, int]:
    files = [*([given.avatar] if given.avatar else []), *given.photos]
    return given.title, given.age, sum(file.size for file in files)


def _receiving(spec: Spec[object], built: FormBuilder, count: int, seen: Callable[..., object]) -> Callable[[], None]:
    body, content_type = _chunks(built.body), built.content_type

    def run() -> None:
        for _ in range(count):
            seen(receive(spec, content_type, body))

    return run


def _areceiving(spec: Spec[object], built: FormBuilder, count: int, seen: Callable[..., object]) -> Callable[[], None]:
    body, content_type = _chunks(built.body), built.content_type

    async def arriving() -> AsyncIterator[bytes]:
        for chunk in body:
            yield chunk

    async def run() -> None:
        for _ in range(count):
            seen(await areceive(spec, content_type, arriving()))

    return lambda: asyncio.run(run())


def _timed(prepare: Callable[[], Callable[[], None]], count: int) -> float:
    run = prepare()
    start = time.process_time()
    run()
    return (time.process_time() - start) / count * 1e6


def _chunks(body: bytes) -> list[bytes]:
    return [body[at : at + (64 << 10)] for at in range(0, len(body), 64 << 10)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns 1 where the target is missed and `--check` was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.typed", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="runs of each (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the forms, fewer rounds")
    parser.add_argument("--check", action="store_true", help="exit with 1 where the target is missed")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table between its marks in FILE")
    given = parser.parse_args(arguments)
    rounds, part = (3, 10) if given.quick else (given.rounds, 1)
    print(machine())
    body, verdicts = [], []
    for title, (built, count) in SCENARIOS.items():
        for driver in ("blocking", "async"):
            pair = measured(built, max(1, count // part), rounds=rounds, asynchronous=driver == "async")
            fields, typed = statistics.median(pair.fields), statistics.median(pair.typed)
            body.append([f"{title}, {driver}", f"{fields:.0f}", f"{typed:.0f}", f"{pair.ratio:.2f}"])
            print(f"  {title + ', ' + driver:44} {fields:8.0f} {typed:8.0f} us  {pair.ratio:.2f}", flush=True)
            promise = f"{title}, {driver}: a typed form takes at most {TARGET} times as long"
            verdicts.append(Verdict(promise=promise, seen=pair.ratio, met=pair.ratio <= TARGET))
    print(told(verdicts))
    if given.markdown is not None:
        table = rows(["microseconds of CPU a form", "fields()", "form()", "ratio"], body)
        write(given.markdown, "typed", f"{machine()}.\n\n{table}\n\n{judged(verdicts)}")
    return 1 if given.check and not all(verdict.met for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
