"""Counts what a request sends against its limits: one account for every content type, driver and adapter.

It is asked before anything is stored and before any callable of the user is called. Which limit is named does not
depend on how the bytes were cut: when a file or a text value begins, the tightest of its limits is chosen.
"""

from __future__ import annotations

from ..errors import LimitExceeded, quoted
from .limits import Limits

_NO_LIMIT = 1 << 63

_TEXTS = {
    "body_size": "the body has more than {allowed} bytes",
    "parts": "the form has more than {allowed} parts",
    "files": "the form has more than {allowed} files",
    "fields": "the form has more than {allowed} text values",
    "file_size": "the file in field {field} has more than {allowed} bytes",
    "max_size": "the file in field {field} has more than {allowed} bytes",
    "files_size": "the files of the form have more than {allowed} bytes together",
    "field_size": "the value of field {field} has more than {allowed} bytes",
    "fields_size": "the text values of the form have more than {allowed} bytes together",
    "max_count": "field {field} was sent more often than it may be: {allowed} at most",
}


def exceeded(limit: str, allowed: int, seen: int, field: str | None = None) -> LimitExceeded:
    """The error for the limit of this name, of `Limits` or of a field's rules."""
    text = _TEXTS[limit].format(allowed=allowed, field=quoted(field or ""))
    return LimitExceeded(text, limit=limit, allowed=allowed, seen=seen, field=field)


class Account:
    """The counts of one request. Methods raise `LimitExceeded` where a limit is passed."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parts = self._files = self._fields = 0
        self._body = self._files_size = self._fields_size = 0
        self._longest = _NO_LIMIT if limits.body_size is None else limits.body_size  # what the body can have
        # The file or text value that is open: how many bytes of it may come, and which limit says so.
        self._seen = 0
        self._room = _NO_LIMIT
        self._limit = ""
        self._allowed = _NO_LIMIT
        self._field = ""

    @property
    def body(self) -> int:
        """The bytes of the body that were counted."""
        return self._body

    @property
    def file_room(self) -> int | None:
        """The most bytes that the file which is open can have; None where nothing says so."""
        room = min(self._room, self._longest)
        return None if room == _NO_LIMIT else room

    def expect_body(self, size: int) -> None:
        """The client said how long its body is: one that is too long is refused before it is read."""
        _check("body_size", self._limits.body_size, size)
        self._longest = size

    def count_body(self, size: int) -> int:
        """Counts the next `size` bytes and returns how many of them may be looked at; `check_body` follows."""
        self._body += size
        allowed = self._limits.body_size
        return size if allowed is None or self._body <= allowed else max(0, size - (self._body - allowed))

    def check_body(self) -> None:
        _check("body_size", self._limits.body_size, self._body)

    def begin_part(self) -> None:
        self._parts += 1
        _check("parts", self._limits.parts, self._parts)

    def begin_file(self, field: str, max_size: int | None) -> None:
        """`max_size` is the field's own limit in place of `file_size`."""
        self._files += 1
        _check("files", self._limits.files, self._files, field)
        limit, allowed = ("file_size", self._limits.file_size) if max_size is None else ("max_size", max_size)
        self._open(field, limit, allowed, "files_size", self._limits.files_size, self._files_size)

    def begin_field(self, field: str) -> None:
        self._fields += 1
        _check("fields", self._limits.fields, self._fields, field)
        self._open(
            field, "field_size", self._limits.field_size, "fields_size", self._limits.fields_size, self._fields_size
        )

    def count_file(self, size: int) -> None:
        self._files_size += size
        self._seen += size
        if self._seen > self._room:
            raise self._passed()

    def count_field(self, size: int) -> None:
        self._fields_size += size
        self._seen += size
        if self._seen > self._room:
            raise self._passed()

    def _open(
        self, field: str, limit: str, allowed: int | None, sum_limit: str, sum_allowed: int | None, used: int
    ) -> None:
        self._field, self._seen = field, 0
        self._limit, self._allowed = limit, _NO_LIMIT if allowed is None else allowed
        self._room = self._allowed
        if sum_allowed is not None and sum_allowed - used < self._room:
            self._limit, self._allowed, self._room = sum_limit, sum_allowed, sum_allowed - used

    def _passed(self) -> LimitExceeded:
        return exceeded(self._limit, self._allowed, self._allowed - self._room + self._seen, self._field)


def _check(limit: str, allowed: int | None, seen: int, field: str | None = None) -> None:
    if allowed is not None and seen > allowed:
        raise exceeded(limit, allowed, seen, field)
