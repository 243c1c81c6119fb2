"""Facts as signed requests to another service, after the Standard Webhooks specification (1.0.0), and who gets them.

`Webhooks` sends: one call is one request, over a connection of its own, and raises unless the receiver took the fact.
When to try again is up to the caller. `verify` receives: it gives a fact only where the signature is right and fresh.
All of a delivery, from the connection to the last byte of the answer's head, has one bound of time; no redirect is
followed, and nothing of an answer is read beyond its head.

http.client and not a package: none of them has such a bound, or connects to the address that was judged.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import io
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from ipaddress import IPv4Address, IPv6Network, ip_address
from secrets import token_bytes
from typing import Any, Final, Protocol, cast
from urllib.parse import urlsplit

from ..errors import DeliveryFailed, SignatureRefused
from ..storage.threads import in_thread
from .facts import Fact, as_json, from_json, json_bytes, json_value

__all__ = ["Headers", "Webhooks", "new_secret", "verify"]

SECRET_PREFIX = "whsec_"

SECRET_SIZE = 32
"""Bytes of a new secret. The specification wants 24 to 64."""

GONE = 410
"""The receiver wants no more of them, the specification says."""

MOST_RETRY_SECONDS = 24 * 60 * 60
"""What a receiver asks to wait, at most: it is a stranger's number."""

_is_url = re.compile(r"[!-~]+").fullmatch
_is_id = re.compile(r"[A-Za-z0-9_-]{1,128}").fullmatch  # without the dot that parts what is signed
_is_seconds = re.compile(r"[0-9]{1,12}").fullmatch

# What one may route to on the internet, and none of the ways to write an address of IPv4 in one of IPv6.
_PUBLIC_V6: Final = IPv6Network("2000::/3")


class Headers(Protocol):
    """What every framework has the headers of a request in, and a `dict`."""

    def items(self) -> Iterable[tuple[str, str]]: ...


def new_secret() -> str:
    """A secret for one receiver, as the specification writes it: `whsec_` and base64."""
    return SECRET_PREFIX + base64.b64encode(token_bytes(SECRET_SIZE)).decode()


class Webhooks:
    """Sends facts to `url`, signed with `secret`, which the receiver has too.

    Of several secrets each signs: so that an old one can be replaced while the receiver still has it. `timeout_seconds`
    bounds the whole delivery, but for the look-up of the name, which the system bounds. `context` is that of TLS, for a
    certificate that is not in the system's store.

    Whoever may enter URLs can have requests sent from inside of your network. So a receiver is on the internet: HTTPS,
    and no address that is private, local or reserved; the address that was judged is the one that is connected to. With
    `internal` it is yours: plain HTTP and every address are fine.
    """

    def __init__(
        self,
        url: str,
        secret: str | Sequence[str],
        *,
        internal: bool = False,
        timeout_seconds: float = 15,
        context: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Connects to nothing yet. Raises `ValueError` for a URL or a secret that is none.

        15 seconds are the least that the specification recommends. `now` is the clock, in seconds since 1970.
        """
        if timeout_seconds <= 0:
            raise ValueError("timeout_seconds is greater than 0")
        self._receiver = _Receiver(url, internal=internal, context=context)
        self._keys = _keys(secret)
        self._timeout = timeout_seconds
        self._now = now

    def __repr__(self) -> str:
        return f"Webhooks({self._receiver.name!r})"

    def deliver(self, fact: Fact) -> None:
        """Sends a fact, and returns when the receiver has answered with 2xx.

        Raises `DeliveryFailed` otherwise. The same fact may be delivered again: its `id` is the request's.
        """
        request = self._request(fact)
        deadline = time.monotonic() + self._timeout
        try:
            answer = self._receiver.send(request, deadline)
        except (OSError, HTTPException) as error:  # a time-out, TLS and a name that is not found are of OSError
            raise DeliveryFailed(f"{self._receiver.name} was not reached: {_short(error)}") from error
        if not 200 <= answer.status <= 299:
            raise DeliveryFailed(
                f"{self._receiver.name} answered {answer.status}",
                retryable=answer.status != GONE,
                answer=answer.status,
                retry_after=_retry_after(answer.headers.get("Retry-After"), self._now()),
            )

    async def adeliver(self, fact: Fact) -> None:
        """As `deliver`, which runs in a worker thread."""
        await in_thread(self.deliver, fact)

    def _request(self, fact: Fact) -> bytes:
        if not _is_id(fact.id):
            raise ValueError(f"the id of a fact that is sent has letters, digits, - and _, not {fact.id!r}")
        data = as_json(fact)
        body = json_bytes({"type": data.pop("name"), "timestamp": data.pop("at"), "data": data})
        moment = str(int(self._now()))
        signatures = " ".join(_signature(key, fact.id, moment, body) for key in self._keys)
        head = (
            f"POST {self._receiver.target} HTTP/1.1",
            f"Host: {self._receiver.authority}",
            "User-Agent: uploadkit",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
            f"webhook-id: {fact.id}",
            f"webhook-timestamp: {moment}",
            f"webhook-signature: {signatures}",
        )
        return "\r\n".join((*head, "", "")).encode("ascii") + body


def verify(
    headers: Headers,
    body: bytes,
    secret: str | Sequence[str],
    tolerance_seconds: float = 300,
    *,
    now: Callable[[], float] = time.time,
) -> Fact:
    """The fact that a request of `Webhooks` brings, where one of the secrets has signed it, at most so long ago.

    `body` is as it was sent, to the byte. Who records a request can send it again within `tolerance_seconds`, and a
    sender repeats what it has no answer to: do what a fact asks for once for its `id`, and answer the second one with
    2xx too.

    Raises `SignatureRefused`; of a body that is signed and no fact `ValueError`, of a fact of a newer version
    `UnknownFact`.
    """
    found = _webhook_headers(headers)
    keys = _keys(secret)
    if not _is_id(found["webhook-id"]) or not _is_seconds(found["webhook-timestamp"]):
        raise SignatureRefused("the webhook has no id, or no time", reason="invalid")
    signed = [_signature(key, found["webhook-id"], found["webhook-timestamp"], body).encode() for key in keys]
    given = [word.encode() for word in found["webhook-signature"].split(" ")]
    # Each with each, whatever matched before: how long it takes tells nothing.
    if not sum(hmac.compare_digest(ours, theirs) for ours in signed for theirs in given):
        raise SignatureRefused("the webhook was not signed with this secret", reason="invalid")
    if abs(now() - int(found["webhook-timestamp"])) > tolerance_seconds:
        raise SignatureRefused(f"the webhook was not signed within {tolerance_seconds} seconds", reason="expired")
    return _fact(json_value(body))


class _Receiver:
    """Where requests go, and the one way there."""

    def __init__(self, url: str, *, internal: bool, context: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        if not _is_url(url) or parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"a webhook goes to a URL of https:// in ASCII, not to {url!r}")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise ValueError("the URL of a webhook has no user, no password and no fragment")
        if parts.scheme == "http" and not internal:
            raise ValueError("a webhook goes over https://, or to a receiver of your own: internal=True")
        parts.hostname.encode("idna")  # what look-ups do; a label that is too long is a ValueError here
        self._is_internal = internal
        self._context = (context or ssl.create_default_context()) if parts.scheme == "https" else None
        self.name = parts.hostname
        self._port = parts.port or (443 if self._context else 80)
        self.authority = parts.netloc
        self.target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def send(self, request: bytes, deadline: float) -> HTTPResponse:
        """The head of the answer."""
        with self._connected(deadline) as connection:
            connection.settimeout(_left(deadline))
            connection.sendall(request)  # the bound is for all of it
            with closing(HTTPResponse(cast(socket.socket, _Timed(connection, deadline)), method="POST")) as answer:
                answer.begin()
        return answer

    def _connected(self, deadline: float) -> socket.socket:
        connection = self._reached(deadline)
        if self._context is None:
            return connection
        try:
            connection.settimeout(_left(deadline))
            return self._context.wrap_socket(connection, server_hostname=self.name)
        except BaseException:
            connection.close()
            raise

    def _reached(self, deadline: float) -> socket.socket:
        """A connection to the first address that takes one. Each has its share of the time that is left."""
        found = socket.getaddrinfo(self.name, self._port, type=socket.SOCK_STREAM)
        allowed = [each for each in found if self._is_internal or _is_public(str(each[4][0]))]
        failed = OSError("it is at an address that is not public")
        for at, (family, kind, protocol, _, address) in enumerate(allowed):
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(_left(deadline) / (len(allowed) - at))
                connection.connect(address)
            except OSError as error:
                connection.close()
                failed = error
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise failed


class _Timed(io.RawIOBase):
    """A socket to read from until a moment, however slowly bytes drip out of it. What `HTTPResponse` asks of one."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left(self._deadline))
        return self._connection.recv_into(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("it took too long")
    return left


def _is_public(text: str) -> bool:
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return _is_public_v4(address)
    # Tunnels (6to4, Teredo) are within the public ones, and lead to an address of IPv4.
    return address in _PUBLIC_V6 and address.is_global and address.sixtofour is None and address.teredo is None


def _is_public_v4(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved


def _keys(secret: str | Sequence[str]) -> list[bytes]:
    keys = [_key(each) for each in ((secret,) if isinstance(secret, str) else secret)]
    if not keys:
        raise ValueError("a webhook needs a secret")
    return keys


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:  # without the secret in the text
        raise ValueError(f"the secret of a webhook is {SECRET_PREFIX} and base64 of 24 to 64 bytes: new_secret()")
    return key


def _signature(key: bytes, name: str, moment: str, body: bytes) -> str:
    signed = f"{name}.{moment}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _webhook_headers(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.items():
        if (lower := name.lower()) in ("webhook-id", "webhook-timestamp", "webhook-signature"):
            if lower in found:
                raise SignatureRefused(f"the webhook has two headers {lower}", reason="invalid")
            found[lower] = value
    if len(found) < 3 or not all(value.isascii() for value in found.values()):
        raise SignatureRefused("the webhook is not signed", reason="invalid")
    return found


def _fact(told: object) -> Fact:
    if not isinstance(told, dict) or not isinstance(data := told.get("data"), dict):
        raise ValueError("this is no fact: it has no data")
    return from_json(data | {"name": told.get("type"), "at": told.get("timestamp")})


def _retry_after(text: str | None, now: float) -> float | None:
    """Seconds, or a date (RFC 9110 §10.2.3)."""
    if text is None:
        return None
    if _is_seconds(text):
        seconds = float(text)
    else:
        try:
            date = parsedate_to_datetime(text)
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), MOST_RETRY_SECONDS)


def _short(error: OSError | HTTPException) -> str:
    """Why a receiver was not reached. What it wrote is not in it."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "its answer is not HTTP"
