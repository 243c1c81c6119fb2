"""Names such as `pet[name]` and `kids[]`, read as a tree. No I/O, and nothing of it happens unless it is asked for.

The syntax is that of W3C HTML JSON forms, which Multer, Rails and PHP share. A name that breaks it is a name like any
other, and so is every word in it: `__proto__` and `__class__` are plain keys of plain dicts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

from ..errors import FieldRefused, quoted

MAX_DEPTH = 32
"""Steps after the first: a form that people fill in has two or three."""

MAX_INDEX = 1000
"""The highest index that may be named. Lists have no holes, so that no name makes a list longer than by one."""

Nested: TypeAlias = str | list["Nested"] | dict[str, "Nested"]
"""A value, or a list or dict of them."""

APPEND = ""
"""The step `[]`."""


def nested(items: Iterable[tuple[str, str]]) -> dict[str, Nested]:
    """The values as a tree: `a[b]=1` is `{"a": {"b": "1"}}`, `a[]=1&a[]=2` and `a=1&a=2` are `{"a": ["1", "2"]}`.

    `a[0][x]` begins an item of a list; items stand in the order of their indices, and indices that are left out leave
    no hole. Where a name has a value of its own and parts as well, the value stands under the key `""`. Raises
    `FieldRefused` where a name goes deeper than 32 steps or names an index above 1000.
    """
    root = _Object()
    for name, value in items:
        first, *steps = steps_of(name)
        root[str(first)] = _grown(root.get(str(first)), steps, value)
    return {key: _finished(node) for key, node in root.items()}


def steps_of(name: str) -> list[str | int]:
    """`a[b][0][]` is `["a", "b", 0, APPEND]`. What is no such name is one step."""
    matched = _NAME(name)
    if matched is None:
        return [name]
    # A number of any length is an index: one that has no meaning here is refused, and not read as a key.
    steps = [min(int(step[:9]), MAX_INDEX + 1) if _INDEX(step) else step for step in _STEPS(matched[2])]
    if len(steps) > MAX_DEPTH:
        raise FieldRefused(f"field {quoted(name)} is nested more than {MAX_DEPTH} deep", field=name)
    if any(isinstance(step, int) and step > MAX_INDEX for step in steps):
        raise FieldRefused(f"field {quoted(name)} has an index above {MAX_INDEX}", field=name)
    return [matched[1], *steps]


_NAME = re.compile(r"([^\[]+)((?:\[[^\]]*\])+)", re.DOTALL).fullmatch
_STEPS = re.compile(r"\[([^\]]*)\]").findall
_INDEX = re.compile(r"0|[1-9][0-9]*").fullmatch


class _Object(dict[str, "_Node"]):
    """Parts by their keys."""


class _Items(dict[int, "_Node"]):
    """Parts by their indices, in any order; `end` is above all of them."""

    end = 0


class _Values(list[str]):
    """The values of a name that was sent more than once."""


_Node: TypeAlias = str | _Values | _Items | _Object


def _grown(node: _Node | None, steps: list[str | int], value: str) -> _Node:
    """What stands at a place when a value has come for it, or for a place below it."""
    if not steps:
        return value if node is None else _joined(node, value)
    step, *rest = steps
    if node is None:
        node = _Items() if _is_item(step) else _Object()
    elif isinstance(node, str | _Values):
        node = _Object({"": node})
    if isinstance(node, _Items):
        if _is_item(step):
            index = step if isinstance(step, int) else node.end
            node.end = max(node.end, index + 1)
            node[index] = _grown(node.get(index), rest, value)
            return node
        node = _Object({str(index): item for index, item in node.items()})
    node[str(step)] = _grown(node.get(str(step)), rest, value)
    return node


def _is_item(step: str | int) -> bool:
    return isinstance(step, int) or step == APPEND


def _joined(node: _Node, value: str) -> _Node:
    if isinstance(node, str):
        return _Values([node, value])
    if isinstance(node, _Values):
        node.append(value)
        return node
    return _grown(node, [APPEND], value)  # under the key "" of an object, behind the items of a list


def _finished(node: _Node) -> Nested:
    if isinstance(node, _Object):
        return {key: _finished(part) for key, part in node.items()}
    if isinstance(node, _Items):
        return [_finished(node[index]) for index in sorted(node)]
    return list(node) if isinstance(node, _Values) else node
