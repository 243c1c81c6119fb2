"""What one process of tests begins once, and ends with the session.

A fixture that several modules import is as many fixtures to pytest: a server of the session would run once for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar, cast

import pytest

T = TypeVar("T")


class Once:
    """Gives what is begun by a name, and begins it where nobody has asked for it before."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._begun: dict[str, object] = {}

    def __call__(self, name: str, begin: Callable[[], AbstractContextManager[T]]) -> T:
        if name not in self._begun:
            self._begun[name] = self._stack.enter_context(begin())
        return cast(T, self._begun[name])


@pytest.fixture(scope="session")
def once() -> Iterator[Once]:
    """For fixtures of the session."""
    with ExitStack() as stack:
        yield Once(stack)
