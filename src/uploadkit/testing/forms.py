"""Builds the bodies that browsers send, for tests of what receives them.

    form = FormBuilder().text("title", "Holiday").file("avatar", b"...", filename="me.png", content_type="image/png")
    client.post("/profile", content=form.body, headers={"Content-Type": form.content_type})

Names are escaped as the HTML Standard says and nothing else is changed: what a test puts in is what is on the wire,
also where no browser would send it. The same calls make the same bytes.
"""

from __future__ import annotations

import re
from typing import Self

from ..multipart.headers import MULTIPART

# HTML Standard, "multipart/form-data encoding algorithm". A backslash is not escaped, and neither is a percent sign.
_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})

# RFC 2045 §5.1: everything else in a boundary has to stand in quotes.
_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch


class FormBuilder:
    """A multipart/form-data body that is put together part by part; every call returns the builder itself.

    The boundary is one that no part holds, unless `boundary` names one: that is taken as it is.
    """

    def __init__(self, *, boundary: str | None = None) -> None:
        self._parts: list[bytes] = []
        self._boundary = boundary

    def text(self, name: str, value: str, *, content_type: str | None = None) -> Self:
        """Adds a text value, in UTF-8. Browsers send no `content_type` with it."""
        return self.part(f'form-data; name="{_escaped(name)}"', value.encode(), content_type=content_type)

    def file(
        self, name: str, data: bytes, *, filename: str, content_type: str | None = "application/octet-stream"
    ) -> Self:
        """Adds a file. No data and a `filename` of "" is a file input in which nothing was chosen."""
        disposition = f'form-data; name="{_escaped(name)}"; filename="{_escaped(filename)}"'
        return self.part(disposition, data, content_type=content_type)

    def part(self, disposition: str, data: bytes, *, content_type: str | None = None) -> Self:
        """Adds a part with this Content-Disposition as it is: for what a browser would not send."""
        lines = [f"Content-Disposition: {disposition}"]
        if content_type is not None:
            lines.append(f"Content-Type: {content_type}")
        self._parts.append("\r\n".join([*lines, "", ""]).encode() + data)
        return self

    @property
    def boundary(self) -> str:
        """What stands between the parts."""
        if self._boundary is not None:
            return self._boundary
        number = 0
        while any(_numbered(number).encode() in part for part in self._parts):
            number += 1
        return _numbered(number)

    @property
    def content_type(self) -> str:
        """The request's Content-Type. It changes where a part is added that holds the boundary."""
        boundary = self.boundary
        return f"{MULTIPART}; boundary={boundary}" if _token(boundary) else f'{MULTIPART}; boundary="{boundary}"'

    @property
    def body(self) -> bytes:
        """The request's body."""
        boundary = self.boundary.encode()
        return b"".join([b"--%b\r\n%b\r\n" % (boundary, part) for part in self._parts]) + b"--%b--\r\n" % boundary


def _escaped(name: str) -> str:
    return name.translate(_ESCAPES)


def _numbered(number: int) -> str:
    return f"----UploadkitFormBoundary{number:016}"
