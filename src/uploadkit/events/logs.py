"""Facts in the log: `log` is a subscriber. What a handler shows of them is up to its formatter.

Each is one record of the logger `uploadkit.events`, with what it is of as attributes, for formatters that write JSON.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from .facts import Fact, FileFailed, FileProgressed, FileRejected, FileScanned, as_json

__all__ = ["log"]

_logger = logging.getLogger("uploadkit.events")

_LEVELS: Final[Mapping[type[Fact], int]] = {
    FileProgressed: logging.DEBUG,
    FileRejected: logging.WARNING,
    FileFailed: logging.WARNING,
}


def log(fact: Fact) -> None:
    """Writes a fact to the log: progress as DEBUG, what went wrong as WARNING, the rest as INFO.

    The record has the attributes `event` (the fact's name), `upload`, `owner`, `batch`, and `fact`: all of it, as
    `as_json` tells it. The message has none of the words that a sender chose.
    """
    told = {"event": fact.name, "upload": fact.upload, "owner": fact.owner, "batch": fact.batch, "fact": as_json(fact)}
    upload = fact.upload if fact.upload.isprintable() else repr(fact.upload)
    _logger.log(_level(fact), "%s %s", fact.name, upload, extra=told)


def _level(fact: Fact) -> int:
    if isinstance(fact, FileScanned) and fact.outcome != "clean":
        return logging.WARNING
    return _LEVELS.get(type(fact), logging.INFO)
