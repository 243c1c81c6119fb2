"""What the commands share: statuses to exit with, and how texts of strangers reach the terminal. Imports nothing else
of the package.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeAlias

OK, REFUSED, TROUBLE = 0, 1, 2


class Parser(argparse.ArgumentParser):
    """Words that are not understood may be names of files, too: a shell puts them where a `*` stood. What `later` adds
    is there as soon as the parser is used: what it takes of an optional package no other command needs."""

    later: Callable[[Parser], object] | None = None

    def parse_known_args(self, *arguments: Any, **named: Any) -> Any:
        if self.later is not None:
            later, self.later = self.later, None
            later(self)
        options, strange = super().parse_known_args(*arguments, **named)
        if strange:  # said by the command that does not know them, with its own usage
            self.error(f"unrecognized arguments: {' '.join(strange)}")
        return options, strange

    def error(self, message: str) -> NoReturn:
        super().error(shown(message))


class CommandFailed(Exception):
    """A command cannot go on. Its text is told, and the status is that of trouble."""


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""Where a command adds its parser."""


def shown(text: str) -> str:
    """A text as a terminal may have it: what is not printable, such as escapes and bidi controls, is written out."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def argument(make: Callable[[str], object]) -> Callable[[str], object]:
    """For `type=` of an argument: what `make` makes of it, and what its `ValueError` says where it is none."""

    def read(text: str) -> object:
        try:
            return make(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def complain(text: str) -> None:
    """Tells, on the standard error, what has gone wrong."""
    print(f"uploadkit: {shown(text)}", file=sys.stderr)


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number of things in words: "1 page", "2 pages"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


@contextmanager
def logged() -> Iterator[None]:
    """What the library logs meanwhile is told in a line each, unless the application says where its log goes."""
    logger, handler = logging.getLogger("uploadkit"), _Complaining(logging.WARNING)
    if logger.hasHandlers():
        yield
        return
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Complaining(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        complain(record.getMessage() if error is None else f"{record.getMessage()}: {type(error).__name__}: {error}")


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_is_duration = re.compile(r"(\d+(?:\.\d+)?)([smhd])").fullmatch


MOST_DAYS = 36500
"""A hundred years. Dates reach back no further than to the year 1."""


def duration(text: str) -> float:
    """Seconds, of a text such as "90s", "15m", "12h" or "1d"."""
    found = _is_duration(text)
    if found is None:
        raise ValueError(f"{text!r} is no time, such as 90s, 15m, 12h or 1d")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds > MOST_DAYS * _SECONDS["d"]:
        raise ValueError(f"{text!r} is too long: {MOST_DAYS}d is the longest time")
    return seconds


class Ticker:
    """Shows on the standard error how far something has come, where that is a terminal: one line, which changes."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._width = 0
        self._next = 0.0

    def __call__(self, part: str, count: int) -> None:
        if self._is_shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.1
            self._write(f"{part}: {count:,}")

    def end(self) -> None:
        """Takes the line away."""
        if self._width:
            self._write("")

    def _write(self, text: str) -> None:
        print(f"\r{text.ljust(self._width)}", end="\r" if not text else "", file=sys.stderr, flush=True)
        self._width = len(text)
