"""How the tests send a typed form: by both drivers, with the same outcome, and nothing left of a refused one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.intake.receiving import DRIVES, in_chunks, left_in

from uploadkit.errors import InvalidForm
from uploadkit.intake.spec import Spec
from uploadkit.storage.contract import Storage
from uploadkit.storage.disk import DiskStorage
from uploadkit.storage.memory import MemoryStorage
from uploadkit.testing import FormBuilder
from uploadkit.uploader import Uploader

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32

Drives: TypeAlias = Callable[[], list[tuple[str, Storage]]]
"""Gives every driver with an empty storage of its own."""


@pytest.fixture
def drives(tmp_path: Path) -> Drives:
    """The blocking driver into memory, the async one into memory and onto a disk that blocks."""
    made = 0

    def fresh() -> list[tuple[str, Storage]]:
        nonlocal made
        made += 1
        disk = DiskStorage(tmp_path / str(made), durable=True)
        return [("blocking", MemoryStorage()), ("async", MemoryStorage()), ("async", disk)]

    return fresh


class Outcome:
    """What came of a form: attributes are those of the model that was given; `errors` of what was not."""

    def __init__(self, model: Any, error: InvalidForm | None) -> None:
        self.model = model
        self.error = error

    @property
    def errors(self) -> list[tuple[str | None, str]]:
        """Field and code of each error."""
        return [(each.field, each.code) for each in self.error.errors] if self.error else []

    def __getattr__(self, name: str) -> Any:
        if self.error is not None:
            raise AssertionError(self.error.problem())
        return getattr(self.model, name)


def spec_of(model: type[Any], storage: Storage, **options: Any) -> Spec[Any]:
    """The spec of a typed form."""
    spec: Spec[Any] = Uploader(storage).form(model, **options)
    return spec


def sent(
    drives: Drives, model: type[Any], form: FormBuilder, *, chunks: Iterable[bytes] | None = None, **options: Any
) -> Outcome:
    """The outcome, by every driver the same. Of a form that was refused nothing is left."""
    outcomes = []
    body = [*chunks] if chunks is not None else in_chunks(form.body)
    for drive, storage in drives():
        try:
            given = DRIVES[drive](spec_of(model, storage, **options), form.content_type, body)
            outcomes.append(Outcome(given, None))
        except InvalidForm as error:
            assert left_in(storage) == []
            outcomes.append(Outcome(None, error))
    problems = [outcome.error and outcome.error.problem() for outcome in outcomes]
    assert problems == problems[:1] * len(problems)
    return outcomes[0]
