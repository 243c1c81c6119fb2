"""A request of a resumable upload and its answer, as values: what a protocol needs to know of HTTP, and no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import format_datetime
from typing import Protocol
from urllib.parse import quote

from ..adapters.problem import problem_body, problem_headers
from ..errors import MalformedUpload, UploadError
from ..intake.steps import Steps
from .uploads import Standing

__all__ = ["Answer", "Request", "Speaks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`upload` is the id at the end of the path, "" where the request is to the place where uploads begin, which is at
    `path`; both are decoded. The names of `headers` are in lower case. `interrupt` has the body raise `UploadLocked`
    from now on, and may be called from any thread."""

    method: str
    path: str
    upload: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body_length: int | None = None
    owner: str | None = None
    interrupt: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        """Raises `TypeError` for an owner that is no text, such as a key of a database: 1 and "1" are not the same."""
        if self.owner is not None and not isinstance(self.owner, str):
            raise TypeError(f"owner says a text or None, and not {type(self.owner).__name__}")

    @property
    def may_have_body(self) -> bool:
        """Whether bytes may come with it."""
        return self.method in ("POST", "PATCH", "PUT")

    def overridden(self) -> Request:
        """As it is meant where a client can send no other method than POST."""
        method = self.headers.get("x-http-method-override", "").strip().upper()
        return replace(self, method=method) if method and self.method == "POST" else self

    def location(self, upload: str) -> str:
        """Where an upload is. A path: behind a proxy nobody here knows the rest of the address, and what the client
        says of it is not told back."""
        return quote(f"{self.path.rstrip('/')}/{upload}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`headers` have their names as they are written."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def has_type(self) -> bool:
        """Whether it says a Content-Type."""
        return "content-type" in map(str.lower, self.headers)

    def whole_headers(self) -> dict[str, str]:
        """With the length of the body, which a 204 has not (RFC 9110, 8.6)."""
        return {**self.headers} if self.status == 204 else {"Content-Length": str(len(self.body)), **self.headers}


class Speaks(Protocol):
    """A protocol of resumable uploads."""

    def respond(self, request: Request) -> Steps[Answer]:
        """What is done for a request, and what it is answered. Raises `UploadError`."""
        ...

    def refused(self, request: Request, error: UploadError) -> Answer:
        """The answer where `respond` has raised."""
        ...


def problem(error: UploadError, headers: Mapping[str, str]) -> Answer:
    """Problem details, with the headers that stand in every answer of a protocol."""
    return Answer(status=error.status, headers={**problem_headers(error), **headers}, body=problem_body(error))


def joined(*parts: Mapping[str, str]) -> dict[str, str]:
    """The headers of all parts: of one name, however it is spelled (RFC 9110, 5.1), the last."""
    named = {name.lower(): (name, value) for headers in parts for name, value in headers.items()}
    return dict(named.values())


def whole_number(name: str, text: str | None) -> int | None:
    """A number of bytes, None where there is no such header. Raises `MalformedUpload`."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise MalformedUpload(f"the header {name} is a number of bytes")
    return int(text)


def expiry(standing: Standing) -> str:
    """As HTTP writes a date (RFC 9110, 5.6.7)."""
    return format_datetime(standing.expires_at, usegmt=True)
