"""Whether an annotation takes what a spec gives."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, ForwardRef, List, Optional, Protocol, TypeVar  # noqa: UP035  # as users write them

import pytest
from typing_extensions import TypeAliasType

from uploadkit.adapters.annotations import annotation_of, fits, spelled
from uploadkit.uploads import Submission, UploadedFile

T = TypeVar("T")
Named = TypeAliasType("Named", UploadedFile | None)


class Readable(Protocol):
    def read(self) -> bytes: ...


class Narrower(UploadedFile):
    pass


SINGLE, OPTIONAL, ARRAY = UploadedFile, UploadedFile | None, list[UploadedFile]

FITTING: list[tuple[object, object]] = [
    (UploadedFile, SINGLE),
    (UploadedFile | None, SINGLE),
    (Optional[UploadedFile], OPTIONAL),  # noqa: UP045
    (UploadedFile | None, OPTIONAL),
    (UploadedFile | str | None, OPTIONAL),
    (Annotated[UploadedFile | None, "note"], OPTIONAL),
    (Annotated[UploadedFile, "note"] | None, OPTIONAL),
    (Named, OPTIONAL),
    (list[UploadedFile], ARRAY),
    (List[UploadedFile], ARRAY),  # noqa: UP006
    (list, ARRAY),
    (list[Any], ARRAY),
    (list[UploadedFile | None], ARRAY),
    (Sequence[UploadedFile], ARRAY),
    (Collection[object], ARRAY),
    (Iterable[UploadedFile], ARRAY),
    (object, ARRAY),
    (Any, OPTIONAL),
    (inspect.Parameter.empty, object),
    (T, SINGLE),
    (ForwardRef("Unknown"), SINGLE),
    ("Unknown", SINGLE),
    (Readable, SINGLE),
    (Iterable[T], ARRAY),  # type: ignore[valid-type]
    (Submission, Submission),
    (int, object),
    (int, Any),
]


@pytest.mark.parametrize(("annotation", "gives"), FITTING, ids=map(str, range(len(FITTING))))
def test_what_is_as_wide_as_what_is_given_fits(annotation: object, gives: object) -> None:
    """And so does what cannot be understood: only a sure mistake is one."""
    assert fits(annotation, gives)


WRONG: list[tuple[object, object]] = [
    (list[UploadedFile], SINGLE),
    (list[UploadedFile] | None, SINGLE),
    (Submission, SINGLE),
    (bytes, SINGLE),
    (None, SINGLE),
    (Narrower, SINGLE),
    (UploadedFile, OPTIONAL),
    (Annotated[UploadedFile, "note"], OPTIONAL),
    (UploadedFile, ARRAY),
    (Named, ARRAY),
    (list[bytes], ARRAY),
    (list[Narrower], ARRAY),
    (Sequence[Submission], ARRAY),
    (tuple[UploadedFile, ...], ARRAY),
    (set[UploadedFile], ARRAY),
    (Mapping[str, UploadedFile], ARRAY),
    (dict[str, str], Submission),
]


@pytest.mark.parametrize(("annotation", "gives"), WRONG, ids=map(str, range(len(WRONG))))
def test_what_is_narrower_or_something_else_does_not_fit(annotation: object, gives: object) -> None:
    """A forgotten None, a list for one, one for a list, another class."""
    assert not fits(annotation, gives)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (UploadedFile, "UploadedFile"),
        (UploadedFile | None, "UploadedFile | None"),
        (Annotated[list[UploadedFile], 1], "list[UploadedFile]"),
        (dict[str, List[int]], "dict[str, list[int]]"),  # noqa: UP006
        (None, "None"),
        (Any, "Any"),
        (T, "~T"),
    ],
)
def test_a_type_is_spelled_as_users_write_it(annotation: object, text: str) -> None:
    """Without the modules that it comes from, and without what is around it."""
    assert spelled(annotation) == text


def takes(avatar: Annotated[UploadedFile, "note"], other: int = 1) -> None: ...


@functools.wraps(takes)
def wrapping(*args: Any, **kwargs: Any) -> None: ...


class Taking:
    def __init__(self, avatar: UploadedFile) -> None: ...

    def method(self, avatar: UploadedFile) -> None: ...


class TakingWhenCalled:
    def __call__(self, avatar: UploadedFile) -> None: ...


CALLS: list[Callable[..., object]] = [takes, wrapping, functools.partial(takes, other=2), Taking, TakingWhenCalled()]


@pytest.mark.parametrize("call", [*CALLS, Taking.method])
def test_the_annotation_of_a_parameter_is_found(call: Callable[..., object]) -> None:
    """Of a function, of one that is wrapped or partly called, of a class, of a method, of an object."""
    assert annotation_of(call, "avatar") is UploadedFile


def says_nothing(avatar, other: NowhereToBeFound = 1):  # type: ignore[no-untyped-def, name-defined]  # noqa: F821
    """Neither can be told."""


def test_what_cannot_be_told_is_anything() -> None:
    """A parameter without an annotation, a name that is not there, a call without a signature."""
    assert annotation_of(takes, "missing") is Any
    assert annotation_of(says_nothing, "avatar") is Any
    assert annotation_of(says_nothing, "other") is Any
    assert annotation_of(dict, "avatar") is Any
