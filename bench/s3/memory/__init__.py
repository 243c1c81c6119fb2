"""Who sends the same bytes from memory, with no server before it: a module each, with `send(load, number)`."""

from __future__ import annotations
