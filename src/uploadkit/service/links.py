"""Signed links: who has one may fetch that file for a while, as an image of a page does, without saying who he is.

    /files/4f0c…/thumbnail?until=1764230400&signature=9a41…

A signature is over the file and the end of the link's time, and good for nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from starlette.requests import Request

from .problems import Refused
from .settings import Settings

__all__ = ["Linked", "Links", "secret_in"]

VERSION: Final = "uploadkit link 1"
"""Is part of what is signed: the same secret may sign other things."""

SECRET_FILE: Final = "secret"
SECRET_SIZE: Final = 32
"""Bytes at least, as many as the signature has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """Who comes by a signed link. It holds for so many `seconds` more."""

    seconds: int


class Links:
    """Signs with one secret, which all processes of a service share. What one of `old_secrets` has signed holds too,
    until its time is over."""

    def __init__(
        self,
        secret: bytes,
        *,
        seconds: int,
        old_secrets: Sequence[bytes] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = (secret, *old_secrets)
        self._seconds = seconds
        # The end is rounded up to a multiple of it: a quarter of the time more, and the link is the same meanwhile.
        self._step = max(1, seconds // 4)
        self._clock = clock

    @classmethod
    def of(cls, settings: Settings) -> Links:
        """By the secret of the settings, or one in the data folder, which the first process makes."""
        secret = secret_in(settings.data) if settings.secret is None else settings.secret.encode()
        old_secrets = [each.encode() for each in settings.old_secrets]
        return cls(secret, seconds=settings.link_seconds, old_secrets=old_secrets)

    def path(self, upload: str, variant: str | None = None) -> str:
        """Of a file, with its signature, as a path of the service: what stands before that is not signed, and a proxy
        may take it off. The same for some minutes, so that browsers keep what they have fetched."""
        end = int(self._clock()) + self._seconds
        until = -(-end // self._step) * self._step
        path = "/".join(quote(part, safe="") for part in _parts(upload, variant))
        return f"/files/{path}?until={until}&signature={_signature(self._secrets[0], upload, variant, until)}"

    def linked(self, request: Request) -> Linked | None:
        """None where a request has no signature. Raises `Refused` (403) where that is not ours, or its time is over."""
        ends, signatures = (request.query_params.getlist(name) for name in ("until", "signature"))
        if not ends and not signatures:
            return None
        until = _moment(ends[0]) if len(ends) == len(signatures) == 1 else None
        upload, variant = request.path_params["upload"], request.path_params.get("variant")
        if until is None or not self._is_ours(signatures[0], upload, variant, until):
            raise Refused(403, "link_refused", "the link was not made here, or is not whole")
        left = until - int(self._clock())
        if left <= 0:
            raise Refused(403, "link_expired", "the time of the link is over: ask for another one")
        return Linked(seconds=left)

    def _is_ours(self, signature: str, upload: str, variant: str | None, until: int) -> bool:
        sent = signature.encode(errors="replace")
        return any(
            hmac.compare_digest(_signature(secret, upload, variant, until).encode(), sent) for secret in self._secrets
        )


def secret_in(folder: Path) -> bytes:
    """The secret that a folder holds. Where it holds none one is made: of processes that do so at once all get the
    same. Raises `ValueError` where the file is too short to be one."""
    path = folder / SECRET_FILE
    if not path.exists():
        _make_secret(path)
    secret = path.read_bytes().strip()
    if len(secret) < SECRET_SIZE:
        raise ValueError(f"{path} holds no secret of at least {SECRET_SIZE} bytes: remove it, and another one is made")
    return secret


def _make_secret(path: Path) -> None:
    """It appears whole, and never takes the place of one that is there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_hex(SECRET_SIZE).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())  # a name without its bytes would stop the service after a loss of power
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _signature(secret: bytes, upload: str, variant: str | None, until: int) -> str:
    signed = json.dumps([VERSION, _parts(upload, variant), until])  # which no two claims have in common
    return hmac.new(secret, signed.encode(), hashlib.sha256).hexdigest()


def _parts(upload: str, variant: str | None) -> list[str]:
    return [upload] if variant is None else [upload, variant]


def _moment(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None
