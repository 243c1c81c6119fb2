"""What is logged: a line for each request, and whatever else is written meanwhile, with the request's id.

Nothing that a client sends breaks a line or forges one, and neither tokens nor queries, where signatures stand, are
ever written.
"""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .exchange import Exchange, Passing
from .parts import Parts
from .problems import Unexpected, answered
from .settings import Settings

__all__ = ["Caught", "Logged", "configure", "unexpected"]

_request: ContextVar[str | None] = ContextVar("uploadkit_request", default=None)
"""The id of the request that this task, or a thread that it waits for, works for."""

_requests = logging.getLogger("uploadkit.service.requests")
_log = logging.getLogger("uploadkit.service")

_ASKED_OFTEN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""By programs, every few seconds: where all is well that is no news."""


class Logged:
    """Around the application: the request's id, its line, and its numbers."""

    def __init__(self, app: ASGIApp, *, parts: Parts) -> None:
        self._app = app
        self._numbers = parts.numbers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passing = Passing(scope, receive, send)
        _request.set(passing.id)  # to the end of the request's task: the server may still have something to say of it
        scope.setdefault("state", {})["request"] = passing.id
        with self._numbers.under_way(scope):
            try:
                await self._app(scope, passing.receive, passing.send)
            finally:
                exchange = passing.ended()
                self._numbers.count(exchange)
                words = exchange.method, exchange.path, exchange.status
                _requests.log(_level(exchange), "%s %s %d", *words, extra={"exchange": exchange})


class Caught:
    """Around the routes, inside of all that adds headers: what nobody foresaw is answered here, where it can be."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def answer(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:
            if (
                has_begun
            ):  # the server says that it failed, and closes the connection, so that nobody takes it for whole
                raise
            await (await unexpected(Request(scope), error))(scope, receive, send)


async def unexpected(request: Request, error: Exception) -> Response:
    """What nobody foresaw is told to the operator, and not to who asked."""
    _log.error("%s failed", request.method, exc_info=error)
    return answered(Unexpected(getattr(request.state, "request", None)))


def configure(settings: Settings) -> None:
    """Has this process log to standard error: all of it in one format, the server's own lines too."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text())
    handler.addFilter(_note_request)
    root, level = logging.getLogger(), logging.getLevelNamesMapping()[settings.log_level.upper()]
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


def _level(exchange: Exchange) -> int:
    if exchange.status >= 500:
        return logging.WARNING
    return logging.DEBUG if exchange.route in _ASKED_OFTEN and exchange.status < 400 else logging.INFO


def _note_request(record: logging.LogRecord) -> bool:
    record.request = _request.get()
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
