"""How much of receiving an upload is parsing: `python -m bench.share`.

The same forms go through the parser alone and through all of uploadkit into a `DiskStorage`: limits, detected type,
digest, files that are really written and published. Both are CPU time of this process, the kernel's part of writing
included, waiting for the disk not: a parser without any cost would save the share of the parser, and no more.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from uploadkit.intake.blocking import receive
from uploadkit.intake.spec import Spec
from uploadkit.multipart.parser import MultipartParser
from uploadkit.policy.limits import Limits
from uploadkit.storage.disk import DiskStorage
from uploadkit.testing.forms import FormBuilder
from uploadkit.uploader import Uploader
from uploadkit.uploads import Submission

from .report import machine, rows, write
from .scenarios import KIB, MIB

ROUNDS = 9
_CHUNK = 64 * KIB


@dataclass(frozen=True, kw_only=True)
class Share:
    """Medians for one form, in seconds."""

    title: str
    parsing: float
    receiving: float

    @property
    def part(self) -> float:
        return self.parsing / self.receiving


def shares(folder: Path, rounds: int = ROUNDS) -> list[Share]:
    """Measures. What is stored lies below `folder`, and is removed after each run, out of the measured time."""
    spec = Uploader(DiskStorage(folder), limits=Limits(files=None)).any()
    return [_share(spec, title, form, rounds) for title, form in _forms().items()]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.share", description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="where the files are stored (default: a temporary folder)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table into FILE, between its marks")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = shares(Path(folder), given.rounds)
    body = [
        [share.title, f"{share.parsing * 1e3:.3f}", f"{share.receiving * 1e3:.2f}", f"{share.part:.0%}"]
        for share in found
    ]
    text = rows(["one form", "parsing, ms", "receiving, ms", "parsing is"], body)
    print(f"{machine()}\n\n{text}")
    if given.markdown is not None:
        write(given.markdown, "share", text)


def _forms() -> dict[str, FormBuilder]:
    """Files whose bytes are of no known type, under names that promise none."""
    data = random.Random(1).randbytes(32 * MIB)
    small = FormBuilder()
    for number in range(500):
        small.file("files", data[number * KIB : (number + 1) * KIB], filename=f"{number}.bin")
    texts = FormBuilder()
    for number in range(1000):
        texts.text(f"field-{number}", f"value {number} of the form")
    few = FormBuilder().text("name", "Ada Lovelace").text("email", "ada@example.org").text("token", "0123456789" * 3)
    return {
        "a file of 32 MiB": FormBuilder().file("file", data, filename="a.bin"),
        "500 files of 1 KiB": small,
        "three fields and a file of 2 KiB": few.file("file", data[: 2 * KIB], filename="a.bin"),
        "1000 text values and no file": texts,
    }


def _share(spec: Spec[Submission], title: str, form: FormBuilder, rounds: int) -> Share:
    body, content_type = form.body, form.content_type
    chunks = [body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK)]
    times = max(1, MIB // len(body))  # a small form is received many times in a run

    def parse() -> None:
        for _ in range(times):
            parser = MultipartParser(content_type)
            for chunk in chunks:
                for _event in parser.feed(chunk):
                    pass
            parser.close()

    received: list[Submission] = []

    def receive_all() -> None:
        received.extend(receive(spec, content_type, chunks) for _ in range(times))

    pairs = []
    for _ in range(rounds):
        pairs.append((_seconds(parse), _seconds(receive_all)))
        for submission in received:
            submission.discard()
        received.clear()
    parsing, receiving = (statistics.median(column) / times for column in zip(*pairs, strict=True))
    return Share(title=title, parsing=parsing, receiving=receiving)


def _seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
