"""What the parsers are given: forms as browsers send them, large files, and bytes that an attacker would choose.

A scenario makes the forms of one run from an amount, which is a number of forms or the bytes of one file. It is asked
anew for every run, so that no run reads what the run before it has left in the CPU's cache: a file's chunks are taken
in turn from a ring of distinct objects that is several times as large as that cache, and "fresh" names are new ones
in every form. Nothing here is random from one run of the bench to the next.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

KIB = 2**10
MIB = 2**20
GIB = 2**30

BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gWq"  # 38 bytes, as Chromium and Safari make them
_RING_SIZE = 128 * MIB  # four times the last-level cache of a large server's core complex
_USUAL_CHUNK = 64 * KIB  # the most that an ASGI server hands over at once, and what WSGI applications read


@dataclass(frozen=True, kw_only=True)
class Form:
    """One body, as the chunks in which it arrives, and what a parser has to find in it."""

    boundary: bytes
    chunks: list[bytes]
    chunk_size: int
    size: int  # of the whole body, in bytes
    parts: int
    data: int  # bytes of all parts' bodies together
    names: tuple[str, ...]  # every field's name, once: one parser has to be told

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary.decode()}"


class Kind(Enum):
    FORM = "forms"
    FILE = "files of random bytes"
    WORST = "worst cases"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`amounts` falls: a parser gets the largest one that it gets through in the time of a run."""

    name: str
    title: str
    kind: Kind
    make: Callable[[int], list[Form]]
    amounts: tuple[int, ...]
    seconds: float = 0.03  # of one run, at most, where an amount allows it
    rounds: int = 25


def scenarios() -> dict[str, Scenario]:
    """All scenarios by their names, in the order of the report."""
    return {scenario.name: scenario for scenario in (*_forms(), *_files(), *_worst_cases())}


def worst_case(name: str, size: int, chunk_size: int | None) -> Form:
    """One worst case in chunks of another size; None is the whole body as one chunk."""
    return _WORST[name](size, chunk_size)


# -- forms


def _forms() -> list[Scenario]:
    one_request = (400, 100, 20, 4)
    thousand_parts = (10, 3, 1)
    return [
        Scenario(
            name="simple",
            title="a form of three fields and a file of 2 KiB",
            kind=Kind.FORM,
            make=lambda count: [_simple()] * count,
            amounts=one_request,
        ),
        Scenario(
            name="repeated",
            title="1000 fields of ten names",
            kind=Kind.FORM,
            make=lambda count: [_repeated()] * count,
            amounts=thousand_parts,
        ),
        Scenario(
            name="fresh",
            title="1000 fields, every name new",
            kind=Kind.FORM,
            make=lambda count: [_fresh() for _ in range(count)],
            amounts=thousand_parts,
        ),
        Scenario(
            name="small-files",
            title="500 files of 1 KiB",
            kind=Kind.FORM,
            make=lambda count: [_small_files() for _ in range(count)],
            amounts=thousand_parts,
        ),
    ]


@functools.cache
def _simple() -> Form:
    fields = [_Part("name", b"Ada Lovelace"), _Part("email", b"ada@example.org"), _Part("token", b"0123456789" * 3)]
    return _form([*fields, _Part("avatar", _random_bytes(2 * KIB), "me.png")])


@functools.cache
def _repeated() -> Form:
    return _form([_Part(f"field-{number % 10}", b"value %d of the form" % number) for number in range(1000)])


_numbers = itertools.count()


def _fresh() -> Form:
    return _form([_Part(f"field-{next(_numbers)}", b"value %d of the form" % number) for number in range(1000)])


def _small_files() -> Form:
    """Browsers number the files of a camera or of a folder: no two heads are equal, here or in the next form."""
    data = _random_bytes(501 * KIB)
    return _form(
        [_Part("photos", data[at * KIB + at : (at + 1) * KIB + at], f"IMG_{next(_numbers)}.jpg") for at in range(500)]
    )


@dataclass(frozen=True)
class _Part:
    name: str
    data: bytes
    filename: str | None = None

    @property
    def head(self) -> bytes:
        if self.filename is None:
            return b'\r\nContent-Disposition: form-data; name="%b"\r\n\r\n' % self.name.encode()
        return (
            b'\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\nContent-Type: image/jpeg\r\n\r\n'
            % (self.name.encode(), self.filename.encode())
        )  # fmt: skip


def _form(parts: list[_Part]) -> Form:
    delimiter = b"\r\n--" + BOUNDARY
    pieces = [piece for part in parts for piece in (delimiter, part.head, part.data)]
    body = b"".join([*pieces, delimiter, b"--\r\n"])[len(b"\r\n") :]
    return Form(
        boundary=BOUNDARY,
        chunks=_cut(body, _USUAL_CHUNK),
        chunk_size=_USUAL_CHUNK,
        size=len(body),
        parts=len(parts),
        data=sum(len(part.data) for part in parts),
        names=tuple(dict.fromkeys(part.name for part in parts)),
    )


# -- files


def _files() -> list[Scenario]:
    made = []
    for size, called, seconds, rounds in ((32 * MIB, "32MiB", 0.1, 15), (GIB, "1GiB", 1.0, 7)):
        for chunk_size, chunk_called in ((KIB, "1KiB"), (16 * KIB, "16KiB"), (64 * KIB, "64KiB"), (MIB, "1MiB")):
            made.append(
                Scenario(
                    name=f"{called}/{chunk_called}",
                    title=f"a file of {_spaced(called)} in chunks of {_spaced(chunk_called)}",
                    kind=Kind.FILE,
                    make=functools.partial(_one_large_file, chunk_size),
                    amounts=tuple(amount for amount in (size, size // 4, size // 16, size // 64) if amount >= MIB),
                    seconds=seconds,
                    rounds=rounds,
                )
            )
    return made


def _spaced(size: str) -> str:
    return size.replace("MiB", " MiB").replace("KiB", " KiB").replace("GiB", " GiB")


_turns = itertools.count()


def _one_large_file(chunk_size: int, size: int) -> list[Form]:
    """A file of `size` bytes, from where the file before it has ended in the ring."""
    ring = _ring(chunk_size)
    count = size // chunk_size
    start = next(_turns) * count % len(ring)
    chunks = [*itertools.islice(itertools.cycle(ring), start, start + count)]
    head = b"--" + BOUNDARY + _Part("video", b"", "holiday.mp4").head
    tail = b"\r\n--" + BOUNDARY + b"--\r\n"
    form = Form(
        boundary=BOUNDARY,
        chunks=[head, *chunks, tail],
        chunk_size=chunk_size,
        size=len(head) + count * chunk_size + len(tail),
        parts=1,
        data=count * chunk_size,
        names=("video",),
    )
    return [form]


@functools.lru_cache(maxsize=1)  # of one chunk size at a time
def _ring(chunk_size: int) -> list[bytes]:
    return _cut(_random_bytes(_RING_SIZE), chunk_size)


@functools.cache
def _random_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def _cut(body: bytes, chunk_size: int) -> list[bytes]:
    return [body[at : at + chunk_size] for at in range(0, len(body), chunk_size)]


# -- worst cases


def _in_a_file(pattern: bytes, boundary: bytes = BOUNDARY, *, ends_of_chunks: bytes = b"") -> Callable[..., Form]:
    """A file in which one pattern follows upon the other. Every chunk ends in `ends_of_chunks`."""

    def make(size: int, chunk_size: int | None = _USUAL_CHUNK) -> Form:
        head = b"--" + boundary + _Part("file", b"", "a.bin").head
        data = (pattern * (size // len(pattern) + 1))[:size]
        if ends_of_chunks:
            length = chunk_size or _USUAL_CHUNK
            kept = length - len(ends_of_chunks)
            data = b"".join([piece[:kept] + ends_of_chunks for piece in _cut(data, length)])
        tail = b"\r\n--" + boundary + b"--\r\n"
        body = head + data + tail
        chunks = [body] if chunk_size is None else [head, *_cut(data, chunk_size), tail]
        return Form(
            boundary=boundary,
            chunks=chunks,
            chunk_size=chunk_size or len(body),
            size=len(body),
            parts=1,
            data=len(data),
            names=("file",),
        )

    return make


def _around_a_form(*, before: bytes = b"", after: bytes = b"") -> Callable[..., Form]:
    """A small form with junk before its first boundary or after its last."""

    def make(size: int, chunk_size: int | None = _USUAL_CHUNK) -> Form:
        form = _simple()
        first = (before * (size // len(before) + 1))[:size] + b"\r\n" if before else b""
        last = (after * (size // len(after) + 1))[:size] if after else b""
        body = first + b"".join(form.chunks) + last
        return Form(
            boundary=form.boundary,
            chunks=[body] if chunk_size is None else _cut(body, chunk_size),
            chunk_size=chunk_size or len(body),
            size=len(body),
            parts=form.parts,
            data=form.data,
            names=form.names,
        )

    return make


_DELIMITER = b"\r\n--" + BOUNDARY
_PREFIXES = b"".join(_DELIMITER[:length] for length in range(1, len(_DELIMITER)))
_ALTERNATING = b"ab" * 34 + b"c"  # a boundary whose beginnings are found everywhere in its own repetitions

_WORST: dict[str, Callable[..., Form]] = {
    "cr": _in_a_file(b"\r"),
    "crlf": _in_a_file(b"\r\n"),
    "crlf-hyphens": _in_a_file(b"\r\n--"),
    "prefixes": _in_a_file(_PREFIXES),
    "alternating": _in_a_file(b"\r\n--" + b"ab" * 34 + b"\r\n--" + b"ab" * 33, _ALTERNATING),
    "hyphens": _in_a_file(b"-", b"-" * 69 + b"x"),
    "near-misses": _in_a_file(_DELIMITER[:-1] + b"X\r\n"),
    "cut-delimiters": _in_a_file(b"x", ends_of_chunks=_DELIMITER[:-1]),
    "junk-before": _around_a_form(before=_DELIMITER[:-1] + b"X"),
    "junk-after": _around_a_form(after=b"\r\nnothing that a form has"),
}

_WORST_TITLES = {
    "cr": "nothing but CR",
    "crlf": "nothing but CRLF",
    "crlf-hyphens": "nothing but CRLF--",
    "prefixes": "every beginning of the delimiter, in turn",
    "alternating": "a boundary of abab...c in abab...",
    "hyphens": "a boundary of hyphens in hyphens",
    "near-misses": "lines that miss the boundary by their last byte",
    "cut-delimiters": "every chunk ends one byte before a delimiter would",
    "junk-before": "such lines before the first boundary",
    "junk-after": "lines of text after the last boundary",
}


def _worst_cases() -> list[Scenario]:
    return [
        Scenario(
            name=name,
            title=_WORST_TITLES[name],
            kind=Kind.WORST,
            make=functools.lru_cache(maxsize=4)(functools.partial(_one_worst_case, name)),
            amounts=(32 * MIB, 8 * MIB, 2 * MIB, MIB // 2, MIB // 8),
        )
        for name in _WORST
    ]


def _one_worst_case(name: str, size: int) -> list[Form]:
    # Most parsers do not look at what comes after a form: one body is over before a clock can tell.
    return [worst_case(name, size, _USUAL_CHUNK)] * (8 if name == "junk-after" else 1)
