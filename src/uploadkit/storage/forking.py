"""What a forked child does with the objects of its parent: it has none of its threads, and nobody to release a lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

_forgetting: WeakKeyDictionary[Any, Callable[[Any], object]] = WeakKeyDictionary()


def in_child(thing: T, forget: Callable[[T], object]) -> None:
    """While `thing` lives, every child that is forked calls `forget(thing)` before anything else. `forget` refers to it
    by its argument alone: a bound method would keep it alive."""
    _forgetting[thing] = forget


def _forget_parent() -> None:
    for thing, forget in tuple(_forgetting.items()):
        forget(thing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
