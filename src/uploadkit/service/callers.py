"""Who asks: by a bearer token, or by what the user's own function says of the request.

No body is read here, and whoever is not known by the one or the other is let in nowhere. A token is kept, compared and
logged as its SHA-256 alone, if at all.
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final, TypeAlias, cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request

from .problems import Refused
from .settings import Settings, TokenRule, tokens_in, tokens_of
from .turns import Turns

__all__ = ["ANYBODY", "Authenticate", "Caller", "Callers"]

ANYBODY: Final = "anybody"
"""Whose uploads are where nobody has to say who he is."""

LOOKED_AT_SECONDS: Final = 1.0
"""So long a file of tokens is taken to be as it was."""

TOKEN_SIZE: Final = 1024
"""Characters. `uploadkit token` makes 46, and a longer one is none: nothing is computed of it."""

_log = logging.getLogger("uploadkit.service")

Authenticate: TypeAlias = Callable[[Request], Awaitable[str | None] | str | None]
"""Says whose a request is, by its headers, cookies and address: the owner, None for nobody who may ask. It reads no
body. It may raise `Refused`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `owner` is whose uploads are meant, `counted_as` by what requests are counted: an open service counts
    them by address."""

    owner: str
    counted_as: str


class Callers:
    """Those of the settings.

    Tokens are looked at first: they cost nothing, and who sends one means it, while a browser sends its cookies by
    itself. `authenticate` is asked of all requests that have none of them.
    """

    def __init__(self, settings: Settings, *, turns: Turns, authenticate: Authenticate | None = None) -> None:
        """Raises `ValueError` where the file of tokens cannot be read: later that only keeps it as it was."""
        self._tokens = _Tokens(settings.tokens, settings.tokens_file)
        self._authenticate = authenticate
        self._turns = turns
        self.is_open: Final = settings.asks_nobody and authenticate is None

    async def of(self, request: Request) -> Caller:
        """Raises `Refused`: 401 for who is nobody we know, 429 where such come too often from one address."""
        address = _address(request)
        if self.is_open:
            return Caller(owner=ANYBODY, counted_as=f"address {address}")
        sent = request.headers.getlist("authorization")
        owner = self._tokens.owner(_token(sent))
        if owner is None:
            # Who has a token gets in however often others of the same address do not: a gateway may be all of them.
            await self._turns.may_fail(address)
            try:
                owner = await self._asked(request, sent)
            except Refused as error:
                if error.status == 401:
                    await self._turns.failed(address)
                raise
        return Caller(owner=owner, counted_as=f"owner {owner}")

    async def _asked(self, request: Request, sent: Sequence[str]) -> str:
        # Who reads two headers as the first of them, and a proxy as the last, disagrees with it about who that is.
        if self._authenticate is None or len(sent) > 1:
            raise _unauthenticated(sent)
        try:
            owner = await _answer(self._authenticate, Request(request.scope))  # which has no body to read
        except Refused:
            raise
        except Exception as error:  # whatever it is: it must not be taken for an answer to who asked
            raise RuntimeError("authenticate has failed") from error
        if owner is None:
            raise _unauthenticated(sent)
        return _checked(owner)


class _Tokens:
    """Tokens of the settings, and of a file that may change."""

    def __init__(self, fixed: Sequence[TokenRule], file: Path | None) -> None:
        self._fixed = tuple(fixed)
        self._file = file
        self._read: tuple[TokenRule, ...] = ()
        self._seen: tuple[int, ...] | None = None
        self._look_at = 0.0
        if file is not None:
            self._seen = _looks(file)
            self._read = tokens_in(file)
            self._look_at = time.monotonic() + LOOKED_AT_SECONDS

    def owner(self, token: str | None) -> str | None:
        """Whose a token is. All are compared, however many characters agree, and whichever it is."""
        if token is None:
            return None
        told = hashlib.sha256(token.encode("ascii")).hexdigest()
        now, owner = datetime.now(UTC), None
        for rule in (*self._fixed, *self._current()):
            is_it = hmac.compare_digest(rule.sha256, told)
            if is_it and (rule.expires_at is None or now < rule.expires_at):
                owner = rule.owner
        return owner

    def _current(self) -> tuple[TokenRule, ...]:
        if self._file is not None and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOKED_AT_SECONDS
            self._look(self._file)
        return self._read

    def _look(self, file: Path) -> None:
        """What is wrong with a file is said once, until it changes again."""
        seen = _looks(file)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._read = tokens_of(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            _log.error("the file of tokens %s cannot be read, and those that it had stay: %s", file, error)
        else:
            _log.info("the file of tokens %s was read again, and has %d", file, len(self._read))


def _looks(file: Path) -> tuple[int, ...] | None:
    """What changes with a file. None where it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)  # RFC 6750, 2.1


def _token(sent: Sequence[str]) -> str | None:
    """The one token of a request. One in the address of a page or in a form is none: those are logged and kept."""
    if len(sent) != 1 or len(sent[0]) > TOKEN_SIZE:
        return None
    found = _BEARER.fullmatch(sent[0])
    return None if found is None else found[1]


def _unauthenticated(sent: Sequence[str]) -> Refused:
    """With the words of RFC 6750, 3.1: a request that has sent nothing is not told that anything is wrong with it."""
    challenge = 'Bearer realm="uploads"'
    if any(value[:7].lower() == "bearer " for value in sent):
        challenge += ', error="invalid_token"'
    text = "this is for those who say who they are: with a valid token, or as the service asks for it"
    return Refused(401, "unauthenticated", text, headers={"WWW-Authenticate": challenge})


async def _answer(authenticate: Authenticate, request: Request) -> object:
    """A function that is not async may block, and runs in a thread."""
    if inspect.iscoroutinefunction(authenticate) or inspect.iscoroutinefunction(type(authenticate).__call__):
        answer: object = authenticate(request)
    else:
        answer = await run_in_threadpool(authenticate, request)
    return await cast("Awaitable[object]", answer) if inspect.isawaitable(answer) else answer


def _checked(owner: object) -> str:
    """A name that the ledger can keep. Another one is a mistake in the program, and no reason to let anybody in."""
    if not isinstance(owner, str):
        raise TypeError(f"authenticate gives the owner as a str, or None, and not a {type(owner).__name__}")
    if not 1 <= len(owner) <= 255 or any(each == "\0" or "\ud800" <= each <= "\udfff" for each in owner):
        raise ValueError("authenticate gives an owner of 1 to 255 characters, none of which is NUL or half of one")
    return owner


def _address(connection: HTTPConnection) -> str:
    """What one client is counted by: of IPv6 he has a whole network of 64 bits. What a proxy says of him is believed
    by the server, if at all."""
    host = connection.client.host if connection.client else "?"
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
