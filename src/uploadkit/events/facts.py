"""What can happen to an upload, as frozen values. A fact is what was, and nobody can answer it. No I/O.

Each has a `name` such as "file.uploaded", an `id` of its own, by which whoever hears it twice knows it again, the
moment `at`, and the `upload` that it is of. `as_json` and `from_json` take facts between processes, `encode` and
`decode` as bytes: what comes out is equal to what went in, and what is no fact is a `ValueError`, whatever it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from secrets import token_hex
from types import MappingProxyType
from typing import Any, ClassVar, Final

__all__ = [
    "FACTS",
    "Fact",
    "FileDeleted",
    "FileFailed",
    "FileProcessed",
    "FileProgressed",
    "FileRejected",
    "FileScanned",
    "FileUploaded",
    "UnknownFact",
    "as_json",
    "decode",
    "encode",
    "from_json",
]


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return token_hex(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What all facts have. `owner` is whose upload it is, where that is known; `batch` is the request it came with.

    `at` is kept in UTC; one without a time zone is a `ValueError`, since nobody knows when it was.
    """

    name: ClassVar[str]

    upload: str
    owner: str | None = None
    batch: str | None = None
    id: str = field(default_factory=_new_id)
    at: datetime = field(default_factory=_now)

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError(f"a moment has a time zone: {self.at!r}")
        object.__setattr__(self, "at", self.at.astimezone(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUploaded(Fact):
    """All of a file is stored, and its record says so. `size` is in bytes, `storage` the storage's name."""

    name = "file.uploaded"

    filename: str
    content_type: str
    size: int
    sha256: str | None = None
    storage: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRejected(Fact):
    """A file broke a rule. `code` is that of the error, such as "file_refused"; `reason` is its text."""

    name = "file.rejected"

    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileScanned(Fact):
    """A scan has an outcome: "clean", "infected" or "unscannable"."""

    name = "file.scanned"

    outcome: str
    signature: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProgressed(Fact):
    """A processor has come so far: `percent` from 0 to 100, and what it is at."""

    name = "file.progressed"

    processor: str
    percent: int
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProcessed(Fact):
    """Everything that was to be done with a file is done.

    `results` is what each processor has told, by its name: what JSON can hold, with lists and not tuples.
    """

    name = "file.processed"

    results: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFailed(Fact):
    """A processor has given up, after so many attempts."""

    name = "file.failed"

    processor: str
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDeleted(Fact):
    """A file is gone, with all that was made of it. `reason` is "deleted" or "expired"."""

    name = "file.deleted"

    reason: str = "deleted"


FACTS: Final[Mapping[str, type[Fact]]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (FileUploaded, FileRejected, FileScanned, FileProgressed, FileProcessed, FileFailed, FileDeleted)
    }
)
"""Every kind of fact, by its name."""


class UnknownFact(ValueError):
    """A fact of a kind that this version does not know. `name` is what it is called."""

    def __init__(self, name: str) -> None:
        super().__init__(f"this version knows no fact {name[:60]!r}")
        self.name = name


def as_json(fact: Fact) -> dict[str, Any]:
    """A fact as JSON has it. Unknown members are for newer readers."""
    told = {each.name: getattr(fact, each.name) for each in fields(fact)}
    return told | {"name": fact.name, "at": fact.at.isoformat()}


def from_json(told: object) -> Fact:
    """The fact that `as_json` told. Members that this version does not know are left out.

    Raises `UnknownFact` for a name that it does not know, and `ValueError`, which that is as well, for everything else
    that is no fact.
    """
    if not isinstance(told, Mapping) or not isinstance(name := told.get("name"), str):
        raise ValueError("this is no fact: it has no name")
    kind = FACTS.get(name)
    if kind is None:
        raise UnknownFact(name)
    if not told.keys() >= {"id", "at"}:  # made up here, they would be others each time that it is read
        raise ValueError(f"this is no {name}: it has no id, or no moment")
    known = [each for each in fields(kind) if each.name in told]
    values: dict[str, Any] = {each.name: _read(each.name, each.type, told[each.name]) for each in known}
    try:
        return kind(**values)
    except (TypeError, ValueError, OverflowError) as error:  # a member is missing; a moment in the year 0
        raise ValueError(f"this is no {name}: {error}") from error


def encode(fact: Fact) -> bytes:
    """A fact as the bytes of its JSON. Raises `ValueError` or `TypeError` where its `results` are no JSON."""
    return json_bytes(as_json(fact))


def decode(told: bytes | str) -> Fact:
    """The fact of such bytes. Raises as `from_json`."""
    return from_json(json_value(told))


def json_bytes(value: object) -> bytes:
    """JSON without spaces, and without the numbers that only Python reads."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def json_value(told: bytes | str) -> object:
    """What JSON says. Raises `ValueError` alone, also where it is nested without end."""
    try:
        value: object = json.loads(told, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this is no JSON: {error}") from error
    return value


def _no_number(word: str) -> object:
    raise ValueError(f"it has {word}")


def _read(member: str, annotation: object, value: object) -> object:
    """A member of what `as_json` told, as the fact has it."""
    read = _READERS[str(annotation)]
    try:
        return read(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"this is no fact: {member} is {str(value)[:60]!r}") from error


def _exactly(kind: type) -> Callable[[object], object]:
    def read(value: object) -> object:
        if type(value) is not kind:  # True is no number
            raise TypeError
        return value

    return read


def _or_none(read: Callable[[object], object]) -> Callable[[object], object]:
    return lambda value: None if value is None else read(value)


def _moment(value: object) -> datetime:
    if not isinstance(value, str):
        raise TypeError
    return datetime.fromisoformat(value)


# By the annotations as they are written above. One that is not here is a `KeyError` in the first test.
_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "str": _exactly(str),
    "str | None": _or_none(_exactly(str)),
    "int": _exactly(int),
    "datetime": _moment,
    "Mapping[str, Any]": _exactly(dict),
}
