"""What each parser makes of bodies that are not as they should be: `python -m bench.verdicts`.

Speed is no merit of a parser that takes half a file for a whole one. Every body here is given to every contestant of
the speed table, by the same adapters; the table shows what each has found, or that it refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .contestants import FLOOR, Parse, contestants
from .report import rows, versions, write
from .scenarios import BOUNDARY, Form

_DELIMITER = b"\r\n--" + BOUNDARY
_HEAD = b'\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\nContent-Type: image/png\r\n\r\n'
_OPENED = _DELIMITER[2:] + _HEAD
_DATA = b"0123456789" * 1000


@dataclass(frozen=True, kw_only=True)
class Case:
    """`right` is what RFC 2046 and RFC 7578 ask for."""

    title: str
    right: str
    chunks: list[bytes]
    names: tuple[str, ...] = ("file",)


CASES = (
    Case(title="a whole file", right="1 part, 10000 bytes", chunks=[_OPENED + _DATA + _DELIMITER + b"--\r\n"]),
    Case(title="the body ends in the middle of a file", right="refused", chunks=[_OPENED + _DATA]),
    Case(title="the body ends after an inner boundary", right="refused", chunks=[_OPENED + _DATA + _DELIMITER]),
    Case(
        title="text after the last boundary",
        right="1 part, 10000 bytes",
        chunks=[_OPENED + _DATA + _DELIMITER + b"--\r\nanything"],
    ),
    Case(
        title="a file holds the boundary without a CRLF before it",
        right="1 part, 10050 bytes",
        chunks=[_OPENED + _DATA + _DELIMITER[2:] + b"\r\n" + b"x" * 8 + _DELIMITER + b"--\r\n"],
    ),
    Case(
        title="a file holds a line that begins with the boundary and goes on",
        right="refused",
        chunks=[_OPENED + _DATA + _DELIMITER + b"X" + _DELIMITER + b"--\r\n"],
    ),
    Case(
        title="a read ends inside the last boundary",
        right="1 part, 10000 bytes",
        chunks=[_OPENED + _DATA + _DELIMITER + b"-", b"-\r\n"],
    ),
    Case(
        title="a field that nobody has announced",
        right="1 part, 10000 bytes",
        chunks=[_OPENED + _DATA + _DELIMITER + b"--\r\n"],
        names=(),
    ),
)  # fmt: skip


def outcome(parse: Parse, case: Case) -> str:
    """What a parser has found, or that it refused; of the kind "1 part, 10000 bytes"."""
    form = Form(
        boundary=BOUNDARY,
        chunks=case.chunks,
        chunk_size=2**16,
        size=sum(map(len, case.chunks)),
        parts=0,
        data=0,
        names=case.names,
    )
    try:
        parts, data = parse(form)
    except Exception:  # every parser has errors of its own
        return "refused"
    return f"{parts} part{'' if parts == 1 else 's'}, {data} bytes"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.verdicts", description=__doc__.partition("\n")[0])
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table into FILE, between its marks")
    given = parser.parse_args(arguments)
    judged = [
        contestant for contestant in contestants() if contestant.name != FLOOR and contestant.version() is not None
    ]
    parsers = {contestant.name: contestant.make() for contestant in judged}
    table = [[case.title, case.right, *(outcome(parse, case) for parse in parsers.values())] for case in CASES]
    text = rows(["", "right", *parsers], table)
    print(f"{versions(contestants())}\n\n{text}")
    if given.markdown is not None:
        write(given.markdown, "verdicts", text)


if __name__ == "__main__":
    main()
