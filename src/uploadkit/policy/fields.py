"""The fields of a form and their rules: what a user declares (`File`, `Text`) and what a form's fields come to.

No I/O. A mistake in the rules is a `TypeError` or `ValueError` when they are built, never at the first upload.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar

from ..storage.contract import ExclusiveCommit, ReadsStaged, Storage
from .accept import Accept, AcceptRule
from .filters import Filter, IncomingFile, StagedCheck, StreamCheck
from .limits import parse_size

T = TypeVar("T")

KeyMaker: TypeAlias = Callable[[IncomingFile], str]
"""Proposes the storage key of a file. The storage checks it again."""

Check: TypeAlias = StreamCheck | StagedCheck


class Unsaid(Enum):
    """The default of a rule whose default depends on where it is used."""

    UNSAID = "as the place says"


UNSAID = Unsaid.UNSAID


class FileRules(TypedDict, total=False):
    """Rules of a file field, as keywords. What a field leaves out, or sets to None, is taken from its `Uploader`."""

    accept: AcceptRule | None
    """Media types, wildcards, extensions or groups such as `IMAGES`. Default: everything."""
    max_size: int | str | None
    """Bytes, or a text such as "5 MB". Default: `Limits.file_size`."""
    min_size: int | str | None
    """Bytes, or a text. Default: 0, an empty file may come in."""
    filename: KeyMaker | None
    """Proposes the storage key. Default: 128 random bits and the extension of the detected type."""
    filter: Filter | None
    """May refuse a file when its first bytes are there."""
    check: Check | Iterable[Check] | None
    """Content checks, on the passing bytes or on the staged file."""


class FieldRules(FileRules, total=False):
    """Rules of one file field, as keywords."""

    storage: Storage | None
    """Where the files go. Default: the storage of the `Uploader`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file field and its rules: those of `FieldRules`, and how many files it takes.

    A field of a typed form may leave out its `name`, which is then that of the attribute. `max_count` None is no other
    bound than `Limits.files`; left out it is 1, and None for a list in a typed form. `required` is the same as a
    `min_count` of 1.
    """

    name: str | None = field(kw_only=False, default=None)
    max_count: int | Literal[Unsaid.UNSAID] | None = UNSAID
    min_count: int = 0
    required: bool = False
    accept: AcceptRule | None = None
    max_size: int | str | None = None
    min_size: int | str | None = None
    storage: Storage | None = None
    filename: KeyMaker | None = None
    filter: Filter | None = None
    check: Check | Iterable[Check] | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            _check_name(self.name)
        if self.max_count is not UNSAID:
            _check_count("max_count", self.max_count)
        _check_count("min_count", self.min_count)
        if self.max_count is not UNSAID:
            self._check_counts(self.max_count)
        _check_callable("filename", self.filename)
        _check_callable("filter", self.filter)
        # What can be iterated only once has to serve every spec.
        if self.accept is not None:
            object.__setattr__(self, "accept", Accept.of(self.accept))
        if isinstance(self.check, Iterable):
            object.__setattr__(self, "check", tuple(self.check))

    @property
    def _needed(self) -> int:
        return max(self.min_count, int(self.required))

    def _check_counts(self, max_count: int | None) -> None:
        if max_count is not None and self._needed > max_count:
            raise ValueError(f"field {self.name!r}: min_count {self._needed} is more than max_count {max_count}")
        if max_count == 0:
            raise ValueError(f"field {self.name!r}: a max_count of 0 would refuse every file")

    def over(self, defaults: Mapping[str, object]) -> File:
        """These rules, and those of `defaults` where this field says nothing."""
        unsaid: dict[str, Any] = {name: rule for name, rule in defaults.items() if getattr(self, name) is None}
        return replace(self, **unsaid)

    def rule(self, storage: Storage, staging: Storage | None = None) -> FileRule:
        """What the plan needs to know, complete and checked against what the storages can do."""
        storage = storage if self.storage is None else self.storage
        check_storage(storage)
        stream, staged = _sorted_checks(self.check)
        examined_on = staging_for(staged, storage, staging, field=self.name)
        if self.filename is not None and not (isinstance(storage, ExclusiveCommit) and storage.exclusive_commit):
            raise TypeError(
                f"field {self.name!r}: filename= proposes keys that may meet, and storage {storage.name!r} "
                "does not promise that it never replaces an object; where a server of S3 keeps that, say "
                "S3Storage(exclusive=True)"
            )
        max_count = 1 if self.max_count is UNSAID else self.max_count
        self._check_counts(max_count)
        max_size = None if self.max_size is None else parse_size(self.max_size)
        min_size = 0 if self.min_size is None else parse_size(self.min_size)
        if max_size is not None and min_size > max_size:
            raise ValueError(f"field {self.name!r}: min_size {min_size} is more than max_size {max_size}")
        return FileRule(
            accept=None if self.accept is None else Accept.of(self.accept),
            max_size=max_size,
            min_size=min_size,
            max_count=max_count,
            min_count=self._needed,
            storage=storage,
            key_maker=self.filename,
            filter=self.filter,
            stream_checks=stream,
            staged_checks=staged,
            staging=examined_on,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text field and its rules.

    `max_length` is in characters (`Limits.field_size` bounds the bytes of every value), `max_count` is how often the
    field may be sent. `required` is that it is sent, as browsers do with a text input that was left empty too. Text
    fields that are not declared are let through within the limits.
    """

    name: str = field(kw_only=False)
    required: bool = False
    max_length: int | None = None
    max_count: int | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_count("max_length", self.max_length)
        _check_count("max_count", self.max_count)


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class FileRule:
    """The rules of one file field, complete: what `File` and the defaults of its `Uploader` come to.

    `staging` takes the bytes first, where checks have to read them and `storage` cannot. `arriving` takes their place
    for one file of which some bytes are there already: it publishes in the one that it stands for.
    """

    accept: Accept | None
    max_size: int | None
    min_size: int
    max_count: int | None
    min_count: int
    storage: Storage
    key_maker: KeyMaker | None
    filter: Filter | None
    stream_checks: tuple[StreamCheck, ...]
    staged_checks: tuple[StagedCheck, ...]
    staging: Storage | None = None
    arriving: Storage | None = None

    @property
    def lands_in(self) -> Storage:
        """Which storage takes the bytes as they arrive."""
        if self.arriving is not None:
            return self.arriving
        return self.storage if self.staging is None else self.staging

    @property
    def asks_async(self) -> bool:
        """Whether a blocking driver could not ask its filter or its key maker."""
        return any(call is not None and _is_async(call) for call in (self.filter, self.key_maker))


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRules:
    """Which fields a form may have. `any_file` is the rule of files in fields that are not declared; None refuses
    them. Text fields that are not declared are let through."""

    files: Mapping[str, FileRule] = field(default_factory=dict)
    texts: Mapping[str, Text] = field(default_factory=dict)
    any_file: FileRule | None = None
    asks_async: bool = field(init=False, repr=False, compare=False)
    """Whether a blocking driver could not receive this form. Known once, since it is asked at every request."""

    def __post_init__(self) -> None:
        rules = (*self.files.values(), self.any_file)
        object.__setattr__(self, "asks_async", any(rule.asks_async for rule in rules if rule is not None))

    def rule_for(self, name: str) -> FileRule | None:
        return self.files.get(name, self.any_file)


def reads_staged(storage: Storage) -> bool:
    """Whether checks can read what is staged in it."""
    return isinstance(storage, ReadsStaged) and storage.reads_staged


def staging_for(
    checks: Sequence[StagedCheck], storage: Storage, staging: Storage | None, *, field: str | None = None
) -> Storage | None:
    """Where a file is staged whose checks `storage` cannot show it; None where it needs no other place. Raises
    `TypeError` where there is none."""
    if not checks or reads_staged(storage):
        return None
    if staging is None:
        place = "" if field is None else f"field {field!r}: "
        raise TypeError(
            f"{place}{_named(checks[0])} reads the staged file, and storage {storage.name!r} cannot read what is "
            "staged; say where it may lie meanwhile: Uploader(..., staging=DiskStorage(...))"
        )
    return staging


def _check_name(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a field's name is a str, not {name!r}")
    if not name:
        raise ValueError("a field has a name, and not an empty one: no form could send it")


def _check_count(what: str, count: int | None) -> None:
    if count is None:
        return
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"{what} is an int or None, not {count!r}")
    if count < 0:
        raise ValueError(f"{what} is not negative: {count}")


def _check_callable(what: str, call: object) -> None:
    if call is not None and not callable(call):
        raise TypeError(f"{what} is something to call, not {call!r}")


def check_storage(storage: object) -> None:
    """Raises `TypeError` for what newcomers give in place of a storage."""
    if isinstance(storage, type) or not hasattr(storage, "may_block"):
        raise TypeError(f"{storage!r} is no storage; write DiskStorage(...) or another one")


def _sorted_checks(check: Check | Iterable[Check] | None) -> tuple[tuple[StreamCheck, ...], tuple[StagedCheck, ...]]:
    checks: Iterable[Check] = () if check is None else check if isinstance(check, Iterable) else (check,)
    stream: list[StreamCheck] = []
    staged: list[StagedCheck] = []
    for one in checks:
        if isinstance(one, type):
            raise TypeError(f"{one!r} is no check but its class; write {one.__name__}(...)")
        if not isinstance(one, StreamCheck | StagedCheck):
            raise TypeError(f"{one!r} is no check: it has neither begin(file) nor examine(file, staged)")
        # It may be both.
        if isinstance(one, StreamCheck):
            stream.append(_synchronous(one, one.begin))
        if isinstance(one, StagedCheck):
            staged.append(_synchronous(one, one.examine))
    return tuple(stream), tuple(staged)


def _synchronous(check: T, call: Callable[..., object]) -> T:
    if _is_async(call):  # nobody would await it, and it would refuse nothing
        raise TypeError(f"{_named(check)} is async; a check runs where the bytes are written and takes plain functions")
    return check


def _is_async(call: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)


def _named(check: object) -> str:
    return type(check).__name__
