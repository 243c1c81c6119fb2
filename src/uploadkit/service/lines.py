"""Lines of the log, of every process of a service: for people, or a JSON object each.

Nothing that a client sends breaks a line or forges one, and neither tokens nor queries, where signatures stand, are
ever written. Imports no server: the parent of all processes writes such lines too.
"""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from .settings import Settings

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["configure", "request_id"]

request_id: Final[ContextVar[str | None]] = ContextVar("uploadkit_request", default=None)
"""The id of the request that this task, or a thread that it waits for, works for."""


def configure(settings: Settings, *, level_name: str | None = None) -> None:
    """Has this process log to standard error: all of it in one format, the server's own lines too. `level_name` takes
    the place of that of the settings."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text())
    handler.addFilter(_note_request)
    root, level = logging.getLogger(), logging.getLevelNamesMapping()[(level_name or settings.log_level).upper()]
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.INFO))  # what others say at DEBUG may have keys in it
    logging.getLogger("uploadkit").setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # it would write the queries
    logging.captureWarnings(True)


_TALKATIVE = ("aiobotocore", "alembic", "asyncio", "botocore", "httpcore", "httpx", "s3fs", "sqlalchemy", "urllib3")


def _note_request(record: logging.LogRecord) -> bool:
    record.request = request_id.get()
    return True


class _Text(logging.Formatter):
    """One line for people, and below it, with a bar before each line, what was raised."""

    def format(self, record: logging.LogRecord) -> str:
        exchange: Exchange | None = getattr(record, "exchange", None)
        words = {} if exchange is None else _told(exchange, without=("method", "path", "status"))
        words.setdefault("request", getattr(record, "request", None))
        line = f"{_when(record)} {record.levelname} [{record.process}] {record.name}: {_one_line(_message(record))}"
        line += "".join(f" {name}={_word(value)}" for name, value in words.items() if value not in (None, ()))
        raised = _raised(self, record)
        return line if raised is None else "\n".join([line, *(f"  | {_one_line(each)}" for each in raised.split("\n"))])


class _Json(logging.Formatter):
    """One object a line. What a record was given beside its message (`extra`) are members of it."""

    def format(self, record: logging.LogRecord) -> str:
        exchange: Exchange | None = getattr(record, "exchange", None)
        told: dict[str, Any] = {
            "ts": _when(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": _message(record),
            "request": getattr(record, "request", None),
        }
        told |= {name: value for name, value in vars(record).items() if name not in _OF_RECORDS | told.keys()}
        told |= {} if exchange is None else _told(exchange)
        if (raised := _raised(self, record)) is not None:
            told["exception"] = raised
        return json.dumps({name: value for name, value in told.items() if value not in (None, ())}, default=str)


_OF_RECORDS = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "exchange", "message", "request", "taskName"}


def _told(exchange: Exchange, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    told = asdict(exchange) | {"seconds": round(exchange.seconds, 6)}
    return {name: value for name, value in told.items() if name not in without}


def _when(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> str:
    return _without_secrets(record.getMessage().rstrip("\n"))


def _raised(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    if not record.exc_info:
        return None
    return _without_secrets(formatter.formatException(record.exc_info))


_SECRETS = re.compile(r"(?<=\?)[^\s\"']*=[^\s\"']*|(?<=://)[^\s/@]*(?=@)|(?i:(?<=bearer ))[^\s\"',]+")


def _without_secrets(text: str) -> str:
    """Without the queries of addresses, passwords in them, and bearer tokens: whoever writes a line may forget it."""
    return _SECRETS.sub("…", text)


def _one_line(text: str) -> str:
    """As it is, but for what would end the line, or move about on a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


_PLAIN = re.compile(r"[\w.:/@+-]+", re.ASCII)


def _word(value: object) -> str:
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    text = str(value)
    return text if _PLAIN.fullmatch(text.replace(",", "")) else json.dumps(text)
