"""How much JSON a form may have: its values are counted before pydantic sees them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pydantic_core import from_json

JSON_ROOM = 8 << 20
"""Bytes that the values of all JSON texts of a form may count, each of them 64 and the names that lead to it: pydantic
makes an error of every value that is wrong, and half a million of them took a gigabyte. It is about 100000 numbers."""


class NoRoom(Exception):
    """There are more values in JSON than are read."""


class Room:
    """What is left of `JSON_ROOM` while one form is read."""

    def __init__(self) -> None:
        self._left = JSON_ROOM

    def take(self, value: Any) -> Any:
        """The value, when there was room for all that is in it. Raises `NoRoom`."""
        todo = [(value, 64)]
        for node, each in todo:  # which grows
            if not isinstance(node, dict | list):
                continue
            self._left -= len(node) * each + (sum(map(len, node)) if isinstance(node, dict) else 0)
            if self._left < 0:
                raise NoRoom
            items = node.items() if isinstance(node, dict) else (("", part) for part in node)
            todo += [(part, each + 24 + len(key)) for key, part in items if isinstance(part, dict | list)]
        return value

    def take_texts(self, value: Any) -> None:
        """The texts in it, which pydantic may read as JSON. Raises `NoRoom`."""
        todo = [value]
        for node in todo:  # which grows
            if isinstance(node, dict | list):
                todo += node.values() if isinstance(node, dict) else node
            elif isinstance(node, str):
                with suppress(ValueError):  # told by pydantic, if it is to be JSON
                    todo.append(self.take(from_json(node)))
